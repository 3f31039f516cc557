"""Apps with painters that do as they are told, and a server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fastapi.testclient import TestClient
from PIL import Image

from pleinair import listening
from pleinair.config import LightSpec
from pleinair.painter import Painter
from pleinair.settings import SERVE, ServeSettings
from pleinair.web import make_app

from .conftest import picture

BASE = "http://localhost"
LIMITS = replace(SERVE, sweep_seconds=0.05, fetch_seconds=1.0)


def copyist() -> Painter:
    """Paints at once, and what it is given."""
    return Painter(lambda batch: batch, LightSpec())


class Slow:
    """A painter that paints while `go` is set, and tells when it has begun."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.painter = Painter(self._paint, LightSpec())
        self.calls = 0

    def _paint(self, batch: Any) -> Any:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(60)
        return batch


def jpeg(width: int = 48, height: int = 32, seed: int = 0, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(height, width, seed)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def saved(kind: str, width: int = 48, height: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(height, width)).save(buffer, kind)
    return buffer.getvalue()


@contextlib.contextmanager
def client(
    painter: Any = None, limits: ServeSettings = LIMITS, **options: Any
) -> Iterator[TestClient]:
    app = make_app(painter or copyist(), limits, **options)
    with TestClient(app, base_url=BASE, raise_server_exceptions=True) as made:
        yield made


@contextlib.contextmanager
def running(painter: Any = None, limits: ServeSettings = LIMITS, **options: Any) -> Iterator[int]:
    """A server that listens: its port."""
    at = listening.bound("127.0.0.1", 0)
    app = make_app(painter or copyist(), limits, **options)
    listens = threading.Event()
    server = listening.Server(app, limits, listens.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    try:
        assert listens.wait(10)
        yield at.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        app.state.orders.stop()
        assert not thread.is_alive()


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What is waited for; fails where it does not come."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def post(made: TestClient, data: bytes, **options: Any) -> Any:
    """The answer to a photo as a raw body; `headers` and `params` as usual."""
    headers = {"content-type": "image/jpeg"} | options.pop("headers", {})
    return made.post("/v1/paintings", content=data, headers=headers, **options)


async def direct(app: Any, data: bytes) -> tuple[int, bytes]:
    """Status and body for a photo, without a client between: for thousands of them."""
    headers = {"host": "localhost", "content-type": "application/octet-stream"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/paintings",
        "raw_path": b"/v1/paintings",
        "query_string": b"",
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    bodies = iter([{"type": "http.request", "body": data, "more_body": False}])
    over, said = asyncio.Event(), []

    async def receive() -> Any:
        found = next(bodies, None)
        if found is None:
            await over.wait()
        return found or {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    over.set()
    return said[0]["status"], b"".join(message.get("body", b"") for message in said)
