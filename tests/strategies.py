"""Data sets as users bring them, with what several test files compute from first principles."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.active_set import descend, first_spline
from convexdiff_lib.line.beam import Beam, Tube, tube_of
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.problem import LineProblem
from convexdiff_lib.line.sample import Sample
from convexdiff_lib.networks import TwoLayerNetwork


def tube_for(
    x: FloatArray, beta: float, activation: Activation, skip: bool = False, targets: FloatArray | None = None
) -> Tube:
    """The tube of a training problem, also where that has no minimum."""
    return tube_of(LineProblem(Sample.of(x, targets), beta, activation, skip))


NETWORKS: list[tuple[Activation, bool]] = [("relu", False), ("relu", True), ("abs", False), ("abs", True)]
every_network: pytest.MarkDecorator = pytest.mark.parametrize(
    ("activation", "skip"), NETWORKS, ids=[f"{a}{'-skip' if s else ''}" for a, s in NETWORKS]
)
every_activation: pytest.MarkDecorator = pytest.mark.parametrize("activation", ["relu", "abs"])

# Where trials and chains run: on a GPU, too, if there is one. PyTorch is an extra of the library.
try:
    from torch.cuda import is_available
except ModuleNotFoundError:
    DEVICES = ["cpu"]
else:
    DEVICES = ["cpu", *(["cuda"] if is_available() else [])]

# For Clarabel, by way of CVXPY.
EXACTLY = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}

# The same instances on every run and no deadline: the machine's load is not what is tested.
checked = settings(derandomize=True, deadline=None, database=None, max_examples=40)
checked_more = settings(checked, max_examples=100)


def threshold(x: FloatArray, activation: Activation, skip: bool) -> float:
    """The smallest weight decay with a finite optimum, from the multiplicities."""
    counts = Counter(np.asarray(x, dtype=float).tolist())
    k, e = max(counts.values()), max(counts[min(counts)], counts[max(counts)])
    if activation == "relu":
        return max(k / 2, e)
    return float(max(k, 2 * e if skip else e))


def ugly(family: str, n: int, rng: np.random.Generator) -> FloatArray:
    """One sample of a family, unsorted."""
    match family:
        case "normal":
            return rng.normal(size=n)
        case "cauchy":
            return rng.standard_cauchy(size=n)
        case "rounded":
            return np.round(rng.normal(size=n), 1)
        case "clusters":
            return rng.choice([-10.0, 10.0], n) + 0.01 * rng.normal(size=n)
        case "skewed":
            return np.exp(2 * rng.normal(size=n))
        case "heavy tie":
            return rng.permutation(np.where(np.arange(n) < n // 2, 0.5, rng.normal(size=n)))
        case "tied ends":
            return rng.permutation(np.clip(rng.normal(size=n), -0.7, 0.9))
        case _:
            raise ValueError(family)


FAMILIES = ["normal", "cauchy", "rounded", "clusters", "skewed", "heavy tie", "tied ends"]


@st.composite
def data_sets(draw: st.DrawFn, *, distinct: int = 1, dyadic: bool = False) -> FloatArray:
    """Between 1 and 40 points with at least ``distinct`` values; dyadic ones are multiples of 1/8.

    Half of them come point by point from the strategy, which shrinks; half from a family with a drawn seed.
    """
    if dyadic or draw(st.booleans()):
        eighths = st.lists(st.integers(-200, 200), min_size=distinct, max_size=40)
        points = draw(eighths.filter(lambda ks: len(set(ks)) >= distinct))
        return np.array(points) / 8
    n = draw(st.integers(max(2, distinct), 40))
    x = ugly(draw(st.sampled_from(FAMILIES)), n, np.random.default_rng(draw(st.integers(0, 2**16))))
    if len(np.unique(x)) < distinct:
        x[:distinct] += np.arange(distinct)
    return x


def weight_decays(x: FloatArray, activation: Activation, skip: bool) -> st.SearchStrategy[float]:
    """From the threshold, exactly, to twice the number of points."""
    low = threshold(x, activation, skip)
    high = max(2.0 * len(x), 2 * low)
    return st.one_of(
        st.just(low),
        st.floats(0, 1).map(lambda u: min(high, low + (high - low) * u**3)),
    )


def decay_between(low: float, high: float, seed: int) -> float:
    """Seven weight decays in turn, from the lower end, exactly, to the upper."""
    return low + (high - low) * (0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0)[seed % 7]


def two_sided_rows(x: FloatArray, activation: Activation) -> dict[str, list[tuple[FloatArray, float]]]:
    """The constraints ``|row @ z - centre| <= beta`` of the dual, by family, from the definition of a neuron.

    A neuron of unit weights at t has value f(x) and summed derivative c, so the dual asks |z.f - c| <= beta
    for every place and both readings of the derivative at the kink.
    """
    families: dict[str, list[tuple[FloatArray, float]]] = {"right": [], "left": []}
    for t in x:
        for facing, family in ((1.0, "right"), (-1.0, "left")):
            u = facing * (x - t)
            for at_zero in (True, False):
                on = (u > 0) | ((u == 0) & at_zero)
                value = np.maximum(u, 0.0) if activation == "relu" else np.abs(u)
                slope = on.astype(float) if activation == "relu" else np.where(on, 1.0, -1.0)
                families[family].append((value, float(facing * slope.sum())))
    return families


def slow_violation(x: FloatArray, z: FloatArray, beta: float, activation: Activation, skip: bool) -> float:
    """The violation of the dual constraints, row by row."""
    found = [0.0, abs(float(np.sum(z))) * float(np.ptp(x))]
    for rows in two_sided_rows(x, activation).values():
        found += [abs(float(row @ z) - centre) - beta for row, centre in rows]
    if skip:
        found.append(abs(float(z @ (x - np.mean(x))) - len(x)))
    return max(found)


def kink_networks(
    rng: np.random.Generator, activation: Activation, positions: FloatArray, *, exact: bool
) -> KinkNetwork:
    """A random network with kinks at some of the positions; ``exact`` weights have exact square roots."""
    m = int(rng.integers(0, 9))
    weights = rng.choice([-16.0, -4.0, -1.0, -0.25, 0.25, 1.0, 4.0, 16.0], m) if exact else rng.normal(size=m)
    return KinkNetwork(
        rng.choice(positions, m),
        rng.choice([-1.0, 1.0], m),
        weights,
        rng.random(m) < 0.5,
        origin=float(rng.choice(positions)),
        constant=float(rng.integers(-3, 4)),
        slope=float(rng.integers(-3, 4)),
        activation=activation,
    )


def random_network(
    rng: np.random.Generator, activation: Activation, d: int = 1, m: int = 6
) -> TwoLayerNetwork:
    """A network whose parameters are all standard normal."""
    return TwoLayerNetwork(
        rng.normal(size=(m, d)),
        rng.normal(size=m),
        rng.normal(size=(d, m)),
        rng.normal(size=d),
        rng.normal(size=(d, d)),
        activation,
    )


def sampled_patterns(
    X: FloatArray, rng: np.random.Generator, activation: Activation = "relu", draws: int = 2000
) -> tuple[FloatArray, FloatArray]:
    """Patterns of random directions, each once, with a direction for each: most of the chambers."""
    directions = rng.normal(size=(draws, X.shape[1]))
    signs, first = np.unique((X @ directions.T >= 0).T, axis=0, return_index=True)
    patterns = signs.astype(float) if activation == "relu" else np.where(signs, 1.0, -1.0)
    return patterns, directions[first]


LINES = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
# Three lines of the plane, data on both sides of each.
SIX = np.vstack([LINES, -LINES])


def constrained(seed: int) -> FloatArray:
    """Duplicated, parallel, opposite, collinear, zero and integer rows: data that cannot be fitted freely."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(4, 2))
    return (
        np.repeat(base, 2, axis=0),
        np.vstack([base, 4.0 * base[:2]]),
        np.vstack([base, -2.0 * base]),
        np.outer(rng.normal(size=6), [1.0, 2.0]),
        np.vstack([base, np.zeros((1, 2))]),
        rng.integers(-1, 2, size=(9, 2)).astype(float),
        rng.integers(-1, 2, size=(9, 3)).astype(float),
        SIX * rng.exponential(size=(6, 1)),
    )[seed % 8]


def unbiased_network(rng: np.random.Generator, activation: Activation, d: int = 3) -> TwoLayerNetwork:
    net = random_network(rng, activation, d=d, m=9)
    return TwoLayerNetwork(net.W1, np.zeros(9), net.W2, np.zeros(d), np.zeros((d, d)), activation)


def polished(tube: Tube, start: Beam, offset: float) -> Beam:
    """The beam at the end of the walk that begins at another."""
    *_, (spline, values, _) = descend(first_spline(tube, start, offset), offset)
    return spline.beam(values)
