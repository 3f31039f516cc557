"""One worker of many: it reads, paints and puts its share of a library, without asking anybody.

What it does is on record before and after, so that who takes up the share of a worker that died
does what is left, and passes over a photo that killed its worker again and again.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pleinair import easel, storage
from pleinair.belts import Belt
from pleinair.errors import ImageError, OutputError, PleinairError
from pleinair.manifest import Manifest, Row, now
from pleinair.painter import Painter
from pleinair.settings import FOLDERS, SCALE, Look, PaintOptions

Status = Literal["painted", "skipped", "failed"]


@dataclass(frozen=True)
class Commission:
    """What is to be painted how, for whoever paints.

    out: the place of the paintings. painter: the place of its .onnx file. settings: digest of
    painter, look and options. run: what parts of the manifest are kept under.
    """

    out: str
    painter: str
    look: Look
    options: PaintOptions
    settings: str
    run: str


@dataclass(frozen=True)
class Wish:
    """A photo that is to be painted.

    mark, size: of its file. output: place of the painting relative to that of all. before: mark
    of what may be painted over there.
    """

    photo: str
    mark: str
    size: int
    output: str
    before: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    photo, painting: paths or addresses. error: a sentence where it failed. width, height: pixels;
    seconds: of painting; layers: how often it was painted. All 0 where it was not painted now.
    note: a sentence on what could not be had of it though it was painted.
    """

    photo: str
    painting: str
    status: Status
    error: str | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    layers: int = 0
    note: str | None = None


class Hand:
    """A worker with a painter of its own."""

    def __init__(self, commission: Commission) -> None:
        """Raises PainterError, OutputError."""
        self._commission = commission
        self._options = commission.options
        self._manifest = Manifest(commission.out)
        self._store = storage.store_of(commission.out)
        self._pool = ThreadPoolExecutor(SCALE.requests)
        try:
            data = storage.store_of(commission.painter).read(commission.painter)
        except OSError as error:
            raise OutputError(
                f"{commission.painter} cannot be read ({storage.why(error)}); every machine has "
                "to reach the place of the paintings."
            ) from error
        self._painter = Painter.opened(
            data, commission.painter, 1, memory=self._options.memory, device=self._options.device
        )

    def paint(self, share: int, wishes: Sequence[Wish]) -> list[Outcome]:
        """Paint a share's photos, those that nobody has painted yet. Raises OutputError."""
        attempts = self._manifest.earlier(self._commission.run, share)
        record = _Record(self._manifest, self._commission, share, len(attempts) + 1)
        record.take_up([row for rows in attempts for row in rows])
        todo = [wish for wish in wishes if wish.output not in record.settled]
        try:
            if len(attempts) < SCALE.careful_after:
                self._paint_side_by_side(todo, record)
            else:
                for wish in todo:
                    if record.begin(wish):
                        self._put([self._painted(wish, self._photo(wish))], record)
        finally:
            record.save()
        return [record.outcome(wish) for wish in wishes]

    def _paint_side_by_side(self, todo: Sequence[Wish], record: _Record) -> None:
        """Photos are fetched, painted and put at the same time."""
        belt: Belt[_Painted] = Belt(FOLDERS.files_together, FOLDERS.bytes_ahead)
        putting = self._pool.submit(self._put_from, belt, record)
        try:
            for wish, photo in _ahead(todo, self._photo, self._pool):
                painted = self._painted(wish, photo)
                if not belt.put(painted, len(painted.data)):
                    break  # who puts has failed, and says so below
        finally:
            belt.close()
            putting.result()

    def _photo(self, wish: Wish) -> Path | bytes | PleinairError:
        try:
            return storage.store_of(wish.photo).photo(wish.photo)
        except PleinairError as error:
            return error

    def _painted(self, wish: Wish, photo: Path | bytes | PleinairError) -> _Painted:
        start = time.perf_counter()
        place = f"{self._commission.out}/{wish.output}"
        try:
            if isinstance(photo, PleinairError):
                raise photo
            shown = easel.decoded(easel.fetch(photo, self._options.memory, wish.photo))
            painting = easel.paint(self._painter, shown, self._commission.look, lambda _: None)
            data = easel.encode(painting, Path(wish.output), self._options)
        except (ImageError, OutputError) as error:
            return _Painted(wish, b"", Outcome(wish.photo, place, "failed", str(error)))
        except MemoryError:
            large = f"{wish.photo} does not fit into memory; make it smaller first."
            return _Painted(wish, b"", Outcome(wish.photo, place, "failed", large))
        except Exception as error:  # one photo must not end a library
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            said = f"{wish.photo} cannot be painted ({why}); try it alone, without --cluster."
            return _Painted(wish, b"", Outcome(wish.photo, place, "failed", said))
        outcome = Outcome(
            wish.photo,
            place,
            "painted",
            width=painting.size[0],
            height=painting.size[1],
            seconds=round(time.perf_counter() - start, 3),
            layers=easel.layers(self._painter, shown, self._commission.look),
            note=easel.note(self._painter, shown),
        )
        return _Painted(wish, data, outcome)

    def _put_from(self, belt: Belt[_Painted], record: _Record) -> None:
        """Put what is painted, many at a time, until nothing more comes."""
        together: list[_Painted] = []
        begun = 0.0
        try:
            while not (belt.ended and not together):
                left = begun + FOLDERS.seconds_together - time.monotonic() if together else None
                painted = belt.get(None if left is None else max(0.0, left))
                if painted is not None:
                    begun = begun if together else time.monotonic()
                    together.append(painted)
                full = len(together) >= FOLDERS.files_together
                if together and (painted is None or full or belt.ended):
                    self._put(together, record)
                    together = []
        except BaseException:
            belt.stop()
            raise

    def _put(self, painted: list[_Painted], record: _Record) -> None:
        """Put paintings in their places: on record first, then in one step each."""
        good = [one for one in painted if one.outcome.status == "painted"]
        failed = [one for one in painted if one.outcome.status == "failed"]
        for one in failed:
            record.failed(one)
        hashes = {one.wish.output: hashlib.sha256(one.data).hexdigest() for one in good}
        free = []
        standing = self._pool.map(lambda one: self._standing(one, hashes[one.wish.output]), good)
        for one, there in zip(good, standing, strict=True):
            if there is None:
                free.append(one)
            elif isinstance(there, str):
                record.put(one, there, hashes[one.wish.output])
            else:
                record.failed(_Painted(one.wish, b"", there))
        record.on_their_way(free, hashes)
        things = [(one.outcome.painting, one.data) for one in free]
        for one, result in zip(free, self._store.put(things), strict=True):
            if isinstance(result, OSError):
                error = (
                    f"{one.outcome.painting} cannot be written ({storage.why(result)}); choose "
                    "another place with -o."
                )
                record.unsure(one.wish, _failed(one.outcome, error))
            else:
                record.put(one, result, hashes[one.wish.output])

    def _standing(self, painted: _Painted, sha256: str) -> str | Outcome | None:
        """None where a painting's place is free; the mark of the very painting where it is there.

        Or what to say where somebody else has put something else there meanwhile.
        """
        place, before = painted.outcome.painting, painted.wish.before
        try:
            mark = self._store.mark(place)
            if mark is None or mark == before or self._options.force:
                return None
            # As by a worker that was given up for dead and went on.
            if hashlib.sha256(self._store.read(place)).hexdigest() == sha256:
                return mark
        except OSError as error:
            return _failed(
                painted.outcome,
                f"{place} cannot be looked at ({storage.why(error)}); see to the rights to it.",
            )
        return _failed(
            painted.outcome,
            f"{place} was made by somebody else meanwhile; remove it or add --force.",
        )


@dataclass(frozen=True)
class _Painted:
    wish: Wish
    data: bytes
    outcome: Outcome


class _Record:
    """How far a share is: rows of the manifest, and outcomes."""

    def __init__(
        self, manifest: Manifest, commission: Commission, share: int, attempt: int
    ) -> None:
        self._manifest, self._commission = manifest, commission
        self._share, self._attempt = share, attempt
        self._rows: dict[str, Row] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._begun: dict[str, int] = {}  # how often a photo alone was begun
        self.save()

    @property
    def settled(self) -> set[str]:
        """Outputs of which all is known."""
        return {name for name, row in self._rows.items() if not row.on_its_way}

    def take_up(self, rows: Iterable[Row]) -> None:
        """What those before are known to have done."""
        for row in rows:
            with storage.reaching(self._commission.out):
                known = self._manifest.arrived(row) if row.on_its_way else row
            if known is not None:
                self._rows[row.output] = known
            elif row.sha256 is None:
                self._begun[row.output] = max(self._begun.get(row.output, 0), row.attempts)

    def begin(self, wish: Wish) -> bool:
        """Say that a photo is begun, alone; False where that has killed its worker too often."""
        times = self._begun.get(wish.output, 0)
        row = self._row(wish)
        if times >= SCALE.deaths:
            error = (
                f"{wish.photo} has killed its worker {times} times; its memory may not do, or the "
                "file is of a kind that breaks what reads it."
            )
            self._rows[wish.output] = replace(row, error=error, output_mark=wish.before)
            return False
        self._rows[wish.output] = replace(row, attempts=times + 1)
        self.save()
        return True

    def on_their_way(self, painted: Iterable[_Painted], hashes: dict[str, str]) -> None:
        """Say what is about to be put, before it is."""
        for one in painted:
            self._rows[one.wish.output] = replace(
                self._row(one.wish),
                sha256=hashes[one.wish.output],
                seconds=one.outcome.seconds,
            )
        self.save()

    def put(self, painted: _Painted, mark: str, sha256: str) -> None:
        """A painting is in its place."""
        self._outcomes[painted.wish.output] = painted.outcome
        self._rows[painted.wish.output] = replace(
            self._row(painted.wish),
            output_mark=mark,
            sha256=sha256,
            seconds=painted.outcome.seconds,
        )

    def unsure(self, wish: Wish, outcome: Outcome) -> None:
        """A put has failed as far as is known; its answer alone may have been lost."""
        self._outcomes[wish.output] = outcome
        self._rows[wish.output] = replace(self._rows[wish.output], error=outcome.error)

    def failed(self, painted: _Painted) -> None:
        """There is no painting of a photo; what was there before still is."""
        self._outcomes[painted.wish.output] = painted.outcome
        self._rows[painted.wish.output] = replace(
            self._row(painted.wish), error=painted.outcome.error, output_mark=painted.wish.before
        )

    def outcome(self, wish: Wish) -> Outcome:
        """What became of a photo, now or in the hands of one who died."""
        if wish.output in self._outcomes:
            return self._outcomes[wish.output]
        row = self._rows[wish.output]
        status: Status = "painted" if row.painted else "failed"
        place = f"{self._commission.out}/{wish.output}"
        return Outcome(wish.photo, place, status, row.error, seconds=row.seconds)

    def save(self) -> None:
        """Put it where whoever comes after finds it. Raises OutputError."""
        rows = list(self._rows.values())
        self._manifest.part(self._commission.run, self._share, self._attempt, rows)

    def _row(self, wish: Wish) -> Row:
        return Row(
            wish.photo, wish.mark, wish.output, self._commission.settings, now(), self._attempt
        )


def _failed(outcome: Outcome, error: str) -> Outcome:
    return Outcome(outcome.photo, outcome.painting, "failed", error)


def _ahead(
    wishes: Sequence[Wish],
    fetch: Callable[[Wish], Path | bytes | PleinairError],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[Wish, Path | bytes | PleinairError]]:
    """Photos in order, the next ones on their way meanwhile."""
    coming: deque[tuple[Wish, Future[Path | bytes | PleinairError]]] = deque()
    held = 0
    for wish in wishes:
        while coming and (len(coming) >= SCALE.requests or held + wish.size > SCALE.bytes_ahead):
            first, content = coming.popleft()
            yield first, content.result()
            held -= first.size
        coming.append((wish, pool.submit(fetch, wish)))
        held += wish.size
    for first, content in coming:
        yield first, content.result()
