"""A server that listens: no connection is held for ever, and what is painted is finished."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from pleinair.errors import OutputError
from pleinair.orders import Orders
from pleinair.settings import SERVE, ServeSettings


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0: any that is free. Raises OutputError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise OutputError(
            f"{host} port {port} cannot be listened on ({reason}); choose others with --host and "
            "--port."
        ) from error


def listen(
    app: FastAPI,
    at: socket.socket,
    limits: ServeSettings = SERVE,
    told: Callable[[], None] = lambda: None,
) -> bool:
    """Serve an app of `make_app` until SIGTERM or SIGINT; False where a second one cut it short.

    told: called when the server listens. Then no more photos are taken, those at work are
    finished, and their paintings fetched, both within the time that `limits` gives.
    """
    server = Server(app, limits, told)
    server.run(sockets=[at])
    app.state.orders.stop()
    return not server.force_exit


class Server(uvicorn.Server):
    """Told to stop, it goes on listening until what is painted is done and fetched."""

    def __init__(
        self, app: FastAPI, limits: ServeSettings = SERVE, told: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connection(limits),
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=round(limits.idle_seconds),
                timeout_graceful_shutdown=max(1, round(limits.fetch_seconds)),
            )
        )
        self._orders: Orders = app.state.orders
        self._limits, self._told = limits, told
        self._stop = self._fetched_by = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._told()

    async def on_tick(self, counter: int) -> bool:
        if not await super().on_tick(counter):
            return False
        if not self._stop:
            self._stop = time.monotonic()
            self._orders.close()
        return self.force_exit or self._finished()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave the app in the middle, and say so at length
            await self.lifespan.shutdown()

    def _finished(self) -> bool:
        now = time.monotonic()
        if self._orders.at_work:
            return now - self._stop > self._limits.stop_seconds
        self._fetched_by = self._fetched_by or now + self._limits.fetch_seconds
        return not self._orders.unfetched or now > self._fetched_by


def connection(limits: ServeSettings) -> type[asyncio.Protocol]:
    """A connection of uvicorn's, ended when a head comes too slowly or an answer is not taken."""

    class Connection(H11Protocol):
        _slow: asyncio.TimerHandle | None = None  # the head
        _stuck: asyncio.TimerHandle | None = None  # the answer
        _left = 0  # bytes of the answer when that was last looked at
        _heard = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections and not self._close_an_idle_one():
                self._end(503, "too many connections; try again in a minute.")
            else:
                self._await_head()

        def _close_an_idle_one(self) -> bool:
            for other in self.connections:
                if isinstance(other, Connection) and other is not self and other.idle:
                    other.transport.close()
                    return True
            return False

        @property
        def idle(self) -> bool:
            between = self.conn.their_state is h11.IDLE and self._slow is None
            return between and not self.transport.is_closing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            self._taken()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            self._heard = True
            super().data_received(data)
            if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
                self._await_head()
            else:
                self._head_came()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- of uvicorn's words
            self._end(400, "the request is no HTTP that can be read; send it again.")

        def on_response_complete(self) -> None:
            # Asked before: what is called next may begin to read the next request.
            unread = self.conn.their_state is h11.SEND_BODY
            super().on_response_complete()
            if unread:
                self.transport.close()  # the rest of the body is not waited for

        def pause_writing(self) -> None:
            super().pause_writing()
            self._left = self.transport.get_write_buffer_size()
            self._taken()
            self._stuck = self.loop.call_later(limits.answer_seconds, self._look_at_answer)

        def resume_writing(self) -> None:
            self._taken()
            super().resume_writing()

        def _await_head(self) -> None:
            if self._slow is None:
                self._slow = self.loop.call_later(limits.head_seconds, self._head_is_late)

        def _head_came(self) -> None:
            if self._slow is not None:
                self._slow.cancel()
                self._slow = None

        def _head_is_late(self) -> None:
            self._slow = None
            if self._heard:
                self._end(408, f"no request came within {limits.head_seconds:g} seconds.")
            else:
                self.transport.close()

        def _taken(self) -> None:
            if self._stuck is not None:
                self._stuck.cancel()
                self._stuck = None

        def _look_at_answer(self) -> None:
            left = self.transport.get_write_buffer_size()
            if left >= self._left:
                self.transport.abort()
                return
            self._left = left
            self._stuck = self.loop.call_later(limits.answer_seconds, self._look_at_answer)

        def _end(self, status: int, sentence: str) -> None:
            body = f'{{"detail": "{sentence}"}}'.encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            headers += [("retry-after", "60"), ("connection", "close")]
            events: list[Any] = [h11.Response(status_code=status, headers=headers)]
            events += [h11.Data(data=body), h11.EndOfMessage()]
            with contextlib.suppress(h11.LocalProtocolError):
                for event in events:
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Connection
