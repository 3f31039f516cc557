"""A server under load: what becomes of requests, how long they take, what memory it takes.

    python benchmarks/serve.py --clients 64 --seconds 60

Clients post photos of 256 pixels to a `pleinair serve` of their own, one after another, and come
again after 429 when Retry-After says; one of ten posts is no photo, too large or damaged. The exit
code is 1 where an answer is none of those expected, or where a file is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
import psutil
from PIL import Image

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.jpg"))
MOST = 2**20  # bytes that the server takes


@dataclass
class Found:
    """What clients saw. waits and paintings: seconds."""

    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    paintings: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def photos() -> list[bytes]:
    """The samples as JPEGs of 256 pixels."""
    made = []
    for sample in SAMPLES:
        buffer = io.BytesIO()
        Image.open(sample).resize((256, 256)).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def body(chance: random.Random, good: list[bytes]) -> tuple[bytes, set[int]]:
    """Something to post, and what may be answered."""
    photo = chance.choice(good)
    match chance.randrange(30):
        case 0:
            return b"no picture at all", {415}
        case 1:
            return bytes(MOST + 2**18), {413}
        case 2:
            return photo[: len(photo) // 2], {422}
    return photo, {200}


async def client(
    web: httpx2.AsyncClient, until: float, found: Found, seed: int, good: list[bytes]
) -> None:
    """Post until the time is over; what was begun is brought to its end."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        data, expected = body(chance, good)
        while True:
            start = time.monotonic()
            try:
                answer = await web.post(
                    "/v1/paintings", content=data, headers={"content-type": "image/jpeg"}
                )
            except httpx2.HTTPError as error:
                found.statuses[type(error).__name__] += 1
                found.wrong.append(repr(error))
                break
            found.statuses[str(answer.status_code)] += 1
            if answer.status_code == 200:
                found.waits.append(time.monotonic() - start)
                found.paintings.append(float(answer.headers["pleinair-seconds"]))
            if answer.status_code != 429:
                if answer.status_code not in expected:
                    found.wrong.append(f"{answer.status_code} in place of {expected}")
                break
            await asyncio.sleep(float(answer.headers["retry-after"]) * chance.uniform(0.8, 1.2))
            if time.monotonic() >= until:
                break


async def load(address: str, process: psutil.Process, clients: int, seconds: float) -> Found:
    """Let so many clients post for so long, and watch the server's memory."""
    found, good = Found(), photos()
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=120) as web:
        while (await web.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)
        until = time.monotonic() + seconds

        async def watch() -> None:
            while True:
                found.memory.append(process.memory_info().rss)
                await asyncio.sleep(0.1)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(client(web, until, found, n, good) for n in range(clients)))
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    return found


def main() -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--queue", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        words = ["serve", "--port", "0", "--queue", str(options.queue), "--max-bytes", str(MOST)]
        server = subprocess.Popen(
            [sys.executable, "-m", "pleinair", *words],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": temporary},
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            process = psutil.Process(server.pid)
            start = time.monotonic()
            found = asyncio.run(load(address, process, options.clients, options.seconds))
            took = time.monotonic() - start
            server.send_signal(signal.SIGTERM)
            code = server.wait(90)
        finally:
            server.kill()
        left = [path.name for path in Path(temporary).iterdir()]
    print(f"{options.clients} clients, {took:.0f} s, a queue of {options.queue}, exit code {code}")
    print("answers: " + ", ".join(f"{k}: {n:,}" for k, n in sorted(found.statuses.items())))
    if found.waits:
        rate = len(found.waits) / took
        low, high, most = np.percentile(found.waits, [50, 95, 100])
        print(f"paintings: {rate:.1f} a second, each {np.mean(found.paintings):.3f} s at work")
        print(
            f"accepted ones took {low:.2f} s (median), {high:.2f} s (95%), {most:.2f} s (longest); "
            f"a full queue takes {options.queue / rate:.2f} s"
        )
    print(f"memory: {found.memory[0] / 2**20:.0f} MiB ready, {max(found.memory) / 2**20:.0f} most")
    print(f"files left behind: {', '.join(left) or 'none'}")
    for text, count in Counter(found.wrong).most_common(5):
        print(f"unexpected, {count} times: {text}")
    return 1 if found.wrong or left or code else 0


if __name__ == "__main__":
    sys.exit(main())
