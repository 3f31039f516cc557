"""PyTorch networks as plain callables on arrays, for what knows no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pleinair import backbones, files, images
from pleinair.errors import CheckpointError, DataError
from pleinair.images import Batch, Pixels
from pleinair.metrics import Maps
from pleinair.networks import build
from pleinair.networks.features import VARIANTS, lite, weights_file
from pleinair.networks.inception import SIDE, Inception
from pleinair.settings import EVALUATE
from pleinair.weights import Weights


def engine(network: nn.Module, device: torch.device) -> Callable[[Batch], Batch]:
    """A network as a callable of float32 NCHW arrays in [-1, 1], in evaluation mode."""

    @torch.inference_mode()
    def run(batch: Batch) -> Batch:
        training = network.training
        network.eval()
        out: Batch = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        network.train(training)
        return out

    return run


def network_of(weights: Weights) -> nn.Module:
    """The network with these weights, in evaluation mode, on the processor.

    Raises CheckpointError for weights of another network.
    """
    network = build(weights.spec)
    try:
        network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.arrays.items()})
    except RuntimeError as error:
        raise CheckpointError(f"what was loaded does not fit its own spec ({error}).") from error
    return network.eval()


def of_weights(weights: Weights) -> Callable[[Batch], Batch]:
    """The network of a weights file as such a callable. Raises CheckpointError."""
    return engine(network_of(weights), torch.device("cpu"))


@dataclass(frozen=True)
class Backbone:
    """A frozen network that scores look through, named after it: KID-Lite0."""

    label: str
    sha256: str  # of its weights
    side: int  # pixels to which pictures are resized
    resize: str  # how
    look: Callable[[list[Pixels]], tuple[NDArray[np.float32], Maps]]

    def features(self, pictures: list[Pixels]) -> NDArray[np.float32]:
        """Pictures of any size to rows of pooled features, a few pictures at a time."""
        size = EVALUATE.batch
        parts = [pictures[at : at + size] for at in range(0, len(pictures), size)]
        return np.concatenate([self.look(part)[0] for part in parts])


@contextlib.contextmanager
def one_core_each() -> Iterator[int]:
    """Meanwhile a core for each thread that looks, not all for one; how many threads there may be.

    Whole pictures side by side keep every core busy, where a small network's layers cannot: a fifth
    faster on two cores. Afterwards torch has its threads again, whose number changes rounding.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield min(EVALUATE.most_workers, threads)
    finally:
        torch.set_num_threads(threads)


def backbone(name: str, device: torch.device) -> Backbone:
    """The network `lite0` or `lite2` with its weights from the package index, checked.

    Rows of 1,280 features; maps at strides 4 to 32. Raises MissingExtraError where the weights
    are not installed, DataError where they are others.
    """
    variant = VARIANTS[name]
    eye = deepcopy(lite(name)).to(device)
    found = files.sha256_of(weights_file(variant))
    if found != variant.sha256:
        raise DataError(
            f"the weights in {variant.package} have SHA-256 {found[:16]}..., not "
            f"{variant.sha256[:16]}...; install version 0.1.0 of it again."
        )

    @torch.inference_mode()
    def look(pictures: list[Pixels]) -> tuple[NDArray[np.float32], Maps]:
        small = [images.resize(p, variant.side, variant.side, bicubic=True) for p in pictures]
        batch = np.concatenate([images.to_batch(one) for one in small])
        taps = eye.taps(torch.from_numpy(batch).to(device))
        maps = {stride: tap.float().cpu().numpy() for stride, tap in taps.items()}
        return eye.pooled(taps[32]).float().cpu().numpy(), maps

    return Backbone(variant.label, variant.sha256, variant.side, "bicubic, antialiased", look)


def inception(weights: Path, device: torch.device) -> Backbone:
    """The network behind published FID and KID, with weights that `backbones` found or checked.

    Rows of 2,048 features; no maps.
    """
    with torch.inference_mode(mode=False):
        state = torch.load(weights, map_location="cpu", weights_only=True)
        eye = Inception(state).eval().to(device)

    @torch.inference_mode()
    def look(pictures: list[Pixels]) -> tuple[NDArray[np.float32], Maps]:
        batch = np.stack(pictures).transpose(0, 3, 1, 2)
        levels = torch.from_numpy(batch.astype(np.float32)).to(device)
        return eye(levels).float().cpu().numpy(), {}

    name = "bilinear of TensorFlow 1"
    return Backbone("Inception", backbones.INCEPTION.sha256, SIDE, name, look)


def features(device: torch.device) -> Callable[[list[Pixels]], NDArray[np.float32]]:
    """EfficientNet-Lite0 as a callable of pictures of any size to rows of 1,280 features."""
    return backbone("lite0", device).features
