"""A library to paint: what is left of it, cut into shares, and what became of each photo."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any

from pleinair import converting, easel, files, hub, places, storage, survey
from pleinair.crew import Commission, Outcome, Wish
from pleinair.errors import ImageError, OutputError
from pleinair.manifest import ADVICE, Manifest, arrow
from pleinair.settings import SCALE, Look, PaintOptions
from pleinair.survey import Found
from pleinair.workers import Told

_LOOKED_UP = 50_000  # photos at a time in the manifest


class Campaign:
    """One call's way through a library."""

    def __init__(
        self,
        painter: str | Path,
        library: Sequence[str],
        out: str,
        look: Look,
        options: PaintOptions,
        told: Told | None,
    ) -> None:
        """Raises UsageError, PainterError, MissingExtraError."""
        arrow()  # before anything is looked for
        self._places = [storage.place_of(place) for place in library]
        self._out = storage.place_of(out)
        self._painter, self._label = hub.find(painter), Path(painter).stem
        self._look, self._options, self._told = look, options, told
        self._settings = easel.settings(painter, look, options)
        self._manifest = Manifest(self._out)
        self._total = self._ended = 0
        self.wishes: list[Any] = []  # tables: a list of objects would take five times the memory

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Meanwhile no other call of this machine paints into the same folder.

        Nothing is made where there is nothing to paint, as where a name is mistyped. Raises
        UsageError, ImageError, OutputError.
        """
        if storage.is_address(self._out):  # two would do the same twice there, and harm nothing
            yield
            return

        def refuse() -> None:
            raise OutputError(
                f"{self._out} is being painted into by another run; wait until it has ended."
            )

        with storage.reaching(self._manifest.folder):
            begun = Path(self._manifest.folder).is_dir()
        if not begun:
            troubles: list[str] = []
            if next(self._look_through(troubles), None) is None and not troubles:
                raise self._nothing()
        records = places.make(Path(self._manifest.folder), ADVICE)
        with places.held(records / "lock", ADVICE, refuse):
            files.sweep_parts([records])
            yield

    def begin(self) -> Iterator[Outcome]:
        """Look everything through; yield what is done already, or cannot be done.

        Raises UsageError, ImageError, OutputError.
        """
        self._manifest.settle()
        troubles: list[str] = []
        found = self._look_through(troubles)
        while some := list(islice(found, _LOOKED_UP)):
            self._total += len(some)
            self._tell("listing")
            if not storage.is_address(self._out):
                # The folder is ours alone, so whatever lies about there half written is, too.
                files.sweep_parts({Path(self._out, one.output).parent for one in some})
            yield from self._judged(some)
        for trouble in troubles:
            yield Outcome(trouble.partition(" cannot")[0], "", "failed", trouble)
        if not self._total and not troubles:
            raise self._nothing()

    def commission(self, options: PaintOptions) -> Commission:
        """What every worker is told; the painter is put where all of them find it. OutputError."""
        data = converting.painter_bytes(self._painter)
        place = f"{self._manifest.folder}/{hashlib.sha256(data).hexdigest()[:16]}.onnx"
        store = storage.store_of(place)
        with storage.reaching(place):
            there = store.mark(place)
        if there is None:
            with files.writing(place, ADVICE):
                (put,) = store.put([(place, data)])
                if isinstance(put, OSError):
                    raise put
        run = secrets.token_hex(4)
        return Commission(self._out, place, self._look, options, self._settings, run)

    def shares(self, workers: int) -> list[Any]:
        """Tables of what is to be painted, each of what a worker takes up at once."""
        pa = arrow()
        table = pa.concat_tables(self.wishes).combine_chunks()
        self.wishes.clear()
        most = min(SCALE.photos_together, -(-len(table) // (workers * SCALE.shares)))
        begins = [0]
        held = 0
        for number, size in enumerate(table["size"].to_pylist()):
            held += size
            if number > begins[-1] and (number - begins[-1] >= most or held > SCALE.bytes_together):
                begins.append(number)
                held = size
        ends = [*begins[1:], len(table)]
        shares = []
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            named = pa.array([number] * (end - begin), pa.int64())
            shares.append(table.slice(begin, end - begin).append_column("share", named))
        return shares

    def followed(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Outcomes on their way to who asked, told to the meter."""
        for outcome in outcomes:
            self._ended += 1
            self._tell(outcome.photo.rpartition("/")[2])
            yield outcome

    def finish(self) -> None:
        """All parts become the manifest. Raises OutputError."""
        self._manifest.settle()

    def _look_through(self, troubles: list[str]) -> Iterator[Found]:
        return survey.look_through(
            self._places, self._out, self._label, self._options.suffix, troubles
        )

    def _nothing(self) -> ImageError:
        named = ", ".join(self._places)
        return ImageError(f"no picture to paint is in {named}; name a folder that holds some.")

    def _judged(self, some: list[Found]) -> Iterator[Outcome]:
        wishes = []
        for found, row in zip(some, self._manifest.find([f.output for f in some]), strict=True):
            place = f"{self._out}/{found.output}"
            if survey.is_done(found, row, self._settings):
                yield self._end(Outcome(found.photo, place, "skipped"))
                continue
            try:
                if not self._options.force:
                    survey.check_free(found, row)
            except OutputError as error:
                yield self._end(Outcome(found.photo, place, "failed", str(error)))
                continue
            wishes.append(Wish(found.photo, found.mark, found.size, found.output, found.present))
        if wishes:
            self.wishes.append(table_of(Wish, wishes))

    def _end(self, outcome: Outcome) -> Outcome:
        self._ended += 1
        return outcome

    def _tell(self, name: str) -> None:
        if self._told:
            self._told(self._ended, self._total, name)


def table_of(kind: type, values: Sequence[Any]) -> Any:
    """Values of a dataclass as a table."""
    pa = arrow()
    kinds = {"int": pa.int64(), "float": pa.float64()}
    schema = pa.schema(
        [(one.name, kinds.get(str(one.type), pa.large_string())) for one in fields(kind)]
    )
    return pa.Table.from_pylist([asdict(value) for value in values], schema)
