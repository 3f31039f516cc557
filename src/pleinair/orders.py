"""Photos that wait to be painted for somebody: a bounded line, and the threads that paint it."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pleinair import easel, images, refusals
from pleinair.belts import Places
from pleinair.easel import Share
from pleinair.errors import PleinairError
from pleinair.images import Animation
from pleinair.refusals import RefusedError
from pleinair.settings import FOLDERS, LOOK, SERVE, Look, ServeSettings
from pleinair.shelf import Shelf, Title

_log = logging.getLogger(__name__)
State = Literal["waiting", "painting", "done", "failed"]


@dataclass(frozen=True)
class Ask:
    """What is to become of a photo.

    kind: Pillow's name of the format to write. side: pixels of the longest side that the photo is
    shrunk to before it is painted; None: its own size. name: of the painting's file.
    """

    title: Title
    kind: str
    name: str
    look: Look = LOOK
    quality: int | None = None
    strip: bool = False
    side: int | None = None


@dataclass(eq=False)
class Order:
    """A photo, what was asked for, and how far it is.

    size: (width, height) of the photo, from its header. error: why it failed. result: the
    painting's file when it is done. painted: (width, height) of the painting. waited, seconds:
    how long it waited, and reading, painting and encoding took.
    """

    content: bytes
    size: tuple[int, int]
    ask: Ask
    ended: Callable[[Order], None] | None = None  # called from the thread that painted
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: State = "waiting"
    progress: float = 0.0
    error: RefusedError | None = None
    result: bytes | None = None
    painted: tuple[int, int] = (0, 0)
    came: float = 0.0
    began: float = 0.0
    asked: float = 0.0
    waited: float = 0.0
    seconds: float = 0.0
    fetched: bool = False
    cancelled: bool = False

    @property
    def pixels(self) -> int:
        """About how many pixels are painted."""
        width, height = easel.fitted(self.size, self.ask.side)
        return width * height


class CancelledError(PleinairError):
    """Nobody wants a painting any more."""


class Seat:
    """A place in the line, held from before a photo's file is received until it is painted."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.bytes = 0

    def grow(self, count: int) -> None:
        """So many bytes more are held. Raises RefusedError where all together are too many."""
        self._orders.hold(self, count)

    def leave(self) -> None:
        """Give the place back; as often as one likes."""
        self._orders.release(self)


class Orders:
    """The line of photos; safe to use from several threads. Begin with `start`, end with `stop`.

    jobs: how many to paint at once, each with its part of the cores. ended: hears of every order
    that ends, from any thread. clock: seconds.
    """

    def __init__(
        self,
        shelf: Shelf,
        limits: ServeSettings = SERVE,
        ended: Callable[[Order], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shelf, self.limits, self._ended, self._clock = shelf, limits, ended, clock
        self._cores = easel.cores()
        # How many threads a painter takes that came loaded is not known.
        self._jobs = limits.jobs or (1 if shelf.given else None)
        self.places = self._jobs or self._cores
        self._places = Places(self.places)
        self._changed = threading.Condition(threading.RLock())
        self._seats: set[Seat] = set()
        self._held: dict[Order, Seat] = {}
        self._line: list[Order] = []
        self._painting: list[Order] = []
        self._kept: OrderedDict[str, Order] = OrderedDict()
        # Seconds that all places together take for a megapixel, as measured.
        self._rate = limits.megapixel_seconds
        self._threads: list[threading.Thread] = []
        self._leave = threading.Event()
        self.closing = False
        self.ready = False

    # --- from a request's thread ------------------------------------------------------------

    def start(self) -> None:
        """Begin to load the painter, and to paint; once, or anew after `stop`."""
        if self._leave.is_set():
            for thread in self._threads:
                thread.join()
            self._threads, self.closing = [], False
            self._leave.clear()
        self._begin()

    def _begin(self) -> None:
        with self._changed:
            if self._threads or self._leave.is_set():
                return
            runs = [self._sweep_now_and_then, self._prepare, *[self._work] * self.places]
            self._threads = [threading.Thread(target=run, daemon=True) for run in runs]
            for thread in self._threads:
                thread.start()

    def admit(self) -> Seat:
        """A place for one photo more. Raises RefusedError where there is none."""
        with self._changed:
            if self.closing:
                raise refusals.stopping()
            if len(self._seats) >= self.limits.queue + self.places:
                raise refusals.full(self.pause())
            seat = Seat(self)
            self._seats.add(seat)
            return seat

    def hold(self, seat: Seat, count: int) -> None:
        """`Seat.grow`."""
        with self._changed:
            others = sum(other.bytes for other in self._seats if other is not seat)
            if others and others + seat.bytes + count > self.limits.bytes_waiting:
                raise refusals.full(self.pause())
            seat.bytes += count

    def release(self, seat: Seat) -> None:
        """`Seat.leave`."""
        with self._changed:
            self._seats.discard(seat)
            seat.bytes = 0

    def submit(self, seat: Seat, order: Order, keep: bool) -> None:
        """Put a photo into the line. keep: as a job, to be found by its id. Raises RefusedError."""
        self._begin()
        with self._changed:
            if self.closing:
                raise refusals.stopping()
            order.came = order.asked = self._clock()
            self._held[order] = seat
            self._line.append(order)
            if keep:
                self._kept[order.id] = order
            self._changed.notify_all()

    def find(self, name: str) -> Order:
        """A job by its id, which is thereby asked for. Raises RefusedError."""
        with self._changed:
            order = self._kept.get(name)
            if order is None:
                raise refusals.unknown()
            order.asked = self._clock()
            return order

    def cancel(self, order: Order) -> None:
        """Nobody wants it: it leaves the line, or is given up as soon as a tile is done."""
        with self._changed:
            order.cancelled = True
            self._kept.pop(order.id, None)
            if order in self._line:
                self._end(order, "failed", RefusedError(409, "cancelled.", "cancelled"))

    # --- how things stand -------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @property
    def at_work(self) -> int:
        """How many are painted at this moment."""
        return len(self._painting)

    @property
    def unfetched(self) -> int:
        """Jobs whose painting is done and was not fetched yet."""
        with self._changed:
            return sum(o.state == "done" and not o.fetched for o in self._kept.values())

    def ahead(self, order: Order) -> int:
        """How many are painted before this one."""
        with self._changed:
            return self._line.index(order) + len(self._painting) if order in self._line else 0

    def seconds_left(self, order: Order) -> float | None:
        """About how long it still takes; None where it has ended."""
        with self._changed:
            if order in self._line:
                before = self._line[: self._line.index(order) + 1]
                return sum(map(self._left, [*self._painting, *before]))
            return self._left(order) if order.state == "painting" else None

    def pause(self) -> float:
        """Whole seconds after which a place may be free: half of what the line takes."""
        with self._changed:
            left = sum(map(self._left, [*self._painting, *self._line]))
        return float(min(self.limits.longest_pause, max(1, math.ceil(left / 2))))

    def pause_for(self, order: Order) -> float:
        """Whole seconds after which this one may be done, 1 to 60."""
        left = self.seconds_left(order) or 0.0
        return float(min(self.limits.longest_pause, max(1, round(left))))

    def _left(self, order: Order) -> float:
        return self._rate * _megapixels(order) * (1.0 - order.progress)

    # --- the threads ------------------------------------------------------------------------

    def _prepare(self) -> None:
        try:
            title = self.shelf.find(None)
            for size in ((1, 1), (FOLDERS.small_pixels, 2)):
                self.shelf.load(title, self._share(size, alone=False))
        except Exception:
            _log.exception("the painter cannot be loaded")
            return
        self.ready = True

    def _share(self, size: tuple[int, int], alone: bool) -> Share:
        return easel.share(size, self._cores, self._jobs, few=alone)

    def _work(self) -> None:
        while True:
            with self._places.turn:
                with self._changed:
                    self._changed.wait_for(lambda: self._line or self._leave.is_set())
                    if self._leave.is_set():
                        return
                    order = self._line[0]
                    alone = len(self._line) == 1 and not self._painting
                share = self._share(order.size, alone)
                self._places.take(share.places)
                with self._changed:
                    # It may have been cancelled while others were painted.
                    mine = order in self._line
                    if mine:
                        self._line.remove(order)
                        self._painting.append(order)
                        order.began = self._clock()
                        order.waited = order.began - order.came
                        order.state = "painting"
            try:
                if mine:
                    self._paint(order, share)
            finally:
                self._places.give(share.places)

    def _paint(self, order: Order, share: Share) -> None:
        error: RefusedError | None = None
        try:
            order.result = self._painted(order, share)
        except CancelledError:
            error = RefusedError(409, "cancelled.", "cancelled")
        except (PleinairError, MemoryError) as found:
            error = refusals.of(found)
        except Exception as found:  # whatever it is, the next photo is to be painted
            _log.exception("a photo of %dx%d pixels", *order.size)
            error = refusals.of(found)
        order.seconds = self._clock() - order.began
        with self._changed:
            self._painting.remove(order)
            if error is None:
                measured = order.seconds * share.places / self.places / _megapixels(order)
                self._rate += 0.2 * (measured - self._rate)
            self._end(order, "failed" if error else "done", error)

    def _painted(self, order: Order, share: Share) -> bytes:
        ask, most = order.ask, self.limits.pixels

        def told(part: float) -> None:
            if order.cancelled or self._leave.is_set():
                raise CancelledError
            if self._clock() - order.began > self.limits.seconds:
                raise refusals.too_long(self.limits.seconds)
            order.progress = min(max(part, 0.0), 1.0)

        told(0.0)
        painter = self.shelf.load(ask.title, share)
        shown = images.read_any(order.content, "the photo")
        if isinstance(shown, Animation):
            width, height = shown.size
            if shown.count * width * height > most:
                found = f"{shown.count:,} frames of {width}x{height}"
                raise refusals.too_many_pixels(found, most)
        if ask.side is not None:
            shown = easel.shrunk(shown, ask.side)
        painting = painter.paint_any(shown, ask.look, told)
        order.painted = painting.size
        result = images.encode_any(painting, ask.kind, ask.quality, ask.strip)
        told(1.0)
        return result

    def _end(self, order: Order, state: State, error: RefusedError | None) -> None:
        if order in self._line:
            self._line.remove(order)
        order.content = b""
        order.error, order.state, order.asked = error, state, self._clock()
        self._held.pop(order).leave()
        self._changed.notify_all()
        for hears in (self._ended, order.ended):
            if hears is not None:
                hears(order)

    # --- the end ----------------------------------------------------------------------------

    def sweep(self) -> None:
        """Forget jobs that nobody asked for in a while, and the oldest where there are many."""
        with self._changed:
            old = self._clock() - self.limits.kept_seconds
            for order in [o for o in self._kept.values() if o.asked < old]:
                self.cancel(order)
            ended = [o for o in self._kept.values() if o.state in ("done", "failed")]
            held = sum(len(o.result or b"") for o in ended)
            for order in ended[:-1]:  # the latest is kept, however large it is
                if held > self.limits.kept_bytes or len(self._kept) > self.limits.kept:
                    held -= len(order.result or b"")
                    self.cancel(order)

    def _sweep_now_and_then(self) -> None:
        while not self._leave.wait(self.limits.sweep_seconds):
            self.sweep()

    def close(self) -> None:
        """Take no more; who waits is told so, what is painted is finished."""
        with self._changed:
            self.closing = True
            for order in list(self._line):
                self._end(order, "failed", refusals.stopping())

    def stop(self) -> None:
        """Give up what is painted, and have the threads leave when they hear of it."""
        self.close()
        with self._changed:
            self._leave.set()
            self._kept.clear()
            self._changed.notify_all()


def _megapixels(order: Order) -> float:
    return max(order.pixels, 2**16) / 1e6  # what a small one takes beside its pixels
