"""Write the pages that are made of the code, or check that they are up to date.

docs/cli.md of the command line's own help and of the recipes, docs/api.md of docstrings,
docs/rooms.svg of the contracts between rooms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import rooms
from cyclopts import App
from rich.console import Console

import reference
from pleinair import config
from pleinair import recipes as recipe_files
from pleinair.cli import COMMANDS, HOMES, app

DOCS = Path(__file__).parent


def help_of(command: list[str]) -> str:
    """What `pleinair COMMAND --help` prints on a plain page."""
    page = io.StringIO()
    console = Console(file=page, width=88, force_terminal=False, color_system=None)
    with contextlib.suppress(SystemExit):
        app([*command, "--help"], console=console)
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def commands() -> Iterator[list[str]]:
    """Every command, and the sub-commands of each."""
    for name in COMMANDS:
        yield [name]
        home, function = HOMES.get(name, (name, name))
        command = getattr(import_module(f"pleinair.cli.{home}"), function)
        if isinstance(command, App):
            yield from ([name, under] for under in command if not under.startswith("-"))


def recipes() -> str:
    """The recipes side by side."""
    names = list(config.RECIPES)
    lines = ["| setting | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for field in dataclasses.fields(config.Recipe):
        values = [getattr(config.RECIPES[name], field.name) for name in names]
        if field.name in ("generator", "discriminator"):
            specs = [recipe_files.spec_to_dict(value) for value in values]
            values = [", ".join(f"{k} = {v}" for k, v in spec.items()) for spec in specs]
        lines.append(f"| `{field.name}` | " + " | ".join(f"`{value}`" for value in values) + " |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    parts = ["# Command line", "", "Made by `make docs`; do not edit.", ""]
    for command in ([], *commands()):
        title = " ".join(["pleinair", *command])
        parts += [f"## `{title}`", "", "```text", help_of(command), "```", ""]
    parts += ["## Recipes", "", recipes(), ""]
    return "\n".join(parts)


def made() -> dict[Path, str]:
    """Every file that is made of the code, and what has to be in it."""
    return {
        DOCS / "cli.md": page(),
        DOCS / "api.md": reference.page(),
        DOCS / "rooms.svg": rooms.drawing(),
    }


def main() -> None:
    """Write the files, or with --check exit 1 where one is out of date."""
    for target, text in made().items():
        if "--check" not in sys.argv:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{target.name} is out of date; run make docs.")


if __name__ == "__main__":
    main()
