r"""Sampling with a score: unadjusted Langevin dynamics, plain and annealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._memory import keep_freed_memory
from .._progress import Bar
from .._validation import FloatArray, as_count, as_generator, as_points, as_positive, as_sample

if TYPE_CHECKING:  # PyTorch takes seconds to import; a tensor brings it along
    import torch

__all__ = ["annealed_langevin_dynamics", "langevin_dynamics"]

_Score = TypeVar("_Score", bound=Callable[..., Any])


@overload
def langevin_dynamics(
    score: Callable[[torch.Tensor], torch.Tensor],
    x0: torch.Tensor,
    *,
    step_size: float,
    n_steps: int,
    rng: torch.Generator | int,
    progress: bool = False,
) -> torch.Tensor: ...


@overload
def langevin_dynamics(
    score: Callable[[FloatArray], FloatArray],
    x0: ArrayLike,
    *,
    step_size: float,
    n_steps: int,
    rng: np.random.Generator | int,
    progress: bool = False,
) -> FloatArray: ...


def langevin_dynamics(
    score: Callable[[Any], Any],
    x0: Any,
    *,
    step_size: float,
    n_steps: int,
    rng: Any,
    progress: bool = False,
) -> Any:
    r"""Run unadjusted Langevin dynamics from every starting point at once (Algorithm 2 of the paper).

    .. math:: x \leftarrow x + \eta\, s(x) + \sqrt{2\eta}\, \xi, \qquad \xi \sim \mathcal N(0, 1)

    The paper's introduction writes the same step with :math:`\epsilon = 2\eta`.  With a PyTorch tensor as
    starting points everything happens on its device, a GPU for instance.

    Parameters
    ----------
    score : callable
        Maps an array of points to their scores, same shape.
    x0 : array, or torch.Tensor
        Starting points, any shape.
    step_size : float
        :math:`\eta`, positive.
    n_steps : int
        Number of steps, at least 0.
    rng : numpy.random.Generator, torch.Generator, or int
        Of NumPy for arrays, of PyTorch and on the same device for tensors; or the seed of one.
    progress : bool
        Whether to show a bar that counts steps.

    Returns
    -------
    array, or torch.Tensor
        Positions after the last step, shape of x0; a tensor has its type and device, and no gradient.

    Raises
    ------
    ValueError
        If x0 is not finite, the step size is not positive, the number of steps is negative, the score's
        shape is not that of its argument, or it does not hold real numbers.
    TypeError
        If score cannot be called, rng is no Generator of the right kind and no seed, or a tensor does not
        hold floating-point numbers.
    FloatingPointError
        If positions are infinite or no numbers after the last step: because the score is, or because the step
        is so large that the chain runs away.

    Examples
    --------
    >>> import numpy as np
    >>> x = langevin_dynamics(lambda x: -x, np.zeros(1000), step_size=0.1, n_steps=100, rng=0)
    >>> bool(0.8 < x.std() < 1.2)
    True
    """
    eta, steps = as_positive(step_size, "step_size"), as_count(n_steps, "n_steps")
    if not callable(score):
        raise TypeError(f"score must be callable; got {score!r:.80}")
    with Bar(progress, "langevin_dynamics", "step", steps) as bar:
        return _walked(score, x0, eta, steps, rng, bar)


def _walked(score: Callable[[Any], Any], x0: Any, eta: float, steps: int, rng: Any, bar: Bar) -> Any:
    """Take the steps, and count them."""
    x, taken, draw = _on_tensors(x0, rng) if hasattr(x0, "new_empty") else _on_arrays(x0, rng)
    for _ in bar.over(range(steps)):
        drift = taken(score(x))
        if drift.shape != x.shape:
            raise ValueError(
                f"score must return an array of shape {tuple(x.shape)}; got {tuple(drift.shape)}"
            )
        x = x + eta * drift
        noise = draw()
        noise *= float(np.sqrt(2 * eta))
        x += noise
    finite = abs(x) < np.inf  # once is enough: what is infinite, or no number, never becomes finite again
    if not finite.all():
        raise FloatingPointError(
            f"{int((~finite).sum())} positions are not finite after {steps} steps of {eta:g}: "
            "the score is not finite, or the step is too large for it"
        )
    return x


def _seeded(x0: Any, rng: Any) -> Any:
    """Return a generator of the kind that starting points ask for, where rng is a seed."""
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer):
        return rng
    seed = as_count(int(rng), "rng")
    if not hasattr(x0, "new_empty"):
        return np.random.default_rng(seed)
    import torch

    return torch.Generator(x0.device).manual_seed(seed)


def _on_arrays(
    x0: ArrayLike, rng: np.random.Generator | int
) -> tuple[Any, Callable[[Any], Any], Callable[[], Any]]:
    """Return a copy of the starting points, what takes a score, and what draws standard normal numbers."""
    x, generator = as_points(x0, "x0"), as_generator(_seeded(x0, rng))
    keep_freed_memory()
    noise = np.empty(x.shape)

    def taken(drift: Any) -> NDArray[Any]:
        values = np.asarray(drift)
        if values.dtype.kind not in "biuf":
            raise ValueError(f"score must return real numbers; got an array of {values.dtype}")
        return values

    return x, taken, lambda: generator.standard_normal(out=noise)


def _on_tensors(
    x0: torch.Tensor, rng: torch.Generator | int
) -> tuple[Any, Callable[[Any], Any], Callable[[], Any]]:
    """The same on the device of a tensor, in its type, and without a record of gradients."""
    import torch

    if not x0.is_floating_point():
        raise TypeError(f"x0 must hold floating-point numbers; got a tensor of {x0.dtype}")
    if not bool(x0.isfinite().all()):
        raise ValueError(f"x0 must be finite; {int((~x0.isfinite()).sum())} entries are not")
    generator = _seeded(x0, rng)
    if not hasattr(generator, "manual_seed"):
        raise TypeError(f"rng must be a torch.Generator where x0 is a tensor; got {rng!r:.80}")
    noise = x0.new_empty(x0.shape)

    def taken(drift: Any) -> torch.Tensor:
        values = torch.as_tensor(drift).detach()
        if values.is_complex():
            raise ValueError(f"score must return real numbers; got a tensor of {values.dtype}")
        return values.to(x0)

    return x0.detach().clone(), taken, lambda: noise.normal_(generator=generator)


@overload
def annealed_langevin_dynamics(
    scores: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    sigmas: ArrayLike,
    x0: torch.Tensor,
    *,
    step_size: float,
    n_steps_each: int | Sequence[int],
    rng: torch.Generator | int,
    progress: bool = False,
) -> torch.Tensor: ...


@overload
def annealed_langevin_dynamics(
    scores: Sequence[Callable[[FloatArray], FloatArray]],
    sigmas: ArrayLike,
    x0: ArrayLike,
    *,
    step_size: float,
    n_steps_each: int | Sequence[int],
    rng: np.random.Generator | int,
    progress: bool = False,
) -> FloatArray: ...


def annealed_langevin_dynamics(
    scores: Sequence[Callable[[Any], Any]],
    sigmas: ArrayLike,
    x0: Any,
    *,
    step_size: float,
    n_steps_each: int | Sequence[int],
    rng: Any,
    progress: bool = False,
) -> Any:
    r"""Run Langevin dynamics with the score of each noise level in turn, from the largest to the smallest.

    Level i takes its steps with :math:`\eta_i = \eta\, \sigma_i^2 / \sigma_L^2`, where :math:`\eta` is the
    ``step_size`` and :math:`\sigma_L` the smallest level:

    .. math:: x \leftarrow x + \eta_i\, s_i(x) + \sqrt{2\eta_i}\, \xi, \qquad \xi \sim \mathcal N(0, 1)

    This is Algorithm 1 of Song and Ermon (2019), their :math:`\alpha_i` being :math:`2\eta_i`.  The score of
    a law smoothed by :math:`\sigma` nowhere falls faster than with slope :math:`-1/\sigma^2`, so
    :math:`\eta_i / \sigma_i^2`, the same at every level, decides whether a step can overshoot: below 1 it
    cannot.  The paper (Section 4.2; Algorithm 3 of its older text) leaves the rule for the steps open.

    Parameters
    ----------
    scores : sequence of callables
        One per noise level; each maps an array of points to their scores, same shape.
    sigmas : array of shape (L,)
        Noise levels, positive and strictly decreasing.
    x0 : array, or torch.Tensor
        Starting points, any shape.
    step_size : float
        :math:`\eta`, the step at the smallest level, positive.
    n_steps_each : int or sequence of int
        Number of steps at every level, or one number per level; each at least 0.
    rng : numpy.random.Generator, torch.Generator, or int
        As for `langevin_dynamics`.
    progress : bool
        Whether to show a bar that counts steps, of all levels together.

    Returns
    -------
    array, or torch.Tensor
        Positions after the last step, shape of x0.

    Raises
    ------
    ValueError
        If there is not one score and one number of steps per level, the levels are not positive and strictly
        decreasing, or `langevin_dynamics` refuses an argument.
    TypeError
        If scores is no sequence, a score cannot be called, or `langevin_dynamics` refuses rng.
    FloatingPointError
        If positions are infinite or no numbers after the last step of a level.

    References
    ----------
    Y. Song and S. Ermon, Generative Modeling by Estimating Gradients of the Data Distribution, NeurIPS 2019.

    Examples
    --------
    The scores of a standard normal law after smoothing by 1 and by 0.5:

    >>> import numpy as np
    >>> from convexdiff_lib.datasets import standard_normal
    >>> sigmas = [1.0, 0.5]
    >>> scores = [standard_normal().smoothed(sigma).score for sigma in sigmas]
    >>> start, rng = np.zeros(1000), np.random.default_rng(0)
    >>> x = annealed_langevin_dynamics(
    ...     scores, sigmas, start, step_size=0.1, n_steps_each=20, rng=rng
    ... )
    >>> bool(0.9 < x.std() < 1.4)
    True
    """
    levels = annealed_steps(scores, sigmas, step_size=step_size, n_steps_each=n_steps_each)
    x, rng, total = x0, _seeded(x0, rng), sum(n_steps for _, _, n_steps in levels)
    with Bar(progress, "annealed_langevin_dynamics", "step", total) as bar:
        for score, eta, n_steps in levels:
            x = _walked(score, x, eta, n_steps, rng, bar)
    return x


def annealed_steps(
    scores: Sequence[_Score],
    sigmas: ArrayLike,
    *,
    step_size: float,
    n_steps_each: int | Sequence[int],
) -> list[tuple[_Score, float, int]]:
    """Return score, step and number of steps of every level, once they fit together."""
    levels = as_sample(sigmas, "sigmas")
    if not (levels > 0).all() or not (np.diff(levels) < 0).all():
        raise ValueError(f"sigmas must be positive and strictly decreasing; got {levels.tolist()!r:.80}")
    if not isinstance(scores, Sequence):
        raise TypeError(f"scores must be a sequence, with one score per level; got {scores!r:.80}")
    if len(scores) != len(levels):
        raise ValueError(f"scores must hold one score per level, {len(levels)}; got {len(scores)}")
    for i, score in enumerate(scores):
        if not callable(score):
            raise TypeError(f"scores[{i}] must be callable; got {score!r:.80}")
    steps = _one_per_level(n_steps_each, len(levels))
    smallest = as_positive(step_size, "step_size")
    etas = [smallest * float(sigma / levels[-1]) ** 2 for sigma in levels]
    return list(zip(scores, etas, steps, strict=True))


def _one_per_level(n_steps: int | Sequence[int], levels: int) -> list[int]:
    if not isinstance(n_steps, list | tuple | np.ndarray):
        return [as_count(n_steps, "n_steps_each")] * levels  # type: ignore[arg-type]
    if len(n_steps) != levels:
        raise ValueError(f"n_steps_each must be one number, or one per level, {levels}; got {len(n_steps)}")
    return [as_count(n, "n_steps_each") for n in n_steps]
