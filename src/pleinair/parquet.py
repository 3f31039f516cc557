"""Hugging Face parquet shards with a column `image`."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, final

from pleinair.errors import DataError, ImageError, MissingExtraError
from pleinair.settings import DATA

COLUMN = "image"

# The kinds of Python's own under which Arrow raises its errors.
_BROKEN = (OSError, ValueError, LookupError, TypeError, RuntimeError, MemoryError)
_HELD_OUT = re.compile(r"(test|val|valid|validation)\b", re.IGNORECASE)


def looks_like_parquet(head: bytes) -> bool:
    """Whether a file begins as parquet files do."""
    return head[:4] == b"PAR1"


@final
class ParquetPictures:
    """Pictures of one or more shards: names shard/row, and those of test-*.parquet held out.

    A picture is read with the row group that it lies in, so groups are kept within a budget of
    memory. Raises DataError for what is no such shard, MissingExtraError without pyarrow.
    """

    files = False

    def __init__(self, place: Path, shards: list[tuple[str, Path]]) -> None:
        pyarrow = _pyarrow()
        self.place = place
        self.names: list[str] = []
        self._rows: list[tuple[Path, int, int]] = []  # file, row group, row in it
        self._metadata: dict[Path, Any] = {}
        self._groups: OrderedDict[tuple[Path, int], Any] = OrderedDict()
        self._lock = threading.Lock()
        held: list[str] = []
        for name, path in shards:
            try:
                with pyarrow.ParquetFile(path) as file:
                    _check_schema(file.schema_arrow, path)
                    self._metadata[path] = file.metadata
                    sizes = [
                        file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)
                    ]
                    if sum(sizes) > path.stat().st_size:  # no picture takes less than a byte
                        raise ValueError(f"it claims {sum(sizes):,} rows")
            except _BROKEN as error:
                raise _damaged(path, error) from error
            rows = [(path, group, row) for group, size in enumerate(sizes) for row in range(size)]
            names = [f"{name}/{number:07d}" for number in range(len(rows))]
            self._rows += rows
            self.names += names
            if _HELD_OUT.match(path.name):
                held += names
        if not self.names:
            raise DataError(f"{place} holds no row; give parquet files with pictures in them.")
        mixed = 0 < len(held) < len(self.names)
        self.held: frozenset[str] | None = frozenset(held) if mixed else None

    def read(self, index: int) -> bytes:
        """The encoded picture of one row. Raises ImageError."""
        path, group, row = self._rows[index]
        name = f"{self.place}: {self.names[index]}"
        try:
            with self._lock:
                value = self._group(path, group)[row].as_py()
        except _BROKEN as error:
            raise ImageError(
                f"{name} is damaged or cut short ({_line(error)}); get a whole copy."
            ) from error
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) or not data:
            raise ImageError(f"{name} holds no bytes of a picture; store pictures in the shard.")
        return data

    def _group(self, path: Path, group: int) -> Any:
        key = (path, group)
        if key not in self._groups:
            with _pyarrow().ParquetFile(path, metadata=self._metadata[path]) as file:
                self._groups[key] = file.read_row_group(group, columns=[COLUMN])[COLUMN]
            while len(self._groups) > 1 and self._held_bytes() > DATA.row_group_bytes:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]

    def _held_bytes(self) -> int:
        return sum(int(column.nbytes) for column in self._groups.values())


def _check_schema(schema: Any, path: Path) -> None:
    if COLUMN not in schema.names:
        raise DataError(
            f"{path} has the columns {', '.join(schema.names)}; one named {COLUMN} must hold "
            "encoded pictures."
        )
    kind = str(schema.field(COLUMN).type)
    if not re.search(r"^(large_)?binary$|\bbytes: (large_)?binary\b", kind):
        raise DataError(
            f"{path} has {kind} in its column {COLUMN}; it must hold encoded pictures, as bytes "
            "or as {bytes, path}."
        )


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is no whole parquet file ({_line(error)}); get a whole copy.")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())  # Arrow's words may have several lines


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "pyarrow is not installed; run pip install 'pleinair[parquet]' to read parquet."
        ) from error
    return pyarrow.parquet
