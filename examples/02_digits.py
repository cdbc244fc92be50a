"""A network learns to read digits: how its loss falls, and its path over the hill.

Draws digits-loss.png and digits-path.png.
"""

import fallline as fl
from fallline import pictures
from fallline.table import load_bundled, split

digits = load_bundled("digits")
seen, unseen = split(digits, 0.25, seed=0, task="classification")
net = fl.Network([64, 32, 10], activation="relu", output="softmax", seed=1)
run = fl.descend(
    net,
    digits.X[seen],
    digits.y[seen],
    optimizer=fl.Adam(3e-3),
    epochs=30,
    validation=(digits.X[unseen], digits.y[unseen]),
    metrics=["accuracy"],
    callbacks=fl.Recorder(),
)
print(f"{net}: {run.history['accuracy'][-1, 0]:.1%} of {len(unseen)} unseen digits right")
print("diagnosis:", *run.diagnose() or ["nothing found"], sep="\n  ")

pictures.LossCurveDisplay.from_run(run).figure_.savefig("digits-loss.png", dpi=120)
path = pictures.DescentPathDisplay.from_run(run)
path.figure_.savefig("digits-path.png", dpi=120)
print(path.caption)
