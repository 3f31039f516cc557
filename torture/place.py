"""Where one trial happens: folders of its own, and the processes that it starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pleinair
from torture.child import SOUND, Fault
from torture.errors import LostError

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """A process that has ended. code: negative where a signal ended it."""

    code: int
    out: str
    error: str
    seconds: float

    def sentence(self) -> str:
        """What it said why it failed. Raises LostError where that is no sentence for people."""
        if "Traceback" in self.error:
            raise LostError(f"a traceback instead of a sentence:\n{self.error[-3000:]}")
        said = [line for line in self.error.splitlines() if line.startswith("pleinair: ")]
        if self.code != 0 and not said:
            raise LostError(f"exit code {self.code} without a sentence:\n{self.error[-3000:]}")
        return said[-1] if said else ""


@dataclass
class Place:
    """Folders of one trial.

    inputs: what the command reads. disk: what may be mounted and filled; out, in it, is where
    results go. home: what is the user's own: cache and data. tmp: temporary files.
    """

    folder: Path
    shared: Path  # what all trials may use: matplotlib's list of fonts
    stopped: threading.Event  # no process begins any more
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in (self.disk, self.home, self.tmp, self.here):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def out(self) -> Path:
        return self.disk / "out"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def here(self) -> Path:
        """The folder in which commands are given."""
        return self.folder / "here"

    def start(
        self, words: list[str], fault: Fault = SOUND, own: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Begin `pleinair WORDS` with a fault; what it says goes to files."""
        sources = Path(pleinair.__file__).parents[1]  # the same pleinair, wherever it is from
        environment = os.environ | {
            "HOME": str(self.home),
            "MPLCONFIGDIR": str(self.shared),
            "OMP_NUM_THREADS": "1",
            "PLEINAIR_CACHE": str(self.home / "cache"),
            "PLEINAIR_DATA": str(self.home / "data"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, sources))),
            "TMPDIR": str(self.tmp),
            "no_proxy": "127.0.0.1",
        }
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "torture.child", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.here,
                env=environment | (own or {}) | fault.environment(),
                start_new_session=True,
            )
        self.running.append(process)
        if self.stopped.is_set():
            kill(process)
        return process

    def end(self, process: subprocess.Popen[bytes], limit: float) -> Ended:
        """Wait for a process. Raises LostError where it takes longer than `limit` seconds."""
        began = time.monotonic()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired as error:
            kill(process)
            raise LostError(f"it hangs: not done after {limit:.0f} seconds") from error
        seconds = time.monotonic() - began
        return Ended(process.returncode, self.said("stdout"), self.said("stderr"), seconds)

    def run(
        self,
        words: list[str],
        limit: float,
        fault: Fault = SOUND,
        own: dict[str, str] | None = None,
    ) -> Ended:
        """`pleinair WORDS` from begin to end."""
        return self.end(self.start(words, fault, own), limit)

    def said(self, stream: str) -> str:
        return (self.folder / stream).read_text(encoding="utf-8", errors="replace")

    def end_all(self) -> None:
        """End whatever still runs."""
        for process in list(self.running):
            kill(process)

    def clear(self) -> None:
        """End whatever still runs, and remove all folders."""
        self.end_all()
        for folder in self.mounts:
            unmount(folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for something. Raises LostError where it does not come."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise LostError(f"what is waited for has not come in {seconds:.0f} seconds")
        time.sleep(0.02)


# --- mounts: only in a namespace of the suite's own, see __main__ -----------------------------


def mount(*words: str) -> None:
    """Raises OSError."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def unmount(folder: Path) -> None:
    """Take away what was mounted there."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)


def small_disk(place: Place, size: int) -> None:
    """Mount a disk of so many bytes as `place.disk`, as long as the place is there."""
    mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(place.disk))
    place.mounts.append(place.disk)


def lock_inputs(place: Place) -> None:
    """Let nobody write to what is read, as long as the place is there."""
    mount("--bind", str(place.inputs), str(place.inputs))
    place.mounts.append(place.inputs)
    mount("-o", "remount,bind,ro", str(place.inputs))


def why_no_mounts(folder: Path) -> str | None:
    """Why nothing can be mounted here; None where it can."""
    probe = folder / "probe"
    probe.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(probe))
        unmount(probe)
    except OSError as error:
        return f"nothing can be mounted here ({error})"
    finally:
        probe.rmdir()
    return None
