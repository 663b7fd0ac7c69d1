"""The family of foresight: what training and comparison ask of it."""

from __future__ import annotations

from typing import Any

from agents.families import Family
from agents.foresight.baselines import BASELINES, NetworkExpert
from agents.foresight.evaluation import COLUMNS, FORMULAS, score, skill, walk
from agents.foresight.policy import TrackFeatures
from spatial_envs.scenes.recordings import open_recordings

ASKED = ("ahead", "backwards")  # arguments that say which questions are asked


def _tables(arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A table of each kind of question, unless the arguments say which; recordings of files often have no
    second before what they show."""
    if any(key in arguments for key in ASKED):
        return {"": {}}
    later = {"1 s later": {"ahead": (1.0, 1.0), "backwards": 0.0}}
    if arguments.get("scenes", "procedural") != "procedural":
        return later
    return {
        **later,
        "1 s before": {"ahead": (1.0, 1.0), "backwards": 1.0},
        "0.1 to 2 s, a quarter in the past": {"ahead": (0.1, 2.0), "backwards": 0.25},
    }


def _details(task: Any) -> str:
    settings = task.settings
    judged, noise = "poses" if settings.rotations else "centres", 100 * settings.noise
    return f"{judged}, {settings.frames} frames, noise {noise:g} cm, {settings.guesses} guesses"


def _senseless(env: Any) -> tuple[str, ...]:
    """Rules that simulate, where thoughts do not."""
    return () if env.unwrapped.task.simulates else ("simulation", "simulation-1")


FORESIGHT = Family(
    extractor=TrackFeatures,
    scenes="recordings",
    open_scenes=lambda kwargs, split: open_recordings(kwargs["scenes"], split),
    experts={"network": NetworkExpert},
    eval_every=20_000,
    validation_starts=64,
    final_starts=128,
    walk=walk,
    score=score,
    columns=COLUMNS,
    headline=("credit",),
    extra=skill,
    formulas=lambda env, scores: FORMULAS,
    details=_details,
    baselines=BASELINES,
    senseless=_senseless,
    final=("still", "line", "analytic", "analytic-fan"),
    against=("analytic", "analytic-fan"),
    tables=_tables,
    resumes=True,
    rival="analytic-fan",
    noted=("still", "analytic", "analytic-fan"),
    label="soft credit (same validation questions)",
    hold=2,
)
