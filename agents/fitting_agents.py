"""Agents for prototype fitting, by Stable-Baselines3:

    python -m agents.fitting_agents --algo bc_ppo --out runs/fit_bc_ppo --steps 100000

    ppo, sac   from nothing
    bc_ppo     first behaviour cloning of the least-squares optimiser: at every step the action that takes the
               slot towards the superquadric which least squares gives its group of points; then PPO

One policy serves every slot: it sees the rows of the slot whose turn it is, and the mean over the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
import tyro
import yaml
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecMonitor
from torch import nn
from tqdm import tqdm

import spatial_envs
from agents.sb3_vec_env import SB3VecEnv
from spatial_envs.arguments import check_choice
from spatial_envs.fitting_scores import Fit
from spatial_envs.prototypes.superquadric import fit_superquadric
from spatial_envs.scene_fit import SceneFit, SceneFitEnv
from spatial_envs.slot_state import SlotState, action_to

gym.register_envs(spatial_envs)

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "bc_ppo": PPO, "sac": SAC}
SEEN = ["slots", "residuals", "turn", "remaining"]
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "ppo": {
        "n_steps": 256, "batch_size": 512, "n_epochs": 5, "gamma": 0.95, "learning_rate": 3e-4,
        "ent_coef": 0.0, "clip_range": 0.2,
    },
    "sac": {"batch_size": 256, "gamma": 0.95, "learning_rate": 3e-4, "train_freq": 4, "gradient_steps": 4},
}  # fmt: skip
LOG_STD = -1.0  # of PPO's actions at first
SHARPNESS = 10.0  # of the logits that a superquadric's proportions ask for


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    algo: str = "bc_ppo"
    """ppo, sac or bc_ppo."""
    out: Path = Path("runs/fitting")
    """The run folder."""
    steps: int = 100_000
    """Environment steps of reinforcement learning."""
    teacher_episodes: int = 200
    """Episodes of the teacher that behaviour cloning sees."""
    num_envs: int = 8
    """Episodes at once."""
    start: str = "kmeans"
    """Where episodes begin: kmeans, random or encoder."""
    passes: int = 3
    """Steps for each slot in an episode."""
    slots: int = 6
    """Slots, and objects in every scene."""
    prototypes: Path | None = None
    """Weights of an encoder and its bank; by default those that ship."""
    seed: int = 0
    """Of everything."""


class ActiveSlot(BaseFeaturesExtractor):
    """The rows of the slot whose turn it is, the mean rows of the others, and the steps left."""

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        widths = [cast(gym.spaces.Box, observation_space[key]).shape[1] for key in ("slots", "residuals")]
        super().__init__(observation_space, 2 * sum(widths) + 1)

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 2 (S + 13) + 1)."""
        rows = torch.cat([observations["slots"], observations["residuals"]], dim=-1)
        turn = observations["turn"].to(rows.dtype)[..., None]
        own = (turn * rows).sum(dim=1)
        others = ((1 - turn) * rows).sum(dim=1) / max(rows.shape[1] - 1, 1)
        return torch.cat([own, others, observations["remaining"]], dim=-1)


def env_kwargs(flags: Flags) -> dict[str, Any]:
    """Arguments of the environment that a run is trained in."""
    return {
        "num_objects": flags.slots, "slots": flags.slots, "steps": flags.passes * flags.slots,
        "start": flags.start, "backbone": None, "observations": SEEN, "points": 256,
        "prototypes": None if flags.prototypes is None else str(flags.prototypes),
    }  # fmt: skip


def train(flags: Flags) -> Path:
    """Train to the end and return the run folder."""
    check_choice("algo", flags.algo, tuple(ALGORITHMS))
    folder = flags.out
    if (folder / "config.yaml").exists():
        raise ValueError(f"out: {folder} already holds a run; choose another")
    folder.mkdir(parents=True, exist_ok=True)
    kwargs = env_kwargs(flags)
    config = {**asdict(flags), "out": str(folder), "prototypes": kwargs["prototypes"], "env_kwargs": kwargs}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    torch.set_num_threads(1)
    envs = gym.make_vec(
        "SceneFit-Prototype-v0", flags.num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs
    )
    adapted = SB3VecEnv(envs)
    adapted.seed(flags.seed)
    policy_kwargs: dict[str, Any] = {"features_extractor_class": ActiveSlot, "net_arch": [256, 256]}
    if ALGORITHMS[flags.algo] is PPO:
        policy_kwargs["log_std_init"] = LOG_STD
    model = ALGORITHMS[flags.algo](
        "MultiInputPolicy", VecMonitor(adapted), policy_kwargs=policy_kwargs, seed=flags.seed, device="cpu",
        **HYPERPARAMETERS[flags.algo.removeprefix("bc_")],
    )  # fmt: skip
    model.set_logger(configure(str(folder), ["csv"]))
    if flags.algo == "bc_ppo":
        clone(cast(PPO, model), flags)
        model.save(folder / "cloned.zip")
    every = CheckpointCallback(max(1, 20_000 // flags.num_envs), str(folder), "model")
    model.learn(flags.steps, callback=every)
    model.save(folder / "model.zip")
    return folder


def clone(model: PPO, flags: Flags) -> None:
    """Let the policy's mean be what the teacher does, by least squares over its episodes; every second step
    of these is the policy's kind of mistake, so that the teacher shows the way back."""
    env = SceneFitEnv(**env_kwargs(flags))
    rng = np.random.default_rng(flags.seed)
    rows: dict[str, list[np.ndarray]] = {key: [] for key in SEEN}
    actions = []
    for episode in tqdm(range(flags.teacher_episodes), "teacher"):
        observation, _ = env.reset(seed=flags.seed + episode)
        wanted = superquadric_slots(env.task, env.task.episode(0).state)
        over = False
        while not over:
            now = env.task.episode(0)
            k = now.steps % flags.slots
            action = action_to(now.state.slots[k], wanted[k], now.state.target.unit)
            for key in SEEN:
                rows[key].append(observation[key])
            actions.append(action)
            done = action if rng.random() < 0.5 else action + rng.normal(0, 0.3, action.shape)
            observation, _, over, _, _ = env.step(done)
    seen = {key: torch.as_tensor(np.stack(values)) for key, values in rows.items()}
    goal = torch.as_tensor(np.stack(actions)).float()
    optimiser = torch.optim.Adam(model.policy.parameters(), 1e-3)
    steps = 30 * len(goal) // 256
    for step in tqdm(range(steps), "cloning"):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps)
        chosen = torch.as_tensor(rng.integers(len(goal), size=256))
        said = model.policy.get_distribution({key: value[chosen] for key, value in seen.items()})
        loss = nn.functional.mse_loss(cast(Any, said.distribution).mean, goal[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def superquadric_slots(task: SceneFit, state: SlotState) -> np.ndarray:
    """(K, 7 + P + 1): for each slot the superquadric that least squares gives the points nearest to it, as
    a slot: its largest half axis as the scale, prototypes of like proportions. A slot without points
    stays."""
    extents = task.model[0].bank.extents().detach().numpy()
    wanted = state.slots.copy()
    owner = state.squared.argmin(axis=0)
    for k in np.unique(owner):
        found = fit_superquadric(state.points[owner == k])
        axes = np.exp(found[:3])
        wanted[k, 0] = axes.max()
        wanted[k, 1:4], wanted[k, 4:7] = found[8:], found[5:8]
        wanted[k, 7:-1] = -SHARPNESS * ((axes / axes.max() - extents) ** 2).sum(axis=1)
        wanted[k, -1] = wanted[k, 7:-1].max() - 3
        wanted[k, 7:] -= wanted[k, 7:].mean()
    return wanted


def player(folder: Path, **arguments: Any) -> Callable[[int], Fit]:
    """What the run's policy, without noise, makes of a frame, given its index; of its environment some
    arguments are changed, and the steps follow the number of slots."""
    run = yaml.safe_load((folder / "config.yaml").read_text())
    model = ALGORITHMS[run["algo"]].load(folder / "model.zip", device="cpu")
    kwargs = {**run["env_kwargs"], **arguments}
    env = SceneFitEnv(**{**kwargs, "steps": run["passes"] * kwargs["slots"]})

    def play(frame: int) -> Fit:
        observation, _ = env.reset(seed=frame, options={"frame": frame})
        over = False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, over, _, _ = env.step(action)
        return env.task.episode(0).state.fit()

    return play


if __name__ == "__main__":
    print(train(tyro.cli(Flags)))
