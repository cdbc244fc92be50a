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
colours = plt.get_cmap("viridis")
for k, rate in enumerate(rates):
    losses = run.history["validation_loss"][:, k]
    ax.plot(range(1, len(losses) + 1), losses, color=colours(k / len(rates)), label=f"{rate:g}")
ax.set(xlabel="epoch", ylabel="validation loss", yscale="log")
figure.legend(title="learning rate", loc="outside right center", frameon=False)
figure.savefig("sweep.png", dpi=120)
