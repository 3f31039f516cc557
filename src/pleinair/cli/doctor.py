"""`pleinair doctor`."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.terminal import give, progress_bar
from pleinair.errors import OutputError, PleinairError

if TYPE_CHECKING:
    from pleinair.doctor import Report

_SIGNS = {"ok": "  ok     ", "note": "  note   ", "warning": "  WARNING"}


def doctor(
    painter: Annotated[str, Parameter(name="PAINTER")],
    /,
    *,
    network: str | None = None,
    sheet: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Say what a painter's file is, what it does to test pictures, and what to do.

    The exit code is 1 where something is a warning, or the file is no painter.

    Parameters
    ----------
    painter
        A file or folder of any kind that paints, a run, a painter's name, or hf://owner/name.
    network
        Which one of several networks in the file.
    sheet
        Also write the test pictures beside what became of them, as .png or .jpg.
    as_json
        Print everything as JSON.
    force
        Overwrite a sheet that exists.
    """
    from pleinair import files, images

    if sheet is not None:
        images.check_output(sheet)
        files.check_free(sheet, force)
        if not sheet.parent.is_dir():
            raise OutputError(f"{sheet.parent} is no folder; make it, or name another.")
    try:
        at_hand(painter)
        report = _examined(painter, network)
    except PleinairError as error:
        if as_json:
            give(json.dumps({"error": str(error)}, indent=2))
        raise
    if sheet is not None:
        images.write(images.Picture(report.sheet()), sheet)
    if as_json:
        findings = [dataclasses.asdict(finding) for finding in report.findings]
        told_all = {"facts": report.facts, "findings": findings, "warnings": report.warnings}
        give(json.dumps(told_all, indent=2))
    else:
        give(_text(report))
    return 1 if report.warnings else 0


def _examined(painter: str, network: str | None) -> Report:
    from pleinair import doctor as room

    with progress_bar() as bar:
        task = bar.add_task("looking")

        def told(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        return room.examine(painter, network, told)


def _facts(report: Report) -> dict[str, str]:
    """In words: numbers with what they count."""
    facts = dict(report.facts)
    size, slower = facts.pop("bytes", None), facts.pop("times monet", None)
    words = {
        "ms a megapixel": ("speed", "{} ms a megapixel here"),
        "MB a megapixel": ("memory", "about {} MB a megapixel that is painted at once"),
    }
    told = {}
    for key, value in facts.items():
        name, sentence = words.get(key, (key, "{}"))
        told[name] = sentence.format(value if isinstance(value, str) else f"{value:,}")
    if size is not None:
        told["file"] += f", {size:,} bytes"
    if slower is not None:
        told["speed"] += f", {slower:g} times as long as monet"
    return told


def _text(report: Report) -> str:
    lines = [f"{key + ':':14}{value}" for key, value in _facts(report).items()]
    lines.append("")
    for finding in report.findings:
        lines.append(f"{_SIGNS[finding.level]}  {finding.name}: {finding.found}")
        for word, text in (("why", finding.why), ("do", finding.advice)):
            if text:
                lines += textwrap.wrap(
                    f"{word}: {text}", 88, initial_indent=" " * 11, subsequent_indent=" " * 16
                )
    count = report.warnings
    lines += ["", f"{count} warning{'s' if count != 1 else ''}." if count else "Nothing is wrong."]
    return "\n".join(lines)
