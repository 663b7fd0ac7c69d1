"""Where to explore: a network that scores frontiers by how much they will show for each step."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agents.navigation.frontiers import CROP, FEATURES, Candidates, Chooser


class FrontierScores(nn.Module):
    """Scores of candidates: the logarithm of the unknown-area rule's figure, and what a network adds to it,
    at first nothing."""

    def __init__(self, hidden_dim: int = 64) -> None:
        super().__init__()
        self.crop = nn.Sequential(
            nn.Conv2d(3, 16, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * (CROP // 8) ** 2, hidden_dim), nn.ReLU(),
        )  # fmt: skip
        last = nn.Linear(hidden_dim, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.Linear(hidden_dim + len(FEATURES), hidden_dim), nn.ReLU(), last)

    def forward(self, features: torch.Tensor, crops: torch.Tensor) -> torch.Tensor:
        """features (N, 4) and crops (N, 3, 32, 32) in [0, 1], as of ``Candidates`` -> (N,)."""
        logs = features.log1p()
        added = self.head(torch.cat([self.crop(crops), logs - 3.0], dim=1))[:, 0]
        steps, area = logs[:, 0], logs[:, 1]
        return area - steps + added


class ScoredFrontiers(Chooser):
    """Explores at the frontier with the highest score."""

    def __init__(self, env, network: FrontierScores, seed: int = 0, row: int = 0) -> None:
        super().__init__(env, seed, row)
        self.network = network

    def worth(self, found: Candidates) -> np.ndarray:
        """By the network's scores."""
        with torch.inference_mode():
            crops = torch.as_tensor(found.crops).float() / 255
            return self.network(torch.as_tensor(found.features), crops).numpy()
