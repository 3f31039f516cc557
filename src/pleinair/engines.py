"""PyTorch networks as plain callables on arrays, for what knows no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pleinair import images
from pleinair.errors import DataError
from pleinair.images import Batch, Pixels
from pleinair.networks.features import VARIANTS, lite, weights_file


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


@dataclass(frozen=True)
class Backbone:
    """A frozen network that scores look through, named after it: KID-Lite0."""

    label: str
    sha256: str  # of its weights
    side: int  # pixels to which pictures are resized, bicubic and antialiased
    features: Callable[[list[Pixels]], NDArray[np.float32]]  # (N, 1280) of pictures of any size


def backbone(name: str, device: torch.device) -> Backbone:
    """The network `lite0` or `lite2` with its weights from the package index, checked.

    Raises MissingExtraError where they are not installed, DataError where they are others.
    """
    variant = VARIANTS[name]
    eye = deepcopy(lite(name)).to(device)
    found = hashlib.sha256(weights_file(variant).read_bytes()).hexdigest()
    if found != variant.sha256:
        raise DataError(
            f"the weights in {variant.package} have SHA-256 {found[:16]}..., not "
            f"{variant.sha256[:16]}...; install version 0.1.0 of it again."
        )

    @torch.inference_mode()
    def run(pictures: list[Pixels]) -> NDArray[np.float32]:
        rows = []
        for picture in pictures:
            small = images.resize(picture, variant.side, variant.side, bicubic=True)
            batch = torch.from_numpy(images.to_batch(small)).to(device)
            rows.append(eye(batch).float().cpu().numpy()[0])
        return np.stack(rows)

    return Backbone(variant.label, variant.sha256, variant.side, run)


def features(device: torch.device) -> Callable[[list[Pixels]], NDArray[np.float32]]:
    """EfficientNet-Lite0 as a callable of pictures of any size to rows of 1,280 features."""
    return backbone("lite0", device).features
