"""All parsers by name."""

from __future__ import annotations

from fuzz import painters, pictures, texts, training
from fuzz.promise import Target

TARGETS: dict[str, Target] = training.TARGETS | painters.TARGETS | pictures.TARGETS | texts.TARGETS
