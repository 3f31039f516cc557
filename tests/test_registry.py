from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pleinair import download, graphs, hub, places, registry, settings, stock
from pleinair.config import ResNetSpec
from pleinair.errors import DataError, MissingExtraError, OutputError, PainterError
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.registry import Entry
from pleinair.shelf import Shelf
from pleinair.weights import Weights

from .hosting import Host, hosting

MONET = hub.find("monet").read_bytes()
SHA256 = hashlib.sha256(MONET).hexdigest()


@pytest.fixture
def host():
    with hosting(Host({"/mine.onnx": MONET})) as made:
        yield made


@pytest.fixture(autouse=True)
def mine(monkeypatch, own_places):
    """Folders of a user's own, and a network that is tried quickly."""
    quick = replace(settings.DATA, first_wait=0.0, timeout=5.0, tries=3)
    monkeypatch.setattr(download, "DATA", quick)
    monkeypatch.chdir(own_places)


def small() -> tuple[dict[str, torch.Tensor], bytes]:
    torch.manual_seed(0)
    spec = ResNetSpec(channels=4, blocks=6)
    state = build(spec).state_dict()
    arrays = {name: value.numpy() for name, value in state.items()}
    return state, graphs.painter(Weights(spec, arrays, {}))


# --- registries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothere.pth", "does not exist"),
        ("here/nothere", "does not exist"),
        ("nothere", "is unknown"),
        ("a.mlpackage", "Core ML package"),
    ],
)
def test_what_is_no_painter_of_this_computer(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mlpackage").mkdir()
    with pytest.raises(PainterError, match=words):
        hub.find(name)


def test_the_published_painters_are_those_of_their_authors_script():
    known = registry.shipped()
    assert len(known) == 18
    assert {"style_monet", "style_vangogh", "style_cezanne", "style_ukiyoe"} <= set(known)
    for name, entry in known.items():
        assert entry.url == (
            f"http://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/{name}.pth"
        )
        assert entry.sha256 is None  # nobody has told it
        assert entry.title
        assert entry.licence


def test_a_registry_comes_back_as_it_was_written():
    entries = {
        "a": Entry("a", "https://x.org/a.onnx", SHA256, 5, 'A "quoted" é\\', licence="CC0-1.0"),
        "b-2": Entry("b-2", "hf://owner/name@v1/file.pth", network="netG_A"),
    }
    assert registry.parse(registry.as_toml(entries).encode(), "x") == entries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml [", "is no registry"),
        ("a = 1", "no tables"),
        ("painters = 3", "no tables"),
        ("[painters]\na = 3", "no tables"),
        ("\xff", "is no registry"),
        ('[painters."../x"]\nurl = "https://x.org/a"', "no name for a painter"),
        ('[painters."/etc/x"]\nurl = "https://x.org/a"', "no name for a painter"),
        ('[painters.CON]\nurl = "https://x.org/a"', "no name for a painter"),
        ('[painters.nul]\nurl = "https://x.org/a"', "no name for a painter"),
        ('[painters."a.onnx"]\nurl = "https://x.org/a"', "no name for a painter"),
        ('[painters.a]\nurl = "file:///etc/passwd"', "no address"),
        ('[painters.a]\nurl = "ftp://x.org/a"', "no address"),
        ('[painters.a]\nurl = "https://me:secret@x.org/a"', "no address"),
        ('[painters.a]\nurl = "https://x.org:99999/a"', "no address"),
        ('[painters.a]\nurl = ""', "no address"),
        ('[painters.a]\ntitle = "x"', "no address"),
        ('[painters.a]\nurl = "https://x.org/a"\nsha256 = "12"', "64 hexadecimal"),
        ('[painters.a]\nurl = "https://x.org/a"\nsize = -1', "a size that is none"),
        ('[painters.a]\nurl = "https://x.org/a"\nsize = true', "a size that is none"),
        ('[painters.a]\nurl = "https://x.org/a"\ntitle = 3', "a title that is none"),
    ],
)
def test_what_is_wrong_in_a_registry_is_one_sentence(text, words):
    with pytest.raises(PainterError, match=words) as caught:
        registry.parse(text.encode("latin-1"), "https://x.org/registry.toml")
    assert "\n" not in str(caught.value)


def test_a_registry_is_bounded_and_its_words_cannot_steer_a_terminal(monkeypatch):
    text = '[painters.a]\nurl = "https://x.org/a"\ntitle = "\\u001b[2Jred\\nalert"\n'
    assert registry.parse(text.encode(), "x")["a"].title == "[2Jred alert"
    with pytest.raises(PainterError, match="bytes"):
        registry.parse(b"#" * (settings.HUB.registry_bytes + 1), "x")


def test_addresses_in_a_registry_are_relative_to_it_and_never_less_safe():
    base = "https://x.org/painters/registry.toml"
    told = f'[painters.a]\nurl = "a.onnx"\nsha256 = "{SHA256}"'
    assert registry.parse(told.encode(), "x", base)["a"].url == "https://x.org/painters/a.onnx"
    told = '[painters.a]\nurl = "http://x.org/a.onnx"'
    with pytest.raises(PainterError, match="leads from https"):
        registry.parse(told.encode(), "x", base)


# --- fetching ---------------------------------------------------------------------------------


def test_a_painter_is_fetched_when_it_is_first_used_and_no_more(host):
    hub.add("mine", f"{host.url}/mine.onnx", Entry("", "", SHA256, licence="CC0-1.0"))
    assert host.asked == []
    told = []
    path = hub.find("mine", told.append)
    assert path.read_bytes() == MONET
    assert path.name == "mine.onnx"
    assert told[0] == f"fetching mine from {host.url}/mine.onnx (size not known; licence: CC0-1.0)"
    assert told[1] == f"SHA-256 {SHA256}, as it was told"
    assert hub.find("mine", told.append) == path
    assert len(host.asked) == 1
    assert len(told) == 2
    assert Painter.load("mine").paint(np.zeros((8, 8, 3), np.uint8)).shape == (8, 8, 3)
    assert sorted(one.name for one in (places.cache() / "painters").iterdir())[1:] == [
        path.parent.name
    ]


def test_a_broken_connection_goes_on_where_it_was(host):
    hub.add("mine", f"{host.url}/mine.onnx")
    half = len(MONET) // 2
    host.break_at = [half]
    assert hub.find("mine").read_bytes() == MONET
    assert host.ranges == [None, f"bytes={half}-"]


def test_a_download_goes_on_in_another_run(host):
    hub.add("mine", f"{host.url}/mine.onnx")
    host.break_at = [1000, 0, 0, 0, 0]
    with pytest.raises(PainterError, match="are kept to go on with"):
        hub.find("mine")
    assert hub.missing("mine") is not None
    host.break_at, host.ranges = [], []
    assert hub.find("mine").read_bytes() == MONET
    assert host.ranges == ["bytes=1000-"]


def test_another_hash_than_the_one_that_was_told_is_refused_and_not_kept(host):
    hub.add("mine", f"{host.url}/mine.onnx", Entry("", "", "0" * 64))
    with pytest.raises(PainterError, match=f"SHA-256 {SHA256} now, not 000"):
        hub.find("mine")
    assert hub.missing("mine") is not None
    assert list(places.cache().rglob("*.onnx")) == []
    with pytest.raises(PainterError, match="not 000"):
        hub.fetch("mine", renew=True)  # what an entry says holds


def test_what_nobody_told_is_trusted_once_and_then_held_to(host):
    told = []
    hub.add("mine", f"{host.url}/mine.onnx")
    hub.find("mine", told.append)
    assert f"SHA-256 {SHA256}: nobody has told it before, and plain http" in told[1]
    lock = json.loads(next((places.own() / "painters" / "locks").iterdir()).read_text())
    assert lock == {
        "url": f"{host.url}/mine.onnx",
        "sha256": SHA256,
        "commit": "",
        "file": "",
        "size": len(MONET),
    }
    shutil.rmtree(places.cache())
    _, other = small()
    host.files["/mine.onnx"] = other
    with pytest.raises(PainterError, match=rf"not {SHA256}; if that is right, .*--renew"):
        hub.find("mine")
    told.clear()
    assert hub.fetch("mine", told.append, renew=True).read_bytes() == other
    assert f"({len(MONET) / 1e6:,.1f} MB before" in told[0]
    assert f"{SHA256} before" in told[1]
    assert hub.find("mine").read_bytes() == other
    assert len(list(places.cache().rglob("*.onnx"))) == 1


def test_a_renewal_that_meets_a_full_disk_leaves_the_painter(host, monkeypatch):
    host.files["/mine.onnx"] = MONET
    hub.add("mine", f"{host.url}/mine.onnx")
    hub.find("mine")
    _, host.files["/mine.onnx"] = small()

    def full(*_):
        raise OutputError("no room")

    monkeypatch.setattr(stock, "_put", full)
    with pytest.raises(OutputError, match="no room"):
        hub.fetch("mine", renew=True)
    assert hub.find("mine").read_bytes() == MONET


def test_no_web_page_is_taken_for_a_painter_or_remembered(host):
    host.files["/mine.onnx"] = b"<!DOCTYPE html><html>please log in</html>"
    hub.add("mine", f"{host.url}/mine.onnx")
    with pytest.raises(PainterError, match="is a web page") as caught:
        hub.find("mine")
    assert str(caught.value).startswith(f"{host.url}/mine.onnx is")
    assert "fetching-" not in str(caught.value)
    assert stock.locks() == []
    host.files["/mine.onnx"] = MONET
    assert hub.find("mine").read_bytes() == MONET


def test_others_weights_become_a_painter_once(host, tmp_path):
    state, expected = small()
    torch.save(state, tmp_path / "style_small.pth")
    host.files["/style_small.pth"] = (tmp_path / "style_small.pth").read_bytes()
    hub.add("small", f"{host.url}/style_small.pth", Entry("", "", title="Small"))
    path = hub.find("small")
    assert path.suffix == ".onnx"
    photo = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    (tmp_path / "expected.onnx").write_bytes(expected)
    painter = Painter.load("small")
    assert np.array_equal(
        painter.engine(photo), Painter.load(tmp_path / "expected.onnx").engine(photo)
    )
    assert painter.card["title"] == "Small"
    assert painter.card["url"] == f"{host.url}/style_small.pth"
    hub.find("small")
    assert len(host.asked) == 1


def test_a_pickle_that_would_run_something_is_refused(host, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'boom'}",)

    torch.save({"model.1.weight": Bomb()}, tmp_path / "bomb.pth")
    host.files["/bomb.pth"] = (tmp_path / "bomb.pth").read_bytes()
    hub.add("bomb", f"{host.url}/bomb.pth")
    with pytest.raises(PainterError) as caught:
        hub.find("bomb")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "boom").exists()
    assert hub.missing("bomb") is not None


def test_no_redirect_leads_from_http_to_a_file(host, tmp_path):
    host.redirects["/mine.onnx"] = f"file://{tmp_path}/secret"
    hub.add("mine", f"{host.url}/mine.onnx")
    with pytest.raises(PainterError, match="is refused"):
        hub.find("mine")
    host.redirects["/mine.onnx"] = "ftp://127.0.0.1/secret"
    with pytest.raises(PainterError, match="leads from http to 'ftp:"):
        hub.find("mine")
    host.redirects["/mine.onnx"] = f"{host.url}/elsewhere.onnx"
    host.files["/elsewhere.onnx"] = MONET
    assert hub.find("mine").read_bytes() == MONET


def test_no_redirect_leads_from_https_to_http():
    import urllib.request

    request = urllib.request.Request("https://x.org/a")
    with pytest.raises(DataError, match=r"leads from https to 'http://x.org/a'"):
        download._Redirects().redirect_request(request, None, 302, "", {}, "http://x.org/a")


def test_huge_answers_are_not_taken(host, monkeypatch):
    monkeypatch.setattr(stock, "HUB", replace(settings.HUB, bytes=1000))
    hub.add("mine", f"{host.url}/mine.onnx")
    with pytest.raises(PainterError, match="more than 1,000"):
        hub.find("mine")
    hub.add("told", f"{host.url}/mine.onnx", Entry("", "", None, len(MONET) + 1))
    with pytest.raises(PainterError):
        hub.find("told")


def test_offline_nothing_is_asked(host, monkeypatch):
    hub.add("mine", f"{host.url}/mine.onnx")
    hub.add("other", f"{host.url}/other.onnx")
    path = hub.find("mine")
    host.asked.clear()
    monkeypatch.setenv("PLEINAIR_OFFLINE", "1")
    assert hub.find("mine") == path
    for name in ("other", "style_monet", "hf://owner/name"):
        with pytest.raises(PainterError, match="PLEINAIR_OFFLINE is set"):
            hub.find(name)
    with pytest.raises(PainterError, match="PLEINAIR_OFFLINE is set"):
        hub.add_registry(f"{host.url}/registry.toml")
    with pytest.raises(DataError, match="PLEINAIR_OFFLINE is set"):
        download.fetch(f"{host.url}/x", Path("x"))
    assert host.asked == []


def test_a_cache_that_was_cut_is_fetched_anew(host):
    hub.add("mine", f"{host.url}/mine.onnx")
    path = hub.find("mine")
    path.write_bytes(MONET[:100])
    assert hub.missing("mine") is not None
    assert hub.find("mine").read_bytes() == MONET


def test_a_cache_that_cannot_be_written_is_one_sentence(host, monkeypatch, tmp_path):
    hub.add("mine", f"{host.url}/mine.onnx")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLEINAIR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="PLEINAIR_CACHE"):
        hub.find("mine")


def test_a_full_disk_is_one_sentence(host, monkeypatch):
    hub.add("mine", f"{host.url}/mine.onnx")
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(OutputError, match=r"10 bytes free .* PLEINAIR_CACHE"):
        hub.find("mine")


def test_two_processes_fetch_a_painter_once(host):
    hub.add("mine", f"{host.url}/mine.onnx")
    code = "from pleinair import hub; print(hub.find('mine', print))"
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [worker.communicate(timeout=60)[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert Path(said[0][-1]).read_bytes() == MONET
    assert len(host.asked) == 1


# --- the user's own ---------------------------------------------------------------------------


def test_a_file_that_is_added_may_go_and_is_never_removed_by_us(tmp_path):
    path = tmp_path / "elsewhere.onnx"
    path.write_bytes(MONET)
    entry = hub.add("mine", str(path))
    assert (entry.url, entry.sha256, entry.origin) == ("", SHA256, "elsewhere.onnx")
    assert hub.at_hand()["mine"].read_bytes() == MONET
    assert hub.remove("mine") == "entry"
    assert path.exists()
    assert "mine" not in hub.entries()
    assert list((tmp_path / "data").rglob("*.onnx")) == []
    with pytest.raises(PainterError, match="has the SHA-256"):
        hub.add("mine", str(path), Entry("", "", "0" * 64))
    with pytest.raises(PainterError, match="neither a file nor"):
        hub.add("mine", str(tmp_path / "none"))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(PainterError, match="text file"):
        hub.add("mine", str(tmp_path / "text"))


def test_names_are_not_taken_twice(host, tmp_path):
    (tmp_path / "a.onnx").write_bytes(MONET)
    for name in ("monet", "Monet"):
        with pytest.raises(PainterError, match="ships with pleinair"):
            hub.add(name, str(tmp_path / "a.onnx"), force=True)
    for name in ("../x", "a/b", "con", "", "x" * 65, "-x"):
        with pytest.raises(PainterError, match="no name for a painter"):
            hub.add(name, str(tmp_path / "a.onnx"))
    with pytest.raises(OutputError, match="style_monet is taken"):
        hub.add("Style_Monet", f"{host.url}/mine.onnx")
    hub.add("style_monet", f"{host.url}/mine.onnx")
    assert hub.find("style_monet").read_bytes() == MONET
    assert hub.remove("style_monet") == "entry"
    assert hub.entries()["style_monet"] == registry.shipped()["style_monet"]
    assert hub.missing("style_monet") is not None
    with pytest.raises(PainterError, match="ships with pleinair and stays"):
        hub.remove("monet")
    with pytest.raises(PainterError, match="is unknown"):
        hub.remove("degas")


def test_an_entry_and_a_file_take_each_others_place(host, tmp_path):
    (tmp_path / "a.onnx").write_bytes(MONET)
    hub.add("mine", str(tmp_path / "a.onnx"))
    with pytest.raises(OutputError, match="is taken"):
        hub.add("mine", f"{host.url}/mine.onnx")
    hub.add("mine", f"{host.url}/mine.onnx", force=True)
    assert hub.missing("mine") is not None
    hub.find("mine")
    hub.add("mine", str(tmp_path / "a.onnx"), force=True)
    assert hub.missing("mine") is None
    assert list(places.cache().rglob("*.onnx")) == []


def test_one_file_under_two_names_outlives_one_of_them(host):
    for name in ("one", "two"):
        hub.add(name, f"{host.url}/mine.onnx", Entry("", "", SHA256))
        hub.find(name)
    hub.remove("one")
    assert hub.missing("two") is None
    assert hub.find("two").read_bytes() == MONET


def test_a_registry_at_an_address_is_read_once(host):
    text = f'[painters.a]\nurl = "mine.onnx"\nsha256 = "{SHA256}"\n[painters.b]\nurl = "b.onnx"\n'
    host.files["/registry.toml"] = text.encode()
    assert [one.name for one in hub.add_registry(f"{host.url}/registry.toml", "a")] == ["a"]
    with pytest.raises(PainterError, match="has no painter 'c'; it has a, b"):
        hub.add_registry(f"{host.url}/registry.toml", "c")
    assert len(hub.add_registry(f"{host.url}/registry.toml")) == 2  # a again, as it is
    assert hub.find("a").read_bytes() == MONET
    host.files["/registry.toml"] = text.replace(SHA256, "1" * 64).encode()
    assert hub.find("a").read_bytes() == MONET
    told = []
    assert [
        one.name for one in hub.add_registry(f"{host.url}/registry.toml", told=told.append)
    ] == ["b"]
    assert told == ["left out: the name a is taken"]
    with pytest.raises(OutputError, match="the name a is taken"):
        hub.add_registry(f"{host.url}/registry.toml", "a")
    host.files["/registry.toml"] = b"[" * 2_000_000
    with pytest.raises(PainterError, match="more than"):
        hub.add_registry(f"{host.url}/registry.toml")


def test_of_a_registry_all_is_taken_that_can_be(host):
    entry = '[painters.{}]\nurl = "mine.onnx"\n'
    names = ("monet", "style_monet", "water")
    host.files["/registry.toml"] = "".join(map(entry.format, names)).encode()
    told = []
    url = f"{host.url}/registry.toml"
    assert [one.name for one in hub.add_registry(url, told=told.append)] == ["water"]
    assert len(told) == 1
    assert "monet ships with pleinair" in told[0]
    assert "style_monet is the name of a published painter" in told[0]
    with pytest.raises(PainterError, match="ships with pleinair"):
        hub.add_registry(url, "monet")
    assert hub.add_registry(url, "style_monet")[0].url == f"{host.url}/mine.onnx"
    host.files["/registry.toml"] = entry.format("monet").encode()
    with pytest.raises(OutputError, match=r"nothing of .* was added: monet ships"):
        hub.add_registry(url)
    assert [one.name for one in hub.add_registry(url, "sea")] == ["sea"]  # it holds just one
    assert hub.find("sea").read_bytes() == MONET


def test_a_registry_that_has_changed_is_to_be_added_again(host):
    text = f'[painters.a]\nurl = "mine.onnx"\nsha256 = "{SHA256}"\nsize = {len(MONET)}\n'
    host.files["/registry.toml"] = text.encode()
    hub.add_registry(f"{host.url}/registry.toml")
    hub.find("a")
    host.files["/mine.onnx"] = MONET + b"\x72\x00"
    with pytest.raises(PainterError, match="registry again with --force"):
        hub.fetch("a", renew=True)
    assert hub.find("a").read_bytes() == MONET


def test_a_server_that_is_not_there_is_soon_given_up(monkeypatch):
    waits = []
    monkeypatch.setattr(download, "DATA", replace(settings.DATA, first_wait=1.0))
    monkeypatch.setattr(download.time, "sleep", waits.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = f"http://127.0.0.1:{port}"
    hub.add("mine", f"{place}/mine.onnx")
    with pytest.raises(PainterError, match=r"cannot be reached .* painters add mine FILE --force"):
        hub.find("mine")
    assert waits == [1.0]
    hub.add("away", "http://nowhere.invalid/a.onnx")
    with pytest.raises(PainterError, match="cannot be reached"):
        hub.find("away")
    with pytest.raises(PainterError, match="cannot be reached"):
        hub.add_registry(f"{place}/registry.toml")
    assert waits == [1.0] * 3
    assert not list((places.cache() / "painters").glob("fetching-*"))


def test_a_server_that_refuses_is_told_with_what_to_do(host):
    hub.add("mine", f"{host.url}/none.onnx")
    with pytest.raises(PainterError, match=r"404 .*, or add a copy that you have: `pleinair"):
        hub.find("mine")
    assert not list((places.cache() / "painters").glob("fetching-*"))


def test_what_is_missing_offline_is_told_by_what_works(host, monkeypatch):
    hub.add("mine", f"{host.url}/mine.onnx")
    monkeypatch.setenv("PLEINAIR_OFFLINE", "1")
    with pytest.raises(PainterError, match="add mine FILE --force") as caught:
        hub.fetch("mine")
    assert "fetch mine" not in str(caught.value)
    with pytest.raises(PainterError, match=r"^hf://owner/name is not on this computer"):
        hub.fetch("hf://owner/name")
    with pytest.raises(PainterError, match="add style_monet FILE`"):
        hub.find("style_monet")


def test_a_damaged_registry_of_the_users_own_hinders_no_file(tmp_path):
    place = places.own() / "painters"
    place.mkdir(parents=True)
    (place / "painters.toml").write_text("[[")
    (tmp_path / "a.onnx").write_bytes(MONET)
    assert hub.find(tmp_path / "a.onnx")
    assert hub.find("monet")
    assert list(hub.at_hand()) == hub.names()
    with pytest.raises(PainterError, match=r"painters\.toml is no registry"):
        hub.find("style_monet")


def test_what_is_neither_name_nor_file_is_told_what_to_do():
    with pytest.raises(PainterError, match=r"painters add NAME https://x.org/a.onnx"):
        hub.find("https://x.org/a.onnx")
    with pytest.raises(PainterError, match="painters list"):
        hub.find("degas")
    with pytest.raises(PainterError, match=r"is unknown; did you mean style_vangogh\?"):
        hub.find("style_vangog")


def test_a_server_shows_what_is_here_and_fetches_nothing(host):
    hub.add("mine", f"{host.url}/mine.onnx")
    assert [one.name for one in Shelf().titles()] == hub.names()
    assert host.asked == []
    hub.find("mine")
    assert [one.name for one in Shelf().titles()] == [
        "monet",
        "london",
        "mine",
        "monet-large",
        "monet-small",
        "photo",
    ]
    with pytest.raises(PainterError, match="is unknown"):
        Shelf().find("style_monet")
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    ("file", "missing", "extras"),
    [
        ("a.h5", "onnx", "import"),
        ("a.keras", "onnx", "import"),
        ("a.pth", "torch", "import,train"),
        ("a.safetensors", "safetensors", "import"),
        ("a.h5", "h5py", ""),  # which writing needs, and reading does not
        ("a.safetensors", "torch", ""),
    ],
)
def test_what_reading_needs_is_asked_for_before_anything_is_fetched(
    host, monkeypatch, file, missing, extras
):
    there = stock.importlib.util.find_spec
    monkeypatch.setattr(
        stock.importlib.util, "find_spec", lambda name: None if name == missing else there(name)
    )
    hub.add("mine", f"{host.url}/{file}")
    if extras:
        with pytest.raises(MissingExtraError, match=rf"'pleinair\[{extras}\]'"):
            hub.find("mine")
        assert host.asked == []
    else:
        with pytest.raises(PainterError):  # of a file that is not there
            hub.find("mine")
        assert host.asked


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_cache(host, tmp_path):
    hub.add("mine", f"{host.url}/mine.onnx")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="PLEINAIR_CACHE"):
        hub.find("mine")


@pytest.mark.parametrize("moment", range(1, 9))
def test_killed_at_any_moment_nothing_of_a_download_is_left_over(host, monkeypatch, moment):
    """Of a painter that can be found, its lock is there and its download gone."""
    hub.add("mine", f"{host.url}/mine.onnx")

    class Killed(BaseException):
        pass

    def killing(real):
        def call(*given, **named):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*given, **named)

        return call

    left = moment
    with monkeypatch.context() as patch:
        patch.setattr(stock, "_keep", killing(stock._keep))
        patch.setattr("pleinair.files.os.replace", killing(os.replace))
        patch.setattr("pleinair.stock.shutil.rmtree", killing(shutil.rmtree))
        with contextlib.suppress(Killed):
            hub.find("mine")
    assert hub.find("mine").is_file()
    assert len(stock.locks()) == 1
    assert not list((places.cache() / "painters").glob("fetching-*"))
