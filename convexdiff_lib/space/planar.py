r"""Networks in the plane and in space, trained with weight decay to certified global optimality.

.. math:: p^* = \inf \tfrac12 \sum_k \| s(x_k) - \ell_k \|^2
          + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big)

for the networks

.. math:: s(x) = \sum_j \alpha_j\, \sigma(u_j^\top x) .

The dual asks that no neuron is worth adding,

.. math:: \max_Q \; & \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \\
          \text{s.t. } & \| Q^\top \sigma(Xu) \| \le \beta \|u\| \text{ for all } u .

Score matching has no targets and an additional term, the sum of the slopes.  A neuron then has the response
:math:`\|Q^\top \sigma(Xu) - c(u)\, u\|`, where c(u) sums the slopes of the activation at the data.  Below
some critical weight decay the loss has no lower bound.

With penalised biases a point x becomes (x, 1), and the plane becomes space.  With free ones a neuron may be
taken to have its kink at a data point, and the directions of all lines through the points are what there is.

The way of all: a `PlanarProblem` is what was given, checked; the hyperplanes orthogonal to the data cut the
directions into chambers, on each of which the neuron that violates its constraint most is known exactly; so
column generation and Newton's method find neurons and Q, with which the problem and nothing else yields a
certificate, and both together are a `PlanarScore`.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import Activation, FloatArray, as_data
from ..certificates import Certificate
from ..networks import TwoLayerNetwork
from ._blocks import row_lengths
from ._columns import CRITICAL_AIM, LeastResponse, least_response, solve_by_columns
from ._few_neurons import Candidate
from ._scaled import Scaled
from ._tightened import tightened
from .planar_certificates import certify_planar
from .problem import PlanarProblem, planar_problem

__all__ = ["PlanarScore", "planar_critical_weight_decay", "planar_denoising", "planar_score_matching"]

# A neuron of score matching on the boundary of its chamber is turned inwards by the first of these angles
# with which a network of doubles has its pattern: a few roundings, or more where they are not enough.
_NUDGES = (4e-16, 4e-15, 4e-14, 1e-12)


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
    X: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    bias: bool = False,
    penalise_bias: bool = True,
) -> PlanarScore:
    r"""Train a network on noisy points of the plane, or of space, to certified global optimality.

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy points, with d = 2 or 3; with biases d = 2.
    targets : array of shape (n, d)
    beta : float
        Weight decay, positive.
    activation : {"relu", "abs"}
    bias : bool
        Whether neurons have biases.
    penalise_bias : bool
        Whether weight decay sees them.  If it does not, the output has a free constant, too.

    Returns
    -------
    PlanarScore

    Raises
    ------
    ValueError
        If an argument is malformed, or the points have too many dimensions.
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
    return _trained(
        planar_problem(X, beta, targets=labels, activation=activation, bias=bias, penalise_bias=penalise_bias)
    )


def planar_score_matching(
    X: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    bias: bool = False,
    penalise_bias: bool = True,
) -> PlanarScore:
    r"""Train a network by score matching in the plane, or in space, to certified global optimality.

    .. math:: \inf \sum_k \Big[ \tfrac12 \|s(x_k)\|^2 + \mathrm{tr}\,\nabla s(x_k) \Big]
              + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big)

    The score must be differentiable at the data: no neuron is orthogonal to a point.  The slope of a neuron
    jumps there, so that the optimum is an infimum; the network returned has its neurons a rounding error
    inside their chambers, and its loss equals the infimum but for rounding.

    Parameters
    ----------
    X : array of shape (n, d)
        With d = 2 or 3; with biases d = 2.
    beta : float
        Weight decay, above the critical one.
    activation : {"relu", "abs"}
    bias : bool
        Whether neurons have biases.
    penalise_bias : bool
        Whether weight decay sees them.  If it does not, the output has a free constant, too.

    Returns
    -------
    PlanarScore

    Raises
    ------
    ValueError
        If an argument is malformed, the points have too many dimensions, or the loss has no lower bound.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance, or so large that the score may be wrong at a
        point that adds little to the loss.  Its attribute ``found`` has the score, and how large the gap is.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(10, 2))
    >>> fit = planar_score_matching(X, beta=4.0)
    >>> fit.certificate.holds
    True
    """
    return _trained(planar_problem(X, beta, activation=activation, bias=bias, penalise_bias=penalise_bias))


def planar_critical_weight_decay(
    X: ArrayLike, *, activation: Activation = "relu", bias: bool = False, penalise_bias: bool = True
) -> tuple[float, float]:
    r"""Return two bounds on the weight decay from which score matching is bounded below.

    .. math:: \beta_c = \min_Q \max_{\|u\| = 1} \|Q^\top D X u - \mathrm{tr}(D)\, u\|

    The upper bound comes with a Q that attains it.  The lower one comes with neurons whose values cancel and
    whose slopes do not: below it, multiples of these have a loss that falls without bound.

    Parameters
    ----------
    X : array of shape (n, d)
        With d = 2 or 3; with biases d = 2.
    activation : {"relu", "abs"}
    bias, penalise_bias : bool

    Returns
    -------
    lower, upper : float

    Raises
    ------
    ValueError
        If X is malformed or the points have too many dimensions.
    NotCertifiedError
        If the bounds are more than a millionth apart.

    Examples
    --------
    >>> lower, upper = planar_critical_weight_decay([[3.0, 4.0]])
    >>> round(lower, 5), round(upper, 5)
    (1.0, 1.0)
    """
    problem = planar_problem(
        X, 1.0, activation=activation, bias=bias, penalise_bias=penalise_bias
    )  # whatever the weight decay
    return _least_response(problem).bounds()


def _trained(problem: PlanarProblem) -> PlanarScore:
    """Go all the way: problem, neurons and dual variable, certificate, score."""
    scaled = problem.scaled()
    solution = solve_by_columns(scaled)
    if solution is None:
        raise _unbounded(problem)
    _, Q = problem.restored(solution.weights, tightened(solution))
    network = _rounded(problem, scaled, solution)
    certificate = certify_planar(problem, network, Q)
    found = PlanarScore(Q, problem.beta, certificate.primal, certificate, network)
    if certificate.holds:
        return found
    raise problem.refusal("planar", f"{certificate}{_where_doubles_end(problem)}", found=found)


def _rounded(problem: PlanarProblem, scaled: Scaled, solution: Candidate) -> TwoLayerNetwork:
    """Return the network in doubles, in score matching with neurons barely inside their chambers."""
    neurons, wanted = solution.neurons, solution.neurons.signs > 0
    network = problem.network(scaled.of_length_one(neurons.directions), solution.weights)
    if problem.targets is not None:
        return network
    directions, astray = neurons.directions.copy(), np.ones(len(neurons), dtype=bool)
    for turn in np.array(_NUDGES) * problem.coarseness:
        directions[astray] = neurons.part(astray).inwards(scaled.X, turn)
        network = problem.network(scaled.of_length_one(directions), solution.weights)
        astray = np.any(wanted != (problem.points @ network.W1.T + network.b1 >= 0).T, axis=1)
        if not astray.any():
            break
    return network


def _where_doubles_end(problem: PlanarProblem) -> str:
    """Say what of the data may be why, and what helps."""
    if not problem.frame.turned:
        return ""
    return (
        f"\nSeen from 0 the points lie nearly in one line, {problem.frame.flat:.0e} of its length wide, "
        "which neurons without biases can hardly tell apart: centre the points, or take bias=True and "
        "penalise_bias=False, which does so"
    )


def _unbounded(problem: PlanarProblem) -> Exception:
    """Return what to raise where the solver finds no lower bound of the loss: the critical weight decay."""
    least = _least_response(problem)
    if least.upper >= problem.beta:
        return problem.unbounded(least.upper, "points")
    near = problem.beta < 1.1 * least.upper
    where = f", so close to the critical weight decay, {least.upper:.9g}" if near else ""
    return problem.refusal("planar", f"no optimum was found{where}{_where_doubles_end(problem)}")


def _least_response(problem: PlanarProblem) -> LeastResponse:
    """Without biases row k of the dual variable may take the length of point k: that makes all rows alike."""
    units = problem.unit if problem.bias else row_lengths(problem.rows)
    return least_response(problem.scaled(units), CRITICAL_AIM)
