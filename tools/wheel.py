"""Compare a wheel with the files of the package that git knows; exit 1 where they differ."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def expected() -> set[str]:
    """Files of the package that git knows, as a wheel names them."""
    words = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "src/pleinair"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {name.removeprefix("src/") for name in found.split("\0") if name}


def main() -> None:
    """Say what is in the wheel, and what should be or should not."""
    (path,) = sys.argv[1:]
    with zipfile.ZipFile(path) as wheel:
        held = {info.filename: info.file_size for info in wheel.infolist()}
    package = {name for name in held if ".dist-info/" not in name}
    size = Path(path).stat().st_size
    print(f"{Path(path).name}: {len(package)} files, {size:,} bytes")
    problems = [f"{name} is missing" for name in sorted(expected() - package)]
    problems += [f"{name} is not of the repository" for name in sorted(package - expected())]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
