from __future__ import annotations

import dataclasses
import json

import pytest
from ablations import cards

from pleinair import graphs, weights
from pleinair.config import LightSpec
from pleinair.networks import build
from pleinair.recipes import load_recipe, recipe_to_dict


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of shipped painters with one of them, its recipe and a card."""
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    (tmp_path / "tiny.toml").write_text('base = "swift"\nsteps = 40\n[generator]\nchannels = 8\n')
    recipe = load_recipe(str(tmp_path / "tiny.toml"))
    assert isinstance(recipe.generator, LightSpec)
    arrays = {name: v.numpy() for name, v in build(recipe.generator).state_dict().items()}
    told = {"recipe": recipe_to_dict(dataclasses.replace(recipe, name="swift"))}
    told |= {"steps": 30, "seed": 7, "photos": "photos", "paintings": "paintings"}
    told |= {"licence": "CC0-1.0", "teacher": "monet"}
    told |= {"before": [{"from": "older", "steps": 5}]}
    painter = weights.Weights(recipe.generator, arrays, told)
    (tmp_path / "tiny.onnx").write_bytes(graphs.painter(painter))
    (tmp_path / "tiny.md").write_text(
        "# tiny\n<!-- card: figures --> old <!-- card: end -->\nend\n"
    )
    return tmp_path


def row(name, **more):
    score = {"kid": 0.02, "kid_interval": [0.01, 0.03], "frechet": 100.0, "frechet_error": 5.0}
    both = {eye: {**score, "memorisation": 0.4} for eye in ("Lite0", "Lite2")}
    content = {"scene_distance": {"value": 0.65, "interval": [0.6, 0.7]}}
    return {"name": name, "scores": both, "content": content, "looks": {}, **more}


def test_a_card_says_what_a_painter_is_and_how_to_make_it_again(shelf):
    evaluation = {"rows": [row("photos themselves", content={}), row("runs/lab"), row("tiny")]}
    cards.write("tiny", json.dumps(evaluation), {"runs/lab": "recipe `lab`, an hour"})
    text = (shelf / "tiny.md").read_text()
    assert text.startswith("# tiny\n")
    assert text.endswith("\nend\n")
    assert " old " not in text
    assert "[`tiny.toml`](tiny.toml), seed 7" in text
    assert "30 of 40, batch 1" in text
    assert "pleinair train --recipe tiny.toml --seed 7 --steps 40 --photos PHOTOS" in text
    assert "--init-from older --teacher monet --out RUN" in text
    assert "| the photographs themselves | 0.0200 (0.0100 to 0.0300) |" in text
    assert "| recipe `lab`, an hour | 0.65 (0.6 to 0.7) |" in text
    assert (
        "| **tiny** | 0.0200 (0.0100 to 0.0300) | 0.0200 (0.0100 to 0.0300) | 100.0 ± 5.0 |" in text
    )


def test_a_frechet_distance_of_few_pictures_has_no_error(shelf):
    few = row("paintings, halved")
    for score in few["scores"].values():
        score["frechet_error"] = None
    cards.write("tiny", json.dumps({"rows": [few, row("tiny")]}), {})
    assert "| 0.0200 (0.0100 to 0.0300) | 100.0 | 100.0 |" in (shelf / "tiny.md").read_text()


@pytest.mark.parametrize("name", sorted(path.stem for path in cards.FOLDER.glob("*.onnx")))
def test_the_card_of_a_shipped_painter_says_how_to_make_it(name):
    assert cards.facts(name) in (cards.FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "shown"), [("photos", "PHOTOS"), ("fog.csv", "fog.csv")])
def test_a_folder_is_to_be_filled_in_and_a_manifest_is_named(name, shown):
    assert cards._place(name) == shown


def test_the_card_of_a_way_back_calls_paintings_what_they_are(shelf):
    evaluation = {"rows": [row("photos themselves", content={}), row("tiny")]}
    cards.write("tiny", json.dumps(evaluation), cards.BACK)
    assert "| the paintings themselves | 0.0200" in (shelf / "tiny.md").read_text()


def test_a_painter_of_another_recipe_gets_no_card(shelf):
    (shelf / "tiny.toml").write_text('base = "swift"\nsteps = 41\n[generator]\nchannels = 8\n')
    with pytest.raises(SystemExit, match=r"tiny.onnx was not made by .*tiny\.toml"):
        cards.facts("tiny")
