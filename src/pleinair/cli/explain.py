"""`pleinair explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.terminal import give, progress_bar, say
from pleinair.settings import PAINT


def explain(
    photo: Path,
    /,
    *,
    painter: str = PAINT.painter,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    side: int | None = None,
    network: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write a page that shows how a painter paints a photo, layer by layer.

    Of a training run it also shows the way back, and what the discriminators say.

    Parameters
    ----------
    photo
        A photo.
    painter
        A painter's name, a file or folder of any kind that paints, or the folder of a training run.
    out
        The page, one .html file. Default: PHOTO.PAINTER.html beside the photo.
    side
        Pixels of the square that the networks see. Default: 256, the middle of the photo.
    network
        Which one of several networks in the file.
    force
        Overwrite a page that exists.
    """
    from pleinair import explaining, press
    from pleinair.importing import name_of
    from pleinair.painter import default_output

    page = out or default_output(photo, name_of(Path(painter)), ".html")
    press.check(page, force)
    at_hand(painter)
    with progress_bar() as bar:
        task = bar.add_task("looking")

        def told(doing: str, done: int, total: int) -> None:
            bar.update(task, description=doing, completed=done, total=total)

        text = explaining.explain(photo, painter, told, say, side, network)
    press.write(text, page)
    say("The page is written; open it in a browser:")
    give(page)
    return 0
