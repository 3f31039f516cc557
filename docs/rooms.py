"""The layers of rooms as a drawing, from the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).parents[1] / "pyproject.toml"
PACKAGE = "pleinair."

# Libraries that are drawn: those that a reader asks for; the colour of a room that may import it.
FENCES = {
    "torch": ("PyTorch", "#c2542d"),
    "onnxruntime": ("ONNX Runtime", "#2f5d8a"),
    "onnx": ("onnx", "#7aa5cf"),
    "PIL": ("Pillow", "#4d8a4a"),
    "pyvips": ("libvips", "#9bbf5e"),
    "av": ("PyAV", "#8a5a9e"),
    "fastapi": ("the web", "#b58a1f"),
    "huggingface_hub": ("huggingface_hub", "#666666"),
    "cyclopts": ("cyclopts", "#222222"),
}

WIDTH, LEFT, ROW, BOX, GAP, LETTER = 760, 16, 34, 24, 8, 7.2
EDGE = 'fill="#ffffff" stroke="#9a9182"'
LETTERS = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12" fill="#26221c"'


def layers(contracts: list[dict[str, Any]]) -> list[list[str]]:
    """Rooms from the top down; those of one layer do not know each other."""
    found = next(one for one in contracts if one["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in found["layers"]]


def libraries(contracts: list[dict[str, Any]]) -> dict[str, list[str]]:
    """By a room, the drawn libraries that it may import, itself or in a room of its own."""
    known: dict[str, list[str]] = {}
    for contract in contracts:
        for library in set(FENCES) & set(contract.get("protected_modules", ())):
            for importer in contract["allowed_importers"]:
                room = ".".join(importer.split(".")[:2])
                known.setdefault(room, [])
                if library not in known[room]:
                    known[room].append(library)
    return {room: sorted(names, key=list(FENCES).index) for room, names in known.items()}


def width(room: str, marks: int) -> float:
    """Pixels of a room's box: its name, and a dot for each library."""
    return len(room.removeprefix(PACKAGE)) * LETTER + 20 + 12 * marks


def drawn(room: str, x: float, y: float, marks: list[str]) -> list[str]:
    """One room, with what it may know."""
    name = escape(room.removeprefix(PACKAGE))
    full = width(room, len(marks))
    titles = ", ".join(FENCES[mark][0] for mark in marks)
    parts = [
        "<g>" + (f"<title>{name} may import {titles}</title>" if marks else ""),
        f'<rect x="{x:.0f}" y="{y}" width="{full:.0f}" height="{BOX}" rx="4" {EDGE}/>',
        f'<text x="{x + 10:.0f}" y="{y + 16}">{name}</text>',
    ]
    for number, mark in enumerate(marks):
        at = x + full - 10 - 12 * (len(marks) - 1 - number)
        parts.append(f'<circle cx="{at:.0f}" cy="{y + 12}" r="4" fill="{FENCES[mark][1]}"/>')
    return [*parts, "</g>"]


def legend() -> list[str]:
    """What the dots mean, in one line."""
    parts, x = [], float(LEFT)
    for label, colour in FENCES.values():
        parts.append(f'<circle cx="{x + 4:.0f}" cy="44" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 12:.0f}" y="48" font-size="11">{escape(label)}</text>')
        x += len(label) * 0.92 * LETTER + 25
    return parts


def rows(rooms: list[str], known: dict[str, list[str]]) -> list[list[str]]:
    """The rooms of a layer in as many lines as they need."""
    lines: list[list[str]] = [[]]
    x = float(LEFT)
    for room in rooms:
        step = width(room, len(known.get(room, ()))) + GAP
        if x + step > WIDTH - LEFT and lines[-1]:
            lines.append([])
            x = LEFT
        lines[-1].append(room)
        x += step
    return lines


def drawing() -> str:
    """All of it, as SVG on paper of its own, so that it can be read by day and by night."""
    with CONTRACTS.open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    known = libraries(contracts)
    parts: list[str] = []
    y = 64
    for number, rooms in enumerate(layers(contracts)):
        lines = rows(rooms, known)
        height = ROW * len(lines)
        if number % 2 == 0:
            parts.append(f'<rect x="0" y="{y}" width="{WIDTH}" height="{height}" fill="#efe9dc"/>')
        for line in lines:
            x = float(LEFT)
            for room in line:
                marks = known.get(room, [])
                parts += drawn(room, x, y + (ROW - BOX) // 2, marks)
                x += width(room, len(marks)) + GAP
            y += ROW
    size = f'width="{WIDTH}" height="{y + 8}"'
    words = "A room may import rooms of the layers below its own. A dot: it may import the library."
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" {size} {LETTERS}>',
        "<title>Rooms of pleinair, in layers: each may import rooms below it</title>",
        f'<rect {size} fill="#f8f5ee"/>',
        f'<text x="{LEFT}" y="24" font-weight="bold">{words}</text>',
    ]
    return "\n".join([*head, *legend(), *parts, "</svg>", ""])
