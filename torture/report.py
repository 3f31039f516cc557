"""What a run of the suite found: as JSON, as a table, and in docs/reliability.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pleinair import __version__, files
from torture.suite import Run, Scenario

BEGIN, END = "<!-- torture: figures of a run -->", "<!-- torture: end -->"


def as_dict(run: Run) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "pleinair": __version__,
        "seed": run.seed,
        "seconds": round(run.elapsed, 1),
        "at_once": run.at_once,
        "scenarios": [
            {
                "fault": one.fault,
                "command": one.command,
                "trials": one.trials,
                "tried": one.tried,
                "survived": one.tried - len(one.lost),
                "lost": one.lost,
                "seconds": round(one.seconds, 1),
                "skipped": one.why_not,
            }
            for one in run.wanted
        ],
    }


def lost(run: Run) -> int:
    """How many trials lost something."""
    return sum(len(one.lost) for one in run.wanted)


def table(run: Run) -> str:
    """A Markdown table: lies together in one row, all else by command; and a line below it."""
    lines = ["| fault | command | tried | survived | lost | seconds |", "|---|---|---|---|---|---|"]
    lies = [one for one in run.wanted if one.fault == "lying server"]
    rows = [(one.fault, one.command, [one]) for one in run.wanted if one not in lies]
    if lies:
        rows.append(("lying server", f"download, {len(lies)} kinds of lies", lies))
    lines += [_row(*row) for row in rows]
    tried = sum(one.tried for one in run.wanted)
    told = (
        f"Seed {run.seed}, pleinair {__version__}, {run.at_once} trials at a time, "
        f"{run.elapsed / 60:.0f} minutes: {tried:,} faults, {lost(run)} lost."
    )
    lines += ["", told]
    return "\n".join(lines)


def _row(fault: str, command: str, of: list[Scenario]) -> str:
    skipped = [one.why_not for one in of if one.why_not is not None]
    if skipped:
        return f"| {fault} | {command} | not tried: {skipped[0]} | | | |"
    tried, failed = sum(one.tried for one in of), sum(len(one.lost) for one in of)
    seconds = sum(one.seconds for one in of)
    return f"| {fault} | {command} | {tried} | {tried - failed} | {failed} | {seconds:.0f} |"


def write(run: Run, path: Path) -> None:
    """All of it as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, (json.dumps(as_dict(run), indent=2) + "\n").encode())


def put_into(page: Path, run: Run) -> None:
    """The table in its place on a page. Raises OSError."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = f"{before}{BEGIN}\n\n{table(run)}\n\n{END}{after}"
    files.write_bytes(page, new.encode())
