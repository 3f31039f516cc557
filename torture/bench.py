"""Places for trials, what an undisturbed run of each command gives, and what every trial checks."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torture import wholeness
from torture.child import SOUND, Fault
from torture.errors import LostError
from torture.place import Ended, Place
from torture.subjects import Subject, make_inputs

_PATIENCE = 120.0  # seconds beyond ten times what an undisturbed run takes, before it hangs


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a command.

    seconds: it took; first: seconds until it touched its results. events: how often it did.
    room: bytes of disk that it took at most. memory: bytes of address space at most. before,
    result: contents, by name.
    """

    seconds: float
    first: float
    events: int
    room: int
    memory: int
    before: dict[str, str]
    result: dict[str, str]

    @property
    def limit(self) -> float:
        """Seconds after which a run hangs."""
        return 10 * self.seconds + _PATIENCE


class Bench:
    """All trials of one run of the suite; lost: where places are kept in which something was."""

    def __init__(self, folder: Path, lost: Path) -> None:
        self.folder, self.lost = folder, lost
        self.stopped = threading.Event()
        self._numbers = itertools.count()
        self._places: dict[str, Place] = {}
        self._references: dict[str, Reference] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        make_inputs(folder / "inputs")
        (folder / "shared").mkdir()

    @contextlib.contextmanager
    def place(self, subject: Subject | None = None) -> Iterator[Place]:
        """A place with its own copy of all inputs; kept aside where something is lost in it.

        subject: whose results are to be; what the user has before is laid out by `begin`.
        """
        name = f"{next(self._numbers):04}-{subject.name if subject else 'other'}"
        place = self._places[name] = Place(self.folder / name, self.folder / "shared", self.stopped)
        shutil.copytree(self.folder / "inputs", place.inputs)
        try:
            yield place
        except LostError:
            if not self.stopped.is_set():
                self.lost.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(OSError, shutil.Error):
                    shutil.copytree(place.folder, self.lost / name, dirs_exist_ok=True)
            raise
        finally:
            place.clear()
            del self._places[name]

    def stop(self) -> None:
        """End all processes; none begins any more."""
        self.stopped.set()
        for place in list(self._places.values()):
            place.end_all()

    def reference(self, subject: Subject) -> Reference:
        """The undisturbed run of a command, made when it is first asked for."""
        with self._lock:
            lock = self._locks.setdefault(subject.name, threading.Lock())
        with lock:
            if subject.name not in self._references:
                self._references[subject.name] = self._undisturbed(subject)
            return self._references[subject.name]

    def _undisturbed(self, subject: Subject) -> Reference:
        with self.place(subject) as place:
            subject.before(place)
            before = subject.files(place)
            told = place.folder / "told.json"
            fault = Fault(watched=str(place.out), told=str(told))
            began = time.monotonic()
            process = place.start(subject.words(place), fault, subject.own(place))
            room = 0
            while process.poll() is None:
                room = max(room, _size(place.disk))
                time.sleep(0.01)
            ended = place.end(process, 0)
            if ended.code:
                raise LostError(f"{subject.name} fails undisturbed: {ended.error[-2000:]}")
            counted = json.loads(told.read_text(encoding="utf-8"))
            wholeness.check(place.out)
            return Reference(
                seconds=time.monotonic() - began,
                first=counted["first"],
                events=counted["events"],
                room=max(room, _size(place.disk)),
                memory=counted["memory"],
                before=before,
                result=subject.result(place, ended),
            )

    # --- what every trial asks --------------------------------------------------------------------

    def look(self, place: Place, subject: Subject) -> None:
        """After a fault: nothing half is to be seen, nothing of the user's has changed."""
        reference = self.reference(subject)
        wholeness.check(place.out)
        now = subject.files(place)
        for name, digest in reference.before.items():
            if now.get(name) not in (digest, reference.result.get(name)):
                raise LostError(f"{name} was the user's and is neither as it was nor painted anew")
        for name, digest in now.items():
            if subject.exact and digest not in (
                reference.result.get(name),
                reference.before.get(name),
            ):
                raise LostError(f"{name} is neither from before nor a result")
        if list(place.here.iterdir()):
            raise LostError(f"files lie where the command was given: {list(place.here.iterdir())}")
        self._look_at_inputs(place)

    def finish(self, place: Place, subject: Subject, fault: Fault = SOUND) -> None:
        """The same command once more completes, and what comes of it is as if nothing had been."""
        reference = self.reference(subject)
        # A kill may have come after all was done: then the next run says that it is there.
        done = subject.once and subject.files(place) == reference.result
        ended = place.run(subject.words(place), reference.limit, fault, subject.own(place))
        if ended.code and not (done and "exists" in ended.sentence()):
            raise LostError(f"the next run fails: {ended.sentence()}")
        self.look(place, subject)
        self.compare(place, subject, ended)
        names = (path.relative_to(place.out).as_posix() for path in wholeness.files_of(place.out))
        left = [n for n in names if wholeness.WORK.fullmatch(n) and not wholeness.KEPT.fullmatch(n)]
        if not subject.sweeps:
            left = [name for name in left if ".part" not in name]
        if left:
            raise LostError(f"the next run leaves {left}")

    def compare(self, place: Place, subject: Subject, ended: Ended) -> None:
        """Raise LostError where a result is not that of an undisturbed run."""
        found, wanted = subject.result(place, ended), self.reference(subject).result
        other = [name for name in found.keys() | wanted if found.get(name) != wanted.get(name)]
        if other:
            raise LostError(f"not as in an undisturbed run: {sorted(other)}")

    def failed_or_whole(self, place: Place, subject: Subject, ended: Ended) -> None:
        """After a run that met a fault: all is there, or one sentence says what is not."""
        said = ended.sentence()
        if ended.code == 0 and not subject.goes_on and not said:
            self.compare(place, subject, ended)
        self.look(place, subject)

    def _look_at_inputs(self, place: Place) -> None:
        if wholeness.digests(place.inputs) != wholeness.digests(self.folder / "inputs"):
            raise LostError("what was read has changed")


def _size(folder: Path) -> int:
    """Bytes of files, in pages as a disk has them."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if path.is_file():
                total += -(-path.stat().st_size // 4096) * 4096
    return total
