"""Photos that arrive in folders, each once it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from pleinair import tree
from pleinair.folders import Done, Studio, Told
from pleinair.ledger import Mark, mark_of
from pleinair.settings import FOLDERS, PICTURE_SUFFIXES

Planned = Callable[[], tree.Plan]  # what is to be painted as the folders are now


@dataclass
class _Pending:
    mark: Mark
    since: float
    tries: int = 0


class Arrivals:
    """Which photos came or changed, and have been left alone long enough to be whole.

    clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Mark] = {}  # as they were when they were last painted, or given up
        self._pending: dict[str, _Pending] = {}

    def settle(self, photo: Path, mark: Mark | None) -> None:
        """A photo of this state needs nothing more."""
        name = os.path.realpath(photo)
        self._pending.pop(name, None)
        if mark is not None:
            self._known[name] = mark

    def note(self, photo: Path) -> None:
        """Look at a photo that may have come or changed."""
        name = os.path.realpath(photo)
        mark = mark_of(photo)
        if mark is None:
            self._pending.pop(name, None)
            self._known.pop(name, None)
        elif self._known.get(name) != mark and name not in self._pending:
            self._pending[name] = _Pending(mark, self._clock())

    def ripe(self) -> dict[str, Mark]:
        """Real paths of those that have not changed for long enough, each with its state."""
        found = {}
        for name, pending in list(self._pending.items()):
            mark = mark_of(Path(name))
            if mark is None:
                del self._pending[name]
            elif mark != pending.mark:
                self._pending[name] = _Pending(mark, self._clock())
            elif self._clock() - pending.since >= FOLDERS.settle_seconds * 2**pending.tries:
                found[name] = mark
        return found

    def again(self, photo: Path) -> bool:
        """Whether one that could not be read is to be tried once more, after a longer wait."""
        pending = self._pending.get(os.path.realpath(photo))
        if pending is None or pending.tries + 1 >= FOLDERS.watch_tries:
            return False
        pending.tries += 1
        pending.since = self._clock()
        return True

    def concerns(self, photo: Path, ripe: dict[str, Mark], folders: set[str]) -> bool:
        """Whether a planned photo is ripe, or may need another name since one came beside it."""
        name = os.path.realpath(photo)
        if name in ripe:
            return True
        whole = name not in self._pending and self._known.get(name) == mark_of(photo)
        return whole and str(Path(name).parent) in folders and self._stem_met(name, ripe)

    @staticmethod
    def _stem_met(name: str, ripe: dict[str, Mark]) -> bool:
        path = Path(name).with_suffix("")
        return any(Path(other).with_suffix("") == path for other in ripe)


def paint_arrivals(
    studio: Studio,
    folders: list[Path],
    planned: Planned,
    marks: dict[Path, Mark | None],
    told: Told | None = None,
) -> Generator[Done]:
    """Paint what comes into folders, and yield what became of each, until interrupted.

    planned: gives today's plan. marks: photos that were dealt with already, as they were then.
    A file is painted when its size and time have not changed for a second. One that cannot be
    read is tried again, later and later, before it is yielded as failed.
    """
    arrivals = Arrivals()
    for photo, mark in marks.items():
        arrivals.settle(photo, mark)
    looked = float("-inf")
    for changed in _changes(folders):
        if time.monotonic() - looked >= FOLDERS.look_again_seconds:
            # Also what came before the watch began, and where a network drive told nothing.
            changed |= {job.photo for job in planned().jobs}
            looked = time.monotonic()
        for path in changed:
            for photo in _photos(path):
                arrivals.note(photo)
        ripe = arrivals.ripe()
        if not ripe:
            continue
        beside = {str(Path(name).parent) for name in ripe}
        jobs = [job for job in planned().jobs if arrivals.concerns(job.photo, ripe, beside)]
        for name in ripe.keys() - {os.path.realpath(job.photo) for job in jobs}:
            arrivals.settle(Path(name), ripe[name])  # not a photo to paint
        for done in studio.paint(jobs, told):
            if done.status == "failed" and arrivals.again(done.photo):
                continue
            arrivals.settle(done.photo, ripe.get(os.path.realpath(done.photo)))
            if done.status != "skipped":
                yield done


def is_temporary(name: str) -> bool:
    """Whether a file's name is one that programs give to what they have not finished."""
    return name.startswith((".", "~", "#")) or Path(name).stem.endswith((".tmp", ".part", "~"))


def _photos(path: Path) -> Iterator[Path]:
    if path.is_dir():  # moved here with all that is in it
        for here, names in tree.walk(path, {}):
            yield from (here / name for name in names if not is_temporary(name))
    elif path.suffix.lower() in PICTURE_SUFFIXES and not is_temporary(path.name):
        yield path


def _changes(folders: list[Path]) -> Iterator[set[Path]]:
    """Paths that changed, several times a second; by looking where the system does not tell."""
    try:
        yield from _told_by_system(folders, polling=None)
    except (OSError, RuntimeError):
        yield from _told_by_system(folders, polling=True)


def _told_by_system(folders: list[Path], polling: bool | None) -> Iterator[set[Path]]:
    import watchfiles

    for changes in watchfiles.watch(
        *folders,
        watch_filter=None,
        debounce=400,
        step=50,
        rust_timeout=250,
        yield_on_timeout=True,
        raise_interrupt=True,
        force_polling=polling,
        ignore_permission_denied=True,
    ):
        yield {Path(path) for _, path in changes}
