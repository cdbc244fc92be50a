"""Searches on joblib's own processes, on Dask and on Ray: the same scores to the last bit, and no thread too many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from tests.elsewhere import TASKS, assert_same, fitted_there, mean_score, rows, threads_while_training

import fallline as fl
from fallline.estimators import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor
from fallline.interrupt import SOON
from fallline.threads import limits

ROOT = Path(__file__).resolve().parent.parent
Config = Callable[[], AbstractContextManager[Any]]


@contextmanager
def loky() -> Iterator[Config]:
    from joblib.externals.loky import get_reusable_executor

    yield lambda: parallel_config("loky", n_jobs=2)
    get_reusable_executor().shutdown(wait=True)


@contextmanager
def dask() -> Iterator[Config]:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        yield lambda: parallel_config("dask")


@contextmanager
def ray() -> Iterator[Config]:
    ray = pytest.importorskip("ray", reason="there is no Ray for this system")
    from ray.util.joblib import register_ray

    os.environ["PYTHONPATH"] = str(ROOT)  # so that its workers know the tests
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    register_ray()
    yield lambda: parallel_config("ray", n_jobs=2)
    ray.shutdown()


@pytest.fixture(scope="module", params=[loky, dask, ray], ids=lambda backend: backend.__name__)
def workers(request: pytest.FixtureRequest) -> Iterator[Config]:
    """Two worker processes, and the configuration of joblib that uses them; what they did to the environment ends."""
    with mock.patch.dict(os.environ), request.param() as config:
        yield config


@pytest.fixture(scope="module")
def parallel(workers: Config) -> Iterator[Parallel]:
    """One for several tests, since Ray starts processes for each."""
    with workers():
        parallel = Parallel()
    with parallel:
        yield parallel


QUICK: dict[str, Any] = {
    "epochs": 3, "starts": 2, "hidden_layer_sizes": (8,), "validation": 0.0, "optimizer": "sgd", "random_state": 0
}  # fmt: skip
PERCEPTRON = {"max_iter": 5, "early_stopping": True, "random_state": 0}
FIVE_RATES = [0.001, 0.003, 0.01, 0.03, 0.1]


def candidates(network: type, perceptron: type) -> list[dict[str, Any]]:
    """Twenty, half of them of either kind, which all have scores of their own."""
    return [
        {"model": [network(**QUICK)], "model__learning_rate": FIVE_RATES, "model__dropout": [0.0, 0.2]},
        {"model": [perceptron(**PERCEPTRON)], "model__alpha": [0.01, 10], "model__learning_rate_init": FIVE_RATES},
    ]


def grid() -> Any:
    """Over classifiers; a step size that is far too large and a setting out of range are among the candidates."""
    wrong: dict[str, Any] = {"model": [NetworkClassifier(**QUICK)]}
    choices = [*candidates(NetworkClassifier, MLPClassifier), wrong | {"model__learning_rate": [1e12]}]
    choices.append(wrong | {"model__dropout": [2.0]})
    search = GridSearchCV(Pipeline([("model", NetworkClassifier())]), choices, scoring="neg_log_loss", cv=2)
    return search.fit(*load_iris(return_X_y=True))


def random() -> Any:
    choices = candidates(NetworkRegressor, MLPRegressor)
    search = RandomizedSearchCV(Pipeline([("model", NetworkRegressor())]), choices, n_iter=20, cv=2, random_state=0)
    return search.fit(*load_diabetes(return_X_y=True))


def optuna_s(parallel: Parallel = Parallel()) -> Any:  # noqa: B008
    """Twenty trials, five at a time, so that what is tried depends on the scores so far."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = load_diabetes(return_X_y=True)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5))
    for _ in range(4):
        trials = [study.ask() for _ in range(5)]
        rates = [trial.suggest_float("learning_rate", 1e-3, 0.1, log=True) for trial in trials]
        tried = [NetworkRegressor(**QUICK, learning_rate=rate) for rate in rates]
        for trial, score in zip(trials, parallel(delayed(mean_score)(each, X, y) for each in tried), strict=True):
            study.tell(trial, score)
    return study


serial = cache(lambda search: search())  # in this process, once for all backends


@pytest.mark.filterwarnings("ignore:.*Maximum iterations", "ignore::fallline.DivergenceWarning")
@pytest.mark.filterwarnings(r"ignore:\s*2 fits failed:sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("search", [grid, random])
def test_scikit_learn_finds_what_it_finds_in_this_process(workers: Config, search: Callable[[], Any]) -> None:
    here = serial(search)
    with workers():
        found = search()
    for column, values in here.cv_results_.items():
        if column == "params":
            assert [{**each, "model": str(each["model"])} for each in found.cv_results_["params"]] == [
                {**each, "model": str(each["model"])} for each in values
            ]
        elif "time" not in column and column != "param_model":
            np.testing.assert_array_equal(found.cv_results_[column], values, err_msg=column)
    scores = found.cv_results_["mean_test_score"]
    assert len(set(scores[:20])) == 20  # or any two searches would be alike
    assert np.isfinite(scores[:20]).all()
    assert np.isnan(scores[21:]).all()  # what cannot be fitted has scikit-learn's error_score
    assert (found.best_score_, found.best_index_) == (here.best_score_, here.best_index_)
    X = (load_iris if search is grid else load_diabetes)().data
    np.testing.assert_array_equal(found.predict(X), here.predict(X))


def test_optuna_finds_what_it_finds_in_this_process(parallel: Parallel) -> None:
    here, found = serial(optuna_s), optuna_s(parallel)
    values = [trial.value for trial in found.trials]
    assert values == [trial.value for trial in here.trials]
    assert (found.best_value, found.best_params) == (here.best_value, here.best_params)
    assert len(set(values)) == 20


def test_starts_on_the_workers_are_those_of_this_process(workers: Config) -> None:
    net, settings = fl.Network([4, 16, 1], "tanh", seed=3), {"starts": 5, "epochs": 4, "dropout": 0.2}
    with workers():
        assert_same(fl.spread(net, *rows(), **settings), fl.descend(net, *rows(), **settings))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_workers_keep_to_their_threads_and_send_whole_estimators(parallel: Parallel) -> None:
    X, y = load_iris(return_X_y=True)
    estimators = [NetworkClassifier(**QUICK | {"validation": "auto"}), MLPClassifier(**PERCEPTRON)]
    done = parallel(delayed(fitted_there)(each, X, y) for each in estimators)
    counts = parallel(delayed(threads_while_training)() for _ in range(2)) if TASKS.is_dir() else []
    for (process, there), estimator in zip(done, estimators, strict=True):
        assert process != os.getpid()
        np.testing.assert_array_equal(there.predict_proba(X), clone(estimator).fit(X, y).predict_proba(X))
    share = max(1, limits()["affinity"] // 2)  # of loky's; Dask and Ray say 1
    for allowed, started in counts:
        assert allowed in (1, share)
        assert started < allowed or started == 0


@pytest.mark.skipif(not TASKS.is_dir(), reason="this system does not list a process's threads")
def test_threads_are_counted_where_there_are_some() -> None:
    """That the test above can fail: of three threads two are started, in a process that has none yet."""
    code = "from tests.elsewhere import threads_while_training as count; print(count(3)[1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "2\n"


def test_tasks_of_one_dask_worker_share_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tasks are threads of one process; in the thread that started them nothing changes."""
    from distributed import Client, LocalCluster

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cluster = LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None)
    with cluster, Client(cluster) as client:
        assert client.submit(limits, pure=False).result()["dask"] == max(1, min(limits().values()) // 3)
        assert "dask" not in limits()


def test_ctrl_c_twice_ends_a_loop_of_descents() -> None:
    """Such as a search: the first ends a descent, the second, soon after, the loop; later it is a first one again."""

    class Press(fl.Listener):
        def on_epoch(self, epoch: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    def reason() -> str:
        return fl.descend(fl.Network([4, 4, 1]), *rows(), epochs=3, callbacks=Press()).stop_reason

    assert reason() == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        reason()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    time.sleep(SOON)
    assert reason() == "interrupted"
