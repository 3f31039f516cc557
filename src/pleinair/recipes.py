"""Recipes and specs as plain values: to and from dictionaries and TOML files, checked."""

from __future__ import annotations

import dataclasses
import difflib
import math
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, Literal

from pleinair import parsing
from pleinair.config import RECIPES, SPEC_KINDS, FeatureSpec, PatchSpec, Recipe, Spec, size_multiple
from pleinair.errors import RecipeError

_MOST = 2**62  # of whole numbers; computing goes on in 64 bits
# What a network can be built of, and no more than machines can: files of strangers say it, too.
_SIZES = {
    ("", "channels"): (1, 2**12),
    ("", "half_channels"): (1, 2**12),
    ("", "detail_channels"): (1, 2**12),
    ("patch", "detail_channels"): (0, 2**12),
    ("", "blocks"): (0, 2**8),
    ("", "depth"): (2, 16),
    ("", "layers"): (0, 16),
    ("", "scales"): (1, 8),
}


def spec_name(spec: Spec) -> str:
    """What the kind of network is called, as `light`."""
    return next(name for name, cls in SPEC_KINDS.items() if type(spec) is cls)


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """A spec as plain values, its kind under `kind`."""
    return {"kind": spec_name(spec), **dataclasses.asdict(spec)}


def spec_from_dict(values: dict[str, Any]) -> Spec:
    """The inverse of `spec_to_dict`. Raises RecipeError for an unknown kind or field."""
    rest = dict(values)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str) or kind not in SPEC_KINDS:
        raise RecipeError(
            f"network kind {_shown(kind)} is unknown; use one of {_listed(SPEC_KINDS)}."
        )
    spec = typing.cast(Spec, _checked(SPEC_KINDS[kind], rest, f"{kind} network"))
    for key, value in vars(spec).items():
        least, most = _SIZES.get((kind, key), _SIZES.get(("", key), (-_MOST, _MOST)))
        if type(value) is int and not least <= value <= most:
            raise RecipeError(f"{kind} network: {key} = {value} must be from {least} to {most}.")
    return spec


def spec_from_text(text: str) -> Spec:
    """A spec as files of weights keep it, in JSON. Raises RecipeError."""
    try:
        values = parsing.object_of(text)
    except ValueError as error:
        raise RecipeError(f"a network's spec cannot be read ({error}).") from error
    return spec_from_dict(values)


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values, as checkpoints and `--dry-run` keep it."""
    values = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    values["generator"] = spec_to_dict(recipe.generator)
    values["discriminator"] = spec_to_dict(recipe.discriminator)
    return values


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The inverse of `recipe_to_dict`. Raises RecipeError for an unknown or missing field."""
    rest = dict(values)
    for part in ("generator", "discriminator"):
        if isinstance(rest.get(part), dict):
            rest[part] = spec_from_dict(rest[part])
    return _validated(typing.cast(Recipe, _checked(Recipe, rest, "recipe")))


def load_recipe(name_or_file: str) -> Recipe:
    """A recipe by name, or from a TOML file that names its `base` and what differs from it.

    Raises RecipeError for an unknown name, an unreadable file, an unknown key or a bad value.
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    path = Path(name_or_file)
    if path.suffix != ".toml":
        raise RecipeError(
            f"recipe {name_or_file!r} is unknown; use {_listed(RECIPES)} or a .toml file."
        )
    try:
        changes = parsing.toml_of(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RecipeError(f"recipe file {path} cannot be read ({error}).") from error
    base = changes.pop("base", "light")
    if not isinstance(base, str) or base not in RECIPES:
        raise RecipeError(f"{path}: base {_shown(base)} is unknown; use {_listed(RECIPES)}.")
    values = recipe_to_dict(RECIPES[base])
    for part in ("generator", "discriminator"):
        table = changes.pop(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{path}: {part} must be a table of settings, not {_shown(table)}.")
        same_kind = table.get("kind", values[part]["kind"]) == values[part]["kind"]
        values[part] = {**(values[part] if same_kind else {}), **table}
    return recipe_from_dict({**values, "name": path.stem, **changes})


def _checked(cls: type[Any], values: dict[str, Any], what: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            use = f"did you mean {near[0]}?" if near else f"use one of {_listed(fields)}."
            raise RecipeError(f"{what} has no setting {_shown(key)}; {use}")
    hints = typing.get_type_hints(cls)
    converted = {key: _converted(value, hints[key], key) for key, value in values.items()}
    try:
        return cls(**converted)
    except TypeError as error:
        raise RecipeError(f"{what} is incomplete: {error}.") from error


def _converted(value: Any, hint: Any, key: str) -> Any:
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            choices = _listed(typing.get_args(hint))
            raise RecipeError(f"{key} = {_shown(value)} is not known; use one of {choices}.")
        return value
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if all(dataclasses.is_dataclass(kind) for kind in kinds):
        if type(value) not in kinds:
            raise RecipeError(f"{key} must be a table that names a network, not {_shown(value)}.")
        return value
    if type(value) is int and not -_MOST <= value <= _MOST:
        raise RecipeError(f"{key} = {_shown(value)} is too large a number.")
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise RecipeError(f"{key} = {_shown(value)} must be of type {hint.__name__}.")
    if hint is float and not math.isfinite(value):
        raise RecipeError(f"{key} = {value} must be a finite number.")
    return value


def _shown(value: object) -> str:
    """What a file says, for a sentence: not longer than one, however long or deep it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"


def _validated(recipe: Recipe) -> Recipe:
    r, multiple = recipe, size_multiple(recipe.generator)
    weights = (
        *(r.cycle_weight, r.cycle_end_weight, r.identity_weight, r.identity_end_weight),
        *(r.nce_weight, r.ripple_weight, r.r1_weight, r.cycle_noise),
        *(r.content_weight, r.drift_weight, r.drift_margin, r.chroma_weight, r.chroma_margin),
        *(r.fleck_weight, r.fleck_margin),
        *(r.teacher_weight, r.teacher_feature_weight, r.lattice_weight),
    )
    counts = (r.pool_size, r.warmup_steps, r.rate_warmup_steps)
    one_way = r.direction == "painting"
    problems = {
        f"crop = {r.crop} must be a positive multiple of {multiple}": r.crop < 1
        or r.crop % multiple != 0,
        f"resize_min = {r.resize_min} must be at least crop = {r.crop}": r.resize_min < r.crop,
        f"resize_max = {r.resize_max} must be at least resize_min = {r.resize_min}": (
            r.resize_max < r.resize_min
        ),
        "discriminator_batch must be at least batch": r.discriminator_batch < r.batch,
        "batch, candidates, accumulate, steps, r1_every and nce_patches must be at least 1": (
            min(r.batch, r.candidates, r.accumulate, r.steps, r.r1_every, r.nce_patches) < 1
        ),
        'candidates ask for a discriminator of kind "features"': (
            r.candidates > 1 and not isinstance(r.discriminator, FeatureSpec)
        ),
        f"cycle_pool = {r.cycle_pool} must be from 1 to crop": not 1 <= r.cycle_pool <= r.crop,
        f"drift_pool = {r.drift_pool} must be from 1 to crop": not 1 <= r.drift_pool <= r.crop,
        f"chroma_pool = {r.chroma_pool} must be from 1 to crop": not 1 <= r.chroma_pool <= r.crop,
        f"lattice_weight asks for a crop of 12 pixels or more, not {r.crop}": (
            r.lattice_weight > 0 and r.crop < 12
        ),
        "pool_size, warmup_steps and rate_warmup_steps must not be negative": min(counts) < 0,
        "rates must be positive": min(r.generator_rate, r.discriminator_rate) <= 0,
        "weights, cycle_noise and margins must not be negative": min(weights) < 0,
        "nce_temperature must be positive": r.nce_temperature <= 0,
        'nce_weight asks for direction = "painting"': r.nce_weight > 0 and not one_way,
        'identity_weight has no place in direction = "painting"; nce_identity does its work': (
            one_way and max(r.identity_weight, r.identity_end_weight) > 0
        ),
        "identity_ramp must be in (0, 1]": not 0 < r.identity_ramp <= 1,
        "decay_from must be in [0, 1]": not 0 <= r.decay_from <= 1,
        "augment_above must be in [0, 1]": not 0 <= r.augment_above <= 1,
        "ema_decay must be in [0, 1)": not 0 <= r.ema_decay < 1,
        "beta1 and beta2 must be in [0, 1)": not (0 <= r.beta1 < 1 and 0 <= r.beta2 < 1),
        "deepest of a discriminator must be 4, 8, 16 or 32": (
            isinstance(r.discriminator, FeatureSpec)
            and r.discriminator.deepest not in (4, 8, 16, 32)
        ),
        'content_weight asks for a discriminator of kind "features", of deepest 8 or more; with '
        "any other, set content_weight = 0": (
            r.content_weight > 0
            and not (isinstance(r.discriminator, FeatureSpec) and r.discriminator.deepest >= 8)
        ),
        'teacher_feature_weight asks for a discriminator of kind "features"': (
            r.teacher_feature_weight > 0 and not isinstance(r.discriminator, FeatureSpec)
        ),
        "teacher_flecks must be from 0 to 2, teacher_dusk and teacher_dabs from 0 to 1, and "
        "teacher_light from 1 to 2": not (
            0 <= r.teacher_flecks <= 2
            and 0 <= r.teacher_dusk <= 1
            and 0 <= r.teacher_dabs <= 1
            and 1 <= r.teacher_light <= 2
        ),
        "teacher_flecks, teacher_dusk, teacher_light and teacher_dabs correct what a teacher "
        "paints, so they ask for a teacher_weight or a teacher_feature_weight": (
            (r.teacher_flecks, r.teacher_dusk, r.teacher_light, r.teacher_dabs) != (1, 0, 1, 0)
            and max(r.teacher_weight, r.teacher_feature_weight) <= 0
        ),
        f"discriminator_shift = {r.discriminator_shift} must be from 0 to half of crop": (
            not 0 <= r.discriminator_shift <= r.crop // 2
        ),
        "palette of a discriminator must be from 0 to half of crop - discriminator_shift": (
            isinstance(r.discriminator, FeatureSpec)
            and not 0 <= r.discriminator.palette <= (r.crop - r.discriminator_shift) // 2
        ),
        "finest of a discriminator must be 2 or 4": (
            isinstance(r.discriminator, FeatureSpec) and r.discriminator.finest not in (2, 4)
        ),
        f"photo_zoom = {r.photo_zoom} must be from 1 to 8": not 1 <= r.photo_zoom <= 8,
        "scales of a discriminator must be at least 1": (
            isinstance(r.discriminator, PatchSpec) and r.discriminator.scales < 1
        ),
    }
    for problem, found in problems.items():
        if found:
            raise RecipeError(f"recipe {recipe.name!r}: {problem}.")
    return recipe


def _listed(names: typing.Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
