from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pleinair.config import RECIPES, FeatureSpec, LightSpec, Recipe, ResNetSpec, UNetSpec

REPOSITORY = Path(__file__).parents[1]
SAMPLES = sorted((REPOSITORY / "samples").glob("*.jpg"))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with an edge and some grain: uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x / width, y / height, (x + y) / (height + width)], axis=2) * 200
    base[: height // 2] += 40 * random.random(3)
    return np.clip(base + random.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")  # while it is there, nobody else may run asyncio in this thread
def browser() -> Iterator[Any]:
    """A Chromium of this machine; tests that drive it are skipped where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=flags)
        yield launched
        launched.close()


@pytest.fixture(scope="session", autouse=True)
def _nobody() -> Iterator[None]:
    """No test sees, or changes, what the user who runs it has added or fetched."""
    before = {name: os.environ.get(name) for name in ("PLEINAIR_DATA", "PLEINAIR_CACHE")}
    with tempfile.TemporaryDirectory(prefix="pleinair-tests-") as place:
        os.environ |= {name: str(Path(place, name)) for name in before}
        yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folders of a user's own and of a cache, empty, and no proxies: where `tmp_path` is."""
    monkeypatch.setenv("PLEINAIR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLEINAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PLEINAIR_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, count: int, size: tuple[int, int] = (40, 48), seed: int = 0) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True)
        for index in range(count):
            pixels = picture(*size, seed=seed + index)
            Image.fromarray(pixels).save(path / f"{index:03}.png")
        return path

    return make


def tiny(name: str) -> Recipe:
    """A recipe of this name with every feature of the real one, at a thousandth of the cost."""
    recipe = RECIPES[name]
    generators: dict[type, Any] = {
        LightSpec: LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1),
        # One way, a block is left for each of the encoder's depths.
        ResNetSpec: ResNetSpec(channels=4, blocks=1 if recipe.direction == "both" else 2),
        UNetSpec: UNetSpec(channels=4, depth=5),
    }
    generator = generators[type(recipe.generator)]
    if isinstance(recipe.generator, LightSpec):
        generator = replace(generator, keeps=recipe.generator.keeps)
    features = isinstance(recipe.discriminator, FeatureSpec)
    less = {"channels": 4} if features else {"channels": 4, "layers": 2}
    return replace(
        recipe,
        generator=generator,
        discriminator=replace(recipe.discriminator, **less),
        crop=32,
        resize_min=32,
        resize_max=36 if recipe.resize_max > recipe.resize_min else 32,
        discriminator_shift=min(recipe.discriminator_shift, 4),
        pool_size=min(recipe.pool_size, 2),
        warmup_steps=min(recipe.warmup_steps, 1),
        steps=4,
    )
