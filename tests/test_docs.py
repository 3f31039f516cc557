"""Documentation that cannot go stale: links, commands, examples."""

from __future__ import annotations

import importlib
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from pleinair import recipes
from pleinair.cli import COMMANDS, app

from .conftest import REPOSITORY, SAMPLES
from .markdown import MADE, PAGES, anchors, blocks, calls, code_words, links

HAND_WRITTEN = [page for page in PAGES if page not in MADE]
GROUPS = ("data", "painters")


def named(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def test_made_pages_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    for page, text in importlib.import_module("generate").made().items():
        assert page.read_text(encoding="utf-8") == text, f"run make docs for {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_within_the_project_lead_somewhere(page):
    for target in links(page):
        if ":" in target:
            continue
        name, _, anchor = target.partition("#")
        aim = (page.parent / name).resolve() if name else page
        assert aim.exists(), target
        if anchor and aim.suffix == ".md":
            assert anchor in anchors(aim), target


def test_pictures_are_of_this_project_and_small():
    for page in PAGES:
        for target in links(page):
            picture = (page.parent / target).resolve()
            if "://" not in target and picture.suffix in (".jpg", ".png", ".svg"):
                # The sheet is the first thing that anybody sees of the project.
                limit = 820_000 if picture.name == "sheet.jpg" else 450_000
                assert picture.stat().st_size < limit, target


def parsed(words: list[str]) -> str:
    """The function that a command line leads to; parsed by the real parser, never called."""
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert bound is not None
    return command.__name__.rstrip("_")


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=named)
def test_commands_that_are_shown_parse(page):
    for block in blocks("sh", "bash", "console", "shell", pages=[page]):
        for words in calls(block.text):
            if words[:1] == ["--help"] or "--help" in words:
                continue
            name = words[1] if words[0] in GROUPS else words[0]
            assert parsed(words) == name.replace("-", "_"), (str(block), words)


def known_options(*command: str) -> set[str]:
    found = app
    for name in command:
        found = found[name]
    names = {name for one in found.assemble_argument_collection() for name in one.names}
    return {name for name in names if name.startswith("-")} | {"--help", "--version"}


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=named)
def test_commands_and_options_that_are_named_exist(page):
    for code in code_words(page):
        words = code.split()
        if words[:1] != ["pleinair"] or not words[1:2] or not words[1].isalpha():
            continue
        if words[1].isupper():
            continue
        assert words[1] in COMMANDS, code
        command = words[1:3] if words[1] in GROUPS and len(words) > 2 else words[1:2]
        for word in words[2:]:
            if word.startswith("--"):
                assert word.split("=")[0] in known_options(*command), code


def test_every_command_and_option_is_on_the_page_of_commands():
    text = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(part.split("`\n", 1) for part in text.split("\n## `")[1:])
    hand_written = "".join(page.read_text(encoding="utf-8") for page in HAND_WRITTEN)
    for command in COMMANDS:
        assert f"pleinair {command}" in hand_written, command
        under = [name for name in app[command] if not name.startswith("-")]
        for names in [(command, one) for one in under] or [(command,)]:
            section = sections["pleinair " + " ".join(names)]
            for option in known_options(*names) - {"--help", "--version"}:
                assert option in section, (names, option)


def test_recipes_that_are_shown_are_recipes(tmp_path):
    found = blocks("toml", pages=HAND_WRITTEN)
    assert len(found) >= 4
    for block in found:
        data = tomllib.loads(block.text)
        if "base" in data:
            path = tmp_path / "recipe.toml"
            path.write_text(block.text, encoding="utf-8")
            recipes.load_recipe(str(path))
    for block in blocks("json", pages=HAND_WRITTEN):
        json.loads(block.text)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A folder with what examples speak of."""
    folder = tmp_path_factory.mktemp("studio")
    photo = Image.open(SAMPLES[0]).resize((320, 240))
    photo.save(folder / "photo.jpg")
    (folder / "holiday").mkdir()
    photo.resize((64, 48)).save(folder / "holiday" / "beach.png")
    return folder


def add_clips(folder: Path) -> None:
    import av

    photo = Image.open(folder / "photo.jpg")
    for name in ("clip.mp4", "holiday.mp4"):
        with av.open(folder / name, "w") as clip:
            stream = clip.add_stream("h264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(4):
                clip.mux(stream.encode(av.VideoFrame.from_image(photo.resize((64, 48)))))
            clip.mux(stream.encode(None))


def add_exports(folder: Path) -> None:
    import torch

    from pleinair import hub

    shutil.copy(hub.find("monet"), folder / "monet.onnx")
    # The real one takes a quarter of a minute to write; a test of exports loads that.
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1, 3, 256, 320),))
    told = {"spec": "", "card": "", "pixels": ""}
    torch.export.save(program, folder / "monet.pt2", extra_files=told)


# What has to be installed, and be there, for the examples of a page.
NEEDS = {
    "docs/export.md": (("torch", "onnx"), add_exports),
    "docs/python.md": (("av",), add_clips),
    "docs/serve.md": (("fastapi",), None),
    "docs/video.md": (("av",), add_clips),
}
WITH_PYTHON = [page for page in HAND_WRITTEN if blocks("python", "py", pages=[page])]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_python_that_is_shown_runs(page, studio, tmp_path, monkeypatch):
    libraries, add = NEEDS.get(named(page), ((), None))
    for library in libraries:
        pytest.importorskip(library, reason=f"{library} is not installed")
    folder = tmp_path / "studio"
    shutil.copytree(studio, folder)
    if add is not None:
        add(folder)
    monkeypatch.chdir(folder)
    for block in blocks("python", "py", pages=[page]):
        if not block.skipped:
            exec(compile(block.text, str(block), "exec"), {})


def test_few_examples_are_not_run():
    found = blocks("python", "py", pages=HAND_WRITTEN)
    skipped = [str(block) for block in found if block.skipped]
    assert len(found) - len(skipped) >= 10
    assert len(skipped) <= 2, skipped


def test_every_sample_has_its_credit():
    table = (REPOSITORY / "samples" / "CREDITS.md").read_text(encoding="utf-8")
    assert len(SAMPLES) == 5
    for sample in SAMPLES:
        row = next(line for line in table.splitlines() if line.startswith(f"| {sample.name} "))
        assert row.count("|") == 7
