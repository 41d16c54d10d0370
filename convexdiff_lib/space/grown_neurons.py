r"""ReLU networks with a free affine map, trained by a convex program for a second layer that grows.

With neurons :math:`u_1, \dots, u_m` of unit length in the space of :math:`\tilde x = (x, 1)` the program

.. math:: \min_{\alpha, V} \tfrac12 \Big\| \sum_j (\tilde X u_j)_+ \alpha_j^\top + \tilde X V - L \Big\|_F^2
          + \beta \sum_j \|\alpha_j\|

is convex, and it is the loss of a two-layer network whose weight decay sees all weights and biases of both
layers but not the affine map.  If the neurons are free, too, a network is optimal exactly if

.. math:: \|Q^\top (\tilde X u)_+\| \le \beta \quad \text{for all unit vectors } u,

where Q is what the fit leaves over.  `grown_denoising` looks for neurons that respond more by climbing from
hyperplanes half-way between points, and adds them.  In many dimensions climbing finds some maximum, perhaps
not the highest.  What is certified is an optimum **among the neurons that were chosen**; the largest response
that was found is a lower bound on the largest there is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._progress import Bar
from .._results import result
from .._validation import FloatArray, as_count, as_generator, as_matrix
from ..certificates import Certificate, NotCertifiedError
from ..networks import TwoLayerNetwork
from ._group_newton import GramProblem, minimise_lengths
from ._skip_rows import SkipProblem, asked_rows, expect_shapes, skip_problem
from .gated_skip import bisecting_gates

__all__ = ["GrownNetwork", "certify_neurons", "grown_denoising", "neurons_denoising"]

_AIM = 1e-9  # relative gap of the last round, a tenth of what the certificate forgives
_ROUGH = 1e-6  # of the other ones
_SEEN = 5000  # rows on which neurons are sought; what they respond is worked out on all of them
_CLIMBS = 12
_FIRST_STEP = 0.2


@result
class GrownNetwork:
    r"""A ReLU network with a free affine map whose second layer is optimal.

    .. math:: s(x) = \tilde x^\top V + \sum_j (u_j^\top \tilde x)_+ \alpha_j

    Parameters
    ----------
    neurons : array of shape (m, d + 1)
        First layer, of unit length, the bias last; those whose second layer is not zero.
    weights : array of shape (m, c)
        Second layer.
    V : array of shape (d + 1, c)
    beta : float
    value : float
        The loss, recomputed from the network.
    largest : float
        Largest response to what the fit leaves over among all neurons that were tried at last; at least beta
        where a neuron is used, but for rounding.
    certificate : Certificate
        With the neurons that were chosen; of others it says nothing.

    Examples
    --------
    >>> fit = neurons_denoising([[-1.0], [0.0], [1.0]], [[1.0], [0.0], [1.0]], [[1.0, 0.0]], 0.01)
    >>> fit([[2.0]]).round(1).tolist(), fit.network.width
    ([[2.0]], 1)
    """

    neurons: FloatArray
    weights: FloatArray
    V: FloatArray
    beta: float
    value: float
    largest: float
    certificate: Certificate

    def _facts(self) -> dict[str, object]:
        return {"width": len(self.neurons), "beta": self.beta, "value": self.value, "largest": self.largest}

    @property
    def network(self) -> TwoLayerNetwork:
        """The same as a network of the paper, both layers of every neuron of one length."""
        root = np.sqrt(np.linalg.norm(self.weights, axis=1, keepdims=True))
        first, second = self.neurons * root, self.weights / root
        return TwoLayerNetwork(first[:, :-1], first[:, -1], second.T, self.V[-1], self.V[:-1].T, "relu")

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x), shape (k, c), for x of shape (k, d)."""
        rows = asked_rows(x, self.neurons.shape[1])
        return np.asarray(np.maximum(rows @ self.neurons.T, 0.0) @ self.weights + rows @ self.V)


def neurons_denoising(X: ArrayLike, targets: ArrayLike, neurons: ArrayLike, beta: float) -> GrownNetwork:
    r"""Train the second layer and the affine map to certified optimality; the first layer stays.

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data.
    targets : array of shape (n, c)
    neurons : array of shape (m, d + 1)
        First layer, the bias last, not zero; only the directions count.
    beta : float
        Weight decay, positive.

    Returns
    -------
    GrownNetwork

    Raises
    ------
    ValueError
        If an argument is malformed, or a neuron is zero.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance.

    Examples
    --------
    >>> X, L = [[-2.0], [-1.0], [1.0], [2.0]], [[2.0], [1.0], [1.0], [2.0]]
    >>> fit = neurons_denoising(X, L, [[1.0, 0.0], [1.0, -5.0]], beta=0.01)
    >>> len(fit.neurons), fit.certificate.holds
    (1, True)
    """
    growing = _Growing(skip_problem(X, targets, beta))
    growing.add(_unit(growing.problem, neurons))
    growing.solve(_AIM)
    return growing.finished(growing.largest)


def grown_denoising(
    X: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    rng: np.random.Generator,
    start: ArrayLike | None = None,
    rounds: int = 5,
    newcomers: int = 80,
    progress: bool = False,
) -> GrownNetwork:
    r"""Train a network by adding the neurons that respond most to what it leaves over.

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data; not all points the same.
    targets : array of shape (n, c)
    beta : float
        Weight decay, positive.
    rng : numpy.random.Generator
        Where the search for neurons begins.
    start : array of shape (m, d + 1), optional
        Neurons to begin with, for instance those of a larger weight decay.
    rounds, newcomers : int
        How often neurons are sought, and how many each time.
    progress : bool
        Whether to show a bar that counts rounds.

    Returns
    -------
    GrownNetwork

    Raises
    ------
    ValueError
        If an argument is malformed.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> L = np.maximum(X[:, :1] + X[:, 1:], 0) - np.maximum(X[:, :1] - 1, 0)
    >>> fit = grown_denoising(X, L, 0.01, rng=rng)
    >>> fit.certificate.holds, bool(fit.value < 0.1)
    (True, True)
    """
    generator = as_generator(rng)
    count, times = as_count(newcomers, "newcomers", minimum=1), as_count(rounds, "rounds")
    growing = _Growing(skip_problem(X, targets, beta))
    if start is not None:
        growing.add(_unit(growing.problem, start, "start"))
        growing.solve(_ROUGH)
    largest = 0.0
    with Bar(progress, "grown_denoising", "round", times) as bar:
        for _ in bar.over(range(times)):
            growing.add(_sought(growing, count, generator))
            growing.solve(_ROUGH)
    growing.solve(_AIM)
    if times:
        _, responses = _responses(growing.problem, _sought(growing, count, generator), growing.rest)
        largest = float(responses.max(initial=0.0))
    return growing.finished(max(largest, growing.largest))


def certify_neurons(
    X: ArrayLike,
    targets: ArrayLike,
    neurons: ArrayLike,
    weights: ArrayLike,
    V: ArrayLike,
    Q: ArrayLike,
    beta: float,
) -> Certificate:
    r"""Certify the second layer of a network with a free affine map from the data alone.

    Q is made orthogonal to all affine maps of the data, then shrunk until none of these neurons responds
    above beta, so that the lower bound needs no trust in it.

    Parameters
    ----------
    X : array of shape (n, d)
    targets : array of shape (n, c)
    neurons : array of shape (m, d + 1)
        Not zero; they are taken with unit length.
    weights : array of shape (m, c)
    V : array of shape (d + 1, c)
    Q : array of shape (n, c)
        Dual candidate; the targets less the fitted values will do.
    beta : float

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If an argument is malformed, or a neuron is zero.

    Examples
    --------
    >>> X, L, zero = [[-1.0], [1.0]], [[1.0], [1.0]], [[0.0], [0.0]]
    >>> certify_neurons(X, L, [[1.0, 0.0]], [[0.0]], [[0.0], [1.0]], zero, beta=1.0).holds
    True
    """
    problem = skip_problem(X, targets, beta)
    first = _unit(problem, neurons)
    given = {"weights": as_matrix(weights, "weights"), "V": as_matrix(V, "V"), "Q": as_matrix(Q, "Q")}
    c = problem.labels.shape[1]
    expect_shapes(given, {"weights": (len(first), c), "V": (first.shape[1], c), "Q": problem.labels.shape})
    return _certificate(problem, first, given["weights"], given["V"], given["Q"])


def _unit(problem: SkipProblem, neurons: ArrayLike, name: str = "neurons") -> FloatArray:
    given = problem.hyperplanes(neurons, name, "m")
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"{name} must not hold a neuron that is zero; number {int(np.argmin(lengths))} is")
    return np.asarray(given / lengths)


class _Growing:
    """A network whose neurons change: what they see of the data, without its affine part, is kept."""

    def __init__(self, problem: SkipProblem) -> None:
        n, c = problem.labels.shape
        self.problem = problem
        self.neurons = np.zeros((0, problem.rows.shape[1]))
        self.aim = problem.without_affine(problem.labels)
        self.rest = self.aim
        self._seen = np.zeros((n, 0))
        self._gram, self._products = np.zeros((0, 0)), np.zeros((0, c))
        self._lengths, self._weights = np.zeros(0), np.zeros((0, c))

    @property
    def largest(self) -> float:
        """Largest response of the neurons at hand."""
        return float(np.linalg.norm(self._seen.T @ self.rest, axis=1).max(initial=0.0))

    def add(self, neurons: FloatArray) -> None:
        """Take in those that respond more than the weight decay; all of the first ones."""
        new, responses = _responses(self.problem, neurons, self.rest)
        if len(self.neurons):
            neurons, new = neurons[responses > self.problem.beta], new[:, responses > self.problem.beta]
        across, among = self._seen.T @ new, new.T @ new
        self._gram = np.block([[self._gram, across], [across.T, among]])
        self._products = np.vstack([self._products, new.T @ self.aim])
        self._seen, self.neurons = np.hstack([self._seen, new]), np.vstack([self.neurons, neurons])
        self._lengths = np.concatenate([self._lengths, np.zeros(len(neurons))])

    def solve(self, aim: float) -> None:
        """Train the second layer, and keep the neurons that it uses."""
        ones = np.ones(len(self.neurons), dtype=np.intp)
        total = float(np.sum(self.aim**2))
        gram = GramProblem(self._gram, self._products, total, ones, self.problem.beta)
        begin = self._lengths if self._lengths.any() else None
        self._weights, self._lengths = minimise_lengths(gram, begin, aim)
        self.rest = self.problem.without_affine(self.aim - self._seen @ self._weights)
        if aim > _AIM:
            self._keep(np.flatnonzero(self._lengths))

    def _keep(self, used: np.ndarray) -> None:
        self.neurons, self._seen = self.neurons[used], self._seen[:, used]
        self._gram, self._products = self._gram[np.ix_(used, used)], self._products[used]
        self._lengths, self._weights = self._lengths[used], self._weights[used]

    def finished(self, largest: float) -> GrownNetwork:
        """Return the network with its certificate, which counts the neurons it does not use, too."""
        problem, weights = self.problem, self._weights
        fitted = np.maximum(problem.rows @ self.neurons.T, 0.0) @ weights
        V = problem.affine(problem.labels - fitted)
        rest = problem.labels - fitted - problem.rows @ V
        certificate = _certificate(problem, self.neurons, weights, V, rest)
        used = np.flatnonzero(weights.any(axis=1))
        found = GrownNetwork(
            self.neurons[used], weights[used], V, problem.beta, certificate.primal, largest, certificate
        )
        if not certificate.holds:
            what = f"{len(weights)} neurons, beta = {problem.beta:.6g}"
            raise NotCertifiedError(f"{what}: {certificate}", found)
        return found


def _responses(problem: SkipProblem, neurons: FloatArray, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What neurons see of the data, without its affine part, and their responses to Q."""
    seen = problem.without_affine(np.maximum(problem.rows @ neurons.T, 0.0))
    return seen, np.asarray(np.linalg.norm(seen.T @ Q, axis=1))


def _sought(growing: _Growing, count: int, rng: np.random.Generator) -> FloatArray:
    """Climb to neurons that respond as much as any around them, on some of the rows."""
    problem, n = growing.problem, len(growing.problem.points)
    some = rng.choice(n, size=min(n, _SEEN), replace=False)
    rows, Q = problem.rows[some], growing.rest[some]
    basis = np.linalg.qr(problem.basis[some])[0]
    Q = Q - basis @ (basis.T @ Q)  # else what affine maps can still do on these rows would be sought
    u = bisecting_gates(problem.points[some], count, rng)
    active, towards, size = _climbing(rows, Q, u)
    step = np.full((count, 1), _FIRST_STEP)
    for _ in range(_CLIMBS):
        slope = (rows.T @ ((Q @ towards) * (active > 0))).T
        slope -= np.sum(slope * u, axis=1, keepdims=True) * u
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
        moved = u + step * slope
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        new_active, new_towards, new_size = _climbing(rows, Q, moved)
        up = new_size > size
        u[up], size[up] = moved[up], new_size[up]
        active[:, up], towards[:, up] = new_active[:, up], new_towards[:, up]
        step = np.where(up[:, None], 1.5, 0.4) * step
    return u


def _climbing(rows: FloatArray, Q: FloatArray, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Activations, the unit vectors of the responses, and the sizes of these."""
    active = np.maximum(rows @ u.T, 0.0)
    response = Q.T @ active
    size = np.linalg.norm(response, axis=0)
    return active, response / np.maximum(size, 1e-300), size


def _certificate(
    problem: SkipProblem, neurons: FloatArray, weights: FloatArray, V: FloatArray, Q: FloatArray
) -> Certificate:
    def seen(rows: FloatArray) -> FloatArray:
        return np.maximum(rows @ neurons.T, 0.0)

    def largest(dual: FloatArray) -> float:
        return float(np.linalg.norm(problem.correlated(seen, len(neurons), dual), axis=1).max(initial=0.0))

    penalty = float(np.linalg.norm(weights, axis=1).sum())
    return problem.certificate(problem.fitted(seen, weights, V), penalty, Q, largest)
