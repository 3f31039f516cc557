from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from pleinair import __version__, about

from .conftest import REPOSITORY


def test_the_command_line_says_what_is_installed(monkeypatch):
    monkeypatch.setenv("PLEINAIR_KEY", "a-secret-key")
    done = subprocess.run(
        [sys.executable, "-m", "pleinair", "--version"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"pleinair {__version__}"
    assert lines[1].startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert f"numpy {about.version('numpy')}" in lines[2]
    assert "PLEINAIR_KEY" in done.stdout
    assert "secret" not in done.stdout
    assert max(len(line) for line in lines[2:-1]) < 80  # else the terminal's wrapping is in it


def test_it_can_be_said_where_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(about, "version", lambda _: "")
    assert "no package that it needs is installed" in about.told()
    assert "not installed: train, import" in about.told()


def test_nothing_is_imported_to_find_it_out():
    code = (
        "import sys; from pleinair import about; about.told(); "
        "assert not {'numpy', 'torch', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("extra", sorted(about.EXTRAS))
def test_what_is_told_of_an_extra_is_in_it(extra):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = " ".join(project["optional-dependencies"][extra])
    assert all(package in wanted for package in about.EXTRAS[extra])


def test_every_extra_is_told_of_that_somebody_installs_to_work_with():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    assert extras - set(about.EXTRAS) == {"evaluate", "tensorboard", "docs", "dev"}
