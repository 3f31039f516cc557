"""A small server of the page and its REST interface, for the page's tests."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.staticfiles import StaticFiles
from PIL import Image

import pleinair
from pleinair import Painter, images
from pleinair.errors import PleinairError
from pleinair.painter import default_output
from pleinair.settings import Look

PAGE = Path(pleinair.__file__).parent / "page"
LIMITS = {"bytes": 8 * 2**20, "pixels": 40_000_000, "accept": "image/*,.tif,.tiff,.heic"}
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' blob:; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class CancelledError(Exception):
    pass


@dataclass
class Job:
    id: str
    name: str
    state: str = "waiting"
    progress: float = 0
    error: str | None = None
    result: Response | None = None
    cancelled: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        image = f"/v1/paintings/{self.id}/image" if self.result else None
        known = {"id": self.id, "state": self.state, "progress": self.progress, "ahead": 0}
        known |= {"seconds_left": None, "error": self.error, "name": self.name, "image": image}
        return known | self.more


def make_app(painter: Painter, limits: dict[str, Any] = LIMITS) -> FastAPI:
    app = FastAPI(openapi_url=None)
    pool = ThreadPoolExecutor(1)
    jobs: dict[str, Job] = {}
    app.state.jobs = jobs

    @app.middleware("http")
    async def protected(request: Request, go: Any) -> Response:
        response = await go(request)
        response.headers.update(HEADERS)
        return response

    @app.get("/v1/painters")
    def painters() -> list[dict[str, Any]]:
        about = "Paints photographs in the manner of Claude Monet."
        return [{"name": "monet", "title": "Monet", "about": about, "default": True}]

    @app.get("/v1/limits")
    def its_limits() -> dict[str, Any]:
        return limits

    def work(job: Job, content: bytes, form: dict[str, str]) -> None:
        def told(part: float) -> None:
            job.progress = part
            if job.cancelled:
                raise CancelledError

        began = time.monotonic()
        try:
            told(0)
            job.state = "painting"
            photo = images.read_any(content, "the photo")
            look = Look(
                brush=float(form.get("brush", 1)),
                strength=float(form.get("strength", 1)),
                colors=form.get("colors", "painter"),  # type: ignore[arg-type]
            )
            painting = painter.paint_any(photo, look, told)
            data = images.encode_for(painting, Path(job.name))
        except CancelledError:
            return
        except PleinairError as error:
            job.state, job.error = "failed", str(error)
            return
        width, height = painting.size
        job.more = {"width": width, "height": height, "seconds": time.monotonic() - began}
        headers = {f"Pleinair-{k.title()}": str(v) for k, v in job.more.items()}
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(job.name)}"
        kind = Image.MIME[images.kind_for(Path(job.name))]
        job.result, job.state = Response(data, media_type=kind, headers=headers), "done"

    @app.post("/v1/paintings")
    async def paint(request: Request) -> Response:
        async with request.form() as form:
            photo = form["photo"]
            content, name = await photo.read(), photo.filename
            fields = {k: str(v) for k, v in form.items() if k != "photo"}
        suffix = f".{fields['format']}" if "format" in fields else None
        target = default_output(Path(name), suffix=suffix)
        job = Job(uuid.uuid4().hex, target.name)
        if "side" in fields:
            content = smaller(content, int(fields["side"]))
        jobs[job.id] = job
        future = pool.submit(work, job, content, fields)
        if request.headers.get("Prefer") == "respond-async":
            body = json.dumps(job.shown())
            headers = {"Location": f"/v1/paintings/{job.id}", "Retry-After": "1"}
            return Response(body, 202, headers, "application/json")
        await asyncio.wrap_future(future)
        del jobs[job.id]
        if job.error or job.result is None:
            raise HTTPException(415, job.error)
        return job.result

    def known(job: str) -> Job:
        if job not in jobs:
            raise HTTPException(404, "There is no such painting.")
        return jobs[job]

    @app.get("/v1/paintings/{job}")
    def state(job: str) -> dict[str, Any]:
        return known(job).shown()

    @app.get("/v1/paintings/{job}/image")
    def image(job: str) -> Response:
        result = known(job).result
        if result is None:
            raise HTTPException(409, "It is not done.")
        return result

    @app.delete("/v1/paintings/{job}", status_code=204)
    def forget(job: str) -> None:
        known(job).cancelled = True
        del jobs[job]

    @app.post("/v1/previews")
    async def preview(request: Request) -> Response:
        async with request.form() as form:
            content = await form["photo"].read()
        try:
            return Response(smaller(content, 2048, "JPEG"), media_type="image/jpeg")
        except OSError as error:
            raise HTTPException(415, "This is no picture.") from error

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def smaller(content: bytes, side: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((side, side))
        image.convert("RGB").save(buffer, kind)
    return buffer.getvalue()


@contextlib.contextmanager
def running(app: FastAPI) -> Any:
    """The address of a server that runs in a thread of its own."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


if __name__ == "__main__":  # to look at the page while it is worked on
    with running(make_app(Painter.load("monet"))) as address:
        print(address, flush=True)
        threading.Event().wait()
