"""What fits a video in one go: each fitter is a function of a video's target, what it is of, the number of
slots and a seed.

random-spheres    spheres at random points of the middle frame's bounding box, at rest
kmeans            a ball at each group of the middle frame's points, at rest: where episodes begin
still             what the shipped encoder says of the middle frame, at rest
encoder           what it says of each frame, in the order in which the depth map's pieces are found
linked            the same, linked by even motion and size (``prototypes.linking``)
tracks            of those one shape on one natural way: where episodes with ``start="encoder"`` begin
tracks-searched   the same, then blind search in the environment's own moves, as long as an episode lasts
tracks-refined    the same, then 40 steps of Adam on all frames together (``prototypes.refine_tracks``)
bounces           as tracks, but a way may change once: tracks of two segments
bounces-refined   the same, then Adam
linked-oracle     the encoder's slots of each frame, linked by who they truly are
oracle            the true bodies, where they truly are
cheat-shell       one surface wrapped on each depth map, which costs a one-directional loss nothing
cheat-shuffled    the linked slots, in each frame in another order
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from agents.shell import wrapped
from agents.video_fit.search import best_step
from spatial_envs.geometry.bodies import radial
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.kmeans import ball_slots
from spatial_envs.prototypes.linking import fitted_tracks, followed, linked
from spatial_envs.prototypes.refine_tracks import refined_tracks
from spatial_envs.prototypes.scores import Fit
from spatial_envs.prototypes.slots import Shapes, SlotState
from spatial_envs.prototypes.sphere import sphere
from spatial_envs.prototypes.tracks import VideoState, Weights, resting
from spatial_envs.prototypes.video import VideoTarget, make_video_target
from spatial_envs.prototypes.video_scores import Explained, true_centres
from spatial_envs.scenes.depth_videos import DepthVideo

RADII = (0.1, 0.5)  # metres, of random spheres
TURNS = 10  # of each slot in a search, as many as an episode has
POINTS = 128  # of each frame, that a search looks at
FINE, SHELL = 4, 5  # subdivisions of the spheres that true bodies and shells are made of

Explanation = tuple[list[Explained], list[Explained]]  # of the frames shown, and of those held out
Fitter = Callable[[VideoTarget, DepthVideo, int, int], Explanation]


@lru_cache(maxsize=1)
def model() -> tuple[SlotEncoder, Shapes]:
    """The shipped encoder and its shapes."""
    encoder = SlotEncoder.load(SHIPPED).requires_grad_(False)
    return encoder, Shapes.of(encoder.bank)


def explanation(state: VideoState) -> Explanation:
    """What a state's slots say of the frames that it was shown, and of those held out."""
    shown = [Explained(frame.target, frame.fit()) for frame in state.frames]
    held = [
        Explained(target, SlotState(target, state.shapes, slots, most_points=16).fit())
        for target, slots in zip(state.held_out_targets(), state.held_out_slots(), strict=True)
    ]
    return shown, held


def _of_slots(target: VideoTarget, slots: np.ndarray) -> Explanation:
    return explanation(VideoState(target, model()[1], slots, POINTS, Weights()))


def _of_tracks(target: VideoTarget, tracks: np.ndarray, segments: int = 1) -> Explanation:
    return explanation(VideoState.of_tracks(target, model()[1], tracks, POINTS, Weights(), segments))


def random_spheres(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """Place spheres at random points of the middle frame's box, and leave them there."""
    rng = np.random.default_rng([seed, 1])
    points = target.shown[len(target.shown) // 2].points
    centres = rng.uniform(points.min(axis=0), points.max(axis=0), (slots, 3))
    ball = sphere()
    vertices = ball.vertices * rng.uniform(*RADII, slots)[:, None, None] + centres[:, None]
    fit = Fit(vertices.astype(np.float32), ball, np.ones(slots, np.bool_))
    return [Explained(one, fit) for one in target.shown], [Explained(one, fit) for one in target.held_out]


def kmeans(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """A ball at each group of the middle frame's points."""
    middle = target.shown[len(target.shown) // 2]
    balls = ball_slots(middle.points, slots, model()[0].bank.sizes.prototypes, target.unit, seed)
    return _of_tracks(target, resting(balls, target.unit))


@lru_cache(maxsize=64)
def encoded_frames(target: VideoTarget, slots: int) -> np.ndarray:
    """(T, K, 7 + P + 1): what the encoder says of each frame alone."""
    return encoded(model()[0], list(target.shown), slots).double().numpy()


def still(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The encoder's slots of the middle frame, which nothing moves."""
    middle = encoded_frames(target, slots)[len(target.shown) // 2]
    return _of_tracks(target, resting(middle, target.unit))


def encoder(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """Each frame by itself."""
    return _of_slots(target, encoded_frames(target, slots))


def linked_slots(target: VideoTarget, slots: int) -> np.ndarray:
    """(T, K, 7 + P + 1): the encoder's slots in the order of their tracks."""
    found = encoded_frames(target, slots)
    return followed(found, linked(found, model()[1].present(found), target.times))


def link(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The encoder's slots, linked by even motion."""
    return _of_slots(target, linked_slots(target, slots))


def way_tracks(target: VideoTarget, slots: int, segments: int = 1) -> np.ndarray:
    """(K, M): one natural way through each."""
    found = linked_slots(target, slots)
    return fitted_tracks(found, model()[1].present(found), target.times, target.unit, segments)


def tracks(
    target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0, segments: int = 1
) -> Explanation:
    """One shape on one way for each linked slot."""
    return _of_tracks(target, way_tracks(target, slots, segments), segments)


def searched(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """Let the tracks take turns, each by the best of some steps drawn evenly from all."""
    state = VideoState.of_tracks(target, model()[1], way_tracks(target, slots), POINTS, Weights())
    rng = np.random.default_rng([seed, 5])
    for k in [*range(slots)] * TURNS:
        best_step(state, k, rng)
    return explanation(state)


def refined(
    target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0, segments: int = 1
) -> Explanation:
    """The tracks, made better by gradient on all frames together."""
    with torch.enable_grad():
        better = refined_tracks(model()[0].bank, target, way_tracks(target, slots, segments), seed=seed)
    return _of_tracks(target, better, segments)


def linked_oracle(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The encoder's slots, each frame's given to the objects so that true centres are nearest in all."""
    found = encoded_frames(target, slots)
    present, links = model()[1].present(found), np.full(found.shape[:2], -1)
    for t, one in enumerate(target.shown):
        centres = true_centres(one)
        here = np.flatnonzero(present[t])
        apart = np.linalg.norm(centres[:, None] - found[t, here, 1:4], axis=-1)
        objects, columns = linear_sum_assignment(apart)
        links[t, objects[objects < slots]] = here[columns[objects < slots]]
        left = [k for k in here if k not in links[t]]
        free = [k for k in range(len(centres), slots) if links[t, k] < 0]
        for k, slot in zip(free, left, strict=False):
            links[t, k] = slot
    return _of_slots(target, followed(found, links))


def given(target: VideoTarget, video: DepthVideo) -> VideoTarget:
    """The target with the cameras where they were."""
    return target if target.camera_given else make_video_target(video)


def oracle(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The true bodies, by the true cameras."""
    assert video.bodies is not None
    target = given(target, video)
    ball, bodies = sphere(FINE), video.bodies
    own = [
        ball.vertices * radial(int(kind), half, ball.vertices)[:, None]
        for kind, half in zip(bodies.kind, bodies.extents, strict=True)
    ]
    count = max(slots, len(own))
    shown: list[Explained] = []
    held: list[Explained] = []
    targets = iter(target.shown), iter(target.held_out)
    for frame, is_shown in zip(video.frames, video.shown, strict=True):
        assert frame.truth is not None
        one = next(targets[0] if is_shown else targets[1])
        to_frame = np.linalg.inv(one.frame_to_world)
        vertices = np.zeros((count, len(ball.vertices), 3), np.float32)
        for k, (points, pose) in enumerate(zip(own, frame.truth.object_to_world, strict=True)):
            place = to_frame @ pose
            vertices[k] = points @ place[:3, :3].T + place[:3, 3]
        fit = Fit(vertices, ball, np.arange(count) < len(own))
        (shown if is_shown else held).append(Explained(one, fit))
    return shown, held


def shell(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The cheat that reaches zero in every frame, with one slot; held-out frames get their neighbour's."""
    ball = sphere(SHELL)
    fits = [
        Fit(wrapped(one, ball).astype(np.float32)[None], ball, np.ones(1, np.bool_)) for one in target.shown
    ]
    nearest = np.abs(target.held_times[:, None] - target.times).argmin(axis=1)
    held = [Explained(one, fits[k]) for one, k in zip(target.held_out, nearest, strict=True)]
    return [Explained(*pair) for pair in zip(target.shown, fits, strict=True)], held


def shuffled(target: VideoTarget, video: DepthVideo, slots: int, seed: int = 0) -> Explanation:
    """The cheat that keeps no identity."""
    rng = np.random.default_rng([seed, 3])
    return _of_slots(target, np.stack([rng.permutation(own) for own in linked_slots(target, slots)]))


FITTERS: dict[str, Fitter] = {
    "random-spheres": random_spheres,
    "kmeans": kmeans,
    "still": still,
    "encoder": encoder,
    "linked": link,
    "tracks": tracks,
    "tracks-searched": searched,
    "tracks-refined": refined,
    "bounces": partial(tracks, segments=2),
    "bounces-refined": partial(refined, segments=2),
    "linked-oracle": linked_oracle,
    "oracle": oracle,
    "cheat-shell": shell,
    "cheat-shuffled": shuffled,
}
KNOWING = ("linked-oracle", "oracle")  # fitters that have to know the truth
