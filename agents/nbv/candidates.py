"""Values of candidate views, by a network that knows where each lies and scores all the same way."""

from __future__ import annotations

import math
from itertools import product

import gymnasium as gym
import torch
import torch.nn.functional as F
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from agents.nbv.information_gain import NEAR
from agents.networks import LatestImage, view_vectors
from spatial_envs.geometry.voxels import GLIMPSES, RESOLUTION

CONVOLVED = 16  # channels between a glimpse's convolutions
POWERS = tuple(p for p in product(range(4), repeat=3) if sum(p) <= 3)


def smooth(directions: torch.Tensor) -> torch.Tensor:
    """(..., 20): the monomials up to degree 3 of unit directions (..., 3). They span the spherical harmonics
    up to that degree: a linear map onto them says something smooth about every direction."""
    return torch.stack([torch.prod(directions ** directions.new_tensor(p), dim=-1) for p in POWERS], dim=-1)


class Glimpse(nn.Module):
    """What a candidate would see of the voxels: a small convolutional network, and how much of the image
    each channel fills, which holds most of the volumetric measures of Isler et al. (2016)."""

    def __init__(self, shape: tuple[int, int, int], hidden_dim: int) -> None:
        super().__init__()
        channels, height, width = shape
        cells = math.ceil(height / 4) * math.ceil(width / 4)
        self.image = nn.Sequential(
            nn.Conv2d(channels, CONVOLVED, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(CONVOLVED, CONVOLVED, 3, stride=2, padding=1), nn.GELU(),
            nn.Flatten(), nn.Linear(CONVOLVED * cells, 2 * hidden_dim),
        )  # fmt: skip
        self.share = nn.Linear(2 * channels, 2 * hidden_dim)

    def forward(self, glimpses: torch.Tensor) -> torch.Tensor:
        """glimpses (B, K, C, H, W), 0 to 255 -> (B, K, 2 hidden_dim)."""
        shown = glimpses.float() / 255
        share = torch.cat([shown.mean(dim=(-1, -2)), (shown > 0).float().mean(dim=(-1, -2))], dim=-1)
        image = self.image(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])
        return F.gelu(image + self.share(4 * share))


def measures(glimpses: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """(B, K, 2): two measures of Isler et al. (2016) by the rays of glimpses (B, K, 5, H, W): how many meet a
    surface from its unseen side, and those, the nearer it lies the more; in standard deviations over the
    candidates that are left (B, K)."""
    run = torch.ceil(glimpses[:, :, GLIMPSES.index("behind")].float() * RESOLUTION / 255)
    near = run.clamp(max=NEAR)
    proximity = near * NEAR - near * (near - 1) / 2  # NEAR + (NEAR - 1) + ...
    both = torch.stack([(run > 0).float(), proximity], dim=-1).mean(dim=(2, 3))
    weights = (left > 0.5).float()[..., None]
    counted = weights.sum(dim=1, keepdim=True).clamp_min(1)
    centred = both - (both * weights).sum(dim=1, keepdim=True) / counted
    spread = ((centred.square() * weights).sum(dim=1, keepdim=True) / counted).sqrt()
    return centred / (spread + 1e-6)


class CandidateScores(BaseFeaturesExtractor):
    """A score for each of the K candidates of a next-best-view observation.

    What a candidate is to one view is its direction in that camera's axes; that, both elevations, the
    view's distance and what its features say make a vector, the same way for every pair. A candidate's
    vectors are pooled over the views by maximum and mean and, with what its glimpse shows (where the
    environment gives any), become its score. What all the features (and, where the environment shows it,
    the latest image) say of the object as a whole is added as a smooth function of the direction, and with
    ``measured`` so are two measures of information, by learned weights that begin there. The candidates that
    are spent share one learned score.
    """

    KEYS = ("features", "poses", "view_mask", "candidates", "remaining")

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        hidden_dim: int = 64,
        dropout: float = 0.0,
        measured: float | None = None,
    ) -> None:
        vectors = view_vectors(observation_space, self.KEYS[1:], hidden_dim)
        width = 0 if vectors is None else vectors.width
        candidates, rgb = observation_space["candidates"], observation_space.spaces.get("rgb")
        super().__init__(observation_space, candidates.shape[0])  # type: ignore[index]
        self.image = LatestImage(rgb, hidden_dim) if isinstance(rgb, gym.spaces.Box) else None
        whole = width + (0 if self.image is None else hidden_dim)
        self.vectors, self.relation = vectors, nn.Linear(6, hidden_dim)
        self.described = nn.Linear(width, hidden_dim, bias=False) if width else None
        self.pair = nn.Sequential(nn.GELU(), nn.Linear(hidden_dim, hidden_dim), nn.GELU())
        glimpses = observation_space.spaces.get("glimpses")
        self.glimpse = None if glimpses is None else Glimpse(glimpses.shape[1:], hidden_dim)  # type: ignore
        self.score = nn.Sequential(
            nn.Linear((2 if glimpses is None else 4) * hidden_dim + 2, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, 1),
        )
        self.harmonics = nn.Linear(whole, len(POWERS)) if whole else None
        self.measures = (
            None if measured is None or glimpses is None else nn.Parameter(torch.full((2,), float(measured)))
        )
        self.spent = nn.Parameter(torch.zeros(()))

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The observation's tensors, batched -> (B, K)."""
        poses, mask = observations["poses"], observations["view_mask"][..., None]
        directions, left = observations["candidates"].split([3, 1], dim=-1)
        sides, counted = poses.unflatten(-1, (3, 3)), mask.sum(dim=1).clamp_min(1)
        distance = sides[..., :1, :].norm(dim=-1).clamp_min(1e-6)  # (B, N, 1)
        axes = torch.cat([sides[..., :1, :] / distance[..., None], sides[..., 1:, :]], dim=-2)
        lies = torch.einsum("bnsk,bck->bncs", axes, directions)  # outward, camera X, camera Y
        shape = lies.shape[:3]
        pairs = torch.cat(
            [
                lies,
                *(
                    x.expand(*shape, 1)
                    for x in (axes[:, :, None, :1, 1], directions[:, None, :, 1:2], distance[..., None])
                ),
            ],
            -1,
        )
        hidden = self.relation(pairs)
        whole = []
        if self.vectors is not None and self.described is not None:
            features = self.vectors(observations["features"])
            hidden = hidden + self.described(features)[:, :, None]
            whole.append((features * mask).sum(dim=1) / counted)
        hidden, there = self.pair(hidden), mask[..., None]
        pooled = torch.cat(
            [(hidden - 1e4 * (1 - there)).amax(dim=1), (hidden * there).sum(dim=1) / counted[..., None]], -1
        )
        remaining = observations["remaining"][:, None].expand(-1, shape[2], -1)
        shown = [] if self.glimpse is None else [self.glimpse(observations["glimpses"])]
        scores = self.score(torch.cat([pooled, *shown, directions[..., 1:2], remaining], dim=-1))[..., 0]
        if self.image is not None:
            whole.append(self.image(observations["rgb"]))
        if self.harmonics is not None:
            said = self.harmonics(torch.cat(whole, dim=-1))
            scores = scores + (smooth(directions) @ said[..., None])[..., 0]
        if self.measures is not None:
            scores = scores + measures(observations["glimpses"], left[..., 0]) @ self.measures
        return torch.where(left[..., 0] > 0.5, scores, self.spent)


class CandidateQNetwork(QNetwork):
    """The scores are the values themselves."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.q_net = nn.Sequential()


class CandidateDQNPolicy(DQNPolicy):
    """DQN's policy round ``CandidateScores``; ``features_extractor_kwargs`` are that one's."""

    KEYS: tuple[str, ...] = CandidateScores.KEYS

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **{"features_extractor_class": CandidateScores, **kwargs})

    def make_q_net(self) -> CandidateQNetwork:
        """Build the network that scores every candidate."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return CandidateQNetwork(**arguments).to(self.device)


class GlimpseDQNPolicy(CandidateDQNPolicy):
    """``CandidateDQNPolicy`` on an environment that shows glimpses."""

    KEYS = (*CandidateScores.KEYS, "glimpses")
