from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from pleinair import cli, hub, nameplate, registry
from pleinair.config import ResNetSpec
from pleinair.errors import OutputError, PainterError, UsageError
from pleinair.networks import build
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
    for words in ("559,636", SHA256, "CC0-1.0", "kind light", "[-1, 1]", "shipped"):
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
    for painter in (tmp_path / "monet.onnx", "monet"):
        with pytest.raises(PainterError, match="give another with --name"):
            run("painters", "publish", painter, tmp_path / "site")


def test_nothing_published_says_where_on_a_disk_it_came_from(tmp_path):
    folder = tmp_path / "secret"
    folder.mkdir()
    torch.save(build(ResNetSpec(channels=4, blocks=6)).state_dict(), folder / "latest_net_G_A.pth")
    run("painters", "add", "own", folder / "latest_net_G_A.pth", "--licence", "MIT")
    run("painters", "publish", "own", tmp_path / "site")
    assert "| made of | latest_net_G_A.pth |" in (tmp_path / "site" / "own.md").read_text()
    # As an earlier version, or another program, may have written it.
    told = {"origin": str(folder / "old.pth"), "data": r"C:\Users\me\photos", "licence": "MIT"}
    (tmp_path / "old.onnx").write_bytes(nameplate.with_metadata(MONET, "card", json.dumps(told)))
    run("painters", "publish", tmp_path / "old.onnx", tmp_path / "site")
    assert "| made of | old.pth |" in (tmp_path / "site" / "old.md").read_text()
    for path in (tmp_path / "site").iterdir():
        assert b"secret" not in path.read_bytes()
        assert b"Users" not in path.read_bytes()


def test_where_and_under_which_name_is_published(tmp_path):
    (tmp_path / "latest_net_G_A.pth.onnx").write_bytes(MONET)
    run("painters", "publish", tmp_path / "latest_net_G_A.pth.onnx", tmp_path / "site")
    assert (tmp_path / "site" / "latest_net_G_A.onnx").is_file()
    (tmp_path / "é.onnx").write_bytes(MONET)
    with pytest.raises(PainterError, match=r"no name for a painter.* --name"):
        run("painters", "publish", tmp_path / "é.onnx", tmp_path / "site")
    for place in (tmp_path / "plain.onnx", tmp_path / "é.onnx"):
        with pytest.raises(UsageError, match="give a folder"):
            run("painters", "publish", "monet", place, "--name", "water")
    assert not (tmp_path / "plain.onnx").exists()


def test_a_name_is_made_of_an_address_or_a_file(capsys, host, tmp_path):
    (tmp_path / "second.v2.onnx").write_bytes(MONET)
    run("painters", "add", f"{host.url}/mine.onnx")
    run("painters", "add", tmp_path / "second.v2.onnx")
    run("painters", "add", "hf://owner/the.name")
    assert capsys.readouterr().out == "mine\nsecond\nthe-name\n"
    with pytest.raises(UsageError, match=f"add NAME {host.url}/"):
        run("painters", "add", f"{host.url}/")


def test_a_registry_in_a_folder_is_added_like_one_at_an_address(capsys, tmp_path):
    for name in ("one", "two"):
        run("painters", "publish", "monet", tmp_path / "site", "--name", name, "--title", "A title")
    capsys.readouterr()
    assert run("painters", "add", "two", tmp_path / "site" / "registry.toml") == 0
    assert run("painters", "add", tmp_path / "site" / "registry.toml") == 0
    said = capsys.readouterr()
    assert said.out == "two\none\n"
    assert "left out: the name two is taken" in said.err
    assert hub.entries()["one"].title == "A title"
    assert Painter.load("one").card["licence"] == "CC0-1.0"
    (tmp_path / "site" / "one.onnx").write_bytes(MONET + b"\x72\x00")
    with pytest.raises(PainterError, match="has the SHA-256"):
        run("painters", "add", "one", tmp_path / "site" / "registry.toml", "--force")
    text = '[painters.a]\nurl = "../../etc/passwd"\n[painters.b]\nurl = "/etc/passwd"\n'
    (tmp_path / "site" / "bad.toml").write_text(text)
    with pytest.raises(OutputError, match=r"nothing of .* was added"):
        run("painters", "add", tmp_path / "site" / "bad.toml")


def test_a_published_name_may_be_ones_own(capsys, tmp_path):
    (tmp_path / "copy.onnx").write_bytes(MONET)
    run("painters", "remove", "style_monet")
    assert "nothing of style_monet was here" in capsys.readouterr().err
    assert run("painters", "add", "style_monet", tmp_path / "copy.onnx") == 0
    assert "in place of the published one" in capsys.readouterr().err
    assert hub.find("style_monet").read_bytes() == MONET
    with pytest.raises(OutputError, match="is taken"):
        run("painters", "add", "style_monet", tmp_path / "copy.onnx")
    run("painters", "remove", "style_monet")
    assert "the published one has its name again" in capsys.readouterr().err
    assert hub.missing("style_monet") is not None


def test_names_are_looked_at_before_anything_is_done(capsys, host, tmp_path):
    run("painters", "add", "mine", f"{host.url}/mine.onnx")
    for verb in ("fetch", "remove"):
        with pytest.raises(PainterError, match="'nosuch' is unknown"):
            run("painters", verb, "mine", "nosuch")
    assert "mine" in hub.entries()
    assert host.asked == []
    capsys.readouterr()
    (tmp_path / "a.onnx").write_bytes(MONET)
    run("painters", "add", "own", tmp_path / "a.onnx")
    assert run("painters", "fetch", "monet", "own", "mine") == 0
    assert run("painters", "fetch", "mine") == 0
    said = capsys.readouterr().err
    for name in ("monet", "own", "mine"):
        assert f"{name} is here already" in said
    with pytest.raises(PainterError, match="did you mean style_vangogh"):
        run("painters", "fetch", "style_vangog")


def test_info_tells_what_an_import_recorded(capsys, tmp_path):
    state = build(ResNetSpec(channels=4, blocks=6)).state_dict()
    torch.save(state, tmp_path / "style_x.pth")
    run("import", tmp_path / "style_x.pth", "-o", tmp_path / "x.onnx")
    capsys.readouterr()
    run("painters", "info", tmp_path / "x.onnx")
    said = capsys.readouterr().out
    card = Painter.load(tmp_path / "x.onnx").card
    assert f"imported from: style_x.pth, {card['format']}" in " ".join(said.split())
    assert "photo to painting" in said
    for key in ("sha256", "imported"):
        assert str(card[key]) in said


def test_a_list_has_one_word_for_no_licence(capsys, host):
    run("painters", "add", "mine", f"{host.url}/mine.onnx")
    capsys.readouterr()
    run("painters", "list")
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mine"))
    assert "not stated" in line
    assert "?" not in line


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
