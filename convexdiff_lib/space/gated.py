r"""The gated network with weight decay in any dimension: a convex program, its dual and its certificate.

Let X hold the data as rows, and let the diagonal matrices :math:`D_1, \dots, D_P` be activation patterns.  A
gated network has the patterns fixed beforehand, and its weight decay is a sum of nuclear norms:

.. math:: p_g = \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2
          + \tau \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) + \beta \sum_i \|W_i\|_* .

Denoising has targets L and :math:`\tau = 0`; score matching has :math:`L = 0` and :math:`\tau = 1`.  With
:math:`\beta = 0` these are the programs of Theorems 3 and 9 of the paper.  The dual is

.. math:: \max_Q \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \quad \text{s.t. }
          \| X^\top D_i Q - \tau\, \mathrm{tr}(D_i)\, I \|_2 \le \beta \text{ for all } i ,

and at the optimum the fitted values are :math:`\sum_i D_i X W_i = L - Q`.

A neuron :math:`\alpha\, (u^\top x)_+` with u in the cone of pattern i is the block
:math:`W_i = u \alpha^\top`, whose nuclear norm :math:`\|u\| \|\alpha\|` is the weight decay of the neuron.
So :math:`p_g` is a lower bound on the loss of every ReLU network without biases, and on no account more:
the blocks of an optimal gated network need not factor into neurons inside their cones at the same price.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_patterned, as_points, as_targets, as_weight_decay
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate, NotCertifiedError, score_error_in_space
from ._spectral_barrier import Blocks, follow_path, root_mean_square, row_lengths, smallest_radius

__all__ = [
    "CriticalWeightDecay",
    "GatedScore",
    "certify_gated",
    "critical_weight_decay",
    "gated_denoising",
    "gated_score_matching",
]

_GAP = 1e-10  # relative gap at which the solver stops: a hundredth of what the certificate forgives
_NEGLIGIBLE = 1e-8  # singular values of a block below this share of the largest one are left out
_CRITICAL_AIM = (
    1e-9  # relative distance of the two bounds on the critical weight decay where the solver stops
)
_CRITICAL_GAP = 1e-6  # distance of the two bounds on the critical weight decay, relative to it


@result
class GatedScore:
    r"""An optimal gated network, with its certificate.

    Parameters
    ----------
    W : array of shape (P, d, c)
        The blocks; c = d, unless the targets have another number of columns.
    Q : array of shape (n, c)
        Dual variable: the targets (zero for score matching) minus the fitted values.
    fitted : array of shape (n, c)
        The values of the network at the data, :math:`\sum_i D_i X W_i`.
    beta : float
    value : float
        The optimal value, recomputed from W.
    certificate : Certificate

    Examples
    --------
    >>> one = gated_denoising([[1.0, 0.0]], [[3.0, 0.0]], [[True], [False]], beta=1.0)
    >>> one.fitted.round(6).tolist(), one.n_active
    ([[2.0, 0.0]], 1)
    """

    W: FloatArray
    Q: FloatArray
    fitted: FloatArray
    beta: float
    value: float
    certificate: Certificate

    @property
    def n_active(self) -> int:
        """Number of patterns with a block that is not zero."""
        return int(np.any(self.W != 0, axis=(1, 2)).sum())


@result
class CriticalWeightDecay:
    r"""The weight decay from which score matching by a gated network is bounded below, with its proof.

    Parameters
    ----------
    value : float
        :math:`\max_i \|X^\top D_i Q - \mathrm{tr}(D_i) I\|_2`: an upper bound, because Q is feasible there.
    lower : float
        :math:`-\sum_i \mathrm{tr}(D_i)\,\mathrm{tr}(W_i)`: a lower bound, because
        :math:`\sum_i D_i X W_i = 0` and :math:`\sum_i \|W_i\|_* = 1`.  Below it, the loss of :math:`s W`
        falls without bound in s.
    Q : array of shape (n, d)
    W : array of shape (P, d, d)

    Examples
    --------
    >>> critical = critical_weight_decay([[3.0, 4.0]], [[True], [False]])
    >>> round(critical.value, 6), round(critical.lower, 6)
    (1.0, 1.0)
    """

    value: float
    lower: float
    Q: FloatArray
    W: FloatArray


def gated_denoising(X: ArrayLike, targets: ArrayLike, patterns: ArrayLike, beta: float) -> GatedScore:
    r"""Train a gated network on noisy data to certified global optimality.

    .. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2 + \beta \sum_i \|W_i\|_*

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data.
    targets : array of shape (n, c)
        L; c = d in denoising, but any number of columns will do.
    patterns : array of shape (P, n)
        Truth values (ReLU), or signs -1 and 1 (absolute value).
    beta : float
        Weight decay, positive.

    Returns
    -------
    GatedScore

    Raises
    ------
    ValueError
        If an argument is malformed.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance.

    Examples
    --------
    Two points on different sides, one pattern for each: every row is shrunk by itself.

    >>> X, L = [[1.0, 0.0], [-1.0, 0.0]], [[3.0, 0.0], [0.0, 0.5]]
    >>> fit = gated_denoising(X, L, [[True, False], [False, True]], beta=1.0)
    >>> fit.fitted.round(6).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    >>> round(fit.value, 6), fit.certificate.holds
    (2.625, True)
    """
    data, signs = as_patterned(X, patterns)
    labels = as_targets(targets, len(data))
    decay = as_weight_decay(beta)
    # In units in which the data and the targets are of order one.
    unit, size = root_mean_square(data), root_mean_square(labels)
    blocks = Blocks(data / unit, signs, _no_shifts(signs, data, labels.shape[1]))
    zero = np.zeros_like(labels)
    Q, W = _solve(blocks, labels / size, decay / (unit * size), zero)
    fit = _judged(data, labels, signs, W * (size / unit), Q * size, decay)
    if not fit.certificate.holds:
        raise NotCertifiedError(f"gated denoising, beta = {decay:.6g}: {fit.certificate}")
    return fit


def gated_score_matching(X: ArrayLike, patterns: ArrayLike, beta: float) -> GatedScore:
    r"""Train a gated network by score matching to certified global optimality.

    .. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i \Big\|_F^2
              + \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) + \beta \sum_i \|W_i\|_*

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
        Truth values (ReLU), or signs -1 and 1 (absolute value).
    beta : float
        Weight decay, above the critical one.

    Returns
    -------
    GatedScore

    Raises
    ------
    ValueError
        If an argument is malformed, or beta is below the critical weight decay, where the loss has no lower
        bound.
    NotCertifiedError
        If rounding kept the duality gap above its tolerance.  So it can be close to the critical weight
        decay, where the blocks grow without bound, and for data that nearly lie on one line.

    Examples
    --------
    One point at distance 5 with beta = 1.5.  The two patterns ask for ``|x q' - I| <= 1.5`` and ``0 <= 1.5``,
    and q = 0 is feasible: the network is zero.

    >>> gated_score_matching([[3.0, 4.0]], [[True], [False]], beta=1.5).n_active
    0
    """
    data, signs = as_patterned(X, patterns)
    decay = as_weight_decay(beta)
    unit = root_mean_square(data)
    d = data.shape[1]
    blocks = Blocks(data / unit, signs, _trace_shifts(signs, d))
    none = np.zeros((len(data), d))
    if blocks.norms(none).max() <= decay:
        return _judged(data, None, signs, np.zeros((len(signs), d, d)), none, decay)
    critical = critical_weight_decay(data, signs)
    if decay <= critical.value:
        raise ValueError(
            f"beta must be above {critical.value:.6g}, the critical weight decay of these data and patterns; "
            f"got {decay:.6g}. Below, the loss has no lower bound"
        )
    Q, W = _solve(blocks, none, decay, critical.Q * unit)
    fit = _judged(data, None, signs, W / unit**2, Q / unit, decay)
    if not fit.certificate.holds:
        raise NotCertifiedError(
            f"gated score matching, beta = {decay:.6g}, critical {critical.value:.6g}: {fit.certificate}"
        )
    return fit


def critical_weight_decay(X: ArrayLike, patterns: ArrayLike) -> CriticalWeightDecay:
    r"""Return the smallest weight decay at which gated score matching is bounded below.

    .. math:: \beta_c = \min_Q \max_i \|X^\top D_i Q - \mathrm{tr}(D_i) I\|_2
              = \max_W \Big\{ -\sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) :
                \sum_i D_i X W_i = 0,\; \sum_i \|W_i\|_* \le 1 \Big\}

    It does not depend on the scale of the data.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
        Truth values (ReLU), or signs -1 and 1 (absolute value).

    Returns
    -------
    CriticalWeightDecay

    Raises
    ------
    ValueError
        If an argument is malformed.
    NotCertifiedError
        If the two bounds are more than a millionth apart.

    Examples
    --------
    Two points at right angles.  Each pattern alone allows 1; together they ask for more:

    >>> patterns = [[True, True], [True, False], [False, True], [False, False]]
    >>> critical = critical_weight_decay([[1.0, 0.0], [0.0, 1.0]], patterns)
    >>> round(critical.value, 6)
    1.0
    """
    data, signs = as_patterned(X, patterns)
    lengths = row_lengths(data)  # row k of Q may take the length of row k of X
    blocks = Blocks(data / lengths, signs, _trace_shifts(signs, data.shape[1]))
    Q, W, lower = smallest_radius(blocks, _CRITICAL_AIM)
    Q = Q / lengths
    upper = float(Blocks(data, signs, blocks.shifts).norms(Q).max())
    most = float(np.abs(blocks.shifts).max())
    if upper - lower > _CRITICAL_GAP * max(upper, 1e-3 * most):
        raise NotCertifiedError(
            f"critical weight decay only known to lie between {lower:.9g} and {upper:.9g}"
        )
    return CriticalWeightDecay(upper, lower, Q, W)


def certify_gated(
    X: ArrayLike, targets: ArrayLike | None, patterns: ArrayLike, W: ArrayLike, Q: ArrayLike, beta: float
) -> Certificate:
    r"""Certify an optimal gated network from the data alone.

    Weak duality: for all blocks W, and every Q with
    :math:`\|X^\top D_i Q - \tau\,\mathrm{tr}(D_i) I\|_2 \le \beta` for all i, the loss of W is at least
    :math:`\langle Q, L\rangle - \tfrac12\|Q\|_F^2`.  In denoising the constraints form a symmetric set around
    zero, and Q is first shrunk into it: the lower bound then needs no trust in Q at all.

    Parameters
    ----------
    X : array of shape (n, d)
    targets : array of shape (n, c), or None
        None for score matching.
    patterns : array of shape (P, n)
    W : array of shape (P, d, c)
        Primal candidate.
    Q : array of shape (n, c)
        Dual candidate.
    beta : float

    Returns
    -------
    Certificate
        The gap of denoising is compared with the larger of the two values; that of score matching also with
        the loss :math:`-n^2d^2/(2\|X\|_F^2)` of the best score that is a multiple of x.

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> X, L, patterns = [[1.0, 0.0]], [[3.0, 0.0]], [[True], [False]]
    >>> W = [[[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    >>> print(certify_gated(X, L, patterns, W, [[1.0, 0.0]], beta=1.0))
    certificate holds: primal 2.5, dual 2.5
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    data, signs = as_patterned(X, patterns)
    n, d = data.shape
    decay = as_weight_decay(beta)
    matching = targets is None
    labels = np.zeros((n, d)) if targets is None else as_targets(targets, n)
    c = labels.shape[1]
    weights, dual_point = as_points(W, "W"), as_points(Q, "Q")
    for name, given, shape in (("W", weights, (len(signs), d, c)), ("Q", dual_point, (n, c))):
        if given.shape != shape:
            raise ValueError(f"{name} must have shape {shape}; got {given.shape}")
    blocks = Blocks(data, signs, _trace_shifts(signs, d) if matching else _no_shifts(signs, data, c))
    largest = float(blocks.norms(dual_point).max())
    if not matching and largest > decay:
        dual_point = dual_point * (decay / largest)
    fitted, nuclear = blocks.fitted(weights), _nuclear(weights)
    primal = float(0.5 * np.sum((fitted - labels) ** 2) + np.sum(blocks.shifts * weights) + decay * nuclear)
    dual = float(np.sum(dual_point * labels) - 0.5 * np.sum(dual_point**2))
    scale = max(abs(primal), abs(dual))
    if matching and data.any():
        scale = max(scale, (n * d) ** 2 / (2 * float(np.sum(data**2))))
    outside = max(0.0, largest - decay) if matching else 0.0
    slack = abs(primal - dual) + outside * nuclear
    return Certificate(
        primal,
        dual,
        outside / n,
        scale,
        score_error=score_error_in_space(data, fitted, slack, None if matching else labels),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _trace_shifts(signs: FloatArray, d: int) -> FloatArray:
    """Return tr(D_i) I for every pattern."""
    return np.asarray(signs.sum(axis=1)[:, None, None] * np.eye(d))


def _no_shifts(signs: FloatArray, data: FloatArray, c: int) -> FloatArray:
    return np.zeros((len(signs), data.shape[1], c))


def _nuclear(W: FloatArray) -> float:
    return float(np.linalg.svd(W, compute_uv=False).sum())


def _solve(blocks: Blocks, L: FloatArray, beta: float, inside: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Solve the dual; return Q, feasible, and the blocks."""
    if blocks.norms(L).max() <= beta * (1 + 1e-12):  # at the threshold itself rounding decides
        return L, np.zeros((len(blocks.signs), blocks.X.shape[1], L.shape[1]))
    try:
        Q, W = follow_path(blocks, L, beta, inside, _GAP)
    except np.linalg.LinAlgError as error:
        raise NotCertifiedError(f"gated network lost to rounding: {error}") from error
    excess = float(blocks.norms(Q).max()) - beta
    if excess > 0:  # what is left outside by rounding: the norms are convex on the way inside
        room = beta - float(blocks.norms(inside).max())
        Q = Q + excess / (excess + room) * (inside - Q)
    return Q, W


def _judged(
    data: FloatArray,
    labels: FloatArray | None,
    signs: FloatArray,
    W: FloatArray,
    Q: FloatArray,
    beta: float,
) -> GatedScore:
    """Attach the certificate: to the tidy blocks if it holds for them."""
    certificate = certify_gated(data, labels, signs, tidy := _tidy(W), Q, beta)
    if certificate.holds:
        W = tidy
    else:
        certificate = certify_gated(data, labels, signs, W, Q, beta)
    fitted = Blocks(data, signs, np.zeros_like(W)).fitted(W)
    return GatedScore(W, Q, fitted, beta, certificate.primal, certificate)


def _tidy(W: FloatArray) -> FloatArray:
    """Leave out negligible singular values: an interior point has traces of every block."""
    left, singular, right = np.linalg.svd(W, full_matrices=False)
    singular = np.where(singular > _NEGLIGIBLE * singular.max(initial=0.0), singular, 0.0)
    return np.asarray((left * singular[:, None, :]) @ right)
