"""What every request passes through: who may ask, what every answer says, what is counted."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pleinair import refusals
from pleinair.counters import Counters
from pleinair.policy import PAGE_HEADERS
from pleinair.refusals import RefusedError
from pleinair.settings import SERVE, ServeSettings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY = ("*",)
NUMBERS = (*LOOPBACK, "#")
"""Every address that is written in numbers. A page of another site can give its own name any
address, ours among them, and would then be taken for ours; numbers it cannot have for a name."""
_ALWAYS = {name.lower().encode(): value.encode() for name, value in PAGE_HEADERS.items()}
_PROBES = ("/healthz", "/readyz")
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE")


class Guard:
    """An ASGI app around another.

    hosts: names under which the server may be asked; ANY: every name, NUMBERS: every address.
    key: that requests to /v1 and /metrics have to bring; None: none. methods: those that there are
    at a path. limits: how long and how much of a body is taken, and thrown away, after its answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        counters: Counters,
        methods: Callable[[str], list[str]],
        hosts: Sequence[str] = LOOPBACK,
        key: str | None = None,
        limits: ServeSettings = SERVE,
    ) -> None:
        self._app, self._counters, self._methods = app, counters, methods
        self._hosts = {host.lower() for host in hosts}
        self._key, self._limits = key, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = scope["method"]
        scope = dict(scope)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}

        # Of who waits for 100 Continue no body comes after the answer.
        body_left = b"expect" not in headers and (
            b"transfer-encoding" in headers or headers.get(b"content-length", "0") != "0"
        )

        async def hear() -> Message:
            nonlocal body_left
            message = await receive()
            body_left &= message["type"] == "http.request" and message.get("more_body", False)
            return message

        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": _completed(scope["path"], message["headers"])}
                self._count(scope, asked, message["status"])
            elif asked == "HEAD":
                message = {**message, "body": b""}
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if last and body_left:
                # Who closes while the other still sends, takes the answer away from them.
                await send({**message, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.linger_seconds):
                        thrown = 0
                        while body_left and thrown <= self._limits.linger_bytes:
                            thrown += len((await hear()).get("body", b""))
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            self._check(scope, headers)
        except RefusedError as refusal:
            self._counters.refused(refusal.reason)
            await refused(refusal)(scope, hear, answer)
            return
        if asked == "OPTIONS":
            allow = ", ".join(self._methods(scope["path"]))
            await _Answer(204, b"", {"allow": allow})(scope, hear, answer)
            return
        if asked == "HEAD":
            scope["method"] = "GET"
        try:
            await self._app(scope, hear, answer)
        except asyncio.CancelledError:
            # The server is made to end at once; what waits here is told so, if that can still be.
            body_left = False
            if not begun:
                await refused(refusals.stopping())(scope, hear, answer)

    def _check(self, scope: Scope, headers: dict[bytes, str]) -> None:
        path, host = scope["path"], headers.get(b"host", "")
        if path in _PROBES:  # which come from whoever keeps the server alive
            return
        if not self._answers_to(_without_port(host)):
            raise RefusedError(
                400,
                f"this server does not answer to the name {_without_port(host)[:80]!r}; start it "
                "with --allow-host and that name.",
                "host",
            )
        origin = headers.get(b"origin")
        changes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if changes and origin is not None and _place(origin) != host.lower():
            raise RefusedError(
                403,
                f"a page of {origin[:80]!r} may not use this server; open the server's own page.",
                "origin",
            )
        if self._key is None or scope["method"] == "OPTIONS":
            return
        if path == "/metrics" or path.startswith("/v1/"):
            scheme, _, given = headers.get(b"authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode(), self._key.encode())
            if scheme.lower() != "bearer" or not right:
                raise RefusedError(
                    401, "the key is missing or wrong; send Authorization: Bearer KEY."
                )

    def _answers_to(self, name: str) -> bool:
        known = name in self._hosts or "*" in self._hosts
        return known or ("#" in self._hosts and _is_number(name))

    def _count(self, scope: Scope, asked: str, status: int) -> None:
        route = getattr(scope.get("route"), "path", "page" if status < 400 else "none")
        self._counters.request(route, asked if asked in _METHODS else "other", status)


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and (port.isdigit() or not port) else host.lower()


def _is_number(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return False


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _completed(path: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {name.lower() for name, _ in headers}
    api = path.startswith("/v1/") or path == "/metrics" or path in _PROBES
    more = _ALWAYS | {b"cache-control": b"no-store" if api else b"no-cache"}
    return [*headers, *((name, value) for name, value in more.items() if name not in named)]


class _Answer:
    """A whole answer as an ASGI app."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.body = status, body
        self.headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


def refused(refusal: RefusedError) -> Any:
    """The answer to a refused request, as an ASGI app."""
    body = json.dumps({"detail": str(refusal)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= headers_of(refusal)
    return _Answer(refusal.status, body, headers)


def headers_of(refusal: RefusedError) -> dict[str, str]:
    """Headers that go with a status."""
    found = {}
    if refusal.seconds is not None:
        found["retry-after"] = f"{refusal.seconds:.0f}"
    if refusal.status == 401:
        found["www-authenticate"] = "Bearer"
    return found
