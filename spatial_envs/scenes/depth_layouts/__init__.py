"""Data sets of depth: which files are theirs, and where each frame's picture, intrinsics and pose are.

| data set | depth files | coded | intrinsics and pose |
|---|---|---|---|
| SYNTHIA-SEQS | ``Depth/Stereo_Left/Omni_F/000000.png`` | 16 bits x 3, cm | ``CameraParams/`` |
| SYNTHIA-RAND-CITYSCAPES | ``Depth/0000000.png``, ``Depth/Depth/`` | as above | SYNTHIA-SEQS'; none |
| SYNTHIA-SF | ``SEQ1/DepthLeft/0000000.png`` | 24 bits in RGB, 1 km | f 847.630211643; none |
| Virtual KITTI 2 | ``frames/depth/Camera_0/depth_00000.png`` | 16 bits, cm | ``{in,ex}trinsic.txt`` |
| TartanAir | ``depth_left/000000_left_depth.npy`` | floats | f 320; ``pose_left.txt``, NED |
| ScanNet, exported | ``depth/0.png`` | 16 bits, mm | ``intrinsic/intrinsic_depth.txt``, ``pose/0.txt`` |
| Replica (NICE-SLAM) | ``results/depth000000.png`` | 16 bits, / 6553.5 | f 600; ``traj.txt`` |
| TartanAir v2 | ``depth_lcam_front/*_depth.png`` | float in RGBA | f 320; ``pose_lcam_front.txt`` |
| TUM RGB-D, Bonn, ICL-NUIM | ``depth/13050.1604.png`` | 16 bits, / 5000 | by name; ``groundtruth.txt`` |
| 7-Scenes | ``frame-000000.depth.png`` | 16 bits, mm | f 585; ``frame-000000.pose.txt`` |
| NYUv2 | ``sync_depth_00000.png``, ``00000_depth.png`` | 16 bits, mm | f 519; none |
| SUN RGB-D | ``depth/``, ``depth_bfx/`` of one file | mm, bits rotated | ``intrinsics.txt``; none |
| Redwood | ``depth/00000.png`` beside ``rgb/``, ``color/``, ``image/`` | 16 bits, mm | f 525; none |

Poses become cam_to_world with OpenCV axes in a world with Y up; intrinsics have pixel centres at +0.5.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from spatial_envs.scenes.depth_layouts import rooms, scans, synthia, tartanair, tum, virtual_kitti
from spatial_envs.scenes.depth_layouts.layout import DepthFile, Layout

LAYOUTS = (  # the first that fits a file and what lies beside it
    *synthia.LAYOUTS,
    virtual_kitti.LAYOUT,
    *tartanair.LAYOUTS,
    tum.LAYOUT,
    *rooms.LAYOUTS,
    *scans.LAYOUTS,
)


def find(root: Path, files: list[Path]) -> dict[str, DepthFile]:
    """The depth files among ``files`` by name, in order of sequence and number, each in the first layout that
    it matches; those in none are left out. ``root``: what names are relative to."""
    found: dict[str, list[tuple[float, str, str, Layout]]] = {}
    timed: set[str] = set()  # files whose names are times
    for path in files:
        for layout in LAYOUTS:
            match = layout.pattern.search(path.as_posix())
            if match and (layout.told is None or layout.told(path)):
                short = path.relative_to(root).as_posix() if path != root else path.name
                sequence = short.rpartition("/")[0] or path.parent.name
                order = float(match["n"]) if re.fullmatch(r"\d+(\.\d+)?", match["n"]) else np.inf
                if np.isfinite(order) and "." in match["n"]:
                    timed.add(str(path))
                found.setdefault(sequence, []).append((order, short.rpartition(".")[0], str(path), layout))
                break
    named = {}
    for sequence, mine in sorted(found.items()):
        for place, (order, name, file, layout) in enumerate(sorted(mine, key=lambda one: one[:3])):
            stamp = order if file in timed else None
            number = int(order) if order.is_integer() and stamp is None else place
            named[name] = DepthFile(file, sequence, number, layout, stamp)
    return named
