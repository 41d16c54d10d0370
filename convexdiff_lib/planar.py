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
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ._spectral_barrier import Blocks, follow_path
from ._validation import Activation, FloatArray, as_activation, as_matrix, as_weight_decay
from .certificates import Certificate, NotCertifiedError
from .networks import TwoLayerNetwork
from .objectives import denoising_loss

__all__ = ["PlanarScore", "certify_planar_denoising", "largest_response", "planar_denoising"]

_GAP = 1e-10  # relative gap at which a problem with finitely many directions is solved
_VIOLATION = 1e-9  # relative excess of a response that the last round may leave
_ROUNDS = 60  # of column generation, at most
_NEGLIGIBLE = 1e-9  # a neuron below this share of the largest one is left out


@dataclass(frozen=True)
class PlanarScore:
    """An optimal network without biases in the plane, with its certificate.  Calling it evaluates the score.

    Parameters
    ----------
    Q : array of shape (n, c)
        Dual variable: the targets minus the fitted values.
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
    unit, size = _size(points), _size(labels)
    arcs = _arcs(points / unit, kind)
    goal, share = labels / size, decay / (unit * size)
    largest, angles = arcs.worst(goal)
    none = np.zeros((0, 2))
    if largest.max() <= share * (1 + 1e-12):  # at the threshold itself rounding decides
        return _judged(points, labels, decay, _neurons(none, none, kind), labels, kind)
    for _ in range(_ROUNDS):
        Q, weights = _solve_with(arcs, angles, goal, share)
        needed = np.linalg.norm(weights, axis=1) > _NEGLIGIBLE * np.linalg.norm(weights, axis=1).max()
        largest, peaks = arcs.worst(Q)
        violating = largest > share * (1 + _VIOLATION)
        first = np.column_stack([np.cos(angles), np.sin(angles)])
        if not violating.any():
            break
        angles = np.concatenate([angles[needed], peaks[violating]])
    network = _neurons(first[needed], weights[needed] * (size / unit), kind)
    fit = _judged(points, labels, decay, network, Q * size, kind)
    if not fit.certificate.holds:
        raise NotCertifiedError(f"planar denoising, beta = {decay:.6g}: {fit.certificate}")
    return fit


def _solve_with(arcs: _Arcs, angles: FloatArray, L: FloatArray, beta: float) -> tuple[FloatArray, FloatArray]:
    """Solve with finitely many directions: a group Lasso.  Returns Q, and second-layer weights (m, c)."""
    features = arcs.X @ np.stack([np.cos(angles), np.sin(angles)])
    features = np.maximum(features, 0.0) if arcs.activation == "relu" else np.abs(features)
    blocks = Blocks(np.ones((len(L), 1)), features.T, np.zeros(len(angles)))
    try:
        Q, W = follow_path(blocks, L, beta, np.zeros_like(L), _GAP)
    except np.linalg.LinAlgError as error:
        raise NotCertifiedError(f"planar denoising lost to rounding: {error}") from error
    return Q, W[:, 0, :]


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
    points, dual_point = _plane(X, Q, "Q")
    return float(_arcs(points, as_activation(activation)).worst(dual_point)[0].max())


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
    relative gap <= 1e-12, infeasibility <= 1e-12
    """
    points, labels = _plane(X, targets)
    _, dual_point = _plane(X, Q, "Q")
    decay, kind = as_weight_decay(beta), as_activation(activation)
    if network.activation != kind or network.b1.any() or network.b2.any() or network.V.any():
        raise ValueError(f"network must have activation {kind!r}, no biases and no skip connection")
    largest = float(_arcs(points, kind).worst(dual_point)[0].max())
    if largest > decay:
        dual_point = dual_point * (decay / largest)
    primal = denoising_loss(network, points, labels, decay)
    dual = float(np.sum(dual_point * labels) - 0.5 * np.sum(dual_point**2))
    return Certificate(primal, dual, 0.0, max(abs(primal), abs(dual)))


def _plane(X: ArrayLike, other: ArrayLike, name: str = "targets") -> tuple[FloatArray, FloatArray]:
    points, rows = as_matrix(X, "X"), as_matrix(other, name)
    if points.shape[1] != 2:
        raise ValueError(f"X must have shape (n, 2), points of the plane; got {points.shape}")
    if rows.shape != points.shape:
        raise ValueError(f"{name} must have the shape of X, {points.shape}; got {rows.shape}")
    return points, rows


def _size(rows: FloatArray) -> float:
    """Root-mean-square length of the rows; 1 where all are zero."""
    largest = float(np.abs(rows).max())
    return largest * float(np.sqrt(np.mean((rows / largest) ** 2) * rows.shape[1])) if largest > 0 else 1.0


@dataclass(frozen=True)
class _Arcs:
    """Points (n, 2), signs or indicators (P, n), and where the arcs start and end, in radians."""

    X: FloatArray
    activation: Activation
    signs: FloatArray
    starts: FloatArray
    ends: FloatArray

    def worst(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest |M^T u| over the unit vectors u of every arc, and the angle of u."""
        M = Blocks(self.X, self.signs, np.zeros(len(self.signs))).linear(Q)
        squares = M @ M.transpose(0, 2, 1)
        mean = 0.5 * (squares[:, 0, 0] + squares[:, 1, 1])
        cosine, sine = 0.5 * (squares[:, 0, 0] - squares[:, 1, 1]), squares[:, 0, 1]
        middle, half = 0.5 * (self.starts + self.ends), 0.5 * (self.ends - self.starts)
        peak = 0.5 * np.arctan2(sine, cosine)
        # The peak, modulo pi, as an offset from the middle of the arc; then the nearest point of the arc.
        offset = np.clip(np.mod(peak - middle + np.pi / 2, np.pi) - np.pi / 2, -half, half)
        angle = middle + offset
        height = mean + cosine * np.cos(2 * angle) + sine * np.sin(2 * angle)
        return np.sqrt(np.maximum(height, 0.0)), angle


def _arcs(points: FloatArray, activation: Activation) -> _Arcs:
    """Cut the circle at the directions orthogonal to the points; a pattern is that of its arc's middle."""
    real = points[np.any(points != 0, axis=1)]
    # Arcs of no width, between directions that differ by rounding, do no harm: the response is continuous.
    normals = np.unique(np.mod(np.arctan2(real[:, 0], -real[:, 1]), np.pi)) if len(real) else np.zeros(1)
    cuts = np.concatenate([normals, normals + np.pi])
    if activation == "abs":  # u and -u are one neuron
        cuts = cuts[: len(cuts) // 2 + 1]
        starts, ends = cuts[:-1], cuts[1:]
    else:
        starts, ends = cuts, np.append(cuts[1:], cuts[0] + 2 * np.pi)
    middle = 0.5 * (starts + ends)
    on = points @ np.stack([np.cos(middle), np.sin(middle)]) > 0
    signs = on.astype(np.float64).T if activation == "relu" else np.where(on, 1.0, -1.0).T
    return _Arcs(points, activation, signs, starts, ends)


def _neurons(W1: FloatArray, W2: FloatArray, activation: Activation) -> TwoLayerNetwork:
    """Return the network with both layers of one length in every neuron."""
    share = np.sqrt(np.linalg.norm(W2, axis=1) / np.linalg.norm(W1, axis=1))[:, None]
    m = len(W1)
    return TwoLayerNetwork(W1 * share, np.zeros(m), (W2 / share).T, np.zeros(2), np.zeros((2, 2)), activation)


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
