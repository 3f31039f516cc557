"""How near `paint --cluster` comes to `paint FOLDER` on one machine while a worker is killed twice.

Makes small photos in a temporary folder and paints them by both commands. At a third and at two
thirds of the way a worker of the cluster is killed as by `kill -9`. Then every painting has to be
there once: by name, by row of the manifest, and byte for byte as the folder command makes it; and
a second run has to find nothing left to do. Prints both times and their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet
from PIL import Image

COMMAND = [sys.executable, "-m", "pleinair", "paint"]
_BUCKET = "pleinair-benchmark"


def make_photos(folder: Path, count: int, side: int) -> None:
    """JPEGs with the detail of photos, in folders of a hundred."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 255, (side // 8, side // 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:05}.jpg", quality=90)


def alone(photos: Path, out: Path) -> float:
    """Seconds of the folder command."""
    start = time.perf_counter()
    command = [*COMMAND, str(photos), "-o", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def together(photos: str, out: str, count: int, workers: int, kills: int) -> float:
    """Seconds of the cluster's command, whose workers are killed on the way."""
    start = time.perf_counter()
    command = [*COMMAND, photos, "-o", out, "--cluster", "--jobs", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        at = {count * number // (kills + 1) for number in range(1, kills + 1)}
        painted = 0
        for painted, _ in enumerate(process.stdout, 1):
            if painted in at:
                kill_a_worker(process.pid, painted)
    seconds = time.perf_counter() - start
    if process.returncode != 0 or painted != count:
        raise SystemExit(f"{painted} of {count} were painted, exit code {process.returncode}")
    return seconds


def kill_a_worker(parent: int, painted: int) -> None:
    """As `kill -9` does, the newest worker: the second time it is the one that took the place."""
    workers = []
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "MapWorker" in " ".join(process.cmdline()):
                workers.append((process.create_time(), process.pid))
    _, worker = max(workers)
    os.kill(worker, signal.SIGKILL)
    print(f"killed worker {worker} when {painted} were painted", file=sys.stderr)


def check(expected: Path, made: Path, count: int) -> None:
    """Every painting once: names, bytes and rows."""
    names = sorted(path.relative_to(expected) for path in expected.rglob("*.jpg"))
    found = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    paintings = [path for path in found if path.parts[0] != ".pleinair"]
    if paintings != names or len(names) != count:
        raise SystemExit(f"{len(paintings)} files of {count} paintings are there")
    if different := [n for n in names if (expected / n).read_bytes() != (made / n).read_bytes()]:
        raise SystemExit(f"{len(different)} paintings differ, as {different[0]}")
    table = pyarrow.parquet.read_table(made / ".pleinair" / "manifest.parquet")
    rows = table.column("output").to_pylist()
    if sorted(rows) != [name.as_posix() for name in names] or table["error"].null_count != count:
        raise SystemExit(f"the manifest has {len(rows)} rows of {count}")
    later = sum(attempts > 1 for attempts in table["attempts"].to_pylist())
    print(
        f"{count} paintings, each once, as the folder's; {later} by who took up a dead one's share"
    )


@contextlib.contextmanager
def bucket(photos: Path) -> Iterator[tuple[str, str]]:
    """Addresses of photos and paintings on a local S3 server, which others have to be told of."""
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        files = fsspec.filesystem("s3")
        files.mkdir(_BUCKET)
        files.put(f"{photos}/", f"{_BUCKET}/photos/", recursive=True)
        yield f"s3://{_BUCKET}/photos", f"s3://{_BUCKET}/paintings"
    finally:
        server.stop()


def fetch(address: str, folder: Path) -> None:
    """All that lies under an address."""
    import fsspec

    fsspec.filesystem("s3", skip_instance_cache=True).get(
        f"{address}/", f"{folder}/", recursive=True
    )


def main() -> None:
    """Make, paint twice, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--s3", action="store_true", help="from and into a local S3 server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        photos, expected, made = Path(place, "photos"), Path(place, "alone"), Path(place, "made")
        make_photos(photos, options.photos, options.side)
        source, out = str(photos), str(made)
        if options.s3:
            source, out = stack.enter_context(bucket(photos))
        first = alone(photos, expected)
        second = together(source, out, options.photos, options.workers, options.kills)
        again = time.perf_counter()
        together(source, out, 0, options.workers, 0)
        again = time.perf_counter() - again
        if options.s3:
            fetch(out, made)
        shutil.rmtree(made / ".pleinair" / "parts", ignore_errors=True)
        check(expected, made, options.photos)
    print(
        f"folder {first:.1f} s, cluster {second:.1f} s with {options.kills} kills: "
        f"ratio {second / first:.3f}; second run {again:.1f} s"
    )


if __name__ == "__main__":
    main()
