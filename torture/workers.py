"""Workers of a cluster that are killed: Ray on this machine, two processes, the same folder."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from random import Random

import psutil
import pyarrow.parquet as pq

from torture.bench import Bench, Reference
from torture.errors import LostError
from torture.place import Place
from torture.subjects import Folder

_LIMIT = 300.0  # seconds for a cluster to begin, paint and end


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
    # What undisturbed workers paint is what the folder command paints.
    reference: Reference = bench.reference(Folder())
    kills = 0
    with bench.place(subject) as place:
        subject.before(place)
        process = place.start(subject.words(place))
        for _ in range(2):
            at = random.randrange(len(reference.result))
            while process.poll() is None and len(subject.files(place)) <= at:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            kills += _kill_one(process, random)
        ended = place.end(process, _LIMIT)
        if ended.code:
            raise LostError(f"a cluster that lost a worker fails: {ended.sentence()}")
        found = subject.result(place, ended)
        if {name: found.get(name) for name in reference.result} != reference.result:
            raise LostError("not all is there that the folder command paints")
        _check_manifest(place, {name for name in found if name.endswith((".png", ".jpg"))})
    return kills


def _check_manifest(place: Place, paintings: set[str]) -> None:
    """Each painting has one row, and nothing is left of those who died."""
    records = place.out / ".pleinair"
    rows = pq.read_table(records / "manifest.parquet", columns=["output"])["output"].to_pylist()
    if sorted(rows) != sorted(paintings):
        raise LostError("the manifest does not tell of each painting once")
    if left := [path.name for path in records.rglob("*.parquet") if path.parent != records]:
        raise LostError(f"left of workers that died: {', '.join(left[:5])}")


def _kill_one(process: subprocess.Popen[bytes], random: Random) -> int:
    """Kill one of the workers below a process; how many there were to kill."""
    if process.poll() is not None:
        return 0
    found = []
    for one in psutil.process_iter(["cmdline", "environ"]):
        words, own = one.info["cmdline"] or [""], one.info["environ"] or {}
        # Workers are no children of the command: they are known by what they have inherited.
        if words[0].startswith("ray::") and own.get("TMPDIR") == process_tmp(process):
            found.append(one)
    if not found:
        return 0
    with contextlib.suppress(psutil.NoSuchProcess):
        random.choice(found).kill()
    return 1


def process_tmp(process: subprocess.Popen[bytes]) -> str:
    """The folder of temporary files of a process of ours, which no other process has."""
    return str(psutil.Process(process.pid).environ().get("TMPDIR", ""))
