"""What the guides show beside commands and Python, which tests/test_docs.py sees to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pleinair.cli import COMMANDS, app

from .conftest import REPOSITORY
from .markdown import calls

GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))


def blocks(page: Path, *languages: str) -> list[str]:
    """Blocks of code of a page, those that are files too, which tests/test_docs.py leaves out."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_commands_of_scripts_and_notebooks_exist(page):
    for block in blocks(page, "bash", "text"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("!").removeprefix("exec ")
            if "how[@]" in line:
                continue
            for words in calls(line):
                # What a script takes from elsewhere is not this page's.
                given = [word for word in words if word != "$options"]
                assert given[0] in COMMANDS, line
                _, bound, _ = app.parse_args(given, exit_on_error=False, print_error=False)
                assert bound is not None, line


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_scripts_and_settings_of_a_guide_can_be_read(page):
    for block in blocks(page, "bash", "sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block)


# --- the cluster's script, with stand-ins for what a cluster has ---------------------------------

TORCHRUN = """#!/bin/bash
echo "$@" >> "$SCRATCH/called"
run=$SCRATCH/runs/$SLURM_JOB_NAME
mkdir -p "$run/checkpoints"
trap 'touch "$run/checkpoints/00000070.pt"; exit 1' TERM
touch "$SCRATCH/ready"
for _ in $(seq ${SECONDS_TO_TRAIN:-100}); do sleep 0.1; done
"""


@pytest.fixture
def cluster(tmp_path) -> dict[str, str]:
    """The environment of a job, and programs that note how they were called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "torchrun").write_text(TORCHRUN)
    (programs / "scontrol").write_text('#!/bin/bash\necho "$@" >> "$SCRATCH/requeued"\n')
    for path in programs.iterdir():
        path.chmod(0o755)
    (script,) = (
        block
        for block in blocks(REPOSITORY / "docs" / "guides" / "cluster.md", "bash")
        if "scontrol requeue" in block
    )
    (tmp_path / "job.sh").write_text(script)
    job = {"SLURM_JOB_NAME": "ukiyoe", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "4"}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return os.environ | job | {"PATH": path, "SCRATCH": str(tmp_path)}


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="needs bash")
def test_the_cluster_s_script_saves_requeues_and_goes_on(cluster, tmp_path):
    script = ["bash", str(tmp_path / "job.sh"), "--recipe", "paper"]
    job = subprocess.Popen(script, env=cluster)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    job.terminate()
    assert job.wait(timeout=20) == 0
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    subprocess.run(script, env=cluster | {"SECONDS_TO_TRAIN": "1"}, check=True, timeout=20)
    first, second = (tmp_path / "called").read_text().splitlines()
    run = tmp_path / "runs" / "ukiyoe"
    assert first.startswith("--standalone --nproc-per-node 4 -m pleinair train --photos ")
    assert first.endswith(f"--out {run} --recipe paper")
    assert second == f"--standalone --nproc-per-node 4 -m pleinair train --resume {run}"
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
