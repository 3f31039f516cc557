"""Documentation that cannot go stale."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from pleinair import __all__ as public
from pleinair.cli import app

from .conftest import REPOSITORY, SAMPLES

PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "samples" / "CREDITS.md",
    *sorted((REPOSITORY / "src").rglob("*.md")),
]


def test_the_command_line_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, REPOSITORY / "docs" / "generate.py", "--check"], check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def blocks(language: str) -> list[str]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_commands_of_the_readme_exist():
    known = set()
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["pleinair"]:
                continue
            known.add(words[1])
            command, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
            assert command.__name__ == words[1], line
            assert bound is not None
    assert {"paint", "train", "export"} <= known


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(SAMPLES[0].read_bytes())
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "photo.monet.jpg").exists()


def test_public_names_are_sorted_and_documented():
    assert public == sorted(public, key=lambda name: (not name.isupper(), name))
    for name in public:
        assert name == "__version__" or getattr(__import__("pleinair"), name).__doc__ is not None


def test_every_sample_has_its_credit():
    table = (REPOSITORY / "samples" / "CREDITS.md").read_text(encoding="utf-8")
    assert len(SAMPLES) == 5
    for sample in SAMPLES:
        row = next(line for line in table.splitlines() if line.startswith(f"| {sample.name} "))
        assert row.count("|") == 7
