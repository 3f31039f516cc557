"""The notebook is what its script says, reads as a text, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import itertools
import re
import sys

import pytest
from PIL import Image

from .conftest import REPOSITORY

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")

FOLDER = REPOSITORY / "notebooks"
sys.path.insert(0, str(FOLDER))
execute = pytest.importorskip("execute", reason="nbclient is not installed")
sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(execute.NOTEBOOK, as_version=4)


def markdown(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def shown(notebook) -> list[tuple[str, bytes, str]]:
    """(Kind, bytes, words) of every picture."""
    return [
        (kind, base64.b64decode(data), output.metadata.get(kind, {}).get("alt", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind, data in output.get("data", {}).items()
        if kind.startswith("image/")
    ]


def test_script_and_notebook_are_in_step(monkeypatch, tmp_path):
    assert execute.difference() is None
    text = execute.SCRIPT.read_text(encoding="utf-8")
    changed = tmp_path / execute.SCRIPT.name
    monkeypatch.setattr(execute, "SCRIPT", changed)
    changed.write_text(text.replace("# ## Setup", "# ## Beginning"), encoding="utf-8")
    assert execute.difference().startswith("cell 1 of monet_cyclegan.py ('# Monet by CycleGAN')")
    changed.write_text(f"{text}\n# %%\nprint()\n", encoding="utf-8")
    assert "and monet_cyclegan.ipynb" in execute.difference()


def test_every_idea_is_explained_before_its_code(notebook):
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown"
    for before, kind in itertools.pairwise(kinds):
        assert not (before == kind == "code")
    parts = re.split(r"^## (?=\d)", markdown(notebook), flags=re.MULTILINE)[1:]
    assert len(parts) == 10
    without = [part.splitlines()[0] for part in parts if "**Exercise.**" not in part]
    assert without == []


def test_it_was_run_from_top_to_bottom_and_nothing_complained(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


def test_it_knows_no_machine_but_the_readers(notebook):
    text = "\n".join(
        [execute.SCRIPT.read_text(encoding="utf-8")]
        + [
            output.text
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if output.output_type == "stream"
        ]
    )
    assert re.findall(r"(?<![\w.:/>)\]}])/(?:home|root|tmp|work|usr|Users|var)/[\w/]*", text) == []
    assert set(notebook.metadata) == {"jupytext", "kernelspec", "language_info"}


def test_links_lead_somewhere(notebook):
    text = markdown(notebook)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {f"#{heading.replace(' ', '-')}" for heading in headings}
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target in anchors, target
        elif "://" not in target:
            assert (FOLDER / target.split("#")[0]).exists(), target


def test_its_pictures_are_small_and_have_words(notebook):
    pictures = shown(notebook)
    assert len(pictures) >= 15
    assert sum(len(data) for _, data, _ in pictures) < 2_000_000
    assert execute.NOTEBOOK.stat().st_size < 2_800_000
    for _, data, words in pictures:
        assert len(words) > 20
        assert len(data) < 400_000
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.width <= 1200


def test_its_paintings_have_their_credits():
    files = sorted((FOLDER / "paintings").glob("*.jpg"))
    assert len(files) == 24
    assert sum(file.stat().st_size for file in files) < 700_000
    table = (FOLDER / "paintings" / "CREDITS.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\S+\.jpg) ", table, re.MULTILINE) == [file.name for file in files]
    for file in files:
        with Image.open(file) as painting:
            assert painting.size == (256, 256)
