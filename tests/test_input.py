"""Bad input at every public door: the error says what was given and what is allowed."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import FrameType
from typing import Any

import library
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from convexdiff_lib import (
    SmoothNetwork,
    TwoLayerNetwork,
    certified_gap,
    denoising_loss,
    denoising_score_matching,
    score_matching,
    score_matching_loss,
    score_matching_path,
)
from convexdiff_lib.book import Panel
from convexdiff_lib.datasets import Cross, GaussianMixture, Spiral, Uniform, perturb
from convexdiff_lib.line.chains import ChainNetwork
from convexdiff_lib.line.closed_forms import large_weight_decay, large_weight_decay_threshold
from convexdiff_lib.line.deep import (
    deep_denoising_score_matching,
    deep_score_matching,
    smallest_deep_penalty,
)
from convexdiff_lib.line.deep_certificates import certify_deep_denoising, certify_deep_score_matching
from convexdiff_lib.line.estimator import ScoreMatchingDensity
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.memorisation import memorisation_law
from convexdiff_lib.line.mode_weights import weigh_modes
from convexdiff_lib.line.network_certificates import certify_denoising, certify_score_matching, dual_violation
from convexdiff_lib.line.path import denoising_path, solution_path
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.line.problem import line_problem
from convexdiff_lib.line.quadratic import quadratic_denoising, quadratic_score_matching
from convexdiff_lib.line.sample import Sample, smallest_weight_decay
from convexdiff_lib.line.selection import choose_weight_decay, pointwise_loss, score_error
from convexdiff_lib.paper.activation_programs import quadratic_program, smooth_program, smooth_threshold
from convexdiff_lib.paper.deep_abs_programs import chain_program
from convexdiff_lib.paper.deep_programs import deep_denoising_program, deep_score_matching_program, runs_of
from convexdiff_lib.paper.multivariate_programs import (
    blocks_of_network,
    descent_direction,
    falling_network,
    multivariate_program,
    precision_score,
    printed_blocks,
    printed_solution,
    program_value,
)
from convexdiff_lib.paper.nonconvex import train_denoising, train_multivariate, train_score_matching
from convexdiff_lib.paper.smooth_training import train_smooth
from convexdiff_lib.paper.spiral_experiment import SpiralSetting, likeness
from convexdiff_lib.paper.univariate_programs import (
    denoising_dual,
    denoising_network_from_program,
    denoising_program,
    network_from_program,
    score_matching_dual,
    score_matching_program,
)
from convexdiff_lib.plots import draw, draw_data, draw_histogram, panels
from convexdiff_lib.sampling.exact_law import annealed_laws, averaged_law, propagate
from convexdiff_lib.sampling.grid_law import GridLaw
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics, langevin_dynamics
from convexdiff_lib.space.arrangements import (
    chamber_signs,
    coverage,
    enumerate_arrangements,
    iterate_chambers,
    printed_patterns,
)
from convexdiff_lib.space.circles import largest_response, response_peaks
from convexdiff_lib.space.cones import network_from_blocks, split_in_cone
from convexdiff_lib.space.counting import count_arrangements, count_bound, count_chambers
from convexdiff_lib.space.cross_products import cross_product
from convexdiff_lib.space.directions import largest_response as wedge_response
from convexdiff_lib.space.directions import wedge_directions
from convexdiff_lib.space.gated import (
    certify_gated,
    critical_weight_decay,
    gated_denoising,
    gated_score_matching,
)
from convexdiff_lib.space.gated_skip import (
    bisecting_gates,
    certify_gated_skip,
    gated_skip_denoising,
    gated_skip_path,
)
from convexdiff_lib.space.group_lasso import certify_group_lasso, solve_group_lasso
from convexdiff_lib.space.grown_neurons import certify_neurons, grown_denoising, neurons_denoising
from convexdiff_lib.space.interpolation import best_values, value_constraints
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_denoising, planar_score_matching
from convexdiff_lib.space.planar_certificates import (
    certify_planar,
    certify_planar_denoising,
    certify_planar_score_matching,
)
from convexdiff_lib.space.problem import gated_problem, planar_problem
from convexdiff_lib.space.wedge import certify_wedge, wedge_denoising

# Loose types on purpose: every call here breaks its type.
Door = Callable[[Any], Any]

LINE = TwoLayerNetwork.univariate([], [], [], v=-1.0)
PLANE = TwoLayerNetwork(np.ones((1, 2)), np.ones(1), np.ones((2, 1)), np.ones(2), np.eye(2))
KINK = KinkNetwork(np.zeros(1), np.ones(1), np.ones(1), np.zeros(1, dtype=bool))
RUN = ChainNetwork(np.array([[0.0, 1.0]]), np.zeros((1, 2), dtype=bool), np.ones(1))
RUNNING = RUN.three_layer(0.1)
NORMAL = PiecewiseLinearScore(np.zeros(1), np.zeros(1), -1.0, -1.0)
GOOD = [0.0, 1.0, 3.0]
MEMORY = memorisation_law([0.0, 1.0], np.eye(2))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def torch_rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def train(x: Any = GOOD, beta: Any = 2.0, **options: Any) -> Any:
    settings: dict[str, Any] = {"generator": torch_rng(), "n_epochs": 1} | options
    return train_score_matching(x, beta, **settings)


def train_noisy(x: Any = GOOD, targets: Any = GOOD, beta: Any = 2.0, **options: Any) -> Any:
    settings: dict[str, Any] = {"generator": torch_rng(), "n_epochs": 1} | options
    return train_denoising(x, targets, beta, **settings)


def train_hinges(x: Any = GOOD, **options: Any) -> Any:
    return train_smooth(x, 2.0, generator=torch_rng(), n_epochs=1, n_trials=1, width=2, **options)


HINGE = SmoothNetwork([1.0], [0.0], [1.0])


def certify(
    x: Any = GOOD, z: Any = (0.0, 0.0, 0.0), network: Any = KINK, beta: Any = 2.0, **options: Any
) -> Any:
    return certify_score_matching(x, network, z, beta, **options)


def certify_noisy(
    x: Any = GOOD,
    targets: Any = GOOD,
    z: Any = (0.0, 0.0, 0.0),
    network: Any = KINK,
    beta: Any = 2.0,
    **options: Any,
) -> Any:
    return certify_denoising(x, targets, network, z, beta, **options)


def reconstruct(y: Any, **options: Any) -> Any:
    return network_from_program(GOOD, y, **options)


def walk(
    score: Any = np.negative, x0: Any = GOOD, step_size: Any = 0.1, n_steps: Any = 2, generator: Any = None
) -> Any:
    return langevin_dynamics(score, x0, step_size=step_size, n_steps=n_steps, rng=generator or rng())


def anneal(
    sigmas: Any = (3.0, 2.0, 1.0),
    scores: Any = (np.negative,) * 3,
    x0: Any = GOOD,
    n_steps_each: Any = 1,
    **options: Any,
) -> Any:
    settings: dict[str, Any] = {"step_size": 0.1, "rng": rng()} | options
    return annealed_langevin_dynamics(scores, sigmas, x0, n_steps_each=n_steps_each, **settings)


ROWS, BLOCKS, GATES = np.eye(2), np.zeros((1, 2, 2)), np.ones((1, 2))


def certify_gates(
    X: Any = ROWS, targets: Any = ROWS, patterns: Any = GATES, W: Any = BLOCKS, Q: Any = ROWS, beta: Any = 1.0
) -> Any:
    return certify_gated(X, targets, patterns, W, Q, beta)


PLANES = np.array([[1.0, 0.0, -0.5]])  # a hyperplane, the constant last


def certify_planes(
    X: Any = ROWS,
    targets: Any = ROWS,
    gates: Any = PLANES,
    W: Any = np.zeros((1, 3, 2)),  # noqa: B008
    V: Any = np.zeros((3, 2)),  # noqa: B008
    Q: Any = ROWS,
) -> Any:
    return certify_gated_skip(X, targets, gates, W, V, Q, 1.0)


def certify_grown(
    X: Any = ROWS,
    targets: Any = ROWS,
    first: Any = PLANES,
    weights: Any = np.zeros((1, 2)),  # noqa: B008
    V: Any = np.zeros((3, 2)),  # noqa: B008
    Q: Any = ROWS,
) -> Any:
    return certify_neurons(X, targets, first, weights, V, Q, 1.0)


def grow(X: Any = ROWS, targets: Any = ROWS, beta: Any = 1.0, **options: Any) -> Any:
    settings: dict[str, Any] = {"rng": rng(), "rounds": 1, "newcomers": 2} | options
    return grown_denoising(X, targets, beta, **settings)


def neurons(
    X: Any = ROWS, W: Any = BLOCKS, patterns: Any = GATES, generators: Any = GATES, activation: Any = "relu"
) -> Any:
    return network_from_blocks(X, W, patterns, generators, activation=activation)


NO_NEURONS = TwoLayerNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((2, 0)), np.zeros(2), np.zeros((2, 2)))


def certify_plane(
    X: Any = ROWS,
    targets: Any = ROWS,
    network: Any = NO_NEURONS,
    Q: Any = ROWS,
    beta: Any = 1.0,
    activation: Any = "relu",
) -> Any:
    return certify_planar_denoising(X, targets, network, Q, beta, activation=activation)


def train_many(X: Any = ROWS, targets: Any = ROWS) -> Any:
    return train_multivariate(X, targets, 1.0, generator=torch_rng(), n_epochs=1)


def train_spiral(X: Any = ROWS, targets: Any = ROWS) -> Any:
    return SpiralSetting().train(X, targets, width=1, n_trials=1, n_epochs=1, seed=0)


QUADRATIC = quadratic_program(ROWS, 100.0)
SCREEN = Panel("screen", x=(0.0, 1.0), y=(0.0, 1.0))
NODES = np.linspace(-9.0, 9.0, 181)
LAW = GridLaw.normal(0.0, 1.0, nodes=NODES)


def carry(score: Any = np.negative, step_size: Any = 0.1, n_steps: Any = 2, max_loss: Any = 1.0) -> Any:
    return propagate(LAW, score, step_size=step_size, n_steps=n_steps, max_loss=max_loss)


def carry_levels(sigmas: Any = (3.0, 2.0, 1.0), step_size: Any = 0.1, max_loss: Any = 1.0) -> Any:
    scores = (np.negative,) * 3
    laws = annealed_laws(LAW, scores, sigmas, step_size=step_size, n_steps_each=1, max_loss=max_loss)
    return list(laws)


def choose(x: Any = GOOD, betas: Any = (4.0,), generator: Any = None, **options: Any) -> Any:
    return choose_weight_decay(x, betas, rng=generator or rng(), **({"folds": 2} | options))


VECTOR_DOORS: dict[str, tuple[str, Door]] = {
    "score_matching": ("x", lambda x: score_matching(x, 2.0)),
    "large_weight_decay": ("x", lambda x: large_weight_decay(x, 3.0)),
    "large_weight_decay_threshold": ("x", large_weight_decay_threshold),
    "smallest_weight_decay": ("x", smallest_weight_decay),
    "memorisation law": ("x", lambda x: memorisation_law(x, GOOD)),
    "smallest_weight_decay's weights": (
        "sample_weight",
        lambda w: smallest_weight_decay(GOOD, sample_weight=w),
    ),
    "sample": ("x", Sample.of),
    "sample's targets": ("targets", lambda t: Sample.of(GOOD, t)),
    "sample's weights": ("sample_weight", lambda w: Sample.of(GOOD, None, w)),
    "line_problem": ("x", lambda x: line_problem(x, 5.0)),
    "line_problem's targets": ("targets", lambda t: line_problem(GOOD, 5.0, targets=t)),
    "line_problem's weights": ("sample_weight", lambda w: line_problem(GOOD, 5.0, sample_weight=w)),
    "score_matching's weights": ("sample_weight", lambda w: score_matching(GOOD, 5.0, sample_weight=w)),
    "path weights": ("sample_weight", lambda w: score_matching_path(GOOD, [5.0], sample_weight=w)),
    "selection's weights": ("sample_weight", lambda w: choose(betas=(20.0,), sample_weight=w)),
    "weights of modes": ("sample_weight", lambda w: weigh_modes(NORMAL, GOOD, sample_weight=w)),
    "estimator's weights": (
        "sample_weight",
        lambda w: ScoreMatchingDensity(1.0).fit(np.reshape(GOOD, (-1, 1)), sample_weight=w),
    ),
    "denoising weights": (
        "sample_weight",
        lambda w: denoising_score_matching(GOOD, GOOD, 2.0, sample_weight=w),
    ),
    "certified gap": ("x", lambda x: certified_gap(HINGE, x, 2.0)),
    "certified gap's targets": ("targets", lambda t: certified_gap(HINGE, GOOD, 2.0, targets=t)),
    "loss of a smooth network": ("x", lambda x: HINGE.loss(x, 2.0)),
    "loss of a smooth network, targets": ("targets", lambda t: HINGE.loss(GOOD, 2.0, targets=t)),
    "quadratic": ("x", lambda x: quadratic_score_matching(x, 9.0)),
    "quadratic denoising x": ("x_noisy", lambda x: quadratic_denoising(x, GOOD, 2.0)),
    "quadratic denoising targets": ("targets", lambda t: quadratic_denoising(GOOD, t, 2.0)),
    "smooth program": ("x", lambda x: smooth_program(x, 2.0, resolution=2)),
    "smooth program's sharpness": (
        "sharpness",
        lambda w: smooth_program(GOOD, 2.0, sharpness=w, resolution=2),
    ),
    "smooth threshold": ("x", lambda x: smooth_threshold(x, resolution=2)),
    "smooth threshold's sharpness": (
        "sharpness",
        lambda w: smooth_threshold(GOOD, sharpness=w, resolution=2),
    ),
    "train hinges": ("x", train_hinges),
    "train hinges, targets": ("targets", lambda t: train_hinges(targets=t)),
    "path x": ("x", lambda x: score_matching_path(x, [2.0])),
    "path betas": ("betas", lambda b: score_matching_path(GOOD, b)),
    "denoising x": ("x_noisy", lambda x: denoising_score_matching(x, GOOD, 2.0)),
    "denoising targets": ("targets", lambda t: denoising_score_matching(GOOD, t, 2.0)),
    "certify denoising x": ("x_noisy", lambda x: certify_noisy(x=x)),
    "certify denoising targets": ("targets", lambda t: certify_noisy(targets=t)),
    "certify denoising z": ("z", lambda z: certify_noisy(z=z)),
    "certify x": ("x", lambda x: certify(x=x)),
    "certify z": ("z", lambda z: certify(z=z)),
    "dual_violation x": ("x", lambda x: dual_violation(x, [0.0] * 3, 2.0)),
    "dual_violation z": ("z", lambda z: dual_violation(GOOD, z, 2.0)),
    "deep_score_matching": ("x", lambda x: deep_score_matching(x, 2.0)),
    "smallest_deep_penalty": ("x", smallest_deep_penalty),
    "deep denoising x": ("x_noisy", lambda x: deep_denoising_score_matching(x, GOOD, 2.0)),
    "deep denoising targets": ("targets", lambda t: deep_denoising_score_matching(GOOD, t, 2.0)),
    "certify deep x": ("x", lambda x: certify_deep_score_matching(x, RUN, GOOD, 2.0)),
    "certify deep z": ("z", lambda z: certify_deep_score_matching(GOOD, RUN, z, 2.0)),
    "certify deep noisy x": ("x_noisy", lambda x: certify_deep_denoising(x, GOOD, RUN, GOOD, 2.0)),
    "certify deep noisy targets": ("targets", lambda t: certify_deep_denoising(GOOD, t, RUN, GOOD, 2.0)),
    "certify deep noisy z": ("z", lambda z: certify_deep_denoising(GOOD, GOOD, RUN, z, 2.0)),
    "chain program x": ("x", lambda x: chain_program(x, 2.0)),
    "chain program targets": ("targets", lambda t: chain_program(GOOD, 2.0, targets=t)),
    "runs": ("x", runs_of),
    "deep program": ("x", lambda x: deep_score_matching_program(x, 2.0)),
    "deep denoising program x": ("x_noisy", lambda x: deep_denoising_program(x, GOOD, 2.0)),
    "deep denoising program targets": ("targets", lambda t: deep_denoising_program(GOOD, t, 2.0)),
    "chains": ("x", RUN),
    "chains' derivative": ("x", RUN.derivative),
    "deep network": ("x", RUNNING),
    "deep network's derivative": ("x", RUNNING.derivative),
    "deep network's loss": ("x", RUNNING.score_matching_loss),
    "kink network": ("x", KINK),
    "kink network's derivative": ("x", KINK.derivative),
    "program": ("x", lambda x: score_matching_program(x, 2.0)),
    "program's dual": ("x", lambda x: score_matching_dual(x, 2.0)),
    "value of a program": ("y", score_matching_program(GOOD, 2.0).value_at),
    "denoising program x": ("x_noisy", lambda x: denoising_program(x, GOOD, 2.0)),
    "denoising program targets": ("targets", lambda y: denoising_program(GOOD, y, 2.0)),
    "denoising dual x": ("x_noisy", lambda x: denoising_dual(x, GOOD, 2.0)),
    "denoising dual targets": ("targets", lambda y: denoising_dual(GOOD, y, 2.0)),
    "reconstruct x": ("x", lambda x: network_from_program(x, np.zeros(12))),
    "reconstruct y": ("y", lambda y: network_from_program(GOOD, y)),
    "denoising network x": ("x_noisy", lambda x: denoising_network_from_program(x, GOOD, np.zeros(6))),
    "denoising network targets": ("targets", lambda y: denoising_network_from_program(GOOD, y, np.zeros(6))),
    "denoising network y": ("y", lambda y: denoising_network_from_program(GOOD, GOOD, y)),
    "train": ("x", train),
    "train_denoising x": ("x_noisy", train_noisy),
    "train_denoising targets": ("targets", lambda x: train_noisy(targets=x)),
    "annealed levels": ("sigmas", anneal),
    "levels of a law": ("sigmas", carry_levels),
    "choose": ("x", choose),
    "solution_path": ("x", lambda x: solution_path(x, down_to=2.0)),
    "denoising_path x": ("x_noisy", lambda x: denoising_path(x, GOOD, down_to=2.0)),
    "denoising_path targets": ("targets", lambda x: denoising_path(GOOD, x, down_to=2.0)),
    "choose among": ("betas", lambda b: choose(betas=b)),
    "pointwise_loss": ("x", lambda x: pointwise_loss(NORMAL, x)),
    "weigh_modes": ("x", lambda x: weigh_modes(NORMAL, x)),
    "interval": ("interval", lambda i: score_error(NORMAL, GaussianMixture(), i)),
    "knots": ("knots", lambda x: PiecewiseLinearScore(x, np.zeros(3), -1.0, -1.0)),
    "values": ("values", lambda x: PiecewiseLinearScore(np.arange(3.0), x, -1.0, -1.0)),
    "centers": ("centers", GaussianMixture),
    "nodes": ("nodes", lambda x: GridLaw(x, NODES)),
    "mass": ("mass", lambda x: GridLaw(NODES, x)),
    "samples": ("samples", LAW.distance_to),
    "nodes of a normal law": ("nodes", lambda x: GridLaw.normal(0.0, 1.0, nodes=x)),
    "nodes of a uniform law": ("nodes", lambda x: GridLaw.uniform(0.0, 1.0, nodes=x)),
    "draw_data": ("x", lambda x: draw_data(plt.gca(), x)),
    "draw_histogram": ("x", lambda x: draw_histogram(plt.gca(), x, (0.0, 1.0))),
}
MATRIX_DOORS: dict[str, tuple[str, Door]] = {
    "network": ("x", PLANE),
    "divergence": ("x", PLANE.divergence),
    "quadratic program": ("X", lambda x: quadratic_program(x, 100.0)),
    "quadratic program's targets": ("targets", lambda x: quadratic_program(ROWS, 1.0, targets=x)),
    "score of a quadratic program": ("X", lambda x: QUADRATIC(x)),
    "score_matching_loss": ("x", lambda x: score_matching_loss(PLANE, x, 1.0)),
    "perturb": ("x", lambda x: perturb(x, 1.0, rng())),
    "denoising_loss x": ("x_noisy", lambda x: denoising_loss(PLANE, x, np.zeros((2, 2)), 1.0)),
    "denoising_loss targets": ("targets", lambda x: denoising_loss(PLANE, np.zeros((2, 2)), x, 1.0)),
    "memorisation law's noise": ("noise", lambda d: memorisation_law([0.0, 1.0], d)),
    "arrangements": ("X", enumerate_arrangements),
    "chambers in blocks": ("X", lambda x: list(iterate_chambers(x))),
    "signs of chambers": ("X", chamber_signs),
    "nearest on a spiral": ("x", Spiral().nearest),
    "score of a spiral": ("x", lambda x: Spiral().score(x, 1.0)),
    "likeness": ("x", lambda x: likeness(x, Spiral())),
    "wedge X": ("X", lambda x: wedge_denoising(x, ROWS, 1.0)),
    "wedge targets": ("targets", lambda x: wedge_denoising(ROWS, x, 1.0)),
    "wedge directions": ("X", wedge_directions),
    "wedge response X": ("X", lambda x: wedge_response(x, ROWS)),
    "wedge response Q": ("Q", lambda x: wedge_response(ROWS, x)),
    "response peaks": ("X", lambda x: response_peaks(x, ROWS)),
    "group Lasso K": ("K", lambda x: solve_group_lasso(x, ROWS, 1.0)),
    "group Lasso L": ("L", lambda x: solve_group_lasso(ROWS, x, 1.0)),
    "count of chambers": ("X", count_chambers),
    "printed patterns": ("X", printed_patterns),
    "coverage": (
        "X",
        lambda x: coverage(x, enumerate_arrangements(ROWS), 3, np.random.default_rng(0)),
    ),
    "gated denoising X": ("X", lambda x: gated_denoising(x, ROWS, GATES, 1.0)),
    "gated denoising targets": ("targets", lambda x: gated_denoising(ROWS, x, GATES, 1.0)),
    "gated score matching": ("X", lambda x: gated_score_matching(x, GATES, 1.0)),
    "gates and skip X": ("X", lambda x: gated_skip_denoising(x, ROWS, PLANES, 1.0)),
    "gates and skip targets": ("targets", lambda x: gated_skip_denoising(ROWS, x, PLANES, 1.0)),
    "gates and skip gates": ("gates", lambda x: gated_skip_denoising(ROWS, ROWS, x, 1.0)),
    "path of gates X": ("X", lambda x: gated_skip_path(x, ROWS, PLANES, [1.0])),
    "path of gates targets": ("targets", lambda x: gated_skip_path(ROWS, x, PLANES, [1.0])),
    "path of gates gates": ("gates", lambda x: gated_skip_path(ROWS, ROWS, x, [1.0])),
    "gates and skip score": ("x", gated_skip_denoising(ROWS, ROWS, PLANES, 1.0)),
    "bisecting gates": ("points", lambda x: bisecting_gates(x, 2, rng())),
    "certify gates and skip X": ("X", lambda x: certify_planes(X=x)),
    "certify gates and skip targets": ("targets", lambda x: certify_planes(targets=x)),
    "certify gates and skip gates": ("gates", lambda x: certify_planes(gates=x)),
    "neurons X": ("X", lambda x: neurons_denoising(x, ROWS, PLANES, 1.0)),
    "neurons targets": ("targets", lambda x: neurons_denoising(ROWS, x, PLANES, 1.0)),
    "neurons first layer": ("neurons", lambda x: neurons_denoising(ROWS, ROWS, x, 1.0)),
    "grown score": ("x", neurons_denoising(ROWS, ROWS, PLANES, 1.0)),
    "grown X": ("X", lambda x: grow(X=x)),
    "grown targets": ("targets", lambda x: grow(targets=x)),
    "grown start": ("start", lambda x: grow(start=x)),
    "certify grown X": ("X", lambda x: certify_grown(X=x)),
    "certify grown targets": ("targets", lambda x: certify_grown(targets=x)),
    "certify grown neurons": ("neurons", lambda x: certify_grown(first=x)),
    "certify grown weights": ("weights", lambda x: certify_grown(weights=x)),
    "certify grown V": ("V", lambda x: certify_grown(V=x)),
    "certify grown Q": ("Q", lambda x: certify_grown(Q=x)),
    "critical weight decay": ("X", lambda x: critical_weight_decay(x, GATES)),
    "certify gated X": ("X", lambda x: certify_gates(X=x)),
    "neurons' X": ("X", lambda x: neurons(X=x)),
    "value_constraints": ("X", value_constraints),
    "best_values X": ("X", lambda x: best_values(x, ROWS)),
    "best_values targets": ("targets", lambda x: best_values(ROWS, x)),
    "printed blocks": ("X", lambda x: printed_blocks(x, GATES)),
    "printed solution": ("X", lambda x: printed_solution(x, GATES)),
    "descent direction": ("X", lambda x: descent_direction(x, GATES)),
    "value of a multivariate program": ("X", lambda x: program_value(x, GATES, BLOCKS)),
    "multivariate program": ("X", lambda x: multivariate_program(x, GATES)),
    "precision score": ("X", precision_score),
    "falling network": ("X", lambda x: falling_network(x, 0.1)),
    "blocks of a network": ("X", lambda x: blocks_of_network(x, NO_NEURONS, GATES)),
    "planar score matching": ("X", lambda x: planar_score_matching(x, 1.0)),
    "planar critical weight decay": ("X", planar_critical_weight_decay),
    "planar problem's targets": ("targets", lambda x: planar_problem(ROWS, 1.0, targets=x)),
    "gated problem's targets": ("targets", lambda x: gated_problem(ROWS, GATES, 1.0, targets=x)),
    "certify any planar Q": ("Q", lambda x: certify_planar(planar_problem(ROWS, 1.0), NO_NEURONS, x)),
    "certify planar matching X": ("X", lambda x: certify_planar_score_matching(x, NO_NEURONS, ROWS, 1.0)),
    "certify planar matching Q": ("Q", lambda x: certify_planar_score_matching(ROWS, NO_NEURONS, x, 1.0)),
    "planar X": ("X", lambda x: planar_denoising(x, ROWS, 1.0)),
    "planar targets": ("targets", lambda x: planar_denoising(ROWS, x, 1.0)),
    "response to X": ("X", lambda x: largest_response(x, ROWS)),
    "response to Q": ("Q", lambda x: largest_response(ROWS, x)),
    "certify planar X": ("X", lambda x: certify_plane(X=x)),
    "certify planar targets": ("targets", lambda x: certify_plane(targets=x)),
    "certify planar Q": ("Q", lambda x: certify_plane(Q=x)),
    "certify group Lasso K": ("K", lambda x: certify_group_lasso(x, ROWS, ROWS, ROWS, 1.0)),
    "certify group Lasso L": ("L", lambda x: certify_group_lasso(ROWS, x, ROWS, ROWS, 1.0)),
    "certify group Lasso Z": ("Z", lambda x: certify_group_lasso(ROWS, ROWS, x, ROWS, 1.0)),
    "certify group Lasso Q": ("Q", lambda x: certify_group_lasso(ROWS, ROWS, ROWS, x, 1.0)),
    "certify wedge X": ("X", lambda x: certify_wedge(x, ROWS, NO_NEURONS, ROWS, 1.0)),
    "certify wedge targets": ("targets", lambda x: certify_wedge(ROWS, x, NO_NEURONS, ROWS, 1.0)),
    "certify wedge Q": ("Q", lambda x: certify_wedge(ROWS, ROWS, NO_NEURONS, x, 1.0)),
    "certify gated targets": ("targets", lambda x: certify_gates(targets=x)),
    "targets of a multivariate program": ("targets", lambda x: multivariate_program(ROWS, GATES, x)),
    "planar score": ("x", planar_denoising(ROWS, ROWS, 1.0)),
    "wedge score": ("x", wedge_denoising(ROWS, ROWS, 1.0)),
    "train many dimensions": ("X", lambda x: train_many(X=x)),
    "train many dimensions, targets": ("targets", lambda x: train_many(targets=x)),
    "fit a spiral": ("X", lambda x: SpiralSetting().fit(x, ROWS)),
    "fit a spiral, targets": ("targets", lambda x: SpiralSetting().fit(ROWS, x)),
    "train on a spiral": ("X", lambda x: train_spiral(X=x)),
    "train on a spiral, targets": ("targets", lambda x: train_spiral(targets=x)),
    "rows of a cone": ("rows", lambda x: split_in_cone([1.0, 1.0], x, [1.0, 1.0])),
}
ANY_SHAPE_DOORS: dict[str, tuple[str, Door]] = {
    "langevin start": ("x0", lambda x: walk(x0=x)),
    "annealed start": ("x0", lambda x: anneal(x0=x)),
    "W1": ("W1", lambda x: TwoLayerNetwork(x, np.ones(1), np.ones((1, 1)), np.ones(1), np.ones((1, 1)))),
    "V": ("V", lambda x: TwoLayerNetwork(np.ones((1, 1)), np.ones(1), np.ones((1, 1)), np.ones(1), x)),
    "smooth w": ("w", lambda x: SmoothNetwork(x, [0.0] * 3, [1.0] * 3)),
    "smooth b": ("b", lambda x: SmoothNetwork([1.0] * 3, x, [1.0] * 3)),
    "smooth alpha": ("alpha", lambda x: SmoothNetwork([1.0] * 3, [0.0] * 3, x)),
    "smooth network": ("x", HINGE),
    "slope of a smooth network": ("x", HINGE.derivative),
    "w": ("w", lambda x: TwoLayerNetwork.univariate(x, [0.0] * 3, [1.0] * 3)),
    "b": ("b", lambda x: TwoLayerNetwork.univariate([1.0] * 3, x, [1.0] * 3)),
    "alpha": ("alpha", lambda x: TwoLayerNetwork.univariate([1.0] * 3, [0.0] * 3, x)),
    "gates of denoising": ("patterns", lambda x: gated_denoising(ROWS, ROWS, x, 1.0)),
    "gates of score matching": ("patterns", lambda x: gated_score_matching(ROWS, x, 1.0)),
    "gates of the critical weight decay": ("patterns", lambda x: critical_weight_decay(ROWS, x)),
    "gated W": ("W", lambda x: certify_gates(W=x)),
    "gated Q": ("Q", lambda x: certify_gates(Q=x)),
    "gates and skip W": ("W", lambda x: certify_planes(W=x)),
    "gates and skip V": ("V", lambda x: certify_planes(V=x)),
    "gates and skip Q": ("Q", lambda x: certify_planes(Q=x)),
    "neurons' W": ("W", lambda x: neurons(W=x)),
    "neurons' patterns": ("patterns", lambda x: neurons(patterns=x)),
    "neurons' generators": ("generators", lambda x: neurons(generators=x)),
    "certify gated patterns": ("patterns", lambda x: certify_gates(patterns=x)),
    "gates of printed blocks": ("patterns", lambda x: printed_blocks(ROWS, x)),
    "gates of a printed solution": ("patterns", lambda x: printed_solution(ROWS, x)),
    "gates of a descent direction": ("patterns", lambda x: descent_direction(ROWS, x)),
    "gates of a network": ("patterns", lambda x: blocks_of_network(ROWS, NO_NEURONS, x)),
    "gates of a multivariate program": ("patterns", lambda x: multivariate_program(ROWS, x)),
    "gates of a value": ("patterns", lambda x: program_value(ROWS, x, BLOCKS)),
    "W of a value": ("W", lambda x: program_value(ROWS, GATES, x)),
    "u of a cone": ("u", lambda x: split_in_cone(x, ROWS, [1.0, 1.0])),
    "generator of a cone": ("generator", lambda x: split_in_cone([1.0, 1.0], ROWS, x)),
    "line of a film x": ("x", lambda x: SCREEN.line(x, GOOD)),
    "line of a film y": ("y", lambda y: SCREEN.line(GOOD, y)),
    "region of a film x": ("x", lambda x: SCREEN.region(x, GOOD)),
    "region of a film y": ("y", lambda y: SCREEN.region(GOOD, y)),
    "dots of a film x": ("x", lambda x: SCREEN.dots(x, GOOD)),
    "dots of a film y": ("y", lambda y: SCREEN.dots(GOOD, y)),
    "rings of a film x": ("x", lambda x: SCREEN.rings(x, GOOD)),
    "rings of a film y": ("y", lambda y: SCREEN.rings(GOOD, y)),
    "handle of a film x": ("x", lambda x: SCREEN.handle(x, GOOD)),
    "handle of a film y": ("y", lambda y: SCREEN.handle(GOOD, y)),
}
FIT = score_matching(GOOD, 2.0)
EVALUATION_DOORS: dict[str, tuple[str, Door]] = {
    "fit": ("x", score_matching(GOOD, 2.0)),
    "log-density of a fit": ("x", FIT.log_density),
    "density of a fit": ("x", FIT.pdf),
    "distribution function of a fit": ("x", FIT.cdf),
    "quantile of a fit": ("p", FIT.quantile),
    "slope of a fit": ("x", FIT.derivative),
    "parabola": ("x", quadratic_score_matching(GOOD, 2.0)),
    "slope of a parabola": ("x", quadratic_score_matching(GOOD, 2.0).derivative),
    "closed form": ("x", large_weight_decay(GOOD, 2.5)),
    "log-density of a closed form": ("x", large_weight_decay(GOOD, 2.5).log_density),
    "piecewise-linear score": ("x", NORMAL),
    "integral": ("x", NORMAL.integral),
    "log-density": ("x", NORMAL.log_density),
    "density": ("x", NORMAL.pdf),
    "distribution function": ("x", NORMAL.cdf),
    "quantile of a score": ("p", NORMAL.quantile),
    "slope": ("x", NORMAL.derivative),
    "mixture's log-density": ("x", GaussianMixture().log_density),
    "mixture's score": ("x", GaussianMixture().score),
    "uniform log-density": ("x", Uniform().log_density),
    "uniform score": ("x", Uniform().score),
    "cross's log-density": ("x", Cross().log_density),
    "cross's score": ("x", Cross().score),
    "angle on a spiral": ("angle", Spiral().position),
    "quantile": ("u", LAW.quantile),
    "corners of a curve": ("at", lambda x: draw(plt.gca(), np.sin, (0.0, 1.0), "learned", at=x)),
}
ALL_DOORS = VECTOR_DOORS | MATRIX_DOORS | ANY_SHAPE_DOORS | EVALUATION_DOORS


class NAType:
    """What stands for a missing number in pandas has this name."""

    def __repr__(self) -> str:
        return "<NA>"


class Column:
    """A column of a table of another library: all that NumPy knows of it is how to make it an array."""

    def __init__(self, *entries: Any) -> None:
        self.entries = entries

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.entries, dtype=object)

    def __repr__(self) -> str:
        return f"0    {self.entries[0]}\n1    {self.entries[1]}\ndtype: object"


NO_NUMBERS: dict[str, Any] = {
    "string": "abc",
    "strings": ["a", "b", "c"],
    "strings of digits": ["1", "2", "3"],
    "None": None,
    "None inside": [0.0, None, 1.0],
    "complex": [0.0, 1j, 2.0],
    "complex array": np.array([0.0, 1.0, 2.0], dtype=complex),
    "ragged": [[1.0], [1.0, 2.0]],
    "objects": [{}, {}, {}],
    "tensor with a gradient": torch.ones(3, requires_grad=True),
    "tensor of a type that NumPy lacks": torch.ones(3, dtype=torch.bfloat16),
    "too large": [1, 10**400, 2],
    "fields": np.zeros(3, dtype=[("a", float)]),
    "dates": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="datetime64[D]"),
}


WALK_ON_TENSORS = {"langevin start", "annealed start"}
MAY_BE_NONE = {
    "chain program targets",
    "smallest_weight_decay's weights",
    "certified gap's targets",
    "loss of a smooth network, targets",
    "train hinges, targets",
    "quadratic program's targets",
    "certify gated targets",
    "grown start",
    "planar problem's targets",
    "gated problem's targets",
    "targets of a multivariate program",
    "train many dimensions, targets",
    "train on a spiral, targets",
    "sample's targets",
    "sample's weights",
    "line_problem's targets",
    "line_problem's weights",
    "score_matching's weights",
    "path weights",
    "selection's weights",
    "estimator's weights",
    "weights of modes",
    "denoising weights",
}


# What they are given is taken as it is, without rounding.
EXACT_DOORS = {
    "arrangements",
    "chambers in blocks",
    "signs of chambers",
    "count of chambers",
    "printed patterns",
}


@pytest.mark.parametrize("door", ALL_DOORS)
@pytest.mark.parametrize("bad", NO_NUMBERS)
def test_what_is_no_number_is_refused(door: str, bad: str) -> None:
    name, call = ALL_DOORS[door]
    given = NO_NUMBERS[bad]
    if door in EXACT_DOORS and bad in ("strings of digits", "too large"):
        call(given)
        return
    if "of a film" in door and bad == "ragged":  # each frame may have other points
        return
    taken = WALK_ON_TENSORS if isinstance(given, torch.Tensor) else MAY_BE_NONE if given is None else set()
    if door in taken:
        return
    with pytest.raises(ValueError, match=rf"^{name} must be .* of real numbers; got ") as caught:
        call(given)
    assert repr(given)[:20] in str(caught.value)


@pytest.mark.parametrize("door", ALL_DOORS)
def test_what_is_missing_is_counted(door: str) -> None:
    name, call = ALL_DOORS[door]
    for mark in (NAType(), None):
        message = rf": 2 of 4 entries are missing, the first is {name}\[1\] = {mark!r}; leave them out$"
        with pytest.raises(ValueError, match=message) as caught:
            call(Column(1.0, mark, 2.0, mark))
        assert f"got 0 1.0 1 {mark!r} dtype: object: " in str(caught.value)  # on one line


@pytest.mark.parametrize("door", ALL_DOORS)
def test_masked_entries_are_refused(door: str) -> None:
    name, call = ALL_DOORS[door]
    masked = np.ma.array([0.0, 1.0, 9999.0], mask=[False, False, True])
    with pytest.raises(
        ValueError,
        match=rf"^{name} must not have masked entries; 1 of 3 entries are, the first is {name}\[2\]",
    ):
        call(masked)
    with pytest.raises(ValueError, match=rf"^{name} must hold at least one point; all entries are masked"):
        call(np.ma.masked_all(3))


@pytest.mark.parametrize("door", MATRIX_DOORS)
def test_masked_entries_of_rows_are_refused(door: str) -> None:
    name, call = MATRIX_DOORS[door]
    rows = [np.ma.array([0.0, 1.0]), np.ma.array([0.0, 1.0], mask=[True, False])]
    with pytest.raises(ValueError, match=rf"1 of 4 entries are, the first is {name}\[1, 0\]"):
        call(rows)


def test_an_array_that_could_have_masked_entries_is_welcome() -> None:
    x = [0, 1, 3, 4, 4.5, 7]
    plain, whole = np.ma.array(x), np.ma.array([*x, 9999.0], mask=[0] * 6 + [1])
    assert score_matching(plain, 2.0).value == score_matching(x, 2.0).value
    assert abs(score_matching(x, 2.0).value + 0.2573333333) <= 1e-9  # as many digits as are written down
    assert score_matching(whole.compressed(), 2.0).value == score_matching(x, 2.0).value
    with pytest.raises(ValueError, match=r"^rows must not have masked entries"):
        cross_product(np.ma.array([[3, 0]], mask=[[False, True]]))


NANOSECONDS = 1_700_000_000_000_000_000 + 100 * np.array([0, 1, 3, 4, 9, 10])
ROUNDED: dict[str, Any] = {
    "int64": NANOSECONDS,
    "list": NANOSECONDS.tolist(),
    "objects": NANOSECONDS.astype(object),
    "tensor": torch.tensor(NANOSECONDS),
    "beside a float": [0.5, *NANOSECONDS.tolist()[1:]],
    "beyond int64": [0, 2**63 + 1, -1],
    "uint64": np.array([0, 2**64 - 1, 1], dtype=np.uint64),
    "largest int64": np.array([0, 2**63 - 1, 1]),
}


@pytest.mark.parametrize("door", ALL_DOORS)
@pytest.mark.parametrize("bad", ROUNDED)
def test_integers_are_not_rounded(door: str, bad: str) -> None:
    name, call = ALL_DOORS[door]
    given = ROUNDED[bad]
    if door in WALK_ON_TENSORS and isinstance(given, torch.Tensor):
        return
    if door in EXACT_DOORS:
        call(given)
        return
    message = (
        rf"^{name} must hold integers that double precision can hold; . of {len(given)} entries would be "
        rf"rounded, the first is {name}\[1\] = {int(given[1])}: .* {name} - {name}\.min\(\)"
    )
    with pytest.raises(ValueError, match=message):
        call(given)


def test_large_integers_that_are_exact() -> None:
    shifted = score_matching(NANOSECONDS - NANOSECONDS.min(), 2.0).value
    assert shifted == pytest.approx(-1.305758313e-05, rel=1e-8)
    x = np.array([0, 1, 3, 4, 9, 10])
    small = score_matching(x, 2.0).value
    for large in (2**60 + 2**40 * x, -(2**62) + 2**40 * x, (2**63 + 2**40 * x.astype(np.uint64))):
        for given in (large, large.tolist(), large.astype(object)):
            assert score_matching(given, 2.0).value == pytest.approx(small / 2.0**80, rel=1e-9)
    assert score_matching(NANOSECONDS.astype(float), 2.0).certificate.holds  # asked for


def test_an_array_of_no_dimension_is_one_point() -> None:
    one: Any = np.array(5.0)  # what numpy.loadtxt makes of a file with one number
    fit = score_matching(one, 1.0)
    assert fit.z.tolist() == [0.0]
    assert fit(one).tolist() == 0.0
    assert score_matching_path(GOOD, np.array(3.0))[0].value == score_matching(GOOD, 3.0).value
    assert LINE(one).tolist() == [-5.0]
    assert score_matching_loss(LINE, one, 0.0) == 11.5


@pytest.mark.parametrize("door", VECTOR_DOORS)
def test_one_column_is_told_how_to_be_a_vector(door: str) -> None:
    name, call = VECTOR_DOORS[door]
    with pytest.raises(ValueError, match=rf"got shape \(3, 1\); {name}\.squeeze\(\) makes it so"):
        call(np.ones((3, 1)))


@pytest.mark.parametrize("door", VECTOR_DOORS)
def test_what_is_not_finite_is_refused(door: str) -> None:
    name, call = VECTOR_DOORS[door]
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(
            ValueError, match=rf"^{name} must be finite; 1 of 3 .* first is {name}\[1\] = {value}"
        ):
            call([0.0, value, 1.0])


@pytest.mark.parametrize("door", VECTOR_DOORS)
def test_wrong_shapes_are_refused(door: str) -> None:
    name, call = VECTOR_DOORS[door]
    for bad, shape in (([[1.0, 2.0, 3.0]], r"\(1, 3\)"), (5.0, r"\(\)"), (np.zeros((3, 0)), r"\(3, 0\)")):
        with pytest.raises(
            ValueError, match=rf"^{name} must be one-dimensional, shape \(n,\); got shape {shape}"
        ):
            call(bad)
    empties: list[Any] = [[], (), np.zeros(0)]
    for empty in empties:
        with pytest.raises(ValueError, match=rf"^{name} must hold at least one point; got an empty array"):
            call(empty)


@pytest.mark.parametrize("door", MATRIX_DOORS)
def test_bad_matrices_are_refused(door: str) -> None:
    name, call = MATRIX_DOORS[door]
    for value in (np.nan, np.inf):
        message = rf"^{name} must be finite; 1 of 4 entries are not, the first is {name}\[0, 1\] = {value}"
        with pytest.raises(ValueError, match=message):
            call([[0.0, value], [1.0, 2.0]])
    wrong: list[Any] = [[], 5.0, np.zeros((2, 2, 2)), np.zeros((0, 2))]
    for bad in wrong:
        with pytest.raises(ValueError, match=rf"^{name} must have shape \(n,\) or \(n, d\)"):
            call(bad)


@pytest.mark.parametrize("door", ANY_SHAPE_DOORS)
def test_numbers_of_any_shape_must_be_finite(door: str) -> None:
    name, call = ANY_SHAPE_DOORS[door]
    for value in (np.nan, -np.inf):
        message = rf"^{name} must be finite; 2 of 3 entries are not, the first is {name}\[0\] = {value}"
        with pytest.raises(ValueError, match=message):
            call([value, 1.0, value])


POSITIVE_DOORS: dict[str, tuple[str, Door]] = {
    "score_matching": ("beta", lambda b: score_matching(GOOD, b)),
    "large_weight_decay": ("beta", lambda b: large_weight_decay(GOOD, b)),
    "denoising_score_matching": ("beta", lambda b: denoising_score_matching(GOOD, GOOD, b)),
    "slopes of a memorisation law": ("beta", MEMORY.slopes),
    "memorised points": ("beta", MEMORY.memorised),
    "error bound of a memorisation law": ("beta", lambda b: MEMORY.error_bound(b, 0.1)),
    "noise level of an error bound": ("sigma", lambda s: MEMORY.error_bound(1.0, s)),
    "noise level of training data": ("sigma", MEMORY.noisy),
    "noise level of measured slopes": ("sigma", lambda s: MEMORY.measured_slopes(np.negative, s)),
    "certify": ("beta", lambda b: certify(beta=b)),
    "certify denoising": ("beta", lambda b: certify_noisy(beta=b)),
    "solution_path": ("down_to", lambda b: solution_path(GOOD, down_to=b)),
    "denoising_path": ("down_to", lambda b: denoising_path(GOOD, GOOD, down_to=b)),
    "path at": ("beta", lambda b: solution_path(GOOD, down_to=2.0)(b)),
    "dual_violation": ("beta", lambda b: dual_violation(GOOD, GOOD, b)),
    "program": ("beta", lambda b: score_matching_program(GOOD, b)),
    "program's dual": ("beta", lambda b: score_matching_dual(GOOD, b)),
    "denoising program": ("beta", lambda b: denoising_program(GOOD, GOOD, b)),
    "denoising dual": ("beta", lambda b: denoising_dual(GOOD, GOOD, b)),
    "train": ("beta", lambda b: train(beta=b)),
    "learning rate": ("learning_rate", lambda b: train(learning_rate=b)),
    "train_denoising": ("beta", lambda b: train_noisy(beta=b)),
    "step size": ("step_size", lambda b: walk(step_size=b)),
    "annealed step size": ("step_size", lambda b: anneal(step_size=b)),
    "noise level": ("sigma", lambda b: perturb(GOOD, b, rng())),
    "pitch of a spiral": ("pitch", Spiral),
    "smoothing of a spiral": ("sigma", lambda s: Spiral().score(np.zeros((1, 2)), s)),
    "likeness, close": ("close", lambda c: likeness(np.zeros((1, 2)), Spiral(), close=c)),
    "smoothing": ("sigma", GaussianMixture().smoothed),
    "long arms": ("long", Cross),
    "short arms": ("short", lambda b: Cross(1.0, b)),
    "smoothing a cross": ("sigma", Cross().smoothed),
    "step of a law": ("step_size", lambda b: carry(step_size=b)),
    "steps of levels": ("step_size", lambda b: carry_levels(step_size=b)),
    "std": ("std", lambda b: GridLaw.normal(0.0, b, nodes=NODES)),
    "scale": ("scale", lambda b: GaussianMixture((0.0,), b)),
    "falling network": ("delta", lambda b: falling_network(ROWS, b)),
    "planar score matching": ("beta", lambda b: planar_score_matching(ROWS, b)),
    "certify planar matching": ("beta", lambda b: certify_planar_score_matching(ROWS, NO_NEURONS, ROWS, b)),
    "wedge penalty": ("lam", lambda b: wedge_denoising(ROWS, ROWS, b)),
    "group Lasso penalty": ("lam", lambda b: solve_group_lasso(ROWS, ROWS, b)),
    "group Lasso tolerance": ("tolerance", lambda b: solve_group_lasso(ROWS, ROWS, 1.0, tolerance=b)),
    "planar denoising": ("beta", lambda b: planar_denoising(ROWS, ROWS, b)),
    "certify planar": ("beta", lambda b: certify_plane(beta=b)),
    "gated denoising": ("beta", lambda b: gated_denoising(ROWS, ROWS, GATES, b)),
    "gates and skip": ("beta", lambda b: gated_skip_denoising(ROWS, ROWS, PLANES, b)),
    "path of gates": ("beta", lambda b: gated_skip_path(ROWS, ROWS, PLANES, [1.0, b])),
    "neurons": ("beta", lambda b: neurons_denoising(ROWS, ROWS, PLANES, b)),
    "grown": ("beta", lambda b: grow(beta=b)),
    "gated score matching": ("beta", lambda b: gated_score_matching(ROWS, GATES, b)),
    "certify gated": ("beta", lambda b: certify_gates(beta=b)),
}
NO_NUMBER: list[Any] = [
    "1.5",
    None,
    [1.0],
    np.array([1.0]),
    1j,
    True,
    {},
    np.array(True),
    np.array("2"),
    10**400,
]
NO_NUMBER += [torch.ones(1), torch.tensor(True), Decimal("NaN"), Decimal("sNaN")]


@pytest.mark.parametrize("door", POSITIVE_DOORS)
def test_positive_numbers(door: str) -> None:
    name, call = POSITIVE_DOORS[door]
    for bad in (0, 0.0, -1, -1e-300, np.nan, np.inf, -np.inf, *NO_NUMBER):
        with pytest.raises(
            ValueError, match=rf"^{name} must be a positive finite number; got {re.escape(repr(bad)[:80])}"
        ):
            call(bad)


NUMBERS: list[Any] = [2, 2.0, np.float32(2), np.int64(2), Fraction(2), Decimal(2), np.array(2), np.array(2.0)]
NUMBERS += [torch.tensor(2), torch.tensor(2.0, requires_grad=True)]


@pytest.mark.parametrize("beta", NUMBERS)
def test_any_real_number_will_do(beta: Any) -> None:
    plain = score_matching(GOOD, 2.0).value
    mixed: Any = [Fraction(0), 1, np.float32(3)]
    decimals: Any = [Decimal(0), Decimal("1.0"), Fraction(3)]
    for x in (GOOD, mixed, decimals, torch.tensor(GOOD)):
        assert score_matching(x, beta).value == plain
    exact: Any = [Fraction(1, 10), Decimal("0.2"), 0.3]
    assert score_matching(exact, beta).dual.x.tolist() == [0.1, 0.2, 0.3]


FINITE_DOORS: dict[str, tuple[str, Door]] = {
    "score_matching_loss": ("beta", lambda b: score_matching_loss(LINE, GOOD, b)),
    "denoising_loss": ("beta", lambda b: denoising_loss(LINE, GOOD, GOOD, b)),
    "left slope": ("left_slope", lambda b: PiecewiseLinearScore(np.zeros(1), np.zeros(1), b, -1.0)),
    "right slope": ("right_slope", lambda b: PiecewiseLinearScore(np.zeros(1), np.zeros(1), -1.0, b)),
    "t": ("t", lambda t: large_weight_decay(GOOD, 2.5, t=t)),
    "low": ("low", lambda b: Uniform(b, 1.0)),
    "high": ("high", lambda b: Uniform(0.0, b)),
    "low of a grid law": ("low", lambda b: GridLaw.uniform(b, 1.0, nodes=NODES)),
    "high of a grid law": ("high", lambda b: GridLaw.uniform(0.0, b, nodes=NODES)),
    "mean of a grid law": ("mean", lambda b: GridLaw.normal(b, 1.0, nodes=NODES)),
    "max_loss": ("max_loss", lambda b: carry(max_loss=b)),
    "max_loss of levels": ("max_loss", lambda b: carry_levels(max_loss=b)),
    "epsilon": ("epsilon", lambda b: network_from_program(GOOD, np.zeros(12), epsilon=b)),
}


@pytest.mark.parametrize("door", FINITE_DOORS)
def test_finite_numbers(door: str) -> None:
    name, call = FINITE_DOORS[door]
    for bad in (np.nan, np.inf, *NO_NUMBER):
        with pytest.raises(
            ValueError, match=rf"^{name} must be a finite number; got {re.escape(repr(bad)[:80])}"
        ):
            call(bad)


@pytest.mark.parametrize("door", ["score_matching_loss", "denoising_loss", "epsilon"])
def test_numbers_that_may_be_zero(door: str) -> None:
    name, call = FINITE_DOORS[door]
    call(0.0)
    with pytest.raises(ValueError, match=rf"^{name} must be at least 0; got -0.5"):
        call(-0.5)


ACTIVATION_DOORS: dict[str, Door] = {
    "arrangements": lambda a: enumerate_arrangements(ROWS, activation=a),
    "chambers in blocks": lambda a: iterate_chambers(ROWS, activation=a),
    "falling_network": lambda a: falling_network(ROWS, 0.1, activation=a),
    "planar_score_matching": lambda a: planar_score_matching(ROWS, 3.0, activation=a),
    "planar_critical_weight_decay": lambda a: planar_critical_weight_decay(ROWS, activation=a),
    "planar_denoising": lambda a: planar_denoising(ROWS, ROWS, 1.0, activation=a),
    "largest_response": lambda a: largest_response(ROWS, ROWS, activation=a),
    "certify planar": lambda a: certify_plane(activation=a),
    "network_from_blocks": lambda a: neurons(activation=a),
    "value_constraints": lambda a: value_constraints(ROWS, activation=a),
    "best_values": lambda a: best_values(ROWS, ROWS, activation=a),
    "score_matching": lambda a: score_matching(GOOD, 2.0, activation=a),
    "large_weight_decay": lambda a: large_weight_decay(GOOD, 2.5, activation=a),
    "smallest_weight_decay": lambda a: smallest_weight_decay(GOOD, activation=a),
    "large_weight_decay_threshold": lambda a: large_weight_decay_threshold(GOOD, activation=a),
    "denoising_score_matching": lambda a: denoising_score_matching(GOOD, GOOD, 2.0, activation=a),
    "memorisation law": lambda a: memorisation_law(GOOD, GOOD, activation=a),
    "certify": lambda a: certify(activation=a),
    "certify denoising": lambda a: certify_noisy(activation=a),
    "dual_violation": lambda a: dual_violation(GOOD, GOOD, 2.0, activation=a),
    "choose": lambda a: choose(activation=a),
    "solution_path": lambda a: solution_path(GOOD, down_to=2.0, activation=a),
    "denoising_path": lambda a: denoising_path(GOOD, GOOD, down_to=2.0, activation=a),
    "network": lambda a: TwoLayerNetwork.univariate([1.0], [0.0], [1.0], activation=a),
    "kink network": lambda a: KinkNetwork(
        np.zeros(1), np.ones(1), np.ones(1), np.zeros(1, bool), activation=a
    ),
    "program": lambda a: score_matching_program(GOOD, 2.0, activation=a),
    "program's dual": lambda a: score_matching_dual(GOOD, 2.0, activation=a),
    "denoising program": lambda a: denoising_program(GOOD, GOOD, 2.0, activation=a),
    "denoising dual": lambda a: denoising_dual(GOOD, GOOD, 2.0, activation=a),
    "reconstruct": lambda a: network_from_program(GOOD, np.zeros(12), activation=a),
    "denoising network": lambda a: denoising_network_from_program(GOOD, GOOD, np.zeros(6), activation=a),
    "train": lambda a: train(activation=a),
    "train_denoising": lambda a: train_noisy(activation=a),
}
FLAG_DOORS: dict[str, Door] = {
    "score_matching": lambda s: score_matching(GOOD, 2.0, skip=s),
    "large_weight_decay": lambda s: large_weight_decay(GOOD, 2.5, skip=s),
    "smallest_weight_decay": lambda s: smallest_weight_decay(GOOD, skip=s),
    "large_weight_decay_threshold": lambda s: large_weight_decay_threshold(GOOD, skip=s),
    "denoising_score_matching": lambda s: denoising_score_matching(GOOD, GOOD, 2.0, skip=s),
    "memorisation law": lambda s: memorisation_law(GOOD, GOOD, skip=s),
    "certify": lambda s: certify(skip=s),
    "certify denoising": lambda s: certify_noisy(skip=s),
    "dual_violation": lambda s: dual_violation(GOOD, GOOD, 2.0, skip=s),
    "program": lambda s: score_matching_program(GOOD, 2.0, skip=s),
    "program's dual": lambda s: score_matching_dual(GOOD, 2.0, skip=s),
    "denoising program": lambda s: denoising_program(GOOD, GOOD, 2.0, skip=s),
    "denoising dual": lambda s: denoising_dual(GOOD, GOOD, 2.0, skip=s),
    "reconstruct": lambda s: network_from_program(GOOD, np.zeros(12), skip=s),
    "denoising network": lambda s: denoising_network_from_program(GOOD, GOOD, np.zeros(6), skip=s),
    "train": lambda s: train(skip=s),
    "train_denoising": lambda s: train_noisy(skip=s),
    "choose": lambda s: choose(skip=s),
    "solution_path": lambda s: solution_path(GOOD, down_to=2.0, skip=s),
    "denoising_path": lambda s: denoising_path(GOOD, GOOD, down_to=2.0, skip=s),
}


@pytest.mark.parametrize("door", ACTIVATION_DOORS)
def test_unknown_activations(door: str) -> None:
    for bad in ("tanh", "ReLU", "", None, 1, np.array(["relu"]), ["relu"]):
        with pytest.raises(
            ValueError, match=rf"^activation must be 'relu' or 'abs'; got {re.escape(repr(bad))}"
        ):
            ACTIVATION_DOORS[door](bad)


@pytest.mark.parametrize("door", FLAG_DOORS)
def test_a_flag_is_no_word(door: str) -> None:
    for bad in ("no", 1, None, 0.0):
        with pytest.raises(ValueError, match=rf"^skip must be True or False; got {re.escape(repr(bad))}"):
            FLAG_DOORS[door](bad)


COUNT_DOORS: dict[str, tuple[str, int, Door]] = {
    "sample": ("n", 0, lambda n: NORMAL.sample(n, rng())),
    "mixture": ("n", 0, lambda n: GaussianMixture().sample(n, rng())),
    "uniform": ("n", 0, lambda n: Uniform().sample(n, rng())),
    "cross": ("n", 0, lambda n: Cross().sample(n, rng())),
    "steps": ("n_steps", 0, lambda n: walk(n_steps=n)),
    "annealed steps": ("n_steps_each", 0, lambda n: anneal(n_steps_each=[1, n, 1])),
    "draws": ("draws", 1, lambda n: perturb(GOOD, 1.0, rng(), n)),
    "steps of a law": ("n_steps", 0, lambda n: carry(n_steps=n)),
    "steps of an average": ("n_steps", 1, lambda n: averaged_law(LAW, np.negative, step_size=0.1, n_steps=n)),
    "width": ("width", 1, lambda n: train(width=n)),
    "trials": ("n_trials", 1, lambda n: train(n_trials=n)),
    "epochs": ("n_epochs", 1, lambda n: train(n_epochs=n)),
    "folds": ("folds", 2, lambda n: choose(folds=n)),
    "rows": ("n", 1, lambda n: count_arrangements(n, 2)),
    "dimensions": ("d", 1, lambda n: count_arrangements(2, n)),
    "rows of a bound": ("n", 1, lambda n: count_bound(n, 2)),
    "rank of a bound": ("r", 1, lambda n: count_bound(2, n)),
    "bisecting gates": ("count", 1, lambda n: bisecting_gates(ROWS, n, rng())),
    "rounds": ("rounds", 0, lambda n: grow(rounds=n)),
    "newcomers": ("newcomers", 1, lambda n: grow(newcomers=n)),
    "gates": ("n_gates", 1, lambda n: coverage(ROWS, enumerate_arrangements(ROWS), n, rng())),
}


@pytest.mark.parametrize("door", COUNT_DOORS)
def test_counts(door: str) -> None:
    name, minimum, call = COUNT_DOORS[door]
    call(np.int32(minimum))
    for bad in (minimum - 1, 1.0, "3", None, np.nan, True, [2]):
        message = rf"^{name} must be an integer, at least {minimum}; got {re.escape(repr(bad))}"
        with pytest.raises(ValueError, match=message):
            call(bad)


@pytest.mark.parametrize("seed", [0, None, "seed", np.random, np.random.RandomState(0)])
def test_a_seed_is_no_generator(seed: Any) -> None:
    doors: list[Door] = [
        lambda g: NORMAL.sample(1, g),
        lambda g: score_matching(GOOD, 1.5).sample(1, g),
        lambda g: large_weight_decay(GOOD, 2.5).sample(1, g),
        lambda g: GaussianMixture().sample(1, g),
        lambda g: Uniform().sample(1, g),
        lambda g: Cross().sample(1, g),
        lambda g: perturb(GOOD, 1.0, g),
        lambda g: choose_weight_decay(GOOD, [4.0], folds=2, rng=g),
        lambda g: bisecting_gates(ROWS, 1, g),
        lambda g: grow(rng=g),
    ]
    chains: list[Door] = [
        lambda g: langevin_dynamics(np.negative, GOOD, step_size=0.1, n_steps=1, rng=g),
        lambda g: anneal(rng=g),
    ]
    for door in doors if seed == 0 else doors + chains:  # a chain may have a seed
        with pytest.raises(TypeError, match=r"^rng must be a numpy\.random\.Generator, e\.g\. .* got "):
            door(seed)
    with pytest.raises(TypeError, match=r"^generator must be a torch\.Generator; got "):
        train(generator=seed)


def test_gates_and_cones_that_do_not_fit_together() -> None:
    cases: list[tuple[Callable[[], Any], str]] = [
        (
            lambda: gated_denoising(ROWS, ROWS, np.ones((1, 3)), 1.0),
            "patterns must have shape (P, n) with n = 2 points; got (1, 3)",
        ),
        (
            lambda: gated_score_matching(ROWS, np.ones(2), 1.0),
            "patterns must have shape (P, n) with n = 2 points; got (2,)",
        ),
        (
            lambda: critical_weight_decay(ROWS, [[-1.0, 0.0]]),
            "patterns must hold truth values, or signs -1 and 1; got other numbers",
        ),
        (
            lambda: gated_denoising(ROWS, np.ones((3, 2)), GATES, 1.0),
            "targets must have one row per point, 2; got 3",
        ),
        (lambda: certify_gates(W=np.zeros((2, 2, 2))), "W must have shape (1, 2, 2); got (2, 2, 2)"),
        (lambda: certify_gates(Q=np.zeros((2, 3))), "Q must have shape (2, 2); got (2, 3)"),
        (
            lambda: planar_denoising(np.eye(4), np.eye(4), 1.0),
            "X must have shape (n, 2) or (n, 3); got (4, 4)",
        ),
        (
            lambda: planar_denoising(np.eye(3), np.eye(3), 1.0, bias=True),
            "X must have shape (n, 2), points of the plane, where there are biases; got (3, 3)",
        ),
        (
            lambda: planar_denoising(ROWS, np.ones((3, 2)), 1.0),
            "targets must have the shape of X, (2, 2); got (3, 2)",
        ),
        (lambda: certify_plane(Q=np.ones((2, 3))), "Q must have the shape of X, (2, 2); got (2, 3)"),
        (
            lambda: certify_plane(network=PLANE),
            "network must have activation 'relu', no skip connection, and no biases",
        ),
        (lambda: neurons(W=np.zeros((1, 2, 3))), "W must have shape (1, 2, 2); got (1, 2, 3)"),
        (lambda: neurons(patterns=np.ones(2)), "patterns must have shape (2, 2); got (2,)"),
        (lambda: neurons(generators=np.ones((2, 2))), "generators must have shape (1, 2); got (2, 2)"),
        (
            lambda: neurons(patterns=[[-1.0, 1.0]]),
            "patterns of 'relu' must hold truth values; got other numbers",
        ),
        (
            lambda: neurons(patterns=[[0.0, 1.0]], activation="abs"),
            "patterns of 'abs' must hold signs -1 and 1; got other numbers",
        ),
        (
            lambda: neurons(W=np.ones((1, 2, 2)), generators=[[1.0, 0.0]]),
            "generator must lie strictly inside the cone; a row has product 0",
        ),
        (
            lambda: split_in_cone([1.0], ROWS, [1.0, 1.0]),
            "u and generator must have shape (2,), one entry per column of rows; got (1,) and (2,)",
        ),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match="^" + re.escape(message)):
            call()


def test_parts_that_do_not_fit_together() -> None:
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: certify(z=[0.0, 0.0]), r"z must have one entry per data point; got \(2,\) for \(3,\)"),
        (
            lambda: dual_violation(GOOD, [1.0], 1.0),
            r"z must have one entry per data point; got \(1,\) for \(3,\)",
        ),
        (
            lambda: certify(activation="abs"),
            "must have activation 'abs' and no slope; got activation 'relu' and slope 0.0",
        ),
        (
            lambda: certify(
                network=KinkNetwork(np.zeros(1), np.ones(1), np.ones(1), np.zeros(1, bool), slope=1.0)
            ),
            "network must have activation 'relu' and no slope; got activation 'relu' and slope 1.0",
        ),
        (lambda: reconstruct([0.0] * 11), "y must have 12 entries, 4 per point; got 11"),
        (
            lambda: reconstruct([0.0] * 12, activation="abs"),
            "y must have 6 entries, 2 per point; got 12",
        ),
        (
            lambda: denoising_network_from_program(GOOD, GOOD, [0.0] * 6, skip=True),
            "y must have 3 entries, 1 per point; got 6",
        ),
        (
            lambda: score_matching_program(GOOD, 2.0).value_at([0.0] * 6),
            "y must have 12 entries; got 6",
        ),
        (
            lambda: reconstruct([0.0] * 6, activation="abs", epsilon=0.1),
            "epsilon must be 0: only ReLU without skip connection has kinks beside the data",
        ),
        (
            lambda: denoising_program(GOOD, [0.0] * 2, 1.0),
            r"x_noisy and targets must have one shape; got \(3,\) and \(2,\)",
        ),
        (
            lambda: denoising_network_from_program(GOOD, GOOD, [0.0] * 6, rule="both"),  # type: ignore[arg-type]
            "rule must be 'signed' or 'printed'; got 'both'",
        ),
        (
            lambda: reconstruct([0.0] * 12, rule="both"),
            "rule must be 'signed' or 'printed'; got 'both'",
        ),
        (
            lambda: choose_weight_decay([0.0] * 9 + [1.0], [30.0], skip=True, rng=rng()),
            r"at least two distinct points; without fold \d of 5 only 0 is left, 8 times: other folds",
        ),
        (lambda: choose(folds=4), "folds must be at most the number of points, 3; got 4"),
        (lambda: choose(betas=[1.0, 4.0]), r"betas must be at least .* here; got 1: "),
        (
            lambda: score_error(NORMAL, GaussianMixture(), (1.0, -1.0)),
            "interval must be .* got \\(1.0, -1.0\\)",
        ),
        (lambda: denoising_loss(LINE, GOOD, [1.0], 0.0), r"must have one shape; got \(3, 1\) and \(1, 1\)"),
        (lambda: PLANE([1.0, 2.0]), r"x must have 2 columns; got shape \(2, 1\)"),
        (lambda: score_matching_loss(LINE, [[1.0, 2.0]], 0.0), r"x must have 1 columns; got shape \(1, 2\)"),
        (
            lambda: TwoLayerNetwork.univariate([1.0], [1.0, 2.0], [1.0]),
            r"b1 must have shape \(1,\) .* got \(2,\)",
        ),
        (
            lambda: TwoLayerNetwork.univariate([1.0], [1.0], [1.0, 2.0]),
            r"W2 must have shape \(1, 1\) .* \(1, 2\)",
        ),
        (
            lambda: TwoLayerNetwork.univariate([[1.0]], [1.0], [1.0]),
            r"w and alpha must be vectors; got .*\(1, 1\)",
        ),
        (
            lambda: TwoLayerNetwork(np.ones(2), np.ones(2), np.ones((1, 2)), np.ones(1), np.ones((1, 1))),
            r"W1 must have shape \(m, d\); got \(2,\)",
        ),
        (
            lambda: KinkNetwork(np.zeros(2), np.ones(1), np.ones(1), np.zeros(1, bool)),
            "kinks, facing, weights and beyond must be vectors of one length",
        ),
        (
            lambda: KinkNetwork(np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1, bool)),
            r"facing must hold only \+1 and -1; got \[0\.\]",
        ),
        (
            PLANE.abs_to_relu,
            "abs_to_relu needs a network with activation 'abs'; got 'relu'",
        ),
        (
            PLANE.relu_to_abs().relu_to_abs,
            "relu_to_abs needs a network with activation 'relu'; got 'abs'",
        ),
        (KINK.abs_to_relu, "abs_to_relu needs a network with activation 'abs'; got 'relu'"),
        (KINK.relu_to_abs().relu_to_abs, "relu_to_abs needs a network with activation 'relu'; got 'abs'"),
        (
            lambda: PiecewiseLinearScore(np.zeros(1), np.zeros(2), -1.0, -1.0),
            "must have one length; got 1 and 2",
        ),
        (
            lambda: PiecewiseLinearScore(np.zeros(2), np.zeros(2), -1.0, -1.0),
            "knots must be strictly increasing",
        ),
        (lambda: PiecewiseLinearScore(np.array([1.0, 0.0]), np.zeros(2), -1.0, -1.0), "strictly increasing"),
        (lambda: Uniform(1.0, 1.0), "low must be less than high; got 1.0 and 1.0"),
        (lambda: panels([]), "one to three panels; got 0 titles"),
        (lambda: panels(["a"] * 4), "one to three panels; got 4 titles"),
        (lambda: draw(plt.gca(), np.sin, (0.0, 1.0), "red"), "role must be one of learned, .*; got 'red'"),
        (
            lambda: walk(score=lambda x: x[:, None]),
            r"score must return an array of shape \(3,\); got \(3, 1\)",
        ),
        (
            lambda: anneal(sigmas=[1.0, 2.0, 0.5]),
            r"sigmas must be positive and strictly decreasing; got \[1.0, 2",
        ),
        (lambda: anneal(sigmas=[1.0, 1.0, 0.5]), "sigmas must be positive and strictly decreasing"),
        (lambda: anneal(sigmas=[1.0, 0.5, 0.0]), "sigmas must be positive and strictly decreasing"),
        (lambda: anneal(scores=[np.negative]), "scores must hold one score per level, 3; got 1"),
        (lambda: anneal(n_steps_each=[1, 2]), "n_steps_each must be one number, or one per level, 3; got 2"),
        (
            lambda: train_noisy(targets=[1.0]),
            r"x_noisy and targets must have one shape; got \(3,\) and \(1,\)",
        ),
        (lambda: walk(score=lambda x: 0.0), r"score must return an array of shape \(3,\); got \(\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="network must be a KinkNetwork; got TwoLayerNetwork"):
        certify(network=LINE)
    with pytest.raises(TypeError, match=r"scores\[1\] must be callable; got 3"):
        anneal(scores=[np.negative, 3, np.negative])


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("x", [[0.0, 1e200], [0.0, 1e-200, 3e-200], [-1.7e308, 1.7e308], [0.0, 1e-300, 1.0]])
@pytest.mark.filterwarnings("error")
def test_distances_that_cannot_be_squared(x: list[float], skip: bool) -> None:
    for activation in ("relu", "abs"):
        with pytest.raises(
            ValueError, match=r"distances between distinct points must lie between 1e-70 and 1e\+70"
        ):
            score_matching(x, 3.0, activation=activation, skip=skip)


SIZED_DOORS: dict[str, tuple[str, Door]] = {
    "planar score matching": ("X", lambda x: planar_score_matching(x, 9.0)),
    "planar denoising": ("X", lambda x: planar_denoising(x, ROWS, 1.0)),
    "planar critical weight decay": ("X", planar_critical_weight_decay),
    "gated denoising": ("X", lambda x: gated_denoising(x, ROWS, GATES, 1.0)),
    "gated score matching": ("X", lambda x: gated_score_matching(x, GATES, 9.0)),
    "critical weight decay": ("X", lambda x: critical_weight_decay(x, GATES)),
    "wedge": ("X", lambda x: wedge_denoising(x, ROWS, 1.0)),
    "wedge directions": ("X", wedge_directions),
    "falling network": ("X", lambda x: falling_network(x, 0.1)),
    "best_values": ("X", lambda x: best_values(x, ROWS)),
}
LARGE_DOORS: dict[str, tuple[str, Door]] = {
    "planar targets": ("targets", lambda x: planar_denoising(ROWS, x, 1.0)),
    "gated targets": ("targets", lambda x: gated_denoising(ROWS, x, GATES, 1.0)),
    "wedge targets": ("targets", lambda x: wedge_denoising(ROWS, x, 1.0)),
    "group Lasso K": ("K", lambda x: solve_group_lasso(x, ROWS, 1.0)),
    "group Lasso L": ("L", lambda x: solve_group_lasso(ROWS, x, 1.0)),
    "targets of best_values": ("targets", lambda x: best_values(ROWS, x)),
}


@pytest.mark.parametrize("door", SIZED_DOORS | LARGE_DOORS)
@pytest.mark.filterwarnings("error")
def test_sizes_that_cannot_be_squared(door: str) -> None:
    """The error is about what was given, not about what became of it inside."""
    name, call = (SIZED_DOORS | LARGE_DOORS)[door]
    sized = door in SIZED_DOORS
    allowed = "between 1e-100 and 1e+100, or 0 in size" if sized else "at most 1e+100 in size"
    for scale in (1e200, 1e300, *((1e-200, 1e-300) if sized else ())):
        message = f"the largest entry of {name} must be {allowed}; it is {scale:g}: rescale {name}"
        with pytest.raises(ValueError, match="^" + re.escape(message)):
            call(scale * ROWS)


def array_parameters() -> set[tuple[str, str, str]]:
    """Every parameter of a public function or method that takes whatever can become an array."""
    found = set()
    for stem in library.PUBLIC:
        module = library.module(stem)
        for thing in (getattr(module, name) for name in module.__all__):
            members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
            for function in (m for name, m in members if name == "__call__" or name[:1] != "_"):
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function):
                    names = [p for p, kind in function.__annotations__.items() if "ArrayLike" in str(kind)]
                    place = function.__module__.removeprefix("convexdiff_lib.")
                    found |= {(place, function.__qualname__, name) for name in names if name != "return"}
    return found


def test_every_public_door_is_in_a_table() -> None:
    """Follow something that no door lets in: every parameter for arrays must get it from a table."""
    bad, seen = np.ma.masked_all(3), set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            place, code = frame.f_globals.get("__name__", ""), frame.f_code
            seen.update(
                (place.removeprefix("convexdiff_lib."), code.co_qualname, name)
                for name, value in frame.f_locals.items()
                if value is bad
            )

    for _, call in [*ALL_DOORS.values(), ("rows", cross_product)]:
        before = sys.getprofile()
        sys.setprofile(look)
        try:
            with pytest.raises(ValueError, match="all entries are masked"):
                call(bad)
        finally:
            sys.setprofile(before)
    checked_by_scikit_learn = {d for d in array_parameters() if d[0] == "line.estimator" and d[2] == "X"}
    assert sorted(array_parameters() - seen - checked_by_scikit_learn) == []


def test_what_is_not_a_number_stays_so_in_a_score() -> None:
    """Evaluating at NaN gives NaN, as everywhere in NumPy; only data must be finite."""
    fit = score_matching(GOOD, 1.5)
    for result in (fit([np.nan, 0.0]), fit.score.integral([np.nan, 0.0])):
        assert np.isnan(result).tolist() == [True, False]
