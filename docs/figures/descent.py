"""The README's picture of a way down. `python docs/figures/descent.py`."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import fallline as fl
from fallline.pictures import DescentPathDisplay


def main() -> None:
    """Go down, and draw the path."""
    X, y = load_digits(return_X_y=True)
    net = fl.Network([64, 16, 10], output="softmax", seed=1)
    run = fl.descend(net, X / 16, y, epochs=30, callbacks=fl.Recorder())
    figure = Figure(figsize=(9, 6.4), dpi=150, layout="constrained")
    DescentPathDisplay.from_run(run, ax=figure.subplots())
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
