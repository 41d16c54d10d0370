r"""Networks without biases in the plane, trained with weight decay to certified global optimality.

.. math:: p^* = \inf \tfrac12 \sum_k \| s(x_k) - \ell_k \|^2
          + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big),
          \qquad s(x) = \sum_j \alpha_j\, \sigma(u_j^\top x), \quad x \in \mathbb{R}^2 .

The dual asks that no neuron is worth adding,

.. math:: \max_Q \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \quad \text{s.t. }
          \| Q^\top \sigma(Xu) \| \le \beta \|u\| \text{ for all } u .

Score matching has no targets and an additional term, the sum of the slopes.  A neuron then has the response
:math:`\|Q^\top \sigma(Xu) - c(u)\, u\|`, where c(u) sums the slopes of the activation at the data.  Below
some critical weight decay the loss has no lower bound.

The way of both: a `PlanarProblem` is what was given, checked; the lines orthogonal to the data cut the circle
of directions into `Arcs`, on each of which the neuron that violates its constraint most is known exactly; so
column generation finds neurons and Q, with which the problem and nothing else yields a certificate, and both
together are a `PlanarScore`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import Activation, FloatArray, as_data
from ..certificates import Certificate
from ..networks import TwoLayerNetwork
from ._blocks import row_lengths
from ._columns import CRITICAL_AIM, PlanarSolution, least_response, solve_by_columns
from .planar_certificates import certify_planar
from .problem import PlanarProblem, planar_problem

__all__ = ["PlanarScore", "planar_critical_weight_decay", "planar_denoising", "planar_score_matching"]

# A neuron of score matching at the end of its arc is turned inwards by such an angle, for its pattern to
# count: a few roundings, or more where they are not enough.
_NUDGES = (4e-15, 1e-12)
_DUST = (1e-6, 1e-9, 0.0)  # neurons below the first of these shares that still is certified are left out
_OPPOSITE = (
    "\nThe optimum has neurons orthogonal to points on both sides of a line through the origin. All of these "
    "points count as active there, but rounded weights are off the line, and activate one of the sides only"
)


@result
class PlanarScore:
    """An optimal network without biases in the plane, with its certificate.  Calling it evaluates the score.

    Parameters
    ----------
    Q : array of shape (n, c)
        Dual variable: the targets (zero for score matching) minus the fitted values.
    beta : float
    value : float
        The training loss of the network.
    certificate : Certificate

    Examples
    --------
    >>> fit = planar_denoising([[1.0, 0.0]], [[1.0, 0.0]], beta=0.5)
    >>> round(fit.value, 6), (fit([[2.0, 0.0]]).round(6) + 0.0).tolist()
    (0.375, [[1.0, 0.0]])
    """

    Q: FloatArray
    beta: float
    value: float
    certificate: Certificate
    _network: TwoLayerNetwork = field(repr=False)

    def network(self) -> TwoLayerNetwork:
        """Return the network; its two layers have one length in every neuron."""
        return self._network

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x) at points of shape (n, 2)."""
        return self._network(x)


def planar_denoising(
    X: ArrayLike, targets: ArrayLike, beta: float, *, activation: Activation = "relu"
) -> PlanarScore:
    r"""Train a network without biases on noisy points of the plane to certified global optimality.

    Parameters
    ----------
    X : array of shape (n, 2)
        Noisy points.
    targets : array of shape (n, 2)
    beta : float
        Weight decay, positive.
    activation : {"relu", "abs"}

    Returns
    -------
    PlanarScore

    Raises
    ------
    ValueError
        If an argument is malformed, or the points are not in the plane.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> X, L = np.random.default_rng(0).normal(size=(2, 20, 2))
    >>> fit = planar_denoising(X, L, beta=0.5)
    >>> fit.certificate.holds
    True
    """
    labels = as_data(targets, "targets", smallest=0.0)  # None, too, is refused
    return _trained(planar_problem(X, beta, targets=labels, activation=activation))


def planar_score_matching(X: ArrayLike, beta: float, *, activation: Activation = "relu") -> PlanarScore:
    r"""Train a network without biases by score matching in the plane to certified global optimality.

    .. math:: \inf \sum_k \Big[ \tfrac12 \|s(x_k)\|^2 + \mathrm{tr}\,\nabla s(x_k) \Big]
              + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big)

    The slope of a neuron jumps at the ends of its arc, so that the optimum is an infimum; the network
    returned has its neurons a rounding error inside.  Where points lie on both sides of a line through 0, a
    neuron orthogonal to it has all of them active, and none beside it has; if the optimum has such a neuron,
    rounded weights cannot express it.

    Parameters
    ----------
    X : array of shape (n, 2)
    beta : float
        Weight decay, above the critical one.
    activation : {"relu", "abs"}

    Returns
    -------
    PlanarScore

    Raises
    ------
    ValueError
        If an argument is malformed, the points are not in the plane, or the loss has no lower bound.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance, or so large that the score may be wrong at a
        point that adds little to the loss (lengths of very different orders, nearly parallel rows); or if the
        optimum has neurons exactly orthogonal to points on both sides of a line.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(10, 2))
    >>> fit = planar_score_matching(X, beta=4.0)
    >>> fit.certificate.holds
    True
    """
    return _trained(planar_problem(X, beta, activation=activation))


def planar_critical_weight_decay(X: ArrayLike, *, activation: Activation = "relu") -> tuple[float, float]:
    r"""Return two bounds on the weight decay from which score matching in the plane is bounded below.

    .. math:: \beta_c = \min_Q \max_{\|u\| = 1} \|Q^\top D X u - \mathrm{tr}(D)\, u\|

    The upper bound comes with a Q that attains it.  The lower one comes with neurons whose values cancel and
    whose slopes do not: below it, multiples of these have a loss that falls without bound.

    Parameters
    ----------
    X : array of shape (n, 2)
    activation : {"relu", "abs"}

    Returns
    -------
    lower, upper : float

    Raises
    ------
    ValueError
        If X is malformed or the points are not in the plane.
    NotCertifiedError
        If the bounds are more than a millionth apart.

    Examples
    --------
    >>> lower, upper = planar_critical_weight_decay([[3.0, 4.0]])
    >>> round(lower, 5), round(upper, 5)
    (1.0, 1.0)
    """
    problem = planar_problem(X, 1.0, activation=activation)  # whatever the weight decay
    # Row k of Q may take the length of point k.
    arcs = problem.constraints(row_lengths(problem.points))
    return least_response(arcs, CRITICAL_AIM).bounds()


def _trained(problem: PlanarProblem) -> PlanarScore:
    """Go all the way: problem, neurons and dual variable, certificate, score."""
    solution = solve_by_columns(problem)
    weights, Q = problem.restored(solution.weights, solution.Q)
    for network in _networks(problem, solution, weights):
        certificate = certify_planar(problem, network, Q)
        if certificate.holds:
            return PlanarScore(Q, problem.beta, certificate.primal, certificate, network)
    arcs, used = solution.arcs, solution.neurons.arcs
    opposite = _OPPOSITE if (arcs.starts[used] == arcs.ends[used]).any() else ""
    raise problem.refusal("planar", solution.critical, f"{certificate}{opposite}")


def _networks(
    problem: PlanarProblem, solution: PlanarSolution, second: FloatArray
) -> Iterator[TwoLayerNetwork]:
    """Yield what may pass, the tidiest first: small neurons are traces of the interior point."""
    for nudge in _NUDGES if problem.targets is None else (0.0,):
        first = solution.arcs.weights(solution.neurons, nudge)
        whole = TwoLayerNetwork.without_biases(first, second, problem.activation, balanced=True)
        size = np.linalg.norm(whole.W1, axis=1) ** 2
        for share in _DUST:
            kept = size > share * size.max(initial=0.0)
            yield replace(whole, W1=whole.W1[kept], b1=whole.b1[kept], W2=whole.W2[:, kept])
