"""What a test saw of a claim, and how that may differ from what the book prints.

Knows nothing of pytest; the ``evidence`` fixture of the tests opens a `Witness` for each claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from claims_data import FORMS, NEGLIGIBLE, Record, told

# On every machine a residual has to meet its tolerance; one that is printed may not be of another order.
GROWTH = 10.0
# A violation is a property of the printed formula, not of rounding: it may not shrink by half.
SHRINKAGE = 0.5
RECORD = "if that is meant, run: pytest tests --record-evidence"


Evidence = Callable[..., "Witness"]  # what the fixtures give: opens a witness, see `Witness`


class Witness:
    """Counts the instances on which a claim was seen to hold, or a printed form to fail."""

    def __init__(
        self,
        claim: str,
        name: str,
        tolerance: float | None = None,
        *,
        test: str,
        at_least: float | None = None,
        form: str | None = None,
        structured: bool = False,
        what: str = "",
    ) -> None:
        if (tolerance is None) == (at_least is None):
            raise TypeError(f"{claim}/{name}: give either tolerance (it holds) or at_least (it fails)")
        self.kind = "holds" if at_least is None else "fails"
        if form is None:
            form = "printed" if self.kind == "fails" else "ours" if claim.startswith("ours-") else "corrected"
        if form not in FORMS:
            raise ValueError(f"{claim}/{name}: form is {form!r}, allowed are {', '.join(FORMS)}")
        self.claim, self.name, self.test, self.form, self.why = claim, name, test, form, ""
        self.structured, self.what = structured, what.strip()
        self.limit = float(tolerance if tolerance is not None else at_least or 0.0)
        if not (0.0 <= self.limit < math.inf) or (self.kind == "fails" and self.limit == 0.0):
            raise ValueError(f"{claim}/{name}: {self.limit} cannot be a tolerance or a least violation")
        self.seen: list[float] = []

    def because(self, why: str) -> Witness:
        """Say why the tolerance, or the least violation, is the right one."""
        self.why = why.strip()
        return self

    def holds(self, residual: float, on: str = "") -> None:
        """Assert ``0 <= residual <= tolerance`` (not a number fails) and count the instance ``on``."""
        if self.kind != "holds":
            raise TypeError(f"{self.claim}/{self.name} was opened with at_least: call fails()")
        residual, where = float(residual), self._where(on)
        assert residual >= 0.0, f"{where}: {residual} is no residual, it has to be >= 0"
        assert residual <= self.limit, f"{where}: residual {residual} > {self.limit} ({self.why})"
        self.seen.append(residual)

    def all_hold(self, residuals: Iterable[float]) -> None:
        """Do what `holds` does, for one residual after the other."""
        for residual in residuals:
            self.holds(residual)

    def fails(self, violation: float, on: str = "") -> None:
        """Assert ``violation >= at_least`` (not a number fails) and count the instance ``on``."""
        if self.kind != "fails":
            raise TypeError(f"{self.claim}/{self.name} was opened with tolerance: call holds()")
        violation, where = float(violation), self._where(on)
        assert math.isfinite(violation), f"{where}: a violation of {violation} says nothing"
        assert violation >= self.limit, f"{where}: violation {violation} < {self.limit} ({self.why})"
        self.seen.append(violation)

    def _where(self, on: str) -> str:
        return f"{self.claim}/{self.name}" + (f" on {on}" if on else "")

    def record(self) -> Record:
        worst = max(self.seen) if self.kind == "holds" else min(self.seen)
        return Record(
            claim=self.claim,
            evidence=self.name,
            test=self.test,
            kind=self.kind,
            form=self.form,
            instances=len(self.seen),
            worst=told(worst, self.kind, self.limit),
            limit=self.limit,
            why=self.why,
            structured=self.structured,
            what=self.what,
        )


def complaint(fresh: Record, committed: Record | None) -> str | None:
    """What sets a fresh record apart from the one that the book prints; None if nothing does."""
    name = f"{fresh.claim}/{fresh.evidence}"
    if committed is None:
        return f"{name}: evidence.json has no entry for it from {fresh.test}; {RECORD}"
    for field in ("kind", "form", "structured", "instances", "limit", "why", "what"):
        now, then = getattr(fresh, field), getattr(committed, field)
        if now != then:
            return f"{name}: {field} is {now!r}, the book prints {then!r}; {RECORD}"
    if fresh.worst is None:  # the witness saw that the tolerance is met: nothing else is printed
        return None
    printed = NEGLIGIBLE * committed.limit if committed.worst is None else committed.worst
    if fresh.kind == "holds" and not (fresh.worst <= GROWTH * printed):
        return f"{name}: residual {fresh.worst}, the book prints {printed}; {RECORD}"
    if fresh.kind == "fails" and not (fresh.worst >= SHRINKAGE * printed):
        return f"{name}: violation {fresh.worst}, the book prints {printed}; {RECORD}"
    return None
