"""Scripts without what is written for people alone: comments, indentation, blank lines.

A parser says what is a comment: in a string, a template or a regular expression nothing is. Line breaks stay
where they were: they may end a statement.
"""

import re
from collections.abc import Iterator

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

PARSER = Parser(Language(tree_sitter_javascript.language()))
KEPT = {"string", "template_string", "regex"}
LINE_BREAK = re.compile("[\n\r\u2028\u2029]")  # the language has four


def bare(script: str) -> str:
    """Return a script, or a module, that does the same in fewer bytes; a ValueError if it is none."""
    source = script.encode()
    tree = PARSER.parse(source)
    if tree.root_node.has_error:
        raise ValueError(f"this is no JavaScript: {script[:60]!r}")
    parts, place = [""], 0  # by turns code, and what stays as it is
    for node in _marked(tree.root_node):
        parts[-1] += source[place : node.start_byte].decode()
        place, text = node.end_byte, source[node.start_byte : node.end_byte].decode()
        if node.type == "comment":
            parts[-1] += "\n" if LINE_BREAK.search(text) else " "
        else:
            parts += [text, ""]
    parts[-1] += source[place:].decode()
    parts[::2] = [re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", code)) for code in parts[::2]]
    return "".join(parts).strip() + "\n"


def _marked(node: Node) -> Iterator[Node]:
    """Comments, and what may look like one, in their order."""
    if node.type == "comment" or node.type in KEPT:
        yield node
    else:
        for child in node.children:
            yield from _marked(child)
