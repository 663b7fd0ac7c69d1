"""A warm start: behaviour cloning of an expert, by DAgger (Ross, Gordon, Bagnell 2011).

In each round the episodes are played by a mixture of the expert and the policy, only the expert at first;
what the expert would do is recorded for every state, and the policy learns all that was recorded so far,
each state as it was or, where the family knows one, in the mirror. At the end the policy plays alone, and
its value head is fitted to the discounted normalised rewards that follow, with all else held, so that the
first updates of PPO do not undo what was learned.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from agents.families import Family
from agents.hyperparameters import Lessons
from agents.sb3.vec_env import SB3VecEnv
from spatial_envs.core.vector_env import TaskVectorEnv

ALONE, LEAST = 0.5, 0.2  # the expert's share falls by this factor from round to round, down to this: what
# is stuck in a corner would fill the record with that corner
MEMORY = 2 * 2**30  # bytes of recorded observations; beyond, an even sample of them is kept
COLUMNS = ("round", "steps", "expert_share", "agreement", "loss", "episodes", "success", "spl")


class Record:
    """States and what the expert did there."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.seen = capacity, 0
        self.columns: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, rows: dict[str, np.ndarray], generator: np.random.Generator) -> None:
        """Rows (N, ...) by name."""
        if not self.columns:
            sizes = {name: value.nbytes // len(value) for name, value in rows.items()}
            self.capacity = max(min(self.capacity, MEMORY // sum(sizes.values())), 1)
            self.columns = {
                name: np.empty((self.capacity, *value.shape[1:]), value.dtype) for name, value in rows.items()
            }
        for row in range(len(next(iter(rows.values())))):
            place = self.seen if self.seen < self.capacity else int(generator.integers(self.seen + 1))
            self.seen += 1
            if place < self.capacity:
                for name, value in rows.items():
                    self.columns[name][place] = value[row]


class WarmStart:
    """Teaches a model of Stable-Baselines3's that has an actor and a critic."""

    def __init__(self, model: OnPolicyAlgorithm, lessons: Lessons, kind: Family, seed: int = 0) -> None:
        self.model, self.lessons, self.kind, self.policy = model, lessons, kind, model.policy
        envs = model.get_env()
        assert isinstance(envs, VecNormalize)
        self.envs = envs
        adapter = envs.unwrapped
        assert isinstance(adapter, SB3VecEnv)
        batched = adapter.envs.unwrapped
        assert isinstance(batched, TaskVectorEnv)
        self.task = batched.task
        self.experts = [
            kind.experts[lessons.expert](batched, seed=seed + row, row=row) for row in range(envs.num_envs)
        ]
        self.generator = np.random.default_rng(seed)
        self.record = Record(lessons.steps)
        own = [value for name, value in self.policy.named_parameters() if name != "log_std"]
        self.adam = torch.optim.Adam(own, lessons.learning_rate)
        self.last: Any = None  # the latest observations

    def run(self, folder: Path | None = None, progress: bool = True) -> list[dict[str, Any]]:
        """All rounds and the value head; the figures of each round, which go to warm_start.csv too."""
        lessons, table = self.lessons, []
        self.last = self.envs.reset()
        each = max(lessons.steps // lessons.rounds // self.envs.num_envs, 1)
        bar = tqdm(total=lessons.all_steps, desc="warm start", leave=False, disable=not progress)
        for k in range(lessons.rounds):
            share = max(ALONE**k, LEAST)
            found = self._walk(each, share, bar.update)
            loss = self._learn()
            row = (
                k,
                (k + 1) * each * self.envs.num_envs,
                share,
                found["agreement"],
                loss,
                *found["episodes"],
            )
            table.append(dict(zip(COLUMNS, row, strict=True)))
            bar.set_postfix({key: f"{table[-1][key]:.2f}" for key in ("agreement", "success")})
            if folder is not None:
                _write(folder / "warm_start.csv", table)
        self._judge(bar.update)
        bar.close()
        self.model.num_timesteps = lessons.all_steps
        return table

    def _walk(self, steps: int, share: float, tick: Callable[[int], Any]) -> dict[str, Any]:
        """Play and record."""
        agreed, ended = [], []
        for _ in range(steps):
            labels = np.stack([expert.action() for expert in self.experts])
            observation, _ = self.policy.obs_to_tensor(self.last)
            with torch.no_grad():
                distribution = self.policy.get_distribution(observation)
                drawn = distribution.get_actions().cpu().numpy()
                agreed.append(self._same(distribution.mode().cpu().numpy(), labels))
            by_expert = self.generator.random(len(labels)) < share
            if self.kind.stops is not None:  # else the episodes would be short
                by_expert |= self.kind.stops(self.task, drawn) & ~self.kind.stops(self.task, labels)
            actions = np.where(by_expert.reshape(-1, *[1] * (labels.ndim - 1)), labels, drawn)
            self.record.add({**self.last, "expert's": labels}, self.generator)
            self.last, _, _, infos = self.envs.step(self._clipped(actions))
            ended += [info for info in infos if "episode" in info]
            tick(self.envs.num_envs)
        figures = [np.mean([info[key] for info in ended]) if ended else np.nan for key in ("is_success",)]
        spl = [info["spl"] for info in ended if "spl" in info]
        return {
            "agreement": float(np.mean(agreed)),
            "episodes": (len(ended), *figures, float(np.mean(spl)) if spl else np.nan),
        }

    def _same(self, modes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(N,) bool: whether the likeliest actions are the expert's; of a Box to within 0.5."""
        if labels.ndim == 1:
            return modes == labels
        return (np.abs(np.clip(modes, -1, 1) - labels) < 0.5).all(axis=1)

    def _clipped(self, actions: np.ndarray) -> np.ndarray:
        space = self.envs.action_space
        return np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions

    def _learn(self) -> float:
        """Epochs over the record; the mean cross-entropy of the last one."""
        lessons, columns = self.lessons, self.record.columns
        losses: list[float] = []
        self.policy.set_training_mode(True)
        for _ in range(lessons.epochs):
            losses = []
            order = self.generator.permutation(len(self.record))
            for k in range(0, len(order), lessons.batch_size):
                rows = np.sort(order[k : k + lessons.batch_size])
                batch = {name: self._tensor(value[rows]) for name, value in columns.items()}
                labels = batch.pop("expert's")
                if self.kind.mirror is not None:
                    self.kind.mirror(batch, labels, torch.as_tensor(self.generator.random(len(rows)) < 0.5))
                _, likelihood, _ = self.policy.evaluate_actions(batch, labels)
                loss = -likelihood.mean()
                self.adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
                self.adam.step()
                losses.append(float(loss.detach()))
        self.policy.set_training_mode(False)
        return float(np.mean(losses))

    def _judge(self, tick: Callable[[int], Any]) -> None:
        """Fit the value head to what the policy earns alone, with the rest of the network held."""
        policy, gamma, count = self.policy, self.model.gamma, self.envs.num_envs
        steps = max(self.lessons.value_steps // count, 1)
        latents, after, rewards, ends = [], [], np.empty((steps, count)), np.empty((steps, count), np.bool_)
        for k in range(steps):
            observation, _ = policy.obs_to_tensor(self.last)
            with torch.no_grad():
                latents.append(self._latent(observation))
                actions = policy.get_distribution(observation).get_actions().cpu().numpy()
            self.last, _, ends[k], infos = self.envs.step(self._clipped(actions))
            rewards[k] = self.envs.get_original_reward()
            for row in np.flatnonzero(ends[k]):
                if infos[row]["TimeLimit.truncated"]:
                    final, _ = policy.obs_to_tensor(infos[row]["terminal_observation"])
                    with torch.no_grad():
                        after.append((k, row, self._latent(final)))
            tick(count)
        with torch.no_grad():
            beyond = self._latent(policy.obs_to_tensor(self.last)[0])
        rewards = self.envs.normalize_reward(rewards)
        critic = [*policy.mlp_extractor.value_net.parameters(), *policy.value_net.parameters()]
        adam = torch.optim.Adam(critic, self.lessons.learning_rate)
        inputs = torch.cat(latents)
        for _ in range(3):  # what lies beyond an episode's last step is itself estimated
            targets = self._returns(rewards, ends, after, beyond, gamma)
            for _ in range(10):
                for rows in torch.randperm(len(inputs)).split(self.lessons.batch_size):
                    loss = (self._value(inputs[rows]) - targets[rows]).square().mean()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()

    def _latent(self, observation) -> torch.Tensor:
        """What the critic is given."""
        features = self.policy.extract_features(observation)
        return features if isinstance(features, torch.Tensor) else features[1]

    def _value(self, latent: torch.Tensor) -> torch.Tensor:
        return self.policy.value_net(self.policy.mlp_extractor.forward_critic(latent)).flatten()

    def _returns(self, rewards, ends, after, beyond, gamma: float) -> torch.Tensor:
        """(steps * N,) float32: discounted sums of rewards (steps, N), with the critic's estimate at the last
        step of all, and ``after`` (step, row, latent) the last of an episode that ran out of time."""
        with torch.no_grad():
            running = self._value(beyond).cpu().numpy().astype(np.float64)
            left = {(k, row): float(self._value(latent)) for k, row, latent in after}
        returns = np.empty_like(rewards)
        for k in reversed(range(len(rewards))):
            for row in np.flatnonzero(ends[k]):
                running[row] = left.get((k, row), 0.0)
            running = returns[k] = rewards[k] + gamma * running
        return torch.as_tensor(returns.ravel(), dtype=torch.float32, device=self.model.device)

    def _tensor(self, value: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(value, device=self.model.device)


def _write(path: Path, table: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
