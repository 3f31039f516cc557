"""Thousands of bad picture files: each is to give a picture, frames or one ImageError.

    python benchmarks/fuzz.py --files 10000

Files are those of `tests/broken.py` by number. Each is read in a worker whose memory is limited
and which is ended when it takes too long, so that a crash or a hang is counted too. The exit code
is 1 where anything else than a picture, frames or an ImageError came out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def work(wire: Connection, memory: int) -> None:
    """Answer numbers with the kind of a file, its outcome, and what was said of it."""
    from tests.broken import mutated
    from tests.test_fuzz_images import outcome

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    while (number := wire.recv()) is not None:
        name, data = mutated(number)
        try:
            wire.send((name, outcome(data), ""))
        except BaseException as error:  # all of them are what we look for
            said = traceback.format_exc()
            wire.send((name, type(error).__name__, said))


class Worker:
    """A process that reads files, and what it is busy with."""

    def __init__(self, memory: int) -> None:
        # libvips has threads, which a fork would lose.
        context = multiprocessing.get_context("spawn")
        self.wire, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, memory), daemon=True)
        self.process.start()
        other.close()
        self.number: int | None = None
        self.since = 0.0

    def give(self, number: int | None) -> None:
        self.number, self.since = number, time.monotonic()
        self.wire.send(number)


def main() -> int:
    """Count outcomes by kind of file and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=20.0, help="a file may take")
    parser.add_argument("--memory", type=float, default=6.0, help="GiB that a worker may take")
    options = parser.parse_args()
    from tests.broken import seeds
    from tests.test_fuzz_images import GOOD

    names = sorted(seeds())
    counts: dict[str, Counter[str]] = {}
    bad: list[tuple[int, str, str, str]] = []
    numbers = iter(range(options.first, options.first + options.files))
    memory = int(options.memory * 2**30)
    workers = [Worker(memory) for _ in range(options.workers)]
    start, slowest = time.monotonic(), (0.0, 0)

    def count(number: int, name: str, found: str, said: str) -> None:
        counts.setdefault(name, Counter())[found] += 1
        if found not in GOOD:
            bad.append((number, name, found, said))

    for worker in workers:
        worker.give(next(numbers, None))
    while any(worker.number is not None for worker in workers):
        time.sleep(0.0005)
        for place, worker in enumerate(workers):
            if worker.number is None:
                continue
            took = time.monotonic() - worker.since
            number = worker.number
            try:
                answer = worker.wire.recv() if worker.wire.poll() else None
            except EOFError:
                answer = (names[number % len(names)], "crash", "")
            if answer is None and took > options.seconds:
                answer = (names[number % len(names)], "hang", "")
            if answer is None:
                continue
            slowest = max(slowest, (took, number))
            count(number, *answer)
            if answer[1] in ("crash", "hang"):
                worker.process.kill()
                worker = workers[place] = Worker(memory)
            worker.give(next(numbers, None))

    found = sorted({outcome for row in counts.values() for outcome in row})
    print(f"{'file':18}" + "".join(f"{name:>15}" for name in found))
    for name, row in sorted(counts.items()):
        print(f"{name:18}" + "".join(f"{row[outcome]:15}" for outcome in found))
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':18}" + "".join(f"{total[outcome]:15}" for outcome in found))
    print(
        f"{options.files:,} files in {time.monotonic() - start:.0f} s; "
        f"the slowest, number {slowest[1]}, took {slowest[0]:.1f} s"
    )
    for number, name, outcome, said in bad[:20]:
        print(f"\nnumber {number}, {name}: {outcome}\n{said}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
