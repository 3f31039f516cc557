"""Figures of the notebook: diagrams, rows of pictures, and how they are shown."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from cycler import cycler
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

PHOTO, PAINTING = "#2f6690", "#c8553d"
INK, PALE, GREEN = "#2b2b33", "#e9e6df", "#4c8055"
DPI = 100  # 9 inches are as wide as a notebook's page

plt.rcParams.update(
    {
        "figure.dpi": DPI,
        "figure.facecolor": "white",
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "text.color": INK,
        "axes.prop_cycle": cycler(color=[PAINTING, PHOTO, GREEN, "#8a6fa8", "#b08d3c"]),
    }
)


def show(figure: Figure, alt: str, *, jpeg: bool = False) -> None:
    """Put a figure under its cell, with words for those who cannot see it; JPEG suits pictures."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    shown = PIL.Image.open(file).convert("RGB")
    packed = io.BytesIO()
    if jpeg:
        shown.save(packed, "jpeg", quality=82)
    else:  # a diagram has few colours
        shown.quantize(128, dither=PIL.Image.Dither.NONE).save(packed, "png", optimize=True)
    kind = "jpeg" if jpeg else "png"
    display(Image(data=packed.getvalue(), format=kind, alt=alt))  # type: ignore[no-untyped-call]


def free_folder(place: Path) -> Path:
    """The first of place/1, place/2, ... that is not there yet, so that no run is overwritten."""
    number = 1
    while (place / str(number)).exists():
        number += 1
    return place / str(number)


# --- pictures -------------------------------------------------------------------------------


def picture_rows(
    rows: Sequence[Sequence[NDArray[Any]]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
    width: float = 9.0,
    cmap: str = "gray",
) -> Figure:
    """Rows of as many pictures each: (H, W, 3) uint8, or (H, W) in shades. titles stand on top."""
    gap, above, left = 0.06, 0.26 if titles else 0.0, 0.25 if labels else 0.0  # inches
    ratios = [picture.shape[1] / picture.shape[0] for picture in rows[0]]
    tall = (width - left - gap * (len(ratios) - 1)) / sum(ratios)
    height = above + len(rows) * tall + (len(rows) - 1) * gap
    figure = plt.figure(figsize=(width, height))
    for i, row in enumerate(rows):
        bottom = height - above - (i + 1) * tall - i * gap
        start = left
        for j, (picture, ratio) in enumerate(zip(row, ratios, strict=True)):
            place = (start / width, bottom / height, tall * ratio / width, tall / height)
            axis = bare(figure.add_axes(place))
            smooth = "antialiased" if picture.ndim == 3 else "nearest"  # maps show their pixels
            axis.imshow(picture, cmap=cmap, aspect="auto", interpolation=smooth)
            if i == 0 and titles:
                axis.set_title(titles[j])
            if j == 0 and labels:
                axis.set_ylabel(labels[i])
            start += tall * ratio + gap
    return figure


def columns_of(sheet: Pixels, count: int) -> list[Pixels]:
    """A run's sheet cut between its `count` columns; their widths may differ by a pixel."""
    edges = np.linspace(0, sheet.shape[1], count + 1).round().astype(int)
    return [sheet[:, start:end] for start, end in itertools.pairwise(edges)]


def bare(axis: Axes) -> Axes:
    """Without frame and ticks."""
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    return axis


def maps_of(features: NDArray[np.floating[Any]], count: int) -> list[NDArray[Any]]:
    """The `count` channels of (C, h, w) that vary most, each stretched to its own range."""
    spread = features.reshape(len(features), -1).std(axis=1)
    chosen = np.sort(np.argsort(-spread)[:count])
    found = []
    for one in features[chosen]:
        low, high = np.percentile(one, [1, 99])
        found.append(np.clip((one - low) / max(high - low, 1e-9), 0, 1))
    return found


# --- diagrams -------------------------------------------------------------------------------


def _canvas(width: float, height: float, figsize: tuple[float, float]) -> tuple[Figure, Axes]:
    figure, axis = plt.subplots(figsize=figsize)
    figure.subplots_adjust(0, 0, 1, 1)
    axis.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axis.axis("off")
    return figure, axis


def _box(
    axis: Axes, x: float, y: float, text: str, color: str, size: tuple[float, float] = (1.7, 0.8)
) -> None:
    wide, tall = size
    axis.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - tall / 2),
            wide,
            tall,
            boxstyle="round,pad=0.02,rounding_size=0.15",
            facecolor=color,
            edgecolor="none",
        )
    )
    light = color != PALE
    axis.text(x, y, text, ha="center", va="center", color="white" if light else INK)


def _arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str = INK,
    bend: float = 0.0,
    style: str = "-|>",
) -> None:
    axis.annotate(
        "",
        end,
        start,
        arrowprops={
            "arrowstyle": style,
            "color": color,
            "lw": 1.6,
            "shrinkA": 0,
            "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bend}",
        },
    )


def gan() -> Figure:
    """Noise to fakes, data to reals, and the judge of both."""
    figure, axis = _canvas(12, 3.6, (9, 2.7))
    _box(axis, 1.1, 0.9, "noise $z$", PALE)
    _box(axis, 3.9, 0.9, "generator $G$", PAINTING, (2.1, 0.8))
    _box(axis, 6.7, 0.9, "fake $G(z)$", PALE)
    _box(axis, 6.7, 2.7, "real $x$", PALE)
    _box(axis, 3.9, 2.7, "data", PALE)
    _box(axis, 9.3, 1.8, "discrimi-\nnator $D$", PHOTO, (1.9, 1.2))
    _arrow(axis, (1.97, 0.9), (2.83, 0.9))
    _arrow(axis, (4.97, 0.9), (5.83, 0.9))
    _arrow(axis, (4.77, 2.7), (5.83, 2.7))
    _arrow(axis, (7.57, 0.9), (8.33, 1.5))
    _arrow(axis, (7.57, 2.7), (8.33, 2.1))
    _arrow(axis, (10.27, 1.8), (10.85, 1.8))
    axis.text(10.95, 1.8, "real or\nfake?", va="center")
    _arrow(axis, (9.3, 1.15), (4.1, 0.45), PAINTING, -0.22)
    axis.text(6.9, 0.02, "gradient: how to deceive better", ha="center", color=PAINTING)
    return figure


def cycle() -> Figure:
    """The two mappings with their judges, and the two consistencies, after Zhu et al., figure 3."""
    figure, axis = _canvas(18, 5.4, (10.8, 3.24))
    _domains(axis, 3.0, "two mappings")
    _arrow(axis, (1.75, 3.45), (4.25, 3.45), PAINTING, -0.35)
    _arrow(axis, (4.25, 2.55), (1.75, 2.55), PHOTO, -0.35)
    axis.text(3.0, 4.05, "$G$", ha="center", color=PAINTING, fontsize=13)
    axis.text(3.0, 1.62, "$F$", ha="center", color=PHOTO, fontsize=13)
    for x, name, color in ((1.2, "$D_{photo}$", PHOTO), (4.8, "$D_{painting}$", PAINTING)):
        _box(axis, x, 0.7, name, color, (1.9, 0.65))
        _arrow(axis, (x, 1.75), (x, 1.08), color)
    _consistency(axis, 9.0, "forward: $F(G(x)) \\approx x$", forward=True)
    _consistency(axis, 15.0, "backward: $G(F(y)) \\approx y$", forward=False)
    return figure


def _domains(axis: Axes, middle: float, title: str) -> None:
    axis.text(middle, 5.1, title, ha="center", fontsize=11, weight="bold")
    for x, name, color in (
        (middle - 1.8, "photos", PHOTO),
        (middle + 1.8, "paintings", PAINTING),
    ):
        axis.add_patch(Circle((x, 3.0), 1.15, facecolor=color, alpha=0.16, edgecolor="none"))
        axis.text(x, 4.3, name, ha="center", color=color)


def _consistency(axis: Axes, middle: float, title: str, *, forward: bool) -> None:
    _domains(axis, middle, title)
    side = -1.0 if forward else 1.0
    home, away = (PHOTO, PAINTING) if forward else (PAINTING, PHOTO)
    there, back = (PAINTING, PHOTO) if forward else (PHOTO, PAINTING)
    start, again = (middle + side * 1.8, 3.45), (middle + side * 1.8, 2.5)
    other = (middle - side * 1.8, 3.0)
    _arrow(axis, (start[0] - side * 0.2, 3.5), (other[0] + side * 0.2, 3.1), there, side * 0.25)
    _arrow(axis, (other[0] + side * 0.2, 2.9), (again[0] - side * 0.2, 2.45), back, side * 0.25)
    names = ("$G$", "$F$") if forward else ("$F$", "$G$")
    axis.text(middle, 3.75, names[0], ha="center", color=there, fontsize=13)
    axis.text(middle, 2.0, names[1], ha="center", color=back, fontsize=13)
    letter, image = ("x", "G(x)") if forward else ("y", "F(y)")
    for point, color, text, above in (
        (start, home, f"${letter}$", True),
        (again, home, f"$\\hat {letter}$", False),
        (other, away, f"${image}$", False),
    ):
        axis.add_patch(Circle(point, 0.12, color=color))
        shift = 0.3 if above else -0.36
        axis.text(point[0], point[1] + shift, text, ha="center", va="center")
    axis.plot([start[0], again[0]], [start[1] - 0.2, again[1] + 0.2], ":", color=INK, lw=1.8)
    axis.text(
        middle, 0.7, "what comes back must be\nwhat was given", ha="center", va="center", color=INK
    )


def u_net(down: Sequence[tuple[int, int]], up: Sequence[tuple[int, int]]) -> Figure:
    """Blocks as (channels, side): on the way down, then on the way up; skips drawn across."""
    figure, axis = plt.subplots(figsize=(10.5, 4.6))
    figure.subplots_adjust(0, 0, 1, 1)
    everything = [("down", *one) for one in down] + [("up", *one) for one in up]
    places: list[tuple[float, float]] = []
    for index, (way, channels, side) in enumerate(everything):
        tall, wide = 0.22 + 0.34 * float(np.log2(side)), 0.16 + channels / 900
        color = PHOTO if way == "down" else PAINTING
        axis.add_patch(
            FancyBboxPatch(
                (index - wide / 2, -tall / 2),
                wide,
                tall,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=color,
                edgecolor="none",
            )
        )
        places.append((index, tall / 2))
        axis.text(index, -tall / 2 - 0.12, f"{channels}", ha="center", va="top", fontsize=9)
        axis.text(
            index, -tall / 2 - 0.42, f"{side}²", ha="center", va="top", fontsize=9, color="gray"
        )
    for level in range(len(down) - 1):
        (x, top), (end, _) = places[level], places[2 * len(down) - 2 - level]
        high = 1.75 + 0.2 * (len(down) - level)
        axis.plot([x, x, end, end], [top + 0.06, high, high, top + 0.2], color="gray", lw=1)
        axis.annotate("", (end, top + 0.04), (end, top + 0.3), arrowprops={"arrowstyle": "-|>"})
    axis.text(3.2, -2.45, "down: convolution 4×4, stride 2", ha="center", color=PHOTO)
    axis.text(11.8, -2.45, "up: transposed convolution 4×4, stride 2", ha="center", color=PAINTING)
    axis.text(7, 3.5, "skips: what the way down saw is laid beside", ha="center", color="gray")
    axis.text(-0.75, 0, "photo", ha="right", va="center", weight="bold")
    axis.text(len(everything) - 0.3, 0, "painting", ha="left", va="center", weight="bold")
    axis.set(xlim=(-1.9, len(everything) + 1.3), ylim=(-2.7, 3.8))
    axis.axis("off")
    return figure


def patch_gan(maps: Sequence[tuple[int, int]]) -> Figure:
    """A PatchGAN's maps as (channels, side), from the picture to the logits."""
    figure, axis = plt.subplots(figsize=(9, 2.9))
    figure.subplots_adjust(0, 0, 1, 1)
    x, right = 0.0, 0.0
    for index, (channels, side) in enumerate(maps):
        tall, wide = 0.3 + 2.2 * side / 256, 0.12 + channels / 480
        if index:
            stride = 2 if maps[index - 1][1] > side + 1 else 1
            _arrow(axis, (right + 0.1, 0), (x - 0.1, 0))
            text = f"4×4\nstride {stride}"
            axis.text((right + x) / 2, 0.16, text, ha="center", va="bottom", fontsize=8)
        color = GREEN if index == len(maps) - 1 else PHOTO
        axis.add_patch(Rectangle((x, -tall / 2), wide, tall, facecolor=color))
        axis.text(x + wide / 2, -tall / 2 - 0.08, f"{channels}", ha="center", va="top", fontsize=9)
        axis.text(
            x + wide / 2,
            -tall / 2 - 0.34,
            f"{side}²",
            ha="center",
            va="top",
            fontsize=9,
            color="gray",
        )
        right, x = x + wide, x + wide + 1.05
    axis.text(right + 0.2, 0, "a logit for\neach patch", va="center", color=GREEN)
    axis.set(xlim=(-0.2, right + 1.9), ylim=(-1.9, 1.5))
    axis.axis("off")
    return figure


def kernel_overlap(axis: Axes, kernel: int, stride: int, inputs: int = 6) -> None:
    """How many inputs paint each output of a transposed convolution, in one dimension."""
    outputs = (inputs - 1) * stride + kernel
    counts = np.zeros(outputs, int)
    for place in range(inputs):
        reach = slice(place * stride, place * stride + kernel)
        counts[reach] += 1
        middle = place * stride + (kernel - 1) / 2
        axis.add_patch(
            Polygon(
                [(middle, 3.4), (reach.start - 0.4, 1.3), (reach.stop - 0.6, 1.3)],
                facecolor=PHOTO,
                alpha=0.25,
            )
        )
        axis.add_patch(Circle((middle, 3.5), 0.25, color=PHOTO))
    for place, count in enumerate(counts):
        shade = plt.get_cmap("YlOrBr")(0.15 + 0.3 * count)
        axis.add_patch(Rectangle((place - 0.45, 0.3), 0.9, 0.9, color=shade))
        axis.text(place, 0.75, str(count), ha="center", va="center")
    axis.set(xlim=(-1, outputs), ylim=(0, 4), aspect="equal")
    axis.set_title(f"kernel {kernel}, stride {stride}")
    axis.axis("off")
