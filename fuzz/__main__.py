"""Every parser under atheris for some seconds each, one after another.

    python -m fuzz                       all, a minute each
    python -m fuzz png hdf5 --seconds 600

What is found stays in build/fuzz/NAME and is gone on from. The exit code is 1 where a promise was
broken; the file that broke it lies there.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from fuzz.targets import TARGETS

ROOM = Path(__file__).parents[1] / "build" / "fuzz"
_FOUND = ("crash-*", "timeout-*", "oom-*")


def tried(name: str, seconds: int) -> str:
    """How a parser stood it: a line, which names files that broke its promise."""
    folder = ROOM / name
    folder.mkdir(parents=True, exist_ok=True)
    before = {path for kind in _FOUND for path in folder.glob(kind)}
    log = folder / "log.txt"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "fuzz.guided", name, str(folder)]
        command += [f"-max_total_time={seconds}", "-print_final_stats=1"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        # Reading a single large file may take as long again.
        code = subprocess.run(  # noqa: S603 -- this module
            command, stdout=file, stderr=file, env=environment, timeout=2 * seconds + 120
        ).returncode
    said = log.read_text(encoding="utf-8", errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", said)
    covered = re.findall(r"cov: (\d+)", said)
    line = f"{int(runs[1]) if runs else 0:>10,} inputs, {covered[-1] if covered else 0:>6} branches"
    found = sorted({path for kind in _FOUND for path in folder.glob(kind)} - before)
    if code or found:
        line += f"  BROKEN: {', '.join(map(str, found)) or log}"
    return line


def main() -> int:
    """Try parsers and print a line of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parsers", nargs="*", default=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each parser")
    options = parser.parse_args()
    if unknown := set(options.parsers) - set(TARGETS):
        parser.error(f"{', '.join(sorted(unknown))} found; parsers are {', '.join(TARGETS)}.")
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed here, and has no wheel for every machine; skipped.")
        return 0
    broken = False
    for name in options.parsers:
        line = tried(name, options.seconds)
        broken = broken or "BROKEN" in line
        print(f"{name:16}{line}", flush=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
