"""`pleinair site`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.terminal import give, say
from pleinair.settings import PAINT


def site(
    out: Path,
    /,
    *painters: Annotated[str, Parameter(name="PAINTER")],
    runtime: Path | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write a page that paints in the browser alone, for any static host.

    Parameters
    ----------
    out
        A new or empty folder.
    painters
        Painters by name, or .onnx files that `pleinair export` wrote. Default: monet.
    runtime
        ONNX Runtime Web as npm's .tgz or an unpacked folder. Default: fetched by npm, once.
    force
        Renew a site that `pleinair site` wrote; files of others in it stay.
    """
    from pleinair import places
    from pleinair import site as sites

    cache = places.cache() / "npm"
    chosen = painters or (PAINT.painter,)
    for painter in chosen:
        at_hand(painter)
    names = sites.write(out, chosen, runtime=runtime, cache=cache, force=force, told=_told)
    give(out)
    say(f"{len(names)} files; upload the folder, or look: python -m http.server -d {out}")
    return 0


def _told(doing: str) -> None:
    say(f"{doing} ...")
