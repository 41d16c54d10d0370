r"""Networks without biases in the plane, trained with weight decay to certified global optimality.

.. math:: p^* = \inf \tfrac12 \sum_k \| s(x_k) - \ell_k \|^2
          + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big),
          \qquad s(x) = \sum_j \alpha_j\, \sigma(u_j^\top x), \quad x \in \mathbb{R}^2 .

The dual asks that no neuron is worth adding,

.. math:: \max_Q \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \quad \text{s.t. }
          \| Q^\top \sigma(Xu) \| \le \beta \|u\| \text{ for all } u .

The circle of directions is cut into arcs by the lines orthogonal to the data.  On one arc the left side is
:math:`\|M^\top u\|` with :math:`M = X^\top D Q`, and its square is a constant plus a cosine of twice the
angle: the largest value is a closed form.  So the worst violated constraint of every arc is known exactly,
and the problem is solved by column generation: solve with finitely many directions, add the worst direction
of every arc that violates its constraint, and repeat until none does.  Around a direction that is needed the
new ones close in like a bisection, and the violation falls like the square of their distance.

Score matching has no targets and an additional term, the sum of the slopes.  A neuron then has the response
:math:`\|Q^\top \sigma(Xu) - c(u)\, u\|`, where c(u) sums the slopes of the activation at the data.  It jumps
at the ends of an arc, and below some critical weight decay the loss has no lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._results import result
from .._validation import Activation, FloatArray, as_activation, as_data, as_matrix, as_weight_decay
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate, NotCertifiedError, score_error_in_space
from ..networks import TwoLayerNetwork
from ..objectives import denoising_loss, score_matching_loss
from ._spectral_barrier import Blocks, follow_path, root_mean_square, row_lengths, smallest_radius

__all__ = [
    "PlanarScore",
    "certify_planar_denoising",
    "certify_planar_score_matching",
    "largest_response",
    "planar_critical_weight_decay",
    "planar_denoising",
    "planar_score_matching",
    "response_peaks",
]

_GAP = 1e-10  # relative gap at which a problem with finitely many neurons is solved, if rounding allows it
_VIOLATION = 1e-9  # excess of a response that the last round may leave, relative to the room inside
_ROUNDS = 60  # of column generation, at most
_SAME = 1e-12  # directions closer than this are one: rounding of an angle is 1e-16
_ROUNDING = 1e-14  # of a product of a point and a unit vector, relative to the point
# A neuron at the end of its arc is turned inwards by such an angle, for its pattern to count: a few
# roundings, or more where they are not enough.
_NUDGES = (4e-15, 1e-12)
_INSIDE = 1e-3  # relative precision of the critical weight decay where only a feasible point is wanted
_CRITICAL_AIM = 1e-7  # the same where it is asked for
_CRITICAL_GAP = 1e-6  # and where it is not believed any more
_PROGRESS = 1e-9  # relative fall of the dual value that counts as one
_NEGLIGIBLE = 1e-9  # a neuron below this share of the largest one is not kept for the next round
_TINY = 1e-13  # nor, after the last round, one below this share
_OPPOSITE = (
    "\nThe optimum has neurons orthogonal to points on both sides of a line through the origin. All of these "
    "points count as active there, but rounded weights are off the line, and activate one of the sides only"
)
_DUST = (1e-6, 1e-9, 0.0)  # nor in the network one below the first of these shares that still is certified


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
    points, labels = _plane(X, targets)
    decay, kind = as_weight_decay(beta), as_activation(activation)
    unit, size = root_mean_square(points), root_mean_square(labels)
    arcs = _arcs(points / unit, kind)
    goal, share = labels / size, decay / (unit * size)
    largest, angles = arcs.worst(goal)
    none = np.zeros((0, 2))
    if largest.max() <= share * (1 + 1e-12):  # at the threshold itself rounding decides
        return _judged(points, labels, decay, _neurons(none, none, kind), labels, kind)
    chosen = np.arange(len(angles))
    Q, weights, chosen, angles = _columns(arcs, goal, share, np.zeros_like(goal), chosen, angles)
    first = np.column_stack([np.cos(angles), np.sin(angles)])
    network = _neurons(first, weights * (size / unit), kind)
    fit = _tidiest(network, lambda net: _judged(points, labels, decay, net, Q * size, kind))
    if not fit.certificate.holds:
        raise NotCertifiedError(f"planar denoising, beta = {decay:.6g}: {fit.certificate}")
    return fit


def planar_score_matching(X: ArrayLike, beta: float, *, activation: Activation = "relu") -> PlanarScore:
    r"""Train a network without biases by score matching in the plane to certified global optimality.

    .. math:: \inf \sum_k \Big[ \tfrac12 \|s(x_k)\|^2 + \mathrm{tr}\,\nabla s(x_k) \Big]
              + \tfrac{\beta}{2} \sum_j \big( \|u_j\|^2 + \|\alpha_j\|^2 \big)

    On an arc with pattern D a unit neuron has the response :math:`\|Q^\top D X u - \mathrm{tr}(D)\, u\|`,
    again the root of a constant plus a cosine.  The slope of a neuron jumps at the ends of its arc, so that
    the optimum is an infimum; the network returned has its neurons a rounding error inside.  Where points lie
    on both sides of a line through the origin, a neuron orthogonal to it has all of them active, and none
    beside it has; if the optimum has such a neuron, rounded weights cannot express it.

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
    points, _ = _plane(X, X, "X")
    decay, kind = as_weight_decay(beta), as_activation(activation)
    unit, lengths = root_mean_square(points), row_lengths(points)
    arcs = _arcs(points / unit, kind, slopes=True)
    none = np.zeros_like(points)
    largest, angles = arcs.worst(none)
    if largest.max() <= decay * (1 + 1e-12):
        return _matched(points, decay, _neurons(none[:0], none[:0], kind), none, kind)
    # Row k of Q may take the length of point k.
    normed = replace(arcs, X=points / lengths)
    inside, chosen, angles, bounds = _critical(normed, _INSIDE, decay)
    if normed.worst(inside)[0].max() >= decay:  # too close to the critical one to be told apart so roughly
        inside, chosen, angles, bounds = _critical(normed, _CRITICAL_AIM, 0.0)
    inside = inside * (unit / lengths)
    room = decay - float(arcs.worst(inside)[0].max())
    if room <= 0:
        upper = _believed(bounds)[1]
        raise ValueError(
            f"beta must be above {upper:.6g}, the critical weight decay of these points; "
            f"got {decay:.6g}. Below, the loss has no lower bound"
        )
    Q, weights, chosen, angles = _columns(arcs, none, decay, inside, chosen, angles)
    excess = float(arcs.worst(Q)[0].max()) - decay
    if excess > 0:  # what the last round left outside: responses are convex on the way inside
        Q = Q + excess / (excess + room) * (inside - Q)
    starts, ends = arcs.starts[chosen], arcs.ends[chosen]
    for nudge in _NUDGES:
        shift = np.minimum(nudge, (ends - starts) / 4)
        turned = np.clip(angles, starts + shift, ends - shift)
        network = _neurons(np.column_stack([np.cos(turned), np.sin(turned)]), weights / unit**2, kind)
        fit = _tidiest(network, lambda net: _matched(points, decay, net, Q / unit, kind))
        if fit.certificate.holds:
            break
    if not fit.certificate.holds:
        raise NotCertifiedError(
            f"planar score matching, beta = {decay:.6g}, critical {bounds[1]:.6g}: {fit.certificate}"
            + (_OPPOSITE if (starts == ends).any() else "")
        )
    return fit


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
    points, _ = _plane(X, X, "X")
    # Row k of Q may take the length of point k.
    arcs = _arcs(points / row_lengths(points), as_activation(activation), slopes=True)
    return _believed(_critical(arcs, _CRITICAL_AIM, 0.0)[3])


def _believed(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the bounds on the critical weight decay, if they are close."""
    lower, upper = bounds
    if upper - lower > _CRITICAL_GAP * upper:
        raise NotCertifiedError(
            f"critical weight decay only known to lie between {lower:.9g} and {upper:.9g}"
        )
    return bounds


def _critical(
    arcs: _Arcs, gap: float, enough: float
) -> tuple[FloatArray, NDArray[np.intp], FloatArray, tuple[float, float]]:
    """Return Q with the least response, by columns, the columns, and both bounds on that response.

    Stops early once the lower bound has reached ``enough``.
    """
    largest, _ = arcs.worst(np.zeros_like(arcs.X))
    best, upper, lower = np.zeros_like(arcs.X), float(largest.max()), 0.0
    # The ends of all arcs to begin with: there the slopes jump.
    chosen, angles = np.tile(np.arange(len(largest)), 2), np.concatenate([arcs.starts, arcs.ends])
    for _ in range(_ROUNDS):
        atoms = arcs.atoms(chosen, angles)
        Q, _, bound = smallest_radius(atoms, 0.1 * gap)
        lower = max(lower, bound)
        largest, peaks = arcs.worst(Q)
        if largest.max() < upper:
            best, upper = Q, float(largest.max())
        if upper - lower <= gap * upper or lower >= enough > 0:
            break
        # The least response is attained by many Q.  A column left out because this one does not need it may
        # come back while the bound stands still, and the rounds go in a circle: so all of them stay.
        outside = np.flatnonzero(largest > lower)
        chosen, angles = np.concatenate([chosen, outside]), np.concatenate([angles, peaks[outside]])
    return best, chosen, angles, (lower, upper)


def _columns(
    arcs: _Arcs,
    L: FloatArray,
    beta: float,
    inside: FloatArray,
    chosen: NDArray[np.intp],
    angles: FloatArray,
) -> tuple[FloatArray, FloatArray, NDArray[np.intp], FloatArray]:
    """Solve by column generation from given neurons: their arcs and angles.

    Returns Q, and the second-layer weights, arcs and angles of the neurons of the solution.
    """
    room = beta - float(arcs.worst(inside)[0].max())
    limit = beta + max(_VIOLATION * room, 2e-12 * beta)  # pulling Q inside costs in proportion to 1 / room
    least = np.inf  # dual value when neurons were last left out
    for _ in range(_ROUNDS):
        Q, W = _solve_atoms(arcs.atoms(chosen, angles), L, beta, inside)
        cost = np.linalg.norm(W, axis=(1, 2))
        largest, peaks = arcs.worst(Q)
        violating = np.flatnonzero(largest > limit)
        if not len(violating):
            kept = cost > _TINY * cost.max()
            return Q, W[kept, 0], chosen[kept], angles[kept]
        # A neuron left out without progress may come back, and the rounds go in a circle.
        value = float(np.sum(Q * L) - 0.5 * np.sum(Q**2))
        if value < least - _PROGRESS * abs(value):
            least, needed = value, cost > _NEGLIGIBLE * cost.max()
            chosen, angles = chosen[needed], angles[needed]
        chosen = np.concatenate([chosen, violating])
        angles = np.concatenate([angles, peaks[violating]])
    excess = float(largest.max()) / beta - 1
    raise NotCertifiedError(f"{_ROUNDS} rounds of columns left a response {excess:.1e} above beta")


def _solve_atoms(
    atoms: Blocks, L: FloatArray, beta: float, inside: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve with finitely many neurons, as precisely as rounding allows."""
    try:
        return follow_path(atoms, L, beta, inside, _GAP)
    except np.linalg.LinAlgError as error:
        raise NotCertifiedError(f"planar problem lost to rounding: {error}") from error


def largest_response(X: ArrayLike, Q: ArrayLike, *, activation: Activation = "relu") -> float:
    r"""Return the largest :math:`\|Q^\top \sigma(Xu)\|` over all unit vectors u of the plane.

    On an arc :math:`\|M^\top u\|^2` is a constant plus a cosine of twice the angle: its maximum is at the
    peak of the cosine, if that lies on the arc, or at an end.

    Parameters
    ----------
    X : array of shape (n, 2)
    Q : array of shape (n, c)
    activation : {"relu", "abs"}

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> largest_response([[3.0, 4.0]], [[0.0, 2.0]])
    10.0
    """
    return float(response_peaks(X, Q, activation=activation)[0].max())


def response_peaks(
    X: ArrayLike, Q: ArrayLike, *, activation: Activation = "relu"
) -> tuple[FloatArray, FloatArray]:
    r"""Return the largest :math:`\|Q^\top \sigma(Xu)\|` on every arc of unit vectors u, and where it is.

    Parameters
    ----------
    X : array of shape (n, 2)
    Q : array of shape (n, c)
    activation : {"relu", "abs"}

    Returns
    -------
    largest : array of shape (P,)
    directions : array of shape (P, 2)

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> largest, directions = response_peaks([[3.0, 4.0]], [[2.0]])
    >>> directions[largest.argmax()].round(6).tolist()
    [0.6, 0.8]
    """
    points, dual_point = as_matrix(X, "X"), as_matrix(Q, "Q")
    if points.shape[1] != 2 or len(points) != len(dual_point):
        raise ValueError(
            f"X must have shape (n, 2), and Q as many rows; got {points.shape} and {dual_point.shape}"
        )
    largest, angles = _arcs(points, as_activation(activation)).worst(dual_point)
    return largest, np.column_stack([np.cos(angles), np.sin(angles)])


def certify_planar_denoising(
    X: ArrayLike,
    targets: ArrayLike,
    network: TwoLayerNetwork,
    Q: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
) -> Certificate:
    r"""Certify an optimal network without biases in the plane from the data alone.

    Weak duality: the loss of every network is at least :math:`\langle Q, L\rangle - \tfrac12\|Q\|_F^2` if no
    unit neuron has a response above beta.  Any Q is first shrunk until this is so.

    Parameters
    ----------
    X, targets : arrays of shape (n, 2)
    network : TwoLayerNetwork
        Primal candidate, without biases and skip connection.
    Q : array of shape (n, 2)
        Dual candidate.
    beta : float
    activation : {"relu", "abs"}

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values.

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    >>> import numpy as np
    >>> half = np.array([[np.sqrt(0.5), 0.0]])
    >>> net = TwoLayerNetwork(half, np.zeros(1), half.T, np.zeros(2), np.zeros((2, 2)))
    >>> print(certify_planar_denoising([[1, 0]], [[1, 0]], net, [[0.5, 0]], beta=0.5))
    certificate holds: primal 0.375, dual 0.375
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    points, labels = _plane(X, targets)
    _, dual_point = _plane(X, Q, "Q")
    decay, kind = as_weight_decay(beta), as_activation(activation)
    _check_class(network, kind)
    largest = float(_arcs(points, kind).worst(dual_point)[0].max())
    if largest > decay:
        dual_point = dual_point * (decay / largest)
    primal = denoising_loss(network, points, labels, decay)
    dual = float(np.sum(dual_point * labels) - 0.5 * np.sum(dual_point**2))
    return Certificate(
        primal,
        dual,
        0.0,
        max(abs(primal), abs(dual)),
        score_error=score_error_in_space(points, network(points), abs(primal - dual), labels),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def certify_planar_score_matching(
    X: ArrayLike, network: TwoLayerNetwork, Q: ArrayLike, beta: float, *, activation: Activation = "relu"
) -> Certificate:
    r"""Certify an optimal network of planar score matching from the data alone.

    Weak duality: the loss of every network is at least :math:`-\tfrac12\|Q\|_F^2` if no unit neuron has a
    response :math:`\|Q^\top D X u - \mathrm{tr}(D)\, u\|` above beta, on any arc, its ends included.

    Parameters
    ----------
    X : array of shape (n, 2)
    network : TwoLayerNetwork
        Primal candidate, without biases and skip connection.
    Q : array of shape (n, 2)
        Dual candidate.
    beta : float
    activation : {"relu", "abs"}

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values, and with the loss
        :math:`-2n^2/\|X\|_F^2` of the best score that is a multiple of x.

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    >>> fit = planar_score_matching([[1.0, 0.0], [0.0, 1.0]], beta=1.2)
    >>> certify_planar_score_matching([[1, 0], [0, 1]], fit.network(), fit.Q, beta=1.2).holds
    True
    """
    points, dual_point = _plane(X, Q, "Q")
    decay, kind = as_weight_decay(beta), as_activation(activation)
    _check_class(network, kind)
    largest = float(_arcs(points, kind, slopes=True).worst(dual_point)[0].max())
    n = len(points)
    primal = score_matching_loss(network, points, decay)
    dual = -0.5 * float(np.sum(dual_point**2))
    scale = max(abs(primal), abs(dual))
    if points.any():
        scale = max(scale, 2 * n**2 / float(np.sum(points**2)))
    outside = max(0.0, largest - decay)
    weight = float(np.linalg.norm(network.W1, axis=1) @ np.linalg.norm(network.W2, axis=0))
    return Certificate(
        primal,
        dual,
        outside / n,
        scale,
        score_error=score_error_in_space(points, network(points), abs(primal - dual) + outside * weight),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _check_class(network: TwoLayerNetwork, activation: Activation) -> None:
    """A network of another class proves nothing."""
    if network.activation != activation or network.b1.any() or network.b2.any() or network.V.any():
        raise ValueError(f"network must have activation {activation!r}, no biases and no skip connection")


def _plane(X: ArrayLike, other: ArrayLike, name: str = "targets") -> tuple[FloatArray, FloatArray]:
    points = as_data(X)
    rows = as_data(other, name, smallest=0.0) if name == "targets" else as_matrix(other, name)
    if points.shape[1] != 2:
        raise ValueError(f"X must have shape (n, 2), points of the plane; got {points.shape}")
    if rows.shape != points.shape:
        raise ValueError(f"{name} must have the shape of X, {points.shape}; got {rows.shape}")
    return points, rows


@dataclass(frozen=True, eq=False)
class _Arcs:
    """Points (n, 2), signs or indicators (P, n), traces (P,), and the ends of the arcs, in radians."""

    X: FloatArray
    activation: Activation
    signs: FloatArray
    traces: FloatArray
    starts: FloatArray
    ends: FloatArray

    def worst(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest |M^T u| over the unit vectors u of every arc, and the angle of u."""
        shifts = self.traces[:, None, None] * np.eye(2)
        blocks = Blocks(self.X, self.signs, shifts)
        # Without traces Q may have any number of columns.
        M = blocks.matrices(Q) if self.traces.any() else blocks.linear(Q)
        squares = M @ M.transpose(0, 2, 1)
        cosine, sine = 0.5 * (squares[:, 0, 0] - squares[:, 1, 1]), squares[:, 0, 1]
        middle, half = 0.5 * (self.starts + self.ends), 0.5 * (self.ends - self.starts)
        peak = 0.5 * np.arctan2(sine, cosine)
        # The peak, modulo pi, as an offset from the middle of the arc; then the nearest point of the arc.
        offset = np.clip(np.mod(peak - middle + np.pi / 2, np.pi) - np.pi / 2, -half, half)
        # M itself and not its square says how large |M^T u| is: on a thin arc it may be a small difference of
        # large numbers.  Where that is so, rounding may also choose the wrong end.
        angles = np.stack([middle + offset, self.starts, self.ends])
        u = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        responses = np.linalg.norm(np.einsum("apd,pdc->apc", u, M), axis=2)
        most = responses.argmax(axis=0)[None]
        return np.take_along_axis(responses, most, 0)[0], np.take_along_axis(angles, most, 0)[0]

    def atoms(self, arcs: NDArray[np.intp], angles: FloatArray) -> Blocks:
        """Return the constraints of single unit neurons, each with the pattern of its arc."""
        u = np.stack([np.cos(angles), np.sin(angles)])
        values = (self.X @ u).T
        # At the end of an arc a point is orthogonal to the neuron; rounding is not to be multiplied by Q.
        values[np.abs(values) <= _ROUNDING * np.linalg.norm(self.X, axis=1)] = 0.0
        features = self.signs[arcs] * values
        shifts = self.traces[arcs, None, None] * u.T[:, None, :]
        return Blocks(np.ones((len(self.X), 1)), features, shifts)


def _arcs(points: FloatArray, activation: Activation, *, slopes: bool = False) -> _Arcs:
    """Cut the circle at the directions orthogonal to the points; a pattern is that of its arc's middle.

    With ``slopes`` the traces of the patterns count, with relu'(0) = 1 and sign(0) = 1: rows of zeros are
    active everywhere, and a cut with points on both sides of its line is an arc of its own, of no width, on
    which both count as active.
    """
    real = np.any(points != 0, axis=1)
    normals = np.mod(np.arctan2(points[:, 0], -points[:, 1]), np.pi)
    half = np.unique(normals[real]) if real.any() else np.zeros(1)
    half = half[np.concatenate([[True], np.diff(half) > _SAME])]
    cuts = np.concatenate([half, half + np.pi])
    starts, ends = cuts, np.append(cuts[1:], cuts[0] + 2 * np.pi)
    if activation == "abs" and not slopes:  # u and -u are one neuron
        starts, ends = starts[: len(half)], ends[: len(half)]
    middle = 0.5 * (starts + ends)
    on = (points @ np.stack([np.cos(middle), np.sin(middle)]) > 0).T
    if slopes:
        on |= ~real
        thin = [(cut, row) for cut in cuts for row in _on_both_sides(points, real, normals, cut)]
        starts, ends = (np.concatenate([a, [cut for cut, _ in thin]]) for a in (starts, ends))
        on = np.concatenate([on, np.array([row for _, row in thin], dtype=bool).reshape(-1, len(points))])
    signs = on.astype(np.float64) if activation == "relu" else np.where(on, 1.0, -1.0)
    return _Arcs(
        points, activation, signs, signs.sum(axis=1) if slopes else np.zeros(len(signs)), starts, ends
    )


def _on_both_sides(
    points: FloatArray, real: NDArray[np.bool_], normals: FloatArray, cut: float
) -> list[NDArray[np.bool_]]:
    """Return the pattern on a cut, if points lie on both sides of the line orthogonal to it."""
    apart = np.abs(np.mod(normals - cut + np.pi / 2, np.pi) - np.pi / 2)
    line = real & (apart <= _SAME)
    along = points[line] @ points[np.argmax(line)]
    if not line.any() or (along > 0).all():
        return []
    return [(points @ [np.cos(cut), np.sin(cut)] > 0) | line | ~real]


def _neurons(W1: FloatArray, W2: FloatArray, activation: Activation) -> TwoLayerNetwork:
    """Return the network with both layers of one length in every neuron."""
    share = np.sqrt(np.linalg.norm(W2, axis=1) / np.linalg.norm(W1, axis=1))[:, None]
    m = len(W1)
    return TwoLayerNetwork(W1 * share, np.zeros(m), (W2 / share).T, np.zeros(2), np.zeros((2, 2)), activation)


def _tidiest(network: TwoLayerNetwork, judge: Callable[[TwoLayerNetwork], PlanarScore]) -> PlanarScore:
    """Leave out small neurons, traces of the interior point, as long as the certificate holds."""
    size = np.linalg.norm(network.W1, axis=1) ** 2
    for share in _DUST:
        kept = size > share * size.max()
        part = replace(network, W1=network.W1[kept], b1=network.b1[kept], W2=network.W2[:, kept])
        fit = judge(part)
        if fit.certificate.holds:
            break
    return fit


def _judged(
    points: FloatArray,
    labels: FloatArray,
    beta: float,
    network: TwoLayerNetwork,
    Q: FloatArray,
    activation: Activation,
) -> PlanarScore:
    certificate = certify_planar_denoising(points, labels, network, Q, beta, activation=activation)
    return PlanarScore(Q, beta, certificate.primal, certificate, network)


def _matched(
    points: FloatArray, beta: float, network: TwoLayerNetwork, Q: FloatArray, activation: Activation
) -> PlanarScore:
    certificate = certify_planar_score_matching(points, network, Q, beta, activation=activation)
    return PlanarScore(Q, beta, certificate.primal, certificate, network)
