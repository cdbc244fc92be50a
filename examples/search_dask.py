"""A search of twenty candidates on the workers of a Dask cluster; here the cluster is two processes of this machine."""

from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import RandomizedSearchCV

import fallline as fl

CHOICES = {
    "hidden_layer_sizes": [(16,), (64,), (16, 16), (64, 64)],
    "learning_rate": [0.003, 0.01, 0.03, 0.1],
    "dropout": [0.0, 0.1, 0.3],
}

if __name__ == "__main__":  # Dask's workers import this file as well
    X, y = load_breast_cancer(return_X_y=True)
    # The search holds rows back itself: validation=0.0.
    classifier = fl.NetworkClassifier(epochs=10, starts=2, validation=0.0, random_state=0)
    search = RandomizedSearchCV(classifier, CHOICES, n_iter=20, cv=3, scoring="roc_auc", random_state=0)
    # Of a cluster that is there: Client("tcp://its.scheduler:8786").
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), parallel_config("dask"):
        search.fit(X, y)
    print(f"area under the curve {search.best_score_:.4f} with {search.best_params_}")
