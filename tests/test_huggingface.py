from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pleinair import catalogue, cli, hub, huggingface, places, stock
from pleinair.config import ResNetSpec
from pleinair.errors import MissingExtraError, PainterError, UsageError
from pleinair.networks import build
from pleinair.painter import Painter

from .hosting import Host, Hub, hosting

constants = pytest.importorskip("huggingface_hub.constants")

MONET = hub.find("monet").read_bytes()
SHA256 = hashlib.sha256(MONET).hexdigest()


@pytest.fixture
def there(monkeypatch, own_places):
    """A Hub of this computer's own, and folders of a user's own."""
    with hosting(Host()) as host:
        made = Hub(host)
        host.answer = made
        # As HF_ENDPOINT, HF_TOKEN and HF_HUB_DISABLE_XET do where a process begins with them.
        monkeypatch.setattr(constants, "ENDPOINT", host.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            host.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", host.url, raising=False)
        monkeypatch.setenv("HF_TOKEN", "a-token-of-this-test")
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "")
        yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://owner/name", ("owner/name", None, None)),
        ("hf://owner/name@v1", ("owner/name", "v1", None)),
        ("hf://o/n.v2@refs%2Fpr%2F1/a/b.pth", ("o/n.v2", "refs/pr/1", "a/b.pth")),
        ("hf://o/n/b.onnx", ("o/n", None, "b.onnx")),
    ],
)
def test_addresses(text, expected):
    found = huggingface.address(text)
    assert (found.repository, found.revision, found.file) == expected


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://owner",
        "hf://../name",
        "hf://o/n@",
        "hf://o/n/../x",
        "hf://o/n//etc",
        "hf://o/-n",
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(PainterError, match="no address at the Hugging Face Hub"):
        huggingface.address(text)


def test_a_painter_of_the_hub_paints(there):
    there.repositories["owner/name"] = {"README.md": b"", "name.onnx": MONET}
    told = []
    path = hub.find("hf://owner/name", told.append)
    assert path.read_bytes() == MONET
    assert f"({len(MONET) / 1e6:,.1f} MB; licence: cc0-1.0)" in told[0]
    assert told[1] == f"SHA-256 {SHA256}, as it was told"
    asked = len(there.host.asked)
    assert Painter.load("hf://owner/name").paint(np.zeros((8, 8, 3), np.uint8)).shape == (8, 8, 3)
    assert len(there.host.asked) == asked
    listed = {one.name: one for one in catalogue.listed()}["hf://owner/name"]
    assert (listed.where, listed.sha256) == ("fetched", SHA256)
    assert hub.remove("hf://owner/name") == "file"
    assert hub.missing("hf://owner/name") is not None


def test_a_revision_is_pinned_by_its_commit(there):
    there.repositories["owner/name"] = {"name.onnx": MONET}
    before = there.commit("owner/name")
    hub.find("hf://owner/name")
    assert [(lock.commit, lock.file) for lock in stock.locks()] == [(before, "name.onnx")]
    shutil.rmtree(places.cache())
    there.repositories["owner/name"]["name.onnx"] = MONET + b""
    there.repositories["owner/name"]["other.txt"] = b"a new commit"
    with pytest.raises(PainterError, match="no such revision"):  # this Hub forgets old ones
        hub.find("hf://owner/name")
    hub.fetch("hf://owner/name", renew=True)
    assert stock.locks()[0].commit == there.commit("owner/name")


def test_another_file_at_the_same_commit_is_refused(there, monkeypatch):
    there.large = False
    there.repositories["owner/name"] = {"name.onnx": MONET}
    told = []
    hub.find("hf://owner/name", told.append)
    assert "nobody has told it before" in told[1]
    shutil.rmtree(places.cache())
    kept = there.commit("owner/name")
    there.repositories["owner/name"]["name.onnx"] = MONET + b"\x72\x00"
    monkeypatch.setattr(there, "commit", lambda _: kept)
    with pytest.raises(PainterError, match=f"not {SHA256}"):
        hub.find("hf://owner/name")


def test_others_weights_of_the_hub(there, tmp_path):
    spec = ResNetSpec(channels=4, blocks=6)
    torch.save(build(spec).state_dict(), tmp_path / "latest_net_G.pth")
    data = (tmp_path / "latest_net_G.pth").read_bytes()
    there.repositories["o/n"] = {"a/latest_net_G.pth": data, "config.json": b"{}"}
    painter = Painter.load("hf://o/n")
    assert painter.spec == spec
    assert painter.card["licence"] == "cc0-1.0"


def test_which_file_is_meant(there):
    there.repositories["o/n"] = {"a.onnx": MONET, "b.onnx": MONET, "c.pth": b""}
    with pytest.raises(PainterError, match=r"holds a\.onnx, b\.onnx; add the name"):
        hub.find("hf://o/n")
    assert hub.find("hf://o/n/b.onnx").stem == "b"
    there.repositories["o/n"]["painter.onnx"] = MONET
    assert hub.find("hf://o/n").stem == "n"
    with pytest.raises(PainterError, match=r"has no file 'd\.onnx'"):
        hub.find("hf://o/n/d.onnx")
    there.repositories["o/empty"] = {"README.md": b""}
    with pytest.raises(PainterError, match="holds no painter"):
        hub.find("hf://o/empty")


def test_what_the_hub_says_is_one_sentence(there, monkeypatch):
    with pytest.raises(PainterError, match="is not there, or not for you"):
        hub.find("hf://o/none")
    there.repositories["o/n"] = {"a.onnx": MONET}
    with pytest.raises(PainterError, match="no such revision"):
        hub.find("hf://o/n@v9")
    there.host.answer = lambda handler: handler.reply(500, b"") or True
    with pytest.raises(PainterError, match=r"does not answer .* add NAME FILE") as caught:
        huggingface.resolve(huggingface.address("hf://o/n"))
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(huggingface, "_hub", _missing)
    with pytest.raises(MissingExtraError, match="hub"):
        hub.find("hf://o/n")


def _missing():
    raise MissingExtraError("hf:// needs pip install 'pleinair[hub]'.")


def test_the_hubs_own_settings_hold(there):
    """In a process of its own, since huggingface_hub reads them when it is imported."""
    there.repositories["o/n"] = {"a.onnx": MONET}

    def fetch(**settings: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pleinair", "painters", "fetch", "hf://o/n"]
        environment = {**os.environ, "HF_ENDPOINT": there.host.url, **settings}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    for setting in ("HF_HUB_OFFLINE", "PLEINAIR_OFFLINE"):
        done = fetch(**{setting: "1"})
        assert done.returncode == 1
        assert f"{setting} is set" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert there.host.asked == []
    done = fetch()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == MONET
    assert done.stderr.startswith("fetching n from hf://o/n (2.3 MB; licence: cc0-1.0)")
    assert len(done.stderr.splitlines()) == 2  # no bar where nobody watches
    done = fetch(HF_HUB_OFFLINE="1", PLEINAIR_OFFLINE="1")
    assert done.returncode == 0


def test_a_broken_connection_to_the_hub_goes_on(there):
    there.repositories["o/n"] = {"a.onnx": MONET}
    there.host.break_at = [0, 1_000_000]
    assert hub.find("hf://o/n").read_bytes() == MONET


# --- publishing -------------------------------------------------------------------------------


def run(*words: object) -> int:
    code = cli.app([*map(str, words)], result_action="return_value", exit_on_error=False)
    return int(code)


NAMED = ("--name", "water")


def test_a_painter_is_published_and_fetched_again(there, capsys):
    assert run("painters", "publish", "monet", "hf://me/water", *NAMED, "--dry-run") == 0
    said = capsys.readouterr()
    assert "water.onnx" in said.err
    assert "Nothing was published" in said.err
    assert "license: cc0-1.0" in said.out
    assert there.repositories == {}
    assert run("painters", "publish", "monet", "hf://me/water", *NAMED, "--private") == 0
    assert "/me/water/commit/" in capsys.readouterr().out
    files = there.repositories["me/water"]
    assert set(files) == {"water.onnx", "sheet.jpg", "README.md"}
    assert there.private["me/water"]
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc0-1.0\nlibrary_name: pleinair\n")
    assert "pleinair paint photo.jpg --painter hf://me/water" in card
    assert hashlib.sha256(files["water.onnx"]).hexdigest() in card
    assert Painter.load("hf://me/water").card["licence"] == "CC0-1.0"
    with pytest.raises(PainterError, match=r"has README\.md, sheet\.jpg, water\.onnx already"):
        run("painters", "publish", "monet", "hf://me/water", *NAMED)
    assert run("painters", "publish", "monet", "hf://me/water", *NAMED, "--force") == 0


def test_what_cannot_be_published(there, tmp_path):
    torch.save(build(ResNetSpec(channels=4, blocks=6)).state_dict(), tmp_path / "style.pth")
    with pytest.raises(UsageError, match="under which licence"):
        run("painters", "publish", tmp_path / "style.pth", "hf://me/water")
    with pytest.raises(UsageError, match="more than a repository"):
        run("painters", "publish", "monet", "hf://me/water@main")
    with pytest.raises(UsageError, match="cannot be published to"):
        run("painters", "publish", "monet", "https://x.org/a")
    assert there.host.asked == []
    licence = 'my own: "all" rights'
    run("painters", "publish", tmp_path / "style.pth", "hf://me/style", "--licence", licence)
    card = there.repositories["me/style"]["README.md"].decode()
    assert f"license: other\nlicense_name: {json.dumps(licence)}\n" in card
    assert "resnet" in card
