"""What commands share: words for the user, a progress bar, the door to training."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

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


def training_room() -> ModuleType:
    """`pleinair.training`, or MissingExtraError where the light install lacks what it needs."""
    try:
        from pleinair import training
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; run pip install 'pleinair[train]' first."
        ) from error
    return training
