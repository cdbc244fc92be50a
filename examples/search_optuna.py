"""Twenty trials of Optuna, four at a time in processes of joblib's; what is tried follows from the scores so far."""

import optuna
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score

import fallline as fl

X, y = load_breast_cancer(return_X_y=True)


def suggested(trial):
    """Give the classifier that a trial is of."""
    return fl.NetworkClassifier(
        hidden_layer_sizes=(trial.suggest_int("width", 8, 64, log=True),) * trial.suggest_int("layers", 1, 2),
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 0.3, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.3),
        epochs=10,
        starts=2,
        validation=0.0,  # the search holds rows back itself
        random_state=0,
    )


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
with Parallel(n_jobs=2) as parallel:  # within joblib.parallel_config("dask") or ("ray"): on the workers of a cluster
    for _ in range(5):
        trials = [study.ask() for _ in range(4)]
        of_folds = parallel(
            delayed(cross_val_score)(suggested(trial), X, y, cv=3, scoring="roc_auc") for trial in trials
        )
        for trial, scores in zip(trials, of_folds, strict=True):
            study.tell(trial, scores.mean())
print(f"area under the curve {study.best_value:.4f} with {study.best_params}")
