"""Compare a wheel with the files of the package that git knows, and a second build with the first.

    python tools/wheel.py dist build/again/dist

Exit 1 where a file is missing or too many, or where the same files gave other bytes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Of the parts of a wheel that the build itself writes.
ABOUT = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def expected() -> set[str]:
    """Files of the package that git knows, as a wheel names them."""
    words = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "src/pleinair"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {name.removeprefix("src/") for name in found.split("\0") if name}


def problems_of(path: Path) -> list[str]:
    """What is in a wheel and should not be, or the other way round."""
    with zipfile.ZipFile(path) as wheel:
        held = {info.filename for info in wheel.infolist()}
        changed = [
            name
            for name in sorted(held & expected())
            if wheel.read(name) != (REPOSITORY / "src" / name).read_bytes()
        ]
    package = {name for name in held if ".dist-info/" not in name}
    about = {name.partition(".dist-info/")[2] for name in held - package}
    print(f"{path.name}: {len(package)} files, {path.stat().st_size:,} bytes")
    return [
        *(f"{name} is missing" for name in sorted(expected() - package)),
        *(f"{name} is not of the repository" for name in sorted(package - expected())),
        *(f"{name} is another than in the repository" for name in changed),
        *(f"{name} is not expected of a build" for name in sorted(about - ABOUT)),
    ]


def differences(first: Path, second: Path) -> list[str]:
    """What two builds of the same files do not have in common."""

    def hashes(folder: Path) -> dict[str, str]:
        files = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz")]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    ours, theirs = hashes(first), hashes(second)
    for name, digest in sorted(ours.items()):
        print(f"{digest}  {name}")
    return [
        f"{name} is not built again byte for byte"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def main() -> None:
    """Say what is in the wheel, and what should be or should not."""
    first, second = map(Path, sys.argv[1:])
    (wheel,) = first.glob("*.whl")
    found = problems_of(wheel) + differences(first, second)
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
