"""The table of contents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent


def pages() -> list[str]:
    """Name the pages of the book, in order, without suffix."""
    return list(_pages(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))))


def _pages(entry: dict[str, Any]) -> Iterator[str]:
    yield from (entry[key] for key in ("root", "file") if key in entry)
    for key in ("parts", "chapters", "sections"):
        for below in entry.get(key, []):
            yield from _pages(below)
