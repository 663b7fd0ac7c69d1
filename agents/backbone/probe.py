"""Are the features worth anything? ``python -m agents.backbone.probe``: from pooled tokens to the true gain
of each of the 64 candidate views, on objects never seen.

States are sets of 1 to 4 views from random cameras of next-best-view's region; gains are log-Chamfer gains by
the measured depth. Every feature is the mean over patches and views, and comes with what the poses alone say:
for each candidate the cosine to the nearest view, and that view's radius, and how many views there are. "In
place" adds the first view's patches, cell by cell. A ridge regression, and three networks of one hidden
layer, are fitted on the train split (their strengths chosen on its last fifth) and judged on the test split:
R^2 over all candidates, and the regret of the argmax as a share of the best candidate's gain; what it costs
the networks to be shown the next object from the same poses; intervals by bootstrap over objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from agents.backbone.data import random_camera
from agents.flags import UserPath, parse_flags
from spatial_envs.backbones.backbone import Backbone
from spatial_envs.backbones.compact import Compact, CompactNet
from spatial_envs.backbones.unproject import Unproject
from spatial_envs.core.features import pool
from spatial_envs.foundation.threads import set_threads
from spatial_envs.geometry.camera import pinhole, turn_about_y, unproject
from spatial_envs.geometry.view import View
from spatial_envs.nbv import NBVDiscreteEnv
from spatial_envs.nbv.task import CANDIDATES

NETWORKS = 3
Fit = Callable[[np.ndarray], np.ndarray]  # from features (S, F) to gains (S, 64)
Feature = Callable[[View], np.ndarray]  # of a set of views


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    objects: int = 128
    """Objects of the train split."""
    states: int = 8
    """States of each."""
    test_objects: int = 64
    """Objects of the test split, at least 2."""
    test_states: int = 4
    """States of each."""
    weights: UserPath | None = None
    """Of the compact backbone; by default those that ship."""
    keep: UserPath | None = None
    """A folder that keeps the gains, which take the time."""
    seed: int = 0
    """Of cameras and fits."""


@dataclass(frozen=True, eq=False)
class States:
    """views: list of View (n, H, W), in the gravity frame; gains (S, 64), NaN-free; objects (S,); foreign:
    the next object from the same poses."""

    views: list[View]
    gains: np.ndarray
    objects: np.ndarray
    foreign: list[View]


def gather(
    split: str, objects: int, states: int, seed: int, keep: Path | None, image_size: int = 112
) -> States:
    """Random states of the split's first objects; their gains, which take the time, may be kept on disk. The
    image size is that of the views alone."""
    env = NBVDiscreteEnv(split=split, num_objects=objects, backbone=None, views=6)
    rng = np.random.default_rng([seed, len(split)])
    names = np.repeat(np.arange(objects), states)
    cameras = [np.stack([random_camera(rng) for _ in range(rng.integers(1, 5))]) for _ in names]
    path = None if keep is None else keep / f"probe-{split}-{objects}-{states}-{seed}.npy"
    if path is not None and path.is_file():
        gains = np.load(path)
    else:
        each = zip(names, cameras, strict=True)
        gains = np.array([_gains(env, k, poses) for k, poses in tqdm(each, f"gains, {split}", len(names))])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, gains)
    meshes = [env.task.objects.load(k) for k in range(objects)]
    size = (image_size, image_size)
    intrinsics = pinhole(env.task.fov, size)

    def seen(shift: int) -> list[View]:
        views = []
        for k, poses in zip(names, cameras, strict=True):
            shown = env.task.renderer.render(meshes[(k + shift) % objects], poses, intrinsics, size)
            views.append(shown.moved(turn_about_y(-np.arctan2(poses[0, 0, 3], poses[0, 2, 3]))))
        return views

    return States(seen(0), gains, names, seen(1))


def _gains(env: NBVDiscreteEnv, index: int, poses: np.ndarray) -> np.ndarray:
    """(64,): of the candidates, after views from these poses (n, 4, 4)."""
    env.reset(seed=0, options={"object": int(index), "views": poses[:1]})
    state = env.get_state()
    env.set_state({**state, "task": {**state["task"], "views": env.render_view(poses)}})
    return env.evaluate(env.task.candidate_poses(env.task.episode(0)))


# ---- features: from a set of views to a vector


def tokens(backbone: Backbone) -> Feature:
    """The mean over patches and views of a backbone's tokens."""

    def pooled(views: View) -> np.ndarray:
        encoding = backbone.encode(views[None], np.ones((1, len(views.depth)), np.bool_))
        return encoding.tokens[0].mean(dim=(0, 1)).cpu().numpy()

    return pooled


def tokens_in_place(backbone: Backbone) -> Feature:
    """The same, and the first view's tokens in the cells of pooling "grid"."""

    def placed(views: View) -> np.ndarray:
        found = backbone.encode(views[None], np.ones((1, len(views.depth)), np.bool_)).tokens
        height, width = (side // backbone.patch for side in views.image_size)
        first = pool(found[:, :1], "grid", (height, width))
        return torch.cat([found[0].mean(dim=(0, 1)), first.flatten()]).cpu().numpy()

    return placed


def pooled_rgb(views: View) -> np.ndarray:
    """(192,): the images at 8 x 8, their mean."""
    height, width = views.image_size
    small = views.rgb.reshape(-1, 8, height // 8, 8, width // 8, 3).mean(axis=(2, 4)) / 255
    return small.mean(axis=0).ravel()


def voxels(views: View) -> np.ndarray:
    """(1728,): which of 12^3 voxels of the cube round the object hold a measured point."""
    grid = np.zeros((12, 12, 12), np.float32)
    for view in (views[k] for k in range(len(views.depth))):
        points = unproject(view.depth, view.intrinsics, view.cam_to_world)[view.depth > 0]
        cells = np.floor((points + 0.5) * 12).astype(int).clip(0, 11)
        grid[tuple(cells.T)] = 1
    return grid.ravel()


def nothing(views: View) -> np.ndarray:
    """(0,): what the poses say is all."""
    return np.zeros(0)


def pose_map(views: View, candidates: np.ndarray) -> np.ndarray:
    """(132,): of each candidate direction (64, 3) the cosine to the nearest view and that view's radius; the
    number of views, one-hot."""
    centres = views.cam_to_world[:, :3, 3].astype(np.float64)
    radii = np.linalg.norm(centres, axis=1)
    cosines = candidates @ (centres / radii[:, None]).T
    return np.concatenate([cosines.max(axis=1), radii[cosines.argmax(axis=1)], np.arange(1, 5) == len(radii)])


# ---- the probes


def fit_ridge(x: np.ndarray, y: np.ndarray, held: np.ndarray) -> Fit:
    """Ridge regression, its strength chosen on the rows ``held``."""

    def solve(rows: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        centre = y[rows].mean(axis=0)
        gram = x[rows].T @ x[rows] + strength * np.eye(x.shape[1])
        return np.linalg.solve(gram, x[rows].T @ (y[rows] - centre)), centre

    def error(strength: float) -> float:
        weights, centre = solve(~held, strength)
        return float(((x[held] @ weights + centre - y[held]) ** 2).mean())

    best = min(10.0 ** np.arange(-1, 6), key=error)
    weights, centre = solve(np.ones(len(x), np.bool_), best)
    return lambda new: new @ weights + centre


def fit_network(x: np.ndarray, y: np.ndarray, held: np.ndarray, seed: int) -> Fit:
    """One hidden layer of 256, AdamW, stopped where the rows ``held`` are predicted best."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(x.shape[1], 256), nn.GELU(), nn.Dropout(0.3), nn.Linear(256, y.shape[1]))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.1)
    inputs, targets = torch.as_tensor(x).float(), torch.as_tensor(y).float()
    train, test = np.flatnonzero(~held), np.flatnonzero(held)
    best, kept = np.inf, {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(60):
        net.train()
        for chunk in torch.as_tensor(train)[torch.randperm(len(train))].split(64):
            loss = ((net(inputs[chunk]) - targets[chunk]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            error = float(((net(inputs[test]) - targets[test]) ** 2).mean())
        if error < best:
            best, kept = error, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    return lambda new: net(torch.as_tensor(new).float()).detach().numpy()


def probe(flags: Flags) -> str:
    """Markdown: one row for each kind of feature."""
    train = gather("train", flags.objects, flags.states, flags.seed, flags.keep)
    test = gather("test", flags.test_objects, flags.test_states, flags.seed, flags.keep)
    compact, random = Compact(flags.weights), Compact(flags.weights)
    torch.manual_seed(flags.seed)
    random.use(CompactNet(compact.sizes))
    kinds: dict[str, Feature] = {
        "pose only": nothing,
        "compact": tokens(compact),
        "compact, in place": tokens_in_place(compact),
        "unproject": tokens(Unproject()),
        "pooled RGB": pooled_rgb,
        "compact, random weights": tokens(random),
        "voxel grid of the cloud": voxels,
    }
    return compared(kinds, train, test, flags.seed)


def compared(kinds: dict[str, Feature], train: States, test: States, seed: int) -> str:
    """The table of these features, of which the first is "pose only"."""
    env = NBVDiscreteEnv(num_objects=1, backbone=None)
    candidates = env.task.region.fibonacci_poses(CANDIDATES)[:, :3, 3] / env.task.region.middle
    objects, others = (len(np.unique(states.objects)) for states in (train, test))
    held = train.objects >= 0.8 * objects
    lines = [
        f"{len(train.views)} states of {objects} objects to fit, {len(test.views)} of {others} others to "
        "judge; each feature beside the poses",
        "",
        "| features | R^2, ridge | R^2, networks | regret, ridge | regret, networks "
        "| R^2 over pose only, networks | regret with another object's features minus own, networks |",
        "|---|---|---|---|---|---|---|",
    ]
    alone: Judged | None = None
    for name, feature in kinds.items():
        x, own, foreign = _standard(
            *(_rows(name, feature, views, candidates) for views in (train.views, test.views, test.foreign))
        )
        networks = [fit_network(x, train.gains, held, seed + k) for k in range(NETWORKS)]
        ridge = _judged([fit_ridge(x, train.gains, held)], own, test.gains)
        network, misled = (_judged(networks, each, test.gains) for each in (own, foreign))
        alone = network if alone is None else alone
        cells = [f"{_r2(each.errors, test.gains):.3f}" for each in (ridge, network)]
        cells += [
            f"{100 * each.regrets.sum() / test.gains.max(axis=1).sum():.1f} %" for each in (ridge, network)
        ]
        cells += [_added(network, alone, test, seed), _lost(misled, network, test, seed)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(name: str, feature: Feature, views: list[View], candidates: np.ndarray) -> np.ndarray:
    """(S, F): the feature of each set of views, and what its poses say of the candidates (64, 3)."""
    shown = tqdm(views, name, leave=False)
    return np.array([np.concatenate([feature(each), pose_map(each, candidates)]) for each in shown])


def _standard(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Features (S, F) in standard deviations of the first ones, clipped, without those that hardly vary."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    varied = std > 0.01 * std.max()  # a voxel that one state fills would weigh as much as all the others
    return [((x - mean) / np.maximum(std, 1e-9))[:, varied].clip(-5, 5) for x in (train, *others)]


class Judged(NamedTuple):
    """Of each state (S,), means over fits: the squared error over the candidates, and what the best one gains
    less the one that is predicted to be best."""

    errors: np.ndarray
    regrets: np.ndarray


def _judged(fits: Sequence[Fit], x: np.ndarray, gains: np.ndarray) -> Judged:
    errors, regrets = np.zeros(len(x)), np.zeros(len(x))
    for fit in fits:
        predicted = fit(x)
        chosen = np.take_along_axis(gains, predicted.argmax(axis=1)[:, None], axis=1)[:, 0]
        errors += ((predicted - gains) ** 2).sum(axis=1) / len(fits)
        regrets += (gains.max(axis=1) - chosen) / len(fits)
    return Judged(errors, regrets)


def _r2(squared: np.ndarray, gains: np.ndarray) -> float:
    return float(1 - squared.sum() / ((gains - gains.mean(axis=0)) ** 2).sum())


def _added(with_it: Judged, alone: Judged, test: States, seed: int) -> str:
    def figure(some: np.ndarray) -> float:
        return _r2(with_it.errors[some], test.gains[some]) - _r2(alone.errors[some], test.gains[some])

    return _interval(figure, test, seed)


def _lost(misled: Judged, own: Judged, test: States, seed: int) -> str:
    return _interval(lambda some: float((misled.regrets - own.regrets)[some].mean()), test, seed)


def _interval(figure: Callable[[np.ndarray], float], test: States, seed: int) -> str:
    """A figure of the states with these numbers, and its 95 % interval by bootstrap over objects."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(test.objects == o) for o in np.unique(test.objects)]
    drawn = [np.concatenate([rows[k] for k in rng.integers(len(rows), size=len(rows))]) for _ in range(1000)]
    low, high = np.quantile([figure(d) for d in drawn], [0.025, 0.975])
    return f"{figure(np.arange(len(test.objects))):+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    set_threads()
    print(probe(parse_flags(Flags, __doc__, "python -m agents.backbone.probe")))
