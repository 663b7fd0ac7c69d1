"""The video-fitting environments: the id, its arguments, spaces, rewards and info keys."""

from __future__ import annotations

import numpy as np

from spatial_envs.core.env import TaskEnv
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.geometry.view import View
from spatial_envs.video_fit.task import VideoFit


class VideoFitEnv(TaskEnv):
    """## Description

    A depth video shows things that move. The agent has K slots that keep their identity from frame to frame,
    each a shape, a blend of a few learned prototypes, at a scale and on a way through the video. Step by step
    it changes them, and is rewarded for how much better they explain all frames together, and how naturally
    they move. Metres; one fitting frame for the whole video, with +Y up, the first camera looking along -Z
    but for its pitch, and its origin at the mean of all frames' points; ``unit`` is their root mean square
    distance from it. The ground is taken out first. Stamps are irregular; every fifth is held out, and no
    agent sees it.

    ## Action Space

    ``Box(-1, 1, float32)``; values beyond are clipped. With ``action="track"`` (default) the whole way of one slot
    changes, slots taking turns: [size, log scale, place (3), speed (3), bend (3), turn (3), spin (3), P logits of
    prototypes, logit of absence]. On a clock tau that runs from -1 at the first frame to 1 at the last, the
    slot's centre is place + speed tau + bend tau^2, a parabola, and it is turned by the rotation vector spin
    tau after turn; one shape for all frames. With ``segments=2`` [change, speed, bend, spin] stand before the
    logits: from the time change on the slot goes on with those, as after a bounce. The step's size is as in
    SceneFit; a step of size 1 changes log scale, place, speed, turn and spin by 0.5 units or radians (turn
    about +Y by 1), the time of change by 0.5, bend by 0.25, logits by 4, times what the action says of each. With ``action="frame"`` one slot of one
    frame changes as in SceneFit, the slot of each frame in turn, then the next slot.

    With ``camera="estimated"`` the cameras' poses are not given: all begin where the first one is, and each
    step also moves the camera of the frame whose turn it is (not the first): six more numbers, a translation
    and a rotation vector in the fitting frame's axes, shares of 0.1 units and radians times the step's size.

    ## Observation Space

    A flat Dict; ``observations=`` chooses among

    | key | shape | meaning |
    |---|---|---|
    | motion | (K, 16 + P + 1) | the tracks as in the action, logits over 10; 10 more with two segments; not with "frame" |
    | slots | (K, T, 7) | where they are in each frame: log scale, place in units, yaw, pitch, roll |
    | logits | (K, T, P + 1) | over 10; only with "frame" |
    | residuals | (K, T, 22) | as SceneFit's, of each frame |
    | times | (T,) | s, irregular, the last one 0 |
    | camera | (T, 6) | against the first: translation in units and rotation vector; given, or as the agent has them |
    | turn | (K,) | 1 for the slot whose turn it is |
    | frame_turn | (T,) | 1 for the frame whose slot or camera it is; only with "frame" or estimated cameras |
    | remaining | (1,) | share of the steps left |
    | features | (T, D) | the backbone's tokens of the frames, seen together; see SceneFit |
    | rgb, depth | (T, H, W, 3) uint8, (T, H, W, 1) m | the frames; 0 where nothing was measured |
    | fit_rgb, fit_depth | the same | the fit from the same cameras |
    | film, fit_film | (T H, W, 3) uint8 | rgb and fit_rgb, one frame below the other, for a CNN |

    or by a name: ``"state"`` (the default: all above rgb), ``"image"`` (film, fit_film, times, turns, remaining),
    ``"all"``.

    ## Rewards

    The gain of a potential. ``reward="full"`` (default): minus the mean over frames of occlusion-aware distance /
    unit + 0.5 fsv + 0.01 slots, less ``weights`` times ``motion`` (0.02; how unnaturally slots move: acceleration,
    or what it lacks to free fall, in g, changes of spin and of size: `spatial_envs.prototypes.tracks.unnatural`),
    ``prototypes`` (0.1; how much blends change from frame to frame; 0 for tracks) and ``camera`` (0.2; how far
    the ground is from where the first frame has it; that of filmed recordings is known exactly). ``"chamfer"``: minus the mean one-directional distance /
    unit. ``"surface"``, of filmed recordings: as SceneFit's, the mean over frames, less the same three. Or a
    callable (figures before, figures after) -> float. Figures look at up to ``points`` of each frame's points.

    ## Starting State

    A video of the split, drawn uniformly, and the slots by ``start``: ``"kmeans"`` (a ball-like blend at each group of
    the middle frame's points, at rest), ``"encoder"`` (what the encoder of ``prototypes`` says of each frame,
    linked; for tracks one way through each, at rest, even, falling or a parabola, whichever is likeliest).
    Later resets without a seed stay in that video until ``scene_steps`` steps were made there.
    ``reset(options={"video": name or index, "motion": (K, M)})``, or with "frame" ``"slots": (T, K, 7 + P + 1)``,
    lengths in metres.

    ## Episode End

    After ``steps`` steps the episode terminates. Success (``is_success``: one-directional distance of at most
    3 cm and fsv of at most 0.1) ends nothing.

    ## Info

    ``one_directional``, ``occlusion_aware`` (m), ``fsv``, ``depth_agreement`` (shares), ``slots`` present, all means
    over the frames; ``motion``, ``prototypes``, ``camera`` as above; ``chamfer`` (= one_directional), ``trajectory_error``
    (m, of the cameras against the true ones, NaN where nobody knows), ``gain``, ``steps``, ``is_success``, ``object``
    (the video's name), ``backbone``.

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """  # noqa: E501

    task_type = VideoFit
    task: VideoFit

    def render_view(self, cam_to_world: np.ndarray) -> View:
        """The fit of the last shown frame from any poses (..., 4, 4) in the world's frame."""
        return self.task.render_view(0, cam_to_world)


class VideoFitVectorEnv(TaskVectorEnv):
    """Many episodes of ``VideoFitEnv`` at once."""

    task_type = VideoFit
    task: VideoFit
