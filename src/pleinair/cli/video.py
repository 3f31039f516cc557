"""`pleinair video`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.looks import look_of, size_of
from pleinair.cli.terminal import give, progress_bar, say, say_above
from pleinair.errors import OutputError, PleinairError, UsageError
from pleinair.settings import PAINT, VIDEO, Look


def video(
    clips: Annotated[list[Path], Parameter(name="CLIP", negative=())],
    /,
    *,
    out: Annotated[str | None, Parameter(name=["--out", "-o"])] = None,
    painter: str = PAINT.painter,
    brush: float = Look.brush,
    strength: float = Look.strength,
    colors: str = Look.colors,
    layers: int | None = Look.layers,
    start: str | None = None,
    end: str | None = None,
    smoothing: float = VIDEO.smoothing,
    quality: int | None = None,
    memory: str | None = None,
    device: str = "auto",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Paint every frame of clips; sound, subtitles, timing and colours are kept.

    A film that was interrupted or killed goes on where it was when the same is run again.

    Parameters
    ----------
    clips
        Video files of any kind that FFmpeg reads.
    out
        File for one clip (.mp4, .mov, .mkv or .webm), or folder. Default:
        <name>.<painter>.mp4 beside each clip; .mov, .mkv and .webm stay what they are.
    painter
        Name of a painter, its file, or hf://owner/name.
    brush
        How large strokes are relative to the picture; 1: as the painter learned.
    strength
        0: the clip, 1: the painting, up to 1.5: beyond it.
    colors
        Of the painter, or of the clip (photo).
    layers
        How many times to paint, each with strokes half as large. Default: by the clip's size.
    start
        First moment to paint: seconds, or h:m:s.
    end
        First moment no longer to paint: seconds, or h:m:s.
    smoothing
        Seconds over which what stands still is averaged, so that strokes do not flicker.
        0: each frame on its own.
    quality
        CRF of the encoder, lower is better: 0 to 51. Default: 18 (H.264, HEVC); .webm, 0 to 63: 24.
    memory
        How much to take, as 800M or 1.5G. Default: by what is free.
    device
        Where to paint: auto, cpu, or another that the painter's engine has.
    force
        Overwrite films that exist, and begin anew where one was begun with other settings.
    """
    from pleinair.painter import Painter
    from pleinair.video import check_film

    look = look_of(layers, brush, strength, colors, Path(painter).stem)
    allowed = None if memory is None else size_of(memory)
    targets = _targets(clips, out, Path(painter).stem)
    if len({target.resolve() for target in targets}) < len(targets):
        raise OutputError("two clips have one name; paint them into different folders.")
    if len(clips) == 1:
        check_film(targets[0], clips[0], force)  # before a painter is loaded
    at_hand(painter)
    loaded = Painter.load(painter, memory=allowed, device=device)
    failed = 0
    for clip, target in zip(clips, targets, strict=True):
        options = {"look": look, "start": start, "end": end, "smoothing": smoothing}
        try:
            _paint(loaded, clip, target, {**options, "quality": quality, "force": force})
        except PleinairError as error:
            if len(clips) == 1:
                raise
            failed += 1
            say(f"pleinair: {error}")
    if failed:
        say(f"pleinair: {failed} of {len(clips)} clips were not painted.")
    return 1 if failed else 0


def _paint(brush: Any, clip: Path, target: Path, options: dict[str, Any]) -> None:
    """One clip, with a bar of what is done, what is left and how fast it goes."""
    from rich.progress import TextColumn

    from pleinair.video import paint_video

    with progress_bar(TextColumn("{task.fields[pace]}")) as progress:
        task = progress.add_task("painting", total=None, pace="")
        before, since = 0, 0.0

        def told(done: int, total: int) -> None:
            nonlocal before, since
            if not since:  # frames of an earlier run took no time of this one
                before, since = done, time.monotonic()
            elapsed = time.monotonic() - since
            pace = f"{(done - before) / elapsed:.2f} frames/s" if done > before else ""
            progress.update(task, completed=done, total=total, pace=pace)

        def warn(sentence: str) -> None:
            say_above(progress, sentence)

        try:
            film = paint_video(brush, clip, target, told=told, warn=warn, **options)
        except KeyboardInterrupt:
            progress.stop()
            say("what is painted so far is kept; run the same again to go on.")
            raise
    if film.resumed:
        say(f"went on after {film.resumed:,} frames of an earlier run.")
    give(film.path)


def _targets(clips: list[Path], out: str | None, painter: str) -> list[Path]:
    from pleinair.video import default_film

    if out is None:
        return [default_film(clip, painter) for clip in clips]
    place = Path(out)
    is_folder = out.endswith(("/", os.sep)) or place.is_dir()
    if is_folder or (not place.suffix and not place.is_file()):
        return [place / default_film(clip, painter).name for clip in clips]
    if len(clips) > 1:
        raise UsageError(f"{out} names one file; name a folder for {len(clips)} films.")
    return [place]
