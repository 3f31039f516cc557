"""Make the pictures of docs/ that show pages and tests of the painter that ships.

    python docs/screens.py [page explain doctor ...]

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

import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page, expect, sync_playwright

from pleinair import Painter, doctor
from pleinair.config import ResNetSpec
from pleinair.images import Pixels
from pleinair.networks import build
from pleinair.weights import Weights, save

HOME = Path(__file__).parent
SAMPLES = HOME.parent / "samples"
GAP = 8  # pixels between pictures
SHOWN = ("landscape", "chart", "gradient")
SMALL = 160  # pixels of a test picture's side


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


def doctors(_tab: Page) -> Image.Image:
    """Test pictures, and what becomes of them by monet, by faults of it, and untrained."""
    shown = [doctor._pictures(256)[name] for name in SHOWN]
    monet = Painter.load("monet")
    columns: list[list[Pixels]] = [shown]
    painted = [monet.paint(picture) for picture in shown]
    columns += [painted, [255 - one for one in painted], shown]
    columns += [[one[..., ::-1] for one in painted], [np.full_like(one, 141) for one in painted]]
    spec = ResNetSpec(channels=16, blocks=2)
    arrays = {name: value.numpy() for name, value in build(spec).state_dict().items()}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "untrained.safetensors"
        save(Weights(spec, arrays, {}), file)
        untrained = Painter.load(file)
        columns.append([untrained.paint(picture) for picture in shown])
    side = SMALL + GAP
    made = Image.new("RGB", (side * len(columns) + GAP, side * len(shown) + GAP), "white")
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            small = Image.fromarray(picture).resize((SMALL, SMALL), Image.Resampling.LANCZOS)
            made.paste(small, (GAP + x * side, GAP + y * side))
    return made


SCREENS: dict[str, Callable[[Page], Image.Image]] = {
    "page": page,
    "explain": explain,
    "doctor": doctors,
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
