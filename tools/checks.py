"""Find checks that check nothing: in a chapter's code cells and in the test files.

A book that prints ``True`` builds green on the day it prints ``False``. So a claim must be an ``assert`` that
a wrong number, a NaN included, makes fail. Each rule below is one way in which that goes wrong.
"""

import ast
from collections.abc import Iterable, Iterator

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

CLOSENESS = {"allclose", "isclose"}
VERDICTS = CLOSENESS | {"array_equal", "array_equiv", "all", "any", "bool", "isfinite", "isinstance"}
ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
ALWAYS_TRUE = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.GeneratorExp, ast.Lambda, ast.JoinedStr)
NEVER_RUN = {"nbval-skip", "skip-execution", "raises-exception", "nbval-raises-exception"}
ALL_FAILURES = {"AssertionError", "Exception", "BaseException"}
ASSERTING_CALLS = {
    "raises",
    "warns",
    "fail",
    "holds",
    "all_hold",
    "fails",
}  # of pytest, and of the evidence fixture


def in_chapter(notebook: nbformat.NotebookNode) -> list[str]:
    """List what is wrong with the checks of a whole chapter."""
    found = []
    asserts = 0
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        problems = in_cell(cell.source, cell.metadata.get("tags", []))
        found += [f"code cell {number}, {problem}" for problem in problems]
        asserts += any(isinstance(node, ast.Assert) for node in ast.walk(_parse_cell(cell.source)))
    return found if asserts else [*found, "the chapter asserts nothing"]


def in_cell(source: str, tags: Iterable[str] = ()) -> list[str]:
    """List what is wrong with the checks of one code cell."""
    tree = _parse_cell(source)
    found = list(_in_tree(tree))
    if any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        if source.lstrip().startswith("%%"):
            found.append("line 1: a cell magic on a cell that checks: it changes who sees the failure")
        found += [f"tag {tag}: nobody sees this cell's assert fail" for tag in sorted(NEVER_RUN & set(tags))]
    if any(line.lstrip().startswith("%") and "assert" in line for line in source.splitlines()):
        found.append("a line magic runs an assert: write the assert by itself")
    return found


def in_test_file(source: str) -> list[str]:
    """List what is wrong with the checks of a test module."""
    tree = ast.parse(source)
    return [*_in_tree(tree), *_idle_tests(tree)]


def _parse_cell(source: str) -> ast.Module:
    if source.lstrip().startswith("%%"):
        source = source.lstrip().partition("\n")[2]
    return ast.parse(TransformerManager().transform_cell(source))


def _in_tree(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for problem in _in_node(node):
            yield f"line {getattr(node, 'lineno', '?')}: {problem}"


def _in_node(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print" | "display"), args=args)):
            if any(_shows_verdict(argument) for argument in args):
                yield "a printed truth value: assert it"
        case ast.Expr(value=value):
            if _is_verdict(value):
                yield "a truth value that nobody checks: assert it"
        case ast.Assert(test=test):
            yield from _in_assert(test)
        case ast.Call():
            if _lacks_tolerance(node):
                yield f"{_name(node.func)} with a hidden tolerance: state it"
            if _name(node.func) == "suppress" and any(_name(a) in ALL_FAILURES for a in node.args):
                yield "suppress() swallows every failure"
        case ast.Try(body=body, handlers=handlers):
            checks = any(isinstance(inner, ast.Assert) for statement in body for inner in ast.walk(statement))
            yield from (p for handler in handlers for p in _in_handler(handler, checks=checks))


def _in_assert(test: ast.expr) -> Iterator[str]:
    if isinstance(test, ALWAYS_TRUE):
        yield "this assert is about the truth of a container, which does not depend on what is in it"
    elif not any(isinstance(node, ast.Name) for node in ast.walk(test)):
        yield "assert of a constant"
    if isinstance(test, ast.Compare) and not any(isinstance(n, ast.Call) for n in ast.walk(test)):
        sides = [ast.dump(side) for side in (test.left, *test.comparators)]
        if len(set(sides)) < len(sides) and len(sides) == 2:
            yield "assert that a thing equals itself"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = (op for node in ast.walk(test.operand) if isinstance(node, ast.Compare) for op in node.ops)
        if any(isinstance(op, ORDERINGS) for op in inner):
            yield "`assert not a > b` holds for NaN: write `assert a <= b`"


def _in_handler(handler: ast.ExceptHandler, *, checks: bool) -> Iterator[str]:
    if all(_does_nothing(statement) for statement in handler.body):
        yield "an exception is swallowed: let it be seen"
    catches = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    all_failures = any(caught is None or _name(caught) in ALL_FAILURES for caught in catches)
    raises = any(isinstance(node, ast.Raise) for statement in handler.body for node in ast.walk(statement))
    if checks and all_failures and not raises:
        yield "the failure of an assert is caught: use pytest.raises, or assert the opposite"


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant()):
            return True
    return False


def _shows_verdict(argument: ast.expr) -> bool:
    match argument:
        case ast.JoinedStr(values=values):
            return any(isinstance(v, ast.FormattedValue) and _is_verdict(v.value) for v in values)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return any(_is_verdict(element) for element in elements)
        case ast.Starred(value=value):
            return _is_verdict(value)
    return _is_verdict(argument)


def _is_verdict(value: ast.expr) -> bool:
    match value:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return any(_is_verdict(v) for v in values)
        case ast.Call(func=func):
            return _name(func) in VERDICTS
    return False


def _lacks_tolerance(call: ast.Call) -> bool:
    stated = {keyword.arg for keyword in call.keywords}
    name = _name(call.func)
    if None in stated:  # **options
        return False
    if name in CLOSENESS:
        # NumPy adds the two tolerances, so one that is not stated still loosens the check.
        return len(call.args) < 4 and not ({"rtol", "atol"} <= stated or {"rel_tol", "abs_tol"} & stated)
    if name == "assert_allclose":
        return len(call.args) < 3 and not {"rtol", "atol"} & stated
    if name == "approx":
        return len(call.args) < 2 and not {"rel", "abs"} & stated
    return False


def _idle_tests(tree: ast.Module) -> Iterator[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    checkers = {f.name for f in functions if _checks(f)}
    for function in functions:
        if function.name.startswith("test") and not (_checks(function) or _called(function) & checkers):
            yield f"line {function.lineno}: {function.name} checks nothing"


def _called(function: ast.FunctionDef) -> set[str]:
    return {_name(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}


def _checks(function: ast.FunctionDef) -> bool:
    """Whether it asserts, by itself or by one of the calls that do."""
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(function))
    return asserts or any(name in ASSERTING_CALLS or name.startswith("assert_") for name in _called(function))


def _name(node: ast.expr | None) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
