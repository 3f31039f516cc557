"""Pages that need nothing but a browser: what an evaluation found, and a ballot for people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import ballots, metrics, press
from pleinair.errors import ImageError, UsageError
from pleinair.evaluation import Entry, Evaluation, Show, frechet_name
from pleinair.settings import EVALUATE

Told = Callable[[str, int, int], None]

# One sentence for each figure, as the report explains it.
MEANINGS = {
    "kid": "Kernel distance to the paintings, unbiased at any number of pictures: 0 where the sets "
    "are alike, below 0 by chance.",
    "subsets": "Mean and deviation of KID over random subsets, as papers print it.",
    "frechet": "Distance of two Gaussians; it grows as sets get smaller, so compare it only "
    "between sets of one size.",
    "memorisation": "Mean cosine distance from a result to the nearest painting; near 0 something "
    "was learned by heart.",
    "mifid": "The Frechet distance, divided by the memorisation distance where that is below 0.1.",
    "scene_distance": "How much of the scene is lost, by features of strides 8 and 16: 0 is all "
    "kept; another photo stands for all lost.",
    "perceptual_change": "How different the result looks from its photo, by features of strides 4 "
    "to 32: 0 is the same.",
    "luma_correlation": "Of photo and painting: 1 keeps light and dark, below 0 inverts them.",
    "median_change": "Levels of 255 by which half of the values moved; near 0 is a copy.",
    "lattice_2": "How far a pattern of 2 pixels stands out of its surroundings; 1 is not at all, "
    "and regular detail stands out too.",
    "lattice_4": "The same of a pattern of 4 pixels.",
    "weave": "How far single frequencies of any period stand out of the spectrum; paintings and "
    "photographs have less than 0.1.",
    "colours": "How far the palette is from the paintings', as a colour difference (Delta E); "
    "about 2 is the least an eye sees.",
    "directions": "Degrees by which strokes would have to turn to run as the paintings' do.",
    "coherence": "How plainly strokes run one way where there are any, 0 to 1; the paintings' own "
    "is the aim, not more.",
}
CONTENT = {  # what became of the photos
    "scene_distance": "scene lost",
    "perceptual_change": "perceptual change",
    "luma_correlation": "luma correlation",
    "median_change": "median change",
    "lattice_2": "lattice at 2",
    "lattice_4": "lattice at 4",
    "weave": "weave",
}
LOOKS = {  # beside the paintings
    "colours": "colours away",
    "directions": "strokes turned",
    "coherence": "stroke coherence",
}
_BINS = 24


def report(found: Evaluation, told: Told) -> str:
    """One HTML file with every figure, and pictures to look at. Raises UsageError without them."""
    show = _show(found)
    steps = len(show.entries) * 3 + 1
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        told("making the report", done, steps)

    told("making the report", 0, steps)
    sheet = _sheet(show)
    step()
    painters = []
    for entry in show.entries:
        best, worst = _extremes(entry, show)
        step()
        near = _nearest(entry, show)
        step()
        painters.append(
            {
                "name": entry.row.name,
                "best": best,
                "worst": worst,
                "nearest": near,
                "card": _flat(entry.card),
            }
        )
        step()
    return press.page(
        "report.html",
        found=found,
        charts=[_chart(found, label) for label in found.eyes],
        frechet_name=frechet_name,
        histograms=_histograms(show),
        sheet=sheet,
        painters=painters,
        meanings=MEANINGS,
        titles=CONTENT | LOOKS,
        content=CONTENT,
        looks=LOOKS,
        questions=ballots.QUESTIONS,
    )


def ballot(found: Evaluation, told: Told, count: int = EVALUATE.ballot_pairs) -> str:
    """One HTML file that asks a person which of two painters did better, without their names.

    count: of pairs, where there are as many photos. Raises UsageError unless there are two painters
    whose results have photos.
    """
    show = _show(found)
    if len(show.entries) != 2:
        raise UsageError(
            f"a ballot is of two painters, and {len(show.entries)} are named; name two."
        )
    first, second = show.entries
    squares = first.photos
    both = [
        number
        for number in show.photos[0].numbers
        if first.number_of(number) is not None and second.number_of(number) is not None
    ]
    if not both:
        raise UsageError("no photo has a result of both; name results after their photos.")
    # Whoever counts the votes must not know the sides beforehand either.
    random = np.random.default_rng(secrets.randbits(64))
    chosen = random.permutation(both)[:count]
    pairs = []
    told("making the ballot", 0, len(chosen))
    for number in chosen:
        sides = [first, second] if random.random() < 0.5 else [second, first]
        try:
            photo = squares.get(number)
            left, right = (side.pair(_number(side, number))[1] for side in sides)
        except ImageError:
            continue
        pairs.append(
            {
                "photo": squares.hashes[number],
                "marks": [ballots.mark(side.digest) for side in sides],
                "pictures": [press.uri(photo), press.uri(left), press.uri(right)],
            }
        )
        told("making the ballot", len(pairs), len(chosen))
    paintings, places = show.paintings
    shown = random.permutation(paintings.numbers)[: EVALUATE.ballot_references]
    # `<` would let a name end the script that holds it.
    data = {"kind": ballots.KIND, "ballot": secrets.token_hex(8), "pairs": pairs}
    return press.page(
        "ballot.html",
        data=json.dumps(data).replace("<", "\\u003c"),
        references=[press.uri(places.get(number)) for number in shown],
        count=len(pairs),
    )


# --- parts ----------------------------------------------------------------------------------


def _show(found: Evaluation) -> Show:
    if found.show is None or not found.show.entries:
        raise UsageError("a page needs something to show; name a painter or a folder of results.")
    return found.show


def _number(entry: Entry, photo: int) -> int:
    number = entry.number_of(photo)
    assert number is not None  # noqa: S101 -- chosen among those that have one
    return number


def _sheet(show: Show) -> list[dict[str, Any]]:
    """Some photos, each with what every painter made of it."""
    seen, squares = show.photos
    count = len(seen.numbers)
    chosen = np.linspace(0, count - 1, min(count, EVALUATE.sheet_photos)).round().astype(int)
    rows: list[dict[str, Any]] = []
    for index in chosen:
        number = seen.numbers[index]
        results: list[str | None] = []
        for entry in show.entries:
            own = entry.number_of(number)
            results.append(None if own is None else press.uri(entry.pair(own)[1]))
        if any(results) or not rows:
            rows.append(
                {
                    "name": squares.names[number],
                    "photo": press.uri(squares.get(number)),
                    "results": results,
                }
            )
    return rows


def _extremes(entry: Entry, show: Show) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Results that are most and least like paintings and unlike photos."""
    label = next(iter(entry.seen.features))
    likeness = metrics.witness(
        entry.seen.features[label],
        show.paintings[0].features[label],
        show.photos[0].features[label],
    )
    order = np.argsort(-likeness, kind="stable")
    count = min(EVALUATE.extremes, len(order) // 2)
    return tuple(  # type: ignore[return-value]
        [_shown(entry, int(index), likeness) for index in part]
        for part in (order[:count], order[::-1][:count])
    )


def _shown(entry: Entry, index: int, likeness: NDArray[np.float64]) -> dict[str, Any]:
    photo, result = entry.pair(entry.seen.numbers[index])
    return {
        "name": entry.seen.names[index],
        "photo": None if photo is None else press.uri(photo),
        "result": press.uri(result),
        "likeness": float(likeness[index]),
    }


def _nearest(entry: Entry, show: Show) -> list[dict[str, Any]]:
    numbers = {name: number for number, name in enumerate(show.learned.names)}
    results = dict(zip(entry.seen.names, entry.seen.numbers, strict=True))
    return [
        {
            "result": press.uri(entry.pair(results[one.picture])[1]),
            "painting": press.uri(show.learned.get(numbers[one.painting])),
            "names": (one.picture, one.painting),
            "distance": one.distance,
        }
        for one in entry.row.nearest
    ]


def _chart(found: Evaluation, label: str) -> dict[str, Any]:
    """KID of every row with its interval, as shares of the width."""
    rows = [(row.name, row.scores[label]) for row in found.rows if label in row.scores]
    lows = [score.kid_interval[0] for _, score in rows]
    highs = [score.kid_interval[1] for _, score in rows]
    low, high = min([0.0, *lows]), max(highs)
    wide = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low) / wide, 2)

    painters = {entry.row.name: n for n, entry in enumerate(_show(found).entries)}
    return {
        "label": label,
        "zero": place(0.0),
        "rows": [
            {
                "name": name,
                "score": score,
                "value": place(score.kid),
                "low": place(score.kid_interval[0]),
                "high": place(score.kid_interval[1]),
                "colour": painters.get(name),
            }
            for name, score in rows
        ],
    }


def _histograms(show: Show) -> list[dict[str, Any]]:
    """Shares of pictures by figure, one curve for each painter."""
    found = []
    for name in ("scene_distance", "luma_correlation", "median_change", "coherence"):
        curves: list[tuple[str, int | None, NDArray[Any]]] = []
        for number, entry in enumerate(show.entries):
            source = entry.seen.appearance if name == "coherence" else entry.seen.content
            if name in source:
                curves.append((entry.row.name, number, source[name]))
        if name == "coherence":
            curves.append(("paintings", None, show.paintings[0].appearance[name]))
        if not curves:
            continue
        every = np.concatenate([values for _, _, values in curves])
        low, high = float(every.min()), float(every.max())
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        counted = [np.histogram(values, edges)[0] / len(values) for _, _, values in curves]
        top = max(float(shares.max()) for shares in counted)
        found.append(
            {
                "name": name,
                "low": low,
                "high": edges[-1],
                "curves": [
                    {"name": curve, "colour": colour, "points": _steps(shares / top)}
                    for (curve, colour, _), shares in zip(curves, counted, strict=True)
                ],
            }
        )
    return found


def _steps(shares: NDArray[np.float64]) -> str:
    """The outline of bars for an SVG of 240 by 80."""
    points = []
    for index, share in enumerate(shares):
        height = round(78 - 74 * float(share), 1)
        points += [f"{index * 240 / _BINS:g},{height}", f"{(index + 1) * 240 / _BINS:g},{height}"]
    return " ".join(["0,78", *points, "240,78"])


def _flat(card: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A card as lines: nested names joined by dots."""
    if isinstance(card, dict):
        pairs: Sequence[tuple[Any, Any]] = list(card.items())
    elif isinstance(card, list) and any(isinstance(one, dict) for one in card):
        pairs = list(enumerate(card, 1))
    else:
        return [(prefix, str(card))]
    return [
        line
        for key, value in pairs
        for line in _flat(value, f"{prefix}.{key}" if prefix else str(key))
    ]
