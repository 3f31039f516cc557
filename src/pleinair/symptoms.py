"""What is wrong with a painter, by what it did to test pictures. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pleinair import metrics
from pleinair.config import AnySpec, PainterSpec, ResNetSpec, UNetSpec
from pleinair.images import Pixels
from pleinair.settings import DOCTOR

Level = Literal["ok", "note", "warning"]
Array = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. why and advice are empty where all is well."""

    name: str
    level: Level
    found: str  # one sentence with the figure
    why: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a painter made of test pictures.

    bare: what the network itself gave of the landscape, twice, and of the gradient: float32
    (1, 3, H, W), as it came. photos, paintings: by name, uint8 (H, W, 3). larger: the painting of
    the landscape at twice its size; None where the network takes one size only. spec: what is known
    of the network, so that no more is said of it.
    """

    bare: dict[str, Array]
    photos: dict[str, Pixels]
    paintings: dict[str, Pixels]
    larger: Pixels | None
    spec: PainterSpec


def of_values(bare: dict[str, Array], spec: PainterSpec) -> list[Finding]:
    """What must be right before anything else can be looked at: the numbers themselves."""
    given = np.concatenate([values.ravel() for values in bare.values()]).astype(np.float64)
    bad = float(np.mean(~np.isfinite(given)))
    if bad:
        return [
            Finding(
                "values",
                "warning",
                f"{bad:.0%} of the values are no numbers (NaN or infinite).",
                "the weights are damaged, training broke down, or float16 was too narrow.",
                "get a whole copy; train again at a lower rate; export as float32.",
            )
        ]
    numbers = Finding("values", "ok", "all values are numbers.")
    alive = _alive(bare["landscape"], isinstance(spec, AnySpec))
    return [numbers, _range(given), alive, _repeated(bare)]


def of_paintings(evidence: Evidence) -> list[Finding]:
    """All that is seen in paintings."""
    return [check(evidence) for check in _CHECKS]


# --- the numbers ------------------------------------------------------------------------------


def _range(given: Array) -> Finding:
    low, high = float(given.min()), float(given.max())
    found = f"values lie in {low:.2f} to {high:.2f}, of -1 to 1 that are expected"
    outside = float(np.mean(np.abs(given) > 1 + DOCTOR.beyond))
    if high > DOCTOR.hundreds:
        return Finding(
            "range",
            "warning",
            f"{found}.",
            "the network counts in levels of 0 to 255.",
            "import it with --values 0..255.",
        )
    if outside > DOCTOR.share_beyond:
        return Finding(
            "range",
            "warning",
            f"{found}; {outside:.0%} are beyond, and are cut off.",
            "the last layer has no tanh, or the network was trained on another range.",
            "import it with --values 0..1 or 0..255, or export it with its last activation.",
        )
    if low > -DOCTOR.beyond and high - low > 0.2:
        return Finding(
            "range",
            "warning",
            f"{found}: the dark half is missing.",
            "the network gives 0 to 1, as one with a sigmoid at its end does.",
            "import it with --values 0..1.",
        )
    if (high - low) * 127.5 < DOCTOR.dead:
        return Finding(
            "range",
            "note",
            f"{found}: it is hardly more than one value.",
            "every pixel is answered alike, or all that is given is cut off at an end.",
            "see what is said of a dead painter.",
        )
    return Finding("range", "ok", f"{found}.")


_VALUES = (
    "it may take or give other values than it is taken to, which are cut off; or is not trained.",
    "import the original file again with --values 0..255, 0..1 or -1..1, whichever paints.",
)
_DEAD = (
    "the network is not trained, its values saturate, or its weights did not fit.",
    "look at the run's samples and go back to a checkpoint that painted; or import again.",
)


def _alive(landscape: Array, unknown: bool) -> Finding:
    """unknown: whether which values the network takes was found by trying, or told."""
    deviation = float(landscape.std(axis=(2, 3)).max()) * 127.5
    found = f"the painting of a landscape varies by {deviation:.1f} levels"
    if deviation < DOCTOR.dead:
        return Finding(
            "dead",
            "warning",
            f"{found}: it is one flat colour.",
            *(_VALUES if unknown else _DEAD),
        )
    return Finding("dead", "ok", f"{found}.")


def _repeated(bare: dict[str, Array]) -> Finding:
    difference = float(np.abs(bare["landscape"] - bare["again"]).max())
    found = f"two paintings of one photo differ by at most {difference:.2g}"
    if difference > DOCTOR.repeat:
        return Finding(
            "repeat",
            "warning",
            f"{found}.",
            "dropout may be on, or noise is added: the network was saved as it trains.",
            "export it in evaluation mode (network.eval()), or import its weights instead.",
        )
    return Finding("repeat", "ok", f"{found}.")


# --- what is seen -----------------------------------------------------------------------------


_SAME = (
    "training may have collapsed: the generator found one picture that passes.",
    "go back to an earlier checkpoint; train with a higher cycle or PatchNCE weight.",
)


def _same(seen: Evidence) -> Finding:
    photos = _difference(seen.photos["landscape"], seen.photos["chart"])
    ratio = _difference(seen.paintings["landscape"], seen.paintings["chart"]) / photos
    found = f"paintings of two photos differ {ratio:.2f} times as much as the photos"
    if ratio < DOCTOR.same:
        return Finding(
            "same",
            "warning",
            f"{found}: every photo gets about the same painting.",
            *(_VALUES if isinstance(seen.spec, AnySpec) else _SAME),
        )
    return Finding("same", "ok", f"{found}.")


def _inverted(seen: Evidence) -> Finding:
    figures = {
        name: metrics.luma_correlation(seen.photos[name], seen.paintings[name])
        for name in ("landscape", "gradient")
    }
    found = "light and dark correlate with the photo's by " + " and ".join(
        f"{value:.2f} ({name})" for name, value in figures.items()
    )
    if min(figures.values()) < DOCTOR.inverted:
        return Finding(
            "inversion",
            "warning",
            f"{found}: they are exchanged.",
            "with a cycle loss alone a negative is as good: the way back turns it again.",
            "train longer, with identity weight, or begin again with another seed.",
        )
    if figures["landscape"] < DOCTOR.little_left:
        return Finding(
            "inversion",
            "note",
            f"{found}: little of the photo is left.",
            "the painter is free with its photo, as one of maps and labels is, or not trained yet.",
            "if it should not be, train longer or with a higher cycle weight.",
        )
    return Finding("inversion", "ok", f"{found}.")


def _copied(seen: Evidence) -> Finding:
    change = metrics.median_change(seen.photos["landscape"], seen.paintings["landscape"])
    found = f"half of a landscape's values change by {change:.0f} levels or less"
    if change < DOCTOR.near_copy:
        copied = change < DOCTOR.copy
        return Finding(
            "copying",
            "warning" if copied else "note",
            f"{found}: the photo is {'copied' if copied else 'nearly copied'}.",
            "it is hardly trained (recipe light begins as a copy), or held back by the identity "
            "loss, or the generator of the other way, from paintings to photos.",
            "train longer, with less identity weight; of a pair from elsewhere import the other.",
        )
    return Finding("copying", "ok", f"{found}.")


def _lattice(seen: Evidence) -> Finding:
    painting = seen.paintings["landscape"]
    large = min(painting.shape[:2]) >= 64
    ratios = {2: 1.0, 4: 1.0}
    if large:
        ratios = {period: metrics.lattice_ratio(painting, period) for period in (2, 4)}
    levels = max(metrics.lattice_levels(seen.paintings[name]) for name in ("gradient", "flat"))
    found = (
        f"patterns of 2 and 4 pixels stand out {ratios[2]:.1f} and {ratios[4]:.1f} times in a "
        f"landscape, and have {levels:.1f} levels in smooth grey"
    )
    strong = ratios[2] > DOCTOR.lattice_2 or ratios[4] > DOCTOR.lattice_4
    if strong or levels > DOCTOR.lattice_levels:
        return Finding(
            "lattice",
            "warning",
            f"{found}: a checkerboard.",
            f"{_lattice_cause(seen.spec)}, and training has not evened it out yet.",
            "train longer; with recipe light, which has a ripple_weight against it.",
        )
    return Finding("lattice", "ok", f"{found}.")


def _lattice_cause(spec: PainterSpec) -> str:
    match spec:
        case UNetSpec() | ResNetSpec(blur_up=False):
            return "transposed convolutions overlap unevenly"
        case AnySpec():
            return "the way it enlarges may leave one, as transposed convolutions often do"
        case _:
            return "the layers that enlarge leave one, though they do not overlap unevenly"


def _colours(seen: Evidence) -> Finding:
    photo, painting = (_fields(pictures["chart"]) for pictures in (seen.photos, seen.paintings))
    alike = np.corrcoef(photo.T, painting.T)[:3, 3:]
    alike = np.nan_to_num(alike)
    straight, crossed = alike[0, 0] + alike[2, 2], alike[0, 2] + alike[2, 0]
    hues, kept = (_chroma(fields) for fields in (photo, painting))
    left = float((hues * kept).sum() / (hues**2).sum())
    # Of a negative green has turned, too; and red may look like blue there, each being less.
    if alike[1, 1] > 0 and min(crossed, crossed - straight) / 2 > DOCTOR.swapped:
        return Finding(
            "colours",
            "warning",
            f"red is as the photo's blue (correlation {crossed / 2:.2f}), not as its red "
            f"({straight / 2:.2f}).",
            "red and blue are exchanged: the network was trained on BGR, as OpenCV reads pictures.",
            "export it with its channels the other way round, in and out.",
        )
    if left < -DOCTOR.colourless:
        found = f"hues are turned round ({round(100 * left)}% of a chart's colour)."
        advice = "see what is said of inversion."
        return Finding("colours", "note", found, "a negative turns them, too.", advice)
    found = f"{max(0, round(100 * left))}% of a chart's colour is left"
    if left < DOCTOR.colourless:
        return Finding(
            "colours",
            "note",
            f"{found}: all hues become one tint, or grey.",
            "the paintings that it learned from have few colours, or it is not trained yet.",
            "look at the sheet; train longer, or with identity weight, which keeps colours.",
        )
    return Finding("colours", "ok", f"{found}.")


def _frame(seen: Evidence) -> Finding:
    gray = metrics.luma(seen.paintings["flat"])
    edge = DOCTOR.frame_pixels
    quarter = gray.shape[0] // 4
    middle = float(np.median(gray[quarter:-quarter, quarter:-quarter]))
    sides = [gray[:edge], gray[-edge:], gray[:, :edge], gray[:, -edge:]]
    worst = max((float(side.mean()) - middle for side in sides), key=abs)
    found = f"the outer {edge} pixels of flat grey are {abs(worst):.1f} levels "
    found += "darker" if worst < 0 else "lighter"
    if abs(worst) > DOCTOR.frame:
        return Finding(
            "frame",
            "note",
            f"{found} than its middle.",
            "layers that pad with zeros, as most networks have, may take a photo's end for grey.",
            "it is often faint in photos with detail; else give a wider photo, and crop.",
        )
    return Finding("frame", "ok", f"{found} than its middle.")


def _size(seen: Evidence) -> Finding:
    if seen.larger is None:
        return Finding("size", "ok", "it takes one size only; others are painted in such parts.")
    small, large = (
        np.mean(pixels, axis=(0, 1)) for pixels in (seen.paintings["landscape"], seen.larger)
    )
    moved = float(np.abs(large - small).max())
    found = f"mean colours move by {moved:.1f} levels from one size to twice that"
    if moved > DOCTOR.size:
        return Finding(
            "size",
            "warning",
            f"{found}: large photos get another tint.",
            "a U-Net's innermost norm may be constant at the size that it was trained at and wake "
            "up beyond; or statistics are of batches.",
            "import the weights with `pleinair import`, which keeps it still, or paint small.",
        )
    return Finding("size", "ok", f"{found}.")


def _grain(seen: Evidence) -> Finding:
    photo, painting = (
        float(metrics.luma(pictures["noise"])[32:-32, 32:-32].std())
        for pictures in (seen.photos, seen.paintings)
    )
    ratio = painting / max(photo, 1e-9)
    found = f"the noise of a flat surface comes out {ratio:.1f} times as strong"
    if ratio > DOCTOR.grain:
        return Finding(
            "grain",
            "note",
            f"{found}: clear skies get blotches.",
            "instance norms often stretch what little there is in an even picture.",
            "paint photos that are not all sky, or with less --strength.",
        )
    return Finding("grain", "ok", f"{found}.")


def _shift(seen: Evidence) -> Finding:
    photo, painting = (
        _edge_place(metrics.luma(pictures["edge"])) for pictures in (seen.photos, seen.paintings)
    )
    moved = painting - photo
    found = f"an edge is painted {abs(moved)} pixels from its place"
    if abs(moved) >= DOCTOR.shift:
        return Finding(
            "shift",
            "note",
            f"{found}, to the {'right' if moved > 0 else 'left'}.",
            "padding is on the other side than in training, or strokes cover the edge.",
            "if all of the picture moved, import the original weights instead of a converted file.",
        )
    return Finding("shift", "ok", f"{found}.")


_CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    _same,
    _inverted,
    _copied,
    _lattice,
    _colours,
    _frame,
    _size,
    _grain,
    _shift,
)


def _difference(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


def _fields(chart: Pixels) -> NDArray[np.float64]:
    """Mean colours of a chart's 4 x 4 fields, without their borders: (16, 3)."""
    height, width = (side // 4 for side in chart.shape[:2])
    cells = chart[: 4 * height, : 4 * width].reshape(4, height, 4, width, 3)
    inner = cells[:, height // 4 : -(height // 4), :, width // 4 : -(width // 4)]
    return np.asarray(inner.mean(axis=(1, 3)).reshape(16, 3), np.float64)


def _chroma(fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours without their light and without their common tint: (16, 3)."""
    gray = fields - fields.mean(axis=1, keepdims=True)
    return np.asarray(gray - gray.mean(axis=0), np.float64)


def _edge_place(gray: NDArray[np.float64]) -> int:
    """The column of the steepest step, seen over the middle half of all rows."""
    quarter = gray.shape[0] // 4
    profile = gray[quarter:-quarter].mean(axis=0)
    inner = np.abs(profile[4:] - profile[:-4])[16:-16]
    # In the middle of all columns that are about as steep.
    return int(np.mean(np.flatnonzero(inner >= inner.max() - 1e-6))) + 16
