"""A megapixel in headless Chromium beside Python on the same machine: seconds, and their ratio.

    python benchmarks/browser.py [PHOTO] [--side 1000] [--runs 3]

Both take a JPEG and give a JPEG, by turns, so that what else the machine does weighs on both. The
site is written to a temporary folder; npm fetches ONNX Runtime Web where it is not there yet.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import io
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import platformdirs
from PIL import Image

from pleinair import Painter, site

_PHOTO = Path(__file__).parents[1] / "samples" / "castle.jpg"
_OPEN = """async () => {
  const began = performance.now();
  globalThis.engine = await (await import("./browser-engine.js")).open();
  const file = (data) => new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "a.jpg");
  globalThis.paint = async (data, options) => (await engine.paint(file(data), options)).seconds;
  return (performance.now() - began) / 1000;
}"""


class _Host(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".mjs": "text/javascript", ".js": "text/javascript", ".html": "text/html"}  # noqa: RUF012

    def end_headers(self) -> None:
        for name, value in site.HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    """Print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, default=_PHOTO)
    parser.add_argument("--side", type=int, default=1000, help="pixels of either side")
    parser.add_argument("--runs", type=int, default=3)
    words = parser.parse_args()
    buffer = io.BytesIO()
    Image.open(words.photo).resize((words.side, words.side)).save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site"
        site.write(folder, cache=platformdirs.user_cache_path("pleinair") / "npm")
        (folder / "blank.html").write_text("<!doctype html><title>blank</title>")
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(_Host, directory=str(folder))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _race(f"http://127.0.0.1:{server.server_port}/blank.html", data, words.runs)
        server.shutdown()


def _race(address: str, data: bytes, runs: int) -> None:
    from playwright.sync_api import sync_playwright

    painter = Painter.load("monet", device="cpu")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        tab = browser.new_page()
        tab.goto(address)
        tab.evaluate(_OPEN)
        encoded = base64.b64encode(data).decode()
        print(f"isolated: {tab.evaluate('crossOriginIsolated')}")
        began = time.perf_counter()
        tab.evaluate("(data) => paint(data, { side: 64 })", encoded)
        print(f"loading and a first stroke: {time.perf_counter() - began:.1f} s")
        ours, theirs = [], []
        for _ in range(runs):
            began = time.perf_counter()
            painter.paint(data)
            ours.append(time.perf_counter() - began)
            theirs.append(float(tab.evaluate("(data) => paint(data, {})", encoded)))
            print(
                f"Python {ours[-1]:.2f} s, Chromium {theirs[-1]:.2f} s: {theirs[-1] / ours[-1]:.2f}"
            )
        browser.close()
    print(
        f"fastest: Python {min(ours):.2f} s, Chromium {min(theirs):.2f} s: "
        f"{min(theirs) / min(ours):.2f} times"
    )


if __name__ == "__main__":
    main()
