r"""What training without biases asks in many dimensions, and in which units it is solved.

A `SpaceProblem` has points, targets if it is denoising and none if it is score matching, and a weight decay.
With the neurons that are allowed it is a `PlanarProblem`, all neurons there are, or a `GatedProblem`, the
blocks of given patterns.  Both say what the constraints of the dual are,

.. math:: \max_Q \langle Q, L\rangle - \tfrac12 \|Q\|_F^2 \quad \text{s.t. no response to Q is above } \beta ,

as chambers of directions or as blocks.  At the optimum the fitted values are :math:`L - Q`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_data,
    as_flag,
    as_patterned,
    as_targets,
    as_weight_decay,
)
from ..certificates import NotCertifiedError
from ..networks import TwoLayerNetwork
from ._blocks import Blocks, root_mean_square
from ._frame import Frame, thin_frame
from ._scaled import Scaled
from .circles import Circles, cut_circle, cut_lines
from .sphere import Sphere, cut_sphere

__all__ = ["GatedProblem", "PlanarProblem", "SpaceProblem", "gated_problem", "planar_problem"]


@dataclass(frozen=True, eq=False)
class SpaceProblem:
    """What every training problem of many dimensions has.

    Parameters
    ----------
    points : array of shape (n, d)
    targets : array of shape (n, c), or None
        None for score matching.
    beta : float

    Examples
    --------
    >>> SpaceProblem(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]), 1.0).decay
    0.1
    """

    points: FloatArray
    targets: FloatArray | None
    beta: float

    @property
    def kind(self) -> str:
        """Which of the two it is, in words."""
        return "score matching" if self.targets is None else "denoising"

    @property
    def labels(self) -> FloatArray:
        """The targets L; zeros for score matching."""
        return np.zeros_like(self.points) if self.targets is None else self.targets

    @cached_property
    def unit(self) -> float:
        """The unit of the points, in which they are of order one."""
        return root_mean_square(self.points)

    @cached_property
    def size(self) -> float:
        """The unit of scores, that of the targets or one over that of the points."""
        return 1 / self.unit if self.targets is None else root_mean_square(self.targets)

    @property
    def goal(self) -> FloatArray:
        """The targets L in their unit; zeros for score matching."""
        return self.labels / self.size

    @property
    def decay(self) -> float:
        """The weight decay in these units."""
        return self.beta / (self.unit * self.size)

    def restored(self, weights: FloatArray, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return an answer that was found in these units in the units of the data.

        Parameters
        ----------
        weights : array
            Products of the weights of two layers, which scale as slopes of the score do.
        Q : array of shape (n, c)
            Dual variable, which scales as scores do.

        Returns
        -------
        weights, Q : arrays
        """
        return weights * (self.size / self.unit), Q * self.size

    def unbounded(self, critical: float, of: str) -> ValueError:
        """Return what to say below the critical weight decay."""
        return ValueError(
            f"beta must be above {critical:.6g}, the critical weight decay of these {of}; got "
            f"{self.beta:.6g}. Below, the loss has no lower bound"
        )

    def refusal(
        self, network: str, why: object, *, critical: float | None = None, found: object | None = None
    ) -> NotCertifiedError:
        """Return what to say where no network of a kind could be certified, with the best that was found."""
        near = "" if critical is None else f", critical {critical:.6g}"
        return NotCertifiedError(f"{network} {self.kind}, beta = {self.beta:.6g}{near}: {why}", found)


@dataclass(frozen=True, eq=False)
class PlanarProblem(SpaceProblem):
    """A training problem in which any neuron may be used; see `planar_problem`.

    Parameters
    ----------
    points, targets, beta : as in `SpaceProblem`
    activation : {"relu", "abs"}
    bias, penalise_bias : bool

    Examples
    --------
    >>> problem = planar_problem([[3.0, 4.0]], 1.0, targets=[[0.0, 2.0]])
    >>> problem.constraints().largest(problem.labels)
    10.0
    """

    activation: Activation
    bias: bool
    penalise_bias: bool

    @property
    def free(self) -> bool:
        """Whether there are biases that cost nothing, so that the output has a free constant."""
        return self.bias and not self.penalise_bias

    @cached_property
    def origin(self) -> FloatArray:
        """From where the points are seen; with free biases their mean, for a shift changes nothing."""
        return self.points.mean(axis=0) if self.free else np.zeros(self.points.shape[1])

    @cached_property
    def unit(self) -> float:
        """The unit of the rows, in which they are of order one."""
        return root_mean_square(self.points - self.origin if self.free else self.rows)

    @cached_property
    def frame(self) -> Frame:
        """The axes in which neurons are sought; those of the points where these are nearly on a line."""
        plain = self.bias or self.points.shape[1] != 2
        return Frame.plain(3) if plain else thin_frame(self.points)

    @property
    def coarseness(self) -> float:
        """How many times rounding turns neurons more in the axes of the rows than in those of the data."""
        return 1 + float(np.abs(self.origin).max()) / self.unit if self.free else 1 / self.frame.flat

    @cached_property
    def rows(self) -> FloatArray:
        """What a neuron is multiplied with, the points, with one number more for a bias; shape (n, D)."""
        if not self.bias:
            return self.frame.seen(self.points)
        apart = self.points - self.origin
        return np.column_stack([apart, np.full(len(apart), self.unit if self.free else 1.0)])

    @property
    def slope(self) -> FloatArray | None:
        """The matrix that makes the slope of a neuron of its weights; None for denoising."""
        if self.targets is not None:
            return None
        return np.eye(self.points.shape[1], self.rows.shape[1]) if self.bias else self.frame.axes

    def constraints(self, unit: float | FloatArray = 1.0) -> Circles | Sphere:
        """Return the chambers of directions, with the rows in a unit, or each in one of its own."""
        rows = self.rows / unit
        if self.free:
            return cut_lines(rows, self.activation, slope=self.slope)
        if rows.shape[1] == 3:
            return cut_sphere(rows, self.activation, slope=self.slope)
        return cut_circle(rows, self.activation, slope=self.slope, flat=self.frame.flat)

    def scaled(self, unit: float | FloatArray | None = None) -> Scaled:
        """Return the problem in its units, or with other ones for the rows."""
        goal, rows = self.goal, self.unit if unit is None else unit
        return Scaled(
            X=self.rows / rows,
            goal=goal - goal.mean(axis=0) if self.free else goal,
            decay=self.decay,
            chambers=self.constraints(rows),
            slope=self.slope,
            metric=np.array([1.0, 1.0, 0.0]) if self.free else self.frame.metric,
            centred=self.free,
        )

    def network(self, directions: FloatArray, weights: FloatArray) -> TwoLayerNetwork:
        """Return the network of these neurons, found in these units, both layers of each of one length."""
        d = self.points.shape[1]
        products, _ = self.restored(weights, weights)
        second = np.sqrt(np.linalg.norm(products, axis=1, keepdims=True))
        first, W2 = self.frame.restored(directions) * second, (products / second).T
        W1, b1, b2 = first[:, :d], np.zeros(len(first)), np.zeros(d)
        if self.bias:
            b1 = first[:, d] * self.rows[0, d] - W1 @ self.origin
        whole = TwoLayerNetwork(W1, b1, W2, b2, np.zeros((d, d)), self.activation)
        return replace(whole, b2=(self.labels - whole(self.points)).mean(axis=0)) if self.free else whole


@dataclass(frozen=True, eq=False)
class GatedProblem(SpaceProblem):
    """A training problem of a gated network; see `gated_problem`.

    Parameters
    ----------
    points, targets, beta : as in `SpaceProblem`
    signs : array of shape (P, n)
        The patterns.

    Examples
    --------
    >>> problem = gated_problem([[3.0, 4.0]], [[True], [False]], 1.0)
    >>> problem.constraints().shifts.tolist()
    [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """

    signs: FloatArray

    def constraints(self, unit: float | FloatArray = 1.0) -> Blocks:
        """Return the blocks, with the points in a unit, or each in one of its own."""
        d, c = self.points.shape[1], self.labels.shape[1]
        traces = self.signs.sum(axis=1) if self.targets is None else np.zeros(len(self.signs))
        return Blocks(self.points / unit, self.signs, traces[:, None, None] * np.eye(d, c))


def planar_problem(
    X: ArrayLike,
    beta: float,
    *,
    targets: ArrayLike | None = None,
    activation: Activation = "relu",
    bias: bool = False,
    penalise_bias: bool = True,
) -> PlanarProblem:
    """Check what was given; without targets, score matching, with targets denoising.

    Parameters
    ----------
    X : array of shape (n, d)
        With d = 2 or 3; with biases d = 2.
    beta : float
        Weight decay, positive.
    targets : array of shape (n, d), optional
    activation : {"relu", "abs"}
    bias : bool
        Whether neurons have biases.
    penalise_bias : bool
        Whether weight decay sees them.  If it does not, the output has a free constant, too.

    Returns
    -------
    PlanarProblem

    Raises
    ------
    ValueError
        If an argument is malformed, or there are too many dimensions.

    Examples
    --------
    >>> planar_problem([[3.0, 4.0]], 1.0).kind
    'score matching'
    >>> planar_problem([[3.0, 4.0]], 1.0, bias=True).rows.tolist()
    [[3.0, 4.0, 1.0]]
    """
    points = as_data(X)
    labels = None if targets is None else as_data(targets, "targets", smallest=0.0)
    biased = as_flag(bias, "bias")
    if points.shape[1] not in ((2,) if biased else (2, 3)):
        which = "(n, 2), points of the plane, where there are biases" if biased else "(n, 2) or (n, 3)"
        raise ValueError(f"X must have shape {which}; got {points.shape}")
    if labels is not None and labels.shape != points.shape:
        raise ValueError(f"targets must have the shape of X, {points.shape}; got {labels.shape}")
    return PlanarProblem(
        points,
        labels,
        as_weight_decay(beta),
        as_activation(activation),
        biased,
        as_flag(penalise_bias, "penalise_bias"),
    )


def gated_problem(
    X: ArrayLike, patterns: ArrayLike, beta: float, *, targets: ArrayLike | None = None
) -> GatedProblem:
    """Check what was given; without targets, score matching, with targets denoising.

    Parameters
    ----------
    X : array of shape (n, d)
    patterns : array of shape (P, n)
        Truth values (ReLU), or signs -1 and 1 (absolute value).
    beta : float
        Weight decay, positive.
    targets : array of shape (n, c), optional

    Returns
    -------
    GatedProblem

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> gated_problem([[3.0, 4.0]], [[True]], 1.0, targets=[[2.0]]).kind
    'denoising'
    """
    points, signs = as_patterned(X, patterns)
    labels = None if targets is None else as_targets(targets, len(points))
    return GatedProblem(points, labels, as_weight_decay(beta), signs)
