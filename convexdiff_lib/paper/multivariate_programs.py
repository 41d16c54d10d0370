r"""The programs of Theorems 9 and 3 as printed: score matching and denoising in many dimensions.

X holds the data as rows, the diagonal matrices :math:`D_1, \dots, D_P` are activation patterns, and the
variables are blocks :math:`W_i` of shape d by d.  With :math:`\tilde X = [D_1 X, \dots, D_P X]`, the blocks
stacked into W, and :math:`\tilde V` the stacked :math:`\mathrm{tr}(D_i)\, I`, score matching is

.. math:: \min_W \tfrac12 \|\tilde X W\|_F^2 + \langle \tilde V, W \rangle ,

displays (17) and (18) of the paper, without weight decay.  A linear function is added to a least-squares
problem: the sum is bounded below exactly when :math:`\tilde V` lies in the range of :math:`\tilde X^\top`.
If it does not, the part of :math:`\tilde V` outside is a direction of descent that never ends,
`descent_direction`.  In two and more dimensions that is the rule.  `falling_network` shows the same of the
training loss, with two neurons.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_data,
    as_patterned,
    as_points,
    as_positive,
    as_targets,
)
from ..networks import TwoLayerNetwork
from ..space.problem import gated_problem

with needed("CVXPY", '"convexdiff-lib[programs]"'):
    import cvxpy as cp

__all__ = [
    "PrintedBlocks",
    "blocks_of_network",
    "descent_direction",
    "falling_network",
    "multivariate_program",
    "precision_score",
    "printed_blocks",
    "printed_solution",
    "program_value",
]

_SAME = 1e-12  # relative size below which a distance is rounding


class PrintedBlocks(NamedTuple):
    r"""The two matrices of display (18).

    Parameters
    ----------
    X_tilde : array of shape (n, P d)
        :math:`[D_1 X, \dots, D_P X]`.
    V_tilde : array of shape (P d, d)
        The blocks :math:`\mathrm{tr}(D_i)\, I`, stacked.

    Examples
    --------
    >>> printed_blocks([[3.0, 4.0]], [[True], [False]]).V_tilde.tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    """

    X_tilde: FloatArray
    V_tilde: FloatArray


def printed_blocks(X: ArrayLike, patterns: ArrayLike) -> PrintedBlocks:
    r"""Build :math:`\tilde X` and :math:`\tilde V`.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
        Truth values (ReLU), or signs -1 and 1 (absolute value).

    Returns
    -------
    PrintedBlocks

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> printed_blocks([[1.0, 2.0], [0.0, 1.0]], [[True, False]]).X_tilde.tolist()
    [[1.0, 2.0], [0.0, 0.0]]
    """
    blocks = gated_problem(X, patterns, 1.0).constraints()  # whatever the weight decay
    return PrintedBlocks(blocks.stacked(), blocks.shifts.reshape(-1, blocks.X.shape[1]))


def program_value(X: ArrayLike, patterns: ArrayLike, W: ArrayLike) -> float:
    r"""Return the objective of the score-matching program at W.

    .. math:: \tfrac12 \Big\| \sum_i D_i X W_i \Big\|_F^2 + \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i)

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
    W : array of shape (P, d, d)

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> program_value([[1.0, 0.0]], [[True]], [[[-1.0, 0.0], [0.0, 0.0]]])
    -0.5
    """
    X_tilde, V_tilde = printed_blocks(X, patterns)
    blocks = _blocks(W, len(V_tilde), V_tilde.shape[1])
    return float(0.5 * np.sum((X_tilde @ blocks) ** 2) + np.sum(V_tilde * blocks))


def multivariate_program(
    X: ArrayLike, patterns: ArrayLike, targets: ArrayLike | None = None, *, beta: float = 0.0
) -> tuple[cp.Problem, list[cp.Variable]]:
    r"""Build the program with CVXPY, term by term: the reference, never the fast path.

    .. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2
              + \tau \sum_i \mathrm{tr}(D_i)\, \mathrm{tr}(W_i) + \beta \sum_i \|W_i\|_*

    Without targets it is score matching, L = 0 and :math:`\tau = 1`: Theorem 9.  With targets it is
    denoising, :math:`\tau = 0`: Theorem 3.  As printed, :math:`\beta = 0`.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
    targets : array of shape (n, c), or None
    beta : float
        Weight of the nuclear norms, at least 0; not in the printed programs.

    Returns
    -------
    problem : cvxpy.Problem
    W : list of cvxpy.Variable
        P variables of shape (d, c).

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> import cvxpy as cp
    >>> problem, W = multivariate_program([[1.0, 0.0], [0.0, 1.0]], [[True, True], [True, False]])
    >>> _ = problem.solve(solver=cp.CLARABEL)
    >>> problem.status
    'unbounded'
    """
    data, signs = as_patterned(X, patterns)
    if beta != 0:
        as_positive(beta, "beta")
    labels = np.zeros_like(data) if targets is None else as_targets(targets, len(data))
    W = [cp.Variable((data.shape[1], labels.shape[1])) for _ in signs]
    fitted = sum(np.diag(D) @ data @ W_i for D, W_i in zip(signs, W, strict=True))
    loss = 0.5 * cp.sum_squares(fitted - labels)
    if targets is None:
        loss += sum(float(D.sum()) * cp.trace(W_i) for D, W_i in zip(signs, W, strict=True))
    if beta > 0:
        loss += beta * sum(cp.normNuc(W_i) for W_i in W)
    return cp.Problem(cp.Minimize(loss)), W


def printed_solution(X: ArrayLike, patterns: ArrayLike) -> FloatArray:
    r"""Return the printed solution :math:`W^\star = -(\tilde X^\top \tilde X)^\dagger \tilde V` of (18).

    It minimises the program if that is bounded below.  Otherwise it is the smallest minimiser of another
    program, in which the part of :math:`\tilde V` outside the range of :math:`\tilde X^\top` is left out.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)

    Returns
    -------
    array of shape (P, d, d)

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    One pattern, all points active: minus n times the inverse of the matrix of second moments.

    >>> (printed_solution([[2.0, 0.0], [0.0, 1.0]], [[True, True]]) + 0.0).tolist()
    [[[-0.5, 0.0], [0.0, -2.0]]]
    """
    X_tilde, V_tilde = printed_blocks(X, patterns)
    # The pseudo-inverse of the matrix itself squares no condition number.
    inverse = np.linalg.pinv(X_tilde)
    return np.asarray(-(inverse @ (inverse.T @ V_tilde))).reshape(-1, *[V_tilde.shape[1]] * 2)


def descent_direction(X: ArrayLike, patterns: ArrayLike) -> FloatArray:
    r"""Return blocks W along which the program falls without bound, or zeros where there are none.

    .. math:: W = -(I - \tilde X^\dagger \tilde X)\, \tilde V, \qquad \tilde X W = 0, \qquad
              \langle \tilde V, W \rangle = -\|W\|_F^2

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)

    Returns
    -------
    array of shape (P, d, d)
        Zeros exactly when the program has a minimum.

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> descent_direction([[1.0, 0.0]], [[True], [False]]).tolist()[0]
    [[0.0, 0.0], [0.0, -1.0]]
    >>> bool(descent_direction([[1.0], [2.0]], [[True, True], [False, False]]).any())
    False
    """
    X_tilde, V_tilde = printed_blocks(X, patterns)
    scale = float(np.abs(X_tilde).max())
    X_tilde = X_tilde / scale if scale > 0 else X_tilde
    outside = V_tilde - np.linalg.pinv(X_tilde) @ (X_tilde @ V_tilde)
    if np.linalg.norm(outside) <= 1e-9 * np.linalg.norm(V_tilde):  # rounding of a projection
        outside = np.zeros_like(outside)
    return (0.0 - outside).reshape(-1, *[V_tilde.shape[1]] * 2)


def precision_score(X: ArrayLike) -> FloatArray:
    r"""Return the score of a linear network, :math:`W = -n (X^\top X)^{-1}`, from score matching.

    It minimises :math:`\tfrac12 \|X W\|_F^2 + n\,\mathrm{tr}(W)`: the program with the single pattern
    :math:`D_1 = I`.  The score is :math:`s(x) = W^\top x`, that of a Gaussian with mean zero and the
    second moments of the data.

    Parameters
    ----------
    X : array of shape (n, d)

    Returns
    -------
    array of shape (d, d)

    Raises
    ------
    ValueError
        If X is malformed, or its rows do not span all d dimensions: the loss then has no lower bound.

    Examples
    --------
    >>> (precision_score([[2.0, 0.0], [0.0, 1.0]]) + 0.0).tolist()
    [[-0.5, 0.0], [0.0, -2.0]]
    """
    data = as_data(X)
    n, d = data.shape
    if np.linalg.matrix_rank(data) < d:
        raise ValueError(
            f"the rows of X must span all {d} dimensions; they span {np.linalg.matrix_rank(data)}"
        )
    inverse = np.linalg.pinv(data)
    return np.asarray(-n * (inverse @ inverse.T))


def blocks_of_network(X: ArrayLike, network: TwoLayerNetwork, patterns: ArrayLike) -> FloatArray:
    r"""Return the blocks of a network: :math:`W_i` sums :math:`u_j \alpha_j^\top` over pattern i.

    The program has the value of the training loss there: the step from (19) to (23) in the paper's proof.

    Parameters
    ----------
    X : array of shape (n, d)
    network : TwoLayerNetwork
        Without biases and skip connection.
    patterns : array of shape (P, n)

    Returns
    -------
    array of shape (P, d, d)

    Raises
    ------
    ValueError
        If an argument is malformed, or a neuron has a pattern that is not in the list.

    Examples
    --------
    >>> net = TwoLayerNetwork([[1.0, 2.0]], [0.0], [[3.0], [0.0]], [0.0, 0.0], np.zeros((2, 2)))
    >>> blocks_of_network([[1.0, 0.0]], net, [[True]]).tolist()
    [[[3.0, 0.0], [6.0, 0.0]]]
    """
    data, signs = as_patterned(X, patterns)
    if network.b1.any() or network.b2.any() or network.V.any():
        raise ValueError("network must have no biases and no skip connection")
    number = {tuple(row): i for i, row in enumerate((signs > 0).tolist())}
    W = np.zeros((len(signs), data.shape[1], data.shape[1]))
    for u, alpha in zip(network.W1, network.W2.T, strict=True):
        pattern = tuple((data @ u >= 0).tolist())
        if pattern not in number:
            raise ValueError(f"patterns must hold that of every neuron; {u} has another one")
        W[number[pattern]] += np.outer(u, alpha)
    return W


def falling_network(X: ArrayLike, delta: float, *, activation: Activation = "relu") -> TwoLayerNetwork:
    r"""Return two neurons whose score-matching loss tends to minus infinity as delta tends to zero.

    Let :math:`u_0` be orthogonal to a row x.  The first-layer weights are :math:`u_0 \pm \delta x` on its two
    sides, the second-layer weights :math:`\mp \delta^{-1/2} u_0`.  The values cancel up to
    :math:`O(\delta^{1/2})`; the slopes do not, because x is active in the first neuron only.

    Parameters
    ----------
    X : array of shape (n, d)
        At least two columns.
    delta : float
        Positive, and small enough that no other row changes sides.
    activation : {"relu", "abs"}

    Returns
    -------
    TwoLayerNetwork

    Raises
    ------
    ValueError
        If an argument is malformed, d = 1, or every line through the origin has equally many points on its
        two sides.

    Examples
    --------
    >>> from convexdiff_lib import score_matching_loss
    >>> X = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> [round(score_matching_loss(falling_network(X, d), X, 0.0)) for d in (1e-4, 1e-6, 1e-8)]
    [-100, -1000, -10000]
    """
    data, step = as_data(X), as_positive(delta, "delta")
    as_activation(activation)
    if data.shape[1] < 2:
        raise ValueError(f"X must have at least two columns; got {data.shape[1]}")
    x = _one_sided_row(data)
    unit = _orthogonal(data, x)
    turn = step * x
    alpha = unit / np.sqrt(step)
    first = np.stack([unit + turn, unit - turn])
    return TwoLayerNetwork.without_biases(first, np.stack([-alpha, alpha]), activation)


def _orthogonal(data: FloatArray, x: FloatArray) -> FloatArray:
    """Return a unit vector orthogonal to the unit vector x, and to no row that is not parallel to x."""
    n, d = data.shape
    basis = np.linalg.svd(x[None, :])[2][1:]
    # A hyperplane holds at most d - 2 points of the moment curve of the d - 1 dimensional complement.
    t = np.linspace(-1.0, 1.0, n * (d - 2) + 2)
    candidates = np.vander(t, d - 1, increasing=True) @ basis
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    off = data - np.outer(data @ x, x)
    lengths = np.linalg.norm(off, axis=1)
    off = off[lengths > _SAME * np.linalg.norm(data, axis=1)]
    if len(off) == 0:
        return np.asarray(candidates[0])
    margin = np.abs(candidates @ (off / np.linalg.norm(off, axis=1, keepdims=True)).T).min(axis=1)
    return np.asarray(candidates[np.argmax(margin)])


def _one_sided_row(data: FloatArray) -> FloatArray:
    """Return a row with more points on its own side of its line than on the other."""
    lengths = np.linalg.norm(data, axis=1)
    units = data[lengths > 0] / lengths[lengths > 0, None]
    for unit in units:
        ahead = int(np.sum(np.linalg.norm(units - unit, axis=1) <= _SAME))
        behind = int(np.sum(np.linalg.norm(units + unit, axis=1) <= _SAME))
        if ahead > behind:
            return np.asarray(unit)
    raise ValueError("X must have a line through the origin with more points on one side than on the other")


def _blocks(W: ArrayLike, rows: int, d: int) -> FloatArray:
    """Check the blocks; return them stacked, shape (P d, d)."""
    blocks = as_points(W, "W")
    if blocks.shape != (rows // d, d, d):
        raise ValueError(f"W must have shape {(rows // d, d, d)}; got {blocks.shape}")
    return blocks.reshape(rows, d)
