from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from pleinair import checkpoint
from pleinair.recipes import recipe_from_dict, recipe_to_dict

from .conftest import REPOSITORY, tiny

spec = importlib.util.spec_from_file_location(
    "broken_trainings", REPOSITORY / "docs" / "broken_trainings.py"
)
broken = importlib.util.module_from_spec(spec)


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    import sys

    sys.modules[spec.name] = broken  # dataclasses look for their module there
    spec.loader.exec_module(broken)
    yield
    del sys.modules[spec.name]


def test_what_breaks_is_a_valid_recipe():
    assert set(broken.TROUBLES) == {"copy", "lattice", "collapse", "negative"}
    for name, trouble in broken.TROUBLES.items():
        assert trouble.recipe == recipe_from_dict(recipe_to_dict(trouble.recipe))
        assert trouble.recipe.name == name
        assert (broken.HOME / f"broken-{name}.jpg").is_file()
        assert f"broken-{name}.jpg" in (broken.HOME / "troubleshooting.md").read_text("utf-8")


def test_generators_that_begin_as_negatives(tmp_path):
    broken.negate(tiny("light"), tmp_path)
    recipe, state = checkpoint.load(checkpoint.path_of(tmp_path, 0))
    networks = checkpoint.Networks.build(recipe)
    patches = torch.rand(1, 3, 4, 4) * 2 - 1
    photo = torch.nn.functional.interpolate(patches, scale_factor=8.0, mode="bilinear")
    for network, values in zip(networks.generators, state["ema"], strict=True):
        network.load_state_dict(values)
        with torch.inference_mode():
            made = network.eval()(photo)
        assert np.corrcoef(photo.flatten(), made.flatten())[0, 1] < -0.95
