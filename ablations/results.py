"""What came of trials: lines of JSON, and the table that is made of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablations.choices import Choice
from pleinair.pages import CONTENT, LOOKS

FILE = Path(__file__).with_name("results.jsonl")


@dataclass(frozen=True)
class Result:
    """A trial that has ended. scores: by name, as `pleinair evaluate --json` has them."""

    choice: str
    budget: int
    seed: int
    steps: int
    minutes: float
    scores: dict[str, float]


def scores_of(row: dict[str, Any]) -> dict[str, float]:
    """The figures of one painter, of its row in `pleinair evaluate --json`."""
    found = {f"KID-{eye}": score["kid"] for eye, score in row["scores"].items()}
    measures = row["content"] | row["looks"]
    return found | {name: measure["value"] for name, measure in measures.items()}


def load(file: Path = FILE) -> list[Result]:
    """All results so far."""
    if not file.exists():
        return []
    return [Result(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def add(result: Result, file: Path = FILE) -> None:
    """One more line."""
    rounded = {name: float(f"{value:.4g}") for name, value in result.scores.items()}
    line = json.dumps(asdict(result) | {"scores": rounded, "minutes": round(result.minutes, 1)})
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{line}\n")


def table(choices: dict[str, Choice], results: Iterable[Result]) -> str:
    """Markdown: a table for each budget, the best by KID-Lite2 first; of several seeds the mean."""
    known = [one for one in results if one.choice in choices]
    parts = [] if known else ["No trial has ended yet."]
    for budget in sorted({one.budget for one in known}):
        trials = [one for one in known if one.budget == budget]
        rows = [_row(choice, trials) for choice in choices.values()]
        told = [row for row in rows if row is not None]
        told.sort(key=lambda row: row[0])
        parts += [
            f"### The time of {budget:,} steps of `{next(iter(choices))}`",
            "",
            "| choice | what differs | seeds | steps | "
            + " | ".join(TITLES.get(name, name) for name in _FORMS)
            + " |",
            "|---" * (4 + len(_FORMS)) + "|",
            *(text for _, text in told),
            "",
            f"Noise: {_noise(trials)}.",
            "",
        ]
    return "\n".join(parts).rstrip()


def best(results: Iterable[Result], budget: int, count: int) -> list[str]:
    """Names of the choices that did best in this time, by KID-Lite2 (mean of seeds), best first."""
    scores: dict[str, list[float]] = {}
    for one in results:
        if one.budget == budget:
            scores.setdefault(one.choice, []).append(one.scores["KID-Lite2"])
    return sorted(scores, key=lambda name: statistics.mean(scores[name]))[:count]


def put_into(page: Path, text: str, what: str = "ablations") -> str:
    """The page with the text in the place that is marked by this word."""
    begin, end = f"<!-- {what}: figures -->", f"<!-- {what}: end -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no place for figures; add {begin} and {end}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


_FORMS = {  # of each column, by what `pleinair evaluate --json` calls it
    "KID-Lite0": ".4f",
    "KID-Lite2": ".4f",
    "scene_distance": ".3f",
    "luma_correlation": ".3f",
    "lattice_2": ".1f",
    "lattice_4": ".1f",
    "colours": ".1f",
    "directions": ".1f",
    "coherence": ".3f",
}

TITLES = CONTENT | LOOKS


def _row(choice: Choice, trials: list[Result]) -> tuple[float, str] | None:
    own = [one for one in trials if one.choice == choice.name]
    if not own:
        return None
    cells = []
    for name, form in _FORMS.items():
        values = [one.scores[name] for one in own]
        mean = format(statistics.mean(values), form)
        apart = (max(values) - min(values)) / 2
        cells.append(f"{mean} ± {format(apart, form)}" if len(values) > 1 else mean)
    order = statistics.mean(one.scores["KID-Lite2"] for one in own)
    first = f"| `{choice.name}` | {choice.why} | {len(own)} | {own[0].steps:,} | "
    return order, first + " | ".join(cells) + " |"


def _noise(trials: list[Result]) -> str:
    """How far seeds of one choice are apart, over all choices that have several."""
    told = []
    for name in ("KID-Lite0", "KID-Lite2", "scene_distance", "lattice_4"):
        squares = []
        for choice in dict.fromkeys(one.choice for one in trials):
            values = [one.scores[name] for one in trials if one.choice == choice]
            if len(values) > 1:
                squares.append(statistics.variance(values))
        if squares:
            deviation = format(statistics.mean(squares) ** 0.5, _FORMS[name])
            told.append(f"{TITLES.get(name, name)} {deviation}")
    if not told:
        return "not known, of one seed each"
    return f"standard deviation from seed to seed, pooled over choices: {', '.join(told)}"
