"""Who takes part: each trains on a split with its defaults and predicts the test rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from benchmarks.tables.tables import Split

Predict = Callable[[], np.ndarray]


def fallline(split: Split, seed: int) -> Predict:
    """`fallline train`, in Python."""
    from fallline.fit import fit
    from fallline.table.frames import table_from_frame

    def table(frame: pl.DataFrame) -> Any:
        return table_from_frame(frame, split.name, str, split.target)

    task = "regression" if split.regression else "classification"
    model = fit(table(split.train), {"seed": seed, "task": task}).model

    def predict() -> np.ndarray:
        rows = table(split.test)
        if split.regression:
            return model.predict(rows)
        order = np.argsort([str(label) for label in model.classes.tolist()])
        return model.predict_proba(rows)[:, order]

    return predict


def histgb(split: Split, seed: int) -> Predict:
    """scikit-learn's HistGradientBoosting; categories as such where they have at most 255 labels."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    X, X_test, words = _coded(split)
    few = [name for name in words if X[name].n_unique() < 250]
    kind = HistGradientBoostingRegressor if split.regression else HistGradientBoostingClassifier
    model = kind(random_state=seed, categorical_features=[X.columns.index(name) for name in few])
    return _of(model.fit(X.to_numpy(), _target(split)), X_test.to_numpy(), split)


def lightgbm(split: Split, seed: int) -> Predict:
    """LightGBM."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    X, X_test, words = _coded(split)
    model = (LGBMRegressor if split.regression else LGBMClassifier)(random_state=seed, verbose=-1, n_jobs=2)
    codes = [X.columns.index(name) for name in words]
    return _of(model.fit(X.to_numpy(), _target(split), categorical_feature=codes), X_test.to_numpy(), split)


def catboost(split: Split, seed: int) -> Predict:
    """CatBoost."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    frames = [_plain(frame, split).to_pandas(use_pyarrow_extension_array=False) for frame in (split.train, split.test)]
    words = _words(split)
    for frame in frames:
        frame[words] = frame[words].fillna("missing").astype(str)
    kind = CatBoostRegressor if split.regression else CatBoostClassifier
    model = kind(random_seed=seed, verbose=False, thread_count=2, cat_features=words, allow_writing_files=False)
    return _of(model.fit(frames[0], _target(split)), frames[1], split)


def sklearn_mlp(split: Split, seed: int) -> Predict:
    """scikit-learn's MLP on standardised numbers, medians for missing ones, and indicators."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X, X_test, words = _coded(split)
    codes = [X.columns.index(name) for name in words]
    numbers = [j for j in range(X.width) if j not in codes]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore"), codes),
        ]
    )
    if split.regression:
        network = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    else:
        network = MLPClassifier(random_state=seed)
    model = make_pipeline(columns, network)
    return _of(model.fit(X.to_numpy(), _target(split)), X_test.to_numpy(), split)


def realmlp(split: Split, seed: int) -> Predict:
    """RealMLP-TD of pytabkit, which refuses missing numbers: medians."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    words = _words(split)
    frames = [_plain(frame, split) for frame in (split.train, split.test)]
    medians = frames[0].select(pl.exclude(words).median()).row(0, named=True)
    fills = [pl.col(name).fill_null(value) for name, value in medians.items()]
    X, X_test = (frame.with_columns(fills).to_pandas() for frame in frames)
    model = (RealMLP_TD_Regressor if split.regression else RealMLP_TD_Classifier)(random_state=seed, device="cpu")
    return _of(model.fit(X, _target(split), cat_col_names=words), X_test, split)


# The packages that each needs beside fallline's own.
CONTENDERS: dict[str, tuple[Callable[[Split, int], Predict], tuple[str, ...]]] = {
    "fallline": (fallline, ()),
    "lightgbm": (lightgbm, ("lightgbm",)),
    "histgb": (histgb, ()),
    "catboost": (catboost, ("catboost", "pandas", "pyarrow")),
    "sklearn_mlp": (sklearn_mlp, ()),
    "realmlp": (realmlp, ("pytabkit", "pandas", "pyarrow")),
}


def _of(model: Any, X_test: Any, split: Split) -> Predict:
    def predict() -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = model.predict(X_test) if split.regression else model.predict_proba(X_test)
        return np.asarray(answer)

    return predict


def _target(split: Split) -> np.ndarray:
    y = split.train[split.target]
    if split.regression:
        return y.cast(pl.Float64).to_numpy()
    place = {label: k for k, label in enumerate(split.labels)}
    return np.array([place[str(label)] for label in y])


def _words(split: Split) -> list[str]:
    return split.train.drop(split.target).select(cs.string() | cs.categorical() | cs.boolean()).columns


def _plain(frame: pl.DataFrame, split: Split) -> pl.DataFrame:
    """Inputs: text, and float64; dates as days."""
    return frame.drop(split.target).with_columns(
        cs.temporal().dt.epoch("d").cast(pl.Float64), cs.numeric().cast(pl.Float64), cs.boolean().cast(pl.String)
    )


def _coded(split: Split) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Inputs of both parts as float64, labels as numbers, and which columns have labels."""
    words = _words(split)
    both = pl.concat([_plain(frame, split) for frame in (split.train, split.test)])
    coded = both.with_columns(pl.col(words).rank("dense").cast(pl.Float64) - 1)
    return coded[: split.train.height], coded[split.train.height :], words
