"""What choices of a recipe are worth: trained, scored, and told in a table."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from ablations import __main__ as ablations
from ablations import choices, results
from ablations.choices import Choice, Trial
from ablations.results import Result

from pleinair.recipes import load_recipe

from .conftest import REPOSITORY

LIGHT = Choice("light", "", "as it is", 1.0, {"base": "light"})
DEAR = Choice("dear", "", "twice the work", 2.0, {"base": "light", "crop": 192})


def result(choice: str, seed: int, kid: float, budget: int = 600) -> Result:
    rest = dict.fromkeys(results._FORMS, 1.0)
    return Result(choice, budget, seed, budget, 5.0, rest | {"KID-Lite2": kid})


@pytest.mark.parametrize("choice", choices.load().values(), ids=lambda choice: choice.name)
def test_every_choice_is_a_recipe(choice, tmp_path):
    file = tmp_path / "choice.toml"
    file.write_text(ablations._toml(choice.recipe))
    found = load_recipe(str(file))
    assert found != load_recipe("light")  # its name at least


def test_choices_without_a_base_begin_with_the_recipe_of_before():
    known = choices.load()
    assert known["before"].recipe["content_weight"] == 0.0
    half = known["half-cycle"].recipe
    assert half["drift_weight"] == 20.0
    assert half["generator"] == {"half_channels": 16, "detail_channels": 16, "keeps": "half"}
    assert known["swift"].recipe == {"base": "swift"}


def test_a_dearer_choice_gets_fewer_steps():
    assert LIGHT.steps(600) == 600
    assert DEAR.steps(600) == 300
    assert Trial(DEAR, 1, 600).name == "dear-600-1"


def test_the_table_has_the_best_first_means_and_noise():
    known = {"light": LIGHT, "dear": DEAR}
    trials = [result("light", 0, 0.05), result("light", 1, 0.07), result("dear", 0, 0.04)]
    text = results.table(known, [*trials, result("gone", 0, 0.0), result("dear", 0, 0.03, 2400)])
    lines = text.splitlines()
    assert lines[0] == "### The time of 600 steps of `light`"
    assert lines[4].startswith("| `dear` | twice the work | 1 | 600 |")
    assert "| 0.0600 ± 0.0100 |" in lines[5]
    assert "KID-Lite2 0.0141" in text
    assert "### The time of 2,400 steps of `light`" in text
    assert "gone" not in text


def test_a_taught_choice_names_its_teacher(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(ablations, "_pleinair", lambda *words: asked.append(words) or "")
    taught = choices.load()["small-taught"]
    assert taught.recipe["generator"] == choices.load()["small-direct"].recipe["generator"]
    with pytest.raises(FileNotFoundError):  # nothing was trained
        ablations._tried(Trial(taught, 0, 4), tmp_path / "out", tmp_path)
    assert asked[0][asked[0].index("--teacher") + 1] == "monet"


def test_the_best_of_a_short_time_go_on(tmp_path, monkeypatch):
    shorter = [result("light", 0, 0.05, 300), result("light", 1, 0.03, 300)]
    shorter += [result("dear", 0, 0.035, 300), result("other", 0, 0.01, 300)]
    shorter += [result("dear", 0, 0.9, 600), result("third", 0, 0.06, 300)]
    assert results.best(shorter, 300, 2) == ["other", "dear"]
    assert results.best(shorter, 2400, 2) == []

    known = {"light": LIGHT, "dear": DEAR}
    monkeypatch.setattr(choices, "load", lambda: known)
    monkeypatch.setattr(results, "load", lambda: shorter)
    ran = []
    monkeypatch.setattr(ablations, "_run", lambda wanted, _options: ran.append(wanted) or 0)
    words = ["run", "--data", "DATA", "--only", "light", "dear", "--best", "1", "--of", "300"]
    monkeypatch.setattr(sys, "argv", ["ablations", *words])
    assert ablations.main() == 0
    assert ran == [[DEAR]]  # not one that was not asked for
    monkeypatch.setattr(sys, "argv", ["ablations", *words[:-1], "900"])
    with pytest.raises(SystemExit, match="none was tried for --of 900"):
        ablations.main()


def test_results_are_kept_as_lines(tmp_path):
    file = tmp_path / "results.jsonl"
    assert results.load(file) == []
    for seed in (0, 1):
        results.add(result("light", seed, 0.123456), file)
    assert [one.scores["KID-Lite2"] for one in results.load(file)] == [0.1235, 0.1235]


def test_figures_of_a_painter_are_those_of_its_row():
    row = {
        "scores": {"Lite0": {"kid": 0.1}, "Lite2": {"kid": 0.2}},
        "content": {"scene_distance": {"value": 0.5}},
        "looks": {"coherence": {"value": 0.3}},
    }
    assert results.scores_of(row) == {
        "KID-Lite0": 0.1,
        "KID-Lite2": 0.2,
        "scene_distance": 0.5,
        "coherence": 0.3,
    }


def test_a_trial_is_trained_scored_and_written_down_once(tmp_path, monkeypatch):
    asked = []

    def pleinair(*words):
        asked.append(words[0])
        if words[0] == "train":
            run = tmp_path / "out" / "dear-4-0"
            run.mkdir(parents=True, exist_ok=True)
            step = len(asked)  # what is asked first is stopped after a step
            (run / "history.jsonl").write_text(f'{{"step": {step}, "seconds": 120.0}}\n')
        row = {"scores": {"Lite0": {"kid": 0.1}}, "content": {}, "looks": {}}
        return json.dumps({"rows": [{}, row]})

    monkeypatch.setattr(ablations, "_pleinair", pleinair)
    monkeypatch.setattr(results, "FILE", tmp_path / "results.jsonl")
    monkeypatch.setattr(results.load, "__defaults__", (tmp_path / "results.jsonl",))
    monkeypatch.setattr(results.add, "__defaults__", (tmp_path / "results.jsonl",))
    monkeypatch.setattr(choices, "load", lambda: {"light": LIGHT, "dear": DEAR})
    words = ["run", "--data", "DATA", "--budget", "4", "--seeds", "0", "--only", "dear"]
    monkeypatch.setattr(sys, "argv", ["ablations", *words, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="was stopped at step 1 of 2; run this again"):
        ablations.main()
    for _ in range(2):
        assert ablations.main() == 0
    assert asked == ["train", "train", "export", "evaluate"]
    (found,) = results.load(tmp_path / "results.jsonl")
    assert (found.choice, found.steps, found.minutes) == ("dear", 2, 2.0)


def test_the_page_has_the_table_of_the_results():
    page = REPOSITORY / "docs" / "ablations.md"
    made = results.put_into(page, results.table(choices.load(), results.load()))
    assert page.read_text(encoding="utf-8") == made, "run python -m ablations table"


def test_costs_are_told():
    words = [sys.executable, "-m", "ablations", "cost", "--rounds", "1", "--only", "narrow"]
    words += ["small-taught"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "before: " in done.stderr
    assert "narrow: " in done.stderr
    assert "small-taught: " in done.stderr
