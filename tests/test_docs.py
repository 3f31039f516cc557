"""Documentation that cannot go stale."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
from PIL import Image

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


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
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
            # Of commands that have others under them, those are the functions.
            name = words[2] if words[1] in ("data", "painters") else words[1]
            assert command.__name__.rstrip("_") == name, line
            assert bound is not None
    assert {"paint", "train", "export"} <= known


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(SAMPLES[0].read_bytes())
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "photo.monet.jpg").exists()


def test_the_python_of_its_page_runs(tmp_path, monkeypatch, capsys):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    monkeypatch.chdir(tmp_path)
    photo = Image.open(SAMPLES[0]).resize((320, 240))
    photo.save("photo.jpg")
    (tmp_path / "holiday").mkdir()
    photo.resize((64, 48)).save("holiday/beach.png")
    with av.open("clip.mp4", "w") as clip:
        stream = clip.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            clip.mux(stream.encode(av.VideoFrame.from_image(photo.resize((64, 48)))))
        clip.mux(stream.encode(None))
    for block in blocks("python", "docs/python.md"):
        exec(compile(block, "python.md", "exec"), {})
    printed = capsys.readouterr().out
    for name in ("photo.monet.jpg", "loose.png", "paintings/beach.png", "painted.mp4"):
        assert (tmp_path / name).exists(), name
    assert "painted holiday/beach.png paintings/beach.png" in printed
    assert "painted.mp4 2 ()" in printed


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
