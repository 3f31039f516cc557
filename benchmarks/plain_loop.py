"""How much faster a training step is than a plain loop of the same networks and losses.

The plain loop is written as the tutorials write it: a pass for each term, discriminators that
collect gradients nobody asked for, four Adams, PyTorch's own convolutions and norms. Both take
turns on the same batches, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from pleinair import losses
from pleinair.chance import Chance, random_gradient
from pleinair.checkpoint import ImagePool, Networks
from pleinair.config import RECIPES, FeatureSpec, Recipe
from pleinair.networks.norm import InstanceNorm
from pleinair.networks.winograd import WinogradConv2d
from pleinair.session import Session
from pleinair.step import train_step


def plainly(network: nn.Module) -> nn.Module:
    """The same network of PyTorch's own convolutions and norms."""
    for name, part in list(network.named_children()):
        if isinstance(part, WinogradConv2d):
            plain = nn.Conv2d(
                part.in_channels,
                part.out_channels,
                part.kernel_size,  # type: ignore[arg-type]
                padding=part.padding,  # type: ignore[arg-type]
                bias=part.bias is not None,
            )
            plain.load_state_dict(part.state_dict())
            setattr(network, name, plain)
        elif isinstance(part, InstanceNorm):
            affine = part.weight is not None
            norm = nn.InstanceNorm2d(
                part.weight.shape[0] if part.weight is not None else 1,
                eps=part.epsilon,
                affine=affine,
            )
            norm.load_state_dict(part.state_dict())
            setattr(network, name, norm)
        else:
            plainly(part)
    return network


class PlainLoop:
    """CycleGAN as tutorials train it, with the losses of a recipe."""

    def __init__(self, recipe: Recipe, networks: Networks) -> None:
        self.recipe = recipe
        for network in networks.by_name().values():
            network.requires_grad_(True)
            plainly(network)
        self.g, self.f = networks.generators
        self.dg, self.df = networks.discriminators
        self.average = [deepcopy(self.g), deepcopy(self.f)] if recipe.ema_decay else []
        self.optimizers = [
            torch.optim.Adam(
                [p for p in network.parameters() if p.requires_grad],
                lr=rate,
                betas=(recipe.beta1, recipe.beta2),
            )
            for network, rate in (
                (self.g, recipe.generator_rate),
                (self.f, recipe.generator_rate),
                (self.dg, recipe.discriminator_rate),
                (self.df, recipe.discriminator_rate),
            )
        ]
        self.pools = ImagePool(recipe.pool_size), ImagePool(recipe.pool_size)

    def step(self, photo: Tensor, painting: Tensor) -> None:
        """Update all four networks once."""
        r = self.recipe
        few = slice(r.batch)
        photos, paintings = photo, painting
        photo, painting = photo[few], painting[few]

        fake_painting = self.g(photo)
        fake_photo = self.f(painting)
        photo_again = self.f(fake_painting + r.cycle_noise * torch.randn_like(photo))
        painting_again = self.g(fake_photo + r.cycle_noise * torch.randn_like(photo))
        shown_part = partial(Chance(1).shifted, most=r.discriminator_shift)
        loss = losses.generator_loss(r.adversarial, self.dg(shown_part(fake_painting)))
        loss = loss + losses.generator_loss(r.adversarial, self.df(shown_part(fake_photo)))
        if r.content_weight > 0 and isinstance(r.discriminator, FeatureSpec):
            seen, held = (self.dg.look(shown_part(x)) for x in (fake_painting, photo))
            coarse = r.discriminator.coarse
            loss = loss + r.content_weight * losses.content_loss(seen[coarse], held[coarse])
        if r.drift_weight > 0:
            drift = losses.drift_loss(photo, fake_painting, r.drift_pool, r.drift_margin)
            loss = loss + r.drift_weight * drift
        loss = loss + r.cycle_weight * losses.cycle_loss(photo, photo_again, r.cycle_pool)
        loss = loss + r.cycle_weight * losses.cycle_loss(painting, painting_again, r.cycle_pool)
        if r.identity_weight > 0:
            loss = loss + r.identity_weight * losses.identity_loss(painting, self.g(painting))
            loss = loss + r.identity_weight * losses.identity_loss(photo, self.f(photo))
        if r.ripple_weight > 0:
            smooth = self.g(random_gradient(photo))
            edge = smooth.shape[-1] // 4
            ripple = losses.ripple_loss(smooth[..., edge:-edge, edge:-edge])
            loss = loss + r.ripple_weight * ripple
        for optimizer in self.optimizers[:2]:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers[:2]:
            optimizer.step()
        with torch.no_grad():
            for average, network in zip(self.average, (self.g, self.f), strict=False):
                for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                    mean.mul_(r.ema_decay).add_(value, alpha=1 - r.ema_decay)

        for discriminator, optimizer, real, fake, pool in (
            (self.dg, self.optimizers[2], paintings, fake_painting, self.pools[0]),
            (self.df, self.optimizers[3], photos, fake_photo, self.pools[1]),
        ):
            (shown,) = pool.query((fake.detach(),))
            more = [one for (one,) in pool.sample(real.shape[0] - shown.shape[0])]
            shown = torch.cat([shown, torch.stack(more)]) if more else shown
            logits = (discriminator(shown_part(pictures)) for pictures in (real, shown))
            loss = losses.discriminator_loss(r.adversarial, *logits)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def taken(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(name: str, pairs: int) -> Iterator[tuple[float, float]]:
    """Seconds of a plain step and of ours, one after the other."""
    recipe = replace(RECIPES[name], warmup_steps=0)
    session = Session.start(recipe, 0, torch.device("cpu"))
    plain = PlainLoop(recipe, deepcopy(session.networks))
    shape = (recipe.discriminator_batch, 3, recipe.crop, recipe.crop)
    for pair in track(range(pairs + 1), name, console=Console(stderr=True)):
        photo, painting = (torch.rand(shape) * 2 - 1 for _ in range(2))
        torch.set_flush_denormal(False)
        theirs = taken(lambda: plain.step(photo, painting))  # noqa: B023
        torch.set_flush_denormal(True)
        ours = taken(lambda: train_step(session, photo, painting, 0.0))  # noqa: B023
        if pair:  # the first warms up
            yield theirs, ours


def compare(name: str, pairs: int) -> tuple[float, float, float]:
    """Median seconds of a plain step and of ours, and the median ratio of neighbours."""
    figures = [(theirs, ours, theirs / ours) for theirs, ours in in_turn(name, pairs)]
    plain, own, ratio = (statistics.median(column) for column in zip(*figures, strict=True))
    return plain, own, ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipes", nargs="+", default=["light", "paper"])
    parser.add_argument("--pairs", type=int, default=15, help="of steps; paper takes a third")
    options = parser.parse_args()
    console = Console(width=100)
    console.print(f"{platform.machine()}, {torch.get_num_threads()} threads")
    table = Table(title="A training step, plain and ours")
    for column in ("recipe", "plain s", "ours s", "times as fast"):
        table.add_column(column, justify="right")
    for name in options.recipes:
        pairs = options.pairs if name == "light" else max(3, options.pairs // 3)
        theirs, ours, ratio = compare(name, pairs)
        table.add_row(name, f"{theirs:.2f}", f"{ours:.2f}", f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
