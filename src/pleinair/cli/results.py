"""What became of photos, as it is told by `pleinair paint`, with and without a cluster."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from pleinair.cli.terminal import give, say

if TYPE_CHECKING:
    from pleinair.crew import Outcome
    from pleinair.folders import Done


def record(done: Done | Outcome) -> dict[str, Any]:
    """A line of JSON; null is what is not known, as of who painted a photo and died."""
    known = done.status == "painted" and done.width
    return {
        "photo": str(done.photo),
        "painting": str(done.painting) if done.status != "failed" else None,
        "status": done.status,
        "error": done.error,
        "width": done.width if known else None,
        "height": done.height if known else None,
        "seconds": done.seconds if known else None,
        "layers": done.layers if known else None,
        "note": done.note,
    }


def sum_up(counts: Counter[str], as_json: bool, seconds: float, many: bool) -> None:
    """The last words. many: of more than files that were named one by one."""
    total = sum(counts.values())
    if as_json and many:
        summary = {status: counts[status] for status in ("painted", "skipped", "failed")}
        give(json.dumps({"summary": {**summary, "seconds": round(seconds, 3)}}))
    if counts["skipped"]:
        say(f"{counts['skipped']:,} of {total:,} photos are painted already.")
    if counts["failed"] and (many or total > 1):
        say(f"pleinair: {counts['failed']:,} of {total:,} photos were not painted.")
