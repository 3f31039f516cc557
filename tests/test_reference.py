"""Public names and settings: each documented, none forgotten."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import tomllib

import pytest

import pleinair
from pleinair import config

from .conftest import REPOSITORY
from .markdown import MADE, PAGES, anchors, blocks

DOCS = REPOSITORY / "docs"
# Pages for those who change the package speak of all its rooms.
FOR_MAINTAINERS = ("CONTRIBUTING.md", "adding.md", "decisions.md", "design.md", "CHANGELOG.md")
FOR_USERS = [page for page in PAGES if page not in MADE and page.name not in FOR_MAINTAINERS]


@pytest.fixture(scope="module")
def making():
    """The modules in docs/ that make pages."""
    sys.path.insert(0, str(DOCS))
    try:
        yield {name: importlib.import_module(name) for name in ("reference", "rooms")}
    finally:
        sys.path.remove(str(DOCS))


def test_public_names_are_sorted_and_documented(making):
    names = pleinair.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    found = list(making["reference"].entries())
    assert {entry.name for entry in found if entry.room == "pleinair"} == set(names)
    for entry in found:
        assert entry.text, entry.name
        assert entry.name.lower() in anchors(DOCS / "api.md")
        if inspect.isclass(entry.value):
            for name, member in making["reference"].methods(entry.value):
                assert inspect.getdoc(member), (entry.name, name)


def test_every_parameter_of_a_public_name_is_annotated(making):
    def check(function):
        signature = inspect.signature(function)
        for one in signature.parameters.values():
            assert one.name in ("self", "cls") or one.annotation is not one.empty, function
        assert signature.return_annotation is not signature.empty, function

    for entry in making["reference"].entries():
        if inspect.isfunction(entry.value):
            check(entry.value)
        elif inspect.isclass(entry.value):
            for _, member in making["reference"].methods(entry.value):
                check(member.fget if isinstance(member, property) else member)


def imported(text: str) -> set[tuple[str, str]]:
    """Rooms and names that a piece of Python takes from the package."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pleinair"):
            for alias in node.names:
                found.add((node.module, alias.name))
    return found


def test_what_users_are_told_to_use_is_public(making):
    public = making["reference"].PUBLIC
    rooms = {room.removeprefix("pleinair."): names for room, names in public.items()}
    for block in blocks("python", "py", pages=FOR_USERS):
        for room, name in imported(block.text):
            known = (*public.get(room, ()), *pleinair.__all__, *rooms)
            assert name in known, (str(block), room, name)
    for page in FOR_USERS:
        text = page.read_text(encoding="utf-8")
        for room, name in re.findall(r"`pleinair\.([a-z_]+)\.([A-Za-z_]+)", text):
            assert name in (*rooms.get(room, ()), *pleinair.__all__), (page.name, room, name)


def test_what_a_signature_looks_like(making):
    def short(a: int, /, b: str = "x", *, c: float = 0.5) -> None: ...

    def long(photos: list[str], *rest: int, look: pleinair.Look = pleinair.Look()) -> dict: ...  # noqa: B008

    signature = making["reference"].signature
    assert signature("short", short) == 'short(a: int, /, b: str = "x", *, c: float = 0.5) -> None'
    assert signature("long_name_of_a_function", long).splitlines()[2:4] == [
        "    *rest: int,",
        "    look: pleinair.Look = Look(),",
    ]


def test_every_setting_of_a_recipe_is_explained_with_its_values():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    head = next(line for line in text.splitlines() if line.startswith("| setting |"))
    names = [cell.strip(" `") for cell in head.split("|")[2:-2]]
    assert names == list(config.RECIPES)
    last = 2 + len(names)
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == last + 2 and cells[1].startswith("`"):
            rows[cells[1].strip("`")] = cells
    for field in dataclasses.fields(config.Recipe):
        if field.name in ("name", "generator", "discriminator"):
            continue
        values = [str(getattr(config.RECIPES[name], field.name)) for name in names]
        assert rows[field.name][2:last] == values, field.name
        assert len(rows[field.name][last]) > 12, field.name


def test_every_extra_is_explained():
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in project["optional-dependencies"]:
        assert f"\n| `{extra}` |" in text, extra


def test_every_room_is_drawn_and_in_the_table(making):
    drawing = (DOCS / "rooms.svg").read_text(encoding="utf-8")
    table = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = making["rooms"].layers(contracts["tool"]["importlinter"]["contracts"])
    rooms = [room.removeprefix("pleinair.") for layer in layers for room in layer]
    there = {
        path.stem
        for path in (REPOSITORY / "src" / "pleinair").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__", "__main__"}
    assert set(rooms) == there
    for room in rooms:
        assert f">{room}</text>" in drawing, room
        assert f"`{room}`" in table, room


def test_a_page_that_loads_from_elsewhere_is_found():
    sphinx = pytest.importorskip("sphinx", reason="Sphinx is not installed")
    assert sphinx
    sys.path.insert(0, str(DOCS))
    try:
        loaded = importlib.import_module("conf").loaded
    finally:
        sys.path.remove(str(DOCS))
    for text in (
        '<script src="https://cdn.example.org/a.js"></script>',
        "<link rel='stylesheet' href='//fonts.example.org/css'>",
        '<img alt="x" src="http://example.org/a.png">',
        "@import 'https://example.org/a.css'",
        "src: url(https://example.org/a.woff2)",
    ):
        assert len(loaded(text)) == 1, text
    assert not loaded('<a href="https://example.org">x</a><img src="../_images/a.png">')


def test_every_page_has_its_place():
    text = (DOCS / "navigation.toml").read_text(encoding="utf-8")
    pages = [page for chapter in tomllib.loads(text)["chapter"] for page in chapter["pages"]]
    names = [re.sub(r".*<(.*)>", r"\1", page) for page in pages]
    placed = {path for name in names for path in REPOSITORY.glob(f"{name}.md")}
    assert set(DOCS.rglob("*.md")) - placed == {DOCS / "index.md"}
