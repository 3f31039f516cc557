"""Make the pictures of docs/ that show pages with the painter that ships.

    python docs/screens.py [page explain]

Pages are those of `pleinair serve` and `pleinair explain` in Chromium, by Playwright.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error, Page, expect, sync_playwright

HOME = Path(__file__).parent
SAMPLES = HOME.parent / "samples"


def page(tab: Page) -> Image.Image:
    """Three samples on the page, the first half painted."""
    command = [sys.executable, "-m", "pleinair", "serve", "--port", "8127"]
    server = subprocess.Popen(  # noqa: S603 -- our own
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with tempfile.TemporaryDirectory() as place:
            return _half_painted(tab, Path(place))
    finally:
        server.kill()


def _half_painted(tab: Page, place: Path) -> Image.Image:
    files = []
    for name in ("island", "castle", "village"):
        photo = Image.open(SAMPLES / f"{name}.jpg")
        photo.thumbnail((1024, 1024))
        files.append(place / f"{name}.jpg")
        photo.save(files[-1], quality=92)
    tab.set_viewport_size({"width": 1440, "height": 900})
    for _ in range(100):
        try:
            tab.goto("http://127.0.0.1:8127/")
            break
        except Error:  # it does not listen yet
            tab.wait_for_timeout(200)
    tab.wait_for_selector("html.ready")
    tab.set_input_files("#files", [str(file) for file in files])
    expect(tab.locator("#frames .painted")).to_have_count(len(files), timeout=60_000)
    tab.locator("#frames button").first.click()
    tab.wait_for_selector("#download:not([hidden])")
    tab.wait_for_timeout(800)
    handle, view = (tab.locator(part).bounding_box() for part in ("#handle", "#view"))
    if handle is None or view is None:
        raise SystemExit("nothing hangs on the page.")
    middle = handle["y"] + handle["height"] / 2
    tab.mouse.move(handle["x"] + handle["width"] / 2, middle)
    tab.mouse.down()
    tab.mouse.move(view["x"] + 0.33 * view["width"], middle)
    tab.mouse.up()
    tab.mouse.move(5, 5)
    tab.wait_for_timeout(300)
    return Image.open(io.BytesIO(tab.screenshot()))


def explain(tab: Page) -> Image.Image:
    """The page of one sample, with a layer open."""
    with tempfile.TemporaryDirectory() as place:
        photo = Path(place) / "island.jpg"
        photo.write_bytes((SAMPLES / "island.jpg").read_bytes())
        command = [sys.executable, "-m", "pleinair", "explain", str(photo)]
        subprocess.run(command, check=True)  # noqa: S603 -- our own
        tab.set_viewport_size({"width": 1060, "height": 1960})
        tab.goto((Path(place) / "island.monet.html").as_uri())
        tab.locator("details.layer").nth(3).locator("summary").click()
        tab.wait_for_timeout(500)
        shot = tab.screenshot()
    return Image.open(io.BytesIO(shot))


SCREENS: dict[str, Callable[[Page], Image.Image]] = {
    "page": page,
    "explain": explain,
}


def main() -> None:
    """Make those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help=", ".join(SCREENS))
    names = parser.parse_args().names or list(SCREENS)
    with sync_playwright() as tools:
        path = shutil.which("chromium")
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in names:
            tab = browser.new_page()
            SCREENS[name](tab).convert("RGB").save(HOME / f"{name}.jpg", quality=88)
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
