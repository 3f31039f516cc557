"""Paint photographs in the manner of Claude Monet, and train painters of other styles."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pleinair.config import RECIPES
    from pleinair.errors import PleinairError
    from pleinair.folders import paint_many
    from pleinair.painter import Painter
    from pleinair.settings import Look
    from pleinair.video import paint_video

__all__ = [
    "RECIPES",
    "Look",
    "Painter",
    "PleinairError",
    "__version__",
    "paint_many",
    "paint_video",
]

__version__ = "0.1.0"

_HOMES = {
    "Look": "pleinair.settings",
    "Painter": "pleinair.painter",
    "PleinairError": "pleinair.errors",
    "RECIPES": "pleinair.config",
    "paint_many": "pleinair.folders",
    "paint_video": "pleinair.video",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import pleinair` itself takes neither torch nor onnxruntime.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pleinair' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
