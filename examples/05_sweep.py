"""A sweep in one call: eight learning rates side by side, all from the same random start. Draws sweep.png."""

import matplotlib.pyplot as plt

import fallline as fl
from fallline.table import load_bundled, split

digits = load_bundled("digits")
seen, unseen = split(digits, 0.25, seed=0, task="classification")
rates = [3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
net = fl.Network([64, 32, 10], activation="relu", output="softmax", seed=1)
run = fl.descend(
    [net] * len(rates),
    digits.X[seen],
    digits.y[seen],
    optimizer=fl.Adam(rates),
    epochs=20,
    validation=(digits.X[unseen], digits.y[unseen]),
)
for rate, loss in zip(rates, run.losses, strict=True):
    print(f"learning rate {rate:<7}: validation loss {loss:.3f}{'   best' if loss == run.losses.min() else ''}")

figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
for k, rate in enumerate(rates):
    ax.plot(run.history["epoch"][:, 0], run.history["validation_loss"][:, k], label=f"{rate}")
ax.set(xlabel="epoch", ylabel="validation loss", yscale="log")
ax.legend(title="learning rate")
figure.savefig("sweep.png", dpi=120)
