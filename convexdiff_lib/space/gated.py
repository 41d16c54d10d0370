r"""The gated network with weight decay in any dimension: a convex program, its dual and its certificate.

Let X hold the data as rows, and let the diagonal matrices :math:`D_1, \dots, D_P` be activation patterns.  A
gated network has the patterns fixed beforehand, and its weight decay is a sum of nuclear norms:

.. math:: p_g = \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2
          + \tau \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) + \beta \sum_i \|W_i\|_* .

Denoising has targets L and :math:`\tau = 0`; score matching has :math:`L = 0` and :math:`\tau = 1`.  With
:math:`\beta = 0` these are the programs of Theorems 3 and 9 of the paper.  The dual is

.. math:: \max_Q \; & \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \\
          \text{s.t. } & \| X^\top D_i Q - \tau\, \mathrm{tr}(D_i)\, I \|_2 \le \beta \text{ for all } i ,

and at the optimum the fitted values are :math:`\sum_i D_i X W_i = L - Q`.

A neuron :math:`\alpha\, (u^\top x)_+` with u in the cone of pattern i is the block
:math:`W_i = u \alpha^\top`, whose nuclear norm :math:`\|u\| \|\alpha\|` is the weight decay of the neuron.
So :math:`p_g` is a lower bound on the loss of every ReLU network without biases, and on no account more:
the blocks of an optimal gated network need not factor into neurons inside their cones at the same price.

The way of both trainings: a `GatedProblem` is what was given, checked, and says what the constraints are; the
barrier of these yields blocks and Q, with which the problem and nothing else yields a certificate, and all of
them together are a `GatedScore`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_data, as_points
from ..certificates import Certificate
from ._blocks import drawn_inside, row_lengths
from ._follow_path import follow_path
from ._smallest_radius import check_close, smallest_radius
from ._weak_duality import weak_duality
from .arrangements import Arrangements
from .problem import GatedProblem, gated_problem

__all__ = [
    "CriticalWeightDecay",
    "GatedScore",
    "certify_gated",
    "critical_weight_decay",
    "gated_denoising",
    "gated_score_matching",
]

Patterns = ArrayLike | Arrangements

_GAP = 1e-10  # relative gap at which the solver stops: a hundredth of what the certificate forgives
_NEGLIGIBLE = 1e-8  # singular values of a block below this share of the largest one are left out
_CRITICAL_AIM = 1e-9  # relative distance of the bounds on the critical weight decay where the solver stops


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


def gated_denoising(X: ArrayLike, targets: ArrayLike, patterns: Patterns, beta: float) -> GatedScore:
    r"""Train a gated network on noisy data to certified global optimality.

    .. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2 + \beta \sum_i \|W_i\|_*

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data.
    targets : array of shape (n, c)
        L; c = d in denoising, but any number of columns will do.
    patterns : array of shape (P, n), or Arrangements
        Truth values (ReLU), or signs -1 and 1 (absolute value); or what `enumerate_arrangements` has found,
        with a tolerance for data that are special but for rounding.
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
    labels = as_data(targets, "targets", smallest=0.0)  # None, too, is refused
    return _trained(gated_problem(X, _listed(patterns), beta, targets=labels))


def gated_score_matching(X: ArrayLike, patterns: Patterns, beta: float) -> GatedScore:
    r"""Train a gated network by score matching to certified global optimality.

    .. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i \Big\|_F^2
              + \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) + \beta \sum_i \|W_i\|_*

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n), or Arrangements
        Truth values (ReLU), or signs -1 and 1 (absolute value); or what `enumerate_arrangements` has found,
        with a tolerance for data that are special but for rounding.
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
    return _trained(gated_problem(X, _listed(patterns), beta))


def critical_weight_decay(X: ArrayLike, patterns: Patterns) -> CriticalWeightDecay:
    r"""Return the smallest weight decay at which gated score matching is bounded below.

    .. math:: \beta_c &= \min_Q \max_i \|X^\top D_i Q - \mathrm{tr}(D_i) I\|_2 \\
              &= \max_W \Big\{ -\sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) : \\
              & \qquad\quad \sum_i D_i X W_i = 0,\; \sum_i \|W_i\|_* \le 1 \Big\}

    It does not depend on the scale of the data.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n), or Arrangements
        Truth values (ReLU), or signs -1 and 1 (absolute value); or what `enumerate_arrangements` has found,
        with a tolerance for data that are special but for rounding.

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
    problem = gated_problem(X, _listed(patterns), 1.0)  # whatever the weight decay
    lengths = row_lengths(problem.points)  # row k of Q may take the length of row k of X
    Q, W, lower = smallest_radius(problem.constraints(lengths), _CRITICAL_AIM)
    Q = Q / lengths
    blocks = problem.constraints()
    upper, most = blocks.largest(Q), float(np.abs(blocks.shifts).max())
    check_close(lower, upper, max(upper, 1e-3 * most))
    return CriticalWeightDecay(upper, lower, Q, W)


def certify_gated(
    X: ArrayLike,
    targets: ArrayLike | None,
    patterns: Patterns,
    W: ArrayLike,
    Q: ArrayLike,
    beta: float,
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
    patterns : array of shape (P, n), or Arrangements
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
    problem = gated_problem(X, _listed(patterns), beta, targets=targets)
    return _certificate(problem, as_points(W, "W"), as_points(Q, "Q"))


def _listed(patterns: Patterns) -> ArrayLike:
    return patterns.patterns if isinstance(patterns, Arrangements) else patterns


def _certificate(problem: GatedProblem, W: FloatArray, Q: FloatArray) -> Certificate:
    blocks, labels = problem.constraints(), problem.labels
    for name, given, shape in (("W", W, blocks.shifts.shape), ("Q", Q, labels.shape)):
        if given.shape != shape:
            raise ValueError(f"{name} must have shape {shape}; got {given.shape}")
    fitted, nuclear = blocks.fitted(W), float(np.linalg.svd(W, compute_uv=False).sum())
    loss = 0.5 * np.sum((fitted - labels) ** 2) + np.sum(blocks.shifts * W)
    primal = float(loss + problem.beta * nuclear)
    return weak_duality(problem, fitted, primal, Q, blocks.largest(Q), nuclear)


def _trained(problem: GatedProblem) -> GatedScore:
    """Go all the way: problem, blocks and dual variable, certificate, score."""
    W, Q, critical = _solved(problem)
    W, Q = problem.restored(W, Q)
    for blocks in (_tidy(W), W):
        certificate = _certificate(problem, blocks, Q)
        fitted = problem.constraints().fitted(blocks)
        found = GatedScore(blocks, Q, fitted, problem.beta, certificate.primal, certificate)
        if certificate.holds:
            return found
    near = critical if problem.targets is None else None
    raise problem.refusal("gated", certificate, critical=near, found=found)


def _solved(problem: GatedProblem) -> tuple[FloatArray, FloatArray, float]:
    """Return the blocks, and Q, feasible, in the units of the problem; and the critical weight decay."""
    blocks, goal, beta = problem.constraints(problem.unit), problem.goal, problem.decay
    if blocks.largest(goal) <= beta * (1 + 1e-12):  # at the threshold itself rounding decides
        return np.zeros(blocks.shifts.shape), goal, 0.0
    inside, critical = np.zeros_like(goal), 0.0
    if problem.targets is None:
        least = critical_weight_decay(problem.points, problem.signs)
        inside, critical = least.Q * problem.unit, least.value
        if problem.beta <= critical:
            raise problem.unbounded(critical, "data and patterns")
    Q, W = follow_path(blocks, goal, beta, inside, _GAP)
    return W, drawn_inside(Q, inside, blocks.largest, beta), critical


def _tidy(W: FloatArray) -> FloatArray:
    """Leave out negligible singular values: an interior point has traces of every block."""
    left, singular, right = np.linalg.svd(W, full_matrices=False)
    singular = np.where(singular > _NEGLIGIBLE * singular.max(initial=0.0), singular, 0.0)
    return np.asarray((left * singular[:, None, :]) @ right)
