"""How long each painter that ships takes for a photo, relative to the default: all by turns."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image

from pleinair import Painter, hub
from pleinair.settings import PAINT

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "castle.jpg"


def main() -> None:
    """Measure, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    photo = Image.open(options.photo).convert("RGB")
    painters = {name: Painter.load(name) for name in hub.names()}
    seconds: dict[str, list[float]] = {name: [] for name in painters}
    for painter in painters.values():
        painter.paint(photo)  # networks are made ready at first use
    for _ in range(options.rounds):
        for name, painter in painters.items():
            start = time.perf_counter()
            painter.paint(photo)
            seconds[name].append(time.perf_counter() - start)
    usual = min(seconds[PAINT.painter])
    for name, found in seconds.items():
        print(f"{name:12} {min(found):6.2f} s  {min(found) / usual:5.2f}")


if __name__ == "__main__":
    main()
