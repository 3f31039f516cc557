"""`pleinair paint --cluster`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from pleinair.cli.results import record, sum_up
from pleinair.cli.terminal import give, painting_bar, say_above, told_to
from pleinair.cli.witness import witnessed
from pleinair.errors import UsageError
from pleinair.settings import Look, PaintOptions

_TOLD = 20  # failures that are told one by one; --json has all of them
# Ray ends the process that uses it where one of its own on this machine dies.
_ENDED = (
    "pleinair: ended from outside, as by Ray where one of its own processes dies; what is painted "
    "is kept, and the same command goes on."
)


def paint_cluster(
    places: list[str],
    out: str | None,
    painter: str,
    look: Look,
    options: PaintOptions,
    workers: int | None,
    as_json: bool,
) -> int:
    """Paint folders and addresses with many workers; the command's exit code."""
    if out is None:
        raise UsageError("--cluster paints into a place of its own; name it with -o.")
    from pleinair.scale import paint_library

    counts: Counter[str] = Counter()
    began = time.monotonic()
    try:
        with witnessed(_ENDED), _words_alone(), painting_bar() as progress:
            made = paint_library(
                painter,
                places,
                out,
                look=look,
                workers=workers,
                told=told_to(progress),
                options=options,
            )
            with contextlib.closing(made):
                for outcome in made:
                    counts[outcome.status] += 1
                    if outcome.error and counts["failed"] <= _TOLD:
                        say_above(progress, f"pleinair: {outcome.error}")
                    if outcome.note:
                        say_above(progress, f"{outcome.photo}: {outcome.note}")
                    if as_json:
                        give(json.dumps(record(outcome)))
                    elif outcome.status == "painted":
                        give(outcome.painting)
    finally:
        sum_up(counts, as_json, time.monotonic() - began, many=counts.total() > 0)
    return 1 if counts["failed"] else 0


@contextlib.contextmanager
def _words_alone() -> Iterator[None]:
    """Standard error for what is said to people: Ray's machinery writes into it, too."""
    kept, before = os.dup(2), sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as words:
        sys.stderr.flush()
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = words
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(kept, 2)
