"""What commands share: words for the user, a progress bar, the door to training."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from pleinair.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


# What steers a terminal, and what turns the direction of what it shows. Lines and tabs stay.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Text in which others have a say, as by names of files, with nothing a terminal would obey."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def say(text: str) -> None:
    """Tell the user something: on stderr, since stdout is for data."""
    print(shown(text), file=sys.stderr)


def give(result: object) -> None:
    """Print a result: as it is for a program, and for a terminal what it would not obey."""
    print(shown(str(result)) if sys.stdout.isatty() else result, flush=True)


def progress_bar(*more: ProgressColumn, quiet: bool = False) -> Progress:
    """A bar with what is done and left, and `more`; on stderr, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        *more,
        console=console,
        # Where stdout is a file, it must not be drawn above the bar: the bar is on stderr.
        redirect_stdout=sys.stdout.isatty(),
        disable=quiet or not console.is_terminal,
    )


def painting_bar() -> Progress:
    """A bar for `told_to`."""
    from rich.progress import TextColumn

    return progress_bar(
        TextColumn("{task.fields[count]}"), TextColumn("{task.fields[name]}", markup=False)
    )


def say_above(progress: Progress | None, text: str) -> None:
    """Tell the user something above a bar, where there is one."""
    if progress is None:
        say(text)
    else:
        progress.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)


def told_to(progress: Progress) -> Callable[[float, int, str], None]:
    """What moves a `painting_bar` while photos are painted."""
    task = progress.add_task("painting", count="", name="")

    def told(done: float, total: int, name: str) -> None:
        count = f"{int(done):,} of {total:,}"
        progress.update(task, completed=done, total=total, count=count, name=shown(name)[-40:])

    return told


def leave_at_once(code: int) -> NoReturn:
    """End the process without waiting for threads that nothing can interrupt."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def training_room() -> ModuleType:
    """`pleinair.training`, or MissingExtraError where the light install lacks what it needs."""
    try:
        from pleinair import training
    except ImportError as error:
        raise MissingExtraError(
            f"training needs {error.name}; run pip install 'pleinair[train]' first."
        ) from error
    return training
