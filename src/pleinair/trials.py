"""Test pictures, made and not taken: what a painter does to them says what it is. Pure.

All are uint8 (side, side, 3), the same at every call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pleinair.images import Pixels

Map = NDArray[np.float64]


def flat(side: int, colour: tuple[int, int, int] = (128, 128, 128)) -> Pixels:
    """One colour."""
    return np.full((side, side, 3), colour, np.uint8)


def gradient(side: int, down: bool = False) -> Pixels:
    """Black to white, from left to right or from top to bottom."""
    ramp = np.linspace(0, 255, side)
    gray = np.broadcast_to(ramp[:, None] if down else ramp, (side, side))
    return _pixels(np.repeat(gray[..., None], 3, axis=2))


def edge(side: int) -> Pixels:
    """Dark on the left half, light on the right."""
    made = flat(side, (64, 64, 64))
    made[:, side // 2 :] = 192
    return made


def noise(side: int, deviation: float = 8.0) -> Pixels:
    """Grey with the grain of a camera: independent levels of this standard deviation."""
    random = np.random.default_rng(1)
    return _pixels(128 + random.normal(0, deviation, (side, side, 3)))


def chart(side: int) -> Pixels:
    """Sixteen fields of strong and of faint colours, each with a little grain."""
    random = np.random.default_rng(2)
    across = np.arange(side) * 4 // side
    hue = (across[:, None] * 4 + across) * (2 * np.pi / 16)
    strength = np.where((across[:, None] + across) % 2, 90.0, 45.0)
    turned = [np.cos(hue - turn) for turn in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    made = 128 + strength[..., None] * np.stack(turned, axis=2)
    return _pixels(made + random.normal(0, 3, made.shape))


def landscape(side: int) -> Pixels:
    """Sky with clouds, hills, a field and water: as much of a photograph as a formula gives."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[0:side, 0:side] / side
    # Drawn in the same order at every side, so that a larger one is the same scene.
    clouds, ground, grain = (_clouds(x, y, random, base) for base in (3, 8, 24))
    ridge = 0.46 + 0.06 * np.sin(7 * x + 1) + 0.03 * np.sin(19 * x)
    shore = 0.74 + 0.02 * np.sin(9 * x)
    sky = _mix((86, 134, 196), (222, 214, 196), np.clip(y / 0.5, 0, 1))
    sky = _blend(sky, (244, 240, 234), np.clip(clouds - 0.2, 0, 1) * 0.9)
    hills = _mix((52, 74, 84), (98, 112, 70), np.clip(0.5 + ground, 0, 1))
    field = _mix((84, 112, 40), (206, 178, 74), np.clip(0.5 + 0.7 * ground + 0.4 * grain, 0, 1))
    water = _mix((62, 96, 120), (168, 182, 178), np.clip(0.5 + np.sin(150 * y) * grain, 0, 1))
    made = np.where((y < ridge)[..., None], sky, hills)
    made = np.where((y > ridge + 0.09)[..., None], field, made)
    made = np.where((y > shore)[..., None], water, made)
    return _pixels(made + 12 * grain[..., None])


def _clouds(x: Map, y: Map, random: np.random.Generator, base: int) -> Map:
    """Smooth random waves of several sizes, about in [-1, 1]."""
    total = np.zeros_like(x)
    for octave in range(4):
        for _ in range(4):
            turn, shift = random.uniform(0, 2 * np.pi, 2)
            along = np.cos(turn) * x + 1.6 * np.sin(turn) * y
            total += np.sin(2 * np.pi * base * 1.7**octave * along + shift) / 1.6**octave / 3
    return total


def _mix(a: tuple[int, ...], b: tuple[int, ...], part: Map) -> Map:
    return np.asarray(np.array(a) + (np.array(b) - np.array(a)) * part[..., None], np.float64)


def _blend(under: Map, over: tuple[int, ...], part: Map) -> Map:
    return np.asarray(under + (np.array(over) - under) * part[..., None], np.float64)


def _pixels(made: Map) -> Pixels:
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)
