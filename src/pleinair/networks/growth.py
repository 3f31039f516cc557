"""A generator inside a wider one, which paints the same until it learns more."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from pleinair.config import LightSpec, Spec
from pleinair.networks.light import Light


def holds(large: Spec, small: Spec) -> bool:
    """Whether a generator of spec `large` can begin with the weights of one of `small`.

    It may be wider and have more blocks. What it keeps of the photo, which no weight tells, may
    differ; then it has to learn to paint the same.
    """
    if not (isinstance(large, LightSpec) and isinstance(small, LightSpec)):
        return large == small
    widths = ("channels", "half_channels", "detail_channels", "blocks")
    if any(getattr(large, name) < getattr(small, name) for name in widths):
        return False
    given = {name: getattr(large, name) for name in (*widths, "keeps")}
    return replace(small, **given) == large


def widened(generator: nn.Module, small: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of `generator`, freshly initialised, with which it paints as one of state `small`.

    That is, where both keep the same of the photo. Of any other kind, whose spec `holds` itself
    alone, it is `small`.

    What is new sees the picture at once, and what was there sees nothing of it: those weights are
    0, and the first to learn. Chen et al. 2016, "Net2Net", https://arxiv.org/abs/1511.05641, double
    what was there, which every copy has to unlearn; a fresh feature can be of use at once.
    """
    if not isinstance(generator, Light):
        return small
    state = {name: value.detach().clone() for name, value in generator.state_dict().items()}
    for name, value in state.items():
        if name not in small:
            # Of a block that is new. It may compute what it likes, and adds nothing of it.
            if ".second." in name:
                value.zero_()
            continue
        old = small[name].to(value.device)
        # Unshuffled channels are in order of the channel that they come from, so the old are first.
        if old.dim() > 1:
            value[: old.shape[0], old.shape[1] :] = 0.0
        value[tuple(slice(side) for side in old.shape)] = old
    return state
