"""Scores of painters by one fixed protocol, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import __version__, metrics
from pleinair.config import EVALUATE
from pleinair.errors import DataError, UsageError
from pleinair.gallery import PROTOCOL, Arrays, Gallery, Seen, Squares, paired

# --- scores ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """How far a set is from the paintings through one eye. Intervals are of 95%."""

    kid: float  # unbiased, of all pictures
    kid_interval: tuple[float, float]  # of bootstrap samples of both sets
    kid_subsets: tuple[float, float]  # mean and standard deviation, as papers print it
    frechet: float
    frechet_error: float | None  # standard error, by the jackknife; None of too few
    memorisation: float  # mean cosine distance to the nearest painting
    mifid: float  # the Frechet distance divided by that, where it is below the threshold


@dataclass(frozen=True)
class Content:
    """What became of the photos, as means; intervals of 95% by the bootstrap."""

    value: float
    interval: tuple[float, float]


def score(found: NDArray[np.float32], paintings: NDArray[np.float32]) -> Score:
    """All scores of rows of features against those of paintings. Raises DataError of too few."""
    least = min(len(found), len(paintings))
    if least < EVALUATE.least:
        raise DataError(
            f"{least} pictures are too few to compare sets of; give at least {EVALUATE.least}."
        )
    random = np.random.default_rng(0)  # the same question has the same answer
    resampled = metrics.resampled_kernel_distances(found, paintings, EVALUATE.resamples, random)
    subsets = metrics.kernel_distances(
        found, paintings, EVALUATE.subsets, EVALUATE.subset_size, random
    )
    groups = min(10, least - 1)
    frechet = metrics.frechet_distance(found, paintings)
    distance = metrics.memorisation_distance(found, paintings)
    error = metrics.jackknife_error(metrics.frechet_distance, found, paintings, groups)
    return Score(
        metrics.kernel_distance(found, paintings),
        metrics.interval(resampled),
        (float(subsets.mean()), float(subsets.std())),
        frechet,
        error if least > 2 * groups else None,
        distance,
        metrics.mifid(frechet, distance),
    )


def halves(paintings: NDArray[np.float32]) -> Score:
    """One random half of the paintings against the other: as close as anything can come."""
    order = np.random.default_rng(0).permutation(len(paintings))
    middle = len(paintings) // 2
    return score(paintings[order[:middle]], paintings[order[middle:]])


def content(measured: Arrays) -> dict[str, Content]:
    """Means of what was measured picture by picture, with their intervals."""
    random = np.random.default_rng(0)
    found = {}
    for name, values in measured.items():
        drawn = random.integers(len(values), size=(EVALUATE.resamples, len(values)))
        means = values[drawn].mean(axis=1)
        found[name] = Content(float(values.mean()), metrics.interval(means))
    return found


# --- the whole question ---------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of an evaluation: a painter, a folder of results, or a baseline."""

    name: str
    pictures: int
    scores: dict[str, Score]  # by eye
    content: dict[str, Content]


@dataclass(frozen=True)
class Evaluation:
    """Everything that is needed to read the figures, and to make them again."""

    rows: list[Row]  # baselines first
    photos: int
    paintings: int
    side: int
    eyes: dict[str, dict[str, Any]]
    version: str
    protocol: int = PROTOCOL

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def warnings(self) -> list[str]:
        """What a reader must know."""
        found = []
        if min(self.photos, self.paintings) < EVALUATE.frechet_least:
            found.append(
                "Frechet distances (and MiFID) grow as sets get smaller, and these are small: "
                "compare them only between sets of these sizes, and trust KID."
            )
        return found


def evaluate(what: Sequence[str], photos: Path, paintings: Path, gallery: Gallery) -> Evaluation:
    """Score painters (names or .onnx files) and folders of results, beside two baselines.

    Raises DataError for sets that are missing or too small, PainterError for painters.
    """
    if len(set(what)) != len(what):
        raise UsageError("the same painter is named twice; name each once.")
    photo_squares = Squares(photos)
    references = gallery.pictures(Squares(paintings))
    originals = gallery.pictures(photo_squares)
    rows = [
        _row("photos themselves", originals, references),
        Row(
            "paintings, halved",
            len(references.names) // 2,
            {label: halves(found) for label, found in references.features.items()}
            if len(references.names) >= 2 * EVALUATE.least
            else {},
            {},
        ),
    ]
    for one in what:
        if Path(one).is_dir() or Path(one).suffix == ".zip":
            results = Squares(Path(one))
            seen = gallery.pictures(results)
            measured = paired(photo_squares, results)
            if not measured:
                gallery.warn(f"{one}: not every result has a photo of its name; content is left.")
            rows.append(_row(one, Seen(seen.names, seen.features, measured), references))
        else:
            rows.append(_row(one, gallery.painted(photo_squares, one), references))
    eyes = {
        eye.label: {"sha256": eye.sha256, "side": eye.side, "resize": "bicubic, antialiased"}
        for eye in gallery.eyes
    }
    counts = len(originals.names), len(references.names)
    return Evaluation(rows, *counts, EVALUATE.side, eyes, __version__)


def _row(name: str, seen: Seen, references: Seen) -> Row:
    scores = {
        label: score(found, references.features[label]) for label, found in seen.features.items()
    }
    return Row(name, len(seen.names), scores, content(seen.content))
