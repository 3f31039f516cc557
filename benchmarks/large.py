"""Time and memory of whole photos at their own resolution, each in a process of its own.

Makes photos of so many megapixels from a sample and runs `pleinair paint` on each; prints seconds,
and the most memory that the process had at once.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

SAMPLE = Path(__file__).parents[1] / "samples" / "stream.jpg"


def make_photo(path: Path, megapixels: float) -> tuple[int, int]:
    """A JPEG of 4:3 with the detail of an enlarged photograph."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    with Image.open(SAMPLE) as image:
        large = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    # Grain, so that it takes the time of a photograph to decode and has something to paint.
    grain = Image.effect_noise((1024, 1024), 12).convert("RGB")
    for top in range(0, height, 1024):
        for left in range(0, width, 1024):
            box = (left, top, min(left + 1024, width), min(top + 1024, height))
            part = large.crop(box)
            large.paste(Image.blend(part, grain.crop((0, 0, *part.size)), 0.1), box)
    large.save(path, quality=92)
    return width, height


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[12, 24, 100])
    parser.add_argument("--memory", help="as 800M; default: what pleinair chooses")
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    table = Table("photo", "seconds", "most memory, MB")
    with tempfile.TemporaryDirectory() as folder:
        for size in options.megapixels:
            photo = Path(folder) / f"{size:g}.jpg"
            width, height = make_photo(photo, size)
            command = [sys.executable, "-m", "pleinair", "paint", str(photo), "--force"]
            command += ["--memory", options.memory] if options.memory else []
            seconds = []
            for _ in range(options.repeat):
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                seconds.append(time.perf_counter() - start)
                if done.returncode:
                    raise SystemExit(done.stderr)
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
            times = " ".join(f"{one:.1f}" for one in seconds)
            table.add_row(f"{width}x{height}", times, f"{most:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
