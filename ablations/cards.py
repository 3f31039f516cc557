"""The part of a shipped painter's card that is computed: what it is, how to make it, its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations import results
from pleinair import hub, weights
from pleinair.networks import build, count_macs, count_parameters
from pleinair.recipes import load_recipe, recipe_from_dict, spec_name

FOLDER = Path(hub.__file__).parent / "painters"
_SIDE = 256  # pixels at which work is counted
_BASELINES = {
    "photos themselves": "the photographs themselves",
    "paintings, halved": "50 of the paintings against the other 50",
    "another photo": "each photograph beside another",
}
BACK = {  # the same, of a painter that makes photographs
    "photos themselves": "the paintings themselves",
    "paintings, halved": "one half of the photographs against the other",
    "another photo": "each painting beside another",
}
_DISTANCES = {
    "KID-Lite0": ("Lite0", "kid", ".4f"),
    "KID-Lite2": ("Lite2", "kid", ".4f"),
    "FD-Lite0": ("Lite0", "frechet", ".1f"),
    "FD-Lite2": ("Lite2", "frechet", ".1f"),
    "memorised, Lite0": ("Lite0", "memorisation", ".3f"),
}


def card(name: str, evaluation: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Markdown of the computed part. labels: what painters of the evaluation are called there."""
    return "\n\n".join([facts(name), scores(evaluation, labels)])


def facts(name: str) -> str:
    """What a shipped painter says of itself, and the command that makes it once more.

    Raises SystemExit where its recipe is not that of the file beside it.
    """
    painter = weights.load(FOLDER / f"{name}.onnx")
    file = FOLDER / f"{name}.toml"
    told, recipe = painter.card, load_recipe(str(file))
    was = recipe_from_dict(told["recipe"])  # it may be older than some settings
    if replace(was, name=recipe.name) != recipe:
        raise SystemExit(f"{name}.onnx was not made by {file}; export it from a run of that.")
    network = build(painter.spec)
    size = (FOLDER / f"{name}.onnx").stat().st_size
    words = [f"pleinair train --recipe {name}.toml --seed {told['seed']} --steps {recipe.steps}"]
    words += [f"--photos {_place(told['photos'])} --paintings {_place(told['paintings'])}"]
    if told.get("before"):
        words += [f"--init-from {told['before'][-1]['from']}"]
    if told.get("teacher"):
        words += [f"--teacher {told['teacher']}"]
    rows = {
        "recipe": f"[`{name}.toml`]({name}.toml), seed {told['seed']}",
        "generator": f"`{spec_name(painter.spec)}`, {count_parameters(network):,} parameters, "
        f"{count_macs(network, _SIDE) / 1e9:.2f} GMAC at {_SIDE}x{_SIDE}",
        "file": f"{size / 1e6:.2f} MB",
        "steps": f"{told['steps']:,} of {recipe.steps:,}, batch {recipe.batch}, crops of "
        f"{recipe.crop} pixels",
        "trained on": told.get("data", "not stated"),
        "licence": told.get("licence", "not stated"),
        "pixels": "float32 NCHW, RGB in sRGB, [-1, 1], in and out; sides multiples of 4",
    }
    table = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    return "\n".join([*table, "", "```sh", " ".join([*words, "--out RUN"]), "```"])


def _place(name: str) -> str:
    """A folder, as what somebody else has to fill in; a manifest by its name, for it ships too."""
    return name if Path(name).suffix else name.upper()


def scores(evaluation: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Three tables of `pleinair evaluate --json`: distances, what became of photos, looks."""
    rows = evaluation["rows"]

    def title(row: Mapping[str, Any]) -> str:
        return labels.get(row["name"], _BASELINES.get(row["name"], f"**{row['name']}**"))

    distances = [_line("", *_DISTANCES), "|---" * (1 + len(_DISTANCES)) + "|"]
    for row in rows:
        if row["scores"]:
            cells = [
                _distance(row["scores"][eye], key, form) for eye, key, form in _DISTANCES.values()
            ]
            distances.append(_line(title(row), *cells))
    parts = ["\n".join(distances)]
    for kind in ("content", "looks"):
        names = list(dict.fromkeys(key for row in rows for key in row[kind]))
        if not names:
            continue
        lines = [_line("", *(results.TITLES.get(key, key) for key in names))]
        lines.append("|---" * (1 + len(names)) + "|")
        lines += [
            _line(title(row), *(_measure(row[kind][key]) for key in names))
            for row in rows
            if row[kind]
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _distance(found: Mapping[str, Any], key: str, form: str) -> str:
    value = format(found[key], form)
    if key == "kid":
        low, high = found["kid_interval"]
        return f"{value} ({low:{form}} to {high:{form}})"
    if key == "frechet" and found["frechet_error"] is not None:  # of too few it is not known
        return f"{value} ± {found['frechet_error']:{form}}"
    return value


def _measure(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.3g} ({low:.3g} to {high:.3g})"


def write(name: str, told: str, labels: Mapping[str, str]) -> None:
    """Put the computed part into a card. told: standard output of `pleinair evaluate --json`."""
    page = FOLDER / f"{name}.md"
    text = results.put_into(page, card(name, json.loads(told), labels), "card")
    page.write_text(text, encoding="utf-8")
