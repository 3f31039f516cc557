"""Painters that a command needs and that are not here yet: what is fetched is told first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pleinair.cli.terminal import progress_bar, say_above


def at_hand(painter: str) -> None:
    """Fetch a painter that is known by name or address, so that it can be loaded.

    Raises PainterError, MissingExtraError, OutputError.
    """
    from pleinair import hub

    if hub.missing(painter) is not None:
        watched(lambda told, progress: hub.find(painter, told, progress))


def watched(
    fetch: Callable[[Callable[[str], None], Callable[[str, int, int | None], None]], Path],
) -> Path:
    """Run what fetches, with its words and a bar on stderr."""
    with progress_bar() as bar:
        task = bar.add_task("downloading", visible=False)

        def told(text: str) -> None:
            say_above(bar, text)

        def progress(what: str, done: int, total: int | None) -> None:
            if what != "downloading":
                told(what)
                return
            bar.update(task, completed=done, total=total, visible=True)

        return fetch(told, progress)
