"""`pleinair data`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from pleinair.cli.terminal import give, progress_bar, say, say_above

data = App(
    name="data",
    help="Get pictures to train from.",
    help_format="plaintext",
    help_formatter="default",
)


@data.command
def get(
    name: Annotated[str, Parameter(name="DATASET")],
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    sha256: str | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Download and unpack a training set; what broke off goes on.

    Parameters
    ----------
    name
        monet2photo, vangogh2photo, cezanne2photo, ukiyoe2photo, kaggle, or a zip's address.
    out
        Folder to make. Default: one named as the set, here.
    sha256
        What the archive must have, in place of what is known of it.
    force
        Replace a folder that this command made before.
    """
    from pleinair import datasets

    wanted = datasets.dataset(name, sha256)
    folder = out if out is not None else Path(wanted.name)
    if wanted.terms:
        say(f"terms: {wanted.terms}")
    with progress_bar() as progress:
        tasks = {what: progress.add_task(what, visible=False) for what in datasets.STAGES}

        def told(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                say_above(progress, what)
                return
            progress.update(tasks[what], completed=done, total=total, visible=True)

        got = datasets.get(wanted, folder, force, told)
    say(f"SHA-256 {got.sha256}{'' if got.verified else ' (nothing known to compare it with)'}")
    if got.photos and got.paintings:
        parts = ["--photos", str(got.photos), "--paintings", str(got.paintings), "--out", "RUN"]
        say(f"Train with: {shlex.join(['pleinair', 'train', *parts])}")
    else:
        found = ", ".join(str(path) for path in datasets.picture_folders(got.folder)[:8])
        say(f"Pictures are in: {found or 'none of its folders'}")
    give(got.folder)
    return 0
