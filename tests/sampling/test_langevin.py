"""Unadjusted and annealed Langevin dynamics against the law that a linear score propagates exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from strategies import DEVICES

from convexdiff_lib import score_matching
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.datasets import GaussianMixture, standard_normal
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics, langevin_dynamics


def linear(x: FloatArray) -> FloatArray:
    return -(x - 3.0)


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_mean_and_variance_obey_their_recursion(eta: float, steps: int) -> None:
    """For s(x) = -(x - 3) a Gaussian law stays Gaussian: m <- m + eta (3 - m), V <- (1 - eta)^2 V + 2 eta."""
    n, mean, variance = 200_000, -2.0, 0.0
    for _ in range(steps):
        mean, variance = mean + eta * (3 - mean), (1 - eta) ** 2 * variance + 2 * eta
    x = langevin_dynamics(
        linear, np.full(n, -2.0), step_size=eta, n_steps=steps, rng=np.random.default_rng(0)
    )
    # Seven standard deviations of a sample mean and of a sample variance: together below 1e-11.
    assert abs(x.mean() - mean) <= 7 * np.sqrt(variance / n)
    assert abs(x.var() - variance) <= 7 * variance * np.sqrt(2 / n)


def test_the_law_itself_is_the_papers_step() -> None:
    """Kolmogorov-Smirnov against the Gaussian after two steps; 2 exp(-2 n t^2) = 1e-6 at the bound."""
    from scipy.special import ndtr

    n, eta = 100_000, 0.5
    x = langevin_dynamics(linear, np.zeros(n), step_size=eta, n_steps=2, rng=np.random.default_rng(3))
    mean, variance = 3 * (1 - (1 - eta) ** 2), (1 - eta) ** 2 * 2 * eta + 2 * eta
    exact = ndtr((np.sort(x) - mean) / np.sqrt(variance))
    assert np.max(np.abs(exact - np.arange(n) / n)) <= np.sqrt(np.log(2 / 1e-6) / (2 * n)) + 1 / n


def test_no_steps_return_a_copy_of_the_start() -> None:
    start = np.array([1.0, 2.0])
    x = langevin_dynamics(linear, start, step_size=0.1, n_steps=0, rng=np.random.default_rng(0))
    assert x.tolist() == [1.0, 2.0]
    x[0] = 9.0
    assert start.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("shape", [(), (5,), (4, 3)])
def test_shape_is_that_of_the_start(shape: tuple[int, ...]) -> None:
    start = np.zeros(shape)
    x = langevin_dynamics(linear, start, step_size=0.1, n_steps=3, rng=np.random.default_rng(0))
    assert x.shape == shape
    assert (start == 0).all()


def test_the_path_depends_on_the_generator_alone() -> None:
    def run(seed: int) -> FloatArray:
        return langevin_dynamics(linear, [0, 1, 2], step_size=0.1, n_steps=9, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).all()


def test_every_start_has_its_own_noise() -> None:
    x = langevin_dynamics(linear, np.zeros(1000), step_size=0.1, n_steps=1, rng=np.random.default_rng(0))
    assert len(np.unique(x)) == 1000


SIGMAS = [1.0, 0.5, 0.1]


def smoothed_scores(law: GaussianMixture, sigmas: list[float] = SIGMAS) -> list:
    return [law.smoothed(sigma).score for sigma in sigmas]


def linear_law(start: float, eta: float, sigmas: list[float], steps: list[int]) -> tuple[float, float]:
    """Mean and variance after annealing from a point, for normal data: every level's score is linear."""
    mean, variance = start, 0.0
    for sigma, n in zip(sigmas, steps, strict=True):
        step = eta * sigma**2 / sigmas[-1] ** 2
        for _ in range(n):
            factor = 1 - step / (1 + sigma**2)
            mean, variance = factor * mean, factor**2 * variance + 2 * step
    return mean, variance


@pytest.mark.parametrize("steps", [7, [2, 9, 30], [0, 4, 0]])
@pytest.mark.parametrize("eta", [1e-4, 5e-3])
def test_annealing_obeys_the_recursion_of_its_levels(eta: float, steps: int | list[int]) -> None:
    """The step is step_size at the smallest level and grows with the square of the level."""
    n = 100_000
    each = [steps] * 3 if isinstance(steps, int) else steps
    mean, variance = linear_law(2.0, eta, SIGMAS, each)
    x = annealed_langevin_dynamics(
        smoothed_scores(standard_normal()),
        SIGMAS,
        np.full(n, 2.0),
        step_size=eta,
        n_steps_each=steps,
        rng=np.random.default_rng(1),
    )
    # Seven standard deviations of a sample mean and of a sample variance: together below 1e-11.
    assert abs(x.mean() - mean) <= 7 * np.sqrt(variance / n)
    assert abs(x.var() - variance) <= 7 * variance * np.sqrt(2 / n)


def test_one_level_is_plain_langevin() -> None:
    start = np.linspace(-1, 1, 50)
    plain = langevin_dynamics(linear, start, step_size=0.02, n_steps=13, rng=np.random.default_rng(4))
    annealed = annealed_langevin_dynamics(
        [linear], [0.3], start, step_size=0.02, n_steps_each=13, rng=np.random.default_rng(4)
    )
    np.testing.assert_array_equal(plain, annealed)


def test_levels_are_taken_in_order_with_their_own_steps() -> None:
    """Without noise to speak of: each level adds its constant score times its step."""
    visited = []

    def constant(level: int):
        def score(x: FloatArray) -> FloatArray:
            visited.append(level)
            return np.full_like(x, 1e6 * 10**level)

        return score

    x = annealed_langevin_dynamics(
        [constant(0), constant(1)],
        [3.0, 1.0],
        np.zeros(4),
        step_size=1e-6,
        n_steps_each=[2, 3],
        rng=np.random.default_rng(0),
    )
    assert visited == [0, 0, 1, 1, 1]
    # 2 steps of 9e-6 with score 1e6, 3 of 1e-6 with 1e7; noise of standard deviation 0.0065, times ten.
    assert np.max(np.abs(x - (18 + 30))) <= 0.065


def test_annealing_leaves_the_start_alone_and_keeps_its_shape() -> None:
    start = np.zeros((4, 3))
    x = annealed_langevin_dynamics(
        smoothed_scores(standard_normal()),
        SIGMAS,
        start,
        step_size=1e-3,
        n_steps_each=np.int64(2),  # type: ignore[arg-type]
        rng=np.random.default_rng(0),
    )
    assert x.shape == (4, 3)
    assert (start == 0).all()
    assert len(np.unique(x)) == 12


def test_annealing_finds_both_modes_where_plain_langevin_finds_one() -> None:
    """Two far modes, all starts in one of them: the large noise levels bridge the gap."""
    law = GaussianMixture((-8.0, 8.0), 0.5)
    sigmas, start = [10.0, 4.0, 1.5, 0.5, 0.2], np.full(2000, 8.0)
    plain = langevin_dynamics(law.score, start, step_size=0.02, n_steps=500, rng=np.random.default_rng(0))
    annealed = annealed_langevin_dynamics(
        smoothed_scores(law, sigmas),
        sigmas,
        start,
        step_size=0.02,
        n_steps_each=100,
        rng=np.random.default_rng(0),
    )
    assert (plain < 0).mean() == 0.0
    # Ten standard errors of a fair coin, 0.11, and the bias of finite steps.
    assert abs((annealed < 0).mean() - 0.5) <= 0.2


# --- On tensors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_take_the_same_steps(device: str) -> None:
    """Without noise nothing but the place of the numbers differs; with it, the law is the same."""
    fit = score_matching(np.random.default_rng(0).normal(size=50), beta=5.0)
    network = fit.network()
    score = network.to_torch(device=device).requires_grad_(False)
    x = np.linspace(-4, 4, 101)
    there = torch.as_tensor(x, device=device)
    generator = torch.Generator(device).manual_seed(0)
    assert np.max(np.abs(score(there).cpu().numpy() - network(x))) <= 1e-12  # rounding
    tiny = 1e-30  # the noise is lost to rounding
    moved = langevin_dynamics(lambda y: score(y) * 1e29, there, step_size=tiny, n_steps=7, rng=generator)
    same = langevin_dynamics(
        lambda y: network(y) * 1e29, x, step_size=tiny, n_steps=7, rng=np.random.default_rng(0)
    )
    assert np.max(np.abs(moved.cpu().numpy() - same)) <= 1e-12
    start = torch.zeros(100_000, dtype=torch.float64, device=device)
    end = langevin_dynamics(lambda y: -y, start, step_size=0.1, n_steps=100, rng=generator)
    # The chain is an autoregression of variance 2 eta / (1 - (1 - eta)^2); six standard errors.
    variance = 0.2 / (1 - 0.81)
    assert abs(float(end.var()) / variance - 1) <= 6 * np.sqrt(2 / 100_000)
    assert end.device == start.device
    assert not start.any()  # nothing is changed in place


def test_annealing_on_tensors() -> None:
    scores = [lambda x, s=s: -x / (1 + s**2) for s in (1.0, 0.1)]
    x = annealed_langevin_dynamics(
        scores,
        [1.0, 0.1],
        torch.zeros((3, 2), dtype=torch.float64),
        step_size=0.001,
        n_steps_each=2,
        rng=torch.Generator().manual_seed(0),
    )
    assert isinstance(x, torch.Tensor)
    assert x.shape == (3, 2)


def test_bad_tensors() -> None:
    generator = torch.Generator()
    options = {"step_size": 0.1, "n_steps": 1}
    with pytest.raises(TypeError, match=r"floating-point numbers; got a tensor of torch\.int64"):
        langevin_dynamics(torch.neg, torch.zeros(2, dtype=torch.int64), rng=generator, **options)
    with pytest.raises(ValueError, match="x0 must be finite; 1 entries are not"):
        langevin_dynamics(torch.neg, torch.tensor([0.0, torch.nan]), rng=generator, **options)
    with pytest.raises(TypeError, match=r"rng must be a torch\.Generator where x0 is a tensor"):
        langevin_dynamics(torch.neg, torch.zeros(2), rng=np.random.default_rng(0), **options)
    with pytest.raises(ValueError, match="score must return"):
        langevin_dynamics(torch.sum, torch.zeros(2), rng=generator, **options)


# --- What a broken score does ----------------------------------------------------------------------------


def walk(score, x0=(0.0, 1.0), **options):
    options = {"step_size": 0.1, "n_steps": 3, "rng": np.random.default_rng(0)} | options
    return langevin_dynamics(score, x0, **options)


def test_a_broken_score_is_noticed() -> None:
    with pytest.raises(TypeError, match="score must be callable; got 5"):
        walk(5, n_steps=0)
    with pytest.raises(ValueError, match="real numbers; got an array of complex128"):
        walk(lambda x: x + 0j)
    with pytest.raises(ValueError, match="real numbers; got an array of object"):
        walk(lambda x: x.astype(object))
    with pytest.raises(FloatingPointError, match=r"1 positions are not finite after 3 steps of 0\.1"):
        walk(lambda x: np.where(x == x[0], np.nan, 0.0))
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(FloatingPointError, match="the step is too large"),
    ):
        walk(lambda x: -x, step_size=3.0, n_steps=2000)  # every step doubles the distance
    with pytest.raises(TypeError, match="scores must be a sequence"):
        annealed_langevin_dynamics(
            linear,  # type: ignore[arg-type]
            [1.0],
            [0.0],
            step_size=0.1,
            n_steps_each=1,
            rng=np.random.default_rng(0),
        )


def test_a_broken_score_is_noticed_on_tensors() -> None:
    options = {"rng": torch.Generator()}
    with pytest.raises(ValueError, match=r"real numbers; got a tensor of torch\.complex64"):
        walk(lambda x: x + 0j, torch.zeros(2), **options)
    with pytest.raises(FloatingPointError, match="2 positions are not finite"):
        walk(lambda x: x * torch.nan, torch.zeros(2), **options)


def in_place(x):
    x *= 0.5
    return -x


def test_a_score_that_works_in_place_leaves_the_start_alone() -> None:
    start, there = np.ones(3), torch.ones(3)
    walk(in_place, start)
    walk(in_place, there, rng=torch.Generator())
    assert (start == 1).all()
    assert bool((there == 1).all())


def test_no_steps_return_a_copy_of_a_tensor() -> None:
    start = torch.ones(3)
    x = walk(torch.neg, start, n_steps=0, rng=torch.Generator())
    x[0] = 9.0
    assert start.tolist() == [1.0, 1.0, 1.0]


def test_tensors_keep_their_type_and_carry_no_gradient() -> None:
    weight = torch.ones(3, requires_grad=True)

    def record(x: torch.Tensor) -> torch.Tensor:
        assert not x.requires_grad
        return -x * weight

    for score in (record, lambda x: -x.numpy(), lambda x: -x.double()):
        start = torch.ones(3, requires_grad=score is record)
        x = walk(score, start, rng=torch.Generator())
        assert x.dtype == torch.float32
        assert not x.requires_grad


def test_the_step_may_be_a_tensor_or_an_array_without_axes() -> None:
    for step in (torch.tensor(0.1, dtype=torch.float64), np.array(0.1)):
        assert (walk(linear, step_size=step) == walk(linear)).all()
    with pytest.raises(ValueError, match="step_size must be a positive finite number"):
        walk(linear, step_size=torch.ones(2))


# --- Seeds -----------------------------------------------------------------------------------------------


def test_a_seed_stands_for_its_generator() -> None:
    for seed in (0, 7, np.int64(7)):
        expected = walk(linear, rng=np.random.default_rng(int(seed)))
        assert walk(linear, rng=seed).tolist() == expected.tolist()
    start = torch.zeros(3)
    seeded = walk(torch.neg, start, rng=5)
    assert torch.equal(seeded, walk(torch.neg, start, rng=torch.Generator().manual_seed(5)))


def test_all_levels_share_the_generator_of_a_seed() -> None:
    """With a new generator for each level the noise would come again."""
    start, options = np.zeros(50), {"step_size": 0.1, "n_steps_each": 1}
    seeded = annealed_langevin_dynamics([linear] * 2, [2.0, 1.0], start, rng=3, **options)
    drawn = np.random.default_rng(3)
    assert seeded.tolist() == (
        annealed_langevin_dynamics([linear] * 2, [2.0, 1.0], start, rng=drawn, **options).tolist()
    )
    tensors = [torch.neg] * 2, [2.0, 1.0], torch.zeros(50)
    one = annealed_langevin_dynamics(*tensors, rng=3, **options)
    assert torch.equal(
        one, annealed_langevin_dynamics(*tensors, rng=torch.Generator().manual_seed(3), **options)
    )


@pytest.mark.parametrize("bad", [-1, True, 1.0, "0", None])
def test_what_is_no_seed(bad: object) -> None:
    for start, scores in ((np.zeros(2), linear), (torch.zeros(2), torch.neg)):
        with pytest.raises((TypeError, ValueError), match="rng must be "):
            walk(scores, start, rng=bad)


@pytest.mark.parametrize("scores", [linear, (linear for _ in range(2)), {linear}, 5])
def test_scores_are_a_sequence(scores: object) -> None:
    with pytest.raises(TypeError, match="scores must be a sequence, with one score per level; got"):
        annealed_langevin_dynamics(scores, [2.0, 1.0], [0.0], step_size=0.1, n_steps_each=1, rng=0)  # type: ignore[call-overload]


@pytest.mark.parametrize("device", DEVICES)
def test_seeds_and_gradients_on_a_device(device: str) -> None:
    weight = torch.ones(3, device=device, requires_grad=True)
    start = torch.ones(3, dtype=torch.float32, device=device, requires_grad=True)
    x = walk(lambda y: -y * weight, start, rng=0, step_size=torch.tensor(0.1, device=device))
    assert (x.device, x.dtype, x.requires_grad) == (start.device, torch.float32, False)
    assert x.grad_fn is None
    assert bool((start == 1).all())
