"""The results: a file of records, and tables of them."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]
Key = tuple[str, str, str, str, bool, int, float]
Records = dict[Key, Record]

STORED = Path(__file__).parents[1] / "convexdiff_lib" / "stored"  # for the book, and for whoever runs it
PACKAGES = ("numpy", "scipy", "clarabel", "numba", "cvxpy", "scikit-learn", "piqp", "osqp", "celer")
ROUGH = 1e-6  # relative gap above which an answer is counted as wrong
COMPARED = ("clarabel", "piqp", "osqp", "printed", "lasso", "trend")


def key(record: Record) -> Key:
    """What a record is about; a second run of it replaces the first."""
    return (
        record["part"],
        record["method"],
        record["loss"],
        record["activation"],
        record["skip"],
        record["n"],
        record["beta"],
    )


def machine() -> Record:
    """Describe the machine, without its name."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    """Name the processor, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def load(path: Path) -> tuple[Records, Record]:
    """Read the records that earlier runs saved, and on what machine; nothing if there are none."""
    if not path.exists():
        return {}, {}
    stored = json.loads(path.read_text())
    return {key(record): record for record in stored["records"]}, stored["machine"]


def save(path: Path, described: Record, records: Records) -> None:
    """Write all records, one per line."""
    store(path, [_rounded(record) for record in records.values()], described)


def store(path: Path, records: list[Record], described: Record | None = None) -> None:
    """Write records as they are, one per line, with a description of the machine, by default of this one."""
    lines = ",\n".join(map(json.dumps, records))
    path.write_text(f'{{"machine": {json.dumps(described or machine())},\n"records": [\n{lines}\n]}}\n')


def _rounded(record: Record) -> Record:
    """Three digits of what was measured; what the record is about stays as it is."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) and name != "beta" else value
        for name, value in record.items()
    }


def _problem(record: Record) -> str:
    return f"{record['loss']} {record['activation']}{' skip' if record['skip'] else ''}"


def _columns(rows: list[list[str]]) -> str:
    """Align the rows of a table, its first column to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def table(records: Records) -> str:
    """Lay out everything that was measured."""
    parts: dict[str, list[Record]] = defaultdict(list)
    for record in records.values():
        parts[record["part"]].append(record)
    blocks = [_ours(parts["ours"], n) for n in sorted({r["n"] for r in parts["ours"]}) if n >= 1000]
    if parts["threshold"]:
        blocks.append(_threshold(parts["threshold"]))
    compared = [record for part in COMPARED for record in parts[part]]
    if compared:
        blocks.append(_ratios(compared, records))
    blocks += [_single(parts[p]) for p in ("path", "evaluation", "sampling", "bandwidth") if parts[p]]
    return "\n\n".join(blocks)


def _ours(found: list[Record], n: int) -> str:
    """Seconds for every problem and weight decay at one size, and the worst of the rest."""
    mine = [record for record in found if record["n"] == n]
    ratios = sorted({record["beta"] / n for record in mine}, reverse=True)
    rows = [[f"ours, n = {n}: seconds", *(f"beta = {ratio:g} n" for ratio in ratios)]]
    for problem in dict.fromkeys(_problem(record) for record in mine):
        at = {record["beta"] / n: _seconds(record) for record in mine if _problem(record) == problem}
        rows.append([problem, *(at.get(ratio, "") for ratio in ratios)])
    solved = [record for record in mine if record["status"] == "solved"]
    if not solved:
        return _columns(rows)
    notes = [
        f"geometric mean {_mean([r['seconds'] for r in solved]):.3g} s",
        f"slowest {max(r['seconds'] for r in solved):.3g} s",
        f"worst relative gap {max(r['relative_gap'] for r in solved):.1e}",
        f"worst infeasibility {max(r['infeasibility'] for r in solved):.1e}",
        f"knots {min(r['knots'] for r in solved)} to {max(r['knots'] for r in solved)}",
    ]
    peaks = [record["peak_mib"] for record in solved if "peak_mib" in record]
    if peaks:
        notes.append(f"peak memory {max(peaks):.0f} MiB")
    return _columns(rows) + "\n" + "; ".join(notes)


def _seconds(record: Record) -> str:
    return f"{record['seconds']:.3g}" if record["status"] == "solved" else str(record["status"])[:24]


def _threshold(found: list[Record]) -> str:
    """The neighbourhood of the smallest possible weight decay."""
    rows = [["near the threshold", "n", "beta", "seconds", "gap", "infeasibility", "status"]]
    for record in found:
        gap, infeasibility = record.get("relative_gap"), record.get("infeasibility")
        rows.append(
            [
                _problem(record),
                str(record["n"]),
                f"{record['beta']:g}",
                f"{record['seconds']:.3g}" if "seconds" in record else "",
                "" if gap is None else f"{gap:.1e}",
                "" if infeasibility is None else f"{infeasibility:.1e}",
                record["status"],
            ]
        )
    return _columns(rows)


def _ratios(found: list[Record], records: Records) -> str:
    """Time of every alternative over ours, by method and size.

    A case that was stopped counts with the time that it was given, so that its ratio is a lower bound.  Cases
    without a time, or without our own run of the instance, are counted but have no ratio.
    """
    groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in found:
        if record["status"] != "below the threshold":
            groups[record["method"], record["n"]].append(record)
    rows = [
        [
            "time over ours",
            "n",
            "cases",
            "geom. mean",
            "least",
            "most",
            "worst gap",
            "worst infeas.",
            f"gap > {ROUGH:g}",
            "not solved",
        ]
    ]
    everything: dict[str, list[float]] = defaultdict(list)
    for (method, n), members in groups.items():
        ratios = [ratio for record in members if (ratio := _ratio(record, records)) is not None]
        everything[method] += ratios
        unsolved = [record["status"] for record in members if record["status"] != "solved"]
        rows.append(
            [
                method,
                str(n),
                str(len(members)),
                *_spread(ratios),
                _worst(members, "relative_gap"),
                _worst(members, "infeasibility"),
                str(sum(record.get("relative_gap", 0.0) > ROUGH for record in members)),
                str(len(unsolved)) + (f" ({'; '.join(sorted(set(unsolved)))[:60]})" if unsolved else ""),
            ]
        )
    for method, ratios in everything.items():
        rows.append([f"{method}, all", "", str(len(ratios)), *_spread(ratios), "", "", "", ""])
    return _columns(rows)


def _ratio(record: Record, records: Records) -> float | None:
    own = records.get(key(record | {"part": "ours", "method": "ours"}), {})
    if "seconds" not in record or "seconds" not in own:
        return None
    return float(record["seconds"] / own["seconds"])


def _spread(ratios: list[float]) -> list[str]:
    return [f"{f(ratios):.3g}" if ratios else "" for f in (_mean, min, max)]


def _worst(members: list[Record], name: str) -> str:
    """The largest value; an answer of which it is not known has none."""
    values = [record[name] for record in members if name in record]
    return f"{max(values):.1e}" if values else ""


def _mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _single(found: list[Record]) -> str:
    """One line for every record of a part that compares nothing on a grid."""
    about = {"part", "method", "loss", "activation", "skip", "n", "beta", "status"}
    lines = []
    for record in found:
        measured = ", ".join(f"{name} {value:.3g}" for name, value in record.items() if name not in about)
        head = f"{record['part']}, {record['method']}: {_problem(record)}, n = {record['n']}"
        lines.append(f"{head}, beta = {record['beta']:g}: {record['status']}; {measured}")
    return "\n".join(lines)
