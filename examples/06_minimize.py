"""Step rules race down Rosenbrock's curved valley, with `fl.minimize`. Draws rules.png."""

import numpy as np
from scipy.optimize import rosen, rosen_der

import fallline as fl
from fallline import pictures

rules = {
    "gradient descent": fl.SGD(1e-3),
    "momentum": fl.SGD(1e-3, momentum=0.9),
    "Adam": fl.Adam(0.05),
    "RMSprop": fl.RMSprop(0.01),
}
start = np.array([-1.5, 2.0])
runs = {name: fl.minimize(rosen, start, jac=rosen_der, optimizer=rule, steps=1000) for name, rule in rules.items()}
for name, run in runs.items():
    print(f"{name:16}: {run.fun:.2e} after {run.nit} steps, at {run.x.round(3)}")

display = pictures.MinimizeDisplay.from_results(rosen, list(runs.values()), names=list(runs))
display.figure_.savefig("rules.png", dpi=120)
