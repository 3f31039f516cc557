from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import re
import shutil
import struct
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pleinair import config, exports, graphs, npm, onnxfile, resampling, site, tiling
from pleinair.cli import app
from pleinair.errors import DataError, OutputError, PainterError, UsageError
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.settings import PAINT, SITE, Look
from pleinair.tiling import Box
from pleinair.weights import Weights

from .conftest import SAMPLES, picture
from .visiting import PLACE, Visit, file, jpeg, pixels

pytestmark = pytest.mark.xdist_group("site")  # built once

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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's files; with a stub where the page itself is not there."""
    place = tmp_path_factory.mktemp("page") / "page"
    shutil.copytree(site.PAGE, place)
    return place


@pytest.fixture(autouse=True)
def _page(page, monkeypatch):
    monkeypatch.setattr(site, "PAGE", page)


@pytest.fixture(scope="module")
def built(cache, page, tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "PAGE", page)
        site.write(place, cache=cache)
    return place


class Handler(http.server.SimpleHTTPRequestHandler):
    """A static host that sends files as they are, and counts the bytes of them."""

    def guess_type(self, path):
        return "text/javascript" if str(path).endswith("js") else super().guess_type(path)

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


def opened(browser, url):
    tab = browser.new_context().new_page()
    tab.problems, tab.asked = [], []
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("console", lambda m: tab.problems.append(m.text) if m.type == "error" else None)
    tab.context.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(url)
    return tab


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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
        (220, 370, {"brush": 2.0}),
        (160, 200, {"strength": 0.5, "colors": "photo"}),
    ],
)
def test_small_photos(engine, painter, height, width, look):
    photo = picture(height, width, seed=height)
    expected = painter.paint(photo, look=Look(**look))
    check_alike(painted(engine, photo, **look), expected)


def test_a_photo_in_layers_with_given_statistics(engine, painter):
    photo = np.asarray(Image.open(SAMPLES[1]).resize((1300, 700)))
    check_alike(painted(engine, photo), painter.paint(photo))


def test_painters_of_half_and_of_integers(browser, cache, tmp_path):
    files = []
    for precision in ("float16", "int8"):
        files.append(tmp_path / f"{precision}.onnx")
        exports.export("monet", files[-1], precision=precision)
    site.write(tmp_path / "out", [str(path) for path in files], cache=cache)
    server = serving(tmp_path / "out", site.HEADERS)
    tab = opened(browser, address(server, "blank.html"))
    try:
        tab.evaluate(
            """async () => {
              globalThis.engine = await (await import("./browser-engine.js")).open();
            }"""
        )
        photo = np.asarray(Image.open(SAMPLES[1]).resize((420, 300)))
        for path in files:
            expected = Painter.load(path, device="cpu").paint(photo)
            found = painted(tab, photo, painter=path.stem)
            if path.stem == "float16":
                check_alike(found, expected)
            else:  # a sum that lies between two integers may be rounded to either
                assert np.abs(found.astype(int) - expected).mean() < 2
    finally:
        tab.context.close()
        server.shutdown()
        server.server_close()


def test_tiles(engine, painter):
    engine.evaluate(
        "async () => { globalThis.usual = engine; engine = await module.open({ memory: 1e6 }); }"
    )
    try:
        photo = np.asarray(Image.open(SAMPLES[2]).resize((600, 440)))
        painter.memory = PAINT.least_memory
        check_alike(painted(engine, photo), painter.paint(photo))
    finally:
        painter.memory = None
        engine.evaluate("() => { engine = usual; }")


def test_a_jpeg_as_it_comes(engine, painter):
    data = file_of(np.asarray(Image.open(SAMPLES[4]).resize((320, 240))), "JPEG", quality=95)
    made = ask(engine, data, "jpeg", "IMG 1.JPG")
    assert (made["type"], made["name"]) == ("image/jpeg", "IMG 1.monet.jpg")
    assert (made["width"], made["height"]) == (320, 240)
    # The browser's codecs are not Pillow's, so two rounds of JPEG lie between.
    expected = np.asarray(Image.open(io.BytesIO(painter.paint(data)))).astype(int)
    found = np.asarray(Image.open(io.BytesIO(made["bytes"]))).astype(int)
    assert np.abs(found - expected).mean() < 3.5
    progress = [part for part, _ in made["parts"]]
    assert progress == sorted(progress)
    assert 0 <= progress[0] <= progress[-1] <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_photo_is_decoded_as_in_python(engine, kind):
    data = file_of(np.asarray(Image.open(SAMPLES[0]).crop((0, 0, 200, 120))), kind, quality=92)
    found = engine.evaluate(
        """async (data) => {
          const { read } = await import("./reading.js");
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const { data: levels, alpha } = await read(new Blob([bytes]));
          return [[...levels], alpha];
        }""",
        base64.b64encode(data).decode(),
    )
    assert found[1] is None
    pixels = np.array(found[0]).reshape(3, 120, 200).transpose(1, 2, 0)
    check_alike(pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def seen_through(height, width):
    """RGBA: an opaque middle, faint edges, nothing at all in a corner of rubbish."""
    pixels = np.dstack([picture(height, width), np.full((height, width), 255, np.uint8)])
    pixels[:, : width // 4, 3] = np.linspace(1, 254, width // 4)
    pixels[: height // 3, -width // 3 :, 3] = 0
    pixels[: height // 3, -width // 3 :, :3] = (255, 0, 255)
    return pixels


def test_alpha_is_kept_exactly(engine, painter):
    pixels = seen_through(91, 120)
    found, expected = painted(engine, pixels), painter.paint(pixels)
    assert (found[..., 3] == pixels[..., 3]).all()
    assert (found[pixels[..., 3] == 0] == pixels[pixels[..., 3] == 0]).all()
    check_alike(found, expected)
    look = {"side": 60}
    small = ask(engine, file_of(pixels), **look)
    assert Image.open(io.BytesIO(small["bytes"])).size == (60, 46)


def test_webp_stays_webp_with_alpha(engine):
    pixels = seen_through(40, 60)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    made = ask(engine, file_of(pixels, "WEBP", lossless=True, exif=exif, xmp=XMP), "webp", "a.webp")
    image = Image.open(io.BytesIO(made["bytes"]))
    assert (image.format, image.mode, image.size) == ("WEBP", "RGBA", (60, 40))
    assert image.getexif()[0x010F] == "Maker"
    assert image.info["xmp"] == XMP
    opaque = ask(engine, file_of(pixels[..., :3], "WEBP", exif=exif), "webp", "a.webp")
    image = Image.open(io.BytesIO(opaque["bytes"]))
    assert (image.mode, image.getexif()[0x010F]) == ("RGB", "Maker")


# --- metadata -------------------------------------------------------------------------------

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1" b="é ü"/></x:xmpmeta>'.encode()


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    return exif


def with_thumbnail(jpeg, orientation):
    """A JPEG with an EXIF block that has a second directory, of a thumbnail."""
    small = file_of(np.zeros((8, 8, 3), np.uint8), "JPEG")
    first = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 26)
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 56, 514, 4, 1, len(small), 0)
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + second + small
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:], small


def test_what_a_jpeg_says_is_kept(engine):
    extra = {"exif": exif_of(6), "xmp": XMP, "comment": b"by hand", "dpi": (300, 300)}
    data = file_of(picture(48, 64), "JPEG", **extra)
    iptc = b"\x1c\x02\x78\x00\x04Lake"
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0"
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(resource) + 2) + resource + data[2:]
    made = ask(engine, data, "jpeg", "a.jpg")
    image = Image.open(io.BytesIO(made["bytes"]))
    assert image.size == (made["width"], made["height"]) == (48, 64)  # upright
    exif = image.getexif()
    assert (exif[0x010F], exif[0x0112]) == ("Maker", 1)
    assert tuple(map(float, exif.get_ifd(0x8825)[2])) == (48.0, 51.0, 30.0)
    assert image.info["xmp"] == XMP
    assert image.info["comment"] == b"by hand"
    assert image.info["dpi"] == (300, 300)
    assert image.info["photoshop"][0x0404] == iptc


def test_no_thumbnail_of_the_photo_is_left(engine):
    data, small = with_thumbnail(file_of(picture(40, 40), "JPEG"), 3)
    made = ask(engine, data, "jpeg", "a.jpg")
    assert small in data
    assert small[20:] not in made["bytes"]
    assert Image.open(io.BytesIO(made["bytes"])).getexif()[0x0112] == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(engine, orientation):
    photo = picture(24, 40)
    data = file_of(photo, exif=exif_of(orientation))
    made = ask(engine, data, strength=0)
    found = np.asarray(Image.open(io.BytesIO(made["bytes"])))
    assert (found == np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))).all()


def test_orientation_of_a_jpeg_is_ours_to_apply(engine):
    photo = picture(24, 40)
    plain, held = (file_of(photo, "JPEG", exif=exif_of(n)) for n in (1, 8))
    first, second = (
        np.asarray(Image.open(io.BytesIO(ask(engine, data, "jpeg", strength=0)["bytes"])))
        for data in (plain, held)
    )
    assert np.abs(np.rot90(first).astype(int) - second).mean() < 3


def test_texts_of_a_png_are_kept(engine):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Title", "Lake")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    data = file_of(picture(24, 24), pnginfo=info, exif=exif_of(1), dpi=(300, 300))
    image = Image.open(io.BytesIO(ask(engine, data)["bytes"]))
    image.load()
    assert image.text["Title"] == "Lake"
    assert image.text["XML:com.adobe.xmp"] == XMP.decode()
    assert image.getexif()[0x010F] == "Maker"
    assert round(image.info["dpi"][0]) == 300


def test_a_gif_becomes_a_jpeg_and_says_what_is_left_out(engine):
    frames = [Image.fromarray(picture(24, 24, seed=n)) for n in range(2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    made = ask(engine, buffer.getvalue(), "gif", "a.gif")
    assert (made["type"], made["name"]) == ("image/jpeg", "a.monet.jpg")
    assert any("first picture" in (note or "") for _, note in made["parts"])


# --- what goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello, world" * 20, "no picture"),
        (b"\xff\xd8\xff" + bytes(50), "damaged"),
        (b"II*\0" + bytes(80), "TIFF"),
        (b"\0\0\0\x18ftypheic" + bytes(80), "HEIC"),
        (file_of(np.zeros((8, 8, 3), np.uint8))[:45], "cut short"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60000, 60000) + bytes(40),
            "3,600 megapixels and at most 64",
        ),
    ],
)
def test_bad_files_are_told_of_in_one_sentence(engine, data, words):
    error = engine.evaluate(
        f"(asked) => ({ASK})(asked).then(() => '', (error) => error.message)",
        [base64.b64encode(data).decode(), "", "a.jpg", {}],
    )
    assert words in error
    assert error.endswith(".")
    assert "\n" not in error


def test_options_out_of_range_are_refused(engine):
    for options, words in (
        ({"brush": 9}, "brush 9"),
        ({"strength": -1}, "strength -1"),
        ({"colors": "red"}, "colors red"),
        ({"painter": "manet"}, "choose monet"),
    ):
        found = engine.evaluate(
            "(asked) => engine.paint(new Blob(), asked).catch((error) => error.message)",
            options,
        )
        assert words in found


def test_a_stopped_painting_ends_soon_and_the_newest_is_first(engine):
    data = base64.b64encode(file_of(picture(500, 700), "JPEG")).decode()
    small = base64.b64encode(file_of(picture(20, 20), "JPEG")).decode()
    found = engine.evaluate(
        """async ([large, small]) => {
          const bytes = (data) => Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const file = (data) => new File([bytes(data)], "a.jpg");
          const order = [];
          const stop = new AbortController();
          const asked = [large, small, small].map((data, n) =>
            engine.paint(file(data), {}, { signal: n === 0 ? stop.signal : undefined })
              .then(() => order.push(n), (error) => order.push(error.name)));
          await new Promise((resolve) => setTimeout(resolve, 60));
          stop.abort();
          await Promise.all(asked);
          const late = engine.paint(file(small), {}, { signal: stop.signal });
          return [...order, await late.catch((error) => error.name)];
        }""",
        [data, small],
    )
    assert found == ["AbortError", 2, 1, "AbortError"]


def test_where_memory_is_short_a_fresh_worker_takes_less(engine):
    found = engine.evaluate(
        """async (least) => {
          const given = [];
          const usual = globalThis.Worker;
          let enough = 0;
          globalThis.Worker = class {
            postMessage({ kind, id, memory }) {
              if (kind === "open") given.push((this.memory = memory));
              const done = { blob: new Blob(), suffix: ".jpg", width: 1, height: 1, seconds: 0 };
              const data = this.memory <= enough ? { id, done } : { id, short: true };
              if (kind === "paint") setTimeout(() => this.onmessage({ data }));
            }
            terminate() {}
          };
          const own = await module.open({ memory: 8 * least });
          const refused = await own.paint(new Blob(), {}).catch((error) => error.message);
          given.length = 0;
          const other = await module.open({ memory: 8 * least });
          enough = 3 * least;
          const { name } = await other.paint(new Blob(), {});
          globalThis.Worker = usual;
          return [refused, given, name];
        }""",
        SITE.least_memory,
    )
    assert "too little memory" in found[0]
    assert found[1] == [8 * SITE.least_memory, 4 * SITE.least_memory, 2 * SITE.least_memory]
    assert found[2] == "photo.monet.jpg"


def test_a_stroke_of_a_slider_paints_no_anew(engine):
    found = engine.evaluate(
        """async (data) => {
          const file = new File([Uint8Array.from(atob(data), (l) => l.charCodeAt(0))], "a.jpg");
          const first = await engine.paint(file, { side: 200 });
          const second = await engine.paint(file, { side: 200, strength: 0.5 });
          return [first.width, first.height, first.seconds, second.seconds];
        }""",
        base64.b64encode(file_of(picture(300, 400), "JPEG")).decode(),
    )
    assert found[:2] == [200, 150]
    assert found[3] < found[2]


# --- modules beside Python's ----------------------------------------------------------------


def test_plans_of_tiles_and_samples_are_those_of_python(engine):
    random = np.random.default_rng(0)
    for _ in range(12):
        height, width = (4 * int(n) for n in random.integers(2, 700, 2))
        most, side = int(random.integers(20_000, 500_000)), 96
        around = 4 * int(random.integers(1, 20))
        tiles = [
            [[b.top, b.left, b.bottom, b.right] for b in (tile.out, tile.seen)]
            for tile in tiling.plan(height, width, around, 4, most)
        ]
        boxes = [
            [[b.top, b.left, b.bottom, b.right] for b in row]
            for row in tiling.samples(height, width, most, side, 4)
        ]
        found = engine.evaluate(
            """async ([height, width, around, most, side]) => {
              const { plan, samples } = await import("./tiling.js");
              const all = (b) => [b.top, b.left, b.bottom, b.right];
              return [
                plan(height, width, around, 4, most).map(({ out, seen }) => [all(out), all(seen)]),
                samples(height, width, most, side, 4).map((row) => row.map(all)),
              ];
            }""",
            [height, width, around, most, side],
        )
        assert found == [tiles, boxes]


def test_resized_pictures_are_those_of_pillow(engine):
    for before, after in (((61, 83), (30, 41)), ((61, 83), (100, 83)), ((40, 30), (1, 7))):
        photo = picture(*before)
        found = engine.evaluate(
            """async ([data, before, after]) => {
              const { resized } = await import("./resampling.js");
              const [height, width] = before;
              return [...resized({ height, width, data: Uint8Array.from(data) }, ...after).data];
            }""",
            [photo.transpose(2, 0, 1).ravel().tolist(), before, after],
        )
        expected = resampling.resized(photo, *after).transpose(2, 0, 1).ravel()
        assert found == expected.tolist()


def test_enlarged_parts_are_those_of_pillow(engine):
    values = picture(20, 30).transpose(2, 0, 1).astype(np.float32)
    box, whole = Box(7, 11, 40, 60), (41, 63)
    for smooth in (False, True):
        expected = resampling.enlarged(
            values, Box(0, 0, 20, 30), (20, 30), box, whole, smooth=smooth
        )
        found = engine.evaluate(
            """async ([values, smooth]) => {
              const { enlarged } = await import("./resampling.js");
              const { Box } = await import("./tiling.js");
              const source = { height: 20, width: 30, data: Float32Array.from(values) };
              const [held, box] = [new Box(0, 0, 20, 30), new Box(7, 11, 40, 60)];
              return [...enlarged(source, held, [20, 30], box, [41, 63], smooth).data];
            }""",
            [values.ravel().tolist(), smooth],
        )
        np.testing.assert_allclose(found, expected.ravel(), atol=1e-4)


def test_initializers_are_patched_as_in_python(engine):
    data = (site.hub.find("monet")).read_bytes()
    given = np.random.default_rng(0).random((2, 448)).astype(np.float32)
    expected = onnxfile.with_initializers(
        data, {"fixed": np.array(True), "given_statistics": given}
    )
    found = engine.evaluate(
        """async (given) => {
          const { content } = await import("./runtime.js");
          const { withInitializers } = await import("./onnxfile.js");
          const data = await content("painters/monet.onnx.gz");
          const values = { fixed: Uint8Array.of(1), given_statistics: Float32Array.from(given) };
          const digest = await crypto.subtle.digest("SHA-256", withInitializers(data, values));
          let refused = "";
          try {
            withInitializers(data.slice(0, 9999), values);
          } catch (error) {
            refused = error.message;
          }
          return [[...new Uint8Array(digest)], refused];
        }""",
        given.ravel().tolist(),
    )
    assert bytes(found[0]) == hashlib.sha256(expected).digest()
    assert "cut short" in found[1]


# --- the site as a host serves it -----------------------------------------------------------


def isolated(tab):
    """Whether the page came to be so, by being loaded once more."""
    for _ in range(200):
        with contextlib.suppress(Exception):  # while it is loaded
            if tab.evaluate("crossOriginIsolated && document.readyState === 'complete'"):
                return True
        tab.wait_for_timeout(50)
    return False


OPEN = """async () => {
  globalThis.engine ??= await (await import("./browser-engine.js"))\n          .open();
}"""


def test_works_without_headers_and_without_a_network(browser, built):
    server = serving(built, {})
    tab = opened(browser, address(server))
    assert isolated(tab)
    assert tab.evaluate(f"async () => {{ await ({OPEN})(); return engine.offline; }}") is True
    assert server.bytes < 8e6
    assert all(url.startswith((address(server), "blob:")) for url in tab.asked)
    assert not any("jspi" in url for url in tab.asked)  # there is no GPU here

    server.shutdown()
    server.server_close()
    tab.context.set_offline(True)
    tab.reload()
    tab.evaluate(f"async () => {{ await ({OPEN})(); }}")
    made = ask(tab, file_of(picture(40, 60)))
    assert Image.open(io.BytesIO(made["bytes"])).size == (60, 40)
    assert tab.evaluate("crossOriginIsolated") is True
    tab.context.close()


def test_a_new_version_replaces_the_old_at_the_next_visit(browser, built, page, tmp_path):
    place = tmp_path / "out"
    shutil.copytree(built, place)
    server = serving(place, site.HEADERS)
    tab = opened(browser, address(server, "blank.html"))
    ready = "async () => { const m = await import('./offline.js'); await m.ready(); }"
    tab.evaluate(ready)
    before = tab.evaluate("async () => (await (await fetch('./tiff.js')).text()).slice(0, 9)")
    sums = json.loads((place / site.MARK).read_text())["files"]
    renewed = b"/* new */\n" + (place / "tiff.js").read_bytes()
    (place / "tiff.js").write_bytes(renewed)
    text = (place / "sw.js").read_text()
    text = text.replace(sums["tiff.js"], hashlib.sha256(renewed).hexdigest())
    (place / "sw.js").write_text(re.sub(r'("version": ")\w+', r"\g<1>0123456789abcdef", text))
    old = tab.evaluate(
        """async () => {
          const registration = await navigator.serviceWorker.getRegistration();
          await registration.update();
          while (!registration.waiting) await new Promise((resolve) => setTimeout(resolve, 20));
          return (await (await fetch("./tiff.js")).text()).slice(0, 9);
        }"""
    )
    assert before == old == "/**\n * EX"
    tab.goto(address(server, "blank.html"))
    with tab.expect_navigation():
        tab.evaluate(f"() => {{ ({ready})(); }}")
    assert (
        tab.evaluate("async () => (await (await fetch('./tiff.js')).text()).slice(0, 9)")
        == "/* new */"
    )
    assert tab.evaluate("async () => (await caches.keys()).length") == 1
    tab.context.close()
    server.shutdown()
    server.server_close()


def test_a_server_in_its_place_puts_an_end_to_it(browser, built, tmp_path):
    place = tmp_path / "out"
    shutil.copytree(built, place)
    server = serving(place, site.HEADERS)
    tab = opened(browser, address(server, "blank.html"))
    tab.evaluate("async () => { const m = await import('./offline.js'); await m.ready(); }")
    assert tab.evaluate("async () => (await caches.keys()).length") == 1
    shutil.copy(site.PAGE / "sw.js", place / "sw.js")
    tab.evaluate("async () => (await navigator.serviceWorker.getRegistration()).update()")
    for _ in range(100):
        with contextlib.suppress(Exception):  # while the page is loaded anew
            if tab.evaluate("async () => (await caches.keys()).length") == 0:
                break
        tab.wait_for_timeout(50)
    else:
        pytest.fail("something is kept")
    tab.context.close()
    server.shutdown()
    server.server_close()


# --- the folder -----------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of npm as ONNX Runtime Web's, of a few bytes, known by its hashes."""
    names = [name for _, group in npm.PACKAGE.files for name, _ in group]
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in [*names, "../../escaped", "other.wasm"]:
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    groups = tuple(
        (kind, tuple((name, hashlib.sha256(name.encode()).hexdigest()) for name, _ in group))
        for kind, group in npm.PACKAGE.files
    )
    digest = hashlib.sha512(path.read_bytes()).digest()
    known = replace(
        npm.PACKAGE,
        files=groups,
        integrity="sha512-" + base64.b64encode(digest).decode(),
    )
    monkeypatch.setattr(npm, "PACKAGE", known)
    return path


@pytest.fixture
def made(package, tmp_path):
    """Writes a site beside the test's other files; its folder."""

    def make(name="out", **more):
        site.write(tmp_path / name, runtime=package, cache=tmp_path / "cache", **more)
        return tmp_path / name

    return make


def files_of(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_site_is_whole_and_the_same_each_time(made, tmp_path):
    first, second = files_of(made("first")), files_of(made("second"))
    assert first == second
    index = first["index.html"].decode()
    assert 'content="./browser-engine.js"' in index
    assert index.count("Content-Security-Policy") == 1
    assert "server-engine.js" not in first
    assert "const SITE = null" not in first["sw.js"].decode()
    listed = json.loads(first[site.MARK])["files"]
    assert set(listed) == set(first) - {site.MARK}
    assert all(hashlib.sha256(first[name]).hexdigest() == known for name, known in listed.items())
    kept = json.loads(
        re.search(r"const SITE = (\{.*?\n\});", first["sw.js"].decode(), re.DOTALL)[1]
    )
    beside = {"sw.js", "_headers", ".nojekyll", site.MARK}
    assert set(kept["files"]) == set(first) - beside
    assert b"Cross-Origin-Embedder-Policy: require-corp" in first["_headers"]
    assert not any(tmp_path.glob(".*"))
    assert not (tmp_path.parent / "escaped").exists()


def test_settings_are_those_of_python(made):
    text = (made() / "settings.js").read_text()
    known = json.loads(re.search(r"export const PAINT = (\{.*?\n\});", text, re.DOTALL)[1])
    assert known["layer_detail"] == PAINT.layer_detail
    ours = json.loads(re.search(r"export const SITE = (\{.*?\n\});", text, re.DOTALL)[1])
    (monet,) = ours["painters"]
    spec = config.RECIPES["swift"].generator
    assert (monet["stride"], monet["halo"]) == (4, tiling.halo(spec))
    assert (monet["name"], monet["title"], monet["default"]) == ("monet", "Monet", True)
    for longest, layers, name in (
        (257, 1, "large"),
        (256, 1, "small"),
        (256, 2, "small_in_layers"),
    ):
        assert monet["margins"][name] == config.edge_margin(spec, longest, layers)


def test_the_manifest_names_icons_that_are_there(made):
    place = made()
    manifest = json.loads((place / "manifest.webmanifest").read_text())
    for icon in manifest["icons"]:
        side = int(icon["sizes"].split("x")[0])
        with Image.open(place / icon["src"]) as image:
            assert image.size == (side, side)


def test_nothing_of_others_is_lost(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        made("mine", force=True)
    with pytest.raises(OutputError, match="is a file"):
        made("mine/note.txt")
    place = made()
    with pytest.raises(OutputError, match="add --force"):
        made()
    (place / "CNAME").write_text("example.org")
    (place / "painters" / "mine.txt").write_text("mine")
    (place / ".git" / "objects").mkdir(parents=True)
    (place / "tiling.js").write_text("broken")
    before = files_of(place)
    made(force=True)
    after = files_of(place)
    assert after["CNAME"] == b"example.org"
    assert after["painters/mine.txt"] == b"mine"
    assert (place / ".git" / "objects").is_dir()
    assert after["tiling.js"] != b"broken"
    assert set(before) == set(after)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_site_that_cannot_be_written_leaves_the_old_one(made, monkeypatch, tmp_path):
    place = made()
    before = files_of(place)

    def full(path, data):
        if path.name == "tiling.js":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(site.files, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        made(force=True)
    assert files_of(place) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_painters_are_checked_and_named(made, tmp_path):
    monet = site.hub.find("monet")
    shutil.copy(monet, tmp_path / "a b'.onnx")
    shutil.copy(monet, tmp_path / "a b!.onnx")
    place = made(painters=["monet", tmp_path / "a b'.onnx"])
    assert (place / "painters" / "a-b-.onnx.gz").exists()
    with pytest.raises(UsageError, match="two painters"):
        made("other", painters=[tmp_path / "a b'.onnx", tmp_path / "a b!.onnx"])
    with pytest.raises(PainterError, match="unknown"):
        made("other", painters=["manet"])
    spec = config.UNetSpec(channels=4, depth=5)
    arrays = {name: value.numpy() for name, value in build(spec).state_dict().items()}
    (tmp_path / "unet.onnx").write_bytes(graphs.painter(Weights(spec, arrays, {})))
    with pytest.raises(PainterError, match="is a U-Net, which pages do not paint"):
        made("other", painters=[tmp_path / "unet.onnx"])
    assert not (tmp_path / "other").exists()


def test_the_package_is_checked(package, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    found = npm.runtime(package, cache, print)
    assert found["ort.wasm.min.mjs"] == b"ort.wasm.min.mjs"
    (empty := tmp_path / "empty").mkdir()
    (tmp_path / "dist").mkdir()
    for name, data in found.items():
        (tmp_path / "dist" / name).write_bytes(data)
    assert npm.runtime(tmp_path, cache, print) == found
    (tmp_path / "dist" / "ort.wasm.min.mjs").write_bytes(b"other")
    with pytest.raises(DataError, match=r"ort.wasm.min.mjs .* as it was published"):
        npm.runtime(tmp_path, cache, print)
    with pytest.raises(UsageError, match="does not hold"):
        npm.runtime(empty, cache, print)
    with pytest.raises(UsageError, match="cannot be read"):
        npm.runtime(tmp_path / "none.tgz", cache, print)
    package.write_bytes(package.read_bytes() + b"x")
    with pytest.raises(DataError, match="has the hash"):
        npm.runtime(package, cache, print)


def fake_npm(tmp_path, monkeypatch, script):
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda _: str(program))


def test_npm_fetches_once(package, tmp_path, monkeypatch):
    fake_npm(tmp_path, monkeypatch, f"cp {package} {npm._FILE}; echo once >> {tmp_path}/calls")
    cache = tmp_path / "cache"
    for _ in range(2):
        assert len(npm.runtime(None, cache, print)) == 6
    assert (tmp_path / "calls").read_text() == "once\n"
    assert [path.name for path in cache.iterdir()] == [npm._FILE]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", r"code ENOTFOUND.*--runtime"),
        ("exit 0", "does not say why"),
        (f"echo other > {npm._FILE}", "has the hash"),
    ],
)
def test_npm_that_fails_is_told_of(package, tmp_path, monkeypatch, script, words):
    fake_npm(tmp_path, monkeypatch, script)
    with pytest.raises(DataError, match=words):
        npm.runtime(None, tmp_path / "cache", print)
    assert not any((tmp_path / "cache").iterdir())


def test_without_npm_another_way_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"npm is not installed.*--runtime"):
        npm.runtime(None, tmp_path / "cache", print)


def test_the_command(package, tmp_path, capsys):
    out = tmp_path / "out"
    app(["site", str(out), "--runtime", str(package)], result_action="return_value")
    told = capsys.readouterr()
    assert told.out.strip() == str(out)
    assert "upload the folder" in told.err
    assert (out / "index.html").exists()


def test_the_page_paints_without_a_server_and_without_a_network(browser, built, painter):
    server = serving(built, {})
    one = Visit(browser, address(server)).open()
    page, photo = one.page, jpeg()
    try:
        assert "stay on this device" in page.inner_text("#privacy")
        one.add(file("sea side.jpg", photo))
        one.painted()
        name, content = one.download()
        assert name == "sea side.monet.jpg"
        # Two encoders wrote the same pixels, at the same quality but with tables of their own.
        assert np.abs(pixels(content) - pixels(painter.paint(photo))).mean() < 2
        exif = Image.open(io.BytesIO(content)).getexif()
        assert exif[0x010F] == "Camera of the test"
        assert exif.get_ifd(0x8825)[2] == PLACE[2]
        page.locator("#handle").focus()
        page.keyboard.press("Home")
        page.keyboard.press("PageUp")
        assert page.locator("#handle").get_attribute("aria-valuenow") == "10"
        page.wait_for_function("caches.keys().then((found) => found.length > 0)")
        assert one.problems == []
        assert one.posts() == []

        server.shutdown()
        server.server_close()
        one.context.set_offline(True)
        page.reload()
        page.wait_for_selector("html.ready")
        one.add(file("again.jpg", jpeg(seed=1)))
        one.painted()
        assert pixels(one.download()[1]).shape == (192, 256, 3)
    finally:
        one.context.close()
