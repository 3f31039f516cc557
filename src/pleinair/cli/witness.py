"""Another process that has the last word where a library ends ours without one."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

from pleinair.cli.terminal import say

_FOR_GROUPS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def witnessed(sentence: str) -> Iterator[None]:
    """Where this process is ended meanwhile, and cannot say so itself, `sentence` on stderr."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    witness = context.Process(target=_watch, args=(theirs, sentence), daemon=True)
    with _deaf():
        witness.start()
    theirs.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody has killed the witness
            ours.send(None)
        witness.join()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What begins meanwhile hears neither Ctrl-C nor an end that whole groups are told to make.

    Both are for the process that is watched, and may come before its witness can say so itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, signal.SIG_IGN) for one in _FOR_GROUPS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler if handler is not None else signal.SIG_DFL)


def _watch(process: Connection, sentence: str) -> None:
    for one in _FOR_GROUPS:
        signal.signal(one, signal.SIG_IGN)
    try:
        process.recv()
    except (EOFError, ConnectionError):
        say(sentence)
