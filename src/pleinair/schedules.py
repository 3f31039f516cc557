"""What changes over a run: pure functions of its progress or step. Standard library only."""

from __future__ import annotations

import math

from pleinair.config import Recipe


def rate_factor(progress: float, recipe: Recipe) -> float:
    """Factor of a learning rate at `progress` in [0, 1]: constant until `decay_from`, then to 0.

    linear: as published, Zhu et al. 2017, https://arxiv.org/abs/1703.10593, section 7.1.
    cosine: half a wave, Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, eq. 5.
    """
    if progress < recipe.decay_from or recipe.decay_from >= 1.0:
        return 1.0
    part = min(1.0, (progress - recipe.decay_from) / (1.0 - recipe.decay_from))
    match recipe.decay:
        case "linear":
            return 1.0 - part
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * part))


def warmup_factor(step: int, recipe: Recipe) -> float:
    """Factor of a learning rate at a step from 0: linear up to 1 over `rate_warmup_steps`.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2. The generators' own first
    step comes after `warmup_steps`; hand over the steps that they have made.
    """
    return min(1.0, (step + 1) / (recipe.rate_warmup_steps + 1))


def identity_weight(progress: float, recipe: Recipe) -> float:
    """Weight of the identity loss at `progress` in [0, 1]: linear over `identity_ramp`."""
    part = min(1.0, progress / recipe.identity_ramp)
    return recipe.identity_weight + part * (recipe.identity_end_weight - recipe.identity_weight)


def cycle_weight(progress: float, recipe: Recipe) -> float:
    """Weight of the cycle loss at `progress` in [0, 1]: it falls as the learning rate does.

    Wang and Lin 2018, https://arxiv.org/abs/2408.15374, section 3.2.
    """
    kept = rate_factor(progress, recipe)
    return recipe.cycle_end_weight + kept * (recipe.cycle_weight - recipe.cycle_end_weight)


def ema_decay(step: int, recipe: Recipe) -> float:
    """Decay of the moving average at a step: short at first, so that it forgets the start."""
    return min(recipe.ema_decay, (1 + step) / (10 + step))
