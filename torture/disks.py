"""Disks that are full, and disks that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from torture import wholeness
from torture.bench import Bench
from torture.errors import LostError
from torture.place import Place, lock_inputs, mount, small_disk
from torture.subjects import Subject


def full(bench: Bench, subject: Subject, random: Random) -> int:
    """A disk with less room than the command needs, how much less is random; then with room."""
    reference = bench.reference(subject)
    with bench.place(subject) as place:
        small_disk(place, 2 * reference.room + 2**20)
        subject.before(place)
        filler = _fill(place, random.randint(0, reference.room))
        words, own = subject.words(place), subject.own(place)
        ended = place.run(words, reference.limit, own=own)
        bench.failed_or_whole(place, subject, ended)
        filler.unlink()
        bench.finish(place, subject)
    return 1


def read_only(bench: Bench, subject: Subject, random: Random) -> int:  # noqa: ARG001
    """A disk that cannot be written; then one that can, beside inputs that cannot."""
    reference = bench.reference(subject)
    with bench.place(subject) as place:
        small_disk(place, 2 * reference.room + 2**20)
        subject.before(place)
        before = wholeness.digests(place.disk)
        mount("-o", "remount,ro", str(place.disk))
        words, own = subject.words(place), subject.own(place)
        ended = place.run(words, reference.limit, own=own)
        ended.sentence()
        if ended.code == 0 and not subject.goes_on:
            raise LostError("exit code 0, though nothing can be written")
        if wholeness.digests(place.disk) != before:
            raise LostError("a read-only disk has changed")
        mount("-o", "remount,rw", str(place.disk))
        lock_inputs(place)
        bench.finish(place, subject)
    return 2


def _fill(place: Place, free: int) -> Path:
    """A file that leaves so many bytes free."""
    stat = os.statvfs(place.disk)
    filler = place.disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, stat.f_bavail * stat.f_frsize - free))
    return filler
