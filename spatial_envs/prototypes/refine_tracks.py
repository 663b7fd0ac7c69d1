"""Tracks made better on all frames of a video together, by gradient: what a user without truth can do."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from spatial_envs.prototypes.bank import POSE, PrototypeBank
from spatial_envs.prototypes.losses import Sight, distances, expected_minimum, free_space, occlusion
from spatial_envs.prototypes.tracks import (
    BEND,
    CHANGE,
    FIRST,
    PLACE,
    SECOND,
    THEN_BEND,
    THEN_SPEED,
    TURN,
    bounded_tracks,
    track_slots,
)
from spatial_envs.prototypes.video import VideoTarget

MOST_POINTS = 120  # of each frame, drawn anew at every step
STAY = (2.0, 1.0, 0.6, 0.05)  # how dear it is to leave log scale, way, angles and logits / 5 at first


def refined_tracks(
    bank: PrototypeBank,
    target: VideoTarget,
    tracks: np.ndarray,
    steps: int = 40,
    rate: float = 0.02,
    seed: int = 0,
) -> np.ndarray:
    """Tracks (K, M) after some steps of Adam (rate: of log scale, units, radians and logits / 5 at first,
    falling to nothing); presences, spins and times of change stay as they are, and so do tracks that are
    absent.

    With d the distances of a frame's points in units, the loss is the mean over the frames of the least d +
    0.5 expected minimum + occlusion + free space, and what keeps tracks near their start. One shape and one
    parabola explain all frames, so that nothing else is needed for natural motion.
    """
    end = tracks.shape[1] - bank.sizes.prototypes - 1  # of what is no logit
    if end not in (FIRST, FIRST + SECOND):
        sizes = " or ".join(str(FIRST + more + bank.sizes.prototypes + 1) for more in (0, SECOND))
        raise ValueError(f"tracks: got {tracks.shape}; expected (K, {sizes})")
    segments = 1 + (end > FIRST)
    ways = [*range(PLACE.start, BEND.stop)]
    ways += [*range(THEN_SPEED.start, THEN_BEND.stop)] if segments == 2 else []
    rng, unit = np.random.default_rng([seed, 4]), target.unit
    sight = Sight(
        torch.as_tensor(np.stack([one.depth for one in target.shown])),
        torch.as_tensor(np.stack([one.intrinsics for one in target.shown])).float(),
        torch.as_tensor(np.stack([one.cam_to_frame for one in target.shown])).float(),
    )
    start = torch.as_tensor(tracks).float()
    begun_slots = np.stack([track_slots(track, target.clock, unit, segments) for track in tracks], axis=1)
    presence = bank.presence(torch.as_tensor(begun_slots[0]).float())
    there = presence > 0.5
    if not there.any():
        return tracks
    start, presence = start[there], presence[there]
    clock = torch.as_tensor(target.clock).float()[:, None, None]
    change = start[:, CHANGE, None] if segments == 2 else torch.ones(len(start), 1)
    first, since = torch.minimum(clock, change), (clock - change).clamp_min(0)
    powers = torch.stack([torch.ones_like(first), first, first**2, since, since**2][: len(ways) // 3])
    angles = torch.as_tensor(begun_slots[:, there.numpy(), 4:POSE]).float()
    begun = [start[:, :1], start[:, ways], torch.zeros(len(start), 3), start[:, end:-1] / 5]
    parameters = [each.clone().requires_grad_(True) for each in begun]
    absence = start[:, -1:] - start[:, end:-1].logsumexp(dim=1, keepdim=True)
    optimiser = torch.optim.Adam(parameters, rate)
    with torch.no_grad():
        shapes = bank.shapes()

    def joined() -> torch.Tensor:
        """(T, K, 7 + P + 1)."""
        log_scale, way, turned, logits = parameters
        centre = unit * (powers * way.unflatten(1, (-1, 3)).transpose(0, 1)[:, None]).sum(dim=0)
        blend = torch.cat([5 * logits, absence + (5 * logits).logsumexp(dim=1, keepdim=True)], dim=1)
        frames = (len(clock), -1, -1)
        scale = (unit * log_scale.exp()).expand(*frames)
        return torch.cat([scale, centre, angles + turned, blend.expand(*frames)], dim=-1)

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        chosen = [rng.integers(len(one.points), size=MOST_POINTS) for one in target.shown]
        drawn = list(zip(target.shown, chosen, strict=True))
        points = torch.as_tensor(np.stack([one.points[own] for one, own in drawn]))
        pixels = torch.as_tensor(np.stack([one.pixels[own] for one, own in drawn]))
        vertices = bank(joined(), shapes=shapes)
        apart = distances(points, vertices, bank.topology)[0]
        chance = presence.expand(len(points), -1)
        minimum = expected_minimum(apart, chance, unit)
        gap = occlusion(points, pixels, vertices, bank.topology, sight)
        free = (chance * free_space(vertices, sight)).mean(dim=1)
        away = [((now - then) ** 2).mean() for now, then in zip(parameters, begun, strict=True)]
        stay = torch.stack(away).dot(torch.tensor(STAY))
        loss = (apart.amin(dim=1).mean() + gap.mean() + 0.5 * minimum.mean() + free.mean()) / unit + stay
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    log_scale, way, turned, logits = (each.detach().numpy().astype(np.float64) for each in parameters)
    out, index = np.array(tracks, np.float64), np.flatnonzero(there.numpy())
    out[index, :1] = log_scale
    out[np.ix_(index, ways)] = way
    first_angles = Rotation.from_rotvec(out[index, TURN]).as_euler("YXZ")
    out[index, TURN] = Rotation.from_euler("YXZ", first_angles + turned).as_rotvec()
    out[index, end:-1] = 5 * logits
    out[index, -1] = absence.numpy()[:, 0] + np.log(np.exp(5 * logits).sum(axis=1))
    return bounded_tracks(out, segments)
