"""Another process that has the last word where a library ends ours without one."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

from pleinair.cli.terminal import say


@contextlib.contextmanager
def witnessed(sentence: str) -> Iterator[None]:
    """Where this process is ended meanwhile, and cannot say so itself, `sentence` on stderr."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    witness = context.Process(target=_watch, args=(theirs, sentence), daemon=True)
    witness.start()
    theirs.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody has killed the witness
            ours.send(None)
        witness.join()


def _watch(process: Connection, sentence: str) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):  # whole groups get them; they are for the other
        signal.signal(one, signal.SIG_IGN)
    try:
        process.recv()
    except (EOFError, ConnectionError):
        say(sentence)
