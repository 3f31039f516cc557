"""Processes of a cluster that are killed: Ray on this machine, two workers, the same folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import psutil
import pyarrow.parquet as pq

from torture.bench import Bench
from torture.errors import LostError
from torture.place import Ended, Place, kill, until
from torture.subjects import PHOTOS, Folder

_LIMIT = 300.0  # seconds for a cluster to begin, paint and end
_WORKER = "ray::MapWorker"
_OWN = ("raylet", "gcs_server", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


class Cluster(Folder):
    """A tree of photos, painted by the actors of a cluster."""

    name = "cluster"

    def words(self, place: Place) -> list[str]:
        return [*super().words(place), "--cluster"]


def why_not() -> str | None:
    """Why there is no cluster to try; None where there is."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed (pleinair[scale])"
    said = subprocess.run(
        [sys.executable, "-m", "pleinair", "paint", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if "--cluster" in said.stdout else "pleinair paint has no --cluster here"


def killed(bench: Bench, random: Random) -> int:
    """A worker is killed once paintings appear, and another one later; all are there at the end."""
    subject = Cluster()
    kills = 0
    with bench.place(subject) as place:
        subject.before(place)
        process = place.start(subject.words(place))
        for _ in range(2):
            _wait_for_paintings(place, process, random)
            kills += _kill_one(place, process, _WORKER, random)
        _check_all(bench, place, place.end(process, _LIMIT))
    return kills


def ray_killed(bench: Bench, random: Random) -> int:
    """One of Ray's own processes is killed, which ends all; the next run completes."""
    subject = Cluster()
    with bench.place(subject) as place:
        subject.before(place)
        process = place.start(subject.words(place))
        _wait_for_paintings(place, process, random, most=PHOTOS // 2)
        kills = _kill_one(place, process, random.choice(_OWN), random)
        if place.end(process, _LIMIT).code:
            until(lambda: bool(place.said("stderr")), 20)  # another process says it, a moment later
        ended = place.end(process, 0)
        kill(process)  # what Ray leaves of itself
        bench.failed_or_whole(place, Folder(), ended)
        _check_all(bench, place, place.run(subject.words(place), _LIMIT))
    return kills


def _wait_for_paintings(
    place: Place, process: subprocess.Popen[bytes], random: Random, most: int = PHOTOS
) -> None:
    """Until some are there: a random number of those that are to be, or all where it ends."""
    subject = Cluster()
    at = random.randrange(most)
    while process.poll() is None and len(subject.files(place)) <= at:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


def _wanted(bench: Bench) -> dict[str, str]:
    """What undisturbed workers paint is what the folder command paints."""
    return bench.reference(Folder()).result


def _check_all(bench: Bench, place: Place, ended: Ended) -> None:
    """All is there, once, and told of."""
    if ended.code:
        raise LostError(f"a cluster that lost a worker fails: {ended.sentence()}")
    wanted = _wanted(bench)
    found = Cluster().result(place, ended)
    if {name: found.get(name) for name in wanted} != wanted:
        raise LostError("not all is there that the folder command paints")
    _check_manifest(place, {name for name in found if name.endswith((".png", ".jpg"))})


def _check_manifest(place: Place, paintings: set[str]) -> None:
    """Each painting has one row, and nothing is left of those who died."""
    records = place.out / ".pleinair"
    rows = pq.read_table(records / "manifest.parquet", columns=["output"])["output"].to_pylist()
    if sorted(rows) != sorted(paintings):
        raise LostError("the manifest does not tell of each painting once")
    if left := [path.name for path in records.rglob("*.parquet") if path.parent != records]:
        raise LostError(f"left of workers that died: {', '.join(left[:5])}")


def _kill_one(place: Place, process: subprocess.Popen[bytes], name: str, random: Random) -> int:
    """Kill one of the processes of a name that a cluster has; how many there were to kill."""
    if process.poll() is not None:
        return 0
    found = []
    for one in psutil.process_iter(["cmdline", "environ"]):
        words, own = one.info["cmdline"] or [""], one.info["environ"] or {}
        # Workers leave the command's group, and are known by what they have inherited; of some of
        # Ray's own nobody can read that.
        with contextlib.suppress(ProcessLookupError):
            ours = own.get("TMPDIR") == str(place.tmp) or os.getpgid(one.pid) == process.pid
            if ours and Path(words[0]).name.startswith(name):
                found.append(one)
    if not found:
        return 0
    with contextlib.suppress(psutil.NoSuchProcess):
        random.choice(found).kill()
    return 1
