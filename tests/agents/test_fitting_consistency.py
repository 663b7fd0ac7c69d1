"""What prototypes stand for: the measure of agreement, whose slot explains what, and the picture."""

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from agents.studies import prototypes as fitting_consistency
from agents.studies.prototypes import Chosen, captions, chosen, consistency, mutual_information
from spatial_envs.prototypes.encoder import SlotEncoder
from spatial_envs.scenes.depth_frames import open_depth


def test_mutual_information_by_hand():
    assert mutual_information(np.array(list("aabb")), np.array([7, 7, 3, 3])) == pytest.approx(1)
    assert mutual_information(np.array(list("aabb")), np.array([0, 1, 0, 1])) == pytest.approx(0)
    assert mutual_information(np.array(list("aaaa")), np.array([0, 0, 0, 0])) == 0
    # shares 3/8, 1/8, 1/8, 3/8: I = ln 2 - H(1/4), both entropies ln 2
    first, second = np.repeat([0, 1], 4), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    quarter = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert mutual_information(first, second) == pytest.approx((np.log(2) - quarter) / np.log(2))
    assert mutual_information(first, second) == pytest.approx(mutual_information(second, first))


def test_consistency_and_captions():
    ball, crate = Chosen(0, 0.75, "ball"), Chosen(2, 0.25, "crate")
    pairs = [(ball, ball), (ball, crate), (crate, crate), (crate, None)]
    figures = consistency(pairs)
    assert figures["nmi"] == pytest.approx(1)
    assert figures["nmi by chance"] < 0.8
    assert figures["kept"] == pytest.approx(2 / 3)
    assert figures["kept by chance"] == pytest.approx(0.5)
    assert figures["weight"] == pytest.approx(0.5)
    assert (figures["objects"], figures["prototypes in use"]) == (4, 2)
    assert captions(pairs, 3) == ["50%  ball", "not chosen", "50%  crate"]


def test_an_object_is_explained_by_the_slot_at_its_points(weights):
    model = SlotEncoder.load(weights)
    frame = open_depth("procedural", "validation", num_objects=3).load(0)
    found, state = chosen(model, frame, 3)
    seen = np.bincount(frame.point_ids, minlength=4)
    assert sorted(found) == [k for k in (1, 2, 3) if seen[k] >= fitting_consistency.LEAST]
    for number, one in found.items():
        assert one.category == frame.truth.categories[number - 1]
        mine = state.points[state.target.objects == number]
        gaps = np.stack([cdist(mine, vertices).min(axis=1) for vertices in state.vertices])
        gaps[~state.present] = np.inf
        most = np.bincount(gaps.argmin(axis=0)).argmax()
        assert one.prototype == state.shapes.weights(state.slots[most]).argmax()


def test_one_command_measures_and_draws(weights, tmp_path):
    path = tmp_path / "docs" / "prototypes.png"
    flags = fitting_consistency.Flags(scenes=2, objects=2, encoder=weights, picture=path)
    figures = fitting_consistency.main(flags)
    assert 2 <= figures["objects"] <= 4
    assert 0 <= figures["kept"] <= 1
    picture = np.asarray(Image.open(path))
    assert picture.shape == (200 + 28 + 2 * (450 + 28), 1200, 3)
    for k in range(3):  # every prototype is there, as large as its cell
        cell = picture[30:200, 200 * k : 200 * (k + 1)]
        shown = (cell != picture[-1, 0]).any(axis=-1)
        assert shown.any(axis=0).mean() > 0.2 or shown.any(axis=1).mean() > 0.5
    assert (picture[30:200, 620:] == picture[60, -1]).all()  # and no fourth
