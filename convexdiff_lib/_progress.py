"""How far a long call is, shown where somebody asks for it.

The convention of the library: what may take long has a keyword ``progress``, false by default.  With it, one
bar on the standard error stream says what is counted, how many are done, of how many if that is known, and
how long the rest will take.  The bar is tqdm's, so in a notebook with ipywidgets it is a widget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar
from warnings import catch_warnings, simplefilter

from ._validation import as_flag

__all__ = ["QUIET", "Bar"]

_Item = TypeVar("_Item")


class Bar:
    """Counts what is done, within its context: so the bar is closed when the call raises, too.

    Parameters
    ----------
    progress : bool
        What the user has said; where it is false, nothing is shown, and nothing loaded.
    call : str
        Name of the function that was called.
    unit : str
        What is counted.
    total : int, optional
        How many there will be.

    Examples
    --------
    >>> with Bar(False, "sum", "number", 3) as bar:
    ...     sum(bar.over([1, 2, 3]))
    6
    """

    def __init__(self, progress: bool, call: str, unit: str, total: int | None = None) -> None:
        self._wanted = as_flag(progress, "progress")
        self._says = {"desc": call, "unit": f" {unit}", "total": total}
        self._shown: Any = None

    def __enter__(self) -> Bar:
        if self._wanted:
            with catch_warnings():
                simplefilter("ignore")  # a notebook without ipywidgets has the bar, if not the widget
                from tqdm.auto import tqdm  # not before somebody asks

            self._shown = tqdm(**self._says, dynamic_ncols=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.close()

    def expect(self, total: int) -> None:
        """Say how many there will be, where that was not known before."""
        if self._shown is not None:
            self._shown.reset(total)

    def done(self, count: int = 1, note: str = "") -> None:
        """Count so many more; a note says where that is."""
        if self._shown is not None:
            if note:
                self._shown.set_postfix_str(note, refresh=False)
            self._shown.update(count)

    def over(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items, and count each when the next is asked for."""
        for item in items:
            yield item
            self.done()


QUIET = Bar(False, "", "")  # for what a longer call does in between
