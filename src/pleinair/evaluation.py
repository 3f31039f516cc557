"""Scores of painters by one fixed protocol, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import __version__, appearance, ballots, files, hub, metrics
from pleinair.ballots import Duel
from pleinair.errors import DataError, UsageError
from pleinair.gallery import PROTOCOL, Arrays, Gallery, Seen, Squares
from pleinair.images import Pixels
from pleinair.painter import Painter
from pleinair.settings import EVALUATE

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
class Measure:
    """A figure with its interval of 95% by the bootstrap."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Nearest:
    """A result and the painting that it is most alike, by cosine distance of features."""

    picture: str
    painting: str
    distance: float


def frechet_name(label: str) -> str:
    """What the Frechet distance through an eye is called: FID is Inception's alone."""
    return "FID" if label == "Inception" else f"FD-{label}"


def score(
    found: NDArray[np.float32],
    paintings: NDArray[np.float32],
    learned: NDArray[np.float32] | None = None,
) -> Score:
    """All scores of rows of features against those of paintings. Raises DataError of too few.

    learned: the paintings that a painter may have learned by heart; by default the same.
    """
    least = min(len(found), len(paintings))
    if least < EVALUATE.least:
        raise DataError(
            f"{least} pictures are too few to compare sets of; give at least {EVALUATE.least}."
        )
    if not (np.isfinite(found).all() and np.isfinite(paintings).all()):
        raise DataError(
            "the network that looks gave values that are no numbers; try --device cpu, or --fresh."
        )
    random = np.random.default_rng(0)  # the same question has the same answer
    resampled = metrics.resampled_kernel_distances(found, paintings, EVALUATE.resamples, random)
    subsets = metrics.kernel_distances(
        found, paintings, EVALUATE.subsets, EVALUATE.subset_size, random
    )
    groups = min(10, least - 1)
    frechet = metrics.frechet_distance(found, paintings)
    distance = metrics.memorisation_distance(found, paintings if learned is None else learned)
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


def content(measured: Arrays) -> dict[str, Measure]:
    """Means of what was measured picture by picture."""
    random = np.random.default_rng(0)
    found = {}
    for name, values in measured.items():
        drawn = random.integers(len(values), size=(EVALUATE.resamples, len(values)))
        means = values[drawn].mean(axis=1)
        found[name] = Measure(float(values.mean()), metrics.interval(means))
    return found


def looks(found: Arrays, paintings: Arrays) -> dict[str, Measure]:
    """Palette and strokes of a set beside those of paintings, as `pleinair.appearance` has them."""
    random = np.random.default_rng(0)

    def resampled(values: NDArray[np.float32]) -> NDArray[np.float64]:
        count = len(values)
        times = random.multinomial(count, np.full(count, 1 / count), size=EVALUATE.resamples)
        means: NDArray[np.float64] = times @ values.reshape(count, -1) / count
        return means.reshape(EVALUATE.resamples, 1, *values.shape[1:])

    distances = {
        "colours": appearance.colour_distance,
        "directions": appearance.direction_distance,
    }
    made = {}
    for name, distance in distances.items():
        pairs = zip(resampled(found[name]), resampled(paintings[name]), strict=True)
        values = np.array([distance(*pair) for pair in pairs])
        made[name] = Measure(distance(found[name], paintings[name]), metrics.interval(values))
    return made | content({"coherence": found["coherence"]})


def nearest(found: Seen, paintings: Seen, label: str) -> list[Nearest]:
    """The results that are most like a painting, the likest first."""
    distances, numbers = metrics.nearest_cosine(found.features[label], paintings.features[label])
    order = np.argsort(distances, kind="stable")[: EVALUATE.nearest]
    return [
        Nearest(found.names[i], paintings.names[numbers[i]], float(distances[i])) for i in order
    ]


# --- the whole question ---------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of an evaluation: a painter, a folder of results, or a baseline."""

    name: str
    pictures: int
    scores: dict[str, Score]  # by eye
    content: dict[str, Measure] = field(default_factory=dict)
    looks: dict[str, Measure] = field(default_factory=dict)
    nearest: list[Nearest] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """What was scored, for a page to show: the squares, and all that was seen of them.

    painter: None for pictures as they are, which may have photos of their names.
    digest: SHA-256 of the painter's file, or of the set.
    """

    row: Row
    seen: Seen
    squares: Squares
    photos: Squares
    digest: str
    painter: Painter | None = None

    def pair(self, number: int) -> tuple[Pixels | None, Pixels]:
        """A result, by its number in the squares, beside its photo where that is known."""
        if self.painter is not None:
            photo = self.squares.get(number)
            return photo, self.painter.paint(photo)
        known = self.photos.by_stem or {}
        partner = known.get(PurePosixPath(self.squares.names[number]).stem)
        return None if partner is None else self.photos.get(partner), self.squares.get(number)

    def number_of(self, photo: int) -> int | None:
        """The number of the result of a photo; None where there is none."""
        if self.painter is not None:
            return photo if photo in self.seen.numbers else None
        known = self.squares.by_stem or {}
        return known.get(PurePosixPath(self.photos.names[photo]).stem)

    @property
    def card(self) -> dict[str, Any]:
        """What a painter's file says of itself."""
        return {} if self.painter is None else self.painter.card


@dataclass(frozen=True)
class Show:
    """What pages take their pictures from."""

    entries: list[Entry]
    photos: tuple[Seen, Squares]
    paintings: tuple[Seen, Squares]
    learned: Squares


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
    votes: list[Duel] = field(default_factory=list)
    show: Show | None = field(default=None, compare=False)  # not for JSON

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "show"}
        return plain | {name: [asdict(one) for one in plain[name]] for name in ("rows", "votes")}

    def warnings(self) -> list[str]:
        """What a reader must know."""
        found = []
        if min(self.photos, self.paintings) < EVALUATE.frechet_least:
            found.append(
                "Frechet distances (and MiFID) grow as sets get smaller, and these are small: "
                "compare them only between sets of these sizes, and trust KID."
            )
        return found


def evaluate(
    what: Sequence[str],
    photos: Path,
    paintings: Path,
    gallery: Gallery,
    trained_on: Path | None = None,
    votes: Sequence[Path] = (),
) -> Evaluation:
    """Score painters (names, .onnx files, runs) and folders of results, beside the baselines.

    trained_on: paintings that a painter may have learned by heart; by default those that it is
    compared with. votes: files that a ballot page saved. Raises DataError for sets that are
    missing or too small and for other votes, PainterError for painters.
    """
    what = [_of_run(one) for one in what]
    if len(set(what)) != len(what):
        raise UsageError("the same painter is named twice; name each once.")
    photo_squares, painting_squares = Squares(photos), Squares(paintings)
    # Whatever is wrong with one of them is said before minutes of looking.
    results = {one: Squares(Path(one)) for one in what if _are_results(one)}
    painters = {one: Painter.load(one) for one in what if one not in results}
    digests = {one: squares.digest for one, squares in results.items()} | {
        one: files.sha256_of(hub.find(one)) for one in painters
    }
    counted = ballots.count(votes, {digests[one]: one for one in what})
    references = gallery.pictures(painting_squares)
    learned_squares = Squares(trained_on) if trained_on else painting_squares
    learned = gallery.pictures(learned_squares) if trained_on else references
    originals = gallery.pictures(photo_squares)
    lead = gallery.eyes[0].label

    def row(name: str, seen: Seen) -> Row:
        scores = {
            label: score(found, references.features[label], learned.features[label])
            for label, found in seen.features.items()
        }
        return Row(
            name,
            len(seen.names),
            scores,
            content(seen.content),
            looks(seen.appearance, references.appearance),
            nearest(seen, learned, lead),
        )

    rows = [row("photos themselves", originals), _halves(references)]
    if what and len(originals.names) > 1:
        lost = gallery.strangers(photo_squares)
        rows.append(Row("another photo", len(lost.names), {}, content(lost.content)))
    entries = []
    for one in what:
        squares = results.get(one, photo_squares)
        seen = (
            gallery.results(squares, photo_squares)
            if one in results
            else gallery.painted(photo_squares, one)
        )
        entries.append(
            Entry(row(one, seen), seen, squares, photo_squares, digests[one], painters.get(one))
        )
    eyes = {
        eye.label: {"sha256": eye.sha256, "side": eye.side, "resize": eye.resize}
        for eye in gallery.eyes
    }
    return Evaluation(
        [*rows, *(entry.row for entry in entries)],
        len(originals.names),
        len(references.names),
        EVALUATE.side,
        eyes,
        __version__,
        votes=counted,
        show=Show(
            entries, (originals, photo_squares), (references, painting_squares), learned_squares
        ),
    )


def _are_results(one: str) -> bool:
    """Whether pictures are meant, not a painter: a folder, or a zip file or a folder in one."""
    path = Path(one)
    if hub.knows(one):
        return False
    return path.is_dir() or any(part.suffix == ".zip" for part in (path, *path.parents))


def _of_run(one: str) -> str:
    """A run's painter, since its sample sheets are no results; anything else as it is."""
    if not (Path(one) / "history.jsonl").is_file():
        return one
    painter = Path(one) / "painter.onnx"
    if painter.is_file():
        return str(painter)
    raise UsageError(
        f"{one} is a run that is not finished; `pleinair export {one} painter.onnx` makes a "
        "painter of what it has."
    )


def _halves(references: Seen) -> Row:
    """The paintings against themselves: one random half against the other."""
    order = np.random.default_rng(0).permutation(len(references.names))
    middle = len(order) // 2
    if middle < EVALUATE.least:
        return Row("paintings, halved", middle, {})
    one, other = order[:middle], order[middle:]
    scores = {
        label: score(found[one], found[other]) for label, found in references.features.items()
    }
    parts = [
        {name: values[half] for name, values in references.appearance.items()}
        for half in (one, other)
    ]
    return Row("paintings, halved", middle, scores, looks=looks(*parts))
