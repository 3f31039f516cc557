"""What a person looks at while a painter trains: sheets, curves, and a word when it goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import files, images, metrics, parsing
from pleinair.images import Batch, Pixels

Engine = Callable[[Batch], Batch]
Features = Callable[[list[Pixels]], NDArray[np.float32]]  # a row for each picture

INVERTED = 0.3  # luma correlation below which light and dark are lost
WOVEN = {2: 10.0, 4: 15.0}  # by pixels of a pattern; photographs have 1 to 4 and 3 to 8
WEAVE = 0.8  # of any period; paintings and photographs have less than 0.1; at 1.0 a mesh is seen

LOSSES = (
    "painting_generator",
    "photo_generator",
    "painting_discriminator",
    "photo_discriminator",
)

_LABELS = {"kid": "paintings", "photos_kid": "the photos themselves", "nce": "PatchNCE"}


@dataclass(frozen=True)
class Health:
    """Signs of life of a painter on its fixed photos."""

    luma_correlation: float
    median_change: float  # levels of 0 to 255
    lattice_2: float  # ratio to the neighbourhood in the spectrum
    lattice_4: float
    weave: float  # of any period: what stands out of the spectrum


@dataclass(frozen=True)
class Score:
    """How close to the paintings a painter has come, on photos held out where there are many."""

    step: int
    kid: float  # KID-Lite0 to the paintings
    photos_kid: float  # of the photos themselves, for comparison
    luma_correlation: float
    median_change: float  # levels of 0 to 255


class Judge:
    """Fixed photos and paintings to score a painter by; features of the two are made once."""

    def __init__(self, photos: list[Pixels], paintings: list[Pixels], features: Features) -> None:
        self.photos = photos
        self.features = features
        self.paintings = features(paintings)
        self.photos_kid = metrics.kernel_distance(features(photos), self.paintings)

    def score(self, step: int, paint: Engine) -> Score:
        """Paint all photos and compare them with the paintings, and with what they were."""
        painted = [images.from_batch(paint(images.to_batch(photo)))[0] for photo in self.photos]
        pairs = list(zip(self.photos, painted, strict=True))
        return Score(
            step,
            round(metrics.kernel_distance(self.features(painted), self.paintings), 5),
            round(self.photos_kid, 5),
            round(float(np.mean([metrics.luma_correlation(*pair) for pair in pairs])), 4),
            round(float(np.mean([metrics.median_change(*pair) for pair in pairs])), 2),
        )


def best_of(scores: list[Score]) -> Score:
    """The score with the smallest KID; of equals the first."""
    return min(scores, key=lambda score: score.kid)


def stalled(scores: list[Score], patience: int) -> bool:
    """Whether the last `patience` scores brought nothing better than there was before them."""
    return len(scores) > patience and best_of(scores) not in scores[-patience:]


def closing_words(scores: list[Score], step: int, run: Path, warmup: int = 0) -> str:
    """What became of a run, in a sentence or two, and what to do with it.

    warmup: its first steps, in which the discriminators alone learn.
    """
    if step <= warmup:
        return (
            f"The painter is still what it began as: in the first {warmup:,} steps of this recipe "
            f"only the discriminators learn. Go on with pleinair train --resume {run} "
            f"--steps {max(10 * warmup, 2 * step)}."
        )
    if not scores:
        return f"{step:,} steps were too few to score the painter; look at {run / 'samples'}."
    found, last = best_of(scores), scores[-1]
    figures = f"KID-Lite0 {found.kid:.4f} at step {found.step:,}, photos {found.photos_kid:.4f}"
    if found.luma_correlation < INVERTED:
        return f"The painter inverts or loses light and dark ({figures}); take another --seed."
    if found.kid > 0.9 * found.photos_kid:
        return f"The painter has not learned the style yet ({figures}); train longer."
    if found.step == last.step and len(scores) > 1:
        return (
            f"The painter was still improving ({figures}); more steps should help: "
            f"pleinair train --resume {run} --steps {2 * step}."
        )
    if len(scores) == 1:
        return f"The painter has learned something ({figures}); longer runs learn more."
    return (
        f"The painter stopped improving ({figures}, {last.kid:.4f} at the end); "
        "the best one is kept, and more steps of this recipe will hardly help."
    )


def look_swapped(photos: NDArray[np.float32], paintings: NDArray[np.float32]) -> bool:
    """Whether the photos look more like paintings than the paintings do.

    Rows of EfficientNet-Lite0's 1,280 features, weighed by a logistic regression of 600 paintings
    by Monet against 600 photos. A style of its own may look like anything, so only a plain
    reversal counts: nine of ten pairs the wrong way round.
    """
    weights = np.load(Path(__file__).with_name("likeness.npy"))
    photo_scores, painting_scores = photos @ weights, paintings @ weights
    return float((photo_scores[:, None] > painting_scores[None, :]).mean()) > 0.9


def fixed_photos(photos: list[Pixels], side: int, multiple: int) -> list[Pixels]:
    """Centre squares of photos whose side is a multiple of `multiple`, at most `side` or so."""
    length = max(multiple, side // multiple * multiple)
    return [images.centre_square(pixels, length) for pixels in photos]


def sample(photos: list[Pixels], paint: Engine, reconstruct: Engine | None, path: Path) -> Health:
    """Write a sheet (a row each of photo, painting, reconstruction) and measure the paintings."""
    rows, healths = [], []
    for photo in photos:
        painted = paint(images.to_batch(photo))
        painting = images.from_batch(painted)[0]
        rows.append([photo, painting])
        if reconstruct is not None:
            rows[-1].append(images.from_batch(reconstruct(painted))[0])
        healths.append(list(metrics.signs(photo, painting).values()))
    page = images.sheet(rows, height=min(256, photos[0].shape[0]))
    images.write(images.Picture(page), path)
    return Health(*(round(float(value), 4) for value in np.mean(healths, axis=0)))


def verdicts(health: Health, discriminator_accuracy: float) -> list[str]:
    """What is plainly wrong, one sentence each; nothing when all is well."""
    found = []
    if health.luma_correlation < INVERTED:
        found.append(
            f"the painter inverts or loses light and dark (luma correlation "
            f"{health.luma_correlation:.2f}); start again with another --seed."
        )
    if health.median_change < 4.0:
        found.append(
            f"the painter copies its input (median change {health.median_change:.1f} levels); "
            "train longer, or lower identity_weight or cycle_weight."
        )
    woven = {2: health.lattice_2, 4: health.lattice_4}
    period = max(woven, key=lambda pixels: woven[pixels] / WOVEN[pixels])
    pattern = ""
    if woven[period] > WOVEN[period]:
        pattern = f"a pattern of {period} pixels stands out {woven[period]:.0f} times"
    elif health.weave > WEAVE:
        pattern = (
            f"a fine weave stands out (weave {health.weave:.1f}, real ones have less than 0.1)"
        )
    if pattern:
        # Scores may still fall: thumbnails, and the networks that score, do not see it.
        found.append(
            f"{pattern} in the paintings; look at the sheet at full size: a young run goes on, of "
            "another the painter before may be the better one."
        )
    if discriminator_accuracy > 0.98:
        found.append(
            f"the discriminators always win (accuracy {discriminator_accuracy:.2f}), so the "
            "painter learns nothing from them; lower discriminator_rate."
        )
    if discriminator_accuracy < 0.5:
        found.append(
            f"the discriminators are lost (accuracy {discriminator_accuracy:.2f}); "
            "raise discriminator_rate."
        )
    return found


# --- history --------------------------------------------------------------------------------


def append_history(path: Path, line: dict[str, Any]) -> None:
    """Add a line of JSON. Raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_history(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a kill cut short, or a disk damaged, is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            line = parsing.object_of(text)
            if type(line.get("step")) is int:
                lines.append(line)
    return lines


def rewind_history(path: Path, step: int) -> None:
    """Forget what came after `step`, so that a resumed run does not tell it twice."""
    kept = [line for line in read_history(path) if line["step"] <= step]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    files.write_bytes(path, text.encode())


def plot_losses(history: list[dict[str, Any]], path: Path) -> None:
    """Curves of the networks' losses and of the scores, as a PNG. Raises OSError."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib.figure import Figure

    groups = [LOSSES[:2], LOSSES[2:], ("cycle", "identity", "nce"), ("kid", "photos_kid")]
    groups = [names for names in groups if any(n in line for line in history for n in names)]
    figure = Figure(figsize=(9, 2 * max(1, len(groups))), layout="constrained")
    axes = figure.subplots(max(1, len(groups)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, names in zip(axes, groups, strict=False):
        for name in names:
            points = [(line["step"], line[name]) for line in history if name in line]
            if points:
                steps, values = zip(*points, strict=True)
                shown = values if "kid" in name else _smooth(values)
                axis.plot(steps, shown, label=_LABELS.get(name, name.replace("_", " ")))
        axis.grid(alpha=0.3)
        axis.set_ylabel("KID-Lite0" if "kid" in names else "loss")
        axis.legend(loc="upper right", fontsize="small")
    axes[-1].set_xlabel("step")
    with files.replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _smooth(values: tuple[float, ...]) -> list[float]:
    weight = min(0.9, len(values) / 50)
    out, mean = [], values[0]
    for value in values:
        mean = weight * mean + (1 - weight) * value
        out.append(mean)
    return out
