"""The choices: what differs from a recipe, for how many steps."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("choices.toml")


@dataclass(frozen=True)
class Choice:
    """A row of the table.

    cost: seconds a step, relative to the first choice's, by `python -m ablations cost`. recipe:
    what a recipe file says. teacher: a painter, by name, whose paintings are learned from.
    """

    name: str
    group: str
    why: str
    cost: float
    recipe: dict[str, Any]
    teacher: str = ""

    def steps(self, budget: int) -> int:
        """As many as take the time of `budget` steps of the first choice."""
        return round(budget / self.cost)


@dataclass(frozen=True)
class Trial:
    """One training: a choice, a seed, and the time of how many steps of the first choice."""

    choice: Choice
    seed: int
    budget: int

    @property
    def name(self) -> str:
        """Of its folder, and of its line among the results."""
        return f"{self.choice.name}-{self.budget}-{self.seed}"


def load(file: Path = FILE) -> dict[str, Choice]:
    """All choices by name, in order; the first is what all others are compared with."""
    rows = tomllib.loads(file.read_text(encoding="utf-8"))
    defaults = rows.pop("defaults", {})
    return {
        name: Choice(
            name,
            row.get("group", ""),
            row["why"],
            row.get("cost", 1.0),
            _over(row.get("recipe", {}), defaults),
            row.get("teacher", ""),
        )
        for name, row in rows.items()
    }


def _over(recipe: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A recipe over the defaults; one with a base of its own stands for itself."""
    if "base" in recipe:
        return recipe
    tables = {
        name: recipe[name] if "kind" in recipe.get(name, {}) else {**table, **recipe.get(name, {})}
        for name, table in defaults.items()
        if isinstance(table, dict)
    }
    return {**defaults, **recipe, **tables}
