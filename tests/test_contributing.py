"""What maintainers read, held against the code."""

from __future__ import annotations

import re
import tomllib
from datetime import date

import pytest
import yaml

from pleinair import __version__

from .conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "pleinair"
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def rooms() -> list[str]:
    """The names in the first column of the table of rooms."""
    (table,) = re.findall(r"^\| room \|.*\n\|---.*\n((?:\|.*\n)+)", CONTRIBUTING, re.MULTILINE)
    return [
        name for row in table.splitlines() for name in re.findall(r"`(.+?)`", row.split("|")[1])
    ]


def modules() -> set[str]:
    """Every module and package of pleinair, one below it by its dotted name."""
    found = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")}
    return {
        ".".join(path.parts).removesuffix(".__init__")
        for path in found
        if path.name not in ("__init__", "__main__") or len(path.parts) > 1
    }


def test_every_room_is_in_the_table_once():
    listed = [name for name in rooms() if not name.endswith("/")]
    assert sorted(listed) == sorted(set(listed))
    top = {name for name in modules() if "." not in name}
    assert top - set(listed) == set(), "rooms that the table lacks"


def test_the_table_has_nothing_else():
    there = modules() | {f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir()}
    assert set(rooms()) - there == set()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert set(form) <= {"name", "description", "title", "labels", "body"}
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    named = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert named
    assert len(named) == len(set(named))
    labels = []
    for part in form["body"]:
        assert set(part) <= {"type", "id", "attributes", "validations"}
        assert part["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        attributes = part["attributes"]
        if part["type"] == "markdown":
            assert attributes["value"]
            continue
        labels.append(attributes["label"])
        if part["type"] in ("dropdown", "checkboxes"):
            assert attributes["options"]
    assert len(labels) == len(set(labels))


def test_the_workflow_does_what_is_done_by_hand():
    text = (REPOSITORY / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    (job,) = flow["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert flow["permissions"] == {"contents": "read"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = job["strategy"]["matrix"]["python"]
    named = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line]
    assert tested == named


def test_the_citation_is_of_this_version():
    text = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert told["cff-version"] == "1.2.0"
    assert told["version"] == __version__
    assert told["license"] == project["license"]
    assert told["title"] == project["name"]
    assert told["authors"] == [{"name": author["name"]} for author in project["authors"]]
    for reference in told["references"]:
        assert {"type", "title", "authors", "year"} <= set(reference)
    released = told.get("date-released")
    assert released is None or isinstance(released, date)
