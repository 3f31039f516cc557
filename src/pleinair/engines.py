"""PyTorch networks as plain callables on arrays, for what knows no torch."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pleinair import images
from pleinair.images import Batch, Pixels
from pleinair.networks.features import lite0


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


def features(device: torch.device) -> Callable[[list[Pixels]], NDArray[np.float32]]:
    """EfficientNet-Lite0 as a callable of pictures of any size to rows of 1,280 features.

    Pictures are resized to 224x224, bicubic. Raises MissingExtraError without its weights.
    """
    eye = deepcopy(lite0()).to(device)

    @torch.inference_mode()
    def run(pictures: list[Pixels]) -> NDArray[np.float32]:
        rows = []
        for picture in pictures:
            batch = images.to_batch(images.resize(picture, 224, 224, bicubic=True))
            rows.append(eye(torch.from_numpy(batch).to(device)).float().cpu().numpy()[0])
        return np.stack(rows)

    return run
