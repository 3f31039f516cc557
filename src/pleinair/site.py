"""The page as a folder of files that any static host serves, with painters and ONNX Runtime Web.

Painting itself is in `page/`: JavaScript that does what `brushwork` and the rooms below it do, with
the settings and the numbers of each painter that are written beside it here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pleinair import __version__, config, converting, files, hub, npm, parsing, tiling
from pleinair.config import PainterSpec
from pleinair.errors import OutputError, PainterError, UsageError
from pleinair.npm import Told
from pleinair.painter import Painter
from pleinair.policy import PAGE_HEADERS, PAGE_POLICY, PAGE_TYPES
from pleinair.runtime import TwoModes
from pleinair.settings import PAINT, SITE

PAGE = Path(__file__).with_name("page")
MARK = "pleinair-site.json"
"""The file by which a site of ours is known: its version, and the SHA-256 of each of its files."""

HEADERS = {
    # Threads need the first two.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    **PAGE_HEADERS,
}
_LEFT_OUT = {"server-engine.js", "sw.js"}
_ENGINE = re.compile(r'(<meta\s+name="pleinair-engine"\s+content=")[^"]*(")')
_UNFILLED = "const SITE = null;"
_LICENCES = f"""\
pleinair is licensed under the Apache License 2.0.
{npm.PACKAGE.name} {npm.PACKAGE.version}, in ort/, is Copyright (c) Microsoft Corporation,
and licensed under the MIT License: https://opensource.org/license/mit.
"""

Files = dict[str, bytes]


def write(
    out: Path,
    painters: Sequence[str | Path] = (PAINT.painter,),
    *,
    runtime: Path | None = None,
    cache: Path,
    force: bool = False,
    told: Told = lambda _doing: None,
) -> list[str]:
    """Write a site into a new or empty folder, or renew one of ours with `force`.

    painters: names or files that `pleinair export` wrote; the first is chosen at the start.
    runtime: ONNX Runtime Web as npm's .tgz or a folder; None: fetched by npm into `cache`, once.
    told: hears what takes its time. Whatever goes wrong, `out` is as it was; files of others in it
    stay. Returns the names of the site's files.
    Raises OutputError, UsageError, PainterError, DataError.
    """
    _check_place(out, force)
    content = _page()
    entries = _painters(painters, content)
    found = npm.runtime(runtime, cache, told)
    told("compressing")
    groups = _runtimes(found, content)
    content["settings.js"] = _settings(entries, groups, content)
    content["licences.txt"] = _LICENCES.encode()
    content["sw.js"] = _service_worker(content, groups)
    content["_headers"] = _headers()
    content[".nojekyll"] = b""  # GitHub Pages would leave out names that begin with a line
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    content[MARK] = json.dumps({"pleinair": __version__, "files": sums}, indent=1).encode()
    told("writing")
    with files.writing(out, "choose another place"):
        _put(content, out)
    return sorted(content)


# --- what is in it --------------------------------------------------------------------------


def _page() -> Files:
    """The page's own files, painting by themselves."""
    names = (path for path in sorted(PAGE.rglob("*")) if path.is_file())
    content = {
        path.relative_to(PAGE).as_posix(): path.read_bytes()
        for path in names
        if path.name not in _LEFT_OUT and "__pycache__" not in path.parts
    }
    content["index.html"] = _index(content["index.html"].decode()).encode()
    return content


def _index(text: str) -> str:
    text, changed = _ENGINE.subn(r"\1./browser-engine.js\2", text)
    if changed != 1 or "<head>" not in text:
        raise ValueError("index.html names no engine.")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">'
    return text.replace("<head>", f"<head>\n{policy}", 1)


def _painters(painters: Sequence[str | Path], content: Files) -> list[dict[str, Any]]:
    """What the page knows of each painter; their files, compressed, are added to `content`."""
    entries: list[dict[str, Any]] = []
    for number, painter in enumerate(painters):
        path = hub.find(painter)
        loaded = Painter.load(path, device="cpu")
        if not isinstance(loaded.engine, TwoModes) or isinstance(loaded.spec, config.AnySpec):
            raise PainterError(
                f"{path} takes no statistics, and painting in a browser needs them; give a file "
                "that `pleinair export` wrote."
            )
        if isinstance(loaded.spec, config.UNetSpec):
            raise PainterError(
                f"{path} is a U-Net, which pages do not paint; name another painter."
            )
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem) or "painter"
        if name in [entry["name"] for entry in entries]:
            raise UsageError(f"two painters are named {name}; rename the file of one.")
        data = converting.painter_bytes(path)
        file = f"painters/{name}.onnx.gz"
        content[file] = gzip.compress(data, 9, mtime=0)
        entries.append(
            {
                "name": name,
                **loaded.words(name)._asdict(),
                "default": number == 0,
                "file": file,
                "sha256": hashlib.sha256(data).hexdigest(),
                "weight_bytes": len(data),
                **_numbers(loaded.spec),
            }
        )
    if not entries:
        raise UsageError("a site needs a painter; name one.")
    return entries


def _numbers(spec: PainterSpec) -> dict[str, Any]:
    """All that painting needs to know of a network."""
    large = config.SMALL_SIDE + 1
    return {
        "stride": config.size_multiple(spec),
        "least_side": config.least_side(spec),
        "halo": tiling.halo(spec),
        "bytes_per_pixel": config.working_bytes_per_pixel(spec),
        "in_layers": config.paints_in_layers(spec),
        "small_side": config.SMALL_SIDE,
        "margins": {
            "large": config.edge_margin(spec, large, 2),
            "small": config.edge_margin(spec, config.SMALL_SIDE, 1),
            "small_in_layers": config.edge_margin(spec, config.SMALL_SIDE, 2),
        },
    }


def _runtimes(found: Files, content: Files) -> dict[str, dict[str, str]]:
    """Where each kind of ONNX Runtime Web lies; its files are added to `content`."""
    groups = {}
    for kind, ((module, _), (glue, _), (binary, _)) in npm.PACKAGE.files:
        content[f"ort/{module}"] = found[module]
        content[f"ort/{glue}"] = found[glue]
        # Many a host sends it as it lies there: compressed, it is a quarter of the size.
        content[f"ort/{binary}.gz"] = gzip.compress(found[binary], 9, mtime=0)
        groups[kind] = {
            "module": f"ort/{module}",
            "glue": f"ort/{glue}",
            "binary": f"ort/{binary}.gz",
        }
    return groups


def _settings(
    painters: list[dict[str, Any]], groups: dict[str, dict[str, str]], content: Files
) -> bytes:
    """The settings of Python as a module that the page's scripts import."""
    site = asdict(SITE) | {
        "accept": ",".join(SITE.accept),
        "sessions_kept": PAINT.sessions_kept,
        "painters": painters,
        "runtimes": groups,
        "sizes": {name: len(data) for name, data in content.items() if name.endswith(".gz")},
    }
    return (
        "/** Written by `pleinair site` from the settings of Python. */\n\n"
        f"export const PAINT = {json.dumps(asdict(PAINT), indent=2)};\n\n"
        f"export const SITE = {json.dumps(site, indent=2)};\n"
    ).encode()


def _service_worker(content: Files, groups: dict[str, dict[str, str]]) -> bytes:
    """sw.js with every file that it keeps, by SHA-256."""
    kinds = {file: kind for kind, group in groups.items() for file in group.values()}
    known = {}
    for name, data in sorted(content.items()):
        sums = [hashlib.sha256(data).hexdigest()]
        if name.endswith(".gz"):
            sums.append(hashlib.sha256(gzip.decompress(data)).hexdigest())
        type_ = PAGE_TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or ""
        known[name] = {
            "sha256": sums,
            "type": "application/octet-stream" if name.endswith(".gz") else type_,
            "small": name not in kinds and not name.startswith("painters/"),
            "runtime": kinds.get(name),
        }
    version = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    site = {"version": version, "headers": HEADERS, "files": known}
    text = (PAGE / "sw.js").read_text(encoding="utf-8")
    if text.count(_UNFILLED) != 1:
        raise ValueError("sw.js has no place for the site's files.")
    return text.replace(_UNFILLED, f"const SITE = {json.dumps(site, indent=1)};", 1).encode()


def _headers() -> bytes:
    """What Netlify and Cloudflare Pages send with every file."""
    lines = HEADERS | {"Cache-Control": "no-cache"}
    return ("/*\n" + "".join(f"  {name}: {value}\n" for name, value in lines.items())).encode()


# --- where it goes --------------------------------------------------------------------------


def _check_place(out: Path, force: bool) -> None:
    """Raise OutputError where writing a site would meet something else."""
    with files.writing(out, "choose another place"):
        if not out.exists() and not out.is_symlink():
            return
        if not out.is_dir():
            raise OutputError(f"{out} is a file; name a folder for the site.")
        if not any(out.iterdir()):
            return
    if not (out / MARK).is_file():
        raise OutputError(f"{out} holds other files; name a new or an empty folder for the site.")
    if not force:
        raise OutputError(f"{out} is a site already; add --force to renew it.")


def _put(content: Files, out: Path) -> None:
    """The whole beside `out`, then in its place. Raises OSError."""
    place = out.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    word = secrets.token_hex(4)
    new, old = (place.with_name(f".{place.name}.{word}.{kind}") for kind in ("new", "old"))
    try:
        for name, data in content.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(new / name, data)
        ours = _listed(place)
        if place.exists():
            place.rename(old)
        try:
            new.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if old.exists():
        _clear(old, ours, place)


def _listed(place: Path) -> set[str]:
    try:
        found = parsing.json_of((place / MARK).read_bytes())
        return {MARK, *map(str, found["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {MARK}


def _clear(old: Path, ours: set[str], place: Path) -> None:
    """Move what is not ours into the new site, and remove the old one."""
    for path in sorted(old.iterdir()):
        name = path.name
        if (
            path.is_dir()
            and not path.is_symlink()
            and any(one.startswith(f"{name}/") for one in ours)
        ):
            inner = {one.removeprefix(f"{name}/") for one in ours if one.startswith(f"{name}/")}
            (place / name).mkdir(exist_ok=True)
            _clear(path, inner, place / name)
        elif name in ours:
            path.unlink()
        elif not (place / name).exists():
            path.rename(place / name)
    if not any(old.iterdir()):
        old.rmdir()
