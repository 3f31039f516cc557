from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pleinair import cli, hub, registry
from pleinair.errors import OutputError, PainterError, UsageError
from pleinair.painter import Painter

from .conftest import picture
from .hosting import Host, hosting

MONET = hub.find("monet").read_bytes()
SHA256 = hashlib.sha256(MONET).hexdigest()


@pytest.fixture(autouse=True)
def mine(monkeypatch, own_places):
    monkeypatch.chdir(own_places)


@pytest.fixture
def host():
    with hosting(Host({"/mine.onnx": MONET})) as made:
        yield made


def run(*words: object) -> int:
    code = cli.app([*map(str, words)], result_action="return_value", exit_on_error=False)
    return int(code)


def test_the_list_is_a_table_and_json(capsys, host):
    run("painters", "add", "mine", f"{host.url}/mine.onnx", "--licence", "CC-BY-4.0")
    capsys.readouterr()
    assert run("painters", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "TITLE", "LICENCE", "SIZE", "WHERE"]
    assert lines[1].split()[:3] == ["monet", "Monet", "CC0-1.0"]
    assert lines[1].endswith("shipped")
    assert max(map(len, lines)) < 120
    mine = next(line for line in lines if line.startswith("mine"))
    assert "CC-BY-4.0" in mine
    assert mine.endswith("to fetch")
    run("painters", "fetch", "mine")
    capsys.readouterr()
    run("painters", "list", "--json")
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert told["mine"]["where"] == "fetched"
    assert told["mine"]["sha256"] == SHA256
    assert told["style_monet"]["where"] == "to fetch"
    assert told["style_monet"]["path"] is None


def test_info_of_every_kind_of_painter(capsys, host, tmp_path):
    assert run("painters", "info", "monet") == 0
    said = capsys.readouterr().out
    for words in ("497,076", SHA256, "CC0-1.0", "kind light", "[-1, 1]", "shipped"):
        assert words in said
    assert run("painters", "info", "style_vangogh") == 0
    said = capsys.readouterr().out
    assert "nobody has told" in said
    assert "efrosgans.eecs.berkeley.edu" in said
    (tmp_path / "file.onnx").write_bytes(MONET)
    run("painters", "info", tmp_path / "file.onnx", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["painter_sha256"] == SHA256
    assert told["listed"]["where"] == "file"
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(PainterError):
        run("painters", "info", tmp_path / "text.onnx")
    assert host.asked == []


def test_add_remove_and_what_is_told(capsys, host, tmp_path):
    run("painters", "add", "mine", f"{host.url}/mine.onnx")
    said = capsys.readouterr()
    assert said.out == "mine\n"
    assert "No SHA-256 is known" in said.err
    run("painters", "add", "safe", f"{host.url}/mine.onnx", "--sha256", SHA256.upper())
    assert capsys.readouterr().err == ""
    with pytest.raises(PainterError, match="64 hexadecimal"):
        run("painters", "add", "x", f"{host.url}/mine.onnx", "--sha256", "12")
    with pytest.raises(UsageError, match="has no source"):
        run("painters", "add", "x")
    with pytest.raises(OutputError, match="is taken"):
        run("painters", "add", "mine", f"{host.url}/other.onnx")
    run("painters", "fetch", "mine", "safe")
    said = capsys.readouterr()
    assert said.err.count("fetching") == 2
    run("painters", "remove", "mine", "safe")
    assert "mine is forgotten" in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.onnx"))
    with pytest.raises(PainterError, match="nothing to fetch"):
        run("painters", "fetch", "monet")


def test_paint_fetches_what_it_needs_and_says_so(capsys, host, tmp_path):
    Image.fromarray(picture(40, 48)).save(tmp_path / "photo.png")
    run("painters", "add", "mine", f"{host.url}/mine.onnx", "--title", "Mine")
    capsys.readouterr()
    assert run("paint", "photo.png", "--painter", "mine") == 0
    said = capsys.readouterr()
    assert "fetching mine from" in said.err
    assert said.out == "photo.mine.png\n"
    assert Path("photo.mine.png").is_file()
    assert run("paint", "photo.png", "--painter", "mine", "--force") == 0
    assert "fetching" not in capsys.readouterr().err
    assert len(host.asked) == 1


def test_a_folder_is_published_for_any_web_server(capsys, host, tmp_path):
    place = tmp_path / "site"
    Image.fromarray(picture(40, 48)).save(tmp_path / "photo.png")
    words = ("painters", "publish", "monet", place, "--name", "water", "--title", "Water | lilies")
    run(*words, "--dry-run")
    assert not place.exists()
    capsys.readouterr()
    assert run(*words, "--photos", "photo.png") == 0
    names = ["registry.toml", "water.jpg", "water.md", "water.onnx"]
    assert sorted(path.name for path in place.iterdir()) == names
    assert (place / "water.md").read_text().startswith("# Water / lilies\n")
    with pytest.raises(OutputError, match="exists"):
        run(*words)
    assert run(*words, "--force") == 0
    run("painters", "publish", "monet", place, "--name", "second")
    entries = registry.parse(
        (place / "registry.toml").read_bytes(), "x", "https://x.org/registry.toml"
    )
    assert sorted(entries) == ["second", "water"]
    assert entries["water"].title == "Water | lilies"
    host.files = {f"/{path.name}": path.read_bytes() for path in place.iterdir()}
    capsys.readouterr()
    assert run("painters", "add", f"{host.url}/registry.toml") == 0
    assert capsys.readouterr().out == "second\nwater\n"
    assert Painter.load("water").card["title"] == "Water | lilies"
    host.files["/water.onnx"] = MONET + b"\x00"
    hub.remove("water")
    run("painters", "add", "water", f"{host.url}/registry.toml")
    with pytest.raises(PainterError, match=r"not kept|another file"):
        hub.find("water")


def test_a_name_that_ships_is_not_published(tmp_path):
    (tmp_path / "monet.onnx").write_bytes(MONET)
    with pytest.raises(PainterError, match="give another with --name"):
        run("painters", "publish", tmp_path / "monet.onnx", tmp_path / "site")


def test_the_list_needs_neither_torch_nor_the_hub():
    code = (
        "import sys\n"
        "from pleinair.cli import app\n"
        "app(['painters', 'list'], result_action='return_value')\n"
        "heavy = {'torch', 'huggingface_hub', 'onnx', 'onnxruntime', 'h5py'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
