"""Bad files by the thousand: each is to be taken, or refused in one sentence.

    python -m fuzz.numbered --files 10000              all parsers in turn
    python -m fuzz.numbered png hdf5 --files 10000     these

File number n is seed n of a parser, changed by chance drawn from n. Each is read in a worker whose
memory is limited and which is ended when it takes too long, so that a crash or a hang is counted
too. The exit code is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
import traceback
import zlib
from collections import Counter
from multiprocessing.connection import Connection

import numpy as np

from fuzz.promise import mutated, outcome
from fuzz.targets import TARGETS

GOOD = ("taken", "refused")


def file_of(name: str, number: int) -> bytes:
    """The bad file of this number for a parser; the same for the same number."""
    target = TARGETS[name]
    seeds = target.seeds()
    random = np.random.default_rng([zlib.crc32(name.encode()), number])
    data = mutated(seeds[number % len(seeds)], random, target.words)
    return target.mended(data) if random.random() < 0.8 else data


def work(wire: Connection, memory: int) -> None:
    """Answer names and numbers with the outcome and what was said of it."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    while (given := wire.recv()) is not None:
        try:
            wire.send((outcome(TARGETS[given[0]], file_of(*given)), ""))
        except BaseException as error:  # all of them are what we look for
            wire.send((type(error).__name__, traceback.format_exc()))


class Worker:
    """A process that reads files, and what it is busy with."""

    def __init__(self, memory: int) -> None:
        # libvips has threads, which a fork would lose.
        context = multiprocessing.get_context("spawn")
        self.wire, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, memory), daemon=True)
        self.process.start()
        other.close()
        self.given: tuple[str, int] | None = None
        self.since = 0.0

    def give(self, given: tuple[str, int] | None) -> None:
        """Have it read a file, or end."""
        self.given, self.since = given, time.monotonic()
        self.wire.send(given)

    def answer(self, seconds: float) -> tuple[str, str] | None:
        """What became of the file; None where it is still being read."""
        try:
            if self.wire.poll():
                found: tuple[str, str] = self.wire.recv()
                return found
        except EOFError:
            return "crash", ""
        return ("hang", "") if time.monotonic() - self.since > seconds else None


def main() -> int:
    """Count outcomes by parser and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parsers", nargs="*", default=sorted(TARGETS))
    parser.add_argument("--files", type=int, default=10_000, help="for each parser")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=20.0, help="that a file may take")
    parser.add_argument("--memory", type=float, default=6.0, help="GiB that a worker may take")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    bad: list[tuple[str, int, str, str]] = []
    numbers = range(options.first, options.first + options.files)
    files = iter([(name, number) for name in options.parsers for number in numbers])
    memory = int(options.memory * 2**30)
    workers = [Worker(memory) for _ in range(options.workers)]
    start, slowest = time.monotonic(), (0.0, ("", 0))
    for worker in workers:
        worker.give(next(files, None))
    while any(worker.given is not None for worker in workers):
        time.sleep(0.0002)
        for place, worker in enumerate(workers):
            if worker.given is None or (answer := worker.answer(options.seconds)) is None:
                continue
            slowest = max(slowest, (time.monotonic() - worker.since, worker.given))
            counts.setdefault(worker.given[0], Counter())[answer[0]] += 1
            if answer[0] not in GOOD:
                bad.append((*worker.given, *answer))
            if answer[0] in ("crash", "hang"):
                worker.process.kill()
                worker = workers[place] = Worker(memory)
            worker.give(next(files, None))
    found = sorted({outcome for row in counts.values() for outcome in row})
    print(f"{'parser':18}" + "".join(f"{name:>16}" for name in found))
    for name, row in sorted(counts.items()):
        print(f"{name:18}" + "".join(f"{row[outcome]:16,}" for outcome in found))
    seconds, (name, number) = slowest
    print(
        f"{sum(map(Counter.total, counts.values())):,} files in {time.monotonic() - start:.0f} s; "
        f"the slowest, {name} number {number}, took {seconds:.1f} s"
    )
    for one, at, outcome_, said in bad[:20]:
        print(f"\n{one} number {at}: {outcome_}\n{said}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
