from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import stat
import sys
import threading
import zipfile
from dataclasses import dataclass, field, replace

import pytest
from PIL import Image

from pleinair import archives, backbones, cli, datasets, download, settings
from pleinair.datasets import DATASETS, Dataset
from pleinair.errors import DataError, OutputError, UsageError

from .conftest import picture


def jpeg(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(40, 48, seed)).save(file, "JPEG")
    return file.getvalue()


def zipped(members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


SET = {f"x2photo/{part}/{i}.jpg": jpeg(i) for part in ("trainA", "trainB") for i in range(2)}
CONTENT = zipped(SET)
HALF = len(CONTENT) // 2


@dataclass
class Server:
    """Answers from `turns`, the last of them again and again, and remembers what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    turns: list = field(default_factory=lambda: [good])
    asked: list = field(default_factory=list)


def good(handler, server):
    """As Apache does: ETag, Range, If-Range."""
    send(handler, server, len(server.content))


def send(handler, server, until, claim=0, etag='"1"'):
    """Send until this byte, with a claim that is so many bytes wrong, then drop the connection."""
    start, body = 0, server.content
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked and handler.headers.get("If-Range") == etag:
        start = int(asked[1])
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) - start + claim))
    if etag:
        handler.send_header("ETag", etag)
    handler.end_headers()
    handler.wfile.write(body[start:until])


def broken(handler, server):
    send(handler, server, HALF)


def status(code, **headers):
    def answer(handler, server):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def run_server():
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, dict(self.headers)))
            turn = server.turns.pop(0) if len(server.turns) > 1 else server.turns[0]
            turn(self, server)

        def log_message(self, *_):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield server
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def server():
    yield from run_server()


@pytest.fixture
def elsewhere():
    yield from run_server()


@pytest.fixture(autouse=True)
def hurry(monkeypatch, tmp_path):
    quick = replace(settings.DATA, first_wait=0.0, timeout=5.0, tries=3)
    monkeypatch.setattr(download, "DATA", quick)
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ranges(server):
    return [headers.get("Range") for _, headers in server.asked]


# --- one file ---------------------------------------------------------------------------------


def test_a_file_comes_with_progress(server, tmp_path):
    told = []
    target = tmp_path / "x.zip"
    download.fetch(f"{server.url}/x.zip", target, progress=lambda *words: told.append(words))
    assert target.read_bytes() == CONTENT
    assert told[0] == ("downloading", 0, len(CONTENT))
    assert told[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert list(tmp_path.iterdir()) == [target]


def test_a_dropped_connection_goes_on_where_it_was(server, tmp_path):
    server.turns = [broken, good]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert server.asked[1][1]["If-Range"] == '"1"'


def test_a_download_goes_on_in_another_run(server, tmp_path):
    server.turns = [broken]
    with pytest.raises(DataError, match=rf"promised .* stopped after {HALF:,}; the {HALF:,} bytes"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
    server.turns, server.asked = [good], []
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert ranges(server) == [f"bytes={HALF}-"]
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_whole_part_is_only_renamed(server, tmp_path):
    (tmp_path / "x.zip.part").write_bytes(CONTENT)
    note = {"url": f"{server.url}/x.zip", "validator": '"1"'}
    (tmp_path / "x.zip.part.json").write_text(json.dumps(note))
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_part_of_another_file_is_not_gone_on_with(server, tmp_path):
    # The file changed at the server; the note is of another address; the note is damaged.
    notes = [
        {"url": f"{server.url}/x.zip", "validator": '"old"'},
        {"url": f"{server.url}/y.zip", "validator": '"1"'},
        {"url": f"{server.url}/x.zip", "validator": None},
        [],
    ]
    for note in notes:
        (tmp_path / "x.zip.part").write_bytes(b"something else" * 1000)
        (tmp_path / "x.zip.part.json").write_text(json.dumps(note))
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
        assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_ignores_range(server, tmp_path):
    def whole(handler, server):
        del handler.headers["Range"]
        good(handler, server)

    server.turns = [broken, whole]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_without_etag_is_asked_for_all_of_it(server, tmp_path):
    server.turns = [
        lambda h, s: send(h, s, HALF, etag=""),
        lambda h, s: send(h, s, len(CONTENT), etag='W/"weak"'),
    ]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_a_server_that_sends_another_part(server, tmp_path):
    server.turns = [broken, status(206, Content_Range="bytes 7-8/9"), good]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_claims_more_than_it_sends(server, tmp_path):
    server.turns = [lambda h, s: send(h, s, len(CONTENT), claim=100, etag="")]
    with pytest.raises(DataError, match="stopped after"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert len(server.asked) == 3


def test_a_false_length_is_forgiven_where_the_server_takes_it_back(server, tmp_path):
    server.turns = [lambda h, s: send(h, s, len(CONTENT), claim=100), good]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_a_server_that_claims_less_than_it_sends(server, tmp_path):
    server.turns = [lambda h, s: send(h, s, len(CONTENT), claim=-100)]
    with pytest.raises(DataError, match=r"damaged or cut short .* get a whole copy"):
        datasets.get(datasets.dataset(f"{server.url}/x.zip"), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []  # the next try must not take it for whole


def test_a_file_of_another_size_than_is_known(server, tmp_path):
    with pytest.raises(DataError, match=r"bytes now, not 7; it is another file"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip", size=7)


def test_a_server_that_never_ends_is_cut_off(server, tmp_path, monkeypatch):
    def endless(handler, server):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(bytes(5000))

    server.turns = [endless]
    monkeypatch.setattr(download, "DATA", replace(download.DATA, max_download_bytes=1000))
    with pytest.raises(DataError, match="sends more than 1,000 bytes"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    server.turns = [good]
    with pytest.raises(DataError, match="more than 1,000; download it yourself"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("code", "sentence"), [(404, "check the address"), (403, "may want a login"), (410, "check")]
)
def test_a_refusal_is_final(server, tmp_path, code, sentence):
    server.turns = [status(code)]
    with pytest.raises(DataError, match=rf"is refused \({code} .*{sentence}"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.turns = [status(503), status(429, Retry_After="0"), good]
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    server.turns = [status(500)]
    with pytest.raises(DataError, match="answers 500 Internal Server Error"):
        download.fetch(f"{server.url}/y.zip", tmp_path / "y.zip")


def test_waits_grow_and_have_a_limit(server, tmp_path, monkeypatch):
    waits = []
    settings = replace(download.DATA, first_wait=1.0, longest_wait=5.0, tries=6)
    monkeypatch.setattr(download, "DATA", settings)
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.turns = [status(503), status(503, Retry_After="3600"), status(503)]
    with pytest.raises(DataError):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")
    assert waits == [1.0, 5.0, 4.0, 5.0, 5.0]


def test_nobody_listens(tmp_path):
    with pytest.raises(DataError, match=r"127\.0\.0\.1 cannot be reached"):
        download.fetch("http://127.0.0.1:9/x.zip", tmp_path / "x.zip")


def test_a_redirect_is_followed_without_the_key(server, elsewhere, tmp_path):
    server.turns = [status(302, Location=f"{elsewhere.url}/real.zip")]
    elsewhere.turns = [broken, good]
    headers = {"Authorization": "Basic secret"}
    download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip", headers=headers)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert [h.get("Authorization") for _, h in server.asked] == ["Basic secret"] * 2
    assert [h.get("Authorization") for _, h in elsewhere.asked] == [None] * 2
    assert ranges(elsewhere) == [None, f"bytes={HALF}-"]
    server.turns = [status(302, Location=f"{server.url}/x.zip")]
    with pytest.raises(DataError, match="is refused"):
        download.fetch(f"{server.url}/y.zip", tmp_path / "y.zip")


def test_no_redirect_from_https_to_http():
    request = download.urllib.request.Request("https://example.org/x.zip")
    with pytest.raises(DataError, match="leads from https to"):
        download._Redirects().redirect_request(
            request, io.BytesIO(), 302, "", {}, "http://example.org/x.zip"
        )


def test_a_full_disk(server, tmp_path, monkeypatch):
    usage = type(download.shutil.disk_usage(tmp_path))(10, 10, 0)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="0 bytes free"):
        download.fetch(f"{server.url}/x.zip", tmp_path / "x.zip")


# --- a set ------------------------------------------------------------------------------------


@pytest.fixture
def known(server, monkeypatch):
    made = Dataset(
        "x2photo",
        f"{server.url}/x2photo.zip",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        terms="theirs",
        photos="trainB",
        paintings="trainA",
    )
    monkeypatch.setitem(DATASETS, "x2photo", made)
    return made


def call(*words):
    return cli.app(words, result_action="return_value")


def test_a_set_ends_as_two_folders_and_a_command(known, tmp_path, capsys):
    assert call("data", "get", "x2photo") == 0
    out, err = capsys.readouterr()
    assert out == "x2photo\n"
    assert "terms: theirs" in err
    assert f"SHA-256 {known.sha256}\n" in err
    assert "pleinair train --photos x2photo/trainB --paintings x2photo/trainA --out RUN" in err
    for name, content in SET.items():
        assert (tmp_path / name).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["x2photo"]
    mark = json.loads((tmp_path / "x2photo" / ".pleinair-data.json").read_text())
    assert mark["sha256"] == known.sha256


def test_a_folder_is_replaced_only_by_force_and_only_our_own(known, tmp_path):
    target = tmp_path / "there"
    target.mkdir()
    (target / "mine.txt").write_text("precious")
    for force in ([], ["--force"]):
        with pytest.raises(OutputError, match=r"exists; name|was not made by this command"):
            call("data", "get", "x2photo", "--out", str(target), *force)
    assert (target / "mine.txt").read_text() == "precious"
    own = tmp_path / "own"
    call("data", "get", "x2photo", "--out", str(own))
    (own / "trainA" / "0.jpg").unlink()
    with pytest.raises(OutputError, match="exists; name"):
        call("data", "get", "x2photo", "--out", str(own))
    call("data", "get", "x2photo", "--out", str(own), "--force")
    assert (own / "trainA" / "0.jpg").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "there"]


def test_a_wrong_checksum(known, server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=f"has the SHA-256 {found}, not {known.sha256}; try again"):
        call("data", "get", "x2photo")
    assert list(tmp_path.iterdir()) == []


def test_a_checksum_of_ones_own_comes_before_the_known_one(known, server, tmp_path, capsys):
    server.content = zipped({**SET, "x2photo/more.txt": b"more"})
    found = hashlib.sha256(server.content).hexdigest()
    call("data", "get", "x2photo", "--sha256", found.upper())
    assert f"SHA-256 {found}\n" in capsys.readouterr().err
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        call("data", "get", "x2photo", "--sha256", "123")


def test_the_address_of_a_zip(server, tmp_path, capsys):
    assert call("data", "get", f"{server.url}/some%20set.zip?version=2") == 0
    out, err = capsys.readouterr()
    assert out == "some_set\n"
    assert "nothing known to compare it with" in err
    assert "Pictures are in: some_set/trainA, some_set/trainB" in err


def test_that_a_server_is_asked_again_is_told(server, tmp_path, capsys):
    server.turns = [status(503), good]
    assert call("data", "get", f"{server.url}/set.zip") == 0
    assert "trying again: the server answers 503" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["monet", "file:///etc/passwd", "ftp://x/y.zip", "https://", "http://a:b@c/x.zip", "http://[x"],
)
def test_what_is_no_set(name):
    with pytest.raises(UsageError, match="is unknown; use monet2photo"):
        call("data", "get", name)


def test_an_archive_that_is_there_is_used_and_kept(known, server, tmp_path):
    (tmp_path / "x2photo.zip").write_bytes(CONTENT)
    call("data", "get", "x2photo")
    assert server.asked == []
    assert (tmp_path / "x2photo.zip").exists()
    assert (tmp_path / "x2photo" / "trainA" / "0.jpg").exists()


def test_a_page_in_place_of_a_zip(server, tmp_path):
    server.content = b"<html>Please log in</html>"
    with pytest.raises(DataError, match="damaged or cut short"):
        call("data", "get", f"{server.url}/x.zip")
    assert list(tmp_path.iterdir()) == []


# --- hostile archives -------------------------------------------------------------------------


def member(name, mode=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


HOSTILE = {
    "parent": ([("../x.jpg", b"x")], "would leave its folder"),
    "deep parent": ([("a/../../x.jpg", b"x")], "would leave its folder"),
    "backslash": ([("a\\..\\..\\x.jpg", b"x")], "would leave its folder"),
    "absolute": ([("/x.jpg", b"x")], "would leave its folder"),
    "drive": ([("C:x.jpg", b"x")], "would leave its folder"),
    "symlink": ([(member("x.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")], "a link or device"),
    "device": ([(member("x.jpg", stat.S_IFCHR | 0o666), b"")], "a link or device"),
    "twice": ([("x.jpg", b"a"), ("X.jpg", b"b")], "two members of the name"),
    "file and folder": ([("a", b"x"), ("a/x.jpg", b"x")], "two members of the name"),
    "bomb": ([("x.jpg", bytes(10**6))], "claims to unpack to 1,000,000 bytes"),
    "many": ([(f"{i}.jpg", b"") for i in range(60)], "in 60 files"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_leaves_nothing(server, tmp_path, monkeypatch, name):
    members, sentence = HOSTILE[name]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/1.jpg", jpeg())
        for info, content in members:
            archive.writestr(info, content)
    server.content = file.getvalue()
    small = replace(settings.DATA, max_unpacked_bytes=10**6 - 1, max_unpacked_files=50)
    monkeypatch.setattr(archives, "DATA", small)
    inside = tmp_path / "inside"
    inside.mkdir()
    sentence = sentence.replace("to 1,000,000", r"to 1,00\d,\d\d\d").replace("60", "61")
    with pytest.raises(DataError, match=sentence):
        call("data", "get", f"{server.url}/x.zip", "--out", str(inside / "x"))
    assert list(tmp_path.rglob("*")) == [inside]


def test_a_member_that_unpacks_to_more_than_it_claims(server, tmp_path):
    content = bytearray(zipped({"a/1.jpg": bytes(10**5)}))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")
    server.content = bytes(content)
    with pytest.raises(DataError, match="damaged"):
        call("data", "get", f"{server.url}/x.zip")
    assert list(tmp_path.iterdir()) == []


# --- Kaggle -----------------------------------------------------------------------------------


@pytest.fixture
def kaggle(server, monkeypatch, tmp_path_factory):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(folder))
    monkeypatch.setitem(DATASETS, "kaggle", replace(DATASETS["kaggle"], url=f"{server.url}/all"))
    server.content = zipped({f"{part}_jpg/1.jpg": jpeg() for part in ("monet", "photo")})
    return folder / "kaggle.json"


def test_kaggle_wants_a_token(kaggle, server, capsys):
    with pytest.raises(
        UsageError, match=r"make one at https://www\.kaggle\.com/settings .* put it"
    ):
        call("data", "get", "kaggle")
    for text in ('{"key": "SECRET"', '{"key": "SECRET"}', '["SECRET"]'):
        kaggle.write_text(text)
        with pytest.raises(UsageError, match="holds no Kaggle token") as caught:
            call("data", "get", "kaggle")
        assert caught.value.__cause__ is None
        assert "SECRET" not in str(caught.value)
    assert server.asked == []


def test_kaggle_with_a_token(kaggle, server, monkeypatch, capsys):
    kaggle.write_text(json.dumps({"username": "ann", "key": "SECRET"}))
    assert call("data", "get", "kaggle") == 0
    assert server.asked[0][1]["Authorization"] == "Basic YW5uOlNFQ1JFVA=="
    out, err = capsys.readouterr()
    assert "--photos kaggle/photo_jpg --paintings kaggle/monet_jpg" in err
    assert "SECRET" not in out + err
    assert "YW5u" not in out + err
    monkeypatch.setenv("KAGGLE_USERNAME", "bob")
    monkeypatch.setenv("KAGGLE_KEY", "OTHER")
    server.turns = [status(403)]
    with pytest.raises(DataError, match=r"refused \(403 .*accept the rules at https") as caught:
        call("data", "get", "kaggle", "--out", "again")
    assert server.asked[1][1]["Authorization"] == "Basic Ym9iOk9USEVS"
    assert "OTHER" not in str(caught.value)


def test_the_sets_that_ship_are_whole():
    for name, one in DATASETS.items():
        assert name == one.name
        assert one.url.startswith("http")
        assert one.photos
        assert one.paintings
        assert one.terms
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256)


# --- weights of backbones -------------------------------------------------------------------


@pytest.fixture
def weights(server):
    server.content = b"numbers" * 1000
    digest = hashlib.sha256(server.content).hexdigest()
    return backbones.Weights(f"{server.url}/eye.pth", len(server.content), digest)


def test_weights_are_fetched_once(weights, server, tmp_path):
    server.turns = [lambda *turn: send(*turn, 3500), good]
    found = backbones.find(weights, tmp_path / "cache")
    assert found.read_bytes() == server.content
    asked = len(server.asked)
    assert backbones.find(weights, tmp_path / "cache") == found
    assert len(server.asked) == asked
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["eye.pth"]


def test_other_weights_of_that_name_are_not_used(weights, server, tmp_path):
    server.content = bytes(reversed(server.content))
    with pytest.raises(DataError, match=r"SHA-256 .*--inception-weights"):
        backbones.find(weights, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "eye.pth").write_bytes(b"changed")
    with pytest.raises(DataError, match="remove it to fetch it again"):
        backbones.find(weights, tmp_path)
    assert (tmp_path / "eye.pth").read_bytes() == b"changed"
    with pytest.raises(DataError, match="check the path"):
        backbones.check(weights, tmp_path / "nothing.pth")


def test_a_folder_for_weights_that_cannot_be_made(weights, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        backbones.find(weights, tmp_path / "file" / "cache")


def test_evaluate_fetches_inception_and_prints_fid(server, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from .test_inception import made_up_weights

    file = io.BytesIO()
    torch.save(made_up_weights(), file)
    server.content = file.getvalue()
    digest = hashlib.sha256(server.content).hexdigest()
    known = backbones.Weights(f"{server.url}/inception.pth", len(server.content), digest)
    monkeypatch.setattr(backbones, "INCEPTION", known)
    monkeypatch.setenv("PLEINAIR_CACHE", str(tmp_path / "home"))
    for name, seed in (("photos", 0), ("paintings", 50)):
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}.jpg").write_bytes(jpeg(seed + number))
    words = ["--photos", str(tmp_path / "photos"), "--paintings", str(tmp_path / "paintings")]
    words += ["--fresh", "--device", "cpu"]

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pleinair", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    assert run("evaluate", *words, "--inception") == 0
    out, err = capsys.readouterr()
    assert "KID-Inception" in out
    assert "FID" in out
    assert f"Inception (SHA-256 {digest[:8]}, 299 pixels, bilinear of TensorFlow 1)" in err
    kept = next((tmp_path / "home").rglob("inception.pth"))
    asked = len(server.asked)
    assert run("evaluate", *words, "--inception-weights", str(kept)) == 0
    assert len(server.asked) == asked
    assert capsys.readouterr().out == out
    kept.write_bytes(b"no weights")
    assert run("evaluate", *words, "--inception-weights", str(kept)) == 1
    assert "has the SHA-256" in capsys.readouterr().err
