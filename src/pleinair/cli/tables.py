"""Tables of figures on a terminal: no figure is broken in the middle, a long name is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich import box
from rich.table import Table
from rich.text import Text

from pleinair.cli.terminal import shown

_LEAST_NAME = 20  # characters of names that are always left room


@dataclass(frozen=True)
class Column:
    """Figures below each other; of each what it is, and what stands behind it, as an interval."""

    title: str
    cells: list[tuple[str, str]] = field(default_factory=list)

    def texts(self, between: str) -> list[str]:
        """The cells as they are printed, their two parts with this between."""
        return [between.join(filter(None, cell)) for cell in self.cells]

    def wide(self, between: str) -> int:
        """Characters of its widest line. A title breaks between its words."""
        lines = [line for text in self.texts(between) for line in text.splitlines()]
        return max(map(len, [*self.title.split(), *lines]), default=0)


def tables(title: str, names: list[str], columns: list[Column], width: int) -> Iterator[Table]:
    """One table where all fits on `width` characters, else several of fewer columns each.

    Where they do not fit beside each other, what stands behind a figure stands below it.
    """
    room = min(max(map(len, names), default=0), max(_LEAST_NAME, width // 4))
    between = " " if _taken(room, columns, " ") <= width else "\n"
    for number, part in enumerate(_parts(columns, room, between, width)):
        yield _table(title if number == 0 else None, names, part, room, between)


def _taken(room: int, columns: list[Column], between: str) -> int:
    """Characters of a line: a space on either side of a cell, one between two and at the ends."""
    return room + 4 + sum(column.wide(between) + 3 for column in columns)


def _parts(columns: list[Column], room: int, between: str, width: int) -> Iterator[list[Column]]:
    part: list[Column] = []
    for column in columns:
        if part and _taken(room, [*part, column], between) > width:
            yield part
            part = []
        part.append(column)
    yield part


def _table(
    title: str | None, names: list[str], columns: list[Column], room: int, between: str
) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold", width=room)
    for column in columns:
        # A title may break; a figure is as wide as it is.
        table.add_column(column.title, justify="right", min_width=column.wide(between))
    rows = zip(*(column.texts(between) for column in columns), strict=True)
    for name, row in zip(names, rows, strict=True):
        table.add_row(Text(shown(name)), *(Text(cell, no_wrap=True) for cell in row))
    return table
