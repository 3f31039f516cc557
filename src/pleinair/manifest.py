"""What was painted of a library, as Parquet: one row for each painting.

`.pleinair/manifest.parquet` in the place of paintings is the whole of it. While work goes on, each
share of photos has small files of its own under `.pleinair/parts`, which say what is about to be
put before it is, and what became of it after: whoever dies, the next one knows.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pleinair import files, storage
from pleinair.errors import MissingExtraError, OutputError
from pleinair.settings import SCALE
from pleinair.tree import RECORDS

ADVICE = "choose another place with -o, or see to its rights and room"
_NAME = "manifest.parquet"
# What is read may be from a damaged disk, or from somebody who may write there, too.
_GROWTH = 100  # times its file that a manifest may take in memory; ours take three to thirty
_LAST = 253_402_300_799_999_999  # microseconds: the end of the year 9999, and of Python's calendar
_BETWEEN = f"[/{re.escape(os.sep)}]"
# Parts that are empty, `.` or `..`, at the beginning as well: of a path that leads elsewhere.
_ELSEWHERE = rf"(^|{_BETWEEN})\.{{0,2}}({_BETWEEN}|$)|\x00"


@dataclass(frozen=True)
class Row:
    """A photo and what became of it.

    output: place of the painting relative to the manifest's. mark: state of a file (`storage`).
    settings: digest of painter, look and options. sha256: of the painting's file.
    seconds: of painting. finished: UTC. error: a sentence where it failed.
    attempts: how often workers took up the share that it was in.
    A row with neither mark of the output nor error is about a painting on its way; so is one
    without a mark that has a hash: whether its put arrived is not known.
    """

    input: str
    input_mark: str
    output: str
    settings: str
    finished: datetime
    attempts: int
    output_mark: str | None = None
    sha256: str | None = None
    seconds: float = 0.0
    error: str | None = None

    @property
    def painted(self) -> bool:
        """Whether there is a painting of it."""
        return self.error is None and self.output_mark is not None

    @property
    def on_its_way(self) -> bool:
        """Whether nobody could say yet what became of it."""
        return self.output_mark is None and (self.error is None or self.sha256 is not None)


class Manifest:
    """The manifest of one place of paintings."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._store = storage.store_of(out)
        self.folder = f"{out}/{RECORDS}"
        self._place = f"{self.folder}/{_NAME}"
        self._table: Any = None

    def settle(self) -> int:
        """Fold all parts in, resolve what was on its way; how many rows there are.

        Raises OutputError where it cannot be read or written.
        """
        with storage.reaching(self._place):
            there = self._store.below(f"{self.folder}/parts")
            parts = [place for place in there if place.endswith(".parquet")]  # others are no whole
            before = self._read()
            with ThreadPoolExecutor(SCALE.requests) as pool:
                rows = [row for found in pool.map(self._rows, parts) for row in found]
            settled = [row for row in map(self._resolved, rows) if row is not None]
        self._table = _latest(before, _table(settled))
        if parts:
            with files.writing(self._place, ADVICE):
                self._put(self._place, _bytes(self._table))
                self._store.remove(there)
        return int(self._table.num_rows)

    def find(self, outputs: list[str]) -> list[Row | None]:
        """What is known of paintings, after `settle`."""
        pa = arrow()
        asked = pa.array(outputs, pa.large_string())
        at = pa.compute.index_in(asked, value_set=self._table["output"].combine_chunks())
        return [None if v["output"] is None else Row(**v) for v in self._table.take(at).to_pylist()]

    def part(self, run: str, share: int, attempt: int, rows: Iterable[Row]) -> None:
        """Say how far a share is. Raises OutputError."""
        place = f"{self.folder}/parts/{run}/{share:07}/{attempt:03}.parquet"
        with files.writing(place, ADVICE):
            self._put(place, _bytes(_table(rows)))

    def earlier(self, run: str, share: int) -> list[list[Row]]:
        """What those said who took up a share before, one list each. Raises OutputError."""
        folder = f"{self.folder}/parts/{run}/{share:07}"
        with storage.reaching(folder):
            names = sorted(self._store.listing(folder))
            found = [f"{folder}/{name}" for name in names if name.endswith(".parquet")]
            return [self._rows(place) for place in found]

    def arrived(self, row: Row) -> Row | None:
        """A row on its way as that of a painting, where this was put in its place after all."""
        place = f"{self._out}/{row.output}"
        mark = self._store.mark(place) if row.sha256 else None
        if mark is None or hashlib.sha256(self._store.read(place)).hexdigest() != row.sha256:
            return None
        return replace(row, output_mark=mark, error=None)

    def _resolved(self, row: Row) -> Row | None:
        if not row.on_its_way:
            return row
        known = self.arrived(row)
        if known is None and row.error and self._store.mark(f"{self._out}/{row.output}") is None:
            return replace(row, sha256=None)  # it failed, and nothing is there
        return known

    def _rows(self, place: str) -> list[Row]:
        return [Row(**values) for values in self._load(place).to_pylist()]

    def _read(self) -> Any:
        if self._store.mark(self._place) is None:
            return _table([])
        return self._load(self._place)

    def _load(self, place: str) -> Any:
        data = self._store.read(place)
        try:
            return _checked(_unpacked(data))
        # The kinds of Python's own under which Arrow raises its errors, OSError among them.
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, MemoryError) as error:
            raise OutputError(
                f"{place} is no whole manifest of ours; move it away, and paintings that it tells "
                "of will not be known."
            ) from error

    def _put(self, place: str, data: bytes) -> None:
        (result,) = self._store.put([(place, data)])
        if isinstance(result, OSError):
            raise result


def now() -> datetime:
    """The time, as rows have it."""
    return datetime.now(UTC)


def _latest(before: Any, after: Any) -> Any:
    """Of each painting the row that was finished last, in the order of their names.

    What is told now is later than what was settled before, whatever clocks of machines said.
    """
    pa = arrow()
    told = pa.array([0] * len(before) + [1] * len(after), pa.int8())
    table = pa.concat_tables([before, after]).append_column("told", told)
    order = [(name, "ascending") for name in ("output", "told", "finished")]
    table = table.sort_by(order).drop_columns("told")
    names = table["output"].combine_chunks()
    if len(names) < 2:
        return table
    last = pa.compute.not_equal(names[:-1], names[1:])
    return table.filter(pa.concat_arrays([last, pa.array([True])]))


def _unpacked(data: bytes) -> Any:
    """The columns of a file, as long as they take no memory beyond all measure of it."""
    pa, schema = arrow(), _schema()
    texts = [one.name for one in schema if pa.types.is_large_string(one.type)]
    # What a text says many times is kept once, until it is counted.
    with pa.parquet.ParquetFile(pa.BufferReader(data), read_dictionary=texts) as file:
        if file.metadata.num_rows > len(data):  # no row takes less than a byte
            raise ValueError(f"it claims {file.metadata.num_rows:,} rows")
        for kind in (file.schema_arrow.field(name).type for name in schema.names):
            if not pa.types.is_primitive(kind) and not pa.types.is_dictionary(kind):
                raise TypeError(f"a column is of {kind}")  # as of lists, which claim more yet
        table = file.read(schema.names).select(schema.names)
    if sum(map(_whole_size, table.columns)) > _GROWTH * len(data):
        raise ValueError(f"it unpacks to more than {_GROWTH} times its size")
    return table.cast(schema)


def _whole_size(column: Any) -> int:
    """Bytes of a column of which nothing is kept only once."""
    pa = arrow()
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = [
        pa.compute.binary_length(chunk.dictionary).cast("int64").take(chunk.indices)
        for chunk in column.chunks
    ]
    return sum(pa.compute.sum(one, min_count=0).as_py() for one in lengths)


def _checked(table: Any) -> Any:
    """A table every row of which can be a `Row`. Raises ValueError, or an error of Arrow's."""
    compute = arrow().compute
    table.validate(full=True)
    for one in fields(Row):
        if "None" not in str(one.type) and (empty := table[one.name].null_count):
            raise ValueError(f"{empty} rows are without {one.name}")
    finished = table["finished"].cast("int64")
    right = (
        compute.greater_equal(finished, 0),
        compute.less_equal(finished, _LAST),
        compute.greater_equal(table["attempts"], 0),
        compute.is_finite(table["seconds"]),
        compute.invert(compute.match_substring_regex(table["output"], _ELSEWHERE)),
    )
    if not all(compute.all(one, min_count=0).as_py() for one in right):
        raise ValueError("it has rows that none of ours can be")
    return table


def _table(rows: Iterable[Row]) -> Any:
    return arrow().Table.from_pylist(list(map(asdict, rows)), _schema())


def _bytes(table: Any) -> bytes:
    buffer = io.BytesIO()
    arrow().parquet.write_table(table, buffer)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _schema() -> Any:
    pa = arrow()
    kinds = {
        "finished": pa.timestamp("us", tz="UTC"),
        "attempts": pa.int32(),
        "seconds": pa.float64(),
    }
    return pa.schema([(one.name, kinds.get(one.name, pa.large_string())) for one in fields(Row)])


def arrow() -> Any:
    """What makes tables: pyarrow. Raises MissingExtraError."""
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "pyarrow is not installed; run pip install 'pleinair[scale]' first."
        ) from error
    return pyarrow
