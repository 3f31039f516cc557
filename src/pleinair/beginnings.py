"""What a run begins with, or learns from, that others have learned: networks and a teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pleinair import checkpoint, foreign, hub
from pleinair.config import AnySpec, LightSpec, Recipe, Spec, size_multiple
from pleinair.errors import TrainingError
from pleinair.session import Session


def warn_where_nothing_holds(recipe: Recipe, say: Callable[[str], None]) -> None:
    """Say so where no loss asks that a painting shows what its photo does."""
    weights = [recipe.content_weight, recipe.nce_weight]
    weights += [recipe.teacher_weight, recipe.teacher_feature_weight]
    if recipe.direction == "both":
        weights += [recipe.cycle_weight, recipe.cycle_end_weight]
    if max(weights) == 0:
        say(
            f"nothing in recipe {recipe.name} holds a painting to its photo, so the scene may be "
            "lost; set content_weight, nce_weight or, both ways, cycle_weight."
        )


def init(session: Session, source: Path, say: Callable[[str], None]) -> None:
    """Begin with a run's best checkpoint, else its newest, or with a painter of any kind."""
    is_run = source.is_dir() and foreign.reader_of(source) is None
    if is_run:
        recipe, state = checkpoint.load_best(source, say)
        session.init_from(recipe, state)
        begun: Spec | AnySpec = recipe.generator
    else:
        painter = foreign.weights_of(hub.find(str(source)))
        session.init_from_painter(painter)
        begun = painter.spec
    _say_what_is_kept(session.recipe.generator, begun, source.name, say)
    session.before[-1]["from"] = source.name
    if not is_run and session.recipe.warmup_steps == 0:
        say(
            "the discriminators are new to this painter and the recipe has no warmup_steps, so "
            "its first steps may spoil it; recipe light has some."
        )


def _say_what_is_kept(
    now: Spec, begun: Spec | AnySpec, name: str, say: Callable[[str], None]
) -> None:
    if isinstance(now, LightSpec) and isinstance(begun, LightSpec) and now.keeps != begun.keeps:
        say(
            f'{name} has keeps = "{begun.keeps}" and this generator keeps = "{now.keeps}": it '
            "begins with its weights, and has to learn anew what of a photo is painted."
        )


def appoint_teacher(session: Session, painter: Path | None) -> None:
    """Learn from what `painter`, a name or a file, makes of the same photos.

    Raises TrainingError where the recipe has no use for it, or asks for one that is not given.
    """
    recipe = session.recipe
    wanted = max(recipe.teacher_weight, recipe.teacher_feature_weight) > 0
    if painter is None:
        if wanted:
            raise TrainingError(
                f"recipe {recipe.name} learns from a teacher; name a painter with --teacher."
            )
        return
    if not wanted:
        raise TrainingError(
            f"recipe {recipe.name} learns from no teacher; set teacher_weight in a recipe file, or "
            "leave --teacher out."
        )
    weights = foreign.weights_of(hub.find(str(painter)))
    multiple = size_multiple(weights.spec)
    if recipe.crop % multiple:
        raise TrainingError(
            f"{painter} paints multiples of {multiple} pixels, and recipe {recipe.name} has crops "
            f"of {recipe.crop}; set crop = {-(-recipe.crop // multiple) * multiple}."
        )
    session.learn_from(weights)
