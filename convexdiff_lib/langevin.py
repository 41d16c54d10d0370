r"""Sampling with a score: unadjusted Langevin dynamics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_count, as_generator, as_points, as_positive

__all__ = ["langevin_dynamics"]


def langevin_dynamics(
    score: Callable[[FloatArray], FloatArray],
    x0: ArrayLike,
    *,
    step_size: float,
    n_steps: int,
    rng: np.random.Generator,
) -> FloatArray:
    r"""Run unadjusted Langevin dynamics from every starting point at once (Algorithm 2 of the paper).

    .. math:: x \leftarrow x + \eta\, s(x) + \sqrt{2\eta}\, \xi, \qquad \xi \sim \mathcal N(0, 1)

    The paper's introduction writes the same step with :math:`\epsilon = 2\eta`.

    Parameters
    ----------
    score : callable
        Maps an array of points to their scores, same shape.
    x0 : array
        Starting points, any shape.
    step_size : float
        :math:`\eta`, positive.
    n_steps : int
        Number of steps, at least 0.
    rng : numpy.random.Generator

    Returns
    -------
    array
        Positions after the last step, shape of x0.

    Raises
    ------
    ValueError
        If x0 is not finite, the step size is not positive, the number of steps is negative, or the score's
        shape is not that of its argument.
    TypeError
        If rng is not a numpy Generator.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = langevin_dynamics(lambda x: -x, np.zeros(1000), step_size=0.1, n_steps=100, rng=rng)
    >>> bool(0.8 < x.std() < 1.2)
    True
    """
    x, eta = as_points(x0, "x0"), as_positive(step_size, "step_size")
    steps, generator = as_count(n_steps, "n_steps"), as_generator(rng)
    for _ in range(steps):
        drift = score(x)
        if np.shape(drift) != x.shape:
            raise ValueError(f"score must return an array of shape {x.shape}; got {np.shape(drift)}")
        x = x + eta * drift + np.sqrt(2 * eta) * generator.normal(size=x.shape)
    return x
