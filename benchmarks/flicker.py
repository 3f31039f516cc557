"""Flicker of painted clips: how much of a painting changes from frame to frame.

Two shots of a sample photo: one that stands still under sensor noise and a slight flutter of
exposure, and one that pans slowly under the same noise. Prints the mean difference of
neighbouring paintings, in levels of 0 to 255, of frames painted each on its own and of frames
that are smoothed, without the first half second, and the ratio; for the pan also beside that of
the photos themselves, since most of what changes there is motion.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pleinair import images
from pleinair.painter import Painter
from pleinair.settings import VIDEO, Look
from pleinair.steadiness import Steadiness

Pixels = NDArray[np.uint8]

RATE = 25
WARM_UP = RATE // 2  # frames until an average has found its level


def shot(photo: Pixels, size: tuple[int, int], frames: int, speed: float) -> Iterator[Pixels]:
    """Frames of a camera that moves by `speed` pixels a frame, with noise and flutter."""
    random = np.random.default_rng(0)
    width, height = size
    wide = images.resize(photo, width + 2 * int(frames * speed) + 2, height).astype(np.float32)
    for number in range(frames):
        at = number * speed
        left, part = int(at), at - int(at)
        view = wide[:, left : left + width] * (1 - part)
        view = view + wide[:, left + 1 : left + width + 1] * part
        light = 1.0 + random.normal(0.0, 0.007)
        noisy = view * light + random.normal(0.0, 3.0, view.shape)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def change(paintings: Iterator[Pixels]) -> float:
    """Mean absolute difference of neighbours, in levels, after the warm-up."""
    before: Pixels | None = None
    found: list[float] = []
    for number, painting in enumerate(paintings):
        if before is not None and number > WARM_UP:
            found.append(float(np.abs(painting.astype(int) - before.astype(int)).mean()))
        before = painting
    return float(np.mean(found))


def painted(frames: Iterator[Pixels], brush: Any, smoothing: float, parts: str) -> Iterator[Pixels]:
    """Frames painted as `paint_video` does it; `parts` says what of the smoothing is at work."""
    steady = Steadiness(smoothing)
    for frame in frames:
        calm = steady.calm(frame, 1 / RATE)
        source = calm if "input" in parts else frame
        adjust = steady.adjust if "statistics" in parts else None
        painting: Any = brush.paint_pixels(source, Look(), adjust)
        if "output" in parts:
            painting = steady.settle(painting)
        yield painting


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photo", type=Path, default=Path("samples/village.jpg"))
    parser.add_argument("--painter", default="monet")
    parser.add_argument("--size", type=int, nargs=2, default=[640, 360])
    parser.add_argument("--frames", type=int, default=38)
    parser.add_argument("--smoothing", type=float, default=VIDEO.smoothing)
    options = parser.parse_args()
    photo = images.read(options.photo).pixels
    brush = Painter.load(options.painter)
    size = (options.size[0], options.size[1])
    table = Table(title=f"{size[0]}x{size[1]}, {options.frames} frames, {options.smoothing} s")
    for column in ("shot", "smoothed", "change, levels", "times less", "s a frame"):
        table.add_column(column)
    for name, speed in (("still", 0.0), ("pan", 0.5)):
        photos = change(shot(photo, size, options.frames, speed))
        table.add_row(name, "(the frames themselves)", f"{photos:.2f}", "", "")
        base = 0.0
        for parts in ("", "statistics", "input", "input output", "input output statistics"):
            begun = time.perf_counter()
            frames = shot(photo, size, options.frames, speed)
            found = change(painted(frames, brush, options.smoothing, parts))
            taken = (time.perf_counter() - begun) / options.frames
            base = base or found
            table.add_row(name, parts or "-", f"{found:.2f}", f"{base / found:.1f}", f"{taken:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
