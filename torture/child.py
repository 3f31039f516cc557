"""`pleinair` in a process with a fault in it: `python -m torture.child WORDS`.

PLEINAIR_TORTURE holds the fault as JSON, see `Fault`. It is set up before anything of pleinair
is imported, so that nothing knows of it.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "PLEINAIR_TORTURE"
_JUMPS = (
    -10 * 365 * 86_400,
    -86_400,
    -3_600,
    -1,
    0,
    1,
    3_600,
    86_400,
    10 * 365 * 86_400,
)  # seconds
_CHANGES = frozenset(["open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"])


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a child; nothing by default.

    watched: a folder whose files' events (openings, renames, removals) are counted. kill_at: the
    number of the event before which the process kills itself. told: a file that gets the count
    and more at a regular end. memory: bytes of address space. clock: a seed by which the time of
    day jumps. hasty: downloads wait hundredths of seconds where they wait seconds.
    """

    watched: str = ""
    kill_at: int | None = None
    told: str = ""
    memory: int | None = None
    clock: int | None = None
    hasty: bool = True

    def environment(self) -> dict[str, str]:
        """What a child has to find in its environment."""
        return {VARIABLE: json.dumps(asdict(self))}


SOUND = Fault()  # nothing goes wrong


class _Events:
    """Counts what happens to files of a folder."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._began = time.monotonic()
        self.count = 0
        self.first = 0.0

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook."""
        if event not in _CHANGES or not arguments or isinstance(arguments[0], int):
            return
        if self._fault.watched not in str(arguments[0]):
            return
        self.count += 1
        self.first = self.first or time.monotonic() - self._began
        if self.count == self._fault.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def tell(self) -> None:
        """Counts, and the most memory that was taken, for whoever started the process."""
        status = Path("/proc/self/status")
        peak = 0
        if status.exists():
            lines = status.read_text(encoding="ascii").splitlines()
            peak = next(int(line.split()[1]) * 1024 for line in lines if "VmPeak" in line)
        found = {"events": self.count, "first": self.first, "memory": peak}
        Path(self._fault.told).write_text(json.dumps(found), encoding="utf-8")


def _let_the_clock_jump(seed: int) -> None:
    choose, real = random.Random(seed), time.time
    offset = 0.0

    def jumping() -> float:
        nonlocal offset
        if choose.random() < 0.2:
            offset = choose.choice(_JUMPS)
        return max(0.0, real() + offset)

    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)


def _be_hasty() -> None:
    from dataclasses import replace

    from pleinair import download
    from pleinair.settings import DATA

    quick = replace(DATA, timeout=1.0, first_wait=0.01, longest_wait=0.05)
    vars(download)["DATA"] = quick


def main() -> None:
    """The command, with its fault."""
    fault = Fault(**json.loads(os.environ[VARIABLE]))
    # A suite that a shell runs in the background inherits that Ctrl-C is nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if fault.watched:
        events = _Events(fault)
        sys.addaudithook(events.hear)
        if fault.told:
            atexit.register(events.tell)
    if fault.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (fault.memory, fault.memory))
    if fault.clock is not None:
        _let_the_clock_jump(fault.clock)
    # The folder of the tests lies on the path, too; nothing of pleinair may come to need that.
    from pleinair.cli import main as command

    if fault.hasty and "fetch" in sys.argv:
        _be_hasty()
    command()


if __name__ == "__main__":
    main()
