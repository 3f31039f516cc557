"""The page of the API, from signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import Any

import pleinair

# What users are told to use, by the room that has it. All else may change without a word.
PUBLIC: dict[str, tuple[str, ...]] = {
    "pleinair": tuple(pleinair.__all__),
    "pleinair.settings": ("PaintOptions", "ServeSettings", "SERVE"),
    "pleinair.folders": ("Done",),
    "pleinair.scale": ("paint_library",),
    "pleinair.crew": ("Outcome",),
    "pleinair.video": ("Film",),
    "pleinair.runtime": ("Engine", "Measuring", "devices"),
    "pleinair.config": (
        "Recipe", "UNetSpec", "ResNetSpec", "LightSpec", "AnySpec", "PatchSpec", "FeatureSpec",
    ),
    "pleinair.images": ("Picture", "read", "write"),
    "pleinair.networks": ("build",),
    "pleinair.importing": ("import_painter", "Imported"),
    "pleinair.exports": ("export",),
    "pleinair.web": ("make_app",),
    "pleinair.errors": (
        "UsageError", "ImageError", "VideoError", "OutputError", "DataError", "PainterError",
        "RecipeError", "TrainingError", "CheckpointError", "ExportError", "MissingExtraError",
    ),
}  # fmt: skip

# Values cannot say in Python what they are.
VALUES = {
    "RECIPES": "Every recipe that has a name: `dict[str, Recipe]` of `light`, `paper`, `cut` and "
    "`lab`. What each sets is on [the page of recipes](recipes.md).",
    "SERVE": "The defaults and limits of a server, a `ServeSettings`.",
    "__version__": "The version of this package, as `0.1.0`.",
}


@dataclass(frozen=True)
class Entry:
    """A public name: what it is called in full, and what it is."""

    room: str
    name: str
    value: Any

    @property
    def text(self) -> str:
        """What is said of it, in Markdown."""
        return VALUES.get(self.name) or inspect.getdoc(self.value) or ""

    @property
    def summary(self) -> str:
        """The first paragraph of it, in one line, as a table can hold it."""
        return " ".join(self.text.split("\n\n")[0].split()).replace("|", r"\|")


def entries() -> Iterator[Entry]:
    """Every public name, in the order of the page."""
    for room, names in PUBLIC.items():
        module = import_module(room)
        for name in names:
            yield Entry(room, name, getattr(module, name))


def methods(value: type) -> Iterator[tuple[str, Any]]:
    """What a class offers by itself: methods and properties whose names have no underscore."""
    for name, member in vars(value).items():
        if not name.startswith("_"):
            if isinstance(member, classmethod | staticmethod):
                member = member.__func__
            if inspect.isfunction(member) or isinstance(member, property):
                yield name, member


def shown(default: Any) -> str:
    """A default as a caller would write it; `...` where it is no plain value, as a path of ours."""
    if default is None or isinstance(default, bool | int | float | str | tuple):
        return json.dumps(default) if isinstance(default, str) else repr(default)
    kind = type(default)
    return f"{kind.__name__}()" if is_dataclass(default) and default == kind() else "..."


def signature(name: str, function: Callable[..., Any]) -> str:
    """`name(parameters) -> result`, a line for each parameter where one line is too short."""
    found = inspect.signature(function)
    words: list[str] = []
    before: inspect._ParameterKind | None = None
    for one in found.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and before not in (one.kind, one.VAR_POSITIONAL):
            words.append("*")
        if before is one.POSITIONAL_ONLY and one.kind is not before:
            words.append("/")
        before = one.kind
        stars = "*" * (one.kind is one.VAR_POSITIONAL) + "**" * (one.kind is one.VAR_KEYWORD)
        default = "" if one.default is one.empty else f" = {shown(one.default)}"
        words.append(f"{stars}{one.name}: {one.annotation}{default}")
    if before is inspect.Parameter.POSITIONAL_ONLY:
        words.append("/")
    result = "" if function.__name__ == "__init__" else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(words)}){result}"
    if len(line) <= 88:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){result}"


def fields(value: type) -> str:
    """The fields of a dataclass as they are written, with the comments that explain them."""
    source = textwrap.dedent(inspect.getsource(value))
    tree = ast.parse(source)
    kept = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    if not kept:
        return ""
    lines = source.splitlines()[kept[0].lineno - 1 : kept[-1].end_lineno]
    return f"class {value.__name__}:\n" + "\n".join(lines)


def code(text: str) -> list[str]:
    """A fenced block that is shown and not run."""
    return ["```py", text, "```", ""]


def prose(text: str) -> list[str]:
    """A docstring as Markdown, which it is but for the examples of doctest."""
    parts = []
    for paragraph in text.split("\n\n"):
        example = paragraph.startswith(">>>")
        parts += [f"```pycon\n{paragraph}\n```" if example else paragraph, ""]
    return parts


def section(entry: Entry) -> list[str]:
    """A name with all that is said of it."""
    value = entry.value
    parts = [f"### `{entry.name}`", ""]
    if inspect.isfunction(value):
        parts += code(signature(entry.name, value))
    elif inspect.isclass(value) and is_dataclass(value):
        parts += code(fields(value))
    elif inspect.isclass(value) and getattr(value, "_is_protocol", False):
        if "__call__" in vars(value):
            parts += code(signature(entry.name.lower(), vars(value)["__call__"]))
    elif inspect.isclass(value) and "__init__" in vars(value):
        parts += code(signature(entry.name, vars(value)["__init__"]))
    parts += prose(entry.text)
    if inspect.isclass(value):
        for name, member in methods(value):
            parts += [f"#### `{entry.name}.{name}`", ""]
            if not isinstance(member, property):
                parts += code(signature(name, member))
            if text := inspect.getdoc(member):
                parts += prose(text)
    return parts


def page() -> str:
    """The whole page."""
    parts = [
        "# API reference",
        "",
        "Made by `make docs` from signatures and docstrings; do not edit.",
        "",
        "These names are public: they stay, or keep working for a version after a notice in the",
        "[changes](../CHANGELOG.md). All others are the package's own affair. Examples that run:",
        "[Python](python.md).",
        "",
        "| name | from | what it is |",
        "|---|---|---|",
    ]
    all_of_them = list(entries())
    for entry in all_of_them:
        anchor = entry.name.lower()
        parts.append(f"| [`{entry.name}`](#{anchor}) | `{entry.room}` | {entry.summary} |")
    room = ""
    for entry in all_of_them:
        if entry.room != room:
            room = entry.room
            parts += ["", f"## `{room}`", ""]
        parts += section(entry)
    return "\n".join(parts).rstrip() + "\n"
