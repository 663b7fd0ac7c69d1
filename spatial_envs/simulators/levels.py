"""Which of the surfaces that one could stand on are floors: a table is none, nor is what a building does not
name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NAMED = 0.3  # metres: a floor that a building names is within this of its height
FOOTING = 0.2  # square metres of a surface at a named height: the rest of it hangs together with that
TABLE = 8.0  # square metres: no piece of furniture is larger
LOWEST, HIGHEST = 0.3, 1.3  # metres that furniture stands above its floor
LAYER = 0.1  # metres: what lies in one layer, or in two neighbouring ones, is one level


def leave_out_furniture(y: np.ndarray, component: np.ndarray, cell: float, named: Sequence[float]) -> None:
    """Component becomes -1 for surfaces that are no floors.

    y          (hits,) metres, the heights at which vertical rays, one per square of ``cell`` metres, meet the
               building
    component  (hits,) int64: which hang together and can be stood on; -1 = cannot
    named      heights of the floors, metres. Where there are some, surfaces that are nowhere within 0.3 m of
               one are left out. Where there are none, those that are no larger than furniture, and 0.3 to
               1.3 m above a level that has more to stand on.
    """
    stands = np.flatnonzero(component >= 0)
    if not len(stands):
        return
    areas = np.bincount(component[stands]) * cell**2
    out = np.zeros(len(areas), bool)
    if named:
        near = np.abs(y[stands, None] - np.asarray(named, np.float64)).min(axis=1) <= NAMED
        out = np.bincount(component[stands][near], minlength=len(areas)) * cell**2 < np.minimum(
            FOOTING, areas
        )
    else:
        for number in np.flatnonzero((areas > FOOTING) & (areas <= TABLE)):
            mine = component[stands] == number
            below = np.median(y[stands[mine]]) - y[stands[~mine]]
            below = below[(below >= LOWEST) & (below <= HIGHEST)]
            layers = np.bincount(((below - LOWEST) / LAYER).astype(int), minlength=2) * cell**2
            out[number] = (layers[1:] + layers[:-1]).max() > areas[number]
    component[stands[out[component[stands]]]] = -1
