r"""Networks of squares: training has a closed form, the fitted Gaussian and a part of the skewness.

With :math:`\sigma(u) = u^2` a two-layer network on the line is a parabola.  A neuron of large bias and small
weight is nearly a line and costs nearly nothing, so that lines are free and only the coefficient of
:math:`x^2` is penalised.  The power of the penalty is three, one more than the degree of the activation:

.. math:: \frac{\beta}{3} \sum_j (|\alpha_j|^3 + 2 |w_j|^3) \ge \beta \sum_j |\alpha_j| w_j^2 .
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_data, as_noisy_sample, as_numbers, as_sample, as_weight_decay
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate, NotCertifiedError, score_error_in_space

__all__ = ["QuadraticScore", "quadratic_denoising", "quadratic_score_matching"]


@result
class QuadraticScore:
    r"""A parabola, the score that an optimal network of squares tends to.

    .. math:: s(x) = A (x - \mu)^2 + B (x - \mu) + C

    Parameters
    ----------
    beta : float
    centre : float
        The mean of the data.
    coefficients : array of shape (3,)
        A, B and C.
    certificate : Certificate
        Recomputed from the data alone.

    Examples
    --------
    >>> fit = quadratic_score_matching([-1.0, 0.0, 1.0], beta=1.0)
    >>> fit([-2.0, 2.0]).tolist(), fit.curvature
    ([3.0, -3.0], 0.0)
    """

    beta: float
    centre: float
    coefficients: FloatArray
    certificate: Certificate

    @property
    def value(self) -> float:
        """The infimum of the training loss."""
        return self.certificate.primal

    @property
    def curvature(self) -> float:
        """The coefficient A of the square, which weight decay sees."""
        return float(self.coefficients[0])

    def _facts(self) -> dict[str, object]:
        return {"beta": self.beta, "value": self.value, "curvature": self.curvature}

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at x, any shape."""
        return _parabola(self.coefficients, as_numbers(x, "x") - self.centre)

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return its slope at x, any shape."""
        return _slope(self.coefficients, as_numbers(x, "x") - self.centre)

    @property
    def is_normalisable(self) -> bool:
        """Whether a density has this score, which needs a line that falls."""
        return self.curvature == 0 and float(self.coefficients[1]) < 0


def _parabola(coefficients: FloatArray, u: FloatArray) -> FloatArray:
    A, B, C = coefficients
    return (A * u + B) * u + C


def _slope(coefficients: FloatArray, u: FloatArray) -> FloatArray:
    return 2 * coefficients[0] * u + coefficients[1]


def quadratic_score_matching(x: ArrayLike, beta: float) -> QuadraticScore:
    r"""Train a network of squares by score matching, in closed form.

    .. math:: \inf \sum_i \big[\tfrac12 s(x_i)^2 + s'(x_i)\big]
              + \frac{\beta}{3} \sum_j (|\alpha_j|^3 + 2 |w_j|^3), \qquad
              s(x) = \sum_j \alpha_j (w_j x + b_j)^2 + b_0

    With the central moments :math:`m_2, m_3, m_4` of the data, :math:`k = n\, m_3/m_2` and
    :math:`Q = n (m_4 - m_3^2/m_2 - m_2^2)`,

    .. math:: A = \mathrm{sign}(k) \frac{(|k| - \beta)_+}{Q}, \quad
              s = -\frac{x - \mu}{m_2} + A \Big[(x-\mu)^2 - \frac{m_3}{m_2}(x - \mu) - m_2\Big], \quad
              p^* = -\frac{n}{2 m_2} - \frac{(|k| - \beta)_+^2}{2 Q} .

    Parameters
    ----------
    x : array of shape (n,)
    beta : float

    Returns
    -------
    QuadraticScore
        The limit of the scores of networks whose losses tend to the infimum.

    Raises
    ------
    ValueError
        If x is malformed or has fewer than two distinct points, or if it has two and beta is below
        :math:`|k|`: then the loss has no lower bound.
    NotCertifiedError
        If rounding spoils the answer: three points of which two are all but equal.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).gamma(3.0, size=100)
    >>> fit = quadratic_score_matching(x, beta=20.0)
    >>> fit.certificate.holds, fit.is_normalisable
    (True, False)
    """
    points, decay = as_data(as_sample(x), "x")[:, 0], as_weight_decay(beta)
    sites = len(np.unique(points))
    if sites < 2:
        raise ValueError("x must have two distinct points: with one, a line lowers the loss without limit")
    parts = _parts(points)
    gain = -float(np.sum(2 * parts.u) - parts.lean * len(points))
    if sites == 2 and abs(gain) > decay * (1 + 1e-12):
        raise ValueError(
            f"beta = {beta} is below {abs(gain):.6g}: on two distinct points of unlike multiplicity the loss "
            "of a network of squares has no lower bound"
        )
    line = -len(points) / float(parts.u @ parts.u)
    return _fitted(parts, 0.0 if sites == 2 else gain, line, 0.0, decay, None)


def quadratic_denoising(x_noisy: ArrayLike, targets: ArrayLike, beta: float) -> QuadraticScore:
    r"""Train a network of squares by denoising score matching, in closed form.

    The best line, and :math:`A = \mathrm{sign}(c) (|c| - \beta)_+ / Q` times what is left of the squares when
    their best line is taken out, where c is the inner product of that with the targets and Q its square.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
    beta : float

    Returns
    -------
    QuadraticScore

    Raises
    ------
    ValueError
        If the data are malformed.
    NotCertifiedError
        If rounding spoils the answer.

    Examples
    --------
    >>> fit = quadratic_denoising([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0], beta=0.1)
    >>> round(fit.curvature, 6), fit.certificate.holds
    (0.85, True)
    """
    sample, aims = as_noisy_sample(x_noisy, targets)
    points = as_data(sample, "x_noisy")[:, 0]
    labels, decay = as_data(aims, "targets", smallest=0.0)[:, 0], as_weight_decay(beta)
    parts, sites = _parts(points), len(np.unique(points))
    middle = float(labels.mean())
    line = float(parts.u @ (labels - middle)) / float(parts.u @ parts.u) if sites > 1 else 0.0
    gain = float(parts.rest @ (labels - middle - line * parts.u)) if sites > 2 else 0.0
    return _fitted(parts, gain, line, middle, decay, labels)


class _Parts(NamedTuple):
    """Distances u from the mean, and what a line leaves of their squares: u^2 - lean u - level."""

    centre: float
    u: FloatArray
    lean: float
    level: float
    rest: FloatArray


def _parts(points: FloatArray) -> _Parts:
    centre = float(points.mean())
    u = points - centre
    u = u - u.mean()
    squares = u**2
    level = float(squares.mean())
    lean = float(u @ (squares - level)) / float(u @ u) if u.any() else 0.0
    rest = squares - level - lean * u
    return _Parts(centre, u, lean, level, rest)


def _fitted(
    parts: _Parts, gain: float, line: float, middle: float, beta: float, labels: FloatArray | None
) -> QuadraticScore:
    """Threshold what the square gains, put the score together, and certify it."""
    square = float(parts.rest @ parts.rest)
    A = float(np.sign(gain)) * (abs(gain) - beta) / square if abs(gain) > beta else 0.0
    coefficients = np.array([A, line - A * parts.lean, middle - A * parts.level])
    certificate = _certificate(parts.u, coefficients, beta, labels)
    found = QuadraticScore(beta, parts.centre, coefficients, certificate)
    if not certificate.holds:
        raise NotCertifiedError(f"the parabola could not be certified: {certificate}", found)
    return found


def _certificate(
    u: FloatArray, coefficients: FloatArray, beta: float, labels: FloatArray | None
) -> Certificate:
    r"""Judge a parabola from the data alone.

    Weak duality: for z with z^T 1 = 0, z^T u = n (denoising: 0) and |z^T u^2 - 2 sum u| <= beta (denoising:
    |z^T u^2| <= beta) no network of squares has a loss below -1/2 |z|^2 (denoising: z^T l - 1/2 |z|^2).
    """
    n, scores = len(u), _parabola(coefficients, u)
    aims = np.zeros(n) if labels is None else labels
    slopes = _slope(coefficients, u) if labels is None else np.zeros(n)
    z = aims - scores
    primal = float(np.sum(0.5 * z**2 + slopes) + beta * abs(coefficients[0]))
    apart = aims - aims.mean()
    dual = float(z @ apart - 0.5 * (z @ z))
    counts = float(n) if labels is None else 0.0
    drift = 2 * float(u.sum()) if labels is None else 0.0
    width = float(np.sqrt(np.mean(u**2))) or 1.0
    unit = 1 / width if labels is None else float(np.sqrt(np.mean(aims**2))) or 1.0
    misses = (
        abs(float(z.sum())) / unit,
        abs(float(z @ u) - counts) / (unit * width),
        max(abs(float(z @ u**2) - drift) - beta, 0.0) / (unit * width**2),
    )
    simple = n / (2 * width**2) if labels is None else 0.5 * float(apart @ apart)
    scale = max(abs(primal), abs(dual), simple, n * (1e-11 * float(np.abs(aims).max())) ** 2)
    error = score_error_in_space(
        u[:, None], scores[:, None], abs(primal - dual), None if labels is None else aims[:, None]
    )
    return Certificate(
        primal,
        dual,
        max(misses) / n,
        scale,
        score_error=error,
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )
