"""What is installed here, in words that a report of a fault needs. Standard library only.

Nothing is imported to find it out, so that it can be said where an import fails; and nothing in
it is private: settings of the environment are named without their values, and no path is told.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata

from pleinair import __version__

ALWAYS = ("numpy", "onnxruntime", "pillow", "pyvips-binary")
EXTRAS = {
    "train": ("torch", "accelerate", "safetensors"),
    "import": ("onnx", "h5py"),
    "serve": ("fastapi", "uvicorn"),
    "video": ("av",),
    "heif": ("pillow-heif",),
    "hub": ("huggingface_hub",),
    "parquet": ("pyarrow",),
    "scale": ("ray", "fsspec", "s3fs"),
    "coreml": ("coremltools",),
    "litert": ("ai-edge-litert", "litert-torch"),
    "notebook": ("jupyterlab",),
}
"""Of each extra of pyproject.toml the packages whose version matters most."""
# The same library for other devices, under names of their own.
RUNTIMES = ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm")


def told() -> str:
    """Several lines: pleinair, Python, the machine, versions of what is installed, settings."""
    machine = f"{platform.system()} {platform.release()} {platform.machine()}"
    lines = [
        f"pleinair {__version__}",
        f"Python {platform.python_version()}, {machine}, {os.cpu_count()} processors",
        _listed((*ALWAYS, *RUNTIMES)) or "no package that it needs is installed",
    ]
    found = {extra: _listed(names) for extra, names in EXTRAS.items()}
    lines += [f"{extra}: {packages}" for extra, packages in found.items() if packages]
    missing = [extra for extra, packages in found.items() if not packages]
    lines += [f"not installed: {', '.join(missing)}"] if missing else []
    settings = sorted(name for name in os.environ if name.startswith("PLEINAIR_"))
    lines += [f"set: {', '.join(settings)}"] if settings else []
    return "\n".join(lines)


def _listed(names: tuple[str, ...]) -> str:
    known = ((name, version(name)) for name in names)
    return ", ".join(f"{name} {number}" for name, number in known if number)


def version(package: str) -> str:
    """The version of an installed package, or ""."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
