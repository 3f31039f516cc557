"""Every fault for every command, again and again, until all is tried or the time is up."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.hosting import Host

from torture import clocks, disks, kills, liars, memory, serving, workers
from torture.bench import Bench
from torture.errors import LostError
from torture.place import why_no_mounts
from torture.subjects import (
    Download,
    Evaluate,
    Export,
    Folder,
    Paint,
    Subject,
    Train,
    Video,
)

Trial = Callable[[Random], int]  # how many faults were tried; raises LostError


@dataclass
class Scenario:
    """A fault for a command. times: it is wanted. why_not: it cannot be tried here."""

    fault: str
    command: str
    trial: Trial
    times: int
    why_not: str | None = None
    trials: int = 0
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    longest: float = 0.0

    @property
    def name(self) -> str:
        """As `--only` has it."""
        return f"{self.fault}/{self.command}"


def scenarios(bench: Bench, host: Host, crowd: liars.Crowd) -> list[Scenario]:
    """All of them."""
    download = Download(f"{host.url}/kept/water.onnx")
    paint, folder, video, train, export, evaluate = (
        Paint(),
        Folder(),
        Video(),
        Train(),
        Export(),
        Evaluate(),
    )
    mounts = why_no_mounts(bench.folder)

    def of(
        fault: str,
        trial: Callable[[Bench, Subject, Random], int],
        wanted: dict[Subject, int],
        why_not: str | None = None,
    ) -> list[Scenario]:
        return [
            Scenario(fault, subject.name, partial(trial, bench, subject), times, why_not)
            for subject, times in wanted.items()
        ]

    killed = {paint: 20, folder: 16, video: 12, train: 10, download: 14, export: 8, evaluate: 8}
    full = {paint: 16, folder: 16, video: 12, train: 10, download: 12, export: 8, evaluate: 6}
    locked = dict.fromkeys([paint, folder, video, train, download, export, evaluate], 2)
    jumping: dict[Subject, int] = {paint: 3, folder: 4, video: 4, train: 4, download: 3}
    starved: dict[Subject, int] = {paint: 16, folder: 16, video: 16, train: 12}
    return [
        *of("kill -9", kills.killed, killed),
        Scenario("kill -9", "serve", partial(serving.killed, bench), 8),
        Scenario(
            "kill -9", "a worker of a cluster", partial(workers.killed, bench), 3, workers.why_not()
        ),
        Scenario("kill -9", "Ray itself", partial(workers.ray_killed, bench), 3, workers.why_not()),
        *of("full disk", disks.full, full, mounts),
        *of("read-only disk", disks.read_only, locked, mounts),
        *of("clock jumps", clocks.jumped, jumping),
        Scenario("clock jumps", "watch", partial(clocks.watched, bench), 3),
        Scenario("clock jumps", "serve", partial(serving.jumped, bench), 3),
        *of("too little memory", memory.starved, starved),
        *(
            Scenario("lying server", lie, partial(liars.lied_to, bench, host, crowd, lie), 1)
            for lie in liars.LIES
        ),
    ]


class Run:
    """One run of the suite."""

    def __init__(
        self, bench: Bench, wanted: list[Scenario], seed: int, seconds: float, at_once: int
    ) -> None:
        self._bench = bench
        self.wanted, self.seed, self.seconds, self.at_once = wanted, seed, seconds, at_once
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._done = 0

    def run(self, told: Callable[[str], None]) -> None:
        """All scenarios in turn, so that an end comes to all alike. told: hears of each trial.

        Whatever ends it before, ends all processes first.
        """
        turns = self._turns()

        def work() -> None:
            while True:
                with self._lock:
                    turn = next(turns, None)
                if turn is None or self._bench.stopped.is_set():
                    return
                self._try(*turn, told)

        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                for ended in [pool.submit(work) for _ in range(self.at_once)]:
                    ended.result()
            except BaseException:
                self._bench.stop()
                raise

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def _turns(self) -> Iterator[tuple[Scenario, int]]:
        """Each kind of fault once whatever the time; then again while time is left."""
        for number in itertools.count():
            left = [s for s in self.wanted if s.why_not is None and number < s.times]
            if not left:
                return
            for scenario in left:
                if number == 0 or self.elapsed + 2 * scenario.longest < self.seconds:
                    yield scenario, number

    def _try(self, scenario: Scenario, number: int, told: Callable[[str], None]) -> None:
        began = time.monotonic()
        random = Random(f"{self.seed} {scenario.name} {number}")
        try:
            tried, lost = scenario.trial(random), None
        except LostError as error:
            if self._bench.stopped.is_set():
                return  # by us
            tried, lost = 1, str(error)
        seconds = time.monotonic() - began
        with self._lock:
            scenario.trials += 1
            scenario.tried += tried
            scenario.seconds += seconds
            scenario.longest = max(scenario.longest, seconds)
            self._done += 1
            if lost is not None:
                scenario.lost.append(f"trial {number + 1}: {lost}")
            said = f"LOST: {lost}" if lost is not None else f"survived {tried}"
            told(f"{self._left()}  {scenario.name}, trial {number + 1}: {said}")

    def _left(self) -> str:
        """Trials done, of how many, and about how long the rest takes."""
        todo = [(s, s.times - s.trials) for s in self.wanted if s.why_not is None]
        known = [s.seconds / s.trials for s, _ in todo if s.trials]
        usual = sum(known) / len(known)
        rest = sum(n * (s.seconds / s.trials if s.trials else usual) for s, n in todo)
        seconds = min(rest / self.at_once, max(0.0, self.seconds - self.elapsed))
        total = self._done + sum(n for _, n in todo)
        return f"[{self._done:3} of {total}, about {seconds / 60:.0f} min left]"
