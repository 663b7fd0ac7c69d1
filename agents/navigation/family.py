"""The families of navigation: walking to goals, and exploration."""

from __future__ import annotations

from typing import Any

from agents.families import Family, short_id
from agents.navigation.baselines import NAVIGATION_BASELINES, senseless
from agents.navigation.evaluation import COLUMNS, EARLY, FORMULAS, score, walk
from agents.navigation.frontiers import NewPoints
from agents.navigation.imitation import mirror, stops
from agents.navigation.planners import Planner
from agents.navigation.policy import NavigationFeatures
from agents.runs import own_rows
from spatial_envs.scenes.buildings import open_buildings

BASELINES = {**NAVIGATION_BASELINES, "new-points": NewPoints}


def _arguments(own: dict[str, Any] | None, changes: dict[str, Any], agent: bool) -> dict[str, Any]:
    """Baselines look for themselves: without one's own agent there are no observations that cost time."""
    kwargs = dict(own) if own is not None else {} if agent else {"backbone": None}
    return {**kwargs, **({} if agent else {"observations": ["gps"]}), **changes}


def _rows(own: dict[str, Any], model, env, played: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A planner looks for itself, as baselines do; a policy acts in its own environment."""
    if isinstance(model, Planner) and model.plays(short_id(played["env"])):
        return {"": (env, model.policy_in(env))}
    return own_rows(own, model, env, played, changes)


def _details(task) -> str:
    backbone, means = task.backbone_name, task.reconstruction
    return f"at most {task.max_steps} steps, backbone {backbone}, reconstruction by {means}"


def _navigation(curve: str, label: str, rival: str, experts: tuple[str, ...], columns: dict) -> Family:
    return Family(
        extractor=NavigationFeatures,
        scenes="buildings",
        few={"num_buildings": 32},
        some={"num_buildings": 8},
        open_scenes=lambda kwargs, split: open_buildings(
            kwargs["scenes"], split, kwargs.get("up", "auto"), kwargs.get("scale", "auto")
        ),
        experts={name: NAVIGATION_BASELINES[name] for name in experts},
        mirror=mirror,
        stops=stops,
        eval_every=50_000,
        final_starts=100,
        walk=walk,
        score=score,
        columns=columns,
        headline=(curve,),
        formulas=lambda env, scores: FORMULAS,
        details=_details,
        baselines=BASELINES,
        senseless=senseless,
        against=("random", "greedy", "frontier"),
        arguments=_arguments,
        rows=_rows,
        unseen={"scenes": "procedural", "up": "auto"},
        resumes=True,
        rival=rival,
        noted=("random", rival),
        label=label,
    )


GOALS = _navigation(
    "spl",
    "SPL (same validation episodes)",
    "greedy",
    ("greedy", "frontier", "nearest-frontier", "free-space", "unknown-area"),
    {key: column for key, column in COLUMNS.items() if key != "coverage_200"},
)
EXPLORATION = _navigation(
    "coverage_200",
    f"coverage after {EARLY} steps (same validation episodes)",
    "frontier",
    ("frontier", "unknown-area"),
    COLUMNS,
)
