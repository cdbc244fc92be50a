"""Models of every kind, as small as they come, and a service of one in a thread."""

import threading

import numpy as np
import pytest
from served import Client, houses

from fallline.fit import fit
from fallline.serving.limits import Limits
from fallline.serving.server import Server
from fallline.table import Table, load_bundled, read

SMALL = {"epochs": 2, "starts": 2, "hidden": (8,)}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """`models(name) -> Model`, each trained once."""
    path = tmp_path_factory.mktemp("houses") / "houses.parquet"
    houses().write_parquet(path)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 2)).astype(np.float32)
    of_two = lambda y: Table("two", X, y, ("a", "b"), "y")  # noqa: E731
    asked = {
        "numbers": lambda: (read(path, "price", kinds={"zip": "category"}), {}),
        "quantiles": lambda: (read(path, "price"), {"loss": "quantile", "quantiles": (0.1, 0.5, 0.9)}),
        "several": lambda: (of_two(rng.normal(size=(60, 2))), {}),
        "classes": lambda: (load_bundled("iris"), {}),
        "yes or no": lambda: (of_two(X[:, 0] > 0), {}),
        "whole numbers": lambda: (of_two((X[:, 0] > 0).astype(int) + 3), {}),
        "labels": lambda: (of_two((rng.normal(size=(60, 3)) > 0).astype(int)), {}),
        "pixels": lambda: (load_bundled("digits"), {}),
        "logarithm": lambda: (of_two(np.exp(30 * rng.normal(size=60))), {"target_transform": "log"}),
    }
    made = {}

    def model(name):
        if name not in made:
            table, more = asked[name]()
            made[name] = fit(table, SMALL | more).model
        return made[name]

    return model


@pytest.fixture(scope="module")
def serving(models):
    """`serving(name, **limits) -> Client` of a service of that model, which ends with the module."""
    running = {}

    def start(name, **limits):
        key = (name, *limits.items())
        if key not in running:
            server = Server(models(name), f"{name}.fallline", limits=Limits(**limits), threads=2)
            thread = threading.Thread(target=server.run)
            thread.start()
            running[key] = server, thread
        return Client(running[key][0].port)

    yield start
    for server, thread in running.values():
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
