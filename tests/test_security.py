"""Promises of docs/security.md that no other room's tests hold, and that each is held by one."""

from __future__ import annotations

import ast
import io
import logging
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from rich.console import Console

from pleinair import checkpoint, clips, download, images, listening, web, weights
from pleinair.cli import tables, terminal
from pleinair.config import LightSpec
from pleinair.errors import CheckpointError, DataError, ImageError, PainterError, VideoError
from pleinair.guard import LOOPBACK, NUMBERS
from pleinair.painter import Painter
from pleinair.settings import SERVE

from .conftest import SAMPLES, picture
from .hosting import Host, hosting
from .serving import client, jpeg, post
from .test_cli import in_terminal, run

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "pleinair").rglob("*.py"))
# Steers a terminal, gives it a title, turns the direction of what follows.
NASTY = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202egpj.exe"


# --- the page ---------------------------------------------------------------------------------


def test_every_promise_of_the_page_names_tests_that_exist():
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(test_\w+)\.py::(test_\w+)`", text)
    rows = [line for line in text.splitlines() if re.match(r"\| (?!promise)", line)]
    for row in rows:
        assert re.fullmatch(r"\| [^|]+ \| (`test_\w+\.py::test_\w+`(, )?)+ \|", row), row
    known = {
        (path.stem, one.name)
        for path in (ROOT / "tests").glob("test_*.py")
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.FunctionDef)
    }
    assert len(rows) > 60
    assert set(named) <= known, set(named) - known
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()


# --- what the code never does -----------------------------------------------------------------

NEVER = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "os.chmod",
    "os.umask",
    "tempfile.mktemp",
    "ssl._create_unverified_context",
    "yaml.load",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "np.fromregex",
    "torch.hub.load",
    "torch.jit.load",
    "jinja2.Template",
}
# What may open a connection, and where.
NETWORK = {
    "urllib.request": {"download.py"},
    "http.client": {"download.py"},
    "requests": set(),
    "httpx": set(),
    "aiohttp": set(),
    "ftplib": set(),
    "smtplib": set(),
    "telnetlib": set(),
    "socketserver": set(),
    "socket": {"listening.py", "scale.py"},
    "ssl": {"download.py"},
    "huggingface_hub": {"huggingface.py"},
}
# pickletools lists instructions and follows none.
PICKLES: dict[str, set[str]] = {"pickle": set(), "pickletools": {"foreign/torchfile.py"}}
FORBIDDEN = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "dbm", "xml", "yaml", "pty"}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        yield path.relative_to(ROOT / "src/pleinair").as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom) and not one.level:
            yield one.module or ""
            yield from (f"{one.module}.{alias.name}" for alias in one.names)


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for name, tree in trees():
        for one in ast.walk(tree):
            if isinstance(one, ast.Call):
                yield name, ast.unparse(one.func), one


def words(call: ast.Call) -> dict[str | None, Any]:
    return {word.arg: getattr(word.value, "value", ...) for word in call.keywords}


def test_nothing_is_run_that_was_not_written_here():
    for name, function, call in calls():
        assert function not in NEVER, f"{name}: {function}"
        assert not words(call).get("shell"), f"{name}: {ast.unparse(call)}"
        assert words(call).get("verify", True) is not False, name
        assert not words(call).get("allow_pickle"), name
        assert not words(call).get("trust_remote_code"), name
        if function == "torch.load":
            assert words(call).get("weights_only") is True, name
        if function == "jinja2.Environment":
            assert words(call).get("autoescape") is True, name
        if function.startswith("subprocess."):
            assert name == "npm.py", name
            assert function in ("subprocess.run", "subprocess.TimeoutExpired"), name


def test_only_the_rooms_of_the_network_reach_it():
    for name, tree in trees():
        found = set(imported(tree))
        for module, rooms in (NETWORK | PICKLES).items():
            used = any(one == module or one.startswith(f"{module}.") for one in found)
            assert not used or name in rooms, f"{name} imports {module}"
        assert not {one.partition(".")[0] for one in found} & FORBIDDEN, name


def test_certificates_are_checked_and_no_code_turns_that_off():
    for path in SOURCES:
        assert not re.search(r"CERT_NONE|check_hostname|_unverified_", path.read_text()), path


def test_commands_print_through_the_door_that_quotes():
    for path in (ROOT / "src/pleinair/cli").glob("*.py"):
        found = [
            one.lineno
            for one in ast.walk(ast.parse(path.read_text()))
            if isinstance(one, ast.Call)
            and ast.unparse(one.func) in ("print", "sys.stdout.write", "sys.stderr.write")
        ]
        assert path.name == "terminal.py" or not found, (path, found)


def test_pages_put_text_where_text_belongs():
    places = [ROOT / "src/pleinair/page", ROOT / "src/pleinair/templates"]
    sink = r"\.(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    for path in (one for place in places for one in place.rglob("*")):
        if path.suffix in (".js", ".html"):
            assert not re.search(sink, path.read_text()), path
    # Only the ballot's own JSON is put in as it is, and its signs for a tag are written otherwise.
    marked = [p for p in places[1].glob("*.html") if re.search(r"\|\s*safe", p.read_text())]
    assert [path.name for path in marked] == ["ballot.html"]
    assert '.replace("<", "\\\\u003c")' in (ROOT / "src/pleinair/pages.py").read_text()


def test_a_server_listens_on_this_computer_alone_unless_it_is_told():
    assert SERVE.host == "127.0.0.1"
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        texts = [one for one in ast.walk(tree) if isinstance(one, ast.Constant)]
        assert "0.0.0.0" not in [one.value for one in texts], path


# --- names of files ---------------------------------------------------------------------------


def test_what_steers_a_terminal_is_shown_and_not_obeyed():
    assert terminal.shown(NASTY) == r"a\x1b[31mred\x1b]0;title\x07\x9b2J\u202egpj.exe"
    for kept in ("two\nlines\tand more", "Café 3.45\u202fPM 👩\u200d🎨.jpg", "ملف.jpg"):
        assert terminal.shown(kept) == kept
    assert terminal.shown(os.fsdecode(b"\xff")) in (r"\udcff", "\ufffd")


@pytest.mark.skipif(sys.platform != "linux", reason="names are narrower elsewhere")
def test_names_of_photos_do_not_steer_a_terminal(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (f"{NASTY}.jpg", "b[bold].jpg"):
        Image.fromarray(picture(24, 32)).save(folder / name)
    (folder / f"{NASTY}.png").write_bytes(b"no picture")
    code, seen = in_terminal("paint", folder, "-o", tmp_path / "out", tmp_path=tmp_path)
    assert code == 1
    assert "\x1b]0;title" not in seen
    assert "\x1b[31mred" not in seen
    assert "\u202e" not in seen
    assert r"\x1b]0;title\x07" in seen
    # A program gets the names as they are.
    assert f"{NASTY}.jpg" in (tmp_path / "stdout").read_text()


def test_results_on_a_terminal_and_errors_are_quoted(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    terminal.give(Path(NASTY))
    assert run("paint", tmp_path / f"{NASTY}.jpg") == 1
    found = capsys.readouterr()
    assert "\x1b" not in found.out + found.err
    assert r"\x1b[31mred" in found.out
    assert r"\x1b[31mred" in found.err


def test_what_is_said_above_a_bar_and_in_tables_is_quoted():
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, width=200)
    terminal.say_above(SimpleNamespace(console=console), NASTY)
    for table in tables.tables("", [f"[bold]{NASTY}[/]"], [tables.Column("x", [("1", "")])], 200):
        console.print(table)
    assert "\x1b]0;" not in seen.getvalue()
    assert seen.getvalue().count(r"\x1b]0;title\x07") == 2
    assert "[bold]a" in seen.getvalue()


def test_what_a_server_says_does_not_steer_a_terminal(own_places, monkeypatch, capsys):
    def answer(handler: Any) -> bool:
        handler.send_response(404, "gone \x1b]0;title\x07")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    with hosting(Host(answer=answer)) as host:
        assert run("data", "get", f"{host.url}/set.zip", "--out", own_places / "set") == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert r"\x1b]0;title" in said


# --- photos and clips of strangers ------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        b"%PDF-1.4\n1 0 obj\n",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://a.example/x'\n",
        b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),  # a metafile of Windows
        b"SIMPLE  =                    T" + bytes(200),  # FITS
    ],
    ids=["postscript", "pdf", "svg", "mvg", "wmf", "fits"],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_kinds_that_are_programs_are_opened_by_no_reader(content, suffix, tmp_path):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        images.read(path)


def film(path: Path) -> None:
    import av

    with av.open(str(path), "w") as made:
        stream = made.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(4):
            pixels = np.full((48, 64, 3), 40 * level, np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        made.mux(stream.encode())


def test_a_clip_that_lists_other_files_opens_none_of_them(tmp_path):
    pytest.importorskip("av")
    secret = tmp_path / "secret.ts"
    film(secret)
    film(tmp_path / "secret.mp4")
    assert clips.probe(secret).width == 64
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    lists = {
        "a.m3u8": playlist.format(secret.as_uri()),
        "b.m3u8": playlist.format("http://127.0.0.1:9/a.ts"),
        "c.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
        "d.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "e%03d.png": "",
    }
    Image.new("RGB", (64, 48)).save(tmp_path / "e001.png")
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoError, match="not a clip"):
            clips.probe(tmp_path / name)
    with pytest.raises(VideoError, match="does not exist"):
        clips.probe(Path("concat:secret.mp4"))


# --- painters of strangers --------------------------------------------------------------------


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["PLEINAIR_TEST_MARK"],)


def test_a_checkpoint_runs_nothing(tmp_path, monkeypatch):
    mark = tmp_path / "was-run"
    monkeypatch.setenv("PLEINAIR_TEST_MARK", str(mark))
    path = tmp_path / "00000001.pt"
    torch.save({"format": 1, "recipe": Runs()}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not mark.exists()


def test_a_checkpoint_that_grows_is_refused(tmp_path):
    whole, packed = tmp_path / "whole.pt", tmp_path / "packed.pt"
    torch.save({"format": 1, "recipe": {}, "ema": torch.zeros(2**20)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", 8) as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    assert packed.stat().st_size < whole.stat().st_size / 100
    with pytest.raises(CheckpointError, match="compressed member"):
        checkpoint.load(packed)


@pytest.mark.parametrize("where", ["secret.bin", "../secret.bin", "/etc/hostname"])
def test_exporting_a_painter_opens_no_file_that_it_names(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    model = onnx.load(ROOT / "src/pleinair/painters/monet.onnx")
    tensor = next(one for one in model.graph.initializer if "." in one.name)
    (tmp_path / "secret.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", where
    Path("mine.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PainterError, match="keeps weights in another file"):
        weights.load(Path("mine.onnx"))
    with pytest.raises(PainterError, match="keeps weights in another file"):
        Painter.load("mine.onnx")


@pytest.mark.parametrize(
    ("kind", "domain", "more"),
    [
        ("Evil", "evil.example", {}),
        ("PyOp", "pyopmulti_1", {}),
        ("EPContext", "com.microsoft", {"ep_cache_context": "../other", "embed_mode": 0}),
    ],
)
def test_a_painter_brings_no_code(tmp_path, kind, domain, more):
    shape = [1, 3, "height", "width"]
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"], ["y"], domain=domain, **more)],
        "graph",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, shape)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    path = tmp_path / "painter.onnx"
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PainterError, match="not a painter that can be loaded"):
        Painter.load(path)


# --- the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["file", "FILE", "ftp", "data", "gopher"])
def test_only_http_is_fetched(tmp_path, scheme):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DataError, match="no address of http"):
        download.fetch(f"{scheme}://{tmp_path}/secret", tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_nobody_vouches_for_is_refused(own_places, monkeypatch):
    key, certificate = own_places / "key.pem", own_places / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
    command += f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with hosting(Host(files={"/x": b"x"}), context) as host, pytest.raises(DataError) as error:
        download.fetch(f"{host.url}/x", own_places / "x")
    assert "no valid certificate" in str(error.value)
    assert host.asked == []


# --- the server -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "status"),
    [
        ((), "rebound.example", 400),
        ((), "192.168.1.9:8000", 200),
        ((), "[fe80::1]:8000", 200),
        ((), "127.0.0.1.rebound.example", 400),
        (("--key", "k"), "whatever.example", 200),
        (("--allow-host", "paint.example"), "paint.example", 200),
        (("--allow-host", "paint.example"), "192.168.1.9", 400),
    ],
)
def test_a_page_that_takes_our_address_for_its_name_is_refused(words, name, status, monkeypatch):
    """Without a key, a server that others reach answers to numbers and to names it was given."""
    made: dict[str, Any] = {}
    app = SimpleNamespace(state=SimpleNamespace(orders=SimpleNamespace(at_work=0)))
    with monkeypatch.context() as patch:
        patch.setattr(web, "make_app", lambda *_, **options: made.update(options) or app)
        patch.setattr(listening, "bound", lambda *_: SimpleNamespace(getsockname=lambda: (0, 1)))
        patch.setattr(listening, "listen", lambda *_: True)
        patch.setattr(signal, "signal", lambda *_: None)
        assert run("serve", "--host", "0.0.0.0", *words) == 0
    headers = {"authorization": "Bearer k", "host": name}
    with client(hosts=made["hosts"], key=made["key"]) as asked:
        assert asked.get("/v1/limits", headers=headers).status_code == status


def test_numbers_are_addresses_and_no_names():
    assert set(LOOPBACK) < set(NUMBERS)
    with client(hosts=NUMBERS) as made:
        for name, status in (("10.0.0.7:1", 200), ("localhost", 200), ("a.b", 400), ("", 400)):
            assert made.get("/v1/limits", headers={"host": name}).status_code == status


def test_the_log_names_no_photo(caplog, capfd):
    def fails(_batch: Any) -> Any:
        raise RuntimeError("of the painter")

    caplog.set_level(logging.DEBUG, "pleinair")
    with client(Painter(fails, LightSpec())) as made:
        for data in (jpeg(), jpeg()[:200], b"no picture"):
            assert post(made, data, params={"name": "SECRETNAME.jpg"}).status_code >= 400
    said = caplog.text + "".join(capfd.readouterr())
    assert "of the painter" in said  # a fault of ours is in it
    assert "SECRETNAME" not in said


def test_paths_of_the_page_do_not_leave_its_folder():
    outside = ("/../web.py", "/%2e%2e/web.py", "/..%2fweb.py", "//etc/passwd", "/a%00.js", "/..\\x")
    with client() as made:
        for path in outside:
            answer = made.get(made.base_url.copy_with(raw_path=path.encode()))
            assert answer.status_code in (400, 404), path


# --- other users of the machine ---------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
@pytest.mark.parametrize("mask", [0o077, 0o022, 0o027])
def test_files_have_the_rights_that_the_mask_leaves(own_places, mask):
    photos = own_places / "photos"
    photos.mkdir()
    shutil.copy(SAMPLES[0], photos / "a.jpg")
    script = (
        "import os, sys; from pleinair import cli;"
        f"os.umask({mask}); sys.argv = ['pleinair', *sys.argv[1:]]; cli.main()"
    )
    out = own_places / "out"
    command = ("paint", photos, "-o", out, "--sheet")
    for words in (command, ("painters", "add", "mine", ROOT / "src/pleinair/painters/monet.onnx")):
        done = [sys.executable, "-c", script, *map(str, words)]
        subprocess.run(done, check=True, capture_output=True)
    made = [path for place in (out, own_places / "data") for path in place.rglob("*")]
    assert {path.suffix for path in made} >= {".jpg", ".jsonl", ".toml", ".onnx"}
    for path in made:
        most = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == most, path


def test_temporary_files_are_for_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = (
        "import numpy as np, os, sys\n"
        "from pleinair import deep\n"
        "os.umask(0)\n"
        "path = deep._srgb_file()\n"
        "print(oct(os.stat(path).st_mode & 0o777))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "0o600", done.stderr
    assert list(tmp_path.iterdir()) == []  # and is gone afterwards


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_in_the_place_of_a_painting_is_replaced_and_not_followed(tmp_path):
    kept, link = tmp_path / "kept.txt", tmp_path / "out.jpg"
    kept.write_text("kept")
    link.symlink_to(kept)
    assert run("paint", SAMPLES[0], "-o", link) == 1  # it exists
    assert run("paint", SAMPLES[0], "-o", link, "--force") == 0
    assert kept.read_text() == "kept"
    assert not link.is_symlink()


def test_a_key_in_the_environment_is_told_to_nobody(monkeypatch, capsys):
    monkeypatch.setenv("PLEINAIR_KEY", "SECRETKEY")
    assert run("serve", "--help") == 0
    found = capsys.readouterr()
    assert "--key" in found.out
    assert "SECRETKEY" not in found.out + found.err
