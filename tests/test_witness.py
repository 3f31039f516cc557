"""Who has the last word where a process is ended without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time
from pleinair.cli.witness import witnessed

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with witnessed("ended from outside."):
        {what}
"""


def ended(what: str, tmp_path) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(what=what))
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("what", ["os._exit(3)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_an_end_from_outside_is_told(what, tmp_path):
    done = ended(what, tmp_path)
    assert done.returncode not in (0, 1)
    assert done.stderr == "ended from outside.\n"


@pytest.mark.parametrize("what", ["pass", "sys.exit(0)", "print('done')"])
def test_an_end_of_its_own_is_not(what, tmp_path):
    done = ended(what, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_is_told_by_who_meets_it(tmp_path):
    assert ended("raise SystemExit('mine')", tmp_path).stderr == "mine\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_for_the_process_that_is_watched(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(what="print(1, flush=True); time.sleep(60)"))
    words = [sys.executable, script]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert "outside" not in said
