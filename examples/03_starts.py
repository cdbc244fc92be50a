"""Fifty random starts on "one or the other, but not both": how many end in a bad valley? Draws starts.png."""

import numpy as np

import fallline as fl
from fallline import pictures

pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
either = np.array([0, 1, 1, 0])

for hidden in (8, 3, 2):
    net = fl.Network([2, hidden, 1], activation="tanh", output="sigmoid", seed=0)
    run = fl.descend(net, pairs, either, optimizer=fl.SGD(1.0), batch_size=None, epochs=2000, starts=50)
    bad = (run.losses > 0.1).sum()
    print(f"{hidden} hidden neurons: {bad:2} of 50 starts end in a bad valley, the best at {run.losses.min():.4f}")

display = pictures.StartsDisplay.from_run(run, threshold=0.1)  # of the two hidden neurons
display.figure_.savefig("starts.png", dpi=120)
worst = run.networks[int(np.argmax(run.losses))]
print("the worst start answers", worst(pairs).ravel().round(2), "where", either, "is right")
