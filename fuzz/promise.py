"""What a parser promises of whatever bytes it is given, as a check."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pleinair.errors import PleinairError

Seeds = Callable[[], list[bytes]]


def as_it_is(data: bytes) -> bytes:
    """What needs no mending."""
    return data


@dataclass(frozen=True)
class Target:
    """A parser.

    take: hands it bytes; whatever it raises that is not of `refuses` breaks the promise, and so
    does an AssertionError of a comparison with a reference. seeds: good files, small ones. mended:
    gives changed bytes the checksums and lengths without which nothing of them would be looked at.
    words: what mutations put in, beside bytes. longest: bytes of an input. examples: how many
    mutated seeds `make test` tries.
    """

    take: Callable[[bytes], object]
    seeds: Seeds
    mended: Callable[[bytes], bytes] = as_it_is
    words: tuple[bytes, ...] = ()
    refuses: tuple[type[Exception], ...] = (PleinairError,)
    longest: int = 4096
    examples: int = 200


def outcome(target: Target, data: bytes) -> str:
    """`taken` or `refused`; raises whatever breaks the promise, a warning among it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            target.take(data)
        except target.refuses as error:
            _check_sentence(error)
            return "refused"
    return "taken"


@contextmanager
def told() -> Iterator[None]:
    """Around one of many parts: what is refused of it is passed over, if it is one sentence."""
    try:
        yield
    except PleinairError as error:
        _check_sentence(error)


def _check_sentence(error: Exception) -> None:
    said = str(error)
    if not said or "\n" in said:
        raise AssertionError(f"no sentence but {said!r}") from error


@lru_cache(maxsize=1)
def scratch() -> Path:
    """A folder of this process, for parsers that take paths; gone at its end."""
    memory = Path("/dev/shm")  # noqa: S108 -- a new folder in it; thousands of files a minute
    folder = tempfile.mkdtemp(prefix="pleinair-fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def written(data: bytes, name: str) -> Path:
    """The bytes as a file of this name."""
    path = scratch() / name
    path.write_bytes(data)
    return path


def mutated(data: bytes, random: np.random.Generator, words: tuple[bytes, ...] = ()) -> bytes:
    """What bad disks and bad people make of a file."""
    found = bytearray(data)
    # Headers say more than what follows does.
    reach = len(found) if random.random() < 0.5 else min(len(found), 300)
    for _ in range(int(random.integers(1, 4)) if reach else 0):
        at = int(random.integers(0, reach))
        match int(random.integers(0, 14 if words else 8)):
            case 0 | 1:
                for place in random.integers(0, reach, int(random.integers(1, 12))):
                    found[min(int(place), len(found) - 1)] = int(random.integers(0, 256))
            case 2:
                del found[max(8, at) :]
            case 3:
                found[at : at + 4] = [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)][
                    int(random.integers(0, 3))
                ]
            case 4:
                found[at : at + 4] = random.integers(0, 256, 4, np.uint8).tobytes()
            case 5:
                found[at:at] = found[at : at + int(random.integers(1, 200))]
            case 6:
                del found[at : at + int(random.integers(1, 40))]
            case 7:
                found[at] ^= 1 << int(random.integers(0, 8))
            case _:
                gone = int(random.integers(0, 12))
                found[at : at + gone] = words[int(random.integers(0, len(words)))]
        if not found:
            break
        reach = max(1, min(reach, len(found)))
    return bytes(found)
