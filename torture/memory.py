"""Less address space than a command takes, by rlimit."""

from __future__ import annotations

import re
from random import Random

from torture.bench import Bench
from torture.child import Fault
from torture.place import Ended
from torture.subjects import Subject

# Where a library ends the whole process itself, no sentence of ours can follow.
_LAST_WORDS = re.compile(
    "OpenBLAS error|OpenBLAS blas_thread_init|libgcc_s.so|terminate called|Fatal Python error"
    "|cannot allocate memory for thread-local data"
)


def starved(bench: Bench, subject: Subject, random: Random) -> int:
    """A random part of what an undisturbed run takes; then all of it."""
    reference = bench.reference(subject)
    with bench.place(subject) as place:
        subject.before(place)
        memory = int(reference.memory * random.uniform(0.1, 1.0))
        words, own = subject.words(place), subject.own(place)
        ended = place.run(words, reference.limit, Fault(memory=memory), own)
        if _ended_by_a_library(ended):
            bench.look(place, subject)
        else:
            bench.failed_or_whole(place, subject, ended)
        bench.finish(place, subject)
    return 1


def _ended_by_a_library(ended: Ended) -> bool:
    return ended.code < 0 or (ended.code > 0 and bool(_LAST_WORDS.search(ended.error)))
