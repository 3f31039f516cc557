"""A bill of materials, CycloneDX 1.6 in JSON: what an environment holds that pleinair is in.

    python tools/bill.py ENVIRONMENT DIST

Writes DIST/pleinair-VERSION.cdx.json: every package with its version and licence, and the painters
inside ours with their SHA-256 and licence, which no package index knows of. What CycloneDX's own
schema refuses is not written.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
# Of an environment's own making; nobody who installs pleinair gets these from us.
NOT_OURS = {"pip", "setuptools", "wheel"}


def materials(environment: Path) -> dict[str, Any]:
    """What cyclonedx-py finds in an environment, with pleinair as what it is about."""
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    words = ["--pyproject", str(REPOSITORY / "pyproject.toml"), "--output-reproducible"]
    words += ["--spec-version", "1.6", "--output-format", "JSON", str(python)]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    left_out = {one["bom-ref"] for one in found["components"] if one["name"] in NOT_OURS}
    found["components"] = [one for one in found["components"] if one["bom-ref"] not in left_out]
    found["dependencies"] = [one for one in found["dependencies"] if one["ref"] not in left_out]
    return found


def hashes(path: Path) -> list[dict[str, str]]:
    """The SHA-256 of a file, as a component has it."""
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def painters() -> list[dict[str, Any]]:
    """The painters that ship, as components; each says its licence in its card."""
    found = []
    for path in sorted((REPOSITORY / "src/pleinair/painters").glob("*.onnx")):
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        licence = re.search(r"^\| licence \| (\S+) \|$", card, re.MULTILINE)
        if licence is None:
            sys.exit(f"{path.with_suffix('.md')} names no licence.")
        found.append(
            {
                "type": "machine-learning-model",
                "bom-ref": f"painter-{path.stem}",
                "name": path.stem,
                "description": "A painter that ships with pleinair",
                "hashes": hashes(path),
                "licenses": [{"license": {"id": licence[1]}}],
            }
        )
    return found


def main() -> None:
    """Write the bill and say what it lists."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    environment, dist = map(Path, sys.argv[1:])
    (wheel,) = dist.glob("*.whl")
    version = wheel.name.split("-")[1]
    bill = materials(environment)
    bill["metadata"]["component"] |= {"version": version, "hashes": hashes(wheel)}
    bill["components"] += painters()
    text = json.dumps(bill, indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        sys.exit(f"the bill of materials is not valid: {wrong}")
    target = dist / f"pleinair-{version}.cdx.json"
    target.write_text(text, encoding="utf-8")
    print(f"{target}: {len(bill['components'])} components")


if __name__ == "__main__":
    main()
