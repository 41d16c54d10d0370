"""The lint that finds checks which check nothing: it must find each of them, and leave good ones alone."""

import nbformat.v4
import pytest

from tools import checks

BAD_ANYWHERE = [
    "print(a < b)",
    "print('holds:', a <= b)",
    "print(f'gap is small: {gap < 1e-6}')",
    "print([a < b, 1])",
    "print(np.allclose(a, b, rtol=0, atol=1e-9))",
    "print((a > 0).all())",
    "print(not a)",
    "display(a == b)",
    "a < b",
    "a == b",
    "a and b < c",
    "np.allclose(a, b, rtol=0, atol=1e-9)",
    "np.isclose(a, b, rtol=0, atol=1e-9).all()",
    "assert not a > b",
    "assert not (a > b)",
    "assert not (a > b).any()",
    "assert not np.any(residual > 1e-6)",
    "assert not any(r >= 1 for r in rs)",
    "assert True",
    "assert 1",
    "assert 'a message'",
    "assert 1 < 2",
    "assert (a < b, 'a message')",
    "assert (r < 1 for r in rs)",
    "assert [a < b]",
    "assert f'{a < b}'",
    "assert a == a",
    "assert a.value <= a.value",
    "assert np.allclose(a, b)",
    "assert np.allclose(a, b, atol=1e-9)",
    "assert torch.isclose(a, b, rtol=1e-9)",
    "close = np.allclose(a, b)\nassert close",
    "assert math.isclose(a, b)",
    "np.testing.assert_allclose(a, b)",
    "assert a == pytest.approx(b)",
    "try:\n    f()\nexcept ValueError:\n    pass",
    "try:\n    f()\nexcept:\n    ...",
    "for a in b:\n    try:\n        f(a)\n    except ValueError:\n        continue",
    "try:\n    assert a < b\nexcept AssertionError:\n    print('fails, as it should')",
    "try:\n    assert a < b\nexcept (AssertionError, ValueError) as e:\n    print(e)",
    "with contextlib.suppress(Exception):\n    assert a < b",
]
GOOD_ANYWHERE = [
    "assert a <= b",
    "assert a <= b, 'the gap of a convex program is never negative'",
    "assert 0 <= gap <= 1e-6",
    "assert (abs(r) <= 1e-6).all()",
    "assert all(r <= 1e-6 for r in rs)",
    "assert not fit.certificate.holds",
    "assert not math.isfinite(value)",
    "assert 'beta' not in text",
    "assert not [name for name in names if name == 'x']",
    "assert f(a) == f(a)",
    "assert np.allclose(a, b, rtol=0, atol=1e-9)",
    "assert np.allclose(a, b, 0, 1e-9)",
    "assert np.allclose(a, b, **tolerances)",
    "assert math.isclose(a, b, rel_tol=1e-9)",
    "np.testing.assert_allclose(a, b, rtol=1e-9)",
    "assert a == pytest.approx(b, rel=1e-9)",
    "print(f'gap {gap:.0e}')",
    "print('inside' if a < b else 'outside')",
    "print(np.isclose(a, b, rtol=0, atol=1e-9).sum())",
    "mask = a < b\nprint(mask.sum())",
    "try:\n    f()\nexcept ValueError as error:\n    print(error)",
    "try:\n    assert a < b\nexcept AssertionError:\n    raise ValueError('bad data') from None",
    "with pytest.raises(ValueError, match='beta'):\n    f()",
]
BAD_CELLS = [
    ("%%time\nassert a <= b", []),
    ("\n%%capture out\nx = 1\nassert a <= b", []),
    ("%time assert a <= b", []),
    ("%%time\nprint(a < b)", []),
    ("assert a <= b", ["raises-exception"]),
    ("assert a <= b", ["hide-input", "nbval-skip"]),
]
GOOD_CELLS = [
    ("%%time\nx = 1", []),
    ("%matplotlib inline\nassert a <= b", []),
    ("!ls\nx = 1", []),
    ("f(-1)", ["raises-exception"]),
    ("assert a <= b", ["hide-input", "nbval-ignore-output"]),
    ("fit", []),
]
BAD_TESTS = [
    "def test_nothing():\n    f()",
    "def test_prints():\n    print(f())",
    "def ask(seen):\n    seen.because('rounding')\n\ndef test_asks():\n    ask(claim())",
    "class TestIt:\n    def test_nothing(self):\n        f()",
]
GOOD_TESTS = [
    "def test_value():\n    assert f() <= 1",
    "def test_error():\n    with pytest.raises(ValueError):\n        f()",
    "def test_arrays():\n    np.testing.assert_array_equal(a, b)",
    "def test_claim(evidence):\n    evidence('thm', 'gap', 1e-9).holds(gap)",
    "def check(a):\n    assert a <= 1\n\ndef test_helper():\n    check(1)",
    "def try_all(seen):\n    seen.all_hold(f())\n\ndef test_claims():\n    try_all(claim())",
]


@pytest.mark.parametrize("source", BAD_ANYWHERE)
def test_a_check_that_checks_nothing_is_found(source: str) -> None:
    assert checks.in_cell(source)
    assert checks.in_test_file(source)


@pytest.mark.parametrize("source", GOOD_ANYWHERE)
def test_a_good_check_is_left_alone(source: str) -> None:
    assert checks.in_cell(source) == []
    assert checks.in_test_file(source) == []


@pytest.mark.parametrize(("source", "tags"), BAD_CELLS)
def test_a_cell_that_hides_its_check_is_found(source: str, tags: list[str]) -> None:
    assert checks.in_cell(source, tags)


@pytest.mark.parametrize(("source", "tags"), GOOD_CELLS)
def test_a_good_cell_is_left_alone(source: str, tags: list[str]) -> None:
    assert checks.in_cell(source, tags) == []


@pytest.mark.parametrize("source", BAD_TESTS)
def test_a_test_without_a_check_is_found(source: str) -> None:
    assert checks.in_test_file(source)


@pytest.mark.parametrize("source", GOOD_TESTS)
def test_a_good_test_is_left_alone(source: str) -> None:
    assert checks.in_test_file(source) == []


def test_a_chapter_must_assert_something() -> None:
    cell = nbformat.v4.new_code_cell
    notebook = nbformat.v4.new_notebook(cells=[cell("x = 1")])
    assert checks.in_chapter(notebook) == ["the chapter asserts nothing"]
    notebook.cells.append(cell("assert x <= 1"))
    assert checks.in_chapter(notebook) == []
    notebook.cells.append(cell("print(x < 1)"))
    assert checks.in_chapter(notebook) == ["code cell 3, line 1: a printed truth value: assert it"]
