"""The solver of the pages, run by Node.js, against the library: the same optimum, and the same verdict."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_problems import POWERS, Problem, Program, distances, problems
from strategies import NETWORKS

from convexdiff_lib import score_matching

LIVE = Path(__file__).parents[2] / "_static" / "live"
PROGRAMS: list[Program] = [(a, skip, denoising) for a, skip in NETWORKS for denoising in (False, True)]
each_program = pytest.mark.parametrize(
    "program", PROGRAMS, ids=[f"{a}{'-skip' * s}{'-denoising' * d}" for a, s, d in PROGRAMS]
)
SAME_VALUE = 1e-9  # of the loss, or of that of a simple fit
ROUNDING = 1e-9  # of a few hundred additions, and of a Newton step between them
X = [-1.5, -1.0, -0.2, 0.1, 0.4, 1.0, 2.5, 3.0]
TARGETS = [1.0, 2.0, -0.5, 0.5, -1.0, 0.0, -2.0, -1.0]

Ask = Callable[[list[str]], list[dict[str, Any]]]


def fit(ask: Ask, **question: Any) -> dict[str, Any]:
    return ask([json.dumps({"job": "fit", "question": question, "at": [0.0]})])[0]


def same(problem: Problem, answer: dict[str, Any]) -> None:
    """The two answers to a problem are the same."""
    name = f"{problem.name} at {problem.beta:g}"
    assert answer["finite"] == (problem.fit is not None), name
    if problem.fit is None:
        return
    certificate = problem.fit.certificate
    assert answer["certificate"]["holds"] == certificate.holds, name
    assert [float(kink) for kink in answer["kinks"]] == problem.fit.knots.tolist(), name
    assert bool(answer["reason"]) == bool(problem.fit.score.why_not_normalisable()), name
    found = distances(problem, problem.fit, answer)
    assert found.pop("value") <= SAME_VALUE, name
    # Each side knows how well it knows its score.
    allowed = certificate.score_error + answer["certificate"]["scoreError"] + ROUNDING
    assert found.pop("score") <= allowed, name
    assert all(distance <= ROUNDING for distance in found.values()), (name, found)


@each_program
def test_it_agrees_with_the_library(ask: Ask, program: Program) -> None:
    asked = list(problems(program))
    assert len(asked) >= 150  # of each of eight
    for problem, answer in zip(asked, ask([problem.job for problem in asked]), strict=True):
        same(problem, answer)


@each_program
def test_the_quick_and_the_careful_way_lead_to_one_place(ask: Ask, program: Program) -> None:
    """The quick way gives up on some problems, and then the careful one is all there is."""
    activation, skip, denoising = program
    lines = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=80)
        question = {
            "x": x.tolist(),
            "targets": (rng.normal(size=80) - x).tolist() if denoising else None,
            "beta": 0.2 * (1 + seed) if denoising else 2.0 + 0.5 * seed,
            "activation": activation,
            "skip": skip,
        }
        lines.append(json.dumps({"job": "ways", "question": question}))
    for answer in ask(lines):
        quick, careful = answer["quick"], answer["careful"]
        assert quick["knots"] == careful["knots"]
        assert quick["sides"] == careful["sides"]
        # Rounding, before the last digits are found.
        assert np.allclose(quick["values"], careful["values"], rtol=1e-8, atol=1e-8)
        assert abs(quick["offset"] - careful["offset"]) <= 1e-8 * 80


@each_program
def test_it_does_not_depend_on_order_and_scale(ask: Ask, program: Program) -> None:
    activation, skip, denoising = program
    x, aims = np.array(X), np.array(TARGETS)
    mixed = np.random.default_rng(0).permutation(len(x))
    scale = 3e5
    jiggled = x * (1 + 1e-15 * np.random.default_rng(1).normal(size=len(x)))
    variants = [
        (x, aims, 1.0),
        (x[mixed], aims[mixed], 1.0),
        (x * scale, aims / scale, scale),
        (jiggled, aims, 1.0),
    ]
    lines = [
        json.dumps(
            {
                "job": "fit",
                "question": {
                    "x": points.tolist(),
                    "targets": labels.tolist() if denoising else None,
                    "beta": 0.7 if denoising else 2.3,
                    "activation": activation,
                    "skip": skip,
                },
                "at": points[np.argsort(points)].tolist(),
            }
        )
        for points, labels, _ in variants
    ]
    first, *others = ask(lines)
    assert first["certificate"]["holds"]
    for answer, (points, _, unit) in zip(others, variants[1:], strict=True):
        assert answer["certificate"]["holds"]
        places = np.searchsorted(np.sort(points), answer["kinks"]).tolist()
        assert places == np.searchsorted(np.sort(x), first["kinks"]).tolist()
        # Rounding of the data, and of the scale, which is no power of two.
        assert np.allclose(np.array(answer["scores"]) * unit, first["scores"], rtol=1e-12, atol=1e-12)
        assert math.isclose(answer["value"] * unit**2, first["value"], rel_tol=1e-12)


def test_where_training_has_no_minimum_it_says_so(ask: Ask) -> None:
    below = fit(ask, x=[0.0, 1.0, 1.0, 1.0, 2.0], beta=1.4)
    assert below["finite"] is False
    assert below["critical"] == 1.5
    assert "beta = 1.4 is below 1.5" in below["reason"]
    assert "up to 3 times" in below["reason"]
    alone = fit(ask, x=[1.0, 1.0], beta=9.0, skip=True)
    assert alone["critical"] is None  # infinity, in JSON
    assert "two distinct points" in alone["reason"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": []}, "x must have 1 to 5000 numbers; got 0"),
        ({"x": "1 2 3"}, 'x must be a list of numbers; got "1 2 3"'),
        ({"x": [1.0, None, 2.0]}, "x must hold finite numbers only; number 2 is null"),
        ({"x": [1.0, "2"]}, 'number 2 is "2"'),
        ({"x": [0.0, 1e-80]}, "distances between distinct points must lie between 1e-70 and 1e\\+70"),
        ({"beta": 0}, "beta must be a positive finite number; got 0"),
        ({"beta": None}, "beta must be a positive finite number; got null"),
        ({"activation": "gelu"}, 'activation must be "relu" or "abs"; got "gelu"'),
        ({"skip": 1}, "skip must be true or false; got 1"),
        ({"targets": [1.0]}, "targets must have one number per point; got 1 for 8 points"),
        ({"targets": [1e80] * 8}, "targets must be at most 1e\\+70 in size"),
    ],
)
def test_what_cannot_be_used_is_named(ask: Ask, wrong: dict[str, Any], message: str) -> None:
    assert re.search(message, fit(ask, **{"x": X, "beta": 2.0} | wrong)["error"])


# --- The certificate -------------------------------------------------------------------------------------


def test_the_certificate_knows_no_solver() -> None:
    def imports(module: str) -> set[str]:
        named = set(re.findall(r'from "\./(\w+\.mjs)"', (LIVE / module).read_text("utf-8")))
        return named.union(*(imports(name) for name in named))

    assert imports("certificate.mjs") == {"double_double.mjs", "problem.mjs"}


def falsified(claim: dict[str, Any], x: list[float]) -> dict[str, dict[str, Any]]:
    """One thing after another that is not true."""
    inner = len(claim["knots"]) // 2
    elsewhere = min(set(x) - set(claim["knots"]), key=lambda point: abs(point - claim["knots"][inner]))
    knots = sorted({*claim["knots"], elsewhere} - {claim["knots"][inner]})
    values = claim["values"]
    return {
        "a knot moved": claim | {"knots": knots},
        "a knot between the points": claim | {"knots": [*claim["knots"][:-1], claim["knots"][-1] + 0.5]},
        "a value": claim
        | {"values": [*values[:inner], values[inner] * (1 + 1e-4) + 1e-4, *values[inner + 1 :]]},
        "a slope outside": claim | {"leftSlope": claim["leftSlope"] + 1e-3},
        "the other slope": claim | {"rightSlope": claim["rightSlope"] + 1e-3},
        "all values": claim | {"values": [value + 1e-4 for value in values]},
        "no number": claim | {"values": [None, *values[1:]]},
    }


@each_program
def test_the_certificate_refuses_what_is_not_true(ask: Ask, program: Program) -> None:
    activation, skip, denoising = program
    question = {
        "x": X,
        "targets": TARGETS if denoising else None,
        "beta": 0.3 if denoising else 2.01 if skip and activation == "abs" else 1.2,
        "activation": activation,
        "skip": skip,
    }
    claim = fit(ask, **question)["claim"]
    claims = {"as it is": claim} | falsified(claim, X)
    questions = {
        "another weight decay": question | {"beta": question["beta"] + 1e-3},
        "another point": question | {"x": [*X[:3], X[3] + 1e-3, *X[4:]]},
        "another program": question | {"activation": "abs" if activation == "relu" else "relu"},
    }
    cases = {name: (question, told) for name, told in claims.items()}
    cases |= {name: (other, claim) for name, other in questions.items()}
    lines = [json.dumps({"job": "certify", "question": q, "claim": told}) for q, told in cases.values()]
    verdicts = dict(zip(cases, ask(lines), strict=True))
    assert verdicts.pop("as it is")["holds"]
    assert [name for name, verdict in verdicts.items() if verdict["holds"]] == []
    assert all(verdict["reason"] for verdict in verdicts.values())


@pytest.mark.parametrize(
    ("x", "skip", "share"),
    [(X, False, 1 - 1e-12), ([0.5, 1.0, 1.5], True, 0.5), ([1.0, 1.0, 1.0], False, 0.1)],
)
def test_nothing_is_certified_where_there_is_no_optimum(
    ask: Ask, x: list[float], skip: bool, share: float
) -> None:
    question: dict[str, Any] = {"x": x, "skip": skip}
    beta = fit(ask, **question, beta=0.1)["critical"]
    claim = fit(ask, **question, beta=beta)["claim"]
    at, below = (
        ask([json.dumps({"job": "certify", "question": question | {"beta": b}, "claim": claim})])[0]
        for b in (beta, share * beta)
    )
    assert at["holds"]
    assert not below["holds"]
    assert below["reason"] == f"there is an optimum from beta = {beta} on only"


@each_program
def test_it_finds_its_way_where_points_crowd_geometrically(ask: Ask, program: Program) -> None:
    """For every weight decay, also where the library is slow: the certificate says that it is the optimum."""
    activation, skip, denoising = program
    targets = np.random.default_rng(0).normal(size=len(POWERS)).tolist() if denoising else None
    question = {"x": POWERS.tolist(), "targets": targets, "activation": activation, "skip": skip}
    lines = [
        json.dumps({"job": "fit", "question": question | {"beta": beta}, "at": [0.3]})
        for beta in (2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0, 50.0)
    ]
    assert [answer["certificate"]["reason"] for answer in ask(lines)] == [""] * len(lines)


def test_where_digits_are_too_few_it_says_so(ask: Ask) -> None:
    """The optimum is found, and the loss is certified, but not the score where it is smallest."""
    x = (2.0 ** -np.arange(200.0)).tolist()
    answer = fit(ask, x=x, beta=20.0, skip=True)
    said = "times the shortest, for which 32 digits may be too few"
    assert said in answer["certificate"]["reason"]
    assert "8.0e+59 times" in answer["certificate"]["reason"]
    assert said not in falsely(ask)


def falsely(ask: Ask) -> str:
    """Why a wrong score of usual points is none."""
    claim = {"knots": [1, 2], "values": [5, 5], "leftSlope": 0, "rightSlope": 0}
    line = {"job": "certify", "question": {"x": [1.0, 2.0], "beta": 9}, "claim": claim}
    verdict = ask([json.dumps(line)])[0]
    assert not verdict["holds"]
    return verdict["reason"]


def test_what_is_cut_off_from_a_slope_counts(ask: Ask) -> None:
    """A slope of 5 in two parts is no level score."""
    question = {"x": [1.0, 1.0], "beta": 9}
    claim = {"knots": [1], "values": [0], "leftSlope": 0, "rightSlope": 0}
    for rest, holds in ((0, True), (5, False), (None, False)):
        told = claim | {"leftRest": rest}
        verdict = ask([json.dumps({"job": "certify", "question": question, "claim": told})])[0]
        assert verdict["holds"] == holds


def test_an_error_is_seen_by_its_size(ask: Ask) -> None:
    """The certificate's bound on the error of the score is one, and not much more."""
    question = {"x": X, "beta": 2.01}
    claim = fit(ask, **question)["claim"]
    for error in (1e-3, 1e-5, 1e-8):
        moved = claim | {"values": [value + error for value in claim["values"]], "valueRests": []}
        verdict = ask([json.dumps({"job": "certify", "question": question, "claim": moved})])[0]
        largest = max(error / max(abs(value), 0.3) for value in claim["values"])
        assert largest <= verdict["scoreError"] <= 100 * largest
        assert 0 <= verdict["primal"] - verdict["dual"] <= 100 * error * len(X)


def test_a_neuron_that_does_nothing_on_the_data_is_charged(ask: Ask) -> None:
    """An outer slope changes neither the score at the data nor the beam, only what the network weighs."""
    question = {"x": X, "beta": 2.01}
    claim = fit(ask, **question)["claim"]
    for slope in ("leftSlope", "rightSlope"):
        for change in (1e-9, -1e-9):
            moved = claim | {slope: claim[slope] + change}
            verdict = ask([json.dumps({"job": "certify", "question": question, "claim": moved})])[0]
            assert verdict["infeasibility"] == 0
            assert verdict["gap"] <= verdict["tolerance"]["gap"] * verdict["scale"]
            assert not verdict["holds"]
            # Half the square of the distance is the gap: the slope might be one of the score at the data.
            assert 1e-6 <= verdict["scoreError"] <= 1e-3


# --- The beam --------------------------------------------------------------------------------------------


@each_program
def test_the_beam_stays_in_its_tube_and_bends_by_the_score(ask: Ask, program: Program) -> None:
    activation, skip, denoising = program
    x, aims = np.array(X), np.array(TARGETS)
    question = {"x": X, "beta": 0.3 if denoising else 2.01, "activation": activation, "skip": skip}
    lines = [
        json.dumps(
            {"job": "fit", "question": question | {"targets": TARGETS if denoising else None}, "at": X}
        )
    ]
    answer = ask(lines)[0]
    beam, height = answer["beam"], np.array(answer["beam"]["height"])
    z = (aims if denoising else 0.0) - np.array(answer["scores"])
    sums = [z @ np.maximum(x - point, 0.0) for point in x]
    assert np.allclose(height, sums, rtol=0, atol=1e-12 * len(x))  # a few additions of numbers of order one
    assert (height <= np.array(beam["upper"]) + 1e-12).all()
    assert (height >= np.array(beam["lower"]) - 1e-12).all()
    contacts = {contact["position"]: contact for contact in beam["contacts"]}
    assert sorted(contacts) == answer["kinks"]
    for contact in contacts.values():
        if not 0 < contact["index"] < len(x) - 1:
            continue
        wall = beam["upper" if contact["side"] > 0 else "lower"][contact["index"]]
        assert abs(contact["height"] - wall) <= 1e-12
        assert contact["force"] * contact["side"] > 0  # walls push, and never pull


# --- Law, choice, randomness -----------------------------------------------------------------------------


def test_it_chooses_the_weight_decay_as_cross_validation_does(ask: Ask) -> None:
    """With the same folds, the library's fits give the same means."""
    x, folds, betas = np.random.default_rng(3).normal(size=60), 4, [12.0, 18.0, 30.0]
    choose = {"job": "choose", "x": x.tolist(), "options": {"folds": folds, "seed": 5, "betas": betas}}
    by_score = choose | {"options": choose["options"] | {"criterion": "score"}}
    order = {"job": "order", "seed": 5, "count": len(x)}
    chosen, scored, dealt = ask([json.dumps(line) for line in (choose, by_score, order)])
    fold = np.empty(len(x), dtype=int)
    fold[dealt["order"]] = np.arange(len(x)) % folds
    for criterion, answer in (("likelihood", chosen), ("score", scored)):
        assert answer["betas"] == betas
        assert answer["best"] == betas[int(np.argmin(answer["heldOut"]))]
        for beta, mean in zip(betas, answer["heldOut"], strict=True):
            losses = np.empty(len(x))
            for k in range(folds):
                seen = x[fold != k]
                learned = score_matching(seen, beta * len(seen) / len(x))
                unseen = x[fold == k]
                if criterion == "likelihood":
                    losses[fold == k] = -learned.log_density(unseen)
                else:
                    losses[fold == k] = 0.5 * learned(unseen) ** 2 + learned.derivative(unseen)
            assert abs(losses.mean() - mean) <= 1e-9 * (1 + abs(mean))  # rounding of both fits


def test_candidates_whose_fits_have_no_density_are_refused(ask: Ask) -> None:
    x = np.random.default_rng(0).normal(size=40).tolist()
    line = json.dumps({"job": "choose", "x": x, "options": {"betas": [1.5, 10.0, 400.0], "seed": 1}})
    answer = ask([line])[0]
    assert [refused["beta"] for refused in answer["refused"]][-1] == 400.0
    assert "push back" in answer["refused"][-1]["reason"]
    assert answer["best"] == 10.0


def test_candidates_whose_densities_are_too_rough_are_refused(ask: Ask) -> None:
    """As where rounding has made two numbers of one: the score between them is of the size of 1/gap."""
    x = [0.0, 1e-12, 2e-12, 3e-12, 4e-12, 1.0, 1 + 1e-12, 2.0, 3.0, 4.0]
    found = ask([json.dumps({"job": "choose", "x": x, "options": {}})])[0]
    assert "the density is too rough to normalise" in {one["reason"] for one in found["refused"]}
    assert len(found["refused"]) + len(found["betas"]) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds must be a whole number from 2 to the number of points, 8; got 1"),
        ({"criterion": "loss"}, 'criterion must be "likelihood" or "score"; got "loss"'),
        ({"betas": [0.5]}, "betas must be at least"),
    ],
)
def test_a_choice_that_cannot_be_made_is_named(ask: Ask, options: dict[str, Any], message: str) -> None:
    assert message in ask([json.dumps({"job": "choose", "x": X, "options": options})])[0]["error"]


def test_random_numbers_are_random_and_the_same_every_time(ask: Ask) -> None:
    line = json.dumps({"job": "random", "seed": 11, "count": 20000})
    first, second, other = ask([line, line, json.dumps({"job": "random", "seed": 12, "count": 20000})])
    assert first == second
    assert first["uniforms"][:50] != other["uniforms"][:50]
    uniforms, normals = np.array(first["uniforms"]), np.array(first["normals"])
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    # Five standard errors; the numbers are the same in every run.
    bound = 5 / math.sqrt(len(uniforms))
    assert abs(uniforms.mean() - 0.5) <= bound * math.sqrt(1 / 12)
    assert abs(normals.mean()) <= bound
    assert abs((normals**2).mean() - 1) <= bound * math.sqrt(2)
    assert abs(np.corrcoef(uniforms[1:], uniforms[:-1])[0, 1]) <= bound
    assert sorted(first["order"]) == list(range(20000))


def test_a_step_of_langevin_dynamics(ask: Ask) -> None:
    line = {
        "job": "step",
        "scores": [1.0, -2.0],
        "positions": [0.0, 4.0],
        "noise": [0.5, -1.0],
        "stepSize": 0.5,
    }
    assert ask([json.dumps(line)])[0]["positions"] == [1.0, 2.0]
