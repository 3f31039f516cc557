"""The state of a run in memory: networks, averages, optimisers, image pools, random states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from pleinair.checkpoint import ImagePool, Networks
from pleinair.config import Recipe, Spec
from pleinair.errors import TrainingError
from pleinair.networks import Seen, build
from pleinair.networks.growth import holds, widened
from pleinair.recipes import recipe_to_dict, spec_to_dict
from pleinair.team import Team
from pleinair.weights import Weights

Losses = dict[str, Tensor]
GENERATORS = ("painting_generator", "photo_generator")
DISCRIMINATORS = ("painting_discriminator", "photo_discriminator")

# --- state -----------------------------------------------------------------------------------


@dataclass
class Session:
    """A run in memory: all that a step reads and changes."""

    recipe: Recipe
    team: Team
    networks: Networks
    ema: Networks | None  # the generators' moving averages; its discriminators are not used
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    painting_pool: ImagePool
    photo_pool: ImagePool
    step: int = 0
    seconds: float = 0.0
    accuracy: float = 0.5  # of the discriminators, a moving average
    before: list[dict[str, Any]] = field(default_factory=list)  # runs that this one began with
    teacher: nn.Module | None = None  # whose paintings are learned from; never learns itself

    @classmethod
    def start(cls, recipe: Recipe, seed: int, team: Team | torch.device) -> Session:
        """Fresh networks from a seed, the same in every process of a team."""
        team = Team(team) if isinstance(team, torch.device) else team
        device = team.device
        torch.manual_seed(seed)
        networks = Networks.build(recipe)
        for network in networks.by_name().values():
            network.to(device).train()
        ema = deepcopy(networks) if recipe.ema_decay > 0 else None
        if team.rank > 0:
            torch.manual_seed(_own_seed(seed, team.rank))
        return cls(
            recipe,
            team,
            networks,
            ema,
            _adam([*networks.generators, *networks.heads], recipe.generator_rate, recipe),
            _adam(networks.discriminators, recipe.discriminator_rate, recipe),
            ImagePool(recipe.pool_size),
            ImagePool(recipe.pool_size),
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.team.device

    @property
    def best(self) -> Networks:
        """The networks that samples and exports use."""
        return self.ema or self.networks

    def state(self) -> dict[str, Any]:
        """All that the next step depends on but the data streams, for a checkpoint."""
        return {
            "networks": {n: net.state_dict() for n, net in self.networks.by_name().items()},
            "ema": [net.state_dict() for net in self.ema.generators] if self.ema else [],
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "accuracy": self.accuracy,
            "before": self.before,
        }

    def own_state(self) -> dict[str, Any]:
        """What each process of a team has for itself: pools and random states."""
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return {
            "painting_pool": _moved(self.painting_pool.pictures, "cpu"),
            "photo_pool": _moved(self.photo_pool.pictures, "cpu"),
            "torch_random": torch.get_rng_state(),
            "cuda_random": cuda,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, which a session of the same recipe gave."""
        for name, network in self.networks.by_name().items():
            network.load_state_dict(state["networks"][name])
        if self.ema:
            for network, values in zip(self.ema.generators, state["ema"], strict=True):
                network.load_state_dict(values)
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.accuracy = state["accuracy"]
        self.before = state["before"]

    def restore_own(self, own: Sequence[dict[str, Any]], seed: int) -> None:
        """Go on from `own`, which the processes of a team gave, by rank; after `restore`.

        Of a team of another size the pools are dealt anew, like cards. A process that was there
        keeps its random state, one that is new gets another.
        """
        rank, size = self.team.rank, self.team.size
        for name in ("painting_pool", "photo_pool"):
            pools = [one[name] for one in own]
            pool: ImagePool = getattr(self, name)
            mine = pools[rank] if len(own) == size else dealt(pools, rank, size)
            pool.pictures = _moved(mine[: pool.size], self.device)
        if rank >= len(own):
            torch.manual_seed(_own_seed(seed, rank) + self.step)
            return
        torch.set_rng_state(own[rank]["torch_random"])
        if self.device.type == "cuda" and own[rank]["cuda_random"]:
            # One for each device of the machine that saved them; this one may have fewer.
            there = torch.cuda.device_count()
            torch.cuda.set_rng_state_all(own[rank]["cuda_random"][:there])

    def is_finite(self) -> bool:
        """Whether every weight is still a number."""
        sums = [p.sum() for net in self.networks.by_name().values() for p in net.parameters()]
        return bool(torch.isfinite(torch.stack(sums)).all())

    def init_from(self, recipe: Recipe, state: dict[str, Any]) -> None:
        """Take over the networks of another run; rates, pools and the step begin anew.

        The generators are its averaged ones, which is what its painter is. Discriminators of
        another shape stay fresh, and so does what only one of a one-way and a two-way run has.
        Generators may be wider than its, and paint the same at first (`networks.growth`). Raises
        TrainingError where they differ in another way.
        """
        self._expect(recipe.generator)
        done = {"recipe": recipe_to_dict(recipe), "steps": state["step"]}
        self.before = [*state.get("before", []), done]
        averages = state["ema"] or [
            state["networks"][name] for name in GENERATORS if name in state["networks"]
        ]
        for networks in (self.networks, self.ema) if self.ema else (self.networks,):
            for network, values in zip(networks.generators, averages, strict=False):
                network.load_state_dict(widened(network, values))
        if recipe.discriminator == self.recipe.discriminator:
            for name, network in self.networks.by_name().items():
                if name in DISCRIMINATORS and name in state["networks"]:
                    network.load_state_dict(state["networks"][name])

    def init_from_painter(self, painter: Weights) -> None:
        """Take over a painter; the other networks stay fresh.

        The generator may be wider than its, and paints the same at first (`networks.growth`).
        Raises TrainingError where it differs in another way.
        """
        self._expect(painter.spec)
        card = painter.card
        self.before = [
            *card.get("before", []),
            {"recipe": card.get("recipe"), "steps": card.get("steps")},
        ]
        values = {name: torch.from_numpy(array) for name, array in painter.arrays.items()}
        for networks in (self.networks, self.ema) if self.ema else (self.networks,):
            generator = networks.painting_generator
            generator.load_state_dict(widened(generator, values))

    def learn_from(self, painter: Weights) -> None:
        """Have a teacher: a painter of any spec, which paints as it does elsewhere."""
        teacher = build(painter.spec)
        teacher.load_state_dict(
            {name: torch.from_numpy(array) for name, array in painter.arrays.items()}
        )
        self.teacher = teacher.requires_grad_(False).eval().to(self.device)

    def _expect(self, generator: Spec) -> None:
        if holds(self.recipe.generator, generator):
            return
        found, expected = spec_to_dict(generator), spec_to_dict(self.recipe.generator)
        differs = [key for key in found if key != "kind" and found[key] != expected.get(key)]
        if found["kind"] != expected["kind"]:
            differs = ["kind"]
        table = "; ".join(f"{key} = {json.dumps(found[key])}" for key in differs)
        raise TrainingError(
            f"what the run is to begin with has another generator than recipe {self.recipe.name}; "
            f"choose its recipe, or a recipe file whose [generator] has {table}."
        )


def dealt(pools: Sequence[list[Seen]], rank: int, size: int) -> list[Seen]:
    """What of all pools together is the pool of one of `size` processes: every `size`th."""
    rounds = zip_longest(*pools)
    return [one for cards in rounds for one in cards if one is not None][rank::size]


def _own_seed(seed: int, rank: int) -> int:
    """Of a process's own dropout, noise and choices from its pools."""
    return seed + 1_000_003 * rank


def _moved(pool: list[Seen], device: torch.device | str) -> list[Seen]:
    return [tuple(part.to(device) for part in seen) for seen in pool]


def _adam(networks: Sequence[nn.Module], rate: float, recipe: Recipe) -> torch.optim.Adam:
    parameters = [p for network in networks for p in network.parameters()]
    return torch.optim.Adam(parameters, lr=rate, betas=(recipe.beta1, recipe.beta2), fused=True)
