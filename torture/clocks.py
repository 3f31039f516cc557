"""Clocks that jump, forwards and backwards, and photos from the future and the past."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from random import Random

from torture import wholeness
from torture.bench import Bench
from torture.child import Fault
from torture.errors import LostError
from torture.kills import kill_once
from torture.place import Place, until
from torture.subjects import Folder, Subject

_DAYS = (0.0, 1.0, 10_000.0, 18_000.0, 40_000.0)  # since 1970; the last is in the year 2079


def jumped(bench: Bench, subject: Subject, random: Random) -> int:
    """The time of day jumps within a run that is killed, and within the one that goes on."""
    with bench.place(subject) as place:
        _age(place.inputs, random)
        subject.before(place)
        kill_once(bench, place, subject, random, clock=random.randrange(10**9))
        bench.look(place, subject)
        bench.finish(place, subject, Fault(clock=random.randrange(10**9)))
        if isinstance(subject, Folder):
            _run_again(bench, place, subject, random)
    return 2


def _run_again(bench: Bench, place: Place, subject: Folder, random: Random) -> None:
    """Nothing is painted twice; a photo that has changed is, though its time went backwards."""
    limit = bench.reference(subject).limit
    before = _times(place.out)
    clock = Fault(clock=random.randrange(10**9))
    ended = place.run(subject.words(place), limit, clock)
    if ended.code or ended.out or _times(place.out) != before:
        raise LostError(f"a second run paints {ended.out.split()} again; {ended.error}")
    one, other = place.inputs / "photos" / "01.png", place.inputs / "photos" / "02.png"
    kept = one.read_bytes()
    shutil.copyfile(other, one)
    os.utime(one, (0, 0))
    ended = place.run(subject.words(place), limit, clock)
    if ended.code or ended.out.split() != [str(place.out / "01.png")]:
        raise LostError(f"a photo that changed: {ended.out.split()} painted; {ended.error}")
    if wholeness.digest(place.out / "01.png") != wholeness.digest(place.out / "02.png"):
        raise LostError("a photo that changed was not painted anew")
    one.write_bytes(kept)


def watched(bench: Bench, random: Random) -> int:
    """Photos of any age arrive in a folder that is watched, while the clock jumps."""
    subject = Folder()
    reference = bench.reference(subject)
    with bench.place(subject) as place:
        arriving = place.folder / "arriving"
        arriving.mkdir()
        shutil.move(place.inputs / "photos", arriving / "photos")
        (place.inputs / "photos").mkdir()
        subject.before(place)
        process = place.start(
            [*subject.words(place), "--watch"], Fault(clock=random.randrange(10**9))
        )
        until(lambda: "watching" in place.said("stderr"), reference.limit)
        _age(arriving, random)
        for path in (arriving / "photos").iterdir():
            shutil.move(path, place.inputs / "photos" / path.name)
        wanted = {name for name in reference.result if name.endswith(".png")}
        until(lambda: wanted <= set(wholeness.digests(place.out)), reference.limit)
        process.send_signal(signal.SIGINT)
        ended = place.end(process, reference.limit)
        if ended.code:
            raise LostError(f"a watch ends with {ended.code}: {ended.error}")
        bench.compare(place, subject, ended)
        bench.finish(place, subject)
    return 1


def _age(folder: Path, random: Random) -> None:
    """Files of the distant past and of the future."""
    for path in wholeness.files_of(folder):
        when = random.choice(_DAYS) * 86_400 + random.random()
        os.utime(path, (when, when))


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
