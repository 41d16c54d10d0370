r"""Certificates of any univariate network, recomputed from the data alone.

This module knows no solver.  It is handed a network (the primal candidate) and a vector z (the dual
candidate) and works out, from the data and the statement of the problem only,

* the training loss of the network, display (2) of the paper: an upper bound on the optimum;
* the value :math:`-\tfrac12\|z\|^2` of the dual, a lower bound when z is feasible;
* by how much z violates the constraints of the dual exactly as the paper prints them (display (7) for ReLU,
  (11) and (15) for the absolute value), at every data point and on both sides of it;
* how far the score of the network may be from the optimal one.  The loss is strongly convex in the scores at
  the data, so that :math:`\tfrac12 \sum_i (s(x_i) - s^*(x_i))^2` is at most the gap of the two bounds.

For denoising, display (27), the dual constraints form a symmetric set around zero, so that any z can be moved
into it: `certify_denoising` does that first, and then its lower bound needs no trust in z at all.

Of a score that is given as a spline `convexdiff_lib.line.spline_certificates` sees more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._compiled import compiled, compiled_sum
from .._validation import Activation, FloatArray, as_activation, as_flag, as_sample, as_weight_decay
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate
from .kink_network import KinkNetwork, Lines

__all__ = ["certify_denoising", "certify_score_matching", "dual_violation", "sizes_of_scores"]

_BLOCK = 256  # so many numbers stay close to the processor


def certify_score_matching(
    x: ArrayLike,
    network: KinkNetwork,
    z: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
) -> Certificate:
    r"""Certify a univariate score-matching optimum.

    Weak duality: for every network and every feasible z,

    .. math:: -\tfrac12 \|z\|^2 \le \sum_i \big[\tfrac12 s(x_i)^2 + s'(x_i)\big] + \beta \sum_j |y_j| .

    The optimum with ``inward_tails`` is another one, and comes with its own certificate.

    Parameters
    ----------
    x : array of shape (n,)
        The data, in any order, with or without ties.
    network : KinkNetwork
        Primal candidate.
    z : array of shape (n,)
        Dual candidate, in the order of x.
    beta : float
        Weight decay.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network class has a skip connection, which adds the constraint :math:`z^T x = n`.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    Two points at -1 and 1 with beta = 1.  The optimum is the line -x/2, of loss -1/4:

    >>> import numpy as np
    >>> kinks, facing = np.array([-1.0, 1.0]), np.array([1.0, -1.0])
    >>> weights, beyond = np.array([-0.25, 0.25]), np.array([False, False])
    >>> ends = KinkNetwork(kinks, facing, weights, beyond)
    >>> print(certify_score_matching([-1, 1], ends, [-0.5, 0.5], beta=1.0))
    certificate holds: primal -0.25, dual -0.25
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    points, dual_vector, decay = as_sample(x), _one_each(z, "z", x), as_weight_decay(beta)
    _check_class(network, activation, skip)
    points, dual_vector = _sorted(points, dual_vector)
    return _score_matching_certificate(_Line(points), network, dual_vector, decay, skip=skip)


@dataclass(frozen=True, eq=False)
class _Line:
    """Points in increasing order, and what depends on them only."""

    points: FloatArray

    @cached_property
    def lever(self) -> FloatArray:
        """Distances from the mean."""
        return self.points - self.points.mean()

    @cached_property
    def size_of_gaussian(self) -> float:
        """The size of the loss of the fitted Gaussian, n/(2v) with v the variance; 0 if that is 0."""
        squares = float(self.lever @ self.lever)
        return len(self.points) ** 2 / (2 * squares) if squares > 0 else 0.0


def _score_matching_certificate(
    line: _Line, network: KinkNetwork, z: FloatArray, beta: float, *, skip: bool
) -> Certificate:
    """Do what `certify_score_matching` does, with sorted data, without checking the form of anything."""
    points, relu = line.points, network.activation == "relu"
    squares, derivatives, norm, largest, total, moment = _values(
        points,
        network.lines(),
        network.kinks,
        network.facing,
        network.weights,
        network.beyond,
        float(network.slope),
        relu,
        z,
    )
    primal = 0.5 * squares + derivatives + beta * network.total_weight
    dual = -0.5 * norm
    violation = _violation(line, largest, total, moment, beta, skip)
    scale = max(abs(primal), abs(dual), line.size_of_gaussian)
    slack = abs(primal - dual) + violation * network.total_weight
    return Certificate(
        primal,
        dual,
        violation / len(points),
        scale,
        score_error=_score_error(points, network, slack),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _score_error(
    points: FloatArray, network: KinkNetwork, slack: float, targets: FloatArray | None = None
) -> float:
    """What a gap of the loss says of the score at the knots of a network, see `Certificate`."""
    distance = float(np.sqrt(2 * slack))
    ends = points[[0, -1]]
    knots = np.unique(np.concatenate([ends, np.clip(network.kinks, *ends)]))
    scores = network.on_line(knots)
    if targets is not None:
        mean = targets.mean()
        rounding = 1e-11 * float(np.abs(targets).max())  # as in the scale of the loss
        sizes = np.maximum(np.abs(scores - mean), np.sqrt(np.mean((targets - mean) ** 2)) + rounding)
    else:
        sizes = sizes_of_scores(knots, scores)
    if distance == 0:
        return 0.0
    return float(np.max(distance / sizes)) if (sizes > 0).all() else np.inf


def sizes_of_scores(knots: FloatArray, scores: FloatArray) -> FloatArray:
    """Return with what an error of a score at each knot is compared, see `Certificate`.

    Examples
    --------
    A score of 4, and one of zero, at a distance of 2:

    >>> import numpy as np
    >>> sizes_of_scores(np.array([-1.0, 1.0]), np.array([4.0, 0.0])).tolist()
    [4.0, 0.5]
    """
    if len(knots) < 2:
        return np.abs(scores)
    spans = np.diff(knots)
    longest = np.maximum(np.append(0.0, spans), np.append(spans, 0.0))
    return np.maximum(np.abs(scores), 1 / longest)


@compiled
def _values(
    points: FloatArray,
    lines: Lines,
    kinks: FloatArray,
    facing: FloatArray,
    weights: FloatArray,
    beyond: np.ndarray,
    slope: float,
    relu: bool,
    z: FloatArray,
) -> tuple[float, float, float, float, float, float]:
    """All that the data are needed for: the sums of s^2, s' and z^2, and what `_largest_residual` returns."""
    derivatives = _sum_of_derivatives(points, kinks, facing, weights, beyond, slope, relu)
    largest, total, moment = _largest_residual(points, z, 1.0, relu)
    return _sum_of_squares(points, *lines), derivatives, _norm(z), largest, total, moment


@compiled_sum
def _norm(z: FloatArray) -> float:
    """Sum the squares."""
    total = 0.0
    for i in range(len(z)):
        total += z[i] * z[i]
    return total


@compiled_sum
def _sum_of_squares(
    points: FloatArray, knots: FloatArray, starts: FloatArray, slopes: FloatArray, heights: FloatArray
) -> float:
    """Sum the squares of a piecewise-linear function over sorted points, line by line."""
    total, last = 0.0, 0
    for k in range(len(starts)):
        first = last
        last = _number_below(points, knots[k]) if k < len(knots) else len(points)
        x, part = points[first:last], 0.0
        for i in range(len(x)):
            score = heights[k] + slopes[k] * (x[i] - starts[k])
            part += score * score
        total += part
    return total


@compiled
def _number_below(points: FloatArray, place: float) -> int:
    """Count the sorted points below a place; `np.searchsorted` takes much longer to compile."""
    low, high = 0, len(points)
    while low < high:
        middle = (low + high) // 2
        if points[middle] < place:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _sum_of_derivatives(
    points: FloatArray,
    kinks: FloatArray,
    facing: FloatArray,
    weights: FloatArray,
    beyond: np.ndarray,
    slope: float,
    relu: bool,
) -> float:
    """Sum s' over sorted points, by counting the points at which each neuron acts."""
    n, total = len(points), len(points) * slope
    for j in range(len(kinks)):
        right = facing[j] > 0
        counts_at = beyond[j] == right  # whether what is at the kink comes before it
        before = _number_below(points, np.nextafter(kinks[j], np.inf) if counts_at else kinks[j])
        acts = n - before if right else before
        total += facing[j] * weights[j] * (acts if relu else 2 * acts - n)
    return total


def _check_class(network: KinkNetwork, activation: Activation, skip: bool) -> None:
    """A network of another class proves nothing."""
    as_activation(activation)
    as_flag(skip, "skip")
    if not isinstance(network, KinkNetwork):
        raise TypeError(f"network must be a KinkNetwork; got {type(network).__name__}")
    if network.activation != activation or (network.slope != 0 and not skip):
        raise ValueError(
            f"network must have activation {activation!r} and {'any slope' if skip else 'no slope'}; "
            f"got activation {network.activation!r} and slope {network.slope}"
        )


def dual_violation(
    x: ArrayLike, z: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False
) -> float:
    r"""Return the largest violation of the constraints of the dual, as the paper prints them.

    For ReLU these are, for every data point t, with both readings of the indicator at t,

    .. math:: |z^T (x - t)_+ - \#\{x \ge t\}| \le \beta, \quad |z^T (t - x)_+ + \#\{x \le t\}| \le \beta,
              \quad z^T 1 = 0,

    for the absolute value :math:`|z^T|x-t| - \sum_i \mathrm{sign}(x_i - t)| \le \beta` with
    :math:`\mathrm{sign}(0) = \pm 1`; a skip connection adds :math:`z^T x = n`.

    Parameters
    ----------
    x, z : arrays of shape (n,)
    beta : float
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    float
        Zero when z is feasible; in units of a count of points.

    Examples
    --------
    >>> dual_violation([-1, 1], [-0.5, 0.5], beta=1.0)
    0.0
    >>> dual_violation([-1, 1], [0.0, 0.0], beta=1.0)
    1.0
    """
    points, dual_vector = as_sample(x), _one_each(z, "z", x)
    as_activation(activation)
    as_flag(skip, "skip")
    as_weight_decay(beta)
    points, dual_vector = _sorted(points, dual_vector)
    found = _largest_residual(points, dual_vector, 1.0, activation == "relu")
    return _violation(_Line(points), *found, float(beta), skip)


def _sorted(points: FloatArray, *others: FloatArray) -> tuple[FloatArray, ...]:
    """Sort the points, once for all sums that run along the line, and bring what belongs to them along."""
    if (points[1:] >= points[:-1]).all():
        return points, *others
    order = np.argsort(points, kind="stable")
    return points[order], *(values[order] for values in others)


def _violation(line: _Line, largest: float, total: float, moment: float, beta: float, skip: bool) -> float:
    """Return the violation from what `_largest_residual` returns."""
    points = line.points
    worst = max(largest - beta, abs(total * float(points[-1] - points[0])), 0.0)
    if skip:
        worst = max(worst, abs(moment + float(line.lever[0]) * total - len(points)))
    return worst + 0 * total  # no number, if z is none


def _one_each(values: ArrayLike, name: str, x: ArrayLike) -> FloatArray:
    """Return a vector with one entry per data point."""
    vector = as_sample(values, name)
    if vector.shape != np.shape(x):
        raise ValueError(f"{name} must have one entry per data point; got {vector.shape} for {np.shape(x)}")
    return vector


@compiled
def _largest_residual(
    points: FloatArray, z: FloatArray, count: float, relu: bool
) -> tuple[float, float, float]:
    """Compare z^T (x - t)_+ and z^T (t - x)_+ with what counts on either side, at every data point t.

    The points are sorted, and each counts for ``count``: 1, or 0 in denoising.  With both readings of the
    indicator at t a residual is |r - a| and |r - b|; the larger of the two is the distance of r from the
    middle of a and b plus half their distance.  Tied points are split one by one: what lies between the two
    readings is never larger than both.  The hinges are summed from the right; those that face left follow
    from (t - x)_+ = (x - t)_+ - (x - t).  Returns the largest residual, the sum of z, and z^T (x - x_1).
    """
    n = len(points)
    hinges = np.empty(n)
    total = hinge = 0.0
    for i in range(n):
        j = n - 1 - i
        if i > 0:
            hinge += total * (points[j + 1] - points[j])
        hinges[j] = hinge
        total += z[j]
    largest, block = np.zeros(1), np.empty(_BLOCK)
    most = largest.view(np.int64)
    for start in range(0, n, _BLOCK):
        x, right = points[start : start + _BLOCK], hinges[start : start + _BLOCK]
        residuals = block[: len(x)]
        for i in range(len(x)):
            left = right[i] - (hinge - (x[i] - points[0]) * total)
            above = count * (n - start - i - 0.5)
            below = count * n - above
            if relu:
                residuals[i] = max(abs(right[i] - above), abs(left + below)) + count / 2
            else:
                residuals[i] = abs(left + right[i] - (above - below)) + count
        # What is not negative is ordered as its bits are, and of whole numbers many are compared at once.
        bits = residuals.view(np.int64)
        for i in range(len(bits)):
            most[0] = max(most[0], bits[i])
    return largest[0], total, hinge


def certify_denoising(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    network: KinkNetwork,
    z: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
) -> Certificate:
    r"""Certify a univariate denoising optimum.

    Weak duality: for every network and every z with :math:`z^T 1 = 0`, with :math:`z^T \tilde x = 0` if there
    is a skip connection, and with :math:`|z^T \varphi| \le \beta` for every hinge :math:`\varphi` at a data
    point,

    .. math:: z^T \ell - \tfrac12 \|z\|^2
              \le \sum_i \tfrac12 (s(\tilde x_i) - \ell_i)^2 + \beta \sum_j |y_j| .

    A given z is first made to satisfy the two equations by projection and then shrunk until the hinges are
    satisfied.  The dual value is that of the result, so it is a lower bound whatever z was given.  The
    optimum with ``inward_tails`` is another one, and comes with its own certificate.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
        The perturbed data, in any order, with or without ties, and their targets.
    network, z, beta, activation, skip
        As `certify_score_matching` takes them.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    Two points at -1 and 1 with targets 1 and -1.  With beta = 1 the optimum is the line -x/2, of loss 3/4:

    >>> import numpy as np
    >>> kinks, facing = np.array([-1.0, 1.0]), np.array([1.0, -1.0])
    >>> weights, beyond = np.array([-0.25, 0.25]), np.array([False, False])
    >>> ends = KinkNetwork(kinks, facing, weights, beyond)
    >>> print(certify_denoising([-1, 1], [1, -1], ends, [0.5, -0.5], beta=1.0))
    certificate holds: primal 0.75, dual 0.75
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    points, labels = as_sample(x_noisy, "x_noisy"), _one_each(targets, "targets", x_noisy)
    dual_vector, decay = _one_each(z, "z", x_noisy), as_weight_decay(beta)
    _check_class(network, activation, skip)
    points, labels, dual_vector = _sorted(points, labels, dual_vector)
    return _denoising_certificate(points, labels, network, dual_vector, decay, skip=skip)


def _denoising_certificate(
    points: FloatArray, labels: FloatArray, network: KinkNetwork, z: FloatArray, beta: float, *, skip: bool
) -> Certificate:
    """Do what `certify_denoising` does, with sorted data, without checking the form of anything."""
    feasible, residue = _into_the_tube(points, z, beta, network.activation, skip)
    # Constants do not change z^T l, and without them it keeps its digits when the targets are far from zero.
    apart = labels - labels.mean()
    rest = network.on_line(points) - labels
    primal = float(0.5 * (rest @ rest) + beta * network.total_weight)
    dual = float(feasible @ apart - 0.5 * (feasible @ feasible))
    rounding = len(labels) * (1e-11 * float(np.abs(labels).max())) ** 2
    scale = max(abs(primal), abs(dual), 0.5 * float(apart @ apart), rounding)
    # The sum of n targets of root-mean-square size r has size n r; scale is about n r^2.
    infeasibility = residue / float(np.sqrt(len(labels) * scale)) if scale > 0 else 0.0
    return Certificate(
        primal,
        dual,
        infeasibility,
        scale,
        score_error=_score_error(points, network, abs(primal - dual), labels),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _into_the_tube(
    points: FloatArray, z: FloatArray, beta: float, activation: Activation, skip: bool
) -> tuple[FloatArray, float]:
    """Make z, at sorted points, feasible for the denoising dual; and say what rounding leaves of that."""
    moved = z - z.mean()
    lever = points - points.mean() if skip else np.zeros(0)
    if lever.any():
        moved -= lever * ((lever @ moved) / (lever @ lever))
        moved -= moved.mean()
    steepest, *_ = _largest_residual(points, moved, 0.0, activation == "relu")
    moved *= min(1.0, beta / steepest) if steepest > 0 else 1.0
    equations = [moved.sum()] + ([(lever / np.abs(lever).max()) @ moved] if lever.any() else [])
    return moved, float(np.abs(equations).max())
