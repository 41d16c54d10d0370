r"""The wedge kernel: denoising with weight decay as a group Lasso (Theorem 13, Appendix H.2.1).

Training a two-layer ReLU network without skip connection,

.. math:: p^* = \min_{u_j, \alpha_j} \Big\| \sum_j (Xu_j)_+ \alpha_j^\top - L \Big\|_F^2
          + \lambda \sum_j \big(\|u_j\|_p^2 + \|\alpha_j\|_p^2\big),

display (32) of the paper, asks for directions u.  Candidates are orthogonal to d - 1 rows of the data: they
are generalised cross products, and with every candidate its opposite.  For p = 1 the standard basis vectors
count as rows, too; for p = 2 vectors orthogonal to all data do, where the data do not span.  With these
directions, scaled to :math:`\|u\|_p = 1`, the program

.. math:: \min_Z \|KZ - L\|_F^2 + 2\lambda \sum_j \|Z_j\|_p, \qquad K_{ij} = (x_i^\top u_j)_+

is exact for p = 1, because a linear function on a chamber of the unit ball is largest at a corner.  For p = 2
it is an upper bound; more directions, found one by one where the dual is violated, make it exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_data, as_flag, as_matrix, as_memory_limit, as_positive
from ..certificates import Certificate, NotCertifiedError
from ..networks import TwoLayerNetwork
from ._weak_duality import weak_duality
from .directions import check_dimensions, completed, orthogonal_to_rows, peaks
from .group_lasso import as_norm, bounds, close_features, responses, solve_group_lasso
from .problem import SpaceProblem

__all__ = ["WedgeProblem", "WedgeScore", "certify_wedge", "wedge_denoising", "wedge_problem"]

_ROUNDS = 60
_NEWCOMERS = 60
_VIOLATION = 1e-9  # relative excess of a response that the last round may leave
_CLOSED = 3e-9  # relative gap at which the rounds stop, below that of a certificate


@dataclass(frozen=True, eq=False)
class WedgeProblem(SpaceProblem):
    """The problem of display (32); see `wedge_problem`.

    Parameters
    ----------
    points, targets, beta : as in `SpaceProblem`
        With beta as the weight decay lambda.
    p : {1, 2}
    bias, penalise_bias : bool

    Examples
    --------
    >>> wedge_problem([[3.0, 4.0]], [[0.0, 2.0]], 1.0, bias=True).rows.tolist()
    [[3.0, 4.0, 1.0]]
    """

    p: int
    bias: bool
    penalise_bias: bool

    @property
    def free(self) -> bool:
        """Whether there are biases that cost nothing, so that the output has a free constant."""
        return self.bias and not self.penalise_bias

    @cached_property
    def rows(self) -> FloatArray:
        """The points, with a constant 1 for the biases."""
        return np.column_stack([self.points, np.ones(len(self.points))]) if self.bias else self.points

    @cached_property
    def centred(self) -> FloatArray:
        """The targets, less their mean where the output has a free constant."""
        return self.labels - self.labels.mean(axis=0) if self.free else self.labels

    def activations(self, u: FloatArray) -> FloatArray:
        """Return the values at the points of neurons with directions u, as columns."""
        return np.maximum(self.rows @ u.T, 0.0)

    def features(self, u: FloatArray) -> FloatArray:
        """Return these, less their mean where the output has a free constant."""
        K = self.activations(u)
        return K - K.mean(axis=0) if self.free else K

    def wedges(self, memory_limit: float = np.inf) -> FloatArray:
        """Return the wedge directions, for p = 2 those in the span of the rows."""
        basis = self.p == 1
        rows = self.rows if basis else completed(self.rows, self.free)
        return orthogonal_to_rows(rows, self.p, basis=basis, free=self.free, memory_limit=memory_limit)

    def peaks(self, Q: FloatArray) -> FloatArray:
        """Return directions among which one has the largest response of all."""
        if self.p == 1:
            return self.wedges()
        check_dimensions(self.rows.shape[1] - self.free)
        return peaks(self.rows, Q, self.free)

    def constant(self, u: FloatArray, Z: FloatArray) -> FloatArray:
        """Return the best constant to add to the output; zero unless it is free."""
        if not self.free:
            return np.zeros(self.labels.shape[1])
        return np.asarray((self.labels - self.activations(u) @ Z).mean(axis=0))


def wedge_problem(
    X: ArrayLike,
    targets: ArrayLike,
    lam: float,
    *,
    p: int = 2,
    bias: bool = False,
    penalise_bias: bool = True,
) -> WedgeProblem:
    """Check what was given; arguments as in `wedge_denoising`.

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> wedge_problem([[3.0, 4.0]], [[0.0, 2.0]], 1.0).features(np.array([[1.0, 0.0]])).tolist()
    [[3.0]]
    """
    points, labels = as_data(X), as_data(targets, "targets", smallest=0.0)
    lam, p = as_positive(lam, "lam"), as_norm(p)
    as_flag(bias, "bias")
    as_flag(penalise_bias, "penalise_bias")
    if labels.shape != points.shape:
        raise ValueError(f"targets must have the shape of X, {points.shape}; got {labels.shape}")
    return WedgeProblem(points, labels, lam, p, bias, penalise_bias)


@result
class WedgeScore:
    r"""A network trained by the wedge program, with its certificate.  Calling it evaluates the score.

    Parameters
    ----------
    directions : array of shape (k, D)
        The directions u that are used, of p-norm one; D = d, or d + 1 with biases.
    Z : array of shape (k, d)
        Their coefficients.
    constant : array of shape (d,)
        What is added to the output; zero unless biases are free.
    Q : array of shape (n, d)
        Dual variable: the targets minus the fitted values.
    lam : float
    p : int
    certificate : Certificate
        Its values are those of display (32), without the factor one half.  Where ``exact`` is true the lower
        bound holds for every network; else it holds for the program with the wedge directions only.
    exact : bool

    Examples
    --------
    >>> fit = wedge_denoising([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], 0.1, p=1)
    >>> fit.certificate.holds, fit.exact, fit([[3.0, 0.0]]).shape
    (True, True, (1, 2))
    """

    directions: FloatArray
    Z: FloatArray
    constant: FloatArray
    Q: FloatArray
    lam: float
    p: int
    certificate: Certificate
    exact: bool
    _network: TwoLayerNetwork = field(repr=False)

    @property
    def value(self) -> float:
        """The loss (32) of the network."""
        return self.certificate.primal

    def network(self) -> TwoLayerNetwork:
        """Return the network of display (34); both layers of every neuron have one p-norm."""
        return self._network

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at points of shape (n, d)."""
        return self._network(x)


def wedge_denoising(
    X: ArrayLike,
    targets: ArrayLike,
    lam: float,
    *,
    p: int = 2,
    bias: bool = False,
    penalise_bias: bool = True,
    exact: bool = False,
    memory_limit: float = 2e9,
) -> WedgeScore:
    r"""Train a two-layer ReLU network on noisy data by the wedge program.

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data.
    targets : array of shape (n, d)
        For denoising minus the noise over its level.
    lam : float
        Weight decay of display (32), on the squared p-norms of both layers; no factor one half anywhere.
    p : {1, 2}
        For p = 1 the optimum is that of (32).  For p = 2 it is an upper bound, unless ``exact``; the lower
        bound of its certificate is then one for networks of wedge directions only.
    bias : bool
        Whether neurons have biases: a constant 1 is appended to the data.
    penalise_bias : bool
        Whether the bias counts as a weight in the norm.  If it does not, a neuron without weights is a
        constant that costs nothing, so the output has a free constant.
    exact : bool
        For p = 2: go on adding directions until no neuron at all violates the dual.  In up to three
        dimensions, the one of a bias that is penalised included.
    memory_limit : float
        Bytes that the kernel may need.

    Returns
    -------
    WedgeScore

    Raises
    ------
    ValueError
        If an argument is malformed, the kernel needs more memory than the limit, or an exact answer for p = 2
        is asked for in four or more dimensions.
    NotCertifiedError
        If the answer does not pass its certificate.

    Examples
    --------
    >>> X, L = np.random.default_rng(0).normal(size=(2, 12, 2))
    >>> upper = wedge_denoising(X, L, 0.5)
    >>> best = wedge_denoising(X, L, 0.5, exact=True)
    >>> bool(best.value <= upper.value + 1e-9), best.certificate.holds
    (True, True)
    """
    problem = wedge_problem(X, targets, lam, p=p, bias=bias, penalise_bias=penalise_bias)
    return _trained(problem, as_flag(exact, "exact"), as_memory_limit(memory_limit))


def _trained(problem: WedgeProblem, exact: bool, memory_limit: float) -> WedgeScore:
    """Go all the way: problem, directions, coefficients and dual variable, certificate, score."""
    p, lam = problem.p, problem.beta
    if exact and p == 2:
        check_dimensions(problem.rows.shape[1] - problem.free)
    u, Z, Q = _solved(problem, problem.wedges(memory_limit))
    if exact and p == 2:
        u, Z, Q = _all_directions(problem, u, Z, Q)
    constant = problem.constant(u, Z)
    network = _network(u, Z, constant, problem.bias, p)
    sure = exact or p == 1
    certificate = _certificate(problem, network, Q, sure)
    found = WedgeScore(u, Z, constant, Q, lam, p, certificate, sure, network)
    if not certificate.holds:
        raise NotCertifiedError(f"wedge program, p = {p}, lam = {lam:g}: {certificate}", found)
    return found


def _solved(problem: WedgeProblem, directions: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the directions that are used, their coefficients, and Q."""
    goal = problem.centred
    if not len(directions):
        return directions, np.zeros((0, goal.shape[1])), goal
    fit = solve_group_lasso(problem.features(directions), goal, problem.beta, p=problem.p, tolerance=5e-9)
    return directions[fit.features], fit.Z, fit.Q


def _all_directions(
    problem: WedgeProblem, u: FloatArray, Z: FloatArray, Q: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Add the directions that violate the dual of the 2-norm most, solve again, and repeat until none does.

    The directions close in on each other, so the inner problems go to an interior point that does not mind,
    mostly: now and then it loses a round to rounding.  So the best of both sides is kept.
    """
    goal, lam, features = problem.centred, problem.beta, problem.features
    primal, dual, least = np.inf, -np.inf, np.inf  # ``least`` is the gap when directions were last left out
    best = u, Z, Q
    for _ in range(_ROUNDS):
        found = problem.peaks(Q)
        response = responses(features(found), Q, 2)
        largest = float(response.max(initial=0.0))
        now = bounds(features(u) @ Z - goal, Z, Q, goal, largest, lam, 2)
        if now.primal < primal:
            primal, best = now.primal, (u, Z, best[2])
        if now.dual > dual:
            dual, best = now.dual, (*best[:2], Q * min(1.0, lam / largest) if largest > 0 else Q)
        outside = np.flatnonzero(response > lam * (1 + _VIOLATION))
        if primal - dual <= _CLOSED * max(abs(primal), abs(dual)) or not len(outside):
            break
        outside = outside[np.argsort(-response[outside])][:_NEWCOMERS]
        # Directions left out without progress may come back, and the rounds go in a circle.
        if primal - dual < least:
            least, used = primal - dual, Z.any(axis=1)
            u = u[used]
        u = np.vstack([u, found[outside]])
        Z, Q = close_features(features(u), goal, lam)
    u, Z, Q = best
    used = Z.any(axis=1)
    return u[used], Z[used], Q


def _network(u: FloatArray, Z: FloatArray, constant: FloatArray, bias: bool, p: int) -> TwoLayerNetwork:
    """Share every coefficient between the layers, so that both have one p-norm."""
    share = np.sqrt(np.linalg.norm(Z, ord=p, axis=1))[:, None]
    first, second = u * share, (Z / share).T
    d = Z.shape[1]
    b1 = first[:, -1] if bias else np.zeros(len(u))
    return TwoLayerNetwork(first[:, :d], b1, second, constant, np.zeros((d, d)))


def certify_wedge(
    X: ArrayLike,
    targets: ArrayLike,
    network: TwoLayerNetwork,
    Q: ArrayLike,
    lam: float,
    *,
    p: int = 2,
    bias: bool = False,
    penalise_bias: bool = True,
    exact: bool = True,
) -> Certificate:
    r"""Certify a network for display (32) from the data alone.

    Weak duality: the loss of every network is at least :math:`2\langle Q, L\rangle - \|Q\|_F^2` if no
    direction of p-norm one has a response :math:`\|Q^\top (Xu)_+\|_{p^*}` above :math:`\lambda`; any Q is
    first shrunk until it is so.  With ``exact`` false only the wedge directions are looked at, and the bound
    is one for them.

    Parameters
    ----------
    X, targets : arrays of shape (n, d)
    network : TwoLayerNetwork
        Primal candidate.
    Q : array of shape (n, d)
        Dual candidate.
    lam, p, bias, penalise_bias : as in `wedge_denoising`
    exact : bool

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values.

    Raises
    ------
    ValueError
        If an argument is malformed, the network is not of the class that is certified, or an exact
        certificate for p = 2 is asked for in four or more dimensions.

    Examples
    --------
    One point (1, 0) with target (1, 0): one neuron along the point, of weights r and r, costs
    :math:`(r^2 - 1)^2 + 2 \lambda r^2`.

    >>> half = np.array([[np.sqrt(0.5), 0.0]])
    >>> net = TwoLayerNetwork(half, np.zeros(1), half.T, np.zeros(2), np.zeros((2, 2)))
    >>> print(certify_wedge([[1, 0]], [[1, 0]], net, [[0.5, 0]], lam=0.5))
    certificate holds: primal 0.75, dual 0.75
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    problem = wedge_problem(X, targets, lam, p=p, bias=bias, penalise_bias=penalise_bias)
    return _certificate(problem, network, as_matrix(Q, "Q"), as_flag(exact, "exact"))


def _certificate(problem: WedgeProblem, network: TwoLayerNetwork, Q: FloatArray, exact: bool) -> Certificate:
    """Certify a network, for all directions or for the wedge directions only."""
    points, labels, p, free = problem.points, problem.labels, problem.p, problem.free
    if Q.shape != points.shape:
        raise ValueError(f"Q must have the shape of X, {points.shape}; got {Q.shape}")
    biased = (network.b1.any() and not problem.bias) or (network.b2.any() and not free)
    if network.activation != "relu" or network.V.any() or biased:
        raise ValueError(
            "network must be a ReLU network without skip connection, with the biases of its class"
        )
    Q = Q - Q.mean(axis=0) if free else Q
    directions = problem.peaks(Q) if exact else problem.wedges()
    largest = float(responses(problem.activations(directions), Q, p).max(initial=0.0))
    first = np.column_stack([network.W1, network.b1]) if problem.bias and not free else network.W1
    sizes = [np.sum(np.linalg.norm(layer, ord=p, axis=1) ** 2) for layer in (first, network.W2.T)]
    scores = network(points)
    primal = float(np.sum((scores - labels) ** 2) + problem.beta * sum(sizes))
    half = weak_duality(problem, scores, primal / 2, Q, largest)  # (32) is twice the usual loss
    return replace(half, primal=primal, dual=2 * half.dual, scale=2 * half.scale)
