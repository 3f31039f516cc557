"""`python -m ablations`: train what is missing, measure what steps cost, make the table."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablations import choices, results
from ablations.choices import Choice, Trial

REPOSITORY = Path(__file__).parents[1]
_PAGE = REPOSITORY / "docs" / "ablations.md"
_PLEINAIR = [sys.executable, "-m", "pleinair"]


def main() -> int:
    """Do what was asked for."""
    options = _options()
    known = choices.load()
    if options.what == "card":
        return _card(options)
    if options.what == "table":
        text = results.put_into(_PAGE, results.table(known, results.load()))
        _PAGE.write_text(text, encoding="utf-8")
        return 0
    wanted = [known[name] for name in options.only or known]
    if options.what == "cost":
        return _costs(known, wanted, options.rounds)
    if options.best:
        names = {choice.name for choice in wanted}
        rung = [one for one in results.load() if one.choice in names]
        wanted = [known[name] for name in results.best(rung, options.of, options.best)]
        if not wanted:
            raise SystemExit(f"none was tried for --of {options.of}; run --budget {options.of}.")
        _say(f"the best after {options.of}: {', '.join(choice.name for choice in wanted)}")
    return _run(wanted, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ablations", description=__doc__)
    actions = parser.add_subparsers(dest="what", required=True)
    run = actions.add_parser("run", help="train and score what is missing")
    run.add_argument("--data", type=Path, required=True, help="with train/ and val/, each of both")
    run.add_argument("--budget", type=int, default=600, help="time of so many steps of the first")
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    run.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="a thread each")
    run.add_argument("--minutes", type=float, default=1e9, help="after which no trial begins")
    run.add_argument("--best", type=int, help="so many of --only go on: those that did best in")
    run.add_argument("--of", type=int, default=300, help="the time of so many steps")
    run.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "ablations")
    cost = actions.add_parser("cost", help="seconds a step, relative to the first choice's")
    cost.add_argument("--rounds", type=int, default=12)
    for action in (run, cost):
        action.add_argument("--only", nargs="+", help="choices; by default all")
    actions.add_parser("table", help="put the table into docs/ablations.md")
    card = actions.add_parser("card", help="put facts and scores into a shipped painter's card")
    card.add_argument("painter")
    card.add_argument("--photos", type=Path, required=True, help="to paint, not trained on")
    card.add_argument("--paintings", type=Path, required=True, help="to compare with, likewise")
    card.add_argument(
        "--beside", nargs="*", default=[], metavar="PATH=LABEL", help="other painters"
    )
    card.add_argument(
        "--back", action="store_true", help="--photos has paintings to make photos of"
    )
    return parser.parse_args()


def _run(wanted: list[Choice], options: argparse.Namespace) -> int:
    done = {(one.choice, one.budget, one.seed) for one in results.load()}
    trials = [
        Trial(choice, seed, options.budget)
        for choice in wanted
        for seed in options.seeds
        if (choice.name, options.budget, seed) not in done
    ]
    end = time.monotonic() + 60 * options.minutes

    def one(trial: Trial) -> None:
        if time.monotonic() < end:
            result = _tried(trial, options.out / trial.name, options.data)
            results.add(result)
            _say(f"{trial.name}: {result.minutes:.1f} min, {result.scores}")

    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(one, trials))
    return 0


def _tried(trial: Trial, out: Path, data: Path) -> results.Result:
    """Train, going on where that was stopped, and score on held-out pictures."""
    steps = trial.choice.steps(trial.budget)
    out.parent.mkdir(parents=True, exist_ok=True)
    if (out / "checkpoints").is_dir() and any((out / "checkpoints").iterdir()):
        words = ["--resume", str(out)]
    else:
        recipe = out.with_suffix(".toml")
        recipe.write_text(_toml(trial.choice.recipe), encoding="utf-8")
        words = ["--recipe", str(recipe), "--out", str(out), "--seed", str(trial.seed)]
        words += ["--photos", str(data / "train" / "photos"), "--steps", str(steps)]
        words += ["--paintings", str(data / "train" / "paintings")]
        words += ["--score-every", str(10 * steps), "--sample-every", str(steps)]
        words += ["--teacher", trial.choice.teacher] if trial.choice.teacher else []
    _pleinair("train", *words, "--device", "cpu")
    lines = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    if (last := max(line["step"] for line in history)) < steps:  # a signal ends a training well
        raise SystemExit(f"{out} was stopped at step {last:,} of {steps:,}; run this again.")
    painter = out.with_suffix(".onnx")
    _pleinair("export", str(out), str(painter), "--force")
    told = _pleinair(
        *("evaluate", str(painter), "--json"),
        *("--photos", str(data / "val" / "photos"), "--paintings", str(data / "val" / "paintings")),
    )
    seconds = max(line.get("seconds", 0.0) for line in history)
    scores = results.scores_of(json.loads(told)["rows"][-1])
    return results.Result(trial.choice.name, trial.budget, trial.seed, steps, seconds / 60, scores)


def _card(options: argparse.Namespace) -> int:
    """Score a shipped painter beside others, and write its card."""
    from ablations import cards

    labels = dict(one.split("=", 1) for one in options.beside)
    places = ["--photos", str(options.photos), "--paintings", str(options.paintings)]
    told = _pleinair("evaluate", *labels, options.painter, "--json", *places)
    cards.write(options.painter, told, (cards.BACK if options.back else {}) | labels)
    return 0


def _pleinair(*words: str) -> str:
    """Standard output of a command on one thread, which has to succeed."""
    done = subprocess.run(
        [*_PLEINAIR, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"pleinair {' '.join(words)} fails: {done.stderr[-2000:]}")
    return done.stdout


def _toml(values: dict[str, object]) -> str:
    """A recipe file; tables last, as TOML has it."""
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(values[name])}" for name in values if name not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _costs(known: dict[str, Choice], wanted: list[Choice], rounds: int) -> int:
    """Steps of all take turns, on one thread, so that other work slows all alike."""
    import torch

    from pleinair.beginnings import appoint_teacher
    from pleinair.recipes import load_recipe
    from pleinair.session import Session
    from pleinair.step import train_step

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    first = next(iter(known.values()))
    sessions = {}
    for choice in {one.name: one for one in (first, *wanted)}.values():
        file = REPOSITORY / "runs" / f"cost-{choice.name}.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(_toml(choice.recipe), encoding="utf-8")
        sessions[choice.name] = Session.start(load_recipe(str(file)), 0, torch.device("cpu"))
        file.unlink()
        appoint_teacher(sessions[choice.name], Path(choice.teacher) if choice.teacher else None)
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            recipe = session.recipe
            both = max(recipe.batch, recipe.discriminator_batch)
            shape = (both, 3, recipe.crop, recipe.crop)
            photo = torch.rand(shape) * 2 - 1
            painting = torch.rand((recipe.candidates * both, *shape[1:])) * 2 - 1
            session.step = 10**6  # past what the first steps leave out
            start = time.perf_counter()
            train_step(session, photo, painting, 0.5)
            taken[name].append(time.perf_counter() - start)
    usual = statistics.median(taken[first.name])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        _say(f"{name}: {median:.3f} s a step, cost {median / usual:.2f}")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
