"""A fixed first photo trains, a random one does not: which switch is it? ``python -m
agents.studies.open_problem``.

Every variant is a command line of ``train_agent.py``. What is in the folder ``out`` already is not run again;
the table and the figure are made of what is there.
"""

from __future__ import annotations

import csv
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from agents.comparison.scores import evaluate
from agents.curves import pyplot
from agents.flags import UserPath, parse_flags
from agents.nbv.family import NEXT_BEST_VIEW as KIND
from agents.play import FIRST_SEED
from agents.runs import single_env, training_envs, untrained
from agents.statistics import interval
from agents.training import config as training
from spatial_envs.foundation.threads import set_threads
from spatial_envs.nbv import NBVEnv

PLAN = "--algo differentiable --config configs/research_plan.yml --set start=random "
FIXED = "--algo differentiable --config configs/research_plan.yml --set start=fixed "
ALL = "--algo differentiable --set start=random "
PICTURE = "renderer=pytorch3d --hyper detach=False"
SHELL = "action=shell anchor=farthest "
SMALL = "'policy_kwargs={unit: 0.05}' "
VARIANTS = {
    "plan, fixed start": FIXED,
    "plan, random start": PLAN,
    "bounds passed": PLAN + "--hyper through=True",
    "fixed, bounds passed": FIXED + "--hyper through=True",
    "shell about the first view": PLAN + "action=shell",
    "shell about the first view, small output": PLAN + "action=shell --hyper " + SMALL,
    "zero pose": PLAN + SHELL,
    "zero pose, small output": PLAN + SHELL + "--hyper " + SMALL,
    "frame and poses": PLAN + "frame=gravity observations=[features,poses,view_mask]",
    "loss": PLAN + "--hyper loss=log",
    "weight": PLAN + "--hyper weight=85",
    "clip": PLAN + "--hyper max_grad_norm=1.0",
    "slow": PLAN + "--hyper learning_rate=0.00001",
    "small output": PLAN + "--hyper " + SMALL,
    "picture included, fixed start": FIXED + PICTURE,
    "picture included, random start": PLAN + PICTURE,
    "differentiable.yml": ALL,
    "differentiable.yml, score": ALL + "--hyper estimator=score",
    "differentiable.yml, faster": ALL + "--hyper learning_rate=lin_0.003",
    "differentiable.yml, faster, score": ALL + "--hyper learning_rate=lin_0.003 estimator=score",
    "sac": "--algo sac --set start=random --timesteps 7200",
}
SHOWN = {
    "plan, fixed start": "tab:blue",
    "plan, random start": "tab:red",
    "zero pose, small output": "tab:orange",
    "differentiable.yml, faster, score": "tab:green",
}  # of which the curves are drawn
FRAMES = {  # in which a constant action is sought
    "world frame, position": {"frame": "world", "action": "position"},
    "first view's frame, position": {"frame": "first_view", "action": "position"},
    "gravity frame, position": {"frame": "gravity", "action": "position"},
    "gravity frame, about the farthest": {"frame": "gravity", "action": "shell"},
}
CONSTANTS = 128  # actions, drawn uniformly
BASELINES = ("random", "zero-action", "farthest-inner", "oracle")


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    variants: tuple[str, ...] = tuple(name for name in VARIANTS if "picture" not in name)
    """Which of them to run; those with the picture included need PyTorch3D."""
    seeds: int = 5
    """How many runs of each."""
    scenes: str = "../shared/meshes/spot/spot.obj"
    """As for train_agent.py."""
    timesteps: int = 800
    """Environment steps of a run."""
    every: int = 160
    """Environment steps between evaluations."""
    starts: int = 32
    """Of the last evaluation; those on the way have half of them."""
    image_size: int = 56
    """Pixels."""
    out: UserPath = Path("runs/open_problem")
    """The folder."""


class Curve(BaseCallback):
    """The mean gain on the same starts every so many calls."""

    def __init__(self, env: NBVEnv, every: int, starts: int) -> None:
        super().__init__()
        self.env, self.every, self.starts = env, every, starts
        self.points: list[tuple[int, float]] = []

    def _note(self) -> None:
        scores = evaluate(KIND, self.env, self.model, self.starts)
        self.points.append((self.num_timesteps, float(scores.at_end("gains").mean())))

    def _on_training_start(self) -> None:
        self._note()

    def _on_step(self) -> bool:
        if self.n_calls % self.every == 0:
            self._note()
        return True


def arguments(flags: Flags, variant: str) -> training.Flags:
    """What ``train_agent.py`` is told, all but the seed."""
    given = tyro.cli(training.Flags, args=shlex.split(VARIANTS[variant]))
    return replace(
        given, backbone="compact", scenes=flags.scenes, timesteps=given.timesteps or flags.timesteps,
        set=(*given.set, "views=2", f"image_size={flags.image_size}"), eval_every=flags.every,
        validation_starts=flags.starts // 2, final_starts=0,
    )  # fmt: skip


def command(flags: Flags, variant: str) -> str:
    """The command line of one run, seed 0."""
    given, plain = arguments(flags, variant), training.Flags()
    words = ["python", "train_agent.py"]
    for field in fields(given):
        value = getattr(given, field.name)
        if value != getattr(plain, field.name):
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + field.name.replace("_", "-"), *(shlex.quote(str(each)) for each in values)]
    return " ".join(words)


def train(flags: Flags, variant: str, seed: int, folder: Path) -> None:
    """One run: its curve and its gradient norms, and its gains before and after on all starts."""
    run = training.resolve(replace(arguments(flags, variant), seed=seed))
    env = single_env(run, split="validation", num_objects=None)
    one = run["env_kwargs"]["start"] == "fixed" and len(env.task.objects) == 1  # then all starts are one
    starts = 1 if one else flags.starts
    model = untrained(run, training_envs(run))
    model.set_logger(configure(str(folder), ["csv"]))
    before = evaluate(KIND, env, model, starts).at_end("gains")[0]
    curve = Curve(env, flags.every // run["num_envs"], max(1, starts // 2))
    model.learn(run["timesteps"], curve)
    after = evaluate(KIND, env, model, starts)
    kept = {
        "curve": curve.points,
        "before": before,
        "after": after.at_end("gains")[0],
        "objects": after.scenes,
    }
    np.savez(folder / "scores.npz", **kept)


def play(flags: Flags, start: str, path: Path) -> None:
    """The baselines on the same starts, in the action space of the default."""
    env = NBVEnv(
        scenes=flags.scenes, split="validation", backbone="compact", views=2, image_size=flags.image_size,
        start=start, observations=["poses"],
    )  # fmt: skip
    policies = KIND.policies(env, BASELINES)
    gains = {}
    for name, policy in policies.items():
        starts = 1 if start == "fixed" and name != "random" else flags.starts
        gains[name] = evaluate(KIND, env, policy, starts, progress=name).at_end("gains")[0]
    np.savez(path, **gains)


def constants(flags: Flags) -> dict[str, np.ndarray]:
    """(starts,) gains from random starts of the best constant action of each frame: the best of even starts
    plays the odd ones, and the other way round."""
    actions = np.random.default_rng(0).uniform(-1, 1, (CONSTANTS, 3))
    found = {}
    for name, kwargs in FRAMES.items():
        env = NBVEnv(
            scenes=flags.scenes, split="validation", backbone="compact", views=2,
            image_size=flags.image_size, observations=["poses"], **kwargs,
        )  # fmt: skip
        gains = np.empty((flags.starts, CONSTANTS))
        for start in range(flags.starts):
            env.reset(seed=FIRST_SEED + start)
            gains[start] = env.evaluate(env.poses_from_actions(actions))
        best = [gains[1 - half :: 2].mean(axis=0).argmax() for half in (0, 1)]  # of the other half
        found[name] = np.array([gains[start, best[start % 2]] for start in range(flags.starts)])
    return found


def gradient_norms(path: Path) -> np.ndarray:
    """(updates,) of a run's progress.csv, NaN where there is none; ValueError that begins with the path."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            return np.array([float(row.get("train/gradient_norm") or "nan") for row in csv.DictReader(file)])
        except (csv.Error, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected numbers as train/gradient_norm: {error}") from None


class Results:
    """What is in the folder."""

    def __init__(self, flags: Flags) -> None:
        self.gains: dict[str, dict[str, np.ndarray]] = {}  # of the baselines, by start and name, (starts,)
        for start in ("fixed", "random"):
            with np.load(flags.out / f"baselines-{start}.npz") as file:
                self.gains[start] = dict(file)
        with np.load(flags.out / "constants.npz") as file:
            self.gains["random"] |= {f"best constant, {name}": values for name, values in file.items()}
        self.runs: dict[str, list[dict[str, np.ndarray]]] = {}  # by variant
        for variant in VARIANTS:
            for path in sorted(flags.out.glob(f"{_stem(variant)}-[0-9]*/scores.npz")):
                with np.load(path) as file:
                    norms = gradient_norms(path.parent / "progress.csv")
                    self.runs.setdefault(variant, []).append({**file, "norms": norms})

    def share(self, variant: str, gain: Any, starts: int | None = None) -> Any:
        """Where gains stand between the random policy's, 0, and the oracle's, 1, on the variant's starts, or
        the first so many of them."""
        gains = self.gains[_start(variant)]
        low, high = gains["random"].mean(), gains["oracle"][:starts].mean()
        return (gain - low) / (high - low)

    def table(self) -> str:
        """Markdown: a row for each variant that has runs, then the baselines."""
        lines = [
            "| variant | seeds | untrained | trained | trained, share of the oracle's | minus zero action "
            "| gradient norm | without gradient |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for variant, runs in self.runs.items():
            before, after = (np.stack([run[name] for run in runs]) for name in ("before", "after"))
            zero = self.gains[_start(variant)]["zero-action"]
            mean, low, high = interval(after - zero, runs[0]["objects"])
            ends, norms = after.mean(axis=1), np.concatenate([run["norms"] for run in runs])
            silent = np.mean([run["norms"][-1] == 0 for run in runs])
            cells = [
                variant, str(len(runs)), f"{before.mean():.3f}",
                f"{ends.mean():.3f} ({ends.min():.3f} to {ends.max():.3f})",
                f"{self.share(variant, ends.mean()):.2f}", f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
                "" if np.isnan(norms).all() else f"{np.nanmedian(norms):.3g}, at most {np.nanmax(norms):.3g}",
                "" if np.isnan(norms).all() else f"{silent:.0%}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
        for start, gains in self.gains.items():
            for name, values in gains.items():
                share = (values.mean() - gains["random"].mean()) / (
                    gains["oracle"].mean() - gains["random"].mean()
                )
                lines.append(f"| {name}, {start} start | | | {values.mean():.3f} | {share:.2f} | | | |")
        return "\n".join(lines)

    def draw(self, path: Path) -> None:
        """Curves and gradient norms of the variants ``SHOWN``, each seed and the median; the ends of all."""
        figure, (left, middle, right) = pyplot().subplots(
            1, 3, figsize=(15, 5), width_ratios=(1.1, 1, 1.2), constrained_layout=True
        )
        for variant, colour in SHOWN.items():
            if not (runs := self.runs.get(variant)):
                continue
            curves = np.stack([run["curve"] for run in runs])  # (seeds, points, 2)
            steps = curves[0, :, 0]
            half = len(runs[0]["after"]) // 2 or 1
            _lines(left, steps, self.share(variant, curves[..., 1], half), colour, variant)
            norms = np.stack([run["norms"] for run in runs])
            _lines(middle, np.linspace(0, steps[-1], norms.shape[1]), norms, colour, variant)
        zero = self.share("random", self.gains["random"]["zero-action"].mean())
        for name, level, style in (("oracle", 1, "--"), ("zero\naction", zero, ":")):
            left.axhline(level, color="0.4", linestyle=style, linewidth=1)
            place, edge = (1, level), ("axes fraction", "data")
            left.annotate(name, place, (4, 0), edge, "offset points", color="0.4", va="center")
        left.set_ylabel("gain: share of the oracle's over the random policy's")
        left.legend(frameon=False, loc="lower right")
        middle.set_yscale("symlog", linthresh=1e-2)
        middle.set_ylabel("gradient norm, mean of 10 steps of the optimiser")
        for axes in (left, middle):
            axes.set_xlabel("environment steps")
        for row, (variant, runs) in enumerate(reversed(self.runs.items())):
            ends, begins = (
                self.share(variant, np.array([run[name].mean() for run in runs]))
                for name in ("after", "before")
            )
            colour = SHOWN.get(variant, "0.35")
            right.plot(begins, [row] * len(begins), "|", color="0.6", markersize=9)
            right.plot(ends, [row] * len(ends), "o", color=colour, markersize=5, alpha=0.75)
        right.set_yticks(range(len(self.runs)), [*reversed(self.runs)])
        right.axvline(1, color="0.4", linestyle="--", linewidth=1)
        right.axvline(zero, color="0.4", linestyle=":", linewidth=1)
        right.set_xlabel("gain at the end, each seed (bars: untrained)")
        for axes in (left, middle, right):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=130)
        pyplot().close(figure)


def _stem(variant: str) -> str:
    return variant.replace(" ", "_").replace(",", "")


def _start(variant: str) -> str:
    return "fixed" if "start=fixed" in VARIANTS.get(variant, "") else "random"


def _lines(axes, steps: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    """Values (seeds, points), and their median."""
    axes.plot(steps, values.T, color=colour, linewidth=1.1, alpha=0.55)
    axes.plot(steps, np.median(values, axis=0), color=colour, linewidth=2.6, label=label)


def main(flags: Flags) -> None:
    """Run what is not there yet."""
    flags.out.mkdir(parents=True, exist_ok=True)
    for seed in range(flags.seeds):
        for variant in flags.variants:
            folder = flags.out / f"{_stem(variant)}-{seed}"
            if not folder.exists():
                train(flags, variant, seed, folder)
                scores = np.load(folder / "scores.npz")
                print(
                    variant, seed, scores["curve"][:, 1].round(2), scores["after"].mean().round(3), flush=True
                )
    for start in ("fixed", "random"):
        if not (path := flags.out / f"baselines-{start}.npz").exists():
            play(flags, start, path)
    if not (path := flags.out / "constants.npz").exists():
        np.savez(path, **constants(flags))  # type: ignore[arg-type]
    results = Results(flags)
    commands = [f"# {variant}\n{command(flags, variant)}" for variant in results.runs]
    page = [results.table(), "", "```bash", *commands, "```", ""]
    (flags.out / "table.md").write_text("\n".join(page), encoding="utf-8")
    results.draw(flags.out / "open_problem.png")


if __name__ == "__main__":
    set_threads()
    main(parse_flags(Flags, __doc__, "python -m agents.studies.open_problem"))
