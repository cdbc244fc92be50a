"""A table in, a model out: how good, beside what is simpler, and why.

Draws importance.png and writes diabetes.fallline.
"""

import polars as pl
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import fallline as fl
from fallline import pictures

data = load_diabetes(scaled=False)
table = pl.DataFrame(data.data, schema=data.feature_names)
X, X_test, y, y_test = train_test_split(table, data.target, random_state=0)

regressor = fl.NetworkRegressor(random_state=0).fit(X, y)
print(f"R2 on rows that it never saw: {regressor.score(X_test, y_test):.2f}")
print(f"typical error on rows held back: {regressor.scores_['rmse']:.1f}")
for name, scores in regressor.beside_.items():
    print(f"  {name}: {scores['rmse']:.1f}")

low, high = regressor.predict_interval(X_test, coverage=0.8).T
print(f"{((low < y_test) & (y_test < high)).mean():.0%} of the unseen rows lie in intervals meant to hold 80%")

regressor.model_.save("diabetes.fallline")
model = fl.load("diabetes.fallline")
print(model.explain(X_test, row=0))

pictures.ImportanceDisplay.from_estimator(regressor, X_test, y_test).figure_.savefig("importance.png", dpi=120)
