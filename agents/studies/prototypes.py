"""What the learned prototypes stand for: a picture of them, and how consistently they are chosen.

    python -m agents.studies.prototypes --picture docs/prototypes.png

Every object of a procedural scene of which enough is seen has a slot: the one nearest to most of its points.
That slot's prototype is the one with the largest weight. Measured are

    nmi    normalised mutual information of the objects' categories C and prototypes P,
           2 I(C; P) / (H(C) + H(P)); 0 = independent, 1 = each tells the other
    kept   share of objects whose prototype is the same in the neighbouring frame: the same scene, the camera
           gone a few degrees round it, and the encoder asked anew
    weight mean of the largest weight: 1 = slots are one prototype each, less = they blend

each beside what chance gives: nmi after the prototypes are dealt out anew among the objects (means over
shuffles), kept for two objects drawn from the same use of prototypes, sum over P of share^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from agents.flags import UserPath, parse_flags
from spatial_envs.core.drawing import slot_colors
from spatial_envs.foundation.threads import set_threads
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.slots import Shapes, SlotState
from spatial_envs.prototypes.target import make_target
from spatial_envs.scene_fit.picture import draw_prototypes
from spatial_envs.scenes.depth_frames import DepthFrame, open_depth

LEAST = 20  # pixels of an object: with fewer it is left out
SHUFFLES = 200
NAMED = 2  # categories under each prototype of the picture
EXAMPLES = 4  # scenes in the picture
EXAMPLE_SIZE = (216, 288)  # pixels


@dataclass(frozen=True)
class Flags:
    """What the command line says."""

    scenes: int = 50
    """How many, each seen twice."""
    split: str = "validation"
    """Of procedural scenes."""
    objects: int = 6
    """In each scene; there are as many slots."""
    turn: float = 5.0
    """Degrees that the camera goes round the objects to the neighbouring frame."""
    encoder: UserPath = SHIPPED
    """Weights of the encoder."""
    picture: UserPath | None = None
    """Where to draw the prototypes."""


class Chosen(NamedTuple):
    """The prototype of the slot that explains an object, its weight, and the object's category."""

    prototype: int
    weight: float
    category: str


def chosen(model: SlotEncoder, frame: DepthFrame, slots: int) -> tuple[dict[int, Chosen], SlotState]:
    """By object id, for objects of at least LEAST pixels; and the fit itself. Without a slot present there is
    nothing that explains them."""
    assert frame.truth is not None
    target = make_target(frame)
    assert target.objects is not None
    given = encoded(model, [target], slots)[0].double().numpy()
    state = SlotState(target, Shapes.of(model.bank), given, len(target.points))
    found: dict[int, Chosen] = {}
    if state.present.any():
        owner = state.squared.argmin(axis=0)
        for number, category in enumerate(frame.truth.categories, 1):
            mine = owner[target.objects == number]
            if len(mine) >= LEAST:
                weights = state.shapes.weights(state.slots[np.bincount(mine).argmax()])
                found[number] = Chosen(int(weights.argmax()), float(weights.max()), category)
    return found, state


def mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """2 I / (H + H) of two labellings (N,) of the same things, in [0, 1]; 0 where both are all one label."""
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))

    def entropy(shares: np.ndarray) -> float:
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    apart = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0))
    return 0.0 if apart == 0 else max(0.0, 2 * (apart - entropy(joint)) / apart)


def consistency(pairs: list[tuple[Chosen, Chosen | None]], seed: int = 0) -> dict[str, float]:
    """The figures above; pairs: each object in its frame, and in the neighbouring one if it is seen there."""
    prototypes = np.array([now.prototype for now, _ in pairs])
    categories = np.array([now.category for now, _ in pairs])
    rng = np.random.default_rng(seed)
    dealt = [mutual_information(categories, rng.permutation(prototypes)) for _ in range(SHUFFLES)]
    share = np.bincount(prototypes) / len(prototypes)
    twice = [now.prototype == then.prototype for now, then in pairs if then is not None]
    return {
        "objects": len(pairs),
        "nmi": mutual_information(categories, prototypes),
        "nmi by chance": float(np.mean(dealt)),
        "kept": float(np.mean(twice)) if twice else 0.0,
        "kept by chance": float((share**2).sum()),
        "weight": float(np.mean([now.weight for now, _ in pairs])),
        "prototypes in use": int((share > 0).sum()),
    }


def captions(pairs: list[tuple[Chosen, Chosen | None]], count: int) -> list[str]:
    """For each of ``count`` prototypes its share of the objects, and the categories it serves most."""
    lines = []
    for k in range(count):
        mine = [now.category for now, _ in pairs if now.prototype == k]
        words, times = np.unique(mine, return_counts=True)
        most = [str(words[i]).replace("_", " ") for i in np.argsort(-times, kind="stable")[:NAMED]]
        lines.append(f"{len(mine) / len(pairs):.0%}  {', '.join(most)}" if mine else "not chosen")
    return lines


def main(flags: Flags) -> dict[str, float]:
    """Measure, and draw if a picture is wanted."""
    set_threads()
    model = SlotEncoder.load(flags.encoder)
    frames, aside = (
        open_depth("procedural", flags.split, num_objects=flags.objects, camera_turn=turn)
        for turn in (0.0, flags.turn)
    )
    pairs: list[tuple[Chosen, Chosen | None]] = []
    for index in tqdm(range(flags.scenes)):
        now, then = (chosen(model, each.load(index), flags.objects)[0] for each in (frames, aside))
        pairs += [(one, then.get(number)) for number, one in now.items()]
    if not pairs:
        raise ValueError(f"scenes: in the first {flags.scenes} no object was seen and explained; take more")
    if flags.picture is not None:
        count = model.bank.sizes.prototypes
        large = open_depth("procedural", flags.split, num_objects=flags.objects, image_size=EXAMPLE_SIZE)
        colors, examples = slot_colors(count), []
        for index in range(min(EXAMPLES, flags.scenes)):
            frame = large.load(index)
            _, state = chosen(model, frame, flags.objects)
            used = [int(state.shapes.weights(slot).argmax()) for slot in state.slots]
            examples.append((frame.view.rgb, state.picture(colors[used])))
        flags.picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_prototypes(model.bank, captions(pairs, count), examples)).save(flags.picture)
    return consistency(pairs)


if __name__ == "__main__":
    for name, value in main(parse_flags(Flags, __doc__, "python -m agents.studies.prototypes")).items():
        print(f"{name:18} {value:.3g}")
