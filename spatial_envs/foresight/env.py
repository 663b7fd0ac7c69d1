"""The foresight environments: the id, its arguments, spaces, rewards and info keys."""

from __future__ import annotations

from spatial_envs.core.env import TaskEnv
from spatial_envs.core.vector_env import TaskVectorEnv
from spatial_envs.foresight.task import Foresight


class ForesightEnv(TaskEnv):
    """## Description

    Things move: some fly, bounce, roll or slide, others lie. A few frames at irregular times show where they
    are, with noise, and a question asks where all of them will be, or were, at another time. An action is a
    prediction: a thought, which changes the answer in mind, or a guess, which hands it in. There are a few
    guesses; the best one counts. Metres, seconds, Y up, the ground at y = 0, the origin below the mean of what
    the frame next to the asked time shows.

    ## Action Space

    ``Box(-1, 1, float32)``; values beyond are clipped: [gate, confidence, and for each of K things a shift in x, y, z
    and, with ``rotations=True``, a rotation vector]. They change the draft, which is at first the reference. A
    shift of 1 is 25 cm + half of the way from where the thing was last seen to the reference; a rotation of 1
    is a radian, in the scene's frame. With gate > 0 the draft is then handed in as a guess of all things, and
    the next draft is the reference again; else the step was a thought. So zeros with an open gate answer as
    the analytic rule does.

    With ``think="simulate"`` the numbers are always 2 + 6 K, and a thought simulates: it changes the start in mind,
    for each thing the place and velocity at the first of the five frames next to the asked time (or at that time,
    in the past), by 25 cm and 1 m/s at most; at first they are the analytic rule's. How things move from there by the
    laws of procedural scenes, with mean parameters, is the draft. A guess moves the draft as above, and hands it in.

    ## Observation Space

    A flat Dict; ``observations=`` chooses among the keys; "state" and "all" are all of them. A pose is the
    centre and the first two columns of the rotation (9), or with ``rotations=False`` the centre (3). Slots
    without a thing are 0.

    | key | shape | meaning |
    |---|---|---|
    | tracks | (K, T, 9 + 1) | poses with noise, and 1 where the thing was seen |
    | shapes | (K, 3 + 5) | half extents, m; one of sphere, box, cylinder, capsule, ellipsoid |
    | times | (T,) | s, increasing, the last frame 0, as the clock shows them |
    | query | (1,) | s on that clock, negative for the past |
    | reference | (K, 9) | the analytic rule's answer: rest, line or fall, above the ground |
    | guesses | (k, K, 9) | those handed in; ``guessed`` (k,) says which there are |
    | draft | (K, 9) | the answer in mind |
    | remaining | (2,) | shares of steps and guesses left |
    | start | (K, 6) | with ``think="simulate"``: the start in mind, m and m/s |
    | residuals | (K, T, 3) | with it: shown minus simulated, m; 0 before the first thought and where it does not go |

    ## Rewards

    How much the best credit so far rose, less ``think_cost`` for every step after the first: an episode adds
    up to the best credit of a guess, less its cost. Things are judged that were seen in at least three frames
    and whose path between the frame next to the asked time and that time is above 10 cm; all that were seen,
    where none moved. With d a thing's error in metres, between poses that look the same 0
    (``geometry.bodies.pose_distance``): ``reward="soft"`` (default) is the mean of exp(-d / (0.10 + 0.15
    path)); ``"right"`` the share with d <= max(0.10, 0.15 path); ``"all"`` 1 where all are right; or a callable
    (d (J,), path (J,)) -> float.

    ## Starting State

    A recording of the split, drawn uniformly, and a question: the start of the frames, their stamps, the asked
    time, clock and noise. ``reset(options={"scene": name or index, "question": number})`` asks the same again
    (``info`` has both); ``"start"`` (s of the recording), ``"times"`` ((T,) s from there, in any order) and ``"query"``
    (s on the shown clock) change that of it. Recordings whose file says what is shown show that.
    Later resets without a seed stay in the recording until ``scene_steps`` steps were made there.

    ## Episode End

    When guesses or steps are used up the episode terminates. Success (``is_success``: a guess has at least half
    of the judged things right) ends nothing.

    ## Info

    ``credit``, ``right`` of the best guess, ``first_credit``, ``first_right`` of the first, 0 before it; ``error``, ``first_error``
    (m, the mean of d over judged things; of the draft before the first guess), ``brier_error`` (m, the least error +
    (1 - its share of the confidence)^2), ``energy`` (m, the fair energy score of all guesses), ``guesses``,
    ``thoughts``, ``steps``, ``gain``, ``is_success``, ``object`` (the recording's name), ``question``, ``query`` (s),
    ``backbone`` ("none").

    ## Arguments

    {arguments}

    ## Version History

    - v0: first version.
    """  # noqa: E501

    task_type = Foresight
    task: Foresight


class ForesightVectorEnv(TaskVectorEnv):
    """Many episodes of ``ForesightEnv`` at once."""

    task_type = Foresight
    task: Foresight
