"""Whose fault is the regret? ``python -m agents.studies.audit [--run folder | --policy farthest]``.

In states that the policy itself reaches on the test split, each of the 64 candidate views is rendered, and
its gain found twice: by the backbone's reconstruction, which is the reward, and by the measured depth of the
same views (the ``unproject`` twin), which is the truth. With p the policy's view, b the best by the backbone
and t the best in truth, the regret g(t) - g(p) is the planner's g(b) - g(p) and the reconstructor's g(t) -
g(b). Signal is the standard deviation over candidates of the true gain, noise that of the difference of the
two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.flags import UserPath, parse_flags
from agents.nbv.baselines import BASELINES
from agents.run_folder import load
from agents.runs import single_env
from spatial_envs.foundation.threads import set_threads


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    policy: str = "farthest"
    """A baseline; not read with --run."""
    run: UserPath | None = None
    """A run folder, whose agent and environment are taken."""
    trust: bool = False
    """Read a run that no training of yours on this computer wrote, too: see evaluate_agent.py --help."""
    backbone: str = "compact"
    """Whose reconstruction is judged; not read with --run."""
    episodes: int = 32
    """Starts on the test split, one object each."""


def audit(flags: Flags) -> str:
    """Markdown: a row for each added view."""
    policy: Any = None
    run: dict[str, Any] = {"env": "NBV-MapAnything-v0", "env_kwargs": {"backbone": flags.backbone}}
    if flags.run is not None:
        run, policy = load(flags.run, trust=flags.trust)
    env = single_env(run, split="test", num_objects=None, reconstruction="backbone")
    depth: dict[str, Any] = {"backbone": None, "reconstruction": "depth", "observations": ["poses"]}
    twin = single_env(run, split="test", num_objects=None, **depth)
    twin.reset(seed=0)
    if flags.run is None:
        policy = BASELINES[flags.policy](env)
    rows: dict[int, list[tuple[float, ...]]] = {}
    for start in tqdm(range(flags.episodes)):
        observation, _ = env.reset(seed=start, options={"object": start % len(env.task.objects)})
        over = False
        while not over:
            episode = env.task.episode(0)
            twin.set_state(env.get_state())
            action = policy.predict(observation, deterministic=True)[0]
            chosen = env.poses_from_actions(np.asarray(action)[None])
            poses = np.concatenate([env.task.candidate_poses(episode), chosen])
            true, seen = twin.evaluate(poses), env.evaluate(poses)
            best = true.max()
            by_backbone = true[int(np.argmax(seen))]
            rows.setdefault(len(episode.views), []).append(
                (best, best - by_backbone, by_backbone - true[64], true[:64].std(), (seen - true)[:64].std())
            )
            observation, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
    lines = [
        f"{flags.episodes} starts of {env.task.objects.label}, backbone {env.task.backbone_name}; gains of "
        "log-Chamfer",
        "",
        "| added view | best gain | regret, the reconstructor's | regret, the planner's | signal | noise "
        "| signal to noise |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, found in sorted(rows.items()):
        figures = np.mean(found, axis=0)
        cells = [f"{figure:.3f}" for figure in figures]
        ratio = f"{figures[3] / figures[4]:.1f}" if figures[4] > 0 else "infinite"
        lines.append(f"| {count} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    set_threads()
    print(audit(parse_flags(Flags, __doc__, "python -m agents.studies.audit")))
