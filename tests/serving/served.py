"""What the tests of the service share: rows of every kind, and a client."""

import datetime
import http.client
import json
from typing import NamedTuple

import numpy as np
import polars as pl

MODELS = ["numbers", "quantiles", "several", "classes", "yes or no", "whole numbers", "labels", "pixels", "logarithm"]


def houses(n=120):
    """Rows of every kind of column, some with values missing, one column that says nothing."""
    rng = np.random.default_rng(0)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in rng.integers(0, 1500, n)]
    area = rng.uniform(30, 200, n)
    frame = pl.DataFrame(
        {
            "area": [None if i % 9 == 0 else a for i, a in enumerate(area.round(1).tolist())],
            "rooms": rng.integers(1, 8, n),
            "town": rng.choice(["Rome", "Oslo", "Bonn"], n),
            "zip": [str(z) for z in rng.integers(100, 170, n)],
            "sold": days,
            "balcony": rng.integers(0, 2, n) == 1,
            "same": [1] * n,
        }
    )
    return frame.with_columns(price=area * 1000 + 5000 * frame["rooms"])


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """What talks to a service, a connection for each request."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            with connection.getresponse() as answer:
                return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def predict(self, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("/predict", "POST", content, **{"Content_Type": "application/json", **headers})

    def metrics(self):
        lines = self.ask("/metrics").body.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
