"""The server's app: photos in, paintings out, over HTTP."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from pleinair import __version__, answers, easel, guard, refusals
from pleinair.answers import Health, Job, Limits, PainterTitle, Wishes
from pleinair.counters import TYPE, Counters
from pleinair.desk import Desk, sentence_of
from pleinair.guard import LOOPBACK, Guard
from pleinair.orders import Order, Orders
from pleinair.painter import Painter
from pleinair.policy import PAGE_TYPES
from pleinair.refusals import RefusedError
from pleinair.settings import PAINT, PAINT_OPTIONS, SERVE, PaintOptions, ServeSettings
from pleinair.shelf import Shelf

PAGE = Path(__file__).parent / "page"
_BARE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>pleinair</title>"
    b"<p>The server works; <a href=openapi.json>openapi.json</a> says how to use it."
)
_POST = (400, 401, 403, 408, 413, 415, 422, 429, 503)


def make_app(
    painter: Painter | str | Path = PAINT.painter,
    limits: ServeSettings = SERVE,
    *,
    painters: Path | None = None,
    key: str | None = None,
    hosts: Sequence[str] = LOOPBACK,
    options: PaintOptions = PAINT_OPTIONS,
    page: Path = PAGE,
) -> FastAPI:
    """An ASGI app that paints photos.

    painter: the one that paints where none is named: a name, an .onnx file, a Painter, or a
    folder of painters. painters: a folder of more, found anew when it changes. key: that requests
    have to bring as `Authorization: Bearer KEY`; None: none. hosts: names under which it may be
    asked; `guard.ANY` for all, `guard.NUMBERS` for bare addresses. options: memory and device.
    page: the folder shown at `/`.
    `app.state.orders` is the line of photos. Raises PainterError.
    """
    counters = Counters()
    shelf = Shelf(painter, painters, options, limits)
    orders = Orders(shelf, limits, counters.ended)
    counters.watch(orders)
    desk = Desk(orders, limits)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        orders.start()
        yield
        orders.stop()
        desk.close()

    app = FastAPI(
        title="pleinair",
        version=__version__,
        description="Photographs into paintings. Photos stay in memory and are then forgotten.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # which would load scripts of other people's hosts
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.orders = orders
    _add_routes(app, desk, orders, shelf, limits, counters)
    _add_errors(app, counters)
    app.router.default = _Page(page)
    app.openapi = lambda: _document(app, shelf, key is not None)  # type: ignore[method-assign]
    app.add_middleware(
        Guard,
        counters=counters,
        methods=lambda path: _methods(app, path),
        hosts=hosts,
        key=key,
        limits=limits,
    )
    return app


def _add_routes(
    app: FastAPI,
    desk: Desk,
    orders: Orders,
    shelf: Shelf,
    limits: ServeSettings,
    counters: Counters,
) -> None:
    @app.post(
        "/v1/paintings",
        summary="Paint a photo",
        response_class=Response,
        responses={
            200: answers.PICTURE,
            202: {
                "description": "A job, for a large photo or where the client prefers one.",
                "model": Job,
                "headers": answers.JOB_HEADERS,
                "links": answers.JOB_LINKS,
            },
            **answers.problems(_POST),
        },
    )
    async def paint(
        request: Request,
        wishes: Annotated[Wishes, Query()],
        prefer: Annotated[
            str,
            Header(
                description="respond-async asks for a job, wait for the painting itself, whatever "
                "the photo's size."
            ),
        ] = "",
    ) -> Response:
        """A form with the file `photo`, or the file itself as the body."""
        words = {word.partition("=")[0].strip() for word in prefer.lower().split(",")}
        wants_job = "respond-async" in words
        order, is_job = await desk.take(request, wishes, wants_job, "wait" in words)
        if not is_job:
            return await desk.painting(request, order)
        headers = {"location": f"/v1/paintings/{order.id}"}
        headers["retry-after"] = f"{orders.pause_for(order):.0f}"
        if wants_job:
            headers["preference-applied"] = "respond-async"
        return JSONResponse(_job(orders, order).model_dump(), 202, headers)

    @app.get(
        "/v1/paintings/{id}",
        summary="How far a job is",
        responses=answers.problems((400, 401, 404)),
    )
    async def job(id: str) -> Job:  # noqa: A002 -- the word of the address
        return _job(orders, orders.find(id))

    @app.get(
        "/v1/paintings/{id}/image",
        summary="The painting of a job",
        response_class=Response,
        responses={
            200: answers.PICTURE,
            **answers.problems((400, 401, 404, 409)),
        },
    )
    async def image(id: str) -> Response:  # noqa: A002
        order = orders.find(id)
        if order.result is None or order.state != "done":
            why = f"failed: {order.error}" if order.error else "is not done; ask again later."
            pause = None if order.error else orders.pause_for(order)
            raise RefusedError(409, f"this painting {why}", "not done", pause)
        order.fetched = True
        return desk.picture(order)

    @app.delete(
        "/v1/paintings/{id}",
        summary="Cancel a job and forget it",
        status_code=204,
        responses=answers.problems((400, 401, 403, 404)),
    )
    async def forget(id: str) -> None:  # noqa: A002
        orders.cancel(orders.find(id))

    @app.post(
        "/v1/previews",
        summary="A small JPEG of a photo, for those who cannot show its type",
        response_class=Response,
        responses={
            200: {
                "description": "The photo.",
                "content": {"image/jpeg": answers.PICTURES["image/jpeg"]},
            },
            **answers.problems(_POST),
        },
    )
    async def preview(request: Request) -> Response:
        """The photo upright, its longest side up to 2048 pixels; nothing is painted."""
        return await desk.preview(request)

    @app.get(
        "/v1/painters", summary="The painters there are", responses=answers.problems((400, 401))
    )
    async def painters() -> list[PainterTitle]:
        found = await asyncio.to_thread(shelf.titles)
        return [PainterTitle.model_validate(one, from_attributes=True) for one in found]

    @app.get("/v1/limits", summary="What is taken", responses=answers.problems((400, 401)))
    async def limits_now() -> Limits:
        return Limits(
            bytes=limits.bytes,
            pixels=limits.pixels,
            seconds=limits.seconds,
            queue=limits.queue,
            accept=answers.accept(),
        )

    @app.get("/healthz", summary="Whether the server is alive")
    async def healthy() -> Health:
        return Health(status="ok")

    @app.get("/readyz", summary="Whether it takes photos", responses=answers.problems((503,)))
    async def ready() -> Health:
        if orders.closing:
            raise RefusedError(503, "the server is stopping.", "stopping", 60)
        if not orders.ready:
            raise RefusedError(
                503, "the painter is being loaded; try again in a second.", "loading", 1
            )
        return Health(status="ready")

    @app.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={
            200: {"description": "Counters.", "content": {TYPE.partition(";")[0]: {}}},
            **answers.problems((400, 401)),
        },
    )
    async def metrics() -> Response:
        return Response(counters.text(), headers={"content-type": TYPE})


def _job(orders: Orders, order: Order) -> Job:
    width, height = (
        order.painted if order.state == "done" else easel.fitted(order.size, order.ask.side)
    )
    left = orders.seconds_left(order)
    return Job(
        id=order.id,
        state=order.state,
        progress=1.0 if order.state == "done" else order.progress,
        ahead=orders.ahead(order),
        seconds_left=None if left is None else round(left, 1),
        error=str(order.error) if order.error else None,
        name=order.ask.name,
        width=width,
        height=height,
        seconds=round(order.seconds, 3) if order.state == "done" else None,
        image=f"/v1/paintings/{order.id}/image" if order.state == "done" else None,
    )


# --- errors and methods -----------------------------------------------------------------------


def _add_errors(app: FastAPI, counters: Counters) -> None:
    async def refuse(_request: Request, error: Exception) -> Response:
        match error:
            case RefusedError():
                refusal = error
            case RequestValidationError():
                refusal = RefusedError(422, sentence_of(list(error.errors())), "settings")
            case HTTPException(status_code=405):
                path = _request.url.path
                allow = ", ".join(_methods(app, path))
                refusal = RefusedError(
                    405, f"{_request.method} is not for {path[:80]}; use {allow}."
                )
                return _problem(refusal, {"allow": allow})
            case HTTPException(status_code=404):
                refusal = RefusedError(
                    404, "nothing is at this address; /openapi.json says what is."
                )
            case HTTPException():
                refusal = RefusedError(error.status_code, str(error.detail))
            case _:
                raise error
        counters.refused(refusal.reason)
        return _problem(refusal, guard.headers_of(refusal))

    async def fail(_request: Request, _error: Exception) -> Response:
        return _problem(refusals.of(_error), {})

    app.add_exception_handler(Exception, fail)
    for kind in (RefusedError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refuse)


def _problem(refusal: RefusedError, headers: dict[str, str]) -> Response:
    return JSONResponse({"detail": str(refusal)}, refusal.status, headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Methods that there are at a path; those of the page where no route has it."""
    found: set[str] = set()
    for route in app.routes:
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(path):
            found |= getattr(route, "methods", None) or set()
    found = found or {"GET"}
    return sorted(found | ({"HEAD"} if "GET" in found else set()) | {"OPTIONS"})


# --- page and document ------------------------------------------------------------------------


class _Page:
    """The page's folder at /."""

    def __init__(self, folder: Path) -> None:
        for suffix, kind in PAGE_TYPES.items():
            mimetypes.add_type(kind, suffix)
        self._folder = folder
        self._files = StaticFiles(directory=folder, html=True, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (self._folder / "index.html").is_file():
            if scope["path"] != "/":
                raise HTTPException(404)
            if scope["method"] != "GET":
                raise HTTPException(405)
            await Response(_BARE, media_type="text/html")(scope, receive, send)
            return
        await self._files(scope, receive, send)


def _document(app: FastAPI, shelf: Shelf, with_key: bool) -> dict[str, Any]:
    """The OpenAPI document, with the painters there are now."""
    from fastapi.openapi.utils import get_openapi

    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        routes=app.routes,
    )
    names = [one.name for one in shelf.titles()]
    paths = document["paths"]
    posts = paths["/v1/paintings"]["post"], paths["/v1/previews"]["post"]
    posts[0]["requestBody"], posts[1]["requestBody"] = (
        answers.body(names, True),
        answers.body(names, False),
    )
    for parameter in posts[0]["parameters"]:
        if parameter["name"] == "painter":
            parameter["schema"] |= {"enum": names}
    if with_key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in paths.items():
            if path.startswith("/v1/") or path == "/metrics":
                for operation in methods.values():
                    operation["security"] = [{"key": []}]
    else:
        for methods in paths.values():
            for operation in methods.values():
                operation["responses"].pop("401", None)
    return document
