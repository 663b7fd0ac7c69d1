"""read_mesh on real files: every format there and back, and every fault by name."""

import base64
import io
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from spatial_envs.foundation.errors import MeshError
from spatial_envs.scenes.mesh_files import GREY, read_mesh

MESHES = Path(__file__).parents[2] / "../shared/meshes"
SUFFIXES = [".obj", ".ply", ".glb", ".gltf", ".stl", ".off"]
TETRA_V = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
TETRA_F = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
UV = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]])
TEXTURE = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)  # row 0 is the top
CORNERS = np.array([[0, 0, 255], [255, 255, 0], [255, 0, 0], [0, 255, 0]])  # TEXTURE at UV
OBJ = "".join(f"v {x} {y} {z}\n" for x, y, z in TETRA_V)
OBJ_VT = "".join(f"vt {u} {v}\n" for u, v in UV)
FACES = "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
FACES_VT = "f 1/1 3/3 2/2\nf 1/1 2/2 4/4\nf 2/2 3/3 4/4\nf 3/3 1/1 4/4\n"


@pytest.fixture(autouse=True)
def _no_warning_unless_expected():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def tetra(**kwargs):
    return trimesh.Trimesh(TETRA_V, TETRA_F, process=False, **kwargs)


def textured(image=TEXTURE):
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image))
    visual = trimesh.visual.TextureVisuals(uv=UV, material=material)
    return tetra(visual=visual)


def png(image=TEXTURE):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "png")
    return data.getvalue()


def save(scene, path):
    """Writes what trimesh exports, with the files that belong to it."""
    if path.suffix == ".gltf":
        for name, data in scene.export(file_type="gltf").items():
            (path.parent / name.replace("model.gltf", path.name)).write_bytes(data)
    else:
        scene.export(path)
    return path


def triangles(mesh):
    """(F, 3, 3): corners, whatever the numbering."""
    return mesh.vertices[mesh.faces]


def looked_up(mesh):
    """(F, 3, 3) uint8 of the texture times the colours at the corners: the slow twin of what renderers do."""
    out = mesh.colors[mesh.faces].astype(float)
    if mesh.face_texture is not None:
        for face, number in enumerate(mesh.face_texture):
            if number >= 0:
                image = mesh.textures[number]
                u, v = (mesh.uv[mesh.faces[face]] % 1).T
                rows, columns = ((1 - v) * image.shape[0]).astype(int), (u * image.shape[1]).astype(int)
                out[face] *= image[rows, columns] / 255
    return out.round().astype(np.uint8)


def corner_colors(per_vertex):
    return np.asarray(per_vertex)[TETRA_F]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_vertices_and_faces_come_back(tmp_path, suffix):
    mesh = read_mesh(save(tetra(), tmp_path / f"m{suffix}"))
    np.testing.assert_allclose(triangles(mesh), TETRA_V[TETRA_F])
    assert (mesh.vertices.dtype, mesh.faces.dtype, mesh.colors.dtype) == (np.float32, np.int32, np.uint8)
    assert len(mesh.colors) == len(mesh.vertices)
    assert (mesh.colors == GREY).all()
    assert mesh.textures == ()
    assert (mesh.uv, mesh.face_texture) == (None, None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_z_up_turns_to_y_up(tmp_path, suffix):
    mesh = read_mesh(str(save(tetra(), tmp_path / f"m{suffix.upper()}")), up="z")
    x, y, z = np.moveaxis(TETRA_V[TETRA_F], -1, 0)
    np.testing.assert_allclose(triangles(mesh), np.stack([x, z, -y], -1))


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb", ".gltf"])
def test_vertex_colors_come_back(tmp_path, suffix):
    colors = np.array([[255, 0, 0], [0, 254, 3], [7, 8, 9], [100, 200, 50]], np.uint8)
    mesh = read_mesh(save(tetra(vertex_colors=colors), tmp_path / f"m{suffix}"))
    np.testing.assert_array_equal(mesh.colors[mesh.faces], corner_colors(colors))


def test_face_colors_come_back(tmp_path):
    colors = np.array([[255, 0, 0], [0, 254, 3], [7, 8, 9], [100, 200, 50]], np.uint8)
    mesh = read_mesh(save(tetra(face_colors=colors), tmp_path / "m.ply"))
    np.testing.assert_array_equal(mesh.colors[mesh.faces], np.repeat(colors[:, None], 3, 1))
    np.testing.assert_allclose(triangles(mesh), TETRA_V[TETRA_F])


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".gltf"])
def test_textures_come_back(tmp_path, suffix):
    mesh = read_mesh(save(textured(), tmp_path / f"m{suffix}"))
    np.testing.assert_array_equal(looked_up(mesh), corner_colors(CORNERS))
    np.testing.assert_array_equal(mesh.textures[0], TEXTURE)
    np.testing.assert_array_equal(mesh.face_texture, [0, 0, 0, 0])


def ply(tmp_path, texture="", color=False, uv=True):
    """An ASCII PLY with uv at its vertices, written by hand."""
    properties = "xyz" + "st" * uv
    head = ["ply", "format ascii 1.0", *([f"comment TextureFile {texture}"] if texture else [])]
    head += ["element vertex 4", *(f"property float {p}" for p in properties)]
    head += [f"property uchar {c}" for c in ("red", "green", "blue") if color]
    head += ["element face 4", "property list uchar int vertex_indices", "end_header"]
    rows = np.hstack([TETRA_V, *([UV] if uv else [])])
    lines = [" ".join(map(str, row)) + (" 1 2 3" if color else "") for row in rows]
    lines += ["3 " + " ".join(map(str, face)) for face in TETRA_F]
    path = tmp_path / "m.ply"
    path.write_text("\n".join(head + lines) + "\n")
    return path


def test_ply_texture_and_colors_beside_uv(tmp_path):
    (tmp_path / "t.png").write_bytes(png())
    np.testing.assert_array_equal(looked_up(read_mesh(ply(tmp_path, "t.png"))), corner_colors(CORNERS))
    both = read_mesh(ply(tmp_path, "t.png", color=True))
    np.testing.assert_array_equal(looked_up(both), corner_colors(CORNERS))
    mesh = read_mesh(ply(tmp_path, color=True))
    assert (mesh.colors == [1, 2, 3]).all()
    np.testing.assert_allclose(triangles(mesh), TETRA_V[TETRA_F])


def obj(tmp_path, mtl, body=OBJ + OBJ_VT + "usemtl a\n" + FACES_VT, name="m.obj"):
    (tmp_path / "m.mtl").write_text(mtl)
    path = tmp_path / name
    path.write_text("mtllib m.mtl\n" + body)
    return path


def test_obj_uv_seam_stays(tmp_path):
    body = OBJ + OBJ_VT + "usemtl a\nf 1/1 3/3 2/2\nf 1/4 2/2 4/4\n"  # vertex 1 has two texture coordinates
    (tmp_path / "t.png").write_bytes(png())
    mesh = read_mesh(obj(tmp_path, "newmtl a\nmap_Kd t.png\n", body))
    expected = [CORNERS[[0, 2, 1]], CORNERS[[3, 1, 3]]]
    np.testing.assert_array_equal(looked_up(mesh), expected)
    assert len(mesh.vertices) == 5


def test_obj_diffuse_without_texture_and_white_with(tmp_path):
    mesh = read_mesh(obj(tmp_path, "newmtl a\nKd 1 0.5 0\n"))
    assert (mesh.colors == [255, 128, 0]).all()
    assert read_mesh(obj(tmp_path, "newmtl a\nKs 1 1 1\n")).colors[0].tolist() == list(GREY)
    (tmp_path / "t.png").write_bytes(png())
    mesh = read_mesh(obj(tmp_path, "newmtl a\nKd 0 0 0\nmap_Kd t.png\n"))
    np.testing.assert_array_equal(looked_up(mesh), corner_colors(CORNERS))


def test_obj_several_materials_libraries_and_textures(tmp_path):
    (tmp_path / "t.png").write_bytes(png())
    (tmp_path / "u.png").write_bytes(png(TEXTURE[::-1]))
    (tmp_path / "b.mtl").write_text("newmtl b\nmap_Kd u.png\nnewmtl c\nKd 0 0 1\n")
    one, two, three, four = FACES_VT.splitlines(keepends=True)
    body = (
        "mtllib b.mtl\n" + OBJ + OBJ_VT + f"# usemtl x\nusemtl a\n{one}usemtl b\n{two}usemtl c\n{three}{four}"
    )
    mesh = read_mesh(obj(tmp_path, "newmtl a\nmap_Kd t.png\n", body))
    colors = {
        tuple(sorted(map(tuple, t.tolist()))): c
        for t, c in zip(triangles(mesh), looked_up(mesh), strict=True)
    }
    corners, flipped = corner_colors(CORNERS), corner_colors(CORNERS[[2, 3, 0, 1]])
    blue = np.full((3, 3), [0, 0, 255])
    for face, expected in zip(TETRA_F, [corners[0], flipped[1], blue, blue], strict=True):
        found = colors[tuple(sorted(map(tuple, TETRA_V[face].tolist())))]
        assert sorted(found.tolist()) == sorted(expected.tolist())
    assert len(mesh.textures) == 2
    assert sorted(mesh.face_texture) == [-1, -1, 0, 1]


@pytest.mark.parametrize("sides", [4, 5, 6])
def test_polygons_become_triangles(tmp_path, sides):
    angles = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(angles), np.zeros(sides), np.sin(angles)], 1)
    vertices = [*ring, [0, 1, 0]]
    lines = [f"v {x} {y} {z}" for x, y, z in vertices]
    faces = [list(range(sides))]
    lines += [
        "f " + " ".join(str(i + 1) for i in f)
        for f in [*faces, *([i, (i + 1) % sides, sides] for i in range(sides))]
    ]
    (tmp_path / "m.obj").write_text("\n".join(lines))
    mesh = read_mesh(tmp_path / "m.obj")
    assert len(mesh.faces) == sides - 2 + sides
    floor = mesh.areas[np.abs(mesh.vertices[mesh.faces][:, :, 1]).max(axis=1) < 1e-6].sum()
    assert floor == pytest.approx(sides / 2 * np.sin(2 * np.pi / sides), rel=1e-5)
    off = [f"OFF\n{sides + 1} {sides + 1} 0", *(" ".join(map(str, v)) for v in vertices)]
    off += [f"{sides} " + " ".join(map(str, range(sides)))]
    off += [f"3 {i} {(i + 1) % sides} {sides}" for i in range(sides)]
    (tmp_path / "m.off").write_text("\n".join(off))
    assert read_mesh(tmp_path / "m.off").areas.sum() == pytest.approx(mesh.areas.sum(), rel=1e-5)


def test_obj_relative_indices(tmp_path):
    (tmp_path / "m.obj").write_text(OBJ + "f -4 -2 -3\nf -4 -3 -1\nf -3 -2 -1\nf -2 -4 -1\n")
    np.testing.assert_allclose(triangles(read_mesh(tmp_path / "m.obj")), TETRA_V[TETRA_F])


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_scene_transforms_and_textures(tmp_path, suffix):
    scene = trimesh.Scene()
    shift = trimesh.transformations.translation_matrix([10, 0, 0])
    mirror = np.diag([-2.0, 1, 1, 1])
    scene.add_geometry(textured(), geom_name="a", transform=shift)
    scene.add_geometry(textured(TEXTURE[::-1].copy()), geom_name="b", transform=mirror)
    scene.add_geometry(tetra(vertex_colors=[1, 2, 3]), geom_name="c")
    mesh = read_mesh(save(scene, tmp_path / f"m{suffix}"))
    parts = triangles(mesh).reshape(3, 4, 3, 3)
    order = np.argsort(parts[..., 0].mean(axis=(1, 2)))[[2, 0, 1]]  # a to the right, b to the left
    parts = parts[order]
    for part, vertices in zip(
        parts, [np.add(TETRA_V, [10, 0, 0]), TETRA_V * [-2, 1, 1], TETRA_V], strict=True
    ):
        assert {tuple(v) for v in part.reshape(-1, 3).tolist()} == {tuple(v) for v in vertices.tolist()}
    volumes = [np.einsum("fi,fi->", p[:, 0], np.cross(p[:, 1], p[:, 2])) / 6 for p in parts]
    np.testing.assert_allclose(volumes, [1, 2, 1], rtol=1e-4)  # none is inside out, the mirrored one neither
    number = mesh.face_texture.reshape(3, 4)[order]
    assert (number == number[:, :1]).all()
    np.testing.assert_array_equal(mesh.textures[number[0, 0]], TEXTURE)
    np.testing.assert_array_equal(mesh.textures[number[1, 0]], TEXTURE[::-1])
    assert number[2, 0] == -1
    colors = looked_up(mesh).reshape(3, 4, 3, 3)[order]
    np.testing.assert_array_equal(colors[0], corner_colors(CORNERS))
    assert (colors[2] == [1, 2, 3]).all()


def gltf(tmp_path, material=None, attributes=(), image=None, edit=lambda header: None):
    """A hand-written glTF of the tetrahedron, with its buffer inside."""
    arrays = [TETRA_V.tobytes(), TETRA_F.astype("<u4").tobytes()]
    flipped = np.stack([UV[:, 0], 1 - UV[:, 1]], 1).astype("<f4")
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
        {"bufferView": 1, "componentType": 5125, "count": 12, "type": "SCALAR"},
    ]
    primitive = {"attributes": {"POSITION": 0}, "indices": 1}
    kinds = {
        "TEXCOORD_0": flipped,
        "TEXCOORD_1": flipped[::-1],
        "COLOR_0": np.full((4, 4), [65535, 0, 32768, 65535]),
    }
    for name in attributes:
        short = name == "COLOR_0"
        arrays.append(np.ascontiguousarray(kinds[name], "<u2" if short else "<f4").tobytes())
        accessors.append(
            {
                "bufferView": len(arrays) - 1,
                "componentType": 5123 if short else 5126,
                "count": 4,
                "normalized": short,
            }
            | {"type": "VEC4" if short else "VEC2"}
        )
        primitive["attributes"][name] = len(arrays) - 1
    starts = np.cumsum([0, *map(len, arrays)]).tolist()
    header = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": len(a)}
            for start, a in zip(starts, arrays, strict=False)
        ],
        "buffers": [
            {"byteLength": starts[-1], "uri": "data:;base64," + base64.b64encode(b"".join(arrays)).decode()}
        ],
    }
    if material is not None:
        primitive["material"] = 0
        header["materials"] = [material]
    if image is not None:
        header |= {"images": [{"uri": image}], "textures": [{"source": 0}]}
    edit(header)
    (tmp_path / "m.gltf").write_text(json.dumps(header))
    return tmp_path / "m.gltf"


def test_gltf_base_color_multiplies_colors_and_texture(tmp_path):
    factor = {"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 0.5, 1]}}
    assert (read_mesh(gltf(tmp_path, factor)).colors == [128, 255, 128]).all()
    np.testing.assert_allclose(read_mesh(gltf(tmp_path, factor, ["COLOR_0"])).colors[0], [128, 0, 64], atol=1)
    assert (read_mesh(gltf(tmp_path, None, ["COLOR_0"])).colors == [255, 0, 128]).all()
    assert (read_mesh(gltf(tmp_path, {})).colors == 255).all()
    (tmp_path / "t.png").write_bytes(png())
    factor["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    mesh = read_mesh(gltf(tmp_path, factor, ["TEXCOORD_0"], "t.png"))
    np.testing.assert_allclose(looked_up(mesh), corner_colors(CORNERS * [0.5, 1, 0.5]), atol=1)


def test_gltf_specular_glossiness_second_uv_and_transform(tmp_path):
    (tmp_path / "t.png").write_bytes(png())
    gloss = {"diffuseTexture": {"index": 0, "texCoord": 1}, "diffuseFactor": [1, 1, 1, 1]}
    material = {"extensions": {"KHR_materials_pbrSpecularGlossiness": gloss}}
    mesh = read_mesh(gltf(tmp_path, material, ["TEXCOORD_0", "TEXCOORD_1"], "t.png"))
    np.testing.assert_array_equal(looked_up(mesh), corner_colors(CORNERS[::-1]))
    moved = {"index": 0, "extensions": {"KHR_texture_transform": {"offset": [0.5, 0], "scale": [1, -1]}}}
    material = {"pbrMetallicRoughness": {"baseColorTexture": moved}}
    mesh = read_mesh(gltf(tmp_path, material, ["TEXCOORD_0"], "t.png"))  # half a texture right, upside down
    np.testing.assert_array_equal(looked_up(mesh), corner_colors(CORNERS[::-1]))


def test_gltf_camera_node_keeps_its_children(tmp_path):
    def under_camera(header):
        header["nodes"] = [{"camera": 0, "children": [1], "translation": [0, 0, 5]}, {"mesh": 0}]
        header["cameras"] = [
            {"type": "perspective", "perspective": {"yfov": 1, "znear": 1, "aspectRatio": 1}}
        ]

    mesh = read_mesh(gltf(tmp_path, edit=under_camera))
    np.testing.assert_allclose(triangles(mesh), np.add(TETRA_V, [0, 0, 5])[TETRA_F])


def test_degenerate_triangles_and_unused_vertices_go(tmp_path):
    (tmp_path / "m.obj").write_text(OBJ + "v 1000 0 0\nv 0.5 0 0\n" + FACES + "f 1 1 2\nf 1 6 2\n")
    mesh = read_mesh(tmp_path / "m.obj")
    assert (mesh.vertices.shape, mesh.faces.shape) == ((4, 3), (4, 3))


def test_gso_texture_folder(tmp_path):
    (tmp_path / "shoe/meshes").mkdir(parents=True)
    (tmp_path / "shoe/materials/textures").mkdir(parents=True)
    (tmp_path / "shoe/materials/textures/texture.png").write_bytes(png())
    mesh = read_mesh(obj(tmp_path / "shoe/meshes", "newmtl a\nmap_Kd texture.png\n", name="model.obj"))
    np.testing.assert_array_equal(looked_up(mesh), corner_colors(CORNERS))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda d: obj(d, "newmtl a\nmap_Kd no.png\n"), "texture no.png is missing or broken"),
        (
            lambda d: ((d / "t.png").write_bytes(b"junk"), obj(d, "newmtl a\nmap_Kd t.png\n"))[1],
            "t.png is missing or",
        ),
        (
            lambda d: ((d / "t.png").write_bytes(png()[:-30]), obj(d, "newmtl a\nmap_Kd t.png\n"))[1],
            "t.png is missing",
        ),
        (
            lambda d: (
                (d / "t.png").write_bytes(png()),
                obj(d, "newmtl a\nmap_Kd t.png\n", OBJ + "usemtl a\n" + FACES),
            )[1],
            "no texture coordinates",
        ),
        (lambda d: obj(d, "newmtl b\n"), "without a definition are grey: a"),
        (lambda d: (obj(d, ""), (d / "m.mtl").unlink())[0], "material library m.mtl is missing"),
        (lambda d: ply(d, "no.png"), "texture no.png is missing"),
        (lambda d: ((d / "t.png").write_bytes(b"junk"), ply(d, "t.png"))[1], "texture t.png is missing"),
        (
            lambda d: gltf(
                d, {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, ["TEXCOORD_0"], "no.png"
            ),
            "texture number 0 is missing",
        ),
    ],
)
def test_what_is_missing_is_told_and_grey(tmp_path, write, told):
    path = write(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mesh = read_mesh(path)
    assert any(told in str(w.message) for w in caught)
    assert all(path.name in str(w.message) for w in caught)
    assert (mesh.colors == GREY).all()
    assert mesh.textures == ()


def glb_cut(keep):
    data = textured().export(file_type="glb")
    return data[: int(len(data) * keep)]


def with_extension(header):
    header["extensionsRequired"] = ["EXT_of_tomorrow"]


def with_sparse(header):
    indices = {"bufferView": 1, "byteOffset": 20, "componentType": 5125}  # that is 3
    header["accessors"][0] |= {"count": 3}
    header["accessors"][0]["sparse"] = {"count": 1, "indices": indices, "values": {"bufferView": 0}}


PLY_HEAD = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
PLY_FACE = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
BAD = {
    "empty.obj": (b"", "empty"),
    "blank.ply": (b" \n", "empty"),
    "readme.txt": (b"v 0 0 0", "unsupported ending '.txt'; supported: .obj .ply .glb .gltf .stl .off"),
    "none": (b"v 0 0 0", "unsupported ending ''"),
    "text.obj": (b"Dear reader,\nf this is no mesh\n", "not an OBJ file"),
    "picture.obj": (png(), "not an OBJ file"),
    "picture.ply": (png(), "not a PLY file"),
    "picture.glb": (png(), "not a GLB file"),
    "picture.gltf": (png(), "not a readable .gltf file"),
    "picture.stl": (png(), "not an STL file"),
    "picture.off": (png(), "not an OFF file"),
    "list.gltf": (b"[1, 2]", "not a readable .gltf file"),
    "points.obj": (OBJ.encode(), "no triangles"),
    "points.ply": (f"{PLY_HEAD}end_header\n0 0 0\n1 0 0\n0 1 1\n".encode(), "no triangles"),
    "lines.obj": (OBJ.encode() + b"l 1 2\n", "no triangles"),
    "nan.obj": (OBJ.replace("3.0", "nan").encode() + FACES.encode(), "NaN"),
    "inf.ply": (f"{PLY_HEAD}{PLY_FACE}0 0 0\n1 0 inf\n0 1 1\n3 0 1 2\n".encode(), "NaN, infinite"),
    "flat.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "flat: its bounding box measures 1 x 1 x 0"),
    "line.obj": (b"v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", "flat: none of its triangles has an area"),
    "point.obj": (b"v 1 1 1\n" * 3 + b"f 1 2 3\n", "flat"),
    "huge.obj": ((OBJ.replace("3.0", "3e9") + FACES).encode(), "coordinates up to 3e+09"),
    "far.obj": (
        ("".join(f"v {x + 500000} {y} {z}\n" for x, y, z in TETRA_V) + FACES).encode(),
        "from the origin",
    ),
    "many.ply": (f"{PLY_HEAD}{PLY_FACE}".replace("face 1", "face 5000001").encode(), "5,000,001 triangles"),
    "range.obj": ((OBJ + "f 1 2 9\n").encode(), "out of range"),
    "zero.obj": ((OBJ + "f 0 1 2\n").encode(), "out of range: 0"),
    "uv_range.obj": ((OBJ + OBJ_VT + "f 1/1 2/2 3/3\nf 0/1 2/2 4/4\n").encode(), "out of range"),
    "back.obj": ((OBJ + "f -1 -2 -9\n").encode(), "out of range"),
    "range.ply": (
        f"{PLY_HEAD}{PLY_FACE}0 0 0\n1 0 1\n0 1 1\n3 0 1 7\n".encode(),
        "out of range: 0 to 7 with 3",
    ),
    "negative.ply": (
        f"{PLY_HEAD}{PLY_FACE}0 0 0\n1 0 1\n0 1 1\n3 0 1 -1\n".encode(),
        "out of range: -1 to 1",
    ),
    "range.off": (b"OFF\n3 1 0\n0 0 0\n1 0 1\n0 1 1\n3 0 1 7\n", "range"),
    "cut.obj": ((OBJ + FACES)[:-3].encode(), "fewer than 3 corners"),
    "colors.obj": (b"v 0 0 0 2.5 0 9\nv 1 0 0 1 1 1\nv 0 1 1 1 1 1\nf 1 2 3\n", "colours beyond 1, up to 9"),
    "words.obj": ((OBJ + FACES + "f one 2 3\nf 1 2 4\n").encode(), "words.obj"),
    "cut.glb": (glb_cut(0.5), "truncated"),
    "head.glb": (glb_cut(1)[:15], "not a GLB file"),
    "cut.off": (tetra().export(file_type="off").rsplit("\n", 3)[0].encode(), "only 2 of its 4"),
    "cut.stl": (tetra().export(file_type="stl")[:-30], "truncated"),
    "cut_ascii.stl": (tetra().export(file_type="stl_ascii")[:-60].encode(), "cut_ascii.stl"),
    "cut.ply": (tetra().export(file_type="ply")[:-5], "cut.ply"),
    "cut_ascii.ply": (tetra().export(file_type="ply", encoding="ascii")[:-18], "cut_ascii.ply"),
    "old.glb": (
        b"glTF" + b"\1\0\0\0" + b"\x14\0\0\0" + bytes(8),
        "glTF 1.0, of which only 2.0 can be read; 'npx gltf-pipeline",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_every_fault_names_file_and_fault(tmp_path, name):
    data, fault = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MeshError, match=re.escape(fault)) as caught:
        read_mesh(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (with_extension, "glTF extensions that cannot be read here: EXT_of_tomorrow"),
        (with_sparse, "a sparse index of accessor 0 is out of range"),
        (lambda header: header["accessors"][0].pop("bufferView"), "not sparse or compressed"),
        (lambda header: header["meshes"][0]["primitives"][0].update(mode=1), "no triangles"),
        (lambda header: header["buffers"][0].update(uri="gone.bin"), "gone.bin"),
        (lambda header: header["accessors"][0].update(count=3), "out of range: 0 to 3 with 3"),
    ],
)
def test_gltf_faults(tmp_path, edit, fault):
    path = gltf(tmp_path, {}, ["TEXCOORD_0"], edit=edit)
    with pytest.raises(MeshError, match=re.escape(fault)) as caught:
        read_mesh(path)
    assert "m.gltf: " in str(caught.value)


def test_missing_file_folder_and_axis(tmp_path):
    with pytest.raises(MeshError, match=r"no\.obj: no such file"):
        read_mesh(tmp_path / "no.obj")
    (tmp_path / "d.obj").mkdir()
    with pytest.raises(MeshError, match=r"d\.obj: a folder"):
        read_mesh(tmp_path / "d.obj")
    with pytest.raises(ValueError, match="up: got 'x'"):
        read_mesh(tmp_path / "no.obj", up="x")


@pytest.mark.skipif(not MESHES.exists(), reason="../shared/meshes is not beside this checkout")
@pytest.mark.parametrize(("name", "faces", "size"), [("spot/spot", 5856, 1024), ("bob/bob_tri", 10688, 2048)])
def test_spot_and_bob(name, faces, size):
    mesh = read_mesh(MESHES / f"{name}.obj")
    assert len(mesh.faces) == faces
    assert [t.shape for t in mesh.textures] == [(size, size, 3)]
    assert mesh.uv is not None
    assert np.abs(mesh.uv - 0.5).max() < 1
    assert np.linalg.norm(mesh.normalised().vertices, axis=1).max() == pytest.approx(0.5)
