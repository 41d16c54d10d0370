"""How results behave: they compare by value, show themselves in short, stay as they are, and pickle small."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from functools import cached_property
from html.parser import HTMLParser
from typing import Any

import library
import numpy as np
import pytest
import torch

from convexdiff_lib import Certificate, TwoLayerNetwork, denoising_score_matching, score_matching
from convexdiff_lib._results import result
from convexdiff_lib.datasets import Cross, GaussianMixture, Spiral, Uniform
from convexdiff_lib.line.candidates import DualVariable
from convexdiff_lib.line.closed_forms import large_weight_decay
from convexdiff_lib.line.deep import deep_denoising_score_matching, deep_score_matching
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.memorisation import memorisation_law
from convexdiff_lib.line.mode_weights import weigh_modes
from convexdiff_lib.line.path import denoising_path, solution_path
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.line.quadratic import quadratic_score_matching
from convexdiff_lib.line.selection import DensityError, choose_weight_decay
from convexdiff_lib.line.smooth import SmoothNetwork, certified_gap
from convexdiff_lib.paper.activation_programs import quadratic_program, smooth_program
from convexdiff_lib.paper.deep_abs_programs import chain_program, solve_chain_program
from convexdiff_lib.paper.deep_programs import runs_of
from convexdiff_lib.paper.denoising_experiments import DenoisingSetting, anneal
from convexdiff_lib.paper.nonconvex import train_score_matching
from convexdiff_lib.paper.score_matching_experiments import SETTINGS, Experiment
from convexdiff_lib.paper.smooth_training import train_smooth
from convexdiff_lib.paper.spiral_experiment import SpiralSetting, likeness
from convexdiff_lib.paper.univariate_programs import score_matching_program, solve_program
from convexdiff_lib.sampling.grid_law import GridLaw
from convexdiff_lib.space.arrangements import enumerate_arrangements
from convexdiff_lib.space.chambers import chamber_diameters
from convexdiff_lib.space.gated import critical_weight_decay, gated_denoising
from convexdiff_lib.space.gated_skip import gated_skip_denoising
from convexdiff_lib.space.group_lasso import solve_group_lasso
from convexdiff_lib.space.grown_neurons import neurons_denoising
from convexdiff_lib.space.planar import planar_denoising
from convexdiff_lib.space.wedge import wedge_denoising

X = [-1.0, 0.0, 0.5, 2.0, 3.0, 7.0]
TARGETS = [1.0, 0.2, 0.1, -1.0, -0.5, -2.0]
ROWS = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -1.0]])
NODES = np.linspace(-9.0, 9.0, 181)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def trained() -> Any:
    return train_score_matching(X, 2.0, width=3, n_trials=2, n_epochs=2, generator=torch.Generator())


def experiment() -> Experiment:
    law = GridLaw.normal(0.0, 1.0, nodes=NODES)
    fit = score_matching(X, 2.0)
    return Experiment(SETTINGS["Gaussian, ReLU"], fit.dual.x, 2.0, fit, trained(), np.zeros(2), law, law)


# One of each, made anew at every call.
RESULTS: dict[str, Callable[[], Any]] = {
    "UnivariateScore": lambda: score_matching(X, 2.0),
    "UnivariateScore, denoising": lambda: denoising_score_matching(X, TARGETS, 0.5, skip=True),
    "DeepScore": lambda: deep_score_matching(X, 2.0),
    "DeepScore, denoising": lambda: deep_denoising_score_matching(X, TARGETS, 0.5, skip=True),
    "ChainNetwork": lambda: deep_score_matching(X, 2.0).chains,
    "DeepNetwork": lambda: deep_score_matching(X, 2.0).network(1e-3),
    "ChainProgram": lambda: chain_program(X, 4.0),
    "SolvedChains": lambda: solve_chain_program(chain_program(X, 4.0)),
    "Runs": lambda: runs_of(X),
    "PiecewiseLinearScore": lambda: score_matching(X, 2.0).score,
    "KinkNetwork": lambda: score_matching(X, 2.0).kink_network,
    "TwoLayerNetwork": lambda: score_matching(X, 2.0).network(),
    "DualVariable": lambda: denoising_score_matching(X, TARGETS, 0.5).dual,
    "Certificate": lambda: score_matching(X, 2.0).certificate,
    "SmoothNetwork": lambda: SmoothNetwork([1.0, -2.0], [0.0, 0.5], [1.0, 3.0], 0.5, activation="elu"),
    "CertifiedGap": lambda: certified_gap(SmoothNetwork([1.0], [0.0], [1.0]), X, 2.0),
    "QuadraticScore": lambda: quadratic_score_matching(X, 2.0),
    "SmoothProgram": lambda: smooth_program(X, 2.0, resolution=3),
    "QuadraticProgram": lambda: quadratic_program(X, 2.0),
    "SmoothRuns": lambda: train_smooth(X, 2.0, width=3, n_trials=2, n_epochs=2, generator=torch.Generator()),
    "LargeWeightDecay": lambda: large_weight_decay(X, 5.0),
    "MemorisationLaw": lambda: memorisation_law([0.0, 1.0, 3.0], ROWS),
    "SolutionPath": lambda: solution_path(X, down_to=1.5),
    "SolutionPath, denoising": lambda: denoising_path(X, TARGETS, down_to=0.5, skip=True),
    "Piece": lambda: solution_path(X, down_to=1.5).pieces[-1],
    "Selection": lambda: choose_weight_decay(X, [6.0, 8.0], folds=2, rng=rng()),
    "WeighedModes": lambda: weigh_modes(score_matching(X, 2.0, inward_tails=True).score, X),
    "DensityError": lambda: DensityError(0.1, 0.2, 0.3),
    "PrintedProgram": lambda: score_matching_program(X, 2.0),
    "LassoProgram": lambda: solve_program(score_matching_program(X, 2.0)),
    "Arrangements": lambda: enumerate_arrangements(ROWS),
    "Merged": lambda: enumerate_arrangements(np.vstack([ROWS, 3 * ROWS]), tolerance=1e-12).merged,
    "Diameter": lambda: chamber_diameters(enumerate_arrangements(ROWS)),
    "GatedScore": lambda: gated_denoising(ROWS, ROWS[::-1], [[1, 0, 1], [0, 1, 0]], 0.1),
    "GatedSkipScore": lambda: gated_skip_denoising(ROWS, ROWS[::-1], [[1, 0, 0.5]], 0.1),
    "GrownNetwork": lambda: neurons_denoising(ROWS, ROWS[::-1], [[1, 0, 0.5]], 0.1),
    "CriticalWeightDecay": lambda: critical_weight_decay(ROWS, [[1, 0, 1], [0, 1, 0]]),
    "PlanarScore": lambda: planar_denoising(ROWS, ROWS[::-1], 0.1),
    "WedgeScore": lambda: wedge_denoising(ROWS, ROWS[::-1], 0.1),
    "GroupLasso": lambda: solve_group_lasso(ROWS, ROWS[::-1], 0.1),
    "GridLaw": lambda: GridLaw.normal(0.0, 1.0, nodes=NODES),
    "AdamRuns": trained,
    "Experiment": experiment,
    "Setting": lambda: replace(SETTINGS["mixture, ReLU"]),
    "DenoisingSetting": lambda: DenoisingSetting(n=5),
    "AnnealedSamples": lambda: anneal([np.negative], DenoisingSetting(sigmas=(1.0,)), rng(), 20),
    "SpiralSetting": lambda: SpiralSetting(n=5),
    "Likeness": lambda: likeness(ROWS, Spiral()),
    "GaussianMixture": lambda: GaussianMixture((-1.0, 1.0)),
    "Uniform": lambda: Uniform(0.0, 3.0),
    "Cross": Cross,
    "Spiral": Spiral,
}
each = pytest.mark.parametrize("name", RESULTS)


def dataclasses_of_the_library() -> Iterator[tuple[type, bool]]:
    """Every frozen dataclass, and whether it is public."""
    for name in library.MODULES:
        module = library.module(name)
        for cls in [thing for thing in vars(module).values() if isinstance(thing, type)]:
            if dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__:
                yield cls, name in library.PUBLIC and cls.__name__ in module.__all__


def is_result(cls: type) -> bool:
    return "_repr_html_" in vars(cls)


def arrays(value: Any) -> Iterator[np.ndarray]:
    """All arrays of a result, those of its parts and of what was worked out later included."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays(part)
    elif is_result(type(value)):
        for part in vars(value).values():
            yield from arrays(part)


def use(thing: Any) -> None:
    """Work out all that is worked out when asked for."""
    for name, member in vars(type(thing)).items():
        if isinstance(member, property | cached_property):
            with suppress(ValueError):  # where there is no density
                getattr(thing, name)
    for part in vars(thing).values():
        if is_result(type(part)):
            use(part)


def test_one_of_each_is_looked_at() -> None:
    """A dataclass with arrays is a result, or an object of the inside that equals nothing but itself."""
    looked_at = {type(make()) for make in RESULTS.values()}
    inside = {"_Family"}  # of a path, compared with it
    for cls, _ in dataclasses_of_the_library():
        if is_result(cls):
            assert cls in looked_at or cls.__name__ in inside, cls
        else:
            assert cls.__eq__ is object.__eq__, cls
            assert cls.__hash__ is object.__hash__, cls
    # Public, for those who look inside.
    solver, claims = (
        {"Beam", "Priced", "Solution", "Tube"},
        {"EndVerdict", "LineProblem", "Sample", "SplineClaim", "Tails", "Verdict"},
    )
    space = {"Circles", "GatedProblem", "Neurons", "PlanarProblem", "SpaceProblem", "Sphere", "WedgeProblem"}
    public = {cls.__name__ for cls, known in dataclasses_of_the_library() if known and not is_result(cls)}
    assert public == solver | claims | space


@each
def test_results_compare_by_value(name: str) -> None:
    one, two = RESULTS[name](), RESULTS[name]()
    assert one is not two
    assert one == two
    assert hash(one) == hash(two)
    assert one in [two]
    assert {one: 1}[two] == 1
    use(one)
    assert one == two
    assert hash(one) == hash(two)
    assert one != "something else"
    assert one is not None
    assert one not in [None, 1, np.zeros(2).tolist()]


@each
def test_every_field_matters(name: str) -> None:
    one = RESULTS[name]()
    for part in fields(one):
        other = copy.copy(one)
        value = getattr(one, part.name)
        if not part.compare or not isinstance(value, np.ndarray | float) or not np.size(value):
            continue
        changed = value.copy() if isinstance(value, np.ndarray) else value
        if isinstance(changed, np.ndarray):
            changed.flat[-1] = not changed.flat[-1] if changed.dtype == bool else changed.flat[-1] + 1
        else:
            changed = changed + 1.0 if np.isfinite(changed) else 0.0
        vars(other)[part.name] = changed
        assert one != other, part.name
        assert hash(one) != hash(other), part.name


def test_equality_knows_signs_of_zero_types_of_numbers_and_nan() -> None:
    def dual(*values: Any, kind: Any = float) -> DualVariable:
        return DualVariable(np.array(values, dtype=kind), 0.0, np.zeros(1), np.zeros(1))

    assert dual(0.0, 1.0) == dual(-0.0, 1.0)
    assert hash(dual(0.0, 1.0)) == hash(dual(-0.0, 1.0))
    assert dual(0, 1, kind=int) == dual(0.0, 1.0) == dual(0, 1, kind=bool)
    assert hash(dual(0, 1, kind=int)) == hash(dual(0.0, 1.0)) == hash(dual(0, 1, kind=bool))
    assert dual(np.nan, 1.0) == dual(np.nan, 1.0)
    assert hash(dual(np.nan, 1.0)) == hash(dual(-np.nan, 1.0))
    assert dual(0.0, 1.0) != dual(0.0, 1.0, 2.0)
    assert replace(dual(1.0), aims=np.zeros(1)) != dual(1.0)
    lost = Certificate(np.nan, -1.0, 0.0, 1.0)
    assert lost == Certificate(float("nan"), -1.0, 0.0, 1.0)
    assert hash(lost) == hash(Certificate(float("nan"), -1.0, 0.0, 1.0))
    assert Certificate(1.0, 1.0, 0.0, 1.0) == Certificate(1, 1, 0, 1)
    assert GaussianMixture((0.0,)) != Uniform(0.0, 1.0)


def test_paths_of_other_data_differ() -> None:
    """Two points make one piece, whatever they are and whatever is trained on them."""
    path = solution_path([0.0, 1.0], down_to=1.5)
    others = [
        solution_path([1.0, 2.0], down_to=1.5),
        solution_path([0.0, 1.0], down_to=1.5, activation="abs"),
        denoising_path([0.0, 1.0], [0.0, 0.0], down_to=1.5),
    ]
    assert all(path != other for other in others)
    assert path == solution_path([0.0, 1.0], down_to=1.5)
    aims, shifted = [1.0, 0.0], [2.0, 1.0]
    assert denoising_path([0.0, 1.0], aims, down_to=1.0) != denoising_path([0.0, 1.0], shifted, down_to=1.0)


@each
def test_repr_is_one_short_line(name: str) -> None:
    thing = RESULTS[name]()
    line = repr(thing)
    assert line.startswith(f"{type(thing).__name__}(")
    assert line.endswith(")")
    assert "\n" not in line
    assert len(line) < 120
    assert "array(" not in line


class Cells(HTMLParser):
    """The texts of a page, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@each
def test_a_notebook_shows_what_print_shows(name: str) -> None:
    thing = RESULTS[name]()
    html = thing._repr_html_()
    assert ("<svg" in html) == (type(thing).__name__ in ("UnivariateScore", "DeepScore"))
    cells = Cells(re.sub("<div><svg.*?</svg></div>", "", html))
    assert not cells.open
    title, about, *rest = cells.texts
    facts = [key for key in thing._facts() if key != "certificate"]
    assert title == type(thing).__name__
    assert about == ": " + (type(thing).__doc__ or "").partition("\n")[0].replace("`", "")
    assert [key for key in rest[::2] if key not in ("certificate", "within")] == facts
    lines = str(thing).splitlines()
    if isinstance(thing, Certificate):
        assert lines[0].startswith("certificate holds: primal ")  # as the book prints it
    else:
        assert lines[0] == title + about
        assert [line.split(maxsplit=1) for line in lines[1:]] == [
            [key, value] for key, value in zip(rest[::2], rest[1::2], strict=True)
        ]
    assert all(len(line) < 120 for line in lines)


def test_what_a_fit_shows() -> None:
    fit = score_matching(X, 2.0)
    line = (
        r"UnivariateScore\(n=6, beta=2\.0, activation='relu', value=-\d\.\d+, knots=\d, certificate=holds\)"
    )
    assert re.fullmatch(line, repr(fit))
    broken = replace(fit, certificate=replace(fit.certificate, dual=-9.0))
    assert "certificate=does not hold" in repr(broken)
    assert "DOES NOT HOLD: primal" in str(broken)
    network = fit.network()
    assert repr(network) == f"TwoLayerNetwork(width={network.width}, dimension=1, activation='relu')"
    assert "float64[3,2]" in repr(gated_denoising(ROWS, ROWS, np.ones((1, 3)), 1.0))
    assert repr(GaussianMixture((-1.0, 1.0))) == "GaussianMixture(centers=(-1.0, 1.0), scale=1.0)"
    assert repr(GaussianMixture((1.0,))) == "GaussianMixture(centers=(1.0,), scale=1.0)"
    assert repr(GaussianMixture(tuple(range(99)))) == "GaussianMixture(centers=<99 entries>, scale=1.0)"
    assert "&lt;= 1e-12" in fit._repr_html_()


WAYS: dict[str, Callable[[Any], Any]] = {
    "made": lambda thing: thing,
    "copied": copy.copy,
    "copied in depth": copy.deepcopy,
    "pickled": lambda thing: pickle.loads(pickle.dumps(thing)),
}


@each
@pytest.mark.parametrize("way", WAYS)
def test_no_array_can_be_written(name: str, way: str) -> None:
    thing = RESULTS[name]()
    use(thing)
    thing = WAYS[way](thing)
    use(thing)
    for array in arrays(thing):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(FrozenInstanceError):
        setattr(thing, fields(thing)[0].name, 0)


def test_an_array_of_the_caller_stays_his() -> None:
    ones, none = np.ones(2), np.zeros(2, dtype=bool)
    network = KinkNetwork(ones, ones, ones, none)
    score = PiecewiseLinearScore(np.arange(2.0), ones, -1.0, -1.0)
    layers = TwoLayerNetwork(ones[:, None], ones, ones[None], ones[:1], ones[:1, None])
    law = GridLaw(NODES, np.full(len(NODES), 1 / 181))
    dual = DualVariable(ones, 0.0, ones, ones)
    ones[0], none[0] = 7.0, True  # none of them has been closed to its owner
    for array in (network.weights, network.kinks, score.values, layers.b1):
        assert array.tolist() == [1.0, 1.0]
    assert not network.beyond.any()
    assert NODES.flags.writeable
    assert not law.nodes.flags.writeable
    assert not dual.x.flags.writeable
    x = np.array(X)
    fit = score_matching(x, 2.0)
    x[0] = 99.0
    assert fit == score_matching(X, 2.0)


@each
def test_pickles_are_faithful_and_do_not_grow(name: str) -> None:
    thing = RESULTS[name]()
    fresh = pickle.dumps(thing)
    use(thing)
    used = pickle.dumps(thing)
    assert abs(len(used) - len(fresh)) <= 16  # how often an object is written is up to references
    for again in (pickle.loads(fresh), pickle.loads(used), copy.copy(thing), copy.deepcopy(thing)):
        assert set(vars(again)) == {part.name for part in fields(thing)}
        assert again == thing
        assert hash(again) == hash(thing)
        assert repr(again) == repr(thing)


def test_a_fit_that_has_drawn_many_pickles_small() -> None:
    fit = score_matching(X, 5.0)
    before = len(pickle.dumps(fit))
    assert len(fit.sample(200_000, rng())) == 200_000
    assert len(pickle.dumps(fit)) == before < 3000
    again = pickle.loads(pickle.dumps(fit))
    assert again.sample(9, rng()).tolist() == fit.sample(9, rng()).tolist()
    assert again.network() == fit.network()


def test_pickles_of_another_version() -> None:
    """What was once kept beside the fields, or no longer is one, is left out."""
    one = Uniform(0.0, 1.0)
    other = Uniform.__new__(Uniform)
    other.__setstate__({"low": 0.0, "high": 1.0, "cached": np.zeros(9)})  # type: ignore[attr-defined]
    assert other == one
    assert set(vars(other)) == {"low", "high"}


def test_a_path_from_a_pickle_can_be_followed() -> None:
    for name in ("SolutionPath", "SolutionPath, denoising"):
        path = RESULTS[name]()
        again = pickle.loads(pickle.dumps(path))
        assert again(2.2) == path(2.2)


@pytest.mark.filterwarnings("error")
def test_a_network_is_handed_to_torch_without_complaint() -> None:
    network = score_matching(X, 2.0).network()
    x = torch.tensor([0.3, 4.0], dtype=torch.float64)
    assert network.to_torch()(x).detach().numpy() == pytest.approx(network(x), abs=1e-14)


def test_own_methods_stand() -> None:
    @result
    class Box:
        """A box."""

        size: tuple[np.ndarray, ...]

        def __post_init__(self) -> None:
            object.__setattr__(self, "size", (np.array(self.size[0]), self.size[1]))

        def __repr__(self) -> str:
            return "box"

        @cached_property
        def volume(self) -> np.ndarray:
            """Its volume."""
            return np.prod(self.size, axis=0)

    box, other = (Box((np.ones(1), np.full(1, height))) for height in (2.0, 3.0))
    assert box == copy.deepcopy(box) != other
    assert hash(box) == hash(copy.deepcopy(box)) != hash(other)
    assert repr(box) == "box"
    assert str(box).startswith("Box: A box.\n  size  ")
    assert not any(part.flags.writeable for part in (*box.size, box.volume))
    assert Box.volume.__doc__ == "Its volume."
