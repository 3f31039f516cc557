"""Recipes and specs as plain values: to and from dictionaries and TOML files, checked."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal

from pleinair.config import RECIPES, SPEC_KINDS, Recipe, Spec, size_multiple
from pleinair.errors import RecipeError


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """A spec as plain values, its kind under `kind`."""
    kind = next(name for name, cls in SPEC_KINDS.items() if type(spec) is cls)
    return {"kind": kind, **dataclasses.asdict(spec)}


def spec_from_dict(values: dict[str, Any]) -> Spec:
    """The inverse of `spec_to_dict`. Raises RecipeError for an unknown kind or field."""
    rest = dict(values)
    kind = rest.pop("kind", None)
    if kind not in SPEC_KINDS:
        raise RecipeError(f"network kind {kind!r} is unknown; use one of {_listed(SPEC_KINDS)}.")
    return typing.cast(Spec, _checked(SPEC_KINDS[kind], rest, f"{kind} network"))


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
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"recipe file {path} cannot be read ({error}).") from error
    base = changes.pop("base", "light")
    if base not in RECIPES:
        raise RecipeError(f"{path}: base {base!r} is unknown; use {_listed(RECIPES)}.")
    values = recipe_to_dict(RECIPES[base])
    for part in ("generator", "discriminator"):
        table = changes.pop(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{path}: {part} must be a table of settings, not {table!r}.")
        same_kind = table.get("kind", values[part]["kind"]) == values[part]["kind"]
        values[part] = {**(values[part] if same_kind else {}), **table}
    return recipe_from_dict({**values, "name": path.stem, **changes})


def _checked(cls: type[Any], values: dict[str, Any], what: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            raise RecipeError(f"{what} has no setting {key!r}; use one of {_listed(fields)}.")
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
            raise RecipeError(f"{key} = {value!r} is not known; use one of {choices}.")
        return value
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if all(dataclasses.is_dataclass(kind) for kind in kinds):
        if type(value) not in kinds:
            raise RecipeError(f"{key} must be a table that names a network, not {value!r}.")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise RecipeError(f"{key} = {value!r} must be of type {hint.__name__}.")
    return value


def _validated(recipe: Recipe) -> Recipe:
    multiple = size_multiple(recipe.generator)
    problems = {
        f"crop = {recipe.crop} must be a positive multiple of {multiple}": recipe.crop < 1
        or recipe.crop % multiple != 0,
        f"resize_min = {recipe.resize_min} must be at least crop = {recipe.crop}": recipe.resize_min
        < recipe.crop,
        f"resize_max = {recipe.resize_max} must be at least resize_min = {recipe.resize_min}": (
            recipe.resize_max < recipe.resize_min
        ),
        "discriminator_batch must be at least batch": recipe.discriminator_batch < recipe.batch,
        "batch and steps must be at least 1": recipe.batch < 1 or recipe.steps < 1,
        f"cycle_pool = {recipe.cycle_pool} must be from 1 to crop": not 1
        <= recipe.cycle_pool
        <= recipe.crop,
        "pool_size and warmup_steps must not be negative": min(
            recipe.pool_size, recipe.warmup_steps
        )
        < 0,
        "rates must be positive": min(recipe.generator_rate, recipe.discriminator_rate) <= 0,
        "weights and cycle_noise must not be negative": min(
            recipe.cycle_weight,
            recipe.cycle_end_weight,
            recipe.identity_weight,
            recipe.identity_end_weight,
            recipe.cycle_noise,
            recipe.ripple_weight,
        )
        < 0,
        "identity_ramp must be in (0, 1]": not 0 < recipe.identity_ramp <= 1,
        "decay_from must be in [0, 1]": not 0 <= recipe.decay_from <= 1,
        "ema_decay must be in [0, 1)": not 0 <= recipe.ema_decay < 1,
        "beta1 must be in [0, 1)": not 0 <= recipe.beta1 < 1,
    }
    for problem, found in problems.items():
        if found:
            raise RecipeError(f"recipe {recipe.name!r}: {problem}.")
    return recipe


def _listed(names: typing.Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
