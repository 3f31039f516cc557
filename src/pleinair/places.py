"""Where pleinair keeps what is the user's: a cache that may be lost, and what must not be."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pleinair import files

CACHE_ADVICE = "make room, or name another folder with PLEINAIR_CACHE"
OWN_ADVICE = "make room, or name another folder with PLEINAIR_DATA"


def cache() -> Path:
    """The folder of what can be fetched again: PLEINAIR_CACHE, or the platform's for us."""
    import platformdirs

    return _named("PLEINAIR_CACHE") or platformdirs.user_cache_path("pleinair")


def own() -> Path:
    """The folder of what the user told or gave us: PLEINAIR_DATA, or the platform's for us."""
    import platformdirs

    return _named("PLEINAIR_DATA") or platformdirs.user_data_path("pleinair")


def make(folder: Path, advice: str) -> Path:
    """A folder that is there afterwards. Raises OutputError."""
    with files.writing(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def held(path: Path, advice: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Meanwhile no other process is in here with the same file, which is left, empty.

    A process that dies lets go. waiting: is called where another one is there first. Where a file
    system knows no locks, nobody waits. Raises OutputError.
    """
    with files.writing(path, advice):
        file = path.open("ab")
    with file:
        try:
            if not _lock(file, wait=False):
                waiting()
                _lock(file, wait=True)
        except OSError:
            pass  # what is written here is renamed when it is whole, and checked by its hash
        yield


if sys.platform == "win32":  # pragma: no cover

    def _lock(file: BinaryIO, wait: bool) -> bool:
        import msvcrt
        import time

        while True:
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.2)
            else:
                return True

else:

    def _lock(file: BinaryIO, wait: bool) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


def _named(variable: str) -> Path | None:
    text = os.environ.get(variable, "")
    return Path(text).expanduser() if text else None
