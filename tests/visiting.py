"""Visits to the page in a browser, by whatever engine it paints."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from .conftest import picture

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PLACE = {1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (2.0, 15.0, 0.0)}  # GPS, in EXIF's numbers
PAINTED = "#download:not([hidden])"


def jpeg(height: int = 192, width: int = 256, seed: int = 0) -> bytes:
    """A photo with a camera and a place in its EXIF."""
    image = Image.fromarray(picture(height, width, seed))
    exif = Image.Exif()
    exif[0x010F] = "Camera of the test"
    exif.get_ifd(0x8825).update(PLACE)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def file(name: str, content: bytes, kind: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": kind, "buffer": content}


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


# Counts the addresses of blobs that are in use, and the bytes of photos that are sent.
COUNTED = """
    window.sent = [];
    const { fetch } = window;
    window.fetch = (address, options) => {
        if (options?.body) sent.push(options.body.get("photo").size);
        return fetch(address, options);
    };
    window.live = new Set();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (blob) => {
        const made = createObjectURL.call(URL, blob); live.add(made); return made;
    };
    URL.revokeObjectURL = (address) => {
        live.delete(address); revokeObjectURL.call(URL, address);
    };
"""


class Visit:
    """A tab with the page in it, and everything that went wrong there."""

    def __init__(self, browser, address, path="", **options) -> None:
        options = {"viewport": {"width": 1100, "height": 800}} | options
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.add_init_script(COUNTED)
        self.problems: list[str] = []
        self.requests: list = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self.console)
        self.page.on("request", self.request)
        self.address = address
        self.path = path

    def open(self) -> Visit:
        self.page.goto(self.address + self.path)
        self.page.wait_for_selector("html.ready")
        return self

    def console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def request(self, request) -> None:
        self.requests.append(request)
        found = urlsplit(request.url)
        if found.scheme not in ("blob", "data") and found.netloc != urlsplit(self.address).netloc:
            self.problems.append(f"a request to {request.url}")

    def add(self, *files) -> None:
        self.page.set_input_files("#files", list(files))

    def painted(self) -> None:
        self.page.wait_for_selector(PAINTED)

    def reads(self, place: str, pattern: str) -> None:
        sync.expect(self.page.locator(place)).to_have_text(re.compile(pattern), timeout=15_000)

    def hangs(self, count: int) -> None:
        painted = self.page.locator("#frames .painted")
        sync.expect(painted).to_have_count(count, timeout=15_000)

    def download(self, press: str = "#download") -> tuple[str, bytes]:
        with self.page.expect_download() as waiting:
            self.page.click(press)
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    def posts(self) -> list:
        return [r for r in self.requests if r.method == "POST"]

    def wide(self) -> bool:
        return self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
