"""Print the coefficients of native/kernels/coefficients.hpp: polynomials, and a rational function.

    .venv/bin/python tools/approximations.py

Weighted least squares on Chebyshev's points, in 60 digits, each coefficient rounded once at the end. It is within a
factor of two of the minimax error, without an exchange that may fail to converge.
"""

from __future__ import annotations

from collections.abc import Callable

from mpmath import atanh, cos, erfc, exp, expm1, fabs, log, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sin, sqrt

mp.dps = 60
N_POINTS = 400

Numbers = list[mpf]
Function = Callable[[mpf], mpf]


def chebyshev(low: mpf, high: mpf) -> Numbers:
    """Chebyshev's points, dense at the ends."""
    return [(low + high) / 2 - (high - low) / 2 * cos(pi * (i + mpf("0.5")) / N_POINTS) for i in range(N_POINTS)]


def fit(
    f: Function, weight: Function, points: Numbers, n: int, m: int = 0, at_zero: mpf | None = None
) -> tuple[Numbers, Numbers]:
    """Return P of degree n and Q of degree m with P / Q near f; constant terms first, P's is `at_zero` and Q's is 1.

    What Q does to the weights is taken from the round before (Sanathanan & Koerner 1963).
    """
    p0 = [] if at_zero is None else [at_zero]
    p, q = p0, [mpf(1)]
    for _ in range(12 if m else 1):
        rows, right = [], []
        for x in points:
            scale, y = weight(x) / polyval(q[::-1], x), f(x)
            rows.append([scale * x**j for j in range(len(p0), n + 1)] + [-scale * y * x**j for j in range(1, m + 1)])
            right.append(scale * (y - sum(p0)))
        found = list(lu_solve(matrix(rows), matrix(right)))
        p, q = [*p0, *found[: n + 1 - len(p0)]], [mpf(1), *found[n + 1 - len(p0) :]]
    error = max(fabs(weight(x) * (polyval(p[::-1], x) / polyval(q[::-1], x) - f(x))) for x in points)
    print(f"// greatest error 2^{nstr(log(error, 2), 4)}")
    return p, q


def show(name: str, coefficients: Numbers, digits: int) -> None:
    """Print one array."""
    print(f"{name} = {{" + ", ".join(nstr(c, digits, strip_zeros=False) for c in coefficients) + "}")


def mills(u: mpf) -> mpf:
    """exp(u^2 / 2) Phi(-u): Mills's ratio over sqrt(2 pi)."""
    return exp(u**2 / 2) * erfc(u / sqrt(2)) / 2


def main() -> None:
    """Print all. Weights make each error a relative one, of the function that is wanted in the end."""
    half = log(2) / 2 * mpf("1.001")
    for kind, digits, exp_degree, artanh_degree, mills_degree, widest in (
        ("float", 9, 4, 3, 4, mpf(15)),
        ("double", 17, 9, 9, 10, mpf("39.5")),
    ):
        print(kind)
        series, _ = fit(
            lambda r: (expm1(r) - r) / r**2, lambda r: fabs(r**2 / expm1(r)), chebyshev(-half, half), exp_degree
        )
        show("exponential", series, digits)
        series, _ = fit(
            lambda y: (atanh(sqrt(y)) / sqrt(y) - 1) / y,
            lambda y: y * sqrt(y) / atanh(sqrt(y)),
            chebyshev(mpf(0), mpf(1) / 9),
            artanh_degree,
        )
        show("artanh", series, digits)
        series, _ = fit(
            lambda y: sin(2 * pi * sqrt(y)) / sqrt(y),
            lambda y: sqrt(y) / sin(2 * pi * sqrt(y)),
            chebyshev(mpf(0), mpf(1) / 16),
            exp_degree,
        )
        show("turn_sine", series, digits)
        points = [3 * s / (1 - s) for s in chebyshev(mpf(0), widest / (widest + 3))]
        p, q = fit(mills, lambda u: 1 / mills(u), points, mills_degree, mills_degree + 1, mpf(1) / 2)
        slope = q[-1] / p[-1]
        show("mills_p", p, digits)
        show("mills_slope", [slope], digits)  # Q = slope u P + R
        show("mills_r", [q[0], *(q[i] - slope * p[i - 1] for i in range(1, len(p)))], digits)


if __name__ == "__main__":
    main()
