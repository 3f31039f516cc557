"""How much memory there is to paint with."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import psutil

from pleinair.errors import UsageError
from pleinair.settings import PAINT

_GROUPS = (
    # What a container may take and takes: version 2 of control groups, then version 1.
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def allowed(asked: int | None) -> int:
    """Bytes that the process may take: what was asked for, or what is free within reason.

    Raises UsageError where less was asked for than painting takes.
    """
    if asked is not None:
        if asked < PAINT.least_memory:
            raise UsageError(
                f"memory of {asked // 2**20} MiB found; painting takes "
                f"{PAINT.least_memory // 2**20} MiB or more."
            )
        return asked
    return max(PAINT.least_memory, min(PAINT.memory, free() * 3 // 4))


def most(asked: int | None) -> int:
    """Bytes that reading a photo may take: what was asked for, or most of what is free."""
    return allowed(asked) if asked is not None else max(PAINT.least_memory, free() * 3 // 4)


def free() -> int:
    """Bytes that are free on this machine, or in the container that this process runs in.

    Looked up once a second at most: it takes as long as a small photo takes to decode.
    """
    return _free(int(time.monotonic()))


@lru_cache(maxsize=1)
def _free(_second: int) -> int:
    available = int(psutil.virtual_memory().available)
    for limit, used in _GROUPS:
        try:
            available = min(available, int(_text(limit)) - int(_text(used)))
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
    return max(0, available)


def _text(path: str) -> str:
    return Path(path).read_text(encoding="ascii")
