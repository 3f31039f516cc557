"""SIGKILL at random points: before a random event of a file, or at a random moment."""

from __future__ import annotations

import signal
import subprocess
from random import Random

from torture.bench import Bench
from torture.child import Fault
from torture.errors import LostError
from torture.place import Place, kill
from torture.subjects import Subject

_MOST = 3  # kills, one after the other, before the command is let alone
_ATTEMPTS = 20  # where a run was faster than the one that was measured


def killed(bench: Bench, subject: Subject, random: Random) -> int:
    """One to three kills, a look after each, then a run to the end. Returns how many there were."""
    for _ in range(_ATTEMPTS):
        kills = 0
        with bench.place(subject) as place:
            subject.before(place)
            for _ in range(random.randint(1, _MOST)):
                if not kill_once(bench, place, subject, random):
                    break
                kills += 1
                bench.look(place, subject)
            bench.finish(place, subject)
        if kills:
            return kills
    raise LostError("it ends before it can be killed")


def kill_once(
    bench: Bench, place: Place, subject: Subject, random: Random, clock: int | None = None
) -> bool:
    """Begin the command and kill it; whether that came before its end."""
    reference = bench.reference(subject)
    words, own = subject.words(place), subject.own(place)
    if random.random() < 0.5:
        at = random.randint(1, max(1, reference.events))
        fault = Fault(watched=str(place.out), kill_at=at, clock=clock)
        process = place.start(words, fault, own)
        ended = place.end(process, reference.limit)
    else:
        # Most of a short run is spent on starting, where there is nothing to lose.
        begin = 0.0 if random.random() < 0.25 else 0.9 * reference.first
        process = place.start(words, Fault(clock=clock), own)
        try:
            process.wait(random.uniform(begin, reference.seconds))
        except subprocess.TimeoutExpired:
            kill(process)
        ended = place.end(process, 1)
    if ended.code == -signal.SIGKILL:
        return True
    done = subject.once and subject.files(place) == reference.result  # and it says that it is there
    if ended.code and not done:
        raise LostError(f"a run after a kill fails: {ended.sentence()}")
    return False
