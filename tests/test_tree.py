from __future__ import annotations

import os
from pathlib import Path

import pytest

from pleinair import tree
from pleinair.errors import OutputError, UsageError


def grow(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def targets(*places: Path, out: Path | None = None, suffix: str | None = None) -> list[str]:
    plan = tree.plan(places, out, "monet", suffix)
    assert plan.troubles == {}
    base = places[0].parent
    return [job.target.relative_to(base).as_posix() for job in plan.jobs]


def test_a_tree_is_mirrored_in_order_and_hidden_things_are_not(tmp_path):
    folder = grow(
        tmp_path / "in",
        *("b.jpg", "a.PNG", "sub/deep/c.tif", "sub/a.jpeg", ".hidden.jpg", ".git/x.jpg"),
        *("notes.txt", "sub/._a.jpeg"),
    )
    assert targets(folder, out=tmp_path / "out") == [
        "out/a.PNG",
        "out/b.jpg",
        "out/sub/a.jpeg",
        "out/sub/deep/c.tif",
    ]
    assert targets(folder)[0] == "in.monet/a.PNG"


def test_names_never_collide():
    names = tree.painting_names
    assert names(["a.pgm", "b.ppm"]) == ["a.jpg", "b.jpg"]
    assert names(["a.pgm", "a.jpg"]) == ["a.pgm.jpg", "a.jpg"]
    assert names(["a.pgm", "a.ppm"]) == ["a.pgm.jpg", "a.ppm.jpg"]
    assert names(["A.pgm", "a.JPG"]) == ["A.pgm.jpg", "a.JPG"]
    assert names(["a.pgm", "a.pgm.jpg", "a.jpg"]) == ["a.pgm.jpg.jpg", "a.pgm.jpg", "a.jpg"]
    assert names(["a.jpg", "a.jpeg", "a.png"]) == ["a.jpg", "a.jpeg", "a.png"]
    assert names(["a.jpg", "b.jpg", "a.tif"], ".png") == ["a.jpg.png", "b.png", "a.tif.png"]
    assert names(["a.JPEG", "b.png"], ".jpg") == ["a.JPEG", "b.jpg"]


def test_links_that_lead_in_circles(tmp_path):
    folder = grow(tmp_path / "in", "a.jpg", "z/b.jpg")
    elsewhere = grow(tmp_path / "elsewhere", "c.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "z" / "up").symlink_to(tmp_path / "in")
    (folder / "again").symlink_to(folder / "z")
    (folder / "far").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(elsewhere)
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert targets(folder, out=tmp_path / "out") == ["out/a.jpg", "out/far/c.jpg", "out/z/b.jpg"]


def test_paintings_inside_the_folder_are_not_painted_again(tmp_path):
    folder = grow(tmp_path / "in", "a.jpg", "out/a.jpg", "out/sub/b.jpg", "old/c.jpg")
    grow(folder, f"old/{tree.LEDGER}", "a.monet.jpg", "a.monet.sheet.jpg", "b.monet.png")
    plan = tree.plan([folder], folder / "out", "monet")
    assert [job.photo.name for job in plan.jobs] == ["a.jpg"]
    assert [path.name for path in plan.paintings] == [
        "a.monet.jpg",
        "a.monet.sheet.jpg",
        "b.monet.png",
    ]


def test_the_folder_may_lie_in_the_one_to_paint_to(tmp_path):
    folder = grow(tmp_path / "out" / "in", "a.jpg")
    assert [j.target for j in tree.plan([folder], tmp_path / "out", "m").jobs] == [
        tmp_path / "out" / "a.jpg"
    ]


def test_files_and_folders_mixed(tmp_path):
    first = grow(tmp_path / "first", "a.jpg")
    second = grow(tmp_path / "second", "a.jpg")
    grow(tmp_path, "b.ppm")
    out = tmp_path / "out"
    assert targets(first, tmp_path / "b.ppm", out=out) == ["out/a.jpg", "out/b.jpg"]
    assert targets(first, second, out=out) == ["out/first/a.jpg", "out/second/a.jpg"]
    assert targets(first, first / "a.jpg", tmp_path / "b.ppm") == [
        "first.monet/a.jpg",
        "b.monet.jpg",
    ]


def test_places_that_cannot_be_meant(tmp_path):
    folder = grow(tmp_path / "x" / "in", "a.jpg")
    other = grow(tmp_path / "y" / "in", "a.jpg")
    grow(tmp_path, "file")
    with pytest.raises(UsageError, match="the photos themselves"):
        tree.plan([folder], folder, "monet")
    with pytest.raises(UsageError, match="two folders of one name"):
        tree.plan([folder, other], tmp_path / "out", "monet")
    with pytest.raises(OutputError, match="is a file"):
        tree.plan([folder], tmp_path / "file", "monet")


def test_the_folder_one_stands_in(tmp_path, monkeypatch):
    monkeypatch.chdir(grow(tmp_path / "in", "a.jpg"))
    (job,) = tree.plan([Path()], None, "monet").jobs
    assert job.target == tmp_path.resolve() / "in.monet" / "a.jpg"
    (tmp_path / "in" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "in" / "sub")
    (job,) = tree.plan([Path("..")], None, "monet").jobs
    assert job.target == tmp_path.resolve() / "in.monet" / "a.jpg"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    folder = grow(tmp_path / "in", "a.jpg", "shut/b.jpg")
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    plan = tree.plan([folder], None, "monet")
    assert [job.photo.name for job in plan.jobs] == ["a.jpg"]
    assert "Permission denied" in plan.troubles[folder / "shut"]
