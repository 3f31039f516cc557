"""A reader, painters and a writer at work at the same time on one photo after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from pleinair import easel, files
from pleinair.belts import Belt, Meter, Places
from pleinair.easel import Shown, Waiting
from pleinair.errors import ImageError, OutputError, PleinairError
from pleinair.images import Picture
from pleinair.ledger import Entry, Mark
from pleinair.painter import Painter
from pleinair.settings import FOLDERS, Look, PaintOptions
from pleinair.tree import Job

Status = Literal["painted", "skipped", "failed"]
Told = Callable[[float, int, str], None]
"""Photos that are done, with parts of those at work; of how many; the name of one at work."""


@dataclass(frozen=True)
class Done:
    """What became of a photo.

    error: a sentence where it failed. width, height: pixels; seconds: of reading, painting and
    encoding it; layers: how often it was painted. All 0 where it was not painted now.
    note: a sentence on what could not be had of it though it was painted.
    """

    photo: Path
    painting: Path
    status: Status
    error: str | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    layers: int = 0
    note: str | None = None


@dataclass
class Task:
    """A photo on its way."""

    number: int
    job: Job
    photo_mark: Mark | None = None
    target_mark: Mark | None = None
    entry: Entry | None = None
    painting: Picture | None = None  # until it is encoded
    data: bytes = b""
    part: Path = Path()  # the painting's file before it is in its place
    done: Done = field(init=False)

    def __post_init__(self) -> None:
        self.done = Done(self.job.photo, self.job.target, "painted")

    @property
    def name(self) -> str:
        """The photo, for people."""
        return self.job.photo.name

    @property
    def source(self) -> Path | bytes:
        """The photo, to read."""
        return self.job.photo if self.job.data is None else self.job.data

    def failed(self, error: Exception) -> Done:
        """What there is to say of this photo after an error."""
        text = str(error)
        if isinstance(error, MemoryError):
            text = f"{self.job.photo} does not fit into memory; make it smaller first."
        return Done(self.job.photo, self.job.target, "failed", text)


class House(Protocol):
    """Who employs the workers."""

    def place(self, size: tuple[int, int], count: int) -> tuple[int, Painter]:
        """How many places one of `count` pictures takes, and the painter to paint it there."""

    def commit(self, tasks: list[Task]) -> Iterator[tuple[Task, Done]]:
        """Put written parts in their places."""

    def dropped(self, task: Task, error: Exception) -> Done:
        """What there is to say of a part that could not be written."""


class Line:
    """A reader, painters and a writer, with belts between them."""

    def __init__(
        self,
        house: House,
        todo: list[Task],
        places: int,
        look: Look,
        options: PaintOptions,
        told: Told | None,
    ) -> None:
        """Begin at once. places: how many paint side by side."""
        self._house, self._todo = house, todo
        self._look, self._options = look, options
        self._meter = Meter(len(todo), told)
        self._places = Places(places)
        budget = options.memory
        ahead = min(FOLDERS.bytes_ahead, budget // 8) if budget else FOLDERS.bytes_ahead
        self._read: Belt[tuple[Task, Shown | Waiting]] = Belt(
            max(FOLDERS.pictures_ahead, places), ahead
        )
        self._painted: Belt[Task] = Belt(FOLDERS.files_together, ahead)
        self._results: SimpleQueue[tuple[int, Done] | BaseException] = SimpleQueue()
        painters = min(places, len(todo))
        self._painting = painters
        self._lock = threading.Lock()
        self._writer = self._thread(self._write)
        self.threads = [
            self._thread(self._reading),
            *(self._thread(self._paint) for _ in range(painters)),
            self._writer,
        ]
        for thread in self.threads:
            thread.start()

    def results(self) -> Iterator[tuple[int, Done]]:
        """What became of each, by number, as it is done. Raises what a worker did not expect."""
        for _ in self._todo:
            while True:
                try:
                    result = self._results.get(timeout=0.5)  # Ctrl-C is heard in between
                    break
                except Empty:
                    continue
            if isinstance(result, BaseException):
                raise result
            yield result

    def stop(self) -> None:
        """Everybody leaves; what is encoded is still written. A painting at work is given up."""
        self._read.stop()
        self._painted.close()
        self._writer.join()
        self._painted.stop()

    def _thread(self, run: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                run()
            except BaseException as error:  # ours to mend: it has to be seen
                self._results.put(error)

        return threading.Thread(target=guarded, daemon=True)

    def _fail(self, task: Task, error: Exception) -> None:
        self._end(task, task.failed(error))

    def _end(self, task: Task, done: Done) -> None:
        self._meter.end(task.number, task.name)
        self._results.put((task.number, done))

    def _reading(self) -> None:
        # Who paints side by side decodes small photos: one thread more than cores slows them all.
        fetch = easel.fetch if self._places.count > 1 else easel.read
        for task in self._todo:
            start = time.perf_counter()
            try:
                picture = fetch(task.source, self._options.memory)
            except (PleinairError, MemoryError) as error:
                self._fail(task, error)
                continue
            task.done = replace(task.done, seconds=time.perf_counter() - start)
            if not self._read.put((task, picture), easel.held(picture)):
                return
        self._read.close()

    def _paint(self) -> None:
        try:
            while True:
                with self._places.turn:
                    got = self._read.get()
                    if got is None:
                        return
                    task, found = got
                    count, painter = self._house.place(found.size, len(self._todo))
                    self._places.take(count)
                try:
                    self._paint_one(task, found, painter, alone=count == self._places.count)
                except (ImageError, OutputError, MemoryError) as error:
                    self._fail(task, error)
                finally:
                    self._places.give(count)
        finally:
            with self._lock:
                self._painting -= 1
                if not self._painting:
                    self._painted.close()

    def _paint_one(self, task: Task, found: Shown | Waiting, painter: Painter, alone: bool) -> None:
        def told(part: float) -> None:
            if self._read.stopped:
                raise ImageError("stopped.")
            self._meter.part(task.number, task.name, part)

        start = time.perf_counter()
        told(0.0)
        picture = easel.decoded(found)
        painting = easel.paint(painter, picture, self._look, told)
        if alone and isinstance(painting, Picture):
            task.painting = painting  # it is encoded while the next is painted
        else:
            task.data = easel.encode(painting, task.job.target, self._options)
        task.done = replace(
            task.done,
            width=painting.size[0],
            height=painting.size[1],
            layers=easel.layers(painter, picture, self._look),
            note=easel.note(painter, picture),
            seconds=round(task.done.seconds + time.perf_counter() - start, 3),
        )
        self._painted.put(task, easel.held(painting) if task.painting else len(task.data))

    def _encode(self, task: Task) -> None:
        painting, task.painting = task.painting, None  # not held on to, whatever comes
        if painting is None:
            return
        start = time.perf_counter()
        task.data = easel.encode(painting, task.job.target, self._options)
        seconds = round(task.done.seconds + time.perf_counter() - start, 3)
        task.done = replace(task.done, seconds=seconds)

    def _write(self) -> None:
        together: list[Task] = []
        begun = 0.0
        while True:
            # The disk is asked to be sure of many small files at once, not of each.
            left = begun + FOLDERS.seconds_together - time.monotonic() if together else None
            task = self._painted.get(None if left is None else max(0.0, left))
            if task is not None:
                try:
                    self._encode(task)
                    task.part = files.write_part(task.job.target, task.data)
                except (OSError, OutputError, MemoryError) as error:
                    self._end(task, self._house.dropped(task, error))
                else:
                    begun = begun if together else time.monotonic()
                    together.append(task)
                task.data = b""
            late = time.monotonic() - begun >= FOLDERS.seconds_together
            full = len(together) >= FOLDERS.files_together
            if together and (late or full or self._painted.ended):
                for written, done in self._house.commit(together):
                    self._end(written, done)
                together = []
            if task is None and self._painted.ended:
                return
