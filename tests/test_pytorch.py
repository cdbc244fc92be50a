"""PyTorch as the oracle: losses, gradients of whole networks, paths of 200 steps, schedules; all in float64.

PyTorch is no dependency of ours; where it is not installed this file is skipped.
"""

import numpy as np
import pytest

import fallline as fl
from fallline.activations import HIDDEN, OUTPUTS
from fallline.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Huber,
    Poisson,
    Quantile,
    SquaredError,
)
from fallline.optimizers import SGD, Adam, AdamW, RMSprop
from fallline.schedules import SCHEDULES, Constant, Cosine, Exponential, OneCycle, Step, WarmUp

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed here")
F = torch.nn.functional

ENGINES = ["reference", "native"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On networks this small more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# A new activation or loss fails until its counterpart stands here.
ACTIVATIONS = {
    "identity": lambda Z: Z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": lambda Z: F.leaky_relu(Z, 0.01),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softmax": lambda Z: F.softmax(Z, dim=1),
}

DELTA, QUANTILES = 0.7, (0.2, 0.9)


def _poisson(Z, A, Y, output):
    if output == "identity":
        return F.poisson_nll_loss(Z, Y, log_input=True, reduction="none").mean(1)
    return F.poisson_nll_loss(A, Y, log_input=False, eps=0.0, reduction="none").mean(1)


def _quantile(Z, A, Y, output):
    p = torch.tensor(QUANTILES, dtype=A.dtype)
    error = Y[:, :, None] - A.reshape(len(A), -1, len(QUANTILES))
    return torch.maximum(p * error, (p - 1) * error).mean((1, 2))


def _binary(Z, A, Y, output):
    if output == "softmax":
        return F.binary_cross_entropy(A, Y, reduction="none").mean(1)
    return F.binary_cross_entropy_with_logits(Z, Y, reduction="none").mean(1)


def _categorical(Z, A, Y, output):
    if output == "sigmoid":
        return F.cross_entropy(F.logsigmoid(Z), Y, reduction="none")
    return F.cross_entropy(Z, Y, reduction="none")


# Loss of each row, from Z, A, Y and the output's name
ROW_LOSSES = {
    "squared_error": lambda Z, A, Y, output: F.mse_loss(A, Y, reduction="none").mean(1),
    "quadratic": lambda Z, A, Y, output: 0.5 * F.mse_loss(A, Y, reduction="none").sum(1),
    "absolute_error": lambda Z, A, Y, output: F.l1_loss(A, Y, reduction="none").mean(1),
    "huber": lambda Z, A, Y, output: F.huber_loss(A, Y, reduction="none", delta=DELTA).mean(1),
    "poisson": _poisson,
    "quantile": _quantile,
    "binary_cross_entropy": _binary,
    "categorical_cross_entropy": _categorical,
}


def make(name):
    return {"huber": Huber(DELTA), "quantile": Quantile(QUANTILES)}.get(name) or LOSSES[name]()


def draw(name, rng, n, n_out):
    """Targets that a loss takes, real ones included where it takes them."""
    if name == "categorical_cross_entropy":
        return rng.dirichlet(np.ones(n_out), n)
    if name == "binary_cross_entropy":
        return rng.random((n, n_out))
    if name == "poisson":
        return rng.poisson(2.0, (n, n_out)).astype(float)
    return rng.normal(size=(n, n_out // 2 if name == "quantile" else n_out))


class Twin:
    """A network's parameters as PyTorch's leaves, and its forward pass in PyTorch's functions."""

    def __init__(self, net):
        self.net = net
        self.W = [torch.tensor(W, requires_grad=True) for W in net.W]
        self.b = [torch.tensor(b, requires_grad=True) for b in net.b]

    def forward(self, X):
        A = torch.as_tensor(X)
        for layer, W, b in zip(self.net.layers, self.W, self.b, strict=True):
            Z = A @ W + b
            A = ACTIVATIONS[layer.activation.name](Z)
        return Z, A

    def loss(self, name, X, Y, weight=None):
        """The weighted mean over the rows."""
        rows = ROW_LOSSES[name](*self.forward(X), torch.as_tensor(Y), self.net.output)
        if weight is None:
            return rows.mean()
        w = torch.as_tensor(weight)
        return (w * rows).sum() / w.sum()

    def leaves(self):
        """In the order of our block."""
        return [leaf for pair in zip(self.W, self.b, strict=True) for leaf in pair]

    def block(self):
        return np.concatenate([leaf.detach().numpy().ravel() for leaf in self.leaves()])

    def gradient(self):
        return np.concatenate([leaf.grad.numpy().ravel() for leaf in self.leaves()])


def test_every_record_has_its_counterpart():
    assert set(ACTIVATIONS) == {*HIDDEN, *OUTPUTS}
    assert set(ROW_LOSSES) == set(LOSSES)


# ---- gradients


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradient_is_autograds(activation, output, loss):
    rng = np.random.default_rng(1)
    net = fl.Network([3, 7, 5, 4], activation, output, start="normal", seed=2, dtype="float64")
    net.parameters *= 0.5
    X, Y, w = rng.normal(size=(20, 3)), draw(loss, rng, 20, 4), rng.uniform(0.1, 3, 20)
    w[4] = 0
    twin = Twin(net)
    expected = twin.loss(loss, X, Y, w)
    expected.backward()
    for engine in ENGINES:
        got = fl.gradient(net, X, Y, make(loss), sample_weight=w, engine=engine)
        assert got.loss == pytest.approx(float(expected.detach()), rel=1e-10), engine
        np.testing.assert_allclose(got.block, twin.gradient(), rtol=1e-10, atol=1e-10, err_msg=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_with_penalties_is_autograds(engine):
    rng = np.random.default_rng(2)
    net = fl.Network([3, 6, 4, 2], "tanh", start="normal", seed=5, dtype="float64")
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    twin = Twin(net)
    loss = twin.loss("squared_error", X, Y)
    for W in twin.W:
        loss = loss + 0.03 * W.abs().sum() + 0.5 * 0.2 * (W * W).sum()
    loss.backward()
    got = fl.gradient(net, X, Y, l1=0.03, l2=0.2, engine=engine)
    assert got.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    np.testing.assert_allclose(got.block, twin.gradient(), rtol=1e-10, atol=1e-12)


# ---- losses, against PyTorch's modules with their default reductions

RNG = np.random.default_rng(7)
REAL, COUNTS = RNG.normal(size=(30, 3)), RNG.poisson(2.0, (30, 3)).astype(float)
BITS, CLASSES = RNG.integers(0, 2, (30, 3)).astype(float), RNG.integers(0, 3, 30)

MODULES = [
    (SquaredError(), REAL, torch.nn.MSELoss()),
    (fl.losses.AbsoluteError(), REAL, torch.nn.L1Loss()),
    (Huber(0.3), REAL, torch.nn.HuberLoss(delta=0.3)),
    (Poisson(), COUNTS, torch.nn.PoissonNLLLoss(log_input=True)),
    (BinaryCrossEntropy(), BITS, torch.nn.BCEWithLogitsLoss()),
    (CategoricalCrossEntropy(), CLASSES, torch.nn.CrossEntropyLoss()),
    (CategoricalCrossEntropy(label_smoothing=0.1), CLASSES, torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("loss", "y", "module"), MODULES, ids=lambda case: str(case) if hasattr(case, "source") else ""
)
def test_loss_is_the_modules(loss, y, module, engine):
    net = fl.Network([4, 3], start="normal", seed=3, dtype="float64")
    X = np.random.default_rng(8).normal(size=(30, 4))
    twin = Twin(net)
    expected = module(twin.forward(X)[0], torch.as_tensor(y))
    expected.backward()
    got = fl.gradient(net, X, y, loss, engine=engine)
    assert got.loss == pytest.approx(float(expected.detach()), rel=1e-12)
    np.testing.assert_allclose(got.block, twin.gradient(), rtol=1e-10, atol=1e-13)


def test_link_outputs_give_the_same_losses():
    """Sigmoid or softmax in the network is the same as the link in the loss."""
    X = np.random.default_rng(8).normal(size=(30, 4))
    for loss, y, module in MODULES[4:]:
        output = "sigmoid" if isinstance(loss, BinaryCrossEntropy) else "softmax"
        net = fl.Network([4, 3], output=output, start="normal", seed=3, dtype="float64")
        expected = float(module(Twin(net).forward(X)[0].detach(), torch.as_tensor(y)))
        for engine in ENGINES:
            assert fl.gradient(net, X, y, loss, engine=engine).loss == pytest.approx(expected, rel=1e-12)


# ---- step rules: 200 full-batch steps

STEPS = 200


def decayed(twin, weight_decay):
    """PyTorch decays whatever it is told to; we tell it the weights."""
    return [{"params": twin.W, "weight_decay": weight_decay}, {"params": twin.b, "weight_decay": 0.0}]


def paths():
    """What `descend` is told, PyTorch's optimiser, and its longest gradient."""
    sgd, optim = torch.optim.SGD, torch.optim
    yield "sgd", {"optimizer": SGD(0.05)}, lambda t: sgd(t.leaves(), lr=0.05), None
    yield "momentum", {"optimizer": SGD(0.02, momentum=0.9)}, lambda t: sgd(t.leaves(), lr=0.02, momentum=0.9), None
    yield (
        "nesterov",
        {"optimizer": SGD(0.02, momentum=0.8, nesterov=True)},
        lambda t: sgd(t.leaves(), lr=0.02, momentum=0.8, nesterov=True),
        None,
    )
    # Without a fair epsilon RMSprop ends in jumps about the minimum whose signs hang on the last digit.
    yield (
        "rmsprop",
        {"optimizer": RMSprop(2e-3, rho=0.95, epsilon=1e-2)},
        lambda t: optim.RMSprop(t.leaves(), lr=2e-3, alpha=0.95, eps=1e-2),
        None,
    )
    yield "adam", {"optimizer": Adam(5e-3)}, lambda t: optim.Adam(t.leaves(), lr=5e-3), None
    yield (
        "adam, other settings",
        {"optimizer": Adam(5e-3, beta1=0.8, beta2=0.95, epsilon=1e-4)},
        lambda t: optim.Adam(t.leaves(), lr=5e-3, betas=(0.8, 0.95), eps=1e-4),
        None,
    )
    yield (
        "adamw",
        {"optimizer": AdamW(5e-3, weight_decay=0.1)},
        lambda t: optim.AdamW(decayed(t, 0.1), lr=5e-3),
        None,
    )
    # PyTorch's weight_decay outside AdamW adds to the gradient: our l2
    yield "sgd, l2", {"optimizer": SGD(0.05), "l2": 0.03}, lambda t: sgd(decayed(t, 0.03), lr=0.05), None
    yield "adam, l2", {"optimizer": Adam(5e-3), "l2": 0.03}, lambda t: optim.Adam(decayed(t, 0.03), lr=5e-3), None
    yield (
        "nesterov, l2",
        {"optimizer": SGD(0.02, momentum=0.8, nesterov=True), "l2": 0.03},
        lambda t: sgd(decayed(t, 0.03), lr=0.02, momentum=0.8, nesterov=True),
        None,
    )
    yield "sgd, clipped", {"optimizer": SGD(0.05), "clip_norm": 0.4}, lambda t: sgd(t.leaves(), lr=0.05), 0.4
    yield (
        "momentum, clipped",
        {"optimizer": SGD(0.02, momentum=0.9), "clip_norm": 0.3},
        lambda t: sgd(t.leaves(), lr=0.02, momentum=0.9),
        0.3,
    )
    yield "adam, clipped", {"optimizer": Adam(5e-3), "clip_norm": 0.2}, lambda t: optim.Adam(t.leaves(), lr=5e-3), 0.2


PATHS = list(paths())


def problem():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(30, 4))
    Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]])
    net = fl.Network([4, 8, 6, 2], ["tanh", "gelu"], seed=4, dtype="float64")
    return net, X, Y, rng.uniform(0.2, 2, 30)


def walk(twin, optimizer, X, Y, w, clip_norm=None, scheduler=None):
    """PyTorch's steps; gives how many gradients were clipped."""
    clipped = 0
    for _ in range(STEPS):
        optimizer.zero_grad()
        twin.loss("squared_error", X, Y, w).backward()
        if clip_norm:
            # clip_grad_norm_ adds 1e-6 to the norm; the definition does not
            norm = torch.nn.utils.get_total_norm([leaf.grad for leaf in twin.leaves()])
            if norm > clip_norm:
                clipped += 1
                for leaf in twin.leaves():
                    leaf.grad *= clip_norm / norm
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return clipped


@pytest.mark.parametrize("path", PATHS, ids=[path[0] for path in PATHS])
def test_path_is_pytorchs(path):
    _, told, make_optimizer, clip_norm = path
    net, X, Y, w = problem()
    twin = Twin(net)
    clipped = walk(twin, make_optimizer(twin), X, Y, w, clip_norm)
    assert clip_norm is None or 0 < clipped < STEPS  # both branches were walked
    assert np.abs(twin.block() - net.parameters).max() > 0.05  # and it led somewhere
    for engine in ENGINES:
        run = fl.descend(
            net, X, Y, sample_weight=w, batch_size=None, shuffle=False, epochs=STEPS, engine=engine, **told
        )
        np.testing.assert_allclose(run.network.parameters, twin.block(), rtol=0, atol=1e-8, err_msg=engine)


def test_path_under_a_schedule_is_pytorchs():
    net, X, Y, w = problem()
    twin = Twin(net)
    optimizer = torch.optim.AdamW(decayed(twin, 0.05), lr=0.01)
    walk(twin, optimizer, X, Y, w, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS))
    for engine in ENGINES:
        run = fl.descend(
            net,
            X,
            Y,
            optimizer=AdamW(0.01, weight_decay=0.05),
            schedule="cosine",
            sample_weight=w,
            batch_size=None,
            epochs=STEPS,
            engine=engine,
        )
        np.testing.assert_allclose(run.network.parameters, twin.block(), rtol=0, atol=1e-8, err_msg=engine)


# ---- schedules: n steps, so that step i has t = i / n

N, RATE = 120, 0.3
law = torch.optim.lr_scheduler

TORCH_SCHEDULES = [
    (Constant(), lambda o: law.ConstantLR(o, factor=1.0)),
    # at: milestones in steps; drop: gamma
    (Step(at=(0.25, 0.5), drop=0.2), lambda o: law.MultiStepLR(o, milestones=[N // 4, N // 2], gamma=0.2)),
    # final: what gamma comes to after n steps
    (Exponential(0.01), lambda o: law.ExponentialLR(o, gamma=0.01 ** (1 / N))),
    # final: eta_min as a share of the rate
    (Cosine(), lambda o: law.CosineAnnealingLR(o, T_max=N)),
    (Cosine(0.1), lambda o: law.CosineAnnealingLR(o, T_max=N, eta_min=0.1 * RATE)),
    # PyTorch's last step stands at t = 1 and ours before it, so it has one more; its peak is at step
    # pct_start * total_steps - 1. first is 1 / div_factor, final is 1 / (div_factor * final_div_factor): the defaults
    # agree.
    (
        OneCycle(),
        lambda o: law.OneCycleLR(o, RATE, total_steps=N + 1, pct_start=(0.3 * N + 1) / (N + 1), cycle_momentum=False),
    ),
    (
        OneCycle(peak=0.5, first=0.1, final=0.001),
        lambda o: law.OneCycleLR(
            o,
            RATE,
            total_steps=N + 1,
            pct_start=(0.5 * N + 1) / (N + 1),
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        ),
    ),
    # share: total_iters in steps. LinearLR cannot begin at 0, so at next to nothing.
    (WarmUp(0.25), lambda o: law.LinearLR(o, start_factor=1e-13, total_iters=N // 4)),
    (
        WarmUp(0.25, then=Exponential(0.1)),
        lambda o: law.ChainedScheduler(
            [law.LinearLR(o, start_factor=1e-13, total_iters=N // 4), law.ExponentialLR(o, gamma=0.1 ** (1 / N))]
        ),
    ),
]


@pytest.mark.parametrize(("schedule", "make_theirs"), TORCH_SCHEDULES, ids=[repr(row[0]) for row in TORCH_SCHEDULES])
def test_schedule_is_pytorchs(schedule, make_theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    theirs, rates = make_theirs(optimizer), []
    for _ in range(N):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(RATE * schedule.factor(np.arange(N) / N), rates, rtol=1e-9, atol=1e-11)


def test_schedules_that_pytorch_lacks_are_named():
    assert set(SCHEDULES) - {schedule.name for schedule, _ in TORCH_SCHEDULES} == {"coslog4"}
