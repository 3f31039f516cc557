"""A painter's file looked into: what it is, what it does to test pictures, and what to do."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pleinair import (
    converting,
    files,
    foreign,
    hub,
    images,
    nameplate,
    resampling,
    trials,
)
from pleinair.config import AnySpec, size_multiple, working_bytes_per_pixel
from pleinair.errors import PainterError
from pleinair.foreign.ways import WORDS
from pleinair.images import Pixels
from pleinair.painter import Painter
from pleinair.runtime import Measuring
from pleinair.settings import DOCTOR, PAINT
from pleinair.strangers import Stranger
from pleinair.symptoms import Evidence, Finding, of_paintings, of_values

_TURNS = 3  # of painting to see how fast it is, the quickest of which counts
Told = Callable[[str, int, int], None]  # what is looked at, how many are done, of how many


@dataclass(frozen=True)
class Report:
    """What was found. facts: words and numbers, in the order to tell them."""

    facts: dict[str, str | int | float]
    findings: list[Finding]
    photos: dict[str, Pixels] = field(default_factory=dict, repr=False)
    paintings: dict[str, Pixels] = field(default_factory=dict, repr=False)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return sum(finding.level == "warning" for finding in self.findings)

    def sheet(self) -> Pixels:
        """Test pictures beside their paintings, a row each. Raises PainterError without any."""
        if not self.paintings:
            raise PainterError("this painter gives no pictures that could be shown; no sheet.")
        rows = [
            [
                images.captioned(self.photos[name], name),
                images.captioned(painting, "what became of it"),
            ]
            for name, painting in self.paintings.items()
        ]
        return images.sheet(rows, rows[0][0].shape[0])


def examine(
    name_or_path: str,
    network: str | None = None,
    told: Told = lambda _what, _done, _all: None,
    threads: int = 0,
) -> Report:
    """Look into a painter by name, a file or folder of any kind that paints, or a run.

    Raises PainterError for what does not paint, in a sentence that says what it is instead.
    """
    path = _place(name_or_path)
    data = converting.painter_bytes(path, network)
    painter = Painter.opened(data, str(path), threads)
    facts = _facts(path, data, painter)
    report = look(painter, told)
    return Report(facts | report.facts, report.findings, report.photos, report.paintings)


def look(painter: Painter, told: Told = lambda _what, _done, _all: None) -> Report:
    """What a painter does to test pictures, without a word about its file."""
    height, width = _sides(painter)
    photos = {name: made[:height, :width] for name, made in _pictures(max(height, width)).items()}
    count = len(photos) + 3
    bare = {}
    for number, name in enumerate(("landscape", "again", "gradient")):
        told(name, number, count)
        photo = photos["landscape" if name == "again" else name]
        bare[name] = painter.engine(images.to_batch(photo))
    values = of_values(bare, painter.spec)
    memory = working_bytes_per_pixel(painter.spec) * 1e6 / 2**20
    facts: dict[str, str | int | float] = {"MB a megapixel": round(memory)}
    if any(one.level == "warning" and one.name in ("values", "range", "dead") for one in values):
        if not np.isfinite(bare["landscape"]).all():
            return Report(facts, values)
        shown = {name: images.from_batch(bare[name])[0] for name in ("landscape", "gradient")}
        return Report(facts, values, photos, shown)
    paintings = {}
    for number, (name, photo) in enumerate(photos.items(), 2):
        told(name, number, count)
        paintings[name] = painter.paint(photo)
    told("a larger landscape", count - 1, count)
    scene = trials.landscape(2 * max(height, width))
    seconds, larger = _timed(painter, scene)
    facts = _speed(painter, scene, seconds) | facts
    told("all", count, count)
    one_size = isinstance(painter.spec, AnySpec) and painter.spec.height
    seen = Evidence(bare, photos, paintings, None if one_size else larger, painter.spec)
    return Report(facts, [*values, *of_paintings(seen)], photos, paintings)


def _pictures(side: int) -> dict[str, Pixels]:
    return {
        "landscape": trials.landscape(side),
        "chart": trials.chart(side),
        "gradient": trials.gradient(side),
        "gradient down": trials.gradient(side, down=True),
        "flat": trials.flat(side),
        "edge": trials.edge(side),
        "noise": trials.noise(side),
    }


def _sides(painter: Painter) -> tuple[int, int]:
    spec = painter.spec
    if isinstance(spec, AnySpec) and spec.height and spec.width:
        return spec.height, spec.width
    multiple = size_multiple(spec)
    side = max(1, DOCTOR.side // multiple) * multiple
    return side, side


# --- the file ---------------------------------------------------------------------------------


def _place(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if not hub.knows(name_or_path) and path.exists():
        run = path / "painter.onnx"
        if run.is_file():
            return run
        if path.is_file():
            return path
    return hub.find(name_or_path)


def _facts(path: Path, data: bytes, painter: Painter) -> dict[str, str | int | float]:
    told = nameplate.metadata(data)
    card, spec = painter.card, nameplate.part(told, "spec")
    title, about, licence = painter.words(path.stem)
    converted = foreign.reader_of(path) is not None
    facts: dict[str, str | int | float] = {
        "file": str(path),
        "bytes": _bytes(path),
        "kind": _format(path, card) if converted else _kind(told, card),
        "title": title,
        "about": about,
        "licence": licence or "not stated",
        "network": ", ".join(f"{key} {value}" for key, value in spec.items()) or _shape(painter),
        "parameters": nameplate.parameters(data),
        "learned from": str(card.get("data") or "not stated") if card else "",
        "way": WORDS[card["way"]] if card.get("way") in WORDS else "",
        "modes": (
            "two: statistics can be given, so that photos of any size are painted in tiles"
            if isinstance(painter.engine, Measuring)
            else "one: all beyond the memory or the network's size is painted in parts or shrunk"
        ),
        "imported as": f"values of {card['values']}" if card.get("values") else "",
        "pixels": told.get("pixels") or _contract(painter),
        "SHA-256": files.sha256_of(path) if path.is_file() else hashlib.sha256(data).hexdigest(),
    }
    return {key: value for key, value in facts.items() if value != ""}


def _kind(told: dict[str, str], card: dict[str, Any]) -> str:
    if "spec" in told:
        made = card.get("url") or card.get("origin")
        return f"a painter of pleinair's{f', made of {made}' if made else ''}"
    if card.get("format") == "ONNX":
        return f"an ONNX file of another program, imported from {card.get('origin', 'it')}"
    return "an ONNX file that another program exported"


def _format(path: Path, card: dict[str, Any]) -> str:
    return f"weights of {card['format']}" if card.get("format") else f"weights in {path.suffix}"


def _shape(painter: Painter) -> str:
    spec = painter.spec
    if isinstance(spec, AnySpec) and spec.height:
        return f"not known; takes {spec.width}x{spec.height}"
    return "not known; takes any size"


def _contract(painter: Painter) -> str:
    if isinstance(painter.engine, Stranger):
        contract = painter.engine.contract
        return f"takes {contract.takes} and gives {contract.gives}, as trying it found"
    return ""


def _bytes(path: Path) -> int:
    inside = [path] if path.is_file() else path.rglob("*")
    return sum(one.stat().st_size for one in inside if one.is_file())


# --- how long it takes ------------------------------------------------------------------------


def _timed(painter: Painter, photo: Pixels) -> tuple[float, Pixels]:
    """Seconds that a painting takes, with its layers and squares, and the painting."""
    began = time.perf_counter()
    painting = painter.paint(photo)
    return time.perf_counter() - began, painting


def _speed(painter: Painter, scene: Pixels, seconds: float) -> dict[str, str | int | float]:
    """What a megapixel takes here. seconds: of a painting of `scene`, which prepared the painter.

    A quick painter is painted with by turns with monet, so that both meet the same weather.
    """
    monet = Painter.load(PAINT.painter)
    itself = painter.digest == monet.digest
    per_pixel = seconds / (scene.shape[0] * scene.shape[1])
    turns = 1
    if per_pixel * DOCTOR.speed_side**2 <= DOCTOR.speed_seconds:
        scene = resampling.resized(scene, DOCTOR.speed_side, DOCTOR.speed_side)
        per_pixel, turns = math.inf, _TURNS
    pixels, ours = scene.shape[0] * scene.shape[1], math.inf
    if not itself:
        _timed(monet, scene)  # which prepares
    began = time.perf_counter()
    for _ in range(turns):
        if turns > 1:
            per_pixel = min(per_pixel, _timed(painter, scene)[0] / pixels)
        if not itself:
            ours = min(ours, _timed(monet, scene)[0] / pixels)
        if time.perf_counter() - began > DOCTOR.speed_seconds:
            break
    found: dict[str, str | int | float] = {"ms a megapixel": round(per_pixel * 1e9)}
    if not itself:
        found["times monet"] = float(f"{per_pixel / ours:.2g}")
    return found
