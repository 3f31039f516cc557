"""What workers in a line need: bounded belts between them, places at the easel, a meter."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Belt(Generic[Item]):
    """A queue that holds up to so many things, and so many bytes of them, but always one."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._closed = False  # nothing more comes
        self._stopped = False  # nobody waits any more
        self._changed = threading.Condition()

    def put(self, item: Item, size: int = 0) -> bool:
        """Add a thing of so many bytes when there is room; False where the belt has stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(size))
            if self._stopped:
                return False
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            return True

    def get(self, seconds: float | None = None) -> Item | None:
        """The next thing; None at the end, where the belt has stopped, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.ended, seconds)
            if not self._items or self._stopped:
                return None
            item, size = self._items.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return item

    @property
    def ended(self) -> bool:
        """Whether `get` will give nothing any more."""
        return self._stopped or (self._closed and not self._items)

    @property
    def stopped(self) -> bool:
        """Whether everybody is to leave."""
        return self._stopped

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Everybody leaves; what lies on the belt is dropped."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        if not self._items:
            return True
        return len(self._items) < self._most and self._bytes + size <= self._most_bytes


class Places:
    """So many places side by side, some of which, or all, one may ask for.

    count: how many there are.
    turn: held while asking, so that who asks for many is not passed by those who ask for one.
    """

    def __init__(self, count: int) -> None:
        self.turn = threading.Lock()
        self.count = self._free = count
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Wait for so many places."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count

    def give(self, count: int) -> None:
        """Give so many back."""
        with self._changed:
            self._free += count
            self._changed.notify_all()


class Meter:
    """How far many things are that are done side by side, told about ten times a second."""

    def __init__(self, total: int, told: Callable[[float, int, str], None] | None) -> None:
        self._total, self._told = total, told
        self._ended = 0
        self._parts: dict[int, float] = {}
        self._lock = threading.Lock()
        self._last = float("-inf")

    def part(self, number: int, name: str, part: float) -> None:
        """So much of one thing is done, 0 to 1."""
        with self._lock:
            self._parts[number] = min(max(part, 0.0), 1.0)
            self._tell(name)

    def end(self, number: int, name: str) -> None:
        """One thing is done."""
        with self._lock:
            self._parts.pop(number, None)
            self._ended += 1
            self._tell(name)

    def _tell(self, name: str) -> None:
        now = time.monotonic()
        if self._told is None or (now - self._last < 0.1 and self._ended < self._total):
            return
        self._last = now
        self._told(self._ended + sum(self._parts.values()), self._total, name)
