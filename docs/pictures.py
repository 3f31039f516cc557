"""Make the pictures of the documentation that show what painters paint.

    python docs/pictures.py WALLPAPERS [--only sheet brushes] [--paintings PAINTINGS]

PAINTINGS: for the way back, a folder of paintings of 256x256 that painter photo has not seen.
WALLPAPERS: the folder usr/share/backgrounds of Debian's lomiri-wallpapers-16.04 (CC-BY-4.0, Aitzol
Berasategi's), whose full sizes are too large for the repository. Run it when a painter changes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from pleinair import doctor
from pleinair.config import ResNetSpec
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.settings import Look
from pleinair.weights import Weights, save

HOME = Path(__file__).parent
SAMPLES = sorted((HOME.parent / "samples").glob("*.jpg"))
_GAP = 10  # pixels between pictures


class Places(NamedTuple):
    """Folders of what is painted, beside the samples."""

    wallpapers: Path
    paintings: Path


def main() -> None:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wallpapers", type=Path)
    parser.add_argument("--paintings", type=Path, default=HOME.parent / "notebooks" / "paintings")
    parser.add_argument("--painter", default="monet")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), default=list(PICTURES))
    parser.add_argument("--out", type=Path, default=HOME)
    options = parser.parse_args()
    painter = Painter.load(options.painter)
    for name in options.only:
        made = PICTURES[name](painter, Places(options.wallpapers, options.paintings))
        made.save(options.out / f"{name}.jpg", quality=88 if name == "sheet" else 80)


def sheet(painter: Painter, _at: Places) -> Image.Image:
    """The samples, each beside its painting."""
    rows = []
    for sample in SAMPLES:
        photo = Image.open(sample).convert("RGB")
        rows.append(_row([_wide(one, 600) for one in (photo, painter.paint(photo))]))
    return _column(rows)


def brushes(painter: Painter, at: Places) -> Image.Image:
    """One photo with four brushes, whole and in part."""
    photo = _photo(at.wallpapers, "picosdeeuropa", 2048)
    painted = [painter.paint(photo, look=Look(brush=size)) for size in (0.5, 1.0, 2.0, 4.0)]
    parts = [_part(one, 0.5, 0.6, 400, 400) for one in painted]
    return _column([_row([_wide(one, 400) for one in painted]), _row(parts)])


def sizes(painter: Painter, at: Places) -> Image.Image:
    """One photo of 512, 1,024 and 2,048 pixels, painted alike; parts at 100%."""
    rows = []
    for longest in (512, 1024, 2048):
        photo = _photo(at.wallpapers, "aitzgorri", longest)
        looks = [Look(brush=size) for size in (1.0, 2.0, 4.0)]
        parts = [photo, *(painter.paint(photo, look=look) for look in looks)]
        rows.append(_row([_part(one, 0.62, 0.5, 440, 300) for one in parts]))
    return _column(rows)


def large(painter: Painter, at: Places) -> Image.Image:
    """A painting of 12 megapixels, whole and at 100%."""
    photo = _photo(at.wallpapers, "sunset", 4272)
    both = [photo, painter.paint(photo)]
    parts = [_part(one, 0.78, 0.7, 720, 540) for one in both]
    return _column([_row([_wide(one, 720) for one in both]), _row(parts)])


def doctors(painter: Painter, _at: Places) -> Image.Image:
    """Test pictures of the doctor, and what becomes of them: as it is, by faults, untrained."""
    torch.manual_seed(0)
    spec = ResNetSpec(channels=16, blocks=2)
    arrays = {name: value.numpy() for name, value in build(spec).state_dict().items()}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "untrained.safetensors"
        save(Weights(spec, arrays, {}), file)
        untrained = doctor.look(Painter.load(file)).paintings
    found, rows = doctor.look(painter), []
    for name in ("landscape", "chart", "gradient"):
        photo, painting = found.photos[name], found.paintings[name]
        faults = [255 - painting, photo, painting[..., ::-1], np.full_like(painting, 141)]
        shown = [photo, painting, *faults, untrained[name]]
        rows.append(_row([_wide(Image.fromarray(one), 160) for one in shown]))
    return _column(rows)


def painters(painter: Painter, at: Places) -> Image.Image:
    """What the sizes of a painter make of photos, the small one first."""
    parts = [("aitzgorri", 0.62, 0.5), ("sunset", 0.78, 0.7), ("life", 0.4, 0.5)]
    return _side_by_side([Painter.load("monet-small"), painter], at, parts)


def larger(painter: Painter, at: Places) -> Image.Image:
    """What the default painter makes of photos, and what the large one does."""
    parts = [("aitzgorri", 0.62, 0.5), ("life", 0.4, 0.5), ("picosdeeuropa", 0.5, 0.6)]
    return _side_by_side([painter, Painter.load("monet-large")], at, parts)


def london(painter: Painter, at: Places) -> Image.Image:
    """What the default painter makes of photos, and the same in the fog."""
    parts = [("picosdeeuropa", 0.5, 0.6), ("aitzgorri", 0.62, 0.5), ("sunset", 0.5, 0.4)]
    return _side_by_side([painter, Painter.load("london")], at, parts)


def way_back(_painter: Painter, at: Places) -> Image.Image:
    """Paintings by Monet, and the photographs that painter photo makes of them."""
    photo = Painter.load("photo")
    columns = []
    for path in sorted(at.paintings.glob("*.jpg"))[:60:10]:
        painting = Image.open(path).convert("RGB")
        columns.append(_column([painting, photo.paint(painting)]))
    return _row(columns)


PICTURES: dict[str, Callable[[Painter, Places], Image.Image]] = {
    "sheet": sheet,
    "brushes": brushes,
    "sizes": sizes,
    "large": large,
    "doctor": doctors,
    "painters": painters,
    "london": london,
    "monet-large": larger,
    "photo": way_back,
}


def _side_by_side(
    them: list[Painter], at: Places, parts: list[tuple[str, float, float]]
) -> Image.Image:
    """Parts of photos, by name and place, and of what painters make of them, at 100%."""
    rows = []
    for name, x, y in parts:
        photo = _photo(at.wallpapers, name, 1024)
        pictures = [photo, *(one.paint(photo) for one in them)]
        rows.append(_row([_part(one, x, y, 480, 300) for one in pictures]))
    return _column(rows)


def _photo(wallpapers: Path, name: str, longest: int) -> Image.Image:
    photo = Image.open(wallpapers / f"{name}_by_Aitzol_Berasategi.jpg").convert("RGB")
    photo.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return photo


def _wide(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _part(picture: Image.Image, x: float, y: float, width: int, height: int) -> Image.Image:
    """At 100%, as near to a place (0 to 1 of each side) as the edges let it."""
    left = min(max(0, round(x * picture.width - width / 2)), max(0, picture.width - width))
    top = min(max(0, round(y * picture.height - height / 2)), max(0, picture.height - height))
    right, bottom = min(left + width, picture.width), min(top + height, picture.height)
    return picture.crop((left, top, right, bottom))


def _row(pictures: list[Image.Image]) -> Image.Image:
    made = Image.new(
        "RGB",
        (sum(p.width + _GAP for p in pictures) - _GAP, max(p.height for p in pictures)),
        "white",
    )
    left = 0
    for picture in pictures:
        made.paste(picture, (left, 0))
        left += picture.width + _GAP
    return made


def _column(rows: list[Image.Image]) -> Image.Image:
    turned = [row.transpose(Image.Transpose.TRANSPOSE) for row in rows]
    return _row(turned).transpose(Image.Transpose.TRANSPOSE)


if __name__ == "__main__":
    main()
