"""A network that answers questions of foresight: six joint guesses of where all things are at the asked time.

One token stands for each thing: what a small network makes of its frames, their stamps against the asked
time, its shape, and the analytic rule's answer; the tokens look at each other in a block that is applied
twice, with the same weights (things that collide are no single things), and each says how far it is from the
rule's answer, in what a step can reach. Places are relative, so that it does not matter where a scene is, nor
in which order its things or frames come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from agents.foresight.shown import Shown
from spatial_envs.foresight.question import REACH, WAY_SHARE
from spatial_envs.foundation.files import replacing
from spatial_envs.geometry.bodies import KINDS

SHIPPED = Path(__file__).resolve().parents[2] / "pretrained/foresight-network/network.safetensors"
GUESSES = 6
WAVES = (1.0, 2.0, 4.0)  # rad/s, of the asked time's Fourier features
FAR = 8.0  # metres, beyond which places are cut off
FRAME, THING = 8, 3 + len(KINDS) + 4 + 3 + 2 * len(WAVES)  # numbers of a frame; of a thing beside its frames


class Told(NamedTuple):
    """What the network is told of B questions with K things and T frames; float32.

    centres (B, K, T, 3), seen (B, K, T), times (B, T), query (B,)
    reference, nearest (B, K, 3), shapes (B, K, 3 + 5); slots that hold nothing have shapes of 0
    """

    centres: torch.Tensor
    seen: torch.Tensor
    times: torch.Tensor
    query: torch.Tensor
    reference: torch.Tensor
    nearest: torch.Tensor
    shapes: torch.Tensor

    @property
    def reach(self) -> torch.Tensor:
        """(B, K, 1) metres that a step moves a draft along an axis."""
        return REACH + WAY_SHARE * (self.reference - self.nearest).norm(dim=-1, keepdim=True)


class EndNetwork(nn.Module):
    """Told -> centres (B, 6, K, 3), metres."""

    def __init__(self, width: int = 96, rounds: int = 2) -> None:
        super().__init__()
        self.rounds = rounds
        self.frame = nn.Sequential(nn.Linear(FRAME, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU())
        self.thing = nn.Sequential(nn.Linear(2 * 64 + THING, width), nn.GELU(), nn.Linear(width, width))
        self.block = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm, self.end = nn.LayerNorm(width), nn.Linear(width, 3 * GUESSES)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)  # at first all answers are the rule's

    def forward(self, told: Told) -> torch.Tensor:
        """Six joint guesses, the first one the best if there is but one."""
        return told.reference[:, None] + told.reach[:, None] * self.offsets(self.tokens(told))

    def offsets(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 6, K, 3): how far guesses are from the rule's answer, in what a step can reach."""
        return self.end(tokens).unflatten(-1, (GUESSES, 3)).transpose(1, 2)

    def tokens(self, told: Told) -> torch.Tensor:
        """(B, K, width): what is known of each thing."""
        query = told.query[:, None]
        ahead = told.times - query
        relative = (told.centres - told.nearest[:, :, None]).clamp(-FAR, FAR)
        stamps = torch.stack([told.times, ahead, ahead.abs().rsqrt().clamp_max(5)], dim=-1)
        stamps = stamps[:, None].expand(*relative.shape[:3], -1)
        height = told.centres[..., 1:2].clamp(-FAR, FAR)
        seen = told.seen[..., None]
        made = self.frame(torch.cat([relative, height, stamps, seen], dim=-1)) * seen
        pooled = [made.sum(dim=2) / seen.sum(dim=2).clamp_min(1), made.amax(dim=2)]
        waves = [each(rate * query) for rate in WAVES for each in (torch.sin, torch.cos)]
        clock = torch.cat([query, query**2 / 2, query.sign(), *waves], dim=1)
        way = (told.reference - told.nearest).clamp(-FAR, FAR)
        own = [told.shapes, way, told.nearest[..., 1:2].clamp(-FAR, FAR)]
        own.append(clock[:, None].expand(-1, way.shape[1], -1))
        tokens = self.thing(torch.cat([*pooled, *own], dim=-1))
        nothing = told.shapes[..., 0] == 0
        for _ in range(self.rounds):
            tokens = self.block(tokens, src_key_padding_mask=nothing)
        return self.norm(tokens)

    def save(self, path: Path) -> None:
        """Write the weights."""
        with replacing(path) as temporary:
            temporary.write_bytes(save(self.state_dict()))

    @classmethod
    def load(cls, path: Path = SHIPPED) -> EndNetwork:
        """Read the weights of a network of the default size."""
        network = cls()
        network.load_state_dict(load_file(path))
        return network.eval().requires_grad_(False)


class NetworkAnswers:
    """What the network says of one observation's question, for ``baselines.Answering``."""

    def __init__(self, path: Path = SHIPPED, guesses: int = GUESSES) -> None:
        self.network, self.guesses = EndNetwork.load(path), guesses

    def __call__(self, given: Shown) -> np.ndarray:
        """(guesses, K, 3) centres."""
        told = told_of([given])
        with torch.no_grad():
            return self.network(told)[0, : self.guesses].double().numpy()


def told_of(many: list[Shown]) -> Told:
    """What observations show, as one batch."""

    def stacked(values: list[Any]) -> torch.Tensor:
        return torch.as_tensor(np.stack(values), dtype=torch.float32)

    return Told(
        stacked([one.centres for one in many]), stacked([one.seen for one in many]),
        stacked([one.times for one in many]), stacked([np.float64(one.query) for one in many]),
        stacked([one.reference for one in many]), stacked([one.nearest for one in many]),
        stacked([np.concatenate([one.extents, one.kind], axis=1) for one in many]),
    )  # fmt: skip
