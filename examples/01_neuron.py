"""One neuron learns, by hand: forward, backward, step. Nothing but NumPy.

It has two inputs, sepal length and petal length, and says how likely a flower is Iris versicolor rather than setosa.
"""

import numpy as np
from sklearn.datasets import load_iris

iris = load_iris()
two = iris.target < 2  # setosa 0, versicolor 1
X, y = iris.data[two][:, [0, 2]], iris.target[two]
X = (X - X.mean(axis=0)) / X.std(axis=0)

w, b, learning_rate = np.zeros(2), 0.0, 0.5
for step in range(101):
    # Forward: times the weights, add the bias, activate.
    z = X @ w + b
    a = 1 / (1 + np.exp(-z))
    loss = -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a))
    # Backward: of the cross-entropy of a sigmoid, the slope with respect to z is simply a - y.
    dz = (a - y) / len(y)
    dw, db = X.T @ dz, dz.sum()
    if step % 20 == 0:
        right = np.mean((a > 0.5) == y)
        print(f"step {step:3}: loss {loss:.4f}, {right:.0%} right, weights {w.round(2)}, bias {b:.2f}")
    # Against the gradient.
    w -= learning_rate * dw
    b -= learning_rate * db
