"""Where requests with a photo are received, checked, handed on and answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from pleinair import answers, easel, guard, images, refusals, uploads
from pleinair.answers import Wishes
from pleinair.errors import ImageError, PleinairError
from pleinair.orders import Ask, Order, Orders, Seat
from pleinair.painter import default_output
from pleinair.refusals import RefusedError
from pleinair.settings import Look, ServeSettings
from pleinair.uploads import Upload

GONE = 499  # nobody is there to see it


class Desk:
    """Takes photos from requests to the line, and paintings back."""

    def __init__(self, orders: Orders, limits: ServeSettings) -> None:
        self._orders, self._limits = orders, limits
        self._previews: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Give up previews that wait."""
        if self._previews is not None:
            self._previews.shutdown(wait=False, cancel_futures=True)
            self._previews = None

    async def take(
        self, request: Request, wishes: Wishes, wants_job: bool, waits: bool = False
    ) -> tuple[Order, bool]:
        """The order for a request's photo, in the line, and whether it is a job.

        waits: whether the client waits for the painting of a large photo, too. Raises RefusedError.
        """
        try:
            await asyncio.to_thread(self._orders.shelf.find, wishes.painter)
        except PleinairError as error:
            raise refusals.of(error) from error
        async with self._received(request) as (seat, upload):
            if upload.fields:
                wishes = _wishes(request, upload)
            order = await asyncio.to_thread(self._order, upload, wishes)
            large = order.pixels > self._limits.at_once_pixels
            is_job = wants_job or (large and not waits)
            if not is_job:
                ended, loop = asyncio.Event(), asyncio.get_running_loop()

                def told(_order: Order) -> None:
                    with contextlib.suppress(RuntimeError):  # the loop has ended
                        loop.call_soon_threadsafe(ended.set)

                order.ended = told
                request.state.ended = ended
            self._orders.submit(seat, order, is_job)
            return order, is_job

    async def painting(self, request: Request, order: Order) -> Response:
        """The painting of an order when it is done; who leaves before gives up their place."""
        ended: asyncio.Event = request.state.ended
        waits = [asyncio.ensure_future(ended.wait()), asyncio.ensure_future(_gone(request))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            if not ended.is_set():
                self._orders.cancel(order)
        if not ended.is_set():
            return Response(status_code=GONE)
        if order.error is not None:  # which is counted already
            headers = guard.headers_of(order.error)
            return Response(
                answers.Problem(detail=str(order.error)).model_dump_json(),
                order.error.status,
                headers,
                "application/json",
            )
        return self.picture(order)

    def picture(self, order: Order) -> Response:
        """A finished painting."""
        headers = answers.picture_headers(order)
        return Response(order.result, 200, headers, answers.TYPES[order.ask.kind])

    async def preview(self, request: Request) -> Response:
        """A small JPEG of a request's photo. Raises RefusedError."""
        async with self._received(request) as (seat, upload):
            try:
                if upload.fields:
                    name = next(iter(upload.fields))
                    raise RefusedError(422, f"unknown field {name[:80]!r} found; send photo only.")
                # One at a time: each may decode a large photo.
                self._previews = self._previews or ThreadPoolExecutor(1)
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._previews, self._preview, upload.content)
            finally:
                seat.leave()
            return Response(found, media_type="image/jpeg")

    @contextlib.asynccontextmanager
    async def _received(self, request: Request) -> AsyncIterator[tuple[Seat, Upload]]:
        """A seat, and the photo that came for it. Whatever goes wrong, the seat is given back."""
        kind = request.headers.get("content-type", "")
        uploads.check_head(kind, request.headers.get("content-length"), self._limits)
        seat = self._orders.admit()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    upload = await uploads.received(kind, request.stream(), self._limits, seat.grow)
            except TimeoutError as error:
                raise RefusedError(
                    408,
                    f"the photo did not come within {self._limits.body_seconds:g} seconds; send a "
                    "smaller one.",
                    "slow",
                ) from error
            except ClientDisconnect as error:
                raise RefusedError(GONE, "the client left.", "gone") from error
            yield seat, upload
        except BaseException:
            seat.leave()
            raise

    def _check(self, content: bytes) -> tuple[int, int]:
        """Width and height of a photo, by its header alone. Raises RefusedError."""
        kind = images.kind_of(content[:64])
        try:
            header = images.header(content, "the photo")
        except ImageError as error:
            unreadable = not kind or "pip install" in str(error)
            if unreadable:
                raise refusals.no_picture(str(error)) from error
            if "make it smaller" in str(error):
                raise RefusedError(413, str(error), "pixels") from error
            raise
        width, height = header.width, header.height
        if width * height > self._limits.pixels:
            raise refusals.too_many_pixels(f"{width}x{height}", self._limits.pixels)
        return width, height

    def _order(self, upload: Upload, wishes: Wishes) -> Order:
        try:
            size = self._check(upload.content)
            title = self._orders.shelf.find(wishes.painter)
            suffix = f".{wishes.format}" if wishes.format else images.suffix_of(upload.content)
            kind = images.kind_for(Path(f"painting{suffix}"))
            look = Look(wishes.layers, wishes.brush, wishes.strength, wishes.colors)
            photo = uploads.clean_name(wishes.name or upload.name, self._limits.name_length)
            own = Path(photo).suffix.lower()
            if not wishes.format and own and images.can_write(Path(photo)):
                # A photo.JPEG becomes a photo.monet.JPEG, but only where that is what it is.
                suffix = Path(photo).suffix if images.kind_for(Path(photo)) == kind else suffix
            name = default_output(Path(photo), title.name, suffix).name
            ask = Ask(title, kind, name, look, wishes.quality, wishes.strip_metadata, wishes.side)
        except PleinairError as error:
            raise refusals.of(error) from error
        return Order(upload.content, size, ask)

    def _preview(self, content: bytes) -> bytes:
        side = self._limits.preview_side
        try:
            self._check(content)
            pixels = images.read_small(content, side, "the photo")
            height, width = pixels.shape[:2]
            small = images.resize(pixels, *easel.fitted((width, height), side))
            return images.encode(images.from_array(small), "JPEG", self._limits.preview_quality)
        except (PleinairError, MemoryError) as error:
            raise refusals.of(error) from error


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wishes(request: Request, upload: Upload) -> Wishes:
    if "name" in upload.fields:
        raise RefusedError(422, "name found in a form; name its file instead.", "settings")
    said = dict(request.query_params) | {k: v for k, v in upload.fields.items() if v}
    try:
        return Wishes.model_validate(said)
    except ValidationError as error:
        raise RefusedError(422, sentence_of(error.errors()), "settings") from error


def sentence_of(errors: Any) -> str:
    """What pydantic found wrong first, in a sentence."""
    first = errors[0]
    places = [str(place) for place in first["loc"] if place not in ("query", "header", "path")]
    name = places[0][:80] if places else "the request"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r} found; /openapi.json lists all there are."
    reason = str(first["msg"]).removeprefix("Value error, ")
    found = first.get("input")
    shown = f" {found[:80]!r} found" if isinstance(found, str) else ""
    return f"{name}{shown}: {reason[:1].lower()}{reason[1:]}."
