r"""What a certificate is: two bounds on the optimal loss, and how far a score may be from the optimal one.

Certificates are recomputed from the data alone, with no solver: of univariate scores by
`convexdiff_lib.line.spline_certificates` and `convexdiff_lib.line.network_certificates`, of networks of the
plane by `convexdiff_lib.space.planar_certificates`, of others beside the statement of their problem.  If the
bounds meet and the dual vector violates no constraint, but for rounding, the network is a global optimum,
however it was found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._results import result
from ._validation import FloatArray

__all__ = ["Certificate", "NotCertifiedError", "score_error_in_space"]

# A gap of 1e-8 and a violation of 1e-9 leave six digits between what is shown (1e-6 at best) and double
# precision's loss over a few thousand additions (1e-12).
GAP_TOLERANCE = 1e-8
FEASIBILITY_TOLERANCE = 1e-9
# Of the score at a knot, compared with its size there.  Through the gap of the loss one sees an error only by
# its square: that is what a gap of 1e-8 buys of a network found by any means.
SCORE_TOLERANCE = 1e-6
SCORE_TOLERANCE_BY_LOSS = 1e-2


class NotCertifiedError(RuntimeError):
    """No candidate passed its certificate; nothing uncertified is returned.

    Parameters
    ----------
    message : str
    found : object, optional
        See below.

    Attributes
    ----------
    found : object or None
        The best answer that was found, of the type that was asked for.  Its certificate does not hold, but
        says how wide the gap is, for those who can live with a wider one.
    fits : list or None
        Where many fits were asked for, those that passed, and None in the places of those that did not.

    Examples
    --------
    >>> raise NotCertifiedError("relative gap 1e-3")
    Traceback (most recent call last):
    ...
    convexdiff_lib.certificates.NotCertifiedError: relative gap 1e-3
    """

    fits: list[Any] | None = None

    def __init__(self, message: str, found: object | None = None) -> None:
        super().__init__(message)
        self.found = found


@result
class Certificate:
    r"""Two bounds on the optimal training loss, and how well the dual vector satisfies its constraints.

    Parameters
    ----------
    primal : float
        Training loss of the network: an upper bound.
    dual : float
        Dual value: a lower bound, if ``infeasibility`` is nil.
    infeasibility : float
        Score matching: largest violation of a dual constraint, divided by n.  Denoising, where z is made
        feasible first: what rounding leaves in its equations, compared with the size of the targets.
    scale : float
        What a gap is compared with: the larger of the two values, and the loss of a simple fit: the size
        n/(2v) of that of the fitted Gaussian (score matching), that of the best constant (denoising).
    score_error : float, optional
        Bound on the error of the score: the largest over the knots, compared with the score there or, where
        that is nearly zero, with what is natural around it.  For score matching that is one over the distance
        to the further neighbouring knot: an error so large would change the log-density by one on the way.
        For denoising it is the root mean square of the targets, less their mean, between those knots.
        In many dimensions: the largest over the data, see `score_error_in_space`.
    gap_tolerance, feasibility_tolerance, score_tolerance : float

    Examples
    --------
    >>> Certificate(primal=-1.0, dual=-1.0, infeasibility=0.0, scale=1.0).holds
    True
    >>> Certificate(primal=-0.9, dual=-1.0, infeasibility=0.0, scale=1.0).holds
    False
    """

    primal: float
    dual: float
    infeasibility: float
    scale: float
    score_error: float | None = None
    gap_tolerance: float = GAP_TOLERANCE
    feasibility_tolerance: float = FEASIBILITY_TOLERANCE
    score_tolerance: float = SCORE_TOLERANCE

    @property
    def gap(self) -> float:
        """Primal minus dual."""
        return self.primal - self.dual

    @property
    def relative_gap(self) -> float:
        """The size of the gap over ``scale``; a negative gap is as suspect as a positive one."""
        return abs(self.gap) / self.scale if self.scale > 0 else float(self.gap != 0)

    @property
    def holds(self) -> bool:
        """Whether the bounds meet, z is feasible and the score is right, to tolerance; never with a NaN."""
        return (
            self.relative_gap <= self.gap_tolerance
            and self.infeasibility <= self.feasibility_tolerance
            and (self.score_error is None or self.score_error <= self.score_tolerance)
        )

    def _facts(self) -> dict[str, object]:
        return {"primal": self.primal, "dual": self.dual, "holds": self.holds}

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        score = ""
        if self.score_error is not None:
            score = f", score error {_at_most(max(self.score_error, self.score_tolerance))}"
        return (
            f"certificate {verdict}: primal {self.primal:.6g}, dual {self.dual:.6g}\n"
            f"relative gap {_at_most(self.relative_gap)}, infeasibility {_at_most(self.infeasibility)}{score}"
        )


def _at_most(x: float) -> str:
    """Round up to a power of ten, at least 1e-12: the digits of rounding errors differ between machines."""
    if not np.isfinite(x):
        return f"= {x}"
    return f"<= {10.0 ** np.ceil(np.log10(max(x, 1e-12)) - 1e-9):.0e}"


def score_error_in_space(
    points: FloatArray,
    scores: FloatArray,
    slack: float,
    targets: FloatArray | None = None,
) -> float:
    r"""Say what a gap of the loss means for the score of a network of many dimensions at the data.

    The loss is strongly convex in the fitted scores: :math:`\tfrac12 \sum_i |s(x_i) - s^*(x_i)|^2` is at most
    the gap, so at no point is the error above :math:`\sqrt{2\,\text{gap}}`.  At each point that is compared
    with the size of the score there or, where the score is nearly zero, with what is natural: the root mean
    square of the targets for denoising, :math:`1/|x_i|` for score matching.  Networks without biases are
    linear along the ray from 0 to a point, so an error of that size changes the log-density by a half on it.

    Parameters
    ----------
    points, scores : arrays of shape (n, d)
        The data, and the fitted score at them.
    slack : float
        The gap, and what the dual point's violation of its constraints may hide of it.
    targets : array of shape (n, d), optional
        For denoising; without them, score matching.

    Returns
    -------
    float
        The largest such ratio, 0 without a gap.

    Examples
    --------
    >>> import numpy as np
    >>> score_error_in_space(np.array([[2.0, 0.0]]), np.array([[0.1, 0.0]]), 0.5e-6)
    0.002
    """
    distance = float(np.sqrt(2 * max(slack, 0.0)))
    sizes = np.linalg.norm(scores, axis=1)
    lengths = np.linalg.norm(points, axis=1)
    if targets is not None:
        natural = np.full(len(points), float(np.sqrt(np.mean(np.sum(targets**2, axis=1)))))
    else:
        with np.errstate(divide="ignore"):
            natural = 1 / lengths  # infinite at 0, where no network without biases can be wrong
    sizes = np.maximum(sizes, natural)
    if distance == 0:
        return 0.0
    return float(np.max(distance / sizes)) if (sizes > 0).all() else np.inf
