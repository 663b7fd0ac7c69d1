"""The policy of the research plan, switch by switch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from agents.networks import ViewAttention
from spatial_envs.foundation.arguments import check_choice

OUTPUTS = {"cartesian": 7, "spherical": 7, "euler": 6, "position_only": 3}
TOKEN_POOLINGS = ("mean", "max", "camera")


class AttentionNBVPolicy(ViewAttention):
    """The research plan's policy: from the tokens of the views taken to the pose of the next one.

    Names and shapes of its parameters are those of zeya-labs/VGGT-NBV (2025), whose state_dict loads; so are
    the initial values' distributions and the meaning of

    output_mode          "cartesian": position (m), quaternion (x, y, z, w), unit; "spherical": azimuth in
                         [0, 2 pi], polar angle in [0, pi], radius in [1, 3] m, quaternion; "euler": position,
                         roll, pitch, yaw (rad); "position_only": position. Unbounded where nothing is said.
    token_pooling_mode   of the tokens of a view: "mean", "max", or "camera", the first of them
    """

    def __init__(
        self,
        scene_feature_dim: int = 768,
        hidden_dim: int = 512,
        num_heads: int = 8,
        num_layers: int = 4,
        output_mode: str = "cartesian",
        token_pooling_mode: str = "mean",
        dropout: float = 0.1,
    ) -> None:
        check_choice("output_mode", output_mode, tuple(OUTPUTS))
        check_choice("token_pooling_mode", token_pooling_mode, TOKEN_POOLINGS)
        super().__init__(scene_feature_dim, hidden_dim, num_heads, num_layers, dropout)
        self.output_mode, self.token_pooling_mode = output_mode, token_pooling_mode
        half = hidden_dim // 2
        self.output_head = nn.Sequential(
            nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, half), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(half, OUTPUTS[output_mode]),
        )  # fmt: skip
        nn.init.normal_(self.pos_embedding)
        nn.init.normal_(self.global_token)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, scene_features: torch.Tensor, view_mask: torch.Tensor | None = None) -> torch.Tensor:
        """scene_features (B, N, D) or (B, N, P, D), view_mask (B, N) -> (B, 7, 6 or 3), see the class."""
        if scene_features.ndim == 4:
            pool = self.token_pooling_mode
            scene_features = (
                scene_features[:, :, 0]
                if pool == "camera"
                else scene_features.mean(dim=2)
                if pool == "mean"
                else scene_features.amax(dim=2)
            )
        if scene_features.ndim != 3:
            raise ValueError(
                f"scene_features: got shape {tuple(scene_features.shape)}; expected (B, N, D) or (B, N, P, D)"
            )
        raw = self.output_head(super().forward(scene_features, view_mask))
        position, turn = raw[:, :3], raw[:, 3:]
        if self.output_mode == "position_only":
            return position
        if self.output_mode == "euler":
            return torch.cat([position, turn.tanh() * turn.new_tensor([1, 0.5, 1]) * math.pi], dim=1)
        if self.output_mode == "spherical":
            scale = position.new_tensor([2 * math.pi, math.pi, 2])
            position = position.sigmoid() * scale + position.new_tensor([0, 0, 1])
        return torch.cat([position, F.normalize(turn, dim=1)], dim=1)
