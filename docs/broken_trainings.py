"""Break four trainings on purpose, for docs/troubleshooting.md.

    python docs/broken_trainings.py train --photos DIR --paintings DIR --out WORK [NAME ...]
    python docs/broken_trainings.py pictures --out WORK [NAME ...]

`train` leaves WORK/NAME, a run like any other. `pictures` paints two of samples/ with each run and
with monet, side by side, as docs/broken-NAME.jpg, and prints the run's losses and what the doctor
says of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pleinair import checkpoint, doctor, images, monitoring
from pleinair.config import (
    RECIPES,
    FeatureSpec,
    LightSpec,
    PatchSpec,
    Recipe,
    ResNetSpec,
    UNetSpec,
)
from pleinair.images import Pixels
from pleinair.painter import Painter
from pleinair.plan import Plan
from pleinair.session import Session
from pleinair.training import train

HOME = Path(__file__).parent
PHOTOS = ("island.jpg", "castle.jpg")
SIDE = 256  # pixels
LEARNED = 2  # paintings that are all that the collapsed run sees


@dataclass(frozen=True)
class Trouble:
    """One way to break a training.

    negated: its generators begin as negatives, not as copies. few_paintings: it sees LEARNED only.
    side: pixels at which its paintings are shown. detail: whether a part is shown enlarged, too.
    """

    recipe: Recipe
    steps: int
    negated: bool = False
    few_paintings: bool = False
    side: int = SIDE
    detail: bool = False


def _no_identity(recipe: Recipe, name: str, cycle: float) -> Recipe:
    recipe = replace(recipe, identity_weight=0.0, identity_end_weight=0.0)
    return replace(recipe, name=name, cycle_weight=cycle, cycle_end_weight=cycle)


# `light` holds the scene in other ways, too, which would mend what is to be broken here.
_BARE = replace(
    RECIPES["light"],
    generator=LightSpec(),
    discriminator_shift=0,
    content_weight=0.0,
    drift_weight=0.0,
)

TROUBLES = {
    "copy": Trouble(
        replace(
            _BARE,
            name="copy",
            crop=64,
            warmup_steps=20,
            cycle_weight=100.0,
            cycle_end_weight=100.0,
            cycle_pool=1,
            cycle_noise=0.0,
            identity_weight=100.0,
            identity_end_weight=100.0,
        ),
        steps=200,
    ),
    "lattice": Trouble(
        replace(
            RECIPES["paper"],
            name="lattice",
            generator=ResNetSpec(channels=24, blocks=4),
            discriminator=PatchSpec(channels=32),
            crop=128,
            resize_min=256,
            resize_max=286,
            decay_from=1.0,
        ),
        steps=101,
        detail=True,
    ),
    "collapse": Trouble(
        replace(
            _no_identity(RECIPES["lab"], "collapse", cycle=0.0),
            generator=UNetSpec(channels=16, depth=6),
            discriminator=FeatureSpec(),
            crop=64,
            resize_min=64,
            resize_max=64,
            adversarial="lsgan",
            generator_rate=5e-4,
        ),
        steps=400,
        few_paintings=True,
        side=64,
    ),
    "negative": Trouble(
        replace(_no_identity(_BARE, "negative", 10.0), crop=64, warmup_steps=20),
        steps=120,
        negated=True,
    ),
}


class Teller:
    """Says how a run goes, every 50 steps."""

    def progress(self, step: int, part: float, values: dict[str, float]) -> None:
        if step % 50 == 0:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            print(f"{100 * part:3.0f}%  step {step}  {shown}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def broken(name: str, photos: Path, paintings: Path, out: Path) -> None:
    """Train a run that goes wrong as its name says, in `out`/`name`."""
    trouble = TROUBLES[name]
    start = None
    if trouble.negated:
        start = out / f"{name}-start"
        negate(trouble.recipe, start)
    if trouble.few_paintings:
        paintings = _few(paintings, out / f"{name}-paintings")
    plan = Plan(
        photos=photos,
        paintings=paintings,
        out=out / name,
        recipe=trouble.recipe,
        steps=trouble.steps,
        score_every=10 * trouble.steps,  # never: pictures say more than scores here
        sample_every=100,
        init_from=start,
    )
    train(plan, Teller())


def negate(recipe: Recipe, run: Path) -> None:
    """A run at step 0 whose two generators make negatives, each undoing what the other did."""
    assert isinstance(recipe.generator, LightSpec)  # noqa: S101 -- it begins as a copy
    session = Session.start(recipe, 0, torch.device("cpu"))
    with torch.no_grad():
        for networks in (session.networks, session.best):
            for generator in networks.generators:
                generator.get_parameter("photo_out.weight").copy_(
                    -torch.nn.init.dirac_(torch.empty(3, 3, 3, 3))
                )
    checkpoint.save(checkpoint.path_of(run, 0), recipe, session.state())


def _few(paintings: Path, place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted(paintings.iterdir())[:LEARNED]:
        (place / path.name).write_bytes(path.read_bytes())
    return place


def picture(name: str, run: Path) -> Pixels:
    """A row for each photo: the photo, what the broken run makes of it, and monet's painting."""
    rows, trouble = [], TROUBLES[name]
    ours, monet = Painter.load(run), Painter.load("monet")
    for file in PHOTOS:
        original = images.read(HOME.parent / "samples" / file).pixels
        photo = images.centre_square(original, SIDE)
        painting = ours.paint(images.centre_square(original, trouble.side))
        shown = {"photo": photo, f"run: {name}": images.resize(painting, SIDE, SIDE)}
        if trouble.detail:
            part = painting[64:128, 160:224].repeat(SIDE // 64, axis=0)
            shown["a part, 4 times as large"] = part.repeat(SIDE // 64, axis=1)
        shown["monet"] = monet.paint(photo)
        rows.append([images.captioned(pixels, words) for words, pixels in shown.items()])
    return images.sheet(rows, rows[0][0].shape[0])


def told(run: Path) -> str:
    """The losses of a run, first and last, and what the doctor finds."""
    losses = [line for line in monitoring.read_history(run / "history.jsonl") if "cycle" in line]
    lines = [json.dumps(losses[0]), json.dumps(losses[-1])]
    findings = [one for one in doctor.examine(str(run)).findings if one.level != "ok"]
    lines += [f"{one.level}  {one.name}: {one.found}" for one in findings]
    return "\n".join(lines)


def main() -> None:
    """Train, or show what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "pictures"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TROUBLES)}")
    parser.add_argument("--photos", type=Path, help="of train: a folder of photos")
    parser.add_argument("--paintings", type=Path, help="of train: a folder of paintings")
    parser.add_argument("--out", type=Path, required=True, help="where the runs lie")
    given = parser.parse_args()
    for name in given.names or TROUBLES:
        if given.what == "train":
            broken(name, given.photos, given.paintings, given.out)
            continue
        target = HOME / f"broken-{name}.jpg"
        images.write(images.Picture(picture(name, given.out / name)), target)
        print(f"{target}\n{told(given.out / name)}\n")


if __name__ == "__main__":
    main()
