"""What a page about a painter shows, as plain values for its template."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import images, metrics, press, swatches
from pleinair.anatomy import Layer
from pleinair.images import Pixels
from pleinair.opinions import Quartet
from pleinair.pulse import Measured, Norm, Pulse
from pleinair.settings import DOCTOR, EXPLAIN

_COLUMNS = 4  # of maps beside each other in a layer's one picture
_SMALL = 128  # pixels of a painting without a layer

Values = dict[str, Any]


# --- photo and painting -------------------------------------------------------------------------


def pictures(photo: Pixels, painting: Pixels) -> Values:
    """Photo, painting, and what changed in two parts: colours, and what is finer."""
    change = painting.astype(np.float32) - photo
    colour, strokes = swatches.parted(change, EXPLAIN.wide)
    return {
        "photo": press.uri(photo),
        "painting": press.uri(painting),
        "colour": press.uri(swatches.on_grey(colour)),
        "strokes": press.uri(swatches.on_grey(strokes)),
        "colour_levels": float(np.abs(colour).mean()),
        "stroke_levels": float(np.abs(strokes).mean()),
    }


# --- layers -------------------------------------------------------------------------------------


def layers(found: Pulse) -> list[Values]:
    """Every layer: words, figures, maps in one picture, norm, and the painting without it."""
    heard = [one.without for one in found.layers if one.without]
    most = max((level for one in heard for level in (one.colour, one.strokes)), default=0.0)
    highest = max(one.maps.shape[1] for one in found.layers)
    return [_layer(number, found.layers, most, highest) for number in range(len(found.layers))]


def _layer(number: int, every: list[Measured], most: float, highest: int) -> Values:
    seen = every[number]
    layer, maps = seen.layer, seen.maps
    chosen = seen.lively[: EXPLAIN.maps]
    columns = min(_COLUMNS, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    page = swatches.sprite(maps[chosen], EXPLAIN.map_side, columns)
    return {
        "number": number + 1,
        "name": layer.name,
        "words": layer.words(),
        "role": role(number, every),
        "before": ", ".join(layer.before),
        "takes": " and ".join(layer.takes),
        "joins": layer.joins,
        "shape": maps.shape,
        "parameters": layer.parameters,
        "mean": seen.mean,
        "spread": seen.spread,
        "zeros": seen.zeros,
        "dead": seen.dead,
        "asleep": seen.asleep,
        "signed": bool(maps.min() < 0),
        "sprite": press.uri(page, EXPLAIN.map_quality),
        "coarse": maps.shape[1] <= EXPLAIN.map_side // 2,
        "columns": columns,
        "rows": rows,
        "cells": [
            _cell(int(channel), place, maps, columns, rows) for place, channel in enumerate(chosen)
        ],
        "norm": _norm(seen.norm) if seen.norm else None,
        "without": _without(seen, most),
        "stair": round(100 * math.sqrt(maps.shape[1] / highest)),
    }


def _cell(channel: int, place: int, maps: NDArray[np.float32], columns: int, rows: int) -> Values:
    """Where a map lies in its layer's picture, in per cent as CSS counts positions."""
    row, column = divmod(place, columns)
    return {
        "channel": channel,
        "mean": float(maps[channel].mean()),
        "spread": float(maps[channel].std()),
        "x": round(100 * column / max(1, columns - 1), 3),
        "y": round(100 * row / max(1, rows - 1), 3),
    }


def _norm(norm: Norm) -> Values:
    """Means with their deviations as upright lines in an SVG of 320 by 90."""
    low = float((norm.means - norm.deviations).min())
    high = float((norm.means + norm.deviations).max())
    wide = (high - low) or 1.0
    step = 320 / len(norm.means)

    def place(value: float) -> float:
        return round(86 - 82 * (value - low) / wide, 1)

    lines = [
        (round((n + 0.5) * step, 1), place(mean - spread), place(mean + spread), place(mean))
        for n, (mean, spread) in enumerate(
            zip(norm.means.tolist(), norm.deviations.tolist(), strict=True)
        )
    ]
    return {
        "path": "".join(f"M{x} {a}V{b}" for x, a, b, _ in lines),
        "dots": "".join(f"M{x} {y}h0" for x, _, _, y in lines),
        "width": round(min(5.0, 0.7 * step), 2),
        "zero": place(0.0) if low <= 0 <= high else None,
        "low": low,
        "high": high,
        "means": (float(norm.means.min()), float(norm.means.max())),
        "deviations": (float(norm.deviations.min()), float(norm.deviations.max())),
    }


def _without(seen: Measured, most: float) -> Values | None:
    if seen.without is None:
        return None
    painting = seen.without.painting
    height = min(_SMALL, painting.shape[0])
    small = images.resize_to_height(painting, height)

    def share(levels: float) -> float:
        return round(100 * math.sqrt(levels / most), 1) if most > 0 else 0.0

    return {
        "painting": press.uri(small),
        "colour": seen.without.colour,
        "strokes": seen.without.strokes,
        "colour_share": share(seen.without.colour),
        "stroke_share": share(seen.without.strokes),
    }


def role(number: int, every: list[Measured]) -> str:
    """What a layer is there for, by where it stands; a sentence or two."""
    seen = every[number]
    layer, places = seen.layer, seen.maps.shape[1] * seen.maps.shape[2]
    if seen.asleep:
        return _asleep(places)
    last = number + 1 == len(every)
    if last and layer.takes == ["photo"]:
        return (
            "The photo itself, straight to the end, where the change is added to it: colours need "
            "not find a way through all that lies between. What is shown is the sum, the painting."
        )
    if last:
        return "The way out: red, green and blue of the painting."
    if layer.outputs == 3:
        return "A change in red, green and blue; what it is added to comes next."
    if layer.joins and layer.takes == ["photo"]:
        return "The photo's own edges and grain, at full size, put to what comes from below."
    if number == 0:
        return "The first look: edges, and where one colour meets another."
    return _way(layer, every[number + 1].layer)


def _asleep(places: int) -> str:
    if places == 1:
        return (
            "Dead: a single place is left at this size, and a norm over one place takes away all "
            "that it says, so that the same comes out of any photo: the norm's bias."
        )
    return "Dead: what it gives is the same of any photo, since what it takes is."


def _way(layer: Layer, after: Layer) -> str:
    if len(layer.takes) > 1:
        return (
            f"On the way up, with {layer.takes[-1]} beside it, which skipped the way down: where "
            "things lie comes from there, what they look like from below."
        )
    if layer.joins:
        return (
            f"What this block changes, shown alone; it is added to {layer.joins}. Strokes are made "
            "of such changes, one over the other."
            if "enlarged" not in layer.before
            else f"On the way up; added to {layer.joins}, which still knows where edges were."
        )
    if layer.transposed or "enlarged" in layer.before or "doubled and blurred" in layer.before:
        return "On the way up: larger again, with fewer channels."
    if layer.stride > 1 or any("squares" in one for one in layer.before):
        return "On the way down: smaller, with more channels, each for more of the scene."
    if after.joins and after.takes == [layer.name]:
        return "The first half of a block: looks for what is to be changed."
    return "Works on what the layer before it gave."


def notes(found: Pulse, photo: Pixels, networks: Quartet | None = None) -> list[str]:
    """What a student should see in the layers, one sentence each. photo: uint8 (H, W, 3)."""
    median = metrics.median_change(photo, found.painting)
    told: list[str] = []
    heard = [(one.layer.name, one.without) for one in found.layers if one.without]
    if median < DOCTOR.copy:
        # Without a layer such a painting is another, too, but that is no stroke or colour of it.
        told.append(_copied(median, networks))
    elif heard:
        name, without = max(heard, key=lambda pair: pair[1].colour)
        told.append(
            f"Colour goes through {name}: without it colours are {_levels(without.colour)} away."
        )
        # Of what hardly touches colours, what touches the rest most.
        name, without = max(heard, key=lambda pair: pair[1].strokes / (1 + pair[1].colour))
        told.append(
            f"Strokes come from layers such as {name}: without it what is finer than colour moves "
            f"by {_levels(without.strokes)}, colours by {_levels(without.colour)}."
        )
    asleep = [one.layer.name for one in found.layers if one.asleep]
    if asleep:
        told.append(
            f"{' and '.join(asleep)} {'gives' if len(asleep) == 1 else 'give'} the same of any "
            "photo: dead weight, marked below."
        )
    dead = sum(one.dead for one in found.layers if not one.asleep)
    every = sum(len(one.maps) for one in found.layers if not one.asleep)
    told.append(
        f"{dead:,} of {every:,} channels are the same everywhere in this photo."
        if dead
        else f"None of {every:,} channels is the same everywhere in this photo."
    )
    return told


def _copied(median: float, networks: Quartet | None) -> str:
    told = (
        f"The painting is nearly the photo: half of its values moved by {median:.0f} levels of "
        "255 or less. "
    )
    if networks is not None and networks.step <= networks.recipe.warmup_steps:
        return told + (
            f"This is step {networks.step:,}, and in the first {networks.recipe.warmup_steps:,} "
            "only the discriminators learn: the painter has not trained yet."
        )
    return told + "This painter has hardly trained, or has learned to copy."


def _levels(value: float) -> str:
    return f"{value:.1f} levels of 255"
