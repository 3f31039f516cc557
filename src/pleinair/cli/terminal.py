"""What commands share: words for the user, a progress bar, the door to training."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from pleinair.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def say(text: str) -> None:
    """Tell the user something: on stderr, since stdout is for data."""
    print(text, file=sys.stderr)


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
        progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def told_to(progress: Progress) -> Callable[[float, int, str], None]:
    """What moves a `painting_bar` while photos are painted."""
    task = progress.add_task("painting", count="", name="")

    def told(done: float, total: int, name: str) -> None:
        count = f"{int(done):,} of {total:,}"
        progress.update(task, completed=done, total=total, count=count, name=name[-40:])

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
