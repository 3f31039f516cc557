"""Many photos to paintings: one is read and one written while others are painted.

What was painted before, and is as it was left, is passed by.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pleinair import easel, files, tree
from pleinair.easel import Share
from pleinair.errors import OutputError, PleinairError
from pleinair.ledger import Entry, Ledger, mark_of
from pleinair.painter import Painter, check_target
from pleinair.settings import FOLDERS, LOOK, PAINT, PAINT_OPTIONS, Look, PaintOptions
from pleinair.tree import LEDGER, Job
from pleinair.workers import Done, Line, Task, Told

__all__ = ["Done", "Studio", "Told", "paint_many"]


def paint_many(
    painter: Painter | str | Path,
    photos: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    look: Look = LOOK,
    jobs: int | None = None,
    told: Told | None = None,
    options: PaintOptions = PAINT_OPTIONS,
) -> Generator[Done]:
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
    painted paintings/two.png
    painted paintings/beach/one.jpg
    """
    label = PAINT.painter if isinstance(painter, Painter) else Path(painter).stem
    plan = tree.plan(
        [Path(photo) for photo in photos], Path(out) if out else None, label, options.suffix
    )
    with Studio(painter, look, options, jobs) as studio:
        yield from studio.paint(plan.jobs, told)
        for folder, trouble in plan.troubles.items():
            yield Done(folder, folder, "failed", trouble)


class Studio:
    """Painters and ledgers that are kept while photos come; a context manager."""

    def __init__(
        self,
        painter: Painter | str | Path,
        look: Look = LOOK,
        options: PaintOptions = PAINT_OPTIONS,
        jobs: int | None = None,
    ) -> None:
        """Raises PainterError where there is no such painter."""
        self._painter, self._look, self._options = painter, look, options
        if isinstance(painter, Painter) and jobs is None:
            jobs = 1  # how many threads it takes is not known
        self._jobs = jobs
        self._cores = easel.cores()
        self._settings = easel.settings(painter, look, options)
        self._loaded: dict[tuple[Share, bool], Painter] = {}
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

    def paint(self, jobs: Sequence[Job], told: Told | None = None) -> Generator[Done]:
        """Paint photos, and yield what became of each, in their order."""
        tasks = [Task(number, job) for number, job in enumerate(jobs)]
        self._open_ledgers(jobs)
        owners = {files.absolute(job.photo): files.absolute(job.target) for job in jobs}
        ready: dict[int, Done] = {}
        real = {
            folder: Path(os.path.realpath(folder)) for folder in {j.target.parent for j in jobs}
        }
        todo, targets = [], set[Path]()
        for task in tasks:
            target = real[task.job.target.parent] / task.job.target.name
            try:
                if target in targets:
                    raise OutputError(
                        f"{task.job.photo} would be painted over {task.job.target}, which another "
                        "photo of that name is for; paint it into another folder."
                    )
                skip = self._judge(task, owners)
            except (PleinairError, OSError) as error:
                ready[task.number] = task.failed(error)
                continue
            targets.add(target)
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

    def _judge(self, task: Task, owners: dict[str, str]) -> bool:
        """Whether the photo's painting is there already. Raises where it may not be painted."""
        job, force = task.job, self._options.force
        task.photo_mark, task.target_mark = mark_of(job.photo), mark_of(job.target)
        ledger = self._ledgers[job.out] if job.out is not None else None
        known = ledger.find(job.target) if ledger else []
        match = next((e for e in reversed(known) if e.painting_mark == task.target_mark), None)
        if ledger and match:
            ledger.keep(match)
            if (match.photo_mark, match.settings) == (task.photo_mark, self._settings):
                return True
            check_target(job.target, job.photo, force=True)
            other = files.absolute(ledger.out / match.photo)
            elsewhere = owners.get(other, files.absolute(job.target))
            if other == files.absolute(job.photo) or elsewhere != files.absolute(job.target):
                return False
            if not force:
                raise OutputError(
                    f"{job.target} was painted from another photo, {match.photo}; paint "
                    f"{job.photo} into another folder or add --force."
                )
        elif known and task.target_mark is not None and not force:
            raise OutputError(
                f"{job.target} was changed since it was painted; remove it or add --force."
            )
        check_target(job.target, job.photo, force)
        return False

    # --- the line of workers ----------------------------------------------------------------

    def _work(self, todo: list[Task], told: Told | None) -> Generator[tuple[int, Done]]:
        """Read, paint and write; yield what became of each as it is done."""
        if not todo:
            return
        places = self._jobs or self._cores
        line = Line(self, todo, places, self._look, self._options, told)
        try:
            yield from line.results()
        finally:
            line.stop()
            self._threads = [thread for thread in line.threads if thread.is_alive()]

    def place(self, size: tuple[int, int], count: int) -> tuple[int, Painter]:
        """How many places a picture of this size takes, and the painter to paint it there."""
        share = easel.share(size, self._cores, self._jobs, few=count < self._cores)
        return share.places, self._load(share, count)

    def _load(self, share: Share, count: int) -> Painter:
        if isinstance(self._painter, Painter):
            return self._painter
        with self._loading:
            key = share, count > 1
            if key not in self._loaded:
                # While one is painted, others are decoded and encoded.
                ahead = FOLDERS.bytes_ahead if count > 1 else 0
                self._loaded[key] = easel.load(
                    self._painter, share.threads, self._options, share.shares, ahead
                )
            return self._loaded[key]

    def commit(self, tasks: list[Task]) -> Iterator[tuple[Task, Done]]:
        """Put parts on the disk, say so in the ledger, then put them in their places."""
        kept: list[Task] = []
        entries: dict[Ledger, list[Entry]] = {}
        for task, unsure in zip(tasks, files.sync_all([t.part for t in tasks]), strict=True):
            try:
                if unsure is not None:
                    raise unsure
                self._check_unchanged(task)
            except (OSError, OutputError) as error:
                yield task, self.dropped(task, error)
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
                    yield task, self.dropped(task, error)
        for task in kept:
            try:
                os.replace(task.part, task.job.target)
            except OSError as error:
                yield task, self.dropped(task, error)
                continue
            if task.entry is not None and task.job.out is not None:
                self._ledgers[task.job.out].keep(task.entry)
            yield task, task.done
        files.sync_all(list({task.job.target.parent for task in kept}))

    def _entry(self, task: Task, ledger: Ledger, part: Path) -> Entry:
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

    def _check_unchanged(self, task: Task) -> None:
        if mark_of(task.job.target) != task.target_mark and not self._options.force:
            raise OutputError(
                f"{task.job.target} was made by somebody else meanwhile; remove it or add --force."
            )

    def dropped(self, task: Task, error: Exception) -> Done:
        if task.part != Path():
            with contextlib.suppress(OSError):
                task.part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error = OutputError(
                f"{task.job.target} cannot be written ({error.strerror or error}); choose another "
                "place with -o."
            )
        return task.failed(error)
