"""A grid of twenty candidates on the workers of a Ray cluster; here the cluster is two processes of this machine."""

import ray
from joblib import parallel_config
from ray.util.joblib import register_ray
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV

import fallline as fl

CHOICES = {
    "hidden_layer_sizes": [(16,), (64,), (16, 16), (64, 64)],
    "learning_rate": [0.003, 0.01, 0.03, 0.1, 0.3],
}

X, y = load_diabetes(return_X_y=True)
# The search holds rows back itself: validation=0.0.
regressor = fl.NetworkRegressor(epochs=10, starts=2, validation=0.0, random_state=0)
search = GridSearchCV(regressor, CHOICES, cv=3, scoring="r2")
# Of a cluster that is there, on one of its machines: ray.init(address="auto").
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
register_ray()
with parallel_config("ray", n_jobs=2):
    search.fit(X, y)
ray.shutdown()
print(f"R2 {search.best_score_:.3f} with {search.best_params_}")
