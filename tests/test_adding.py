"""docs/adding.md, applied to a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "adding.md").read_text(encoding="utf-8")


def titled(language: str) -> list[tuple[str, str]]:
    """(File, block) of every block of this language that names a file."""
    return re.findall(rf'```{language} title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL)


def changed(text: str, hunk: str, name: str) -> str:
    """A file's text after a hunk, whose context and removed lines must be there exactly once."""
    lines = hunk.splitlines(keepends=True)
    before = "\n" + "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n" + "".join(line[1:] for line in lines if not line.startswith("-"))
    text = f"\n{text}"
    assert text.count(before) == 1, f"{name} has {text.count(before)} times:{before}"
    return text.replace(before, after).removeprefix("\n")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The package and its tests with all that the page adds."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "tests", "samples"):
        leave = shutil.ignore_patterns("__pycache__", "page")
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=leave)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    for name, block in titled("diff"):
        path = root / name
        text = path.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@\n", block, flags=re.MULTILINE):
            text = changed(text, hunk, name)
        path.write_text(text, encoding="utf-8")
    for name, block in titled("py"):
        assert not (root / name).exists(), name
        (root / name).write_text(block, encoding="utf-8")
    return root


def test_a_reader_sees_which_file_a_block_is_of():
    # Neither the site nor hosts of code show what stands behind a block's language.
    for name, _ in titled("diff") + titled("py"):
        assert PAGE.count(f"**`{name}`**\n\n```") == PAGE.count(f'title="{name}"'), name


def test_names_that_the_page_speaks_of_are_there():
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "src" / "pleinair").rglob("*.py")
    )
    folders = {path.name for path in (REPOSITORY / "src" / "pleinair").iterdir()}
    for name in set(re.findall(r"`(\w+)`", prose)) - folders - {"flat"}:
        assert re.search(rf"\b{name}\b", code), name


def ran(copy: Path, *words: str) -> None:
    env = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_page_adds_passes_its_tests(copy):
    own = [name for name, _ in titled("py") if name.startswith("tests/")]
    assert len(own) == 2
    chosen = "Flat or pocket or test_tint or test_qoi"
    rooms = ["graphs", "tiling", "config", "networks"]
    files = [*own, *(f"tests/test_{room}.py" for room in rooms)]
    ran(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files)


def test_what_the_page_adds_is_written_as_the_rest(copy):
    files = sorted({name for name, _ in titled("py") + titled("diff")})
    ran(copy, "-m", "ruff", "check", "--no-cache", *files)
    ran(copy, "-m", "ruff", "format", "--no-cache", "--check", *files)


def test_a_recipe_file_may_ask_for_what_the_page_adds(copy):
    code = """
from pathlib import Path
from pleinair.config import FlatSpec
from pleinair.recipes import load_recipe
Path("flat.toml").write_text('tint_weight = 2.0\\n[generator]\\nkind = "flat"\\n')
recipe = load_recipe("flat.toml")
assert (recipe.tint_weight, recipe.generator) == (2.0, FlatSpec())
assert load_recipe("pocket").generator.channels == 32
"""
    ran(copy, "-c", code)


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    from pleinair import exports

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exports, "KINDS", dict(exports.KINDS))
    ((_, block),) = titled("python")
    exec(compile(block, "adding.md", "exec"), {})
    assert "bit for bit" in capsys.readouterr().out
    assert (tmp_path / "monet.npz").exists()
