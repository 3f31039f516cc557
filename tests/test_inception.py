from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from pleinair.errors import DataError  # noqa: E402
from pleinair.networks.inception import Inception, resize  # noqa: E402

from .conftest import picture  # noqa: E402

ONE, THREE, FIVE = (1, 1), (3, 3), (5, 5)


def shapes():
    """Every convolution of the published file: name, channels in, channels out, kernel."""
    yield from (
        ("Conv2d_1a_3x3", 3, 32, THREE),
        ("Conv2d_2a_3x3", 32, 32, THREE),
        ("Conv2d_2b_3x3", 32, 64, THREE),
        ("Conv2d_3b_1x1", 64, 80, ONE),
        ("Conv2d_4a_3x3", 80, 192, THREE),
    )
    for block, width, pool in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        for name, *rest in (
            ("branch1x1", width, 64, ONE),
            ("branch5x5_1", width, 48, ONE),
            ("branch5x5_2", 48, 64, FIVE),
            ("branch3x3dbl_1", width, 64, ONE),
            ("branch3x3dbl_2", 64, 96, THREE),
            ("branch3x3dbl_3", 96, 96, THREE),
            ("branch_pool", width, pool, ONE),
        ):
            yield f"Mixed_{block}.{name}", *rest
    for name, *rest in (
        ("branch3x3", 288, 384, THREE),
        ("branch3x3dbl_1", 288, 64, ONE),
        ("branch3x3dbl_2", 64, 96, THREE),
        ("branch3x3dbl_3", 96, 96, THREE),
    ):
        yield f"Mixed_6a.{name}", *rest
    for block, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        for name, *rest in (
            ("branch1x1", 768, 192, ONE),
            ("branch7x7_1", 768, c, ONE),
            ("branch7x7_2", c, c, (1, 7)),
            ("branch7x7_3", c, 192, (7, 1)),
            ("branch7x7dbl_1", 768, c, ONE),
            ("branch7x7dbl_2", c, c, (7, 1)),
            ("branch7x7dbl_3", c, c, (1, 7)),
            ("branch7x7dbl_4", c, c, (7, 1)),
            ("branch7x7dbl_5", c, 192, (1, 7)),
            ("branch_pool", 768, 192, ONE),
        ):
            yield f"Mixed_{block}.{name}", *rest
    for name, *rest in (
        ("branch3x3_1", 768, 192, ONE),
        ("branch3x3_2", 192, 320, THREE),
        ("branch7x7x3_1", 768, 192, ONE),
        ("branch7x7x3_2", 192, 192, (1, 7)),
        ("branch7x7x3_3", 192, 192, (7, 1)),
        ("branch7x7x3_4", 192, 192, THREE),
    ):
        yield f"Mixed_7a.{name}", *rest
    for block, width in (("7b", 1280), ("7c", 2048)):
        for name, *rest in (
            ("branch1x1", width, 320, ONE),
            ("branch3x3_1", width, 384, ONE),
            ("branch3x3_2a", 384, 384, (1, 3)),
            ("branch3x3_2b", 384, 384, (3, 1)),
            ("branch3x3dbl_1", width, 448, ONE),
            ("branch3x3dbl_2", 448, 384, THREE),
            ("branch3x3dbl_3a", 384, 384, (1, 3)),
            ("branch3x3dbl_3b", 384, 384, (3, 1)),
            ("branch_pool", width, 192, ONE),
        ):
            yield f"Mixed_{block}.{name}", *rest


def made_up_weights():
    """Weights of the file's names and shapes, the same everywhere."""
    random = np.random.default_rng(0)
    state = {}
    for name, width, channels, kernel in shapes():
        fan_in = width * kernel[0] * kernel[1]
        weight = random.standard_normal((channels, width, *kernel)) * (2 / fan_in) ** 0.5
        state[f"{name}.conv.weight"] = weight
        state[f"{name}.bn.weight"] = 1 + 0.1 * random.standard_normal(channels)
        state[f"{name}.bn.bias"] = 0.1 * random.standard_normal(channels)
        state[f"{name}.bn.running_mean"] = 0.1 * random.standard_normal(channels)
        state[f"{name}.bn.running_var"] = 1 + 0.1 * random.random(channels)
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()}


def levels(*pictures):
    return torch.from_numpy(np.stack([np.moveaxis(p, -1, 0) for p in pictures]).copy()).float()


@pytest.fixture(scope="module")
def network():
    return Inception(made_up_weights()).eval()


def test_features_are_those_of_torch_fidelity(network):
    # From torch-fidelity 0.4.0's FeatureExtractorInceptionV3 with these weights and pictures.
    x = levels(picture(256, 256, seed=1), picture(256, 256, seed=2))
    with torch.inference_mode():
        found = network(x)
    assert found.shape == (2, 2048)
    expected = {(0, 0): 1.7047180, (0, 1000): 0.0092243784, (1, 5): 0.20976037, (1, 2047): 0.0}
    for (row, column), value in expected.items():
        assert found[row, column].item() == pytest.approx(value, rel=1e-4, abs=1e-5)
    assert found.double().mean().item() == pytest.approx(0.2915464805, rel=1e-5)


def test_it_resizes_as_tensorflow_1_did():
    # 4 to 6 pixels: places 0, 2/3, 4/3, 2, 8/3, 10/3, the last one held at the edge.
    x = torch.tensor([0.0, 30.0, 60.0, 90.0]).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)
    found = resize(x, 6)[0, 0, 0].tolist()
    assert found == pytest.approx([0, 20, 40, 60, 80, 90], abs=1e-4)


def test_other_weights_are_refused():
    state = made_up_weights()
    del state["Mixed_7c.branch1x1.bn.bias"]
    with pytest.raises(DataError, match=r"no weights of Inception v3 .*branch1x1"):
        Inception(state)
