"""What problems of many dimensions hand on: their units, feasible dual points, and both bounds."""

from __future__ import annotations

import numpy as np
import pytest

from convexdiff_lib import NotCertifiedError, planar_denoising, wedge_denoising
from convexdiff_lib.space._blocks import drawn_inside
from convexdiff_lib.space._smallest_radius import check_close
from convexdiff_lib.space._weak_duality import weak_duality
from convexdiff_lib.space.circles import largest_response
from convexdiff_lib.space.problem import SpaceProblem, gated_problem, planar_problem

RNG = np.random.default_rng(0)
X, L = RNG.normal(size=(2, 12, 2))
ROUNDING = 1e-12  # of sums of a dozen products of order one, beside 0.05


def test_a_point_outside_is_drawn_to_the_bound_and_no_further() -> None:
    inside, outside = np.zeros((1, 1)), np.array([[4.0]])
    assert drawn_inside(outside, inside, lambda Q: float(np.abs(Q).max()), 1.0).tolist() == [[1.0]]
    assert drawn_inside(inside, outside, lambda Q: float(np.abs(Q).max()), 1.0) is inside


def test_bounds_that_are_apart_are_refused() -> None:
    check_close(1.0, 1.0 + 1e-7, 1.0)
    with pytest.raises(NotCertifiedError, match=r"between 1 and 1\.1"):
        check_close(1.0, 1.1, 1.0)


def test_the_dual_point_of_a_planar_fit_is_feasible() -> None:
    """On some of these the last round of columns leaves a response some 1e-10 above beta."""
    for seed in range(4):
        points = np.random.default_rng(seed).normal(size=(12, 2))
        fit = planar_denoising(points, np.random.default_rng(99).normal(size=(12, 2)), 0.05)
        assert largest_response(points, fit.Q) <= 0.05 * (1 + ROUNDING)


def test_units_cancel() -> None:
    """A response in the units of a problem is to its weight decay there what the plain one is to beta."""
    for problem in (
        planar_problem(3.0 * X, 2.0, targets=5.0 * L),
        planar_problem(3.0 * X, 2.0),
        gated_problem(3.0 * X, np.ones((1, 12)), 2.0, targets=5.0 * L),
        gated_problem(3.0 * X, np.ones((1, 12)), 2.0),
    ):
        there = RNG.normal(size=(12, 2))
        _, Q = problem.restored(there, there)
        scaled = problem.constraints(problem.unit).largest(there) / problem.decay
        assert abs(problem.constraints().largest(Q) / problem.beta / scaled - 1) <= ROUNDING


def test_a_violated_constraint_hides_an_error_of_the_score() -> None:
    """Neurons of weight 4 may gain 1e-6 each beyond the dual value: as much of the gap is unseen."""
    problem = SpaceProblem(np.array([[1.0, 0.0]]), None, 1.0)
    zero = np.zeros((1, 2))
    found = weak_duality(problem, zero, 0.0, zero, 1.0 + 1e-6, 4.0)
    assert abs(found.infeasibility / 1e-6 - 1) <= 1e-9  # rounding of 1 + 1e-6
    assert found.score_error is not None
    assert abs(found.score_error / np.sqrt(8e-6) - 1) <= 1e-9


def test_the_gap_of_a_wedge_fit_is_compared_with_its_own_loss() -> None:
    fit = wedge_denoising(X, L, 0.5, exact=True)
    assert fit.certificate.scale == max(fit.certificate.primal, fit.certificate.dual)
