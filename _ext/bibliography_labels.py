"""The bibliography names its entries as the text cites them: by authors and year."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle
from sphinxcontrib.bibtex.style.template import join, year


class AuthorYearLabels(BaseLabelStyle):  # type: ignore[misc]  # pybtex has no types
    """What a citation in brackets says; of two entries with one label the build complains."""

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        style = AuthorYearReferenceStyle()
        label = join(sep=style.author_year_sep)[style.person.author_or_editor_or_title(full=False), year]
        for entry in sorted_entries:
            yield label.format_data({"entry": entry, "style": style}).render_as("text")


class AuthorYearStyle(Style):  # type: ignore[misc]
    """The plain style with these labels in place of numbers."""

    default_label_style = AuthorYearLabels


def setup(app: Sphinx) -> dict[str, bool]:
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
