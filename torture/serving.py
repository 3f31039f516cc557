"""A server that is killed while it paints, or whose clock jumps."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

from torture import wholeness
from torture.bench import Bench
from torture.child import SOUND, Fault
from torture.errors import LostError
from torture.place import Place, kill, until

_PHOTOS = 12
_LIMIT = 120.0  # seconds for a server to be ready, to answer, to end


class Served:
    """A server in a place of its own, and what it answered."""

    def __init__(self, place: Place, fault: Fault = SOUND, port: int = 0) -> None:
        painter = str(place.inputs / "tiny.onnx")
        self.process = place.start(["serve", painter, "--port", str(port)], fault)
        until(lambda: place.said("stdout").endswith("/\n") or self._over(place), _LIMIT)
        self.port = int(place.said("stdout").strip().rstrip("/").rpartition(":")[2])
        until(lambda: self.ask("GET", "/readyz")[0] == 200, _LIMIT)

    def _over(self, place: Place) -> bool:
        if self.process.poll() is not None:
            raise LostError(f"the server does not start: {place.said('stderr')}")
        return False

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of an answer; status 0 where the server went away."""
        made = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT)
        try:
            made.request(method, path, body, {"Content-Type": "image/png", **headers})
            answer = made.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            made.close()

    def paint(self, photos: list[bytes]) -> list[tuple[int, str]]:
        """Status and digest of the painting of each, all asked for at once."""
        with ThreadPoolExecutor(len(photos)) as pool:
            answers = pool.map(lambda photo: self.ask("POST", "/v1/paintings", photo), photos)
            return [(status, hashlib.sha256(body).hexdigest()) for status, body in answers]


def killed(bench: Bench, random: Random) -> int:
    """Killed while photos are painted; nothing of them stays, and the next one paints them all."""
    with bench.place() as place:
        photos = _photos(place)
        first = Served(place)
        began = time.monotonic()
        whole = first.paint(photos)
        seconds = time.monotonic() - began
        _check(whole, whole, may_be_cut=False)
        timer = threading.Timer(random.uniform(0, seconds), kill, [first.process])
        timer.start()
        _check(first.paint(photos), whole, may_be_cut=True)
        timer.join()
        _nothing_left(place)
        # At the address that the first one had: nobody holds it.
        second = Served(place, port=first.port)
        _check(second.paint(photos), whole, may_be_cut=False)
        _ended(place, second)
    return 1


def jumped(bench: Bench, random: Random) -> int:
    """Paintings and a job while the time of day jumps: none is lost, none waits for ever."""
    with bench.place() as place:
        photos = _photos(place)
        whole = Served(place)
        wanted = whole.paint(photos)
        _ended(place, whole)
        served = Served(place, Fault(clock=random.randrange(10**9)))
        _check(served.paint(photos), wanted, may_be_cut=False)
        status, body = served.ask("POST", "/v1/paintings", photos[0], Prefer="respond-async")
        if status != 202:
            raise LostError(f"a job is answered with {status}: {body[:300]!r}")
        job = f"/v1/paintings/{json.loads(body)['id']}"
        until(lambda: json.loads(served.ask("GET", job)[1]).get("state") == "done", _LIMIT)
        image = served.ask("GET", f"{job}/image")[1]
        if hashlib.sha256(image).hexdigest() != wanted[0][1]:
            raise LostError("the painting of a job is another than that of a request")
        _ended(place, served)
    return 1


def _photos(place: Place) -> list[bytes]:
    paths = sorted((place.inputs / "photos").glob("*.png"))[:_PHOTOS]
    return [path.read_bytes() for path in paths]


def _check(found: list[tuple[int, str]], wanted: list[tuple[int, str]], may_be_cut: bool) -> None:
    for one, other in zip(found, wanted, strict=True):
        if one[0] == 0 and may_be_cut:
            continue
        if one[0] != 200 or one != other:
            raise LostError(f"a photo is answered with {one}, not {other}")


def _nothing_left(place: Place) -> None:
    left = [
        path
        for folder in (place.tmp, place.here, place.home)
        for path in wholeness.files_of(folder)
    ]
    if left:
        raise LostError(f"a server left {left}")


def _ended(place: Place, served: Served) -> None:
    served.process.send_signal(signal.SIGTERM)
    ended = place.end(served.process, _LIMIT)
    if ended.code:
        raise LostError(f"a server that is told to stop ends with {ended.code}: {ended.error}")
    _nothing_left(place)
