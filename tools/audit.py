"""Say which pinned versions have known faults, by pip-audit and the service that it asks.

Exit 1 where some have; exit 2 where the service could not be asked about all of them, which is
said in one sentence: silence must not be taken for a clean bill.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
LOCKS = ("requirements/all-but-torch.txt", "requirements/tools.txt", "constraints.txt")


def asked(lock: str) -> list[dict[str, Any]] | None:
    """What is known of all that a lock pins; None where nobody could be asked."""
    words = ["--requirement", lock, "--no-deps", "--disable-pip", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return found


def main() -> None:
    """Ask about every lock, and say what was found."""
    faults, checked, unknown = [], set[str](), set[str]()
    for lock in LOCKS:
        found = asked(lock)
        if found is None or all("skip_reason" in one for one in found):
            print(
                f"audit: the service that knows of faults cannot be reached; nothing of {lock} "
                "was checked, so try again with a network.",
                file=sys.stderr,
            )
            sys.exit(2)
        for one in found:
            if "skip_reason" in one:
                unknown.add(one["name"])
                continue
            checked.add(one["name"])
            for fault in one["vulns"]:
                mended = ", ".join(fault["fix_versions"]) or "none yet"
                faults.append(f"{one['name']} {one['version']}: {fault['id']}; mended in {mended}")
    print("\n".join(sorted(set(faults))) or f"No fault is known of {len(checked)} packages.")
    if unknown - checked:
        print(f"Of these nothing could be asked: {', '.join(sorted(unknown - checked))}.")
    sys.exit(1 if faults else 2 if unknown - checked else 0)


if __name__ == "__main__":
    main()
