"""Many photos to paintings: one is read and one written while others are painted.

What was painted before, and is as it was left, is passed by.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from pleinair import easel, files, tree
from pleinair.belts import Belt, Meter, Places
from pleinair.config import FOLDERS, Look, PaintOptions
from pleinair.errors import ImageError, OutputError, PleinairError
from pleinair.images import Picture
from pleinair.ledger import Entry, Ledger, Mark, mark_of
from pleinair.painter import Painter, check_target
from pleinair.tree import LEDGER, Job

Status = Literal["painted", "skipped", "failed"]
Told = Callable[[float, int, str], None]
"""Photos that are done, with parts of those at work; of how many; the name of one at work."""


@dataclass(frozen=True)
class Done:
    """What became of a photo.

    error: a sentence where it failed. width, height: pixels; seconds: of reading, painting and
    encoding it; layers: how often it was painted. All 0 where it was not painted now.
    """

    photo: Path
    painting: Path
    status: Status
    error: str | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    layers: int = 0


def paint_many(
    painter: Painter | str | Path,
    photos: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    look: Look = Look(),  # noqa: B008  (it is frozen)
    jobs: int | None = None,
    told: Told | None = None,
    options: PaintOptions = PaintOptions(),  # noqa: B008
) -> Iterator[Done]:
    """Paint files and folders of photos, and yield what became of each, in their order.

    photos: files, and folders, which are searched for pictures at any depth; their tree is
    mirrored under `out`, by default a folder `<name>.<painter>` beside each. A photo that was
    painted into `out` before, and whose painting is as it was left, is skipped.
    painter: a name or a file; or a Painter, with the threads that it was loaded with.
    jobs: how many photos to paint at once, each with its part of the cores; by default small
    ones side by side and large ones alone.
    told: called now and then, from any thread.
    A photo that cannot be painted is yielded as failed, with a sentence. Raises PainterError,
    and UsageError or OutputError where nothing can be painted at all. Closing the iterator stops
    everything; paintings are whole or not there at all.

    >>> from pleinair.folders import paint_many
    >>> for done in paint_many("monet", ["holiday"], "paintings"):
    ...     print(done.status, done.painting.as_posix())
    painted paintings/beach/one.jpg
    painted paintings/two.png
    """
    label = "painting" if isinstance(painter, Painter) else Path(painter).stem
    plan = tree.plan(
        [Path(photo) for photo in photos], Path(out) if out else None, label, options.suffix
    )
    with Studio(painter, look, options, jobs) as studio:
        yield from studio.paint(plan.jobs, told)
        for folder, trouble in plan.troubles.items():
            yield Done(folder, folder, "failed", trouble)


@dataclass
class _Task:
    """A photo on its way."""

    number: int
    job: Job
    photo_mark: Mark | None = None
    target_mark: Mark | None = None
    entry: Entry | None = None
    picture: Picture | None = None
    data: bytes = b""
    part: Path | None = None
    done: Done = field(init=False)

    def __post_init__(self) -> None:
        self.done = Done(self.job.photo, self.job.target, "painted")

    @property
    def source(self) -> Path | bytes:
        return self.job.photo if self.job.data is None else self.job.data

    def failed(self, error: Exception) -> Done:
        text = str(error)
        if isinstance(error, MemoryError):
            text = f"{self.job.photo} does not fit into memory; make it smaller first."
        return Done(self.job.photo, self.job.target, "failed", text)


class Studio:
    """Painters and ledgers that are kept while photos come; a context manager."""

    def __init__(
        self,
        painter: Painter | str | Path,
        look: Look = Look(),  # noqa: B008
        options: PaintOptions = PaintOptions(),  # noqa: B008
        jobs: int | None = None,
    ) -> None:
        """Raises PainterError where there is no such painter."""
        self._painter, self._look, self._options = painter, look, options
        if isinstance(painter, Painter) and jobs is None:
            jobs = 1  # how many threads it takes is not known
        self._jobs = jobs
        self._cores = easel.cores()
        self._settings = easel.settings(painter, look, options)
        self._loaded: dict[int, Painter] = {}
        self._loading = threading.Lock()
        self._ledgers: dict[Path, Ledger] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        for ledger in self._ledgers.values():
            ledger.close()
        self._ledgers.clear()

    @property
    def at_work(self) -> bool:
        """Whether a thread still paints; it cannot be stopped, and leaves nothing behind."""
        return any(thread.is_alive() for thread in self._threads)

    def paint(self, jobs: Sequence[Job], told: Told | None = None) -> Iterator[Done]:
        """Paint photos, and yield what became of each, in their order."""
        tasks = [_Task(number, job) for number, job in enumerate(jobs)]
        self._open_ledgers(jobs)
        owners = {os.path.abspath(job.photo): os.path.abspath(job.target) for job in jobs}
        ready: dict[int, Done] = {}
        todo, targets = [], set[str]()
        for task in tasks:
            try:
                skip = self._judge(task, owners, targets)
            except (PleinairError, OSError) as error:
                ready[task.number] = task.failed(error)
                continue
            targets.add(os.path.realpath(task.job.target))
            if skip:
                ready[task.number] = replace(task.done, status="skipped")
            else:
                todo.append(task)
        made = self._work(todo, told)
        with contextlib.closing(made):
            for task in tasks:
                while task.number not in ready:
                    number, done = next(made)
                    ready[number] = done
                yield ready.pop(task.number)

    # --- before -----------------------------------------------------------------------------

    def _open_ledgers(self, jobs: Sequence[Job]) -> None:
        fresh = {job.out for job in jobs if job.out is not None} - self._ledgers.keys()
        for out in sorted(fresh):
            self._ledgers[out] = Ledger(out, LEDGER)
            # The ledger is ours alone, so whatever lies about there half written is, too.
            files.sweep_parts({job.target.parent for job in jobs if job.out == out})

    def _judge(self, task: _Task, owners: dict[str, str], targets: set[str]) -> bool:
        """Whether the photo's painting is there already. Raises where it may not be painted."""
        job, force = task.job, self._options.force
        if os.path.realpath(job.target) in targets:
            raise OutputError(
                f"{job.photo} would be painted over {job.target}, just made from another photo "
                "of that name; paint it into another folder."
            )
        check_target(job.target, job.photo, force=True)
        task.photo_mark, task.target_mark = mark_of(job.photo), mark_of(job.target)
        if task.target_mark is None:
            return False
        ledger = self._ledgers[job.out] if job.out is not None else None
        known = ledger.find(job.target) if ledger else []
        match = next((e for e in reversed(known) if e.painting_mark == task.target_mark), None)
        if ledger and match:
            ledger.keep(match)
            if (match.photo_mark, match.settings) == (task.photo_mark, self._settings):
                return True
            other = os.path.abspath(ledger.out / match.photo)
            elsewhere = owners.get(other, os.path.abspath(job.target))
            if other == os.path.abspath(job.photo) or elsewhere != os.path.abspath(job.target):
                return False
            if not force:
                raise OutputError(
                    f"{job.target} was painted from another photo, {match.photo}; paint "
                    f"{job.photo} into another folder or add --force."
                )
        elif known and not force:
            raise OutputError(
                f"{job.target} was changed since it was painted; remove it or add --force."
            )
        check_target(job.target, job.photo, force)
        return False

    # --- the line of workers ----------------------------------------------------------------

    def _work(self, todo: list[_Task], told: Told | None) -> Iterator[tuple[int, Done]]:
        """Read, paint and write; yield what became of each as it is done."""
        if not todo:
            return
        line = _Line(self, todo, told)
        try:
            yield from line.results()
        finally:
            line.stop()
            self._threads = [thread for thread in line.threads if thread.is_alive()]

    def _place(self, picture: Picture, count: int) -> tuple[int, Painter]:
        """How many places a picture takes, and the painter to paint it there."""
        if self._jobs is not None:
            return 1, self._load(max(1, self._cores // self._jobs), self._jobs)
        width, height = picture.size
        # Fewer photos than cores are done sooner with all cores for each.
        if count < self._cores or width * height > FOLDERS.small_pixels:
            return self._cores, self._load(self._cores, 1)
        return 1, self._load(1, self._cores)

    def _load(self, threads: int, shares: int) -> Painter:
        if isinstance(self._painter, Painter):
            return self._painter
        with self._loading:
            if threads not in self._loaded:
                every = 0 if threads == self._cores else threads
                self._loaded[threads] = easel.load(self._painter, every, self._options, shares)
            return self._loaded[threads]

    def _write(self, tasks: list[_Task]) -> Iterator[tuple[_Task, Done]]:
        """Put parts on the disk, say so in the ledger, then put them in their places."""
        kept: list[_Task] = []
        entries: dict[Ledger, list[Entry]] = {}
        for task in tasks:
            try:
                assert task.part is not None
                files.sync(task.part)
                self._check_unchanged(task)
            except (OSError, OutputError) as error:
                yield task, self._dropped(task, error)
                continue
            kept.append(task)
            if task.job.out is not None:
                ledger = self._ledgers[task.job.out]
                task.entry = self._entry(task, ledger, task.part)
                entries.setdefault(ledger, []).append(task.entry)
        for ledger, lines in entries.items():
            try:
                ledger.add(lines)
            except OSError as error:
                for task in [t for t in kept if t.job.out == ledger.out]:
                    kept.remove(task)
                    yield task, self._dropped(task, error)
        for task in kept:
            try:
                assert task.part is not None
                os.replace(task.part, task.job.target)
            except OSError as error:
                yield task, self._dropped(task, error)
                continue
            if task.entry is not None and task.job.out is not None:
                self._ledgers[task.job.out].keep(task.entry)
            yield task, task.done
        for folder in {task.job.target.parent for task in kept}:
            files.sync(folder)

    def _entry(self, task: _Task, ledger: Ledger, part: Path) -> Entry:
        size, mtime_ns = task.photo_mark or (0, 0)
        written = part.stat()
        return Entry(
            ledger.name(task.job.photo),
            size,
            mtime_ns,
            self._settings,
            ledger.name(task.job.target),
            written.st_size,
            written.st_mtime_ns,
        )

    def _check_unchanged(self, task: _Task) -> None:
        if mark_of(task.job.target) != task.target_mark and not self._options.force:
            raise OutputError(
                f"{task.job.target} was made by somebody else meanwhile; remove it or add --force."
            )

    def _dropped(self, task: _Task, error: Exception) -> Done:
        if task.part is not None:
            with contextlib.suppress(OSError):
                task.part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error = OutputError(
                f"{task.job.target} cannot be written ({error.strerror or error}); choose another "
                "place with -o."
            )
        return task.failed(error)


class _Line:
    """A reader, painters and a writer, with belts between them."""

    def __init__(self, studio: Studio, todo: list[_Task], told: Told | None) -> None:
        self._studio, self._todo = studio, todo
        self._meter = Meter(len(todo), told)
        places = studio._jobs or studio._cores
        self._places = Places(places)
        budget = studio._options.memory
        ahead = min(FOLDERS.bytes_ahead, budget // 8) if budget else FOLDERS.bytes_ahead
        self._read: Belt[_Task] = Belt(max(FOLDERS.pictures_ahead, places), ahead)
        self._encoded: Belt[_Task] = Belt(FOLDERS.files_together, ahead)
        self._results: SimpleQueue[tuple[int, Done] | BaseException] = SimpleQueue()
        # One more than places: it encodes a painting, or waits, while the others paint.
        painters = min(places, len(todo)) + 1
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
        self._encoded.close()
        self._writer.join()
        self._encoded.stop()

    def _thread(self, run: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                run()
            except BaseException as error:  # ours to mend: it has to be seen
                self._results.put(error)

        return threading.Thread(target=guarded, daemon=True)

    def _fail(self, task: _Task, error: Exception) -> None:
        self._end(task, task.failed(error))

    def _end(self, task: _Task, done: Done) -> None:
        self._meter.end(task.number, task.job.photo.name)
        self._results.put((task.number, done))

    def _reading(self) -> None:
        for task in self._todo:
            start = time.perf_counter()
            try:
                task.picture = picture = easel.read(task.source)
            except (PleinairError, MemoryError) as error:
                self._fail(task, error)
                continue
            task.done = replace(task.done, seconds=time.perf_counter() - start)
            if not self._read.put(task, picture.pixels.nbytes):
                return
        self._read.close()

    def _paint(self) -> None:
        try:
            while True:
                with self._places.turn:
                    task = self._read.get()
                    if task is None:
                        return
                    # From here on the picture is this worker's alone.
                    picture, task.picture = task.picture, None
                    assert picture is not None
                    count, painter = self._studio._place(picture, len(self._todo))
                    self._places.take(count)
                try:
                    self._paint_one(task, picture, count, painter)
                except (ImageError, OutputError, MemoryError) as error:
                    self._fail(task, error)
        finally:
            with self._lock:
                self._painting -= 1
                if not self._painting:
                    self._encoded.close()

    def _paint_one(self, task: _Task, picture: Picture, count: int, painter: Painter) -> None:
        studio, name = self._studio, task.job.photo.name

        def told(part: float) -> None:
            if self._read.stopped:
                raise ImageError("stopped.")
            self._meter.part(task.number, name, part)

        start = time.perf_counter()
        try:
            told(0.0)
            painting = easel.paint(painter, picture, studio._look, told)
        finally:
            self._places.give(count)
        task.data = easel.encode(painting, task.job.target, studio._options)
        task.done = replace(
            task.done,
            width=painting.size[0],
            height=painting.size[1],
            layers=easel.layers(painter, picture, studio._look),
            seconds=round(task.done.seconds + time.perf_counter() - start, 3),
        )
        self._encoded.put(task, len(task.data))

    def _write(self) -> None:
        together: list[_Task] = []
        begun = 0.0
        while True:
            # The disk is asked to be sure of many small files at once, not of each.
            left = begun + FOLDERS.seconds_together - time.monotonic() if together else None
            task = self._encoded.get(None if left is None else max(0.0, left))
            if task is not None:
                try:
                    task.part = files.write_part(task.job.target, task.data)
                except OSError as error:
                    self._end(task, self._studio._dropped(task, error))
                else:
                    begun = begun if together else time.monotonic()
                    together.append(task)
                task.data = b""
            late = time.monotonic() - begun >= FOLDERS.seconds_together
            full = len(together) >= FOLDERS.files_together
            if together and (late or full or self._encoded.ended):
                for written, done in self._studio._write(together):
                    self._end(written, done)
                together = []
            if task is None and self._encoded.ended:
                return

