r"""The eight convex programs of the paper for univariate data, exactly as printed, in CVXPY.

Score matching and denoising, ReLU and absolute value, with and without skip connection.  All are

.. math:: \min_y \tfrac12 \|A y + \bar\ell\|_2^2 + b^T y + c + \lambda \|y\|_1 ,

and their duals are

.. math:: \max_z -\tfrac12 \|z\|_2^2 + z^T \ell \quad \text{s.t. } |A_0^T z - b_0| \le \lambda,\; z^T 1 = 0 .

A column of :math:`A_0` holds the values at the data of one neuron with its kink at a data point, an entry of
:math:`b_0` the sum of its slopes there; A and b are the same with the best output bias, and the best skip
connection if there is one, already taken out.

These programs are the reference, never the fast path: dense matrices, a general-purpose solver.  What the
paper prints and what is right are both here where they differ, under names that say which is which.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_noisy_sample,
    as_not_negative,
    as_sample,
    as_weight_decay,
)
from ..line.kink_network import KinkNetwork
from ..networks import TwoLayerNetwork

with needed("CVXPY", '"convexdiff-lib[programs]"'):
    import cvxpy as cp

__all__ = [
    "LassoProgram",
    "PrintedProgram",
    "denoising_dual",
    "denoising_network_from_program",
    "denoising_program",
    "network_from_program",
    "score_matching_dual",
    "score_matching_program",
    "solve_program",
    "without_affine_part",
]

_SOLVER_TOLERANCE = 1e-11


@result
class PrintedProgram:
    r"""The data of one printed program.

    .. math:: \min_y \tfrac12 \|A y + \bar\ell\|_2^2 + b^T y + c + \lambda \|y\|_1

    Parameters
    ----------
    A : array of shape (n, k)
        Neurons at the data, with means removed, and projected off the centred data if there is a skip
        connection; in the order of the data, block after block.
    b : array of shape (k,)
        Linear costs: sums of slopes.
    labels : array of shape (n,)
        Targets of denoising, treated like the columns of A; zero for score matching.
    constant : float
    penalty : float
        Weight of the l1 norm: beta, or 2 beta for ReLU with skip connection.

    Examples
    --------
    >>> program = score_matching_program([0.0, 1.0], 2.0)
    >>> program.A.shape, program.penalty, program.value_at(np.zeros(8))
    ((2, 8), 2.0, 0.0)
    """

    A: FloatArray
    b: FloatArray
    labels: FloatArray
    constant: float
    penalty: float

    def value_at(self, y: ArrayLike) -> float:
        """Return the objective at y.

        Examples
        --------
        >>> score_matching_program([0.0, 2.0], 1.0, activation="abs").value_at([1.0, 0.0, 0.0, 0.0])
        4.0
        """
        weights = as_sample(y, "y")
        if weights.shape != self.b.shape:
            raise ValueError(f"y must have {len(self.b)} entries; got {len(weights)}")
        fit = 0.5 * np.sum((self.A @ weights + self.labels) ** 2)
        return float(fit + self.b @ weights + self.constant + self.penalty * np.abs(weights).sum())


@result
class LassoProgram:
    """A solved program.

    Parameters
    ----------
    y : array of shape (k,)
        Minimiser.
    value : float
        Its objective value, recomputed from y with NumPy.

    Examples
    --------
    >>> LassoProgram(y=np.zeros(4), value=0.0).value
    0.0
    """

    y: FloatArray
    value: float


class _Block(NamedTuple):
    """One neuron per data point: which way it faces, and whether its kink is a step beyond the point."""

    facing: float
    beyond: bool = False


_BLOCKS: dict[tuple[str, bool], tuple[_Block, ...]] = {
    # (activation of the columns, whether slopes count): the paper's order
    ("relu", True): (_Block(1.0), _Block(1.0, True), _Block(-1.0), _Block(-1.0, True)),
    ("abs", True): (_Block(1.0), _Block(-1.0)),
    ("relu", False): (_Block(1.0), _Block(-1.0)),
    ("abs", False): (_Block(1.0),),
}


class _Neurons(NamedTuple):
    """All candidate neurons of a program: A_0, the sums of their slopes, and what they are."""

    values: FloatArray
    slopes: FloatArray
    facing: FloatArray
    beyond: np.ndarray
    position: FloatArray


def _neurons(x: FloatArray, columns: Activation, *, slopes_count: bool) -> _Neurons:
    blocks = _BLOCKS[columns, slopes_count]
    values, slopes = [], []
    for facing, beyond in blocks:
        u = facing * (x[:, None] - x[None, :])
        active = u > 0 if beyond else u >= 0
        values.append(np.maximum(u, 0.0) if columns == "relu" else np.abs(u))
        slopes.append(facing * (active if columns == "relu" else np.where(active, 1.0, -1.0)).sum(axis=0))
    n = len(x)
    return _Neurons(
        np.hstack(values),
        np.concatenate(slopes) if slopes_count else np.zeros(n * len(blocks)),
        np.repeat([block.facing for block in blocks], n),
        np.repeat([block.beyond for block in blocks], n),
        np.tile(x, len(blocks)),
    )


class _Task(NamedTuple):
    """What the four programs of score matching and the four of denoising differ in."""

    x: FloatArray
    labels: FloatArray  # zero for score matching
    activation: Activation
    skip: bool
    neurons: _Neurons
    slope_counts: int  # how often the loss counts the slope of the skip connection: n times, or never
    sign: float  # y weighs the neurons, or minus the neurons

    @property
    def centred(self) -> FloatArray:
        if np.ptp(self.x) == 0:
            raise ValueError("a skip connection needs at least two distinct points")
        near = self.x - self.x[0]  # first a difference of data, which keeps the digits of far-away ones
        return near - near.mean()

    def penalty(self, beta: float) -> float:
        return as_weight_decay(beta) * (2 if self.skip and self.activation == "relu" else 1)


def _task(x: FloatArray, labels: FloatArray | None, activation: Activation, skip: bool) -> _Task:
    """Score matching, or denoising where there are labels."""
    as_activation(activation)
    # With a skip connection a ReLU is half an absolute value: the paper works with the latter.
    columns: Activation = "abs" if as_flag(skip, "skip") else activation
    neurons = _neurons(x, columns, slopes_count=labels is None)
    if labels is None:
        return _Task(x, np.zeros(len(x)), activation, skip, neurons, slope_counts=len(x), sign=1.0)
    return _Task(x, labels, activation, skip, neurons, slope_counts=0, sign=-1.0)


def score_matching_program(
    x: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False
) -> PrintedProgram:
    r"""Build the program of score matching: (4) of Theorem 1, (12) of Theorem 7, (14) of Theorem 8.

    * ReLU: :math:`A = [\bar A_1, \bar A_1, \bar A_2, \bar A_2]`,
      :math:`b = [1^TC_1, 1^TC_2, -1^TC_3, -1^TC_4]`, penalty beta;
    * absolute value: :math:`A = [\bar A_1, \bar A_1]`, :math:`b = [1^TC_1, -1^TC_2]`, penalty beta;
    * absolute value with skip connection: A projected off the centred data :math:`\bar x`, b shifted to
      :math:`b - n A^T\bar x/\|\bar x\|^2`, constant :math:`c = -n^2/(2\|\bar x\|^2)`, penalty beta;
    * ReLU with skip connection: the same with penalty 2 beta.

    A bar removes the means; the matrices are those of Appendices D.2 and D.3.  Display (14) leaves the
    constant out, the text below it defines it.

    Parameters
    ----------
    x : array of shape (n,)
        A few hundred points at most: the matrix is dense.
    beta : float
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    PrintedProgram

    Raises
    ------
    ValueError
        If an argument is malformed, or a skip connection meets fewer than two distinct points.

    Examples
    --------
    >>> score_matching_program([0.0, 1.0, 3.0], 2.0).A.shape
    (3, 12)
    >>> score_matching_program([0.0, 1.0, 3.0], 2.0, activation="abs").b.tolist()
    [3.0, 1.0, -1.0, 1.0, -1.0, -3.0]
    """
    return _program(_task(as_sample(x), None, activation, skip), beta)


def denoising_program(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
) -> PrintedProgram:
    r"""Build the program of denoising: (28) of Theorem 11, and (34), (36) of the older text with a skip.

    There is no linear term, so one neuron per point and direction is enough: A has 2n columns for ReLU, n for
    the absolute value.  The labels enter with a plus, as printed: y holds the weights of minus the neurons.
    With a skip connection A and the labels are projected off the centred data, and ReLU has penalty 2 beta.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
        Perturbed data and score targets, the targets with their true sign, :math:`-\delta/\sigma`.
    beta : float
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    PrintedProgram

    Raises
    ------
    ValueError
        If an argument is malformed, or a skip connection meets fewer than two distinct points.

    Examples
    --------
    >>> denoising_program([0.0, 1.0, 3.0], [1.0, 0.0, -1.0], 0.5).A.shape
    (3, 6)
    >>> denoising_program([0.0, 1.0, 3.0], [1.0, 0.0, -1.0], 0.5, activation="abs").labels.tolist()
    [1.0, 0.0, -1.0]
    """
    return _program(_task(*as_noisy_sample(x_noisy, targets), activation, skip), beta)


def _program(task: _Task, beta: float) -> PrintedProgram:
    columns = (task.neurons.values, task.neurons.slopes, task.labels)
    return without_affine_part(
        *columns, task.penalty(beta), task.slope_counts, task.centred if task.skip else None
    )


def without_affine_part(
    values: FloatArray,
    slopes: FloatArray,
    labels: FloatArray,
    penalty: float,
    slope_counts: int,
    centred: FloatArray | None,
) -> PrintedProgram:
    """Take the best output bias out of a program, and the best skip connection if there is one.

    Parameters
    ----------
    values : array of shape (n, k)
        Neurons at the data.
    slopes : array of shape (k,)
        Sums of their slopes there.
    labels : array of shape (n,)
    penalty : float
    slope_counts : int
        How often the loss counts the slope of the skip connection: n times, or never.
    centred : array of shape (n,), or None
        The data less their mean, if there is a skip connection.

    Returns
    -------
    PrintedProgram

    Examples
    --------
    >>> line, none = np.array([[0.0], [2.0]]), np.zeros(1)
    >>> without_affine_part(line, none, np.zeros(2), 1.0, 0, None).A.tolist()
    [[-1.0], [1.0]]
    """
    A, apart = values - values.mean(axis=0), labels - labels.mean()
    if centred is None:
        return PrintedProgram(A, slopes, apart, 0.0, penalty)
    square = float(centred @ centred)
    b = A.T @ (-slope_counts * centred / square) + slopes
    rest = -(slope_counts**2) / (2 * square)
    return PrintedProgram(_off(centred, A), b, _off(centred, apart), rest, penalty)


def _off(direction: FloatArray, array: FloatArray) -> FloatArray:
    """Apply the paper's B^(1/2), which is B, a projector: remove the component along a direction."""
    unit = direction / np.linalg.norm(direction)
    along = unit @ array
    rest = array - np.multiply.outer(unit, along)
    # A neuron that is a line on the data leaves nothing, not rounding errors.
    gone = np.linalg.norm(rest, axis=0) <= len(unit) * np.finfo(float).eps * np.linalg.norm(array, axis=0)
    return np.where(gone, 0.0, rest)


def solve_program(program: PrintedProgram) -> LassoProgram:
    """Solve a printed program with CVXPY.

    Parameters
    ----------
    program : PrintedProgram

    Returns
    -------
    LassoProgram

    Raises
    ------
    ValueError
        If the program is unbounded: beta is below the threshold.

    Examples
    --------
    >>> round(solve_program(score_matching_program([-1.0, 1.0], beta=1.0)).value, 6)
    -0.25
    """
    unit, size = _units(program.A, program.labels)
    y = cp.Variable(len(program.b))
    fit = 0.5 * cp.sum_squares((program.A / unit) @ y + program.labels / size)
    price = (program.b @ y + program.penalty * cp.norm1(y)) / (unit * size)
    _solve(cp.Problem(cp.Minimize(fit + price)))
    minimiser = y.value * size / unit
    return LassoProgram(minimiser, program.value_at(minimiser))


def score_matching_dual(
    x: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False
) -> tuple[FloatArray, float]:
    r"""Solve the dual of score matching, display (7), (11) or (15) of the paper, with CVXPY.

    .. math:: \max_z -\tfrac12 \|z\|^2 \quad \text{s.t. } |A_0^T z - b_0| \le \lambda,\; z^T 1 = 0,
              \text{ and } z^T x = n \text{ with a skip connection}

    Parameters
    ----------
    x, beta, activation, skip
        As `score_matching_program` takes them.

    Returns
    -------
    z : array of shape (n,)
        Minus the optimal score at the data.
    value : float

    Raises
    ------
    ValueError
        If no z is feasible (beta below the threshold) or the arguments are malformed.

    Examples
    --------
    >>> z, value = score_matching_dual([-1.0, 1.0], beta=1.0)
    >>> round(value, 6)
    -0.25
    """
    return _solve_dual(_task(as_sample(x), None, activation, skip), beta)


def denoising_dual(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
) -> tuple[FloatArray, float]:
    r"""Solve the dual of denoising, the display after (29) of the paper, with CVXPY.

    .. math:: \max_z -\tfrac12 \|z\|^2 + z^T \ell \quad \text{s.t. } |A_0^T z| \le \lambda,\; z^T 1 = 0,
              \text{ and } z^T x = 0 \text{ with a skip connection}

    Parameters
    ----------
    x_noisy, targets, beta, activation, skip
        As `denoising_program` takes them.

    Returns
    -------
    z : array of shape (n,)
        The targets minus the optimal score at the data.
    value : float

    Raises
    ------
    ValueError
        If an argument is malformed, or a skip connection meets fewer than two distinct points.

    Examples
    --------
    >>> z, value = denoising_dual([0.0, 1.0], [1.0, -1.0], beta=0.5)
    >>> z.round(6).tolist(), round(value, 6)
    ([0.5, -0.5], 0.75)
    """
    return _solve_dual(_task(*as_noisy_sample(x_noisy, targets), activation, skip), beta)


def _solve_dual(task: _Task, beta: float) -> tuple[FloatArray, float]:
    neurons, labels = task.neurons, task.labels
    unit, size = _units(neurons.values, labels)
    z = cp.Variable(len(labels))
    price = (neurons.values / unit).T @ z - neurons.slopes / (unit * size)
    constraints = [cp.abs(price) <= task.penalty(beta) / (unit * size), cp.sum(z) == 0]
    if task.skip:
        # Centring x changes nothing, because z sums to zero.
        constraints.append((task.centred / unit) @ z == task.slope_counts / (unit * size))
    _solve(cp.Problem(cp.Minimize(0.5 * cp.sum_squares(z) - (labels / size) @ z), constraints))
    best = np.asarray(z.value, dtype=np.float64) * size
    return best, float(-0.5 * np.sum(best**2) + best @ labels)


def _units(columns: FloatArray, labels: FloatArray) -> tuple[float, float]:
    """Units of length and of the score in which a general solver sees numbers of order one.

    Scores are large where gaps are small, so the unit of length is a short one, which outliers leave alone.
    """
    sizes = np.abs(columns[columns != 0])
    unit = float(np.quantile(sizes, 0.1)) if len(sizes) else 1.0
    return unit, float(np.sqrt(np.mean(labels**2))) or 1 / unit


def _solve(problem: cp.Problem) -> None:
    problem.solve(
        solver=cp.CLARABEL,
        tol_gap_abs=_SOLVER_TOLERANCE,
        tol_gap_rel=_SOLVER_TOLERANCE,
        tol_feas=_SOLVER_TOLERANCE,
    )
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise ValueError(f"the program has no finite optimum: CVXPY reports {problem.status!r}")


def network_from_program(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    epsilon: float = 0.0,
    rule: Literal["signed", "printed"] = "signed",
) -> TwoLayerNetwork:
    r"""Read a network off a solution of a score-matching program.

    Neuron j has :math:`|w_j| = |\alpha_j| = \sqrt{|y_j|}` and its kink at a data point (display (8), and the
    displays at the ends of D.2.2 and D.3.2).  In a ReLU network without skip connection the second and fourth
    block have theirs a distance epsilon beyond it.  A ReLU network with skip connection comes from the
    absolute value: :math:`w^r = w^a,\ \alpha^r = 2\alpha^a`, so both are :math:`\sqrt{2|y_j|}` in size, and
    half of each neuron moves into the skip connection and the bias (D.3.1).

    The printed rules take every :math:`\alpha_j` positive; the optimum needs :math:`\mathrm{sign}(y_j)`.

    Parameters
    ----------
    x : array of shape (n,)
    y : array of shape (k,)
        4n entries for ReLU without skip connection, 2n for the other networks.
    activation : {"relu", "abs"}
    skip : bool
    epsilon : float
        Offset of the second and fourth block; zero means the smallest one that floating point can express.
        Only ReLU without skip connection has such blocks.
    rule : {"signed", "printed"}

    Returns
    -------
    TwoLayerNetwork

    Raises
    ------
    ValueError
        If y has the wrong length, epsilon is negative or has nothing to move, the rule is unknown, or a skip
        connection meets fewer than two distinct points.

    Examples
    --------
    >>> net = network_from_program([0.0, 1.0], [0, 0, -4, 0, 0, 0, 0, 0])
    >>> net([0.0, 1.0]).tolist(), net.W2.tolist()[0][2]
    ([2.0, -2.0], -2.0)
    >>> network_from_program([0.0, 1.0], [-1, 0, 0, 1], activation="abs")([0.0, 1.0]).tolist()
    [1.0, -1.0]
    """
    task = _task(as_sample(x), None, activation, skip)
    neurons = task.neurons
    if as_not_negative(epsilon, "epsilon") > 0 and not neurons.beyond.any():
        raise ValueError("epsilon must be 0: only ReLU without skip connection has kinks beside the data")
    moved = neurons._replace(
        position=neurons.position + np.where(neurons.beyond, neurons.facing * epsilon, 0.0),
        beyond=neurons.beyond & (epsilon == 0),
    )
    return _network(task._replace(neurons=moved), as_sample(y, "y"), rule)


def denoising_network_from_program(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    y: ArrayLike,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    rule: Literal["signed", "printed"] = "signed",
) -> TwoLayerNetwork:
    r"""Read a network off a solution of a denoising program.

    As for score matching, with :math:`\alpha_j = -\mathrm{sign}(y_j)\sqrt{|y_j|}`: the printed programs add
    the labels, so y weighs minus the neurons.  The printed rule is :math:`\alpha_j = -\sqrt{|y_j|}`
    (displays at the ends of G.1.1 and G.1.2).

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
    y : array of shape (k,)
        2n entries for ReLU without skip connection, n for the other networks.
    activation : {"relu", "abs"}
    skip : bool
    rule : {"signed", "printed"}

    Returns
    -------
    TwoLayerNetwork

    Raises
    ------
    ValueError
        If y has the wrong length, the rule is unknown, or a skip connection meets fewer than two distinct
        points.

    Examples
    --------
    >>> net = denoising_network_from_program([0.0, 1.0], [1.0, -1.0], [1.0, -1.0], activation="abs")
    >>> net([0.0, 1.0]).tolist()
    [1.0, -1.0]
    """
    return _network(_task(*as_noisy_sample(x_noisy, targets), activation, skip), as_sample(y, "y"), rule)


def _network(task: _Task, y: FloatArray, rule: str) -> TwoLayerNetwork:
    """Build the network of the weights y with the printed skip connection and bias.

    Both are printed in terms of the true y, under either rule.
    """
    x, neurons = task.x, task.neurons
    if len(y) != len(neurons.slopes):
        per_point = len(neurons.slopes) // len(x)
        raise ValueError(f"y must have {len(neurons.slopes)} entries, {per_point} per point; got {len(y)}")
    if rule not in ("signed", "printed"):
        raise ValueError(f"rule must be 'signed' or 'printed'; got {rule!r}")
    outgoing = task.sign * (y if rule == "signed" else np.abs(y))
    rest = task.labels - task.sign * (neurons.values @ y)
    slope = 0.0
    if task.skip:
        centred = task.centred
        slope = float(centred @ (rest - rest.mean()) - task.slope_counts) / float(centred @ centred)
    bias = float(np.mean(rest - x * slope))
    if task.skip and task.activation == "relu":
        # The map of D.3.1 with |w| = |alpha^r| and alpha^r = 2 alpha^a.
        slope -= float(neurons.facing @ outgoing)
        bias += float((neurons.facing * neurons.position) @ outgoing)
        outgoing = 2 * outgoing
    return KinkNetwork(
        neurons.position, neurons.facing, outgoing, neurons.beyond, 0.0, bias, slope, task.activation
    ).two_layer()
