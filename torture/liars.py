"""Servers that are slow, cut answers short, or lie about what they send."""

from __future__ import annotations

import gzip
import os
import time
import urllib.parse
from collections.abc import Callable
from random import Random
from typing import Any

from tests.hosting import Host

from torture.bench import Bench
from torture.errors import LostError
from torture.subjects import Download

Answer = Callable[[Any], None]  # what a handler of `hosting` does in place of sending the file
_PIECES = 25
_PAUSE = 0.02  # seconds between pieces: a download is to last long enough to be killed in it


class Crowd:
    """Answers for all trials at once: a lie where a path has one, else the file, piece by piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lies: dict[str, Answer] = {}

    def __call__(self, handler: Any) -> bool:
        """What `Host.answer` is to be."""
        lie = self.lies.get(urllib.parse.urlsplit(handler.path).path)
        try:
            if lie is not None:
                handler.close_connection = True
                lie(handler)
            else:
                _dripping(handler, self.data)
        except OSError:
            handler.close_connection = True  # who asked was killed, or had enough
        return True


def lied_to(bench: Bench, host: Host, crowd: Crowd, name: str, random: Random) -> int:
    """A painter is fetched from a server that lies, then from an honest one."""
    path = f"/{random.randrange(10**9)}/water.onnx"
    subject = Download(host.url + path)
    reference = bench.reference(subject)
    begin, mends = LIES[name]
    crowd.lies[path] = begin(crowd.data)
    with bench.place(subject) as place:
        subject.before(place)
        words, own = subject.words(place), subject.own(place)
        ended = place.run(words, reference.limit, own=own)
        bench.failed_or_whole(place, subject, ended)
        if ended.code == 0 and not mends:
            raise LostError("what a lying server sent was taken for a painter")
        if ended.code != 0 and mends:
            raise LostError(f"it gave up: {ended.sentence()}")
        del crowd.lies[path]
        bench.finish(place, subject)
    return 1


# --- lies: each makes an answer that may remember how often it was asked --------------------------


def _dripping(handler: Any, data: bytes, pause: float = _PAUSE) -> None:
    real, size = handler.wfile, -(-len(data) // _PIECES)

    class Drip:
        """A file that takes its time."""

        def write(self, some: bytes) -> int:
            for at in range(0, len(some), size):
                real.write(some[at : at + size])
                real.flush()
                time.sleep(pause)
            return len(some)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    handler.wfile = Drip()
    try:
        handler.send(data)
    finally:
        handler.wfile = real


def _sent(handler: Any, body: bytes, code: int = 200, **headers: str) -> None:
    """An answer that says what it is told to say, true or not."""
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def _tagged(body: bytes, of: bytes, **headers: str) -> Answer:
    told = {"ETag": '"same"', "Content_Length": str(len(of)), **headers}
    return lambda handler: _sent(handler, body, 200, **told)


def _first(lie: Callable[[bytes], Answer], times: int = 1) -> Callable[[bytes], Answer]:
    """A lie for the first so many times that somebody asks, then the truth."""

    def begin(data: bytes) -> Answer:
        lying, asked = lie(data), 0

        def answer(handler: Any) -> None:
            nonlocal asked
            asked += 1
            if asked <= times:
                lying(handler)
            else:
                handler.send(data)

        return answer

    return begin


def _then(
    first: Callable[[bytes], Answer], later: Callable[[bytes], Answer]
) -> Callable[[bytes], Answer]:
    """One lie, and another from the second time on."""

    def begin(data: bytes) -> Answer:
        answers = [later(data), first(data)]

        def answer(handler: Any) -> None:
            (answers.pop() if len(answers) > 1 else answers[0])(handler)

        return answer

    return begin


def _cut(data: bytes) -> Answer:
    return _tagged(data[: len(data) // 2], data)


def _other(data: bytes) -> bytes:
    return bytes(byte ^ 255 for byte in data)


def _endless(_data: bytes) -> Answer:
    def answer(handler: Any) -> None:
        _sent(handler, b"", Connection="close")
        while True:
            handler.wfile.write(bytes(2**16))

    return answer


def _silent(_data: bytes) -> Answer:
    return lambda _handler: time.sleep(1.5)


def _slow_head(_data: bytes) -> Answer:
    def answer(handler: Any) -> None:
        for letter in b"HTTP/1.1 200 OK\r\nX-Slow: ":
            handler.wfile.write(bytes([letter]))
            handler.wfile.flush()
            time.sleep(0.05)

    return answer


def _elsewhere(place: str) -> Callable[[bytes], Answer]:
    return lambda _data: (
        lambda handler: _sent(handler, b"", 302, Location=place or handler.path, Content_Length="0")
    )


def _failing(code: int, **headers: str) -> Callable[[bytes], Answer]:
    return lambda _data: lambda handler: _sent(handler, b"no", code, Content_Length="2", **headers)


def _wrong_part(data: bytes) -> Answer:
    part = f"bytes 7-{len(data) - 1}/{len(data)}"
    return lambda handler: _sent(handler, data[7:], 206, Content_Range=part)


def _rest_of_another(data: bytes) -> Answer:
    half = len(data) // 2
    part = f"bytes {half}-{len(data) - 1}/{len(data)}"
    rest, told = _other(data)[half:], {"ETag": '"same"', "Content_Range": part}
    return lambda handler: _sent(handler, rest, 206, Content_Length=str(len(rest)), **told)


def _portal(_data: bytes) -> Answer:
    page = b"<html>Please log in to this network</html>"
    return lambda handler: _sent(handler, page, Connection="close", Content_Type="text/html")


# What it is called: how it begins, and whether the painter is to be had all the same.
LIES: dict[str, tuple[Callable[[bytes], Answer], bool]] = {
    "slow": (lambda data: lambda handler: _dripping(handler, data, 0.1), True),
    "cut once": (_first(_cut), True),
    "cut always": (_cut, False),
    "busy at first": (_first(_failing(503, Retry_After="86400"), 2), True),
    "500": (_failing(500), False),
    "404": (_failing(404), False),
    "silent": (_silent, False),
    "a slow head": (_slow_head, False),
    "no HTTP": (lambda _data: lambda handler: handler.wfile.write(os.urandom(500)), False),
    "too short a length": (lambda data: _tagged(data, data[:1000]), False),
    "too long a length": (lambda data: _tagged(data, data + data), False),
    "a length that is none": (lambda data: _tagged(data, data, Content_Length="many"), True),
    "other bytes": (lambda data: _tagged(_other(data), data), False),
    "another rest": (_then(_cut, _rest_of_another), False),
    "another part": (_then(_cut, _first(_wrong_part)), True),
    "more than it says": (lambda data: _tagged(data + bytes(1000), data), True),
    "without end": (_endless, False),
    "a circle": (_elsewhere(""), False),
    "to a file": (_elsewhere("file:///etc/hostname"), False),
    "compressed": (
        lambda data: _tagged(gzip.compress(data), gzip.compress(data), Content_Encoding="gzip"),
        False,
    ),
    "a bomb": (
        lambda _data: _tagged(
            gzip.compress(bytes(10**7)), gzip.compress(bytes(10**7)), Content_Encoding="gzip"
        ),
        False,
    ),
    "a page": (_portal, False),
}
