"""`python -m torture`: the suite, or a part of it.

Exit code 1 where something was lost. What was, is kept beside the figures, with the seed by which
to have it again.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from torture.place import REPOSITORY

_ALONE = "PLEINAIR_TORTURE_ALONE"
_NAMESPACES = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def main() -> int:
    """Run what was asked for; a table on standard output, progress on standard error."""
    options = _options()
    _go_alone()
    # The first process of a namespace hears no signal that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from tests.hosting import Host, hosting

    from torture import report
    from torture.bench import Bench
    from torture.liars import Crowd
    from torture.suite import Run, scenarios

    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    lost = options.json.parent / "torture-lost"
    shutil.rmtree(lost, ignore_errors=True)
    _say(f"seed {seed}; the same again: python -m torture --seed {seed}")
    with tempfile.TemporaryDirectory(prefix="pleinair-torture-") as folder:
        bench = Bench(Path(folder), lost)
        crowd = Crowd((bench.folder / "inputs" / "tiny.onnx").read_bytes())
        with hosting(Host(answer=crowd)) as host:
            found = scenarios(bench, host, crowd)
            wanted = [one for one in found if fnmatch.fnmatch(one.name, options.only)]
            if not wanted:
                known = ", ".join(one.name for one in found)
                _say(f"nothing is called {options.only!r}; there are {known}.")
                return 1
            for one in wanted:
                one.times = min(one.times, options.times)
                if one.why_not:
                    _say(f"{one.name} is left out: {one.why_not}")
            run = Run(bench, wanted, seed, 60 * options.minutes, options.at_once)
            run.run(_say)
    report.write(run, options.json)
    print(report.table(run))
    for one in wanted:
        for said in one.lost:
            _say(f"LOST {one.name}, {said}")
    if report.lost(run):
        _say(f"what was left is in {lost}")
        return 1
    if options.docs:
        report.put_into(REPOSITORY / "docs" / "reliability.md", run)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="of all that is random; by default a new one")
    parser.add_argument("--minutes", type=float, default=18.0, help="after which no trial begins")
    parser.add_argument("--times", type=int, default=1000, help="of each trial, at most")
    parser.add_argument("--only", default="*", help="fault/command, with * and ?")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="trials")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "torture.json")
    parser.add_argument("--docs", action="store_true", help="put the table into the documentation")
    return parser.parse_args()


def _go_alone() -> None:
    """Begin anew in namespaces of our own: mounts and processes end with the suite, whatever ends
    it. Where the system has none, mounts are left out, and processes are ended at a regular end.
    """
    unshare = shutil.which("unshare")
    if unshare is None or _ALONE in os.environ:
        return
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [unshare, *own, *_NAMESPACES]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        return
    os.environ[_ALONE] = "1"
    os.execv(unshare, [*command, sys.executable, "-m", "torture", *sys.argv[1:]])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("stopped.")
        sys.exit(130)
