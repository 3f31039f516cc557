from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import shutil
import struct
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pleinair import config, npm, onnxfile, resampling, site, tiling
from pleinair.cli import app
from pleinair.errors import DataError, OutputError, PainterError, UsageError
from pleinair.painter import Painter
from pleinair.settings import PAINT, SITE, Look
from pleinair.tiling import Box

from .conftest import SAMPLES, picture

STUB = """<!doctype html>
<html lang="en">
<head>
<meta name="pleinair-engine" content="./server-engine.js">
<title>stub</title>
<script type="module" src="./app.js"></script>
</head>
</html>
"""
STUB_APP = """
const { content } = document.querySelector('meta[name="pleinair-engine"]');
const { open } = await import(new URL(content, document.baseURI));
globalThis.engine = await open();
"""
# What a test asks the page: paints a file, and gives back all there is to see of it.
ASK = """async ([data, type, name, options]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const parts = [];
  const made = await engine.paint(new File([bytes], name, { type }), options,
    { progress: (part, note) => parts.push([part, note]) });
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(made.blob);
  });
  return { ...made, parts, type: made.blob.type, data: url.split(",")[1] };
}"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache that the package was fetched to, by the machine's own npm."""
    import platformdirs

    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    own = platformdirs.user_cache_path("pleinair") / "npm"
    try:
        npm.runtime(None, own, lambda _: None)
    except DataError as error:
        pytest.skip(f"npm has no network: {error}")
    return own


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page's files; with a stub where the page itself is not there."""
    place = tmp_path_factory.mktemp("page") / "page"
    shutil.copytree(site.PAGE, place)
    if not (place / "index.html").exists():
        (place / "index.html").write_text(STUB)
        (place / "app.js").write_text(STUB_APP)
    return place


@pytest.fixture(autouse=True)
def _page(page, monkeypatch):
    monkeypatch.setattr(site, "PAGE", page)


@pytest.fixture(scope="session")
def built(cache, page, tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "PAGE", page)
        site.write(place, cache=cache)
    return place


class Handler(http.server.SimpleHTTPRequestHandler):
    """A static host that sends files as they are, and counts the bytes of them."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map}
    extensions_map |= {".mjs": "text/javascript", ".js": "text/javascript"}
    headers_sent: dict[str, str] = {}

    def do_GET(self):
        if self.path.endswith("/blank.html"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>blank</title>")
            return
        super().do_GET()

    def end_headers(self):
        for name, value in self.server.sent.items():
            self.send_header(name, value)
        super().end_headers()

    def copyfile(self, source, outputfile):
        data = source.read()
        self.server.bytes += len(data)
        outputfile.write(data)

    def log_message(self, *_):
        pass


def serving(folder: Path, headers: dict[str, str]):
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.sent, server.bytes = headers, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def address(server, path=""):
    return f"http://127.0.0.1:{server.server_address[1]}/{path}"


@pytest.fixture(scope="session")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        running.close()


def opened(browser, url):
    tab = browser.new_context().new_page()
    tab.problems, tab.asked = [], []
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("console", lambda m: tab.problems.append(m.text) if m.type == "error" else None)
    tab.context.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(url)
    return tab


@pytest.fixture(scope="session")
def engine(browser, built):
    """A tab with the engine of the site, on a host that sends the headers for threads."""
    server = serving(built, site.HEADERS)
    tab = opened(browser, address(server, "blank.html"))
    tab.evaluate(
        """async () => {
          globalThis.module = await import("./browser-engine.js");
          globalThis.engine = await module.open();
        }"""
    )
    yield tab
    tab.context.close()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def painter():
    return Painter.load("monet", device="cpu")


def ask(tab, data, kind="png", name="photo.png", **options):
    encoded = base64.b64encode(data).decode()
    made = tab.evaluate(ASK, [encoded, f"image/{kind}", name, options])
    made["bytes"] = base64.b64decode(made["data"])
    return made


def file_of(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def painted(tab, pixels, **options):
    made = ask(tab, file_of(pixels), **options)
    return np.asarray(Image.open(io.BytesIO(made["bytes"])))


def check_alike(found, expected):
    assert found.shape == expected.shape
    away = np.abs(found.astype(int) - expected.astype(int)).max(axis=-1)
    assert (away <= 2).mean() >= 0.999, f"{(away <= 2).mean():.5f} alike, {away.max()} at most"


# --- paintings as Python's ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "look"),
    [
        (256, 256, {}),
        (203, 301, {}),
        (40, 33, {"brush": 2.0}),
        (300, 400, {"brush": 2.0}),
        (160, 200, {"strength": 0.5, "colors": "photo"}),
    ],
)
def test_small_photos(engine, painter, height, width, look):
    photo = picture(height, width, seed=height)
    expected = painter.paint(photo, look=Look(**look))
    check_alike(painted(engine, photo, **look), expected)


def test_a_photo_in_layers_with_given_statistics(engine, painter):
    photo = np.asarray(Image.open(SAMPLES[1]).resize((1300, 900)))
    check_alike(painted(engine, photo), painter.paint(photo))


def test_tiles(engine, painter):
    engine.evaluate(
        "async () => { globalThis.usual = engine; engine = await module.open({ memory: 1e6 }); }"
    )
    try:
        photo = np.asarray(Image.open(SAMPLES[2]).resize((800, 560)))
        painter.memory = PAINT.least_memory
        check_alike(painted(engine, photo), painter.paint(photo))
    finally:
        painter.memory = None
        engine.evaluate("() => { engine = usual; }")
