"""Losses on tensors: numbers in, one scalar tensor out. Logits are a discriminator's raw map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pleinair.config import Adversarial
from pleinair.retouch import fine_chroma


def generator_loss(kind: Adversarial, fake_logits: Tensor) -> Tensor:
    """How far a discriminator is from taking translations for real.

    lsgan: E[(D - 1)^2], Mao et al. 2017, https://arxiv.org/abs/1611.04076, eq. 9 (a=0, b=c=1,
    without the half, as CycleGAN has it). bce: E[-log sigmoid(D)], the non-saturating loss of
    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3. hinge: -E[D], Lim and Ye
    2017, https://arxiv.org/abs/1705.02894.
    """
    match kind:
        case "lsgan":
            return F.mse_loss(fake_logits, torch.ones_like(fake_logits))
        case "bce":
            ones = torch.ones_like(fake_logits)
            return F.binary_cross_entropy_with_logits(fake_logits, ones)
        case "hinge":
            return -fake_logits.mean()


def discriminator_loss(kind: Adversarial, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Half the sum of a discriminator's losses on real and on translated pictures.

    The half slows the discriminator against the generator: Zhu et al. 2017,
    https://arxiv.org/abs/1703.10593, section 4 ("we divide the objective by 2").
    """
    match kind:
        case "lsgan":
            real = F.mse_loss(real_logits, torch.ones_like(real_logits))
            fake = fake_logits.square().mean()
        case "bce":
            real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
            fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        case "hinge":
            real = F.relu(1.0 - real_logits).mean()
            fake = F.relu(1.0 + fake_logits).mean()
    return 0.5 * (real + fake)


def cycle_loss(picture: Tensor, reconstruction: Tensor, pool: int = 1) -> Tensor:
    """E[|G(F(x)) - x|], Zhu et al. 2017, https://arxiv.org/abs/1703.10593, eq. 2.

    With `pool` above 1 both are averaged over squares of so many pixels first: the scene has to
    come back, but not each leaf, so that a painter is free to put strokes in their place.
    """
    if pool > 1:
        picture, reconstruction = F.avg_pool2d(picture, pool), F.avg_pool2d(reconstruction, pool)
    return F.l1_loss(reconstruction, picture)


def identity_loss(picture: Tensor, same: Tensor) -> Tensor:
    """E[|G(y) - y|] for a y of G's own target domain, Zhu et al. 2017, section 5.2."""
    return F.l1_loss(same, picture)


def ripple_loss(smooth: Tensor) -> Tensor:
    """E[|x - blur(x)|], the mean level of ripples where the picture should have none.

    smooth: (N, C, H, W) translations of smooth gradients, sides at least 7. The blur, two means
    over 4 pixels in each direction, takes periods of 2 and 4 pixels out entirely and leaves a
    linear gradient as it is; the border of 3 pixels is left out.
    """
    return _ripples(smooth).abs().mean()


def lattice_loss(painting: Tensor) -> Tensor:
    """The mean level of what is the same in all squares of 4x4 pixels: a lattice, and no stroke.

    painting: (N, C, H, W), sides at least 10, whose grid of squares begins at its first pixel as a
    generator's does. What is left of `ripple_loss`'s difference when places of one phase are
    averaged, channel by channel: `metrics.lattice_levels` as a loss. Strokes, as strong as they
    like, fall on all phases, and of h by w squares leave 1/sqrt(hw) of their deviation.
    """
    rest = _ripples(painting)
    rows, columns = (side // 4 for side in rest.shape[2:])
    squares = rest[..., : 4 * rows, : 4 * columns].reshape(-1, rows, 4, columns, 4)
    return squares.mean(dim=(1, 3)).abs().mean()


def _ripples(x: Tensor) -> Tensor:
    """What the blur of `ripple_loss` takes away; a border of 3 pixels is left out."""
    row = x.new_tensor([1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]) / 16.0
    channels = x.shape[1]
    kernel = torch.outer(row, row).expand(channels, 1, 7, 7)
    return x[..., 3:-3, 3:-3] - F.conv2d(x, kernel, groups=channels)


def content_loss(seen: Sequence[Tensor], shown: Sequence[Tensor]) -> Tensor:
    """How much of a scene is lost: squared distance of features scaled to length 1.

    seen, shown: maps (N, C, h, w) of painting and photo at some strides. Place by place, averaged
    over places, then strides: `metrics.perceptual_distance` as a loss.
    """
    found = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean()
        for a, b in zip(seen, shown, strict=True)
    ]
    return torch.stack(found).mean()


def drift_loss(photo: Tensor, painting: Tensor, pool: int, margin: float) -> Tensor:
    """E[max(0, |mean(painting) - mean(photo)| - margin)] over squares of `pool` pixels.

    NCHW in [-1, 1]. A palette may differ from a photo's by `margin` at no cost, so that this holds
    back what is no palette: poppies on a lawn that has none.
    """
    moved = F.avg_pool2d(painting, pool) - F.avg_pool2d(photo, pool)
    return F.relu(moved.abs() - margin).mean()


def chroma_loss(photo: Tensor, painting: Tensor, pool: int, margin: float) -> Tensor:
    """`drift_loss` of chroma: of what is left of a colour without the mean of its channels.

    NCHW in [-1, 1]. Strokes may be darker and lighter than the photo as they like; in small squares
    this holds back yellow and red flecks where the photo has no such colour.
    """
    moved = painting - photo
    return drift_loss(moved.mean(dim=1, keepdim=True), moved, pool, margin)


def fleck_loss(photo: Tensor, painting: Tensor, margin: float) -> Tensor:
    """E[max(0, |f(painting)| - max|f(photo)| - margin)], f being fine chroma, max that around.

    NCHW in [-1, 1]. Fine chroma is how a pixel's chroma differs from the mean in 9x9 pixels about
    it. Where a photo is plain, as in a sky, strokes of another colour are flecks; where it is
    motley they may be as motley, and everywhere by `margin` more. Whole areas may take any colour.
    """
    ground = F.max_pool2d(fine_chroma(photo).abs(), 9, stride=1, padding=4)
    return F.relu(fine_chroma(painting).abs() - ground - margin).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """E[|grad D(x)|^2] / 2 over pictures, D(x) being the mean of a picture's logits.

    Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, eq. 9. pictures: NCHW; the result can
    be differentiated with respect to the discriminator.
    """
    pictures = pictures.detach().requires_grad_(True)
    means = discriminator(pictures).flatten(1).mean(dim=1)
    (gradient,) = torch.autograd.grad(means.sum(), pictures, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()


def patch_nce_loss(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of knowing each query's key among all keys of the same picture.

    queries, keys: (N, places, features), of length 1 along the last; keys get no gradient. Park et
    al. 2020, https://arxiv.org/abs/2007.15651, eq. 2 and 4; temperature 0.07 there.
    """
    logits = queries @ keys.detach().transpose(1, 2) / temperature
    places = queries.shape[1]
    answers = torch.arange(places, device=logits.device).repeat(queries.shape[0])
    return F.cross_entropy(logits.flatten(0, 1), answers)


def discriminator_accuracy(kind: Adversarial, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Fraction of patches on the right side of the decision value, in [0, 1]; 0.5 is chance."""
    middle = 0.5 if kind == "lsgan" else 0.0
    real = (real_logits > middle).float().mean()
    fake = (fake_logits < middle).float().mean()
    return 0.5 * (real + fake)
