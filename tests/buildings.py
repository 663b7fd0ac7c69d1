"""Small buildings of boxes, with known answers, for the tests of navigation."""

import numpy as np
import trimesh

from spatial_envs.geometry.mesh import Mesh

FACES = np.array(
    [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 5, 1], [0, 4, 5],
     [1, 6, 2], [1, 5, 6], [2, 7, 3], [2, 6, 7], [3, 4, 0], [3, 7, 4]], np.int32,
)  # fmt: skip


def boxes(*bounds) -> Mesh:
    """Closed boxes, each (x0, x1, y0, y1, z0, z1), seen from outside counter-clockwise; segments from 1."""
    vertices, faces = [], []
    for k, (x0, x1, y0, y1, z0, z1) in enumerate(bounds):
        plan = [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]
        vertices += [(x, y0, z) for x, z in plan] + [(x, y1, z) for x, z in plan]
        faces.append(FACES + 8 * k)
    shades = 60 + 40 * np.arange(len(bounds)) % 180
    return Mesh(
        np.array(vertices, np.float32),
        np.concatenate(faces).astype(np.int32),
        np.repeat(np.stack([shades] * 3, axis=1), 8, axis=0).astype(np.uint8),
        segment=np.repeat(np.arange(1, len(bounds) + 1), 12).astype(np.int32),
    )


def joined(*meshes: Mesh) -> Mesh:
    """Meshes as one, without their segments."""
    starts = np.cumsum([0, *[len(mesh.vertices) for mesh in meshes]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([mesh.colors for mesh in meshes]),
    )


def room(x0, x1, z0, z1, *more, height=2.5) -> Mesh:
    """A floor at y = 0 with walls round it, inner measures x0 to x1, z0 to z1, and further boxes."""
    return boxes(
        (x0 - 0.2, x1 + 0.2, -0.1, 0.0, z0 - 0.2, z1 + 0.2),
        (x0 - 0.2, x0, -0.05, height, z0 - 0.2, z1 + 0.2),
        (x1, x1 + 0.2, -0.05, height, z0 - 0.2, z1 + 0.2),
        (x0 - 0.2, x1 + 0.2, -0.05, height, z0 - 0.2, z0),
        (x0 - 0.2, x1 + 0.2, -0.05, height, z1, z1 + 0.2),
        *more,
    )


def ramp(x0, x1, y0, y1, z0, z1) -> Mesh:
    """A sloping sheet, up from y0 at z0 to y1 at z1, seen from above."""
    corners = np.array([[x0, y0, z0], [x1, y0, z0], [x1, y1, z1], [x0, y1, z1]], np.float32)
    return Mesh(corners, np.array([[0, 2, 1], [0, 3, 2]], np.int32), np.full((4, 3), 150, np.uint8))


def two_storeys() -> Mesh:
    """Two floors of 6 x 7 m, 2.72 m apart, with a stair of 16 steps of 0.17 x 0.28 m along the wall x = 3,
    from z = 2 down to z = -2.48; the upper floor is open above it."""
    steps = [(2.0, 3.0, 0.17 * k, 0.17 * (k + 1), 2 - 0.28 * (k + 1), 2 - 0.28 * k) for k in range(16)]
    return room(
        -3, 3, -3.5, 3.5, *steps,
        (-3.0, 2.0, 2.62, 2.72, -3.5, 3.5),
        (2.0, 3.0, 2.62, 2.72, -3.5, -2.48),
        (-3.2, 3.2, 5.5, 5.6, -3.7, 3.7),
        height=5.6,
    )  # fmt: skip


def furnished_room() -> trimesh.Scene:
    """Two rooms of 1.9 x 4 m with an opening between them, a sofa in one and a chair in the other, named."""
    scene = trimesh.Scene()
    for name, low, high, colour in (
        ("floor_1", (-2.2, -0.1, -2.2), (2.2, 0, 2.2), (120, 100, 80)),
        ("wall_1", (-2.2, -0.05, -2.2), (-2, 2.5, 2.2), (200, 190, 180)),
        ("wall_2", (2, -0.05, -2.2), (2.2, 2.5, 2.2), (200, 200, 180)),
        ("wall_3", (-2.2, -0.05, -2.2), (2.2, 2.5, -2), (200, 210, 180)),
        ("wall_4", (-2.2, -0.05, 2), (2.2, 2.5, 2.2), (200, 220, 180)),
        ("wall_5", (-0.1, -0.05, -2), (0.1, 2.5, 0.8), (200, 230, 180)),
        ("sofa_1", (0.8, 0.001, -1.9), (1.9, 0.8, -1.2), (60, 90, 200)),
        ("chair_1", (-1.8, 0.001, -1.8), (-1.3, 0.9, -1.3), (200, 60, 60)),
    ):
        box = trimesh.creation.box(bounds=[low, high])
        box.visual.vertex_colors = np.tile(np.array([*colour, 255], np.uint8), (len(box.vertices), 1))
        scene.add_geometry(box, node_name=name, geom_name=name)
    return scene
