"""What people's mesh files are like, kind by kind: a box of 2 x 1 x 1, whose area is 10, in every form."""

import base64
import io
import json
import struct
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from spatial_envs.foundation.errors import MeshError
from spatial_envs.scenes.formats import gltf, gltf_data, pictures
from spatial_envs.scenes.formats.parts import triangulated
from spatial_envs.scenes.mesh_files import GREY, read_mesh, read_named

CASES = Path(__file__).parents[2] / "../shared/cases/meshes"
V = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 2)], np.float32)
QUADS = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
F = QUADS[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
RED = (200, 40, 40)
XYZ = "property float x\nproperty float y\nproperty float z\n"
INDEX = "property list uchar int vertex_indices\n"
OBJ_V = "".join(f"v {x} {y} {z}\n" for x, y, z in V)
OBJ_VT = "vt 0.1 0.1\nvt 0.9 0.1\nvt 0.9 0.9\nvt 0.1 0.9\n"
OBJ_F = "".join("f " + " ".join(f"{v + 1}/{k + 1}" for k, v in enumerate(quad)) + "\n" for quad in QUADS)
OBJ = f"mtllib m.mtl\n{OBJ_V}{OBJ_VT}usemtl m\n{OBJ_F}"


@pytest.fixture(autouse=True)
def _no_warning_unless_expected():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def picture(colors=RED, size=(4, 4), form="png"):
    data = io.BytesIO()
    image = (
        np.broadcast_to(np.array(colors, np.uint8), (*size, 3)) if np.ndim(colors) == 1 else np.array(colors)
    )
    Image.fromarray(image).save(data, form)
    return data.getvalue()


def folder(place, **files):
    """Writes files; "_" in a keyword stands for the dot before its ending."""
    for name, content in files.items():
        path = place / ".".join(name.rsplit("_", 1))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def shown(mesh):
    """(3,) mean colour by area, seen all over every triangle."""
    a, b = (np.stack(np.meshgrid(np.arange(40), np.arange(40)), -1).reshape(-1, 2).T + 0.5) / 40
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    weights = np.stack([1 - a - b, a, b], axis=1)
    colors = np.einsum("sk,fkc->fsc", weights, mesh.colors[mesh.faces].astype(float))
    for number, texture in enumerate(mesh.textures):
        own = mesh.face_texture == number
        u, v = np.moveaxis(np.einsum("sk,fkc->fsc", weights, mesh.uv[mesh.faces[own]]) % 1, -1, 0)
        height, width = texture.shape[:2]
        colors[own] *= texture[((1 - v) * height).astype(int) % height, (u * width).astype(int) % width] / 255
    return (colors.mean(axis=1) * mesh.areas[:, None]).sum(axis=0) / mesh.areas.sum()


def check(mesh, color=GREY, area=10.0, triangles=12):
    assert mesh.areas.sum() == pytest.approx(area, rel=1e-4)
    assert len(mesh.faces) == triangles
    np.testing.assert_allclose(shown(mesh), color, atol=1.5)


@pytest.mark.skipif(not CASES.exists(), reason="../shared/cases is not beside this checkout")
def test_cases():
    expected = json.loads((CASES / "expected.json").read_text("utf-8"))
    for name, right in expected.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if "gl_v1" in name:
                with pytest.raises(MeshError, match=r"glTF 1\.0.*npx gltf-pipeline"):
                    read_mesh(CASES / name)
                continue
            mesh = read_mesh(CASES / name)
            check(mesh, right["mean_color"] or shown(mesh), right["area"], right["triangles"])


# ---- polygons

RING = np.array([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]])  # a U of area 7
HOLE = np.array(
    [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
)  # of area 12


@pytest.mark.parametrize(("ring", "area"), [(RING, 7), (HOLE, 12), (RING[::-1], 7)])
@pytest.mark.parametrize("suffix", ["obj", "ply", "off"])
def test_concave_polygons(tmp_path, ring, area, suffix):
    """In a wedge up to a point above, so that it is not flat."""
    points, n = [*([x, 0.5 * x, y] for x, y in ring), [1, 9, 1]], len(ring)
    faces = [list(range(n)), [0, 1, n]]
    rows = [" ".join(map(str, p)) for p in points]
    polygons = [f"{len(face)} " + " ".join(map(str, face)) for face in faces]
    head = f"ply\nformat ascii 1.0\nelement vertex {n + 1}\n{XYZ}element face 2\n{INDEX}end_header"
    text = {
        "obj": [*(f"v {row}" for row in rows), *("f " + " ".join(str(i + 1) for i in f) for f in faces)],
        "off": ["OFF", f"{n + 1} 2 0", *rows, *polygons],
        "ply": [head, *rows, *polygons],
    }
    mesh = read_mesh(folder(tmp_path, **{f"m_{suffix}": "\n".join(text[suffix])}))
    slope = mesh.face_normals[:, 0] * mesh.face_normals[:, 1] < -0.3
    assert mesh.areas[slope].sum() == pytest.approx(area * np.hypot(1, 0.5), rel=1e-5)
    sides = mesh.face_normals[slope] @ [0, 1, 0]
    assert (sides > 0).all() or (sides < 0).all()


def test_triangles_fill_their_polygons():
    rng = np.random.default_rng(0)
    counts = rng.integers(3, 30, 200)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rings, areas = [], []
    for n in counts:
        angle, reach = (np.arange(n) + rng.random(n) / 3) * 2 * np.pi / n, rng.uniform(0.2, 1, n)
        x, y = reach * np.cos(angle), reach * np.sin(angle)
        rings.append(np.stack([x, y, np.zeros(n)], 1) @ turn)
        areas.append((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)
    points = np.concatenate(rings)
    triangles, polygon = triangulated(points, counts)
    a, b, c = points[triangles].transpose(1, 0, 2)
    signed = np.cross(b - a, c - a) @ turn[2] * np.linalg.det(turn) / 2
    np.testing.assert_allclose(np.bincount(polygon, signed, len(counts)), areas, atol=1e-9)


# ---- OBJ


@pytest.mark.parametrize(
    ("mtl", "color"),
    [
        ("newmtl\tm\n\tKd\t1 1 1\n\tmap_Kd\tt.png", RED),
        ("NEWMTL m # steel\nMAP_KD t.png # its picture", RED),
        ("newmtl M\nmap_Kd T.PNG", RED),
        ("newmtl m\nmap_Kd -s 1 1 1 -o 0 0 -mm 0 1 -clamp off t.png", RED),
        ("newmtl m\nmap_Kd C:\\tex\\t.png", RED),
        ('newmtl m\nmap_Kd "t.png"', RED),
        ("newmtl m\nmap_Kd my%20t.png", RED),
        ("newmtl m\nmap_Kd my t.png", RED),
        ("newmtl m\nmap_Kd a #b.png", RED),
        ("newmtl m\nKd 0.5", (128, 128, 128)),
        ("newmtl m\nKd 1 0.5 0 # orange", (255, 128, 0)),
        ("newmtl m\nKd 0 0 0\nKe 1 0.5 0", (255, 128, 0)),
        ("newmtl m\nKd 0 0 0\nKe 1 1 1\nmap_Ke t.png", RED),
    ],
)
def test_material_libraries(tmp_path, mtl, color):
    for name in ("t.png", "my t.png", "a #b.png"):
        (tmp_path / name).write_bytes(picture())
    check(read_mesh(folder(tmp_path, m_mtl=mtl, m_obj=OBJ)), color)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_names_in_other_encodings(tmp_path, encoding):
    (tmp_path / "贴图.png").write_bytes(picture())
    check(read_mesh(folder(tmp_path, m_mtl="newmtl m\nmap_Kd 贴图.png\n".encode(encoding), m_obj=OBJ)), RED)


def test_texture_is_scaled_moved_and_ends(tmp_path):
    half = np.zeros((1, 2, 3), np.uint8) + np.array(
        [[0], [255]], np.uint8
    )  # black to the left, white to the right
    (tmp_path / "t.png").write_bytes(picture(half))
    for options, color in [
        ("", 128),
        ("-s 0.5 1 1", 255 * 0.05 / 0.4 * 0),
        ("-o 1 -clamp on", 255),
        ("-s 2", 128),
    ]:
        mesh = read_mesh(folder(tmp_path, m_mtl=f"newmtl m\nmap_Kd {options} t.png", m_obj=OBJ))
        np.testing.assert_allclose(shown(mesh), [color] * 3, atol=4)


def test_material_without_usemtl_and_faces_without_coordinates(tmp_path):
    (tmp_path / "t.png").write_bytes(picture())
    check(
        read_mesh(folder(tmp_path, m_mtl="newmtl m\nmap_Kd t.png", m_obj=OBJ.replace("usemtl m\n", ""))), RED
    )
    path = folder(tmp_path, m_obj=OBJ + "f 1 2 3\n")
    with pytest.warns(
        UserWarning, match=r"1 of the 13 faces of t.png have no texture coordinates and are grey"
    ):
        mesh = read_mesh(path)
    check(mesh, (np.array(RED) * 10 + np.array(GREY)) / 11, 11, 13)
    path = folder(tmp_path, m_mtl="newmtl m\nnewmtl n", m_obj=OBJ.replace("usemtl m\n", ""))
    with pytest.warns(
        UserWarning, match="no 'usemtl' says which of 2 materials its faces have; they are grey"
    ):
        check(read_mesh(path))


@pytest.mark.parametrize(
    ("text", "color"),
    [
        (OBJ_V + OBJ_F.replace("\n", " # side\n"), GREY),
        ((OBJ_V + OBJ_F).replace("\n", "\r"), GREY),
        (OBJ_V.replace("\n", " 1.0 0.5 0\n") + OBJ_F, (255, 128, 0)),
        (OBJ_V.replace("\n", " 51 102 153\n") + OBJ_F, (51, 102, 153)),
        (OBJ_V.replace("\n", " 0.2 0.4 0.6 1\n") + OBJ_F, (51, 102, 153)),
        (OBJ_V.replace("v 2", "#v 9\n V  2").replace(" ", "\t") + OBJ_F, GREY),
        (
            "".join("".join(f"v {x} {y} {z}\n" for x, y, z in V[quad]) + "f -4 -3 -2 -1\n" for quad in QUADS),
            GREY,
        ),
    ],
)
def test_obj_as_it_comes(tmp_path, text, color):
    check(read_mesh(folder(tmp_path, m_obj=text)), color)


def test_colours_of_some_vertices(tmp_path):
    text = "".join(f"v {x} {y} {z}{' 1 0 0' if x else ''}\n" for x, y, z in V) + OBJ_F
    mesh = read_mesh(folder(tmp_path, m_obj=text))
    np.testing.assert_array_equal(mesh.colors, np.where(mesh.vertices[:, :1] > 0, [255, 0, 0], GREY))


# ---- textures


def test_grey_of_16_bits_and_very_large_textures(tmp_path, monkeypatch):
    (tmp_path / "t.png").write_bytes(picture(np.full((4, 4), 40000, np.uint16)))
    path = folder(tmp_path, m_mtl="newmtl m\nmap_Kd t.png", m_obj=OBJ)
    check(read_mesh(path), (156, 156, 156))
    (tmp_path / "t.png").write_bytes(picture(size=(40, 60)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    check(read_mesh(path), RED)
    monkeypatch.setattr(pictures, "LARGE", 2000)
    with pytest.warns(UserWarning, match=r"t.png of 60 x 40 pixels is taken at half its size"):
        assert read_mesh(path).textures[0].shape == (20, 30, 3)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2000)
    with pytest.warns(UserWarning, match=r"60 x 40 pixels, of which at most 2,000 are read; shrink it"):
        check(read_mesh(path))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
        (b"\xabKTX 20\xbb", "KTX textures cannot be read"),
        (b"junk", "cannot identify"),
    ],
)
def test_a_texture_that_is_none_says_why(tmp_path, data, reason):
    path = folder(tmp_path, m_mtl="newmtl m\nmap_Kd t.png", t_png=data, m_obj=OBJ)
    with pytest.warns(
        UserWarning, match=rf"texture t.png is missing or broken \(.*{reason}.*\); its surface is grey"
    ):
        check(read_mesh(path))


# ---- PLY, STL, OFF


def ply(form, *rest, colors="", faces=f"element face 6\n{INDEX}", body=b""):
    return f"ply\nformat {form} 1.0\nelement vertex 8\n{XYZ}{colors}{faces}end_header\n".encode() + body


def lists(polygons, order="<"):
    return b"".join(struct.pack(f"{order}B{len(p)}i", len(p), *p) for p in polygons)


MIXED = [*F[:2], *QUADS[1:]]
ROWS = "".join(f"{x} {y} {z}\n" for x, y, z in V)
TEXT = "".join(f"4 {' '.join(map(str, quad))}\n" for quad in QUADS).encode()


@pytest.mark.parametrize(
    ("data", "color"),
    [
        (
            ply("binary_little_endian", faces=f"element face 7\n{INDEX}", body=V.tobytes() + lists(MIXED)),
            GREY,
        ),
        (
            ply(
                "binary_big_endian",
                faces=f"element face 7\n{INDEX}",
                body=V.astype(">f4").tobytes() + lists(MIXED, ">"),
            ),
            GREY,
        ),
        (ply("binary_little_endian", body=V.tobytes() + lists(QUADS) + b"\n"), GREY),
        (
            ply("binary_little_endian").replace(b"\n", b"\r") + V.tobytes() + lists(QUADS),
            GREY,
        ),
        (ply("binary_little_endian").replace(b"\n", b"\r\n") + V.tobytes() + lists(QUADS), GREY),
        (
            ply("ascii", body=ROWS.encode() + TEXT).replace(b"ply\n", "ply\ncomment Straße 箱\n".encode()),
            GREY,
        ),
        (ply("ascii", body=ROWS.encode() + TEXT).replace(b"ply\n", b"ply\ncomment Stra\xdfe\n"), GREY),
        (ply("ascii", body=ROWS.replace("\n", " ").encode() + TEXT), GREY),
        (ply("ascii", body=ROWS.encode() + TEXT.replace(b"\n", b" 9 1 1\n")), GREY),
        (
            ply(
                "ascii",
                colors="".join(f"property ushort diffuse_{c}\n" for c in ("red", "green", "blue")),
                body=ROWS.replace("\n", " 51400 10280 10280\n").encode() + TEXT,
            ),
            RED,
        ),
        (
            ply(
                "ascii",
                colors="property float r\nproperty float g\nproperty float b\n",
                body=ROWS.replace("\n", " 1 0.5 0\n").encode() + TEXT,
            ),
            (255, 128, 0),
        ),
    ],
)
def test_ply_as_it_comes(tmp_path, data, color):
    check(read_mesh(folder(tmp_path, m_ply=data)), color)


@pytest.mark.parametrize("kind", ["int", "uint"])
def test_ply_strips(tmp_path, kind):
    strip = [0, 1, 2, 3, 6, 7, 4, 5, 0, 1, -1, 0, 2, 4, 6, -1, 1, 5, 3, 7]
    faces = f"element tristrips 1\nproperty list int {kind} vertex_indices\n"
    body = V.tobytes() + struct.pack(f"<{1 + len(strip)}i", len(strip), *strip)
    mesh = read_mesh(folder(tmp_path, m_ply=ply("binary_little_endian", faces=faces, body=body)))
    check(mesh)
    a, b, c = mesh.vertices[mesh.faces].astype(float).transpose(1, 0, 2)
    assert abs(np.einsum("fi,fi->", a, np.cross(b, c)) / 6) == pytest.approx(2)  # all turn the same way


def test_ply_textures_by_face(tmp_path):
    """Two of them, and coordinates at the corners, as MeshLab writes them."""
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "b.png").write_bytes(picture((0, 0, 255)))
    faces = f"element face 6\n{INDEX}property list uchar float texcoord\nproperty int texnumber\n"
    body = ROWS + "".join(
        f"4 {' '.join(map(str, quad))} 8 .1 .1 .9 .1 .9 .9 .1 .9 {int(k >= 4)}\n"
        for k, quad in enumerate(QUADS)
    )
    data = ply("ascii", faces=faces, body=body.encode())
    mesh = read_mesh(
        folder(
            tmp_path,
            m_ply=data.replace(b"ply\n", b"ply\ncomment TextureFile a.png\ncomment TextureFile b.png\n"),
        )
    )
    check(mesh, (np.array(RED) * 8 + np.array([0, 0, 255]) * 2) / 10)
    assert len(mesh.textures) == 2


STL = "".join(
    "facet normal 0 0 0\nouter loop\n"
    + "".join(f"vertex {x} {y} {z}\n" for x, y, z in V[face])
    + "endloop\nendfacet\n"
    for face in F
)
RECORDS = b"".join(bytes(12) + V[face].tobytes() + bytes(2) for face in F)


@pytest.mark.parametrize(
    "data",
    [
        b"solid Stra\xdfe\n" + STL.encode() + b"endsolid Stra\xdfe",
        "solid 箱 vertex 1 2 3\n".encode() + STL.encode() + b"endsolid",
        b"\xef\xbb\xbfsolid\n" + STL.encode(),
        b"SOLID\n" + STL.upper().replace("\n", " ").encode(),
        b"solid but binary".ljust(80) + struct.pack("<I", 12) + RECORDS,
        bytes(80) + struct.pack("<I", 12) + RECORDS + b"\r\n",
    ],
)
def test_stl_as_it_comes(tmp_path, data):
    check(read_mesh(folder(tmp_path, m_stl=data)))


@pytest.mark.parametrize(
    ("text", "color"),
    [
        (f"OFF\n8 6 0\n{ROWS.replace(chr(10), ' ')}\n{TEXT.decode()}", GREY),
        (f"off 8 6\n{ROWS}{TEXT.decode().replace(chr(10), ' ')}", GREY),
        (f"# by hand\nOFF # and more\n8 6 12\n\n{ROWS}\n{TEXT.decode()}# end", GREY),
        (f"OFF8 6 0\n{ROWS}{TEXT.decode()}", GREY),
        (f"COFF\n8 6 0\n{ROWS.replace(chr(10), f' 200 40 40 255{chr(10)}')}{TEXT.decode()}", RED),
        (f"OFF\n8 6 0\n{ROWS}{TEXT.decode().replace(chr(10), f' 200 40 40{chr(10)}')}", RED),
        (f"OFF\n8 6 0\n{ROWS}{TEXT.decode().replace(chr(10), f' 1.0 0.5 0.0{chr(10)}')}", (255, 128, 0)),
    ],
)
def test_off_as_it_comes(tmp_path, text, color):
    check(read_mesh(folder(tmp_path, m_off=text)), color)


def test_nan_that_no_face_uses(tmp_path):
    check(read_mesh(folder(tmp_path, m_obj=OBJ_V + "v nan nan nan\n" + OBJ_F)))
    data = ply("ascii", body=ROWS.encode() + b"nan nan inf\n" + TEXT).replace(b"vertex 8", b"vertex 9")
    check(read_mesh(folder(tmp_path, m_ply=data)))
    check(read_mesh(folder(tmp_path, m_off=f"OFF\n9 6 0\n{ROWS}nan nan nan\n{TEXT.decode()}")))


# ---- glTF


class Gltf:
    """A glTF of the box; ``add`` puts an array into its buffer and gives its accessor's number."""

    def __init__(self):
        self.buffer = b""
        self.header = {
            "asset": {"version": "2.0"},
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "accessors": [],
            "bufferViews": [],
        }
        uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]] * 6, np.float32)
        self.primitive = {
            "attributes": {"POSITION": self.add(V[QUADS].reshape(-1, 3)), "TEXCOORD_0": self.add(uv)},
            "indices": self.add(
                (np.arange(6, dtype=np.uint16)[:, None] * 4 + [0, 1, 2, 0, 2, 3]).astype("<u2").reshape(-1, 1)
            ),
        }
        self.header["meshes"] = [{"primitives": [self.primitive]}]

    def add(self, array, **more):
        array = np.ascontiguousarray(array)
        self.header["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.buffer), "byteLength": array.nbytes}
        )
        self.buffer += array.tobytes() + bytes(-array.nbytes % 4)
        kinds = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
        accessor = {
            "bufferView": len(self.header["bufferViews"]) - 1,
            "componentType": kinds[array.dtype.name],
        }
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[array.shape[1]]
        self.header["accessors"].append(accessor | {"count": len(array), "type": kind} | more)
        return len(self.header["accessors"]) - 1

    def textured(self, name="t.png", **sampler):
        self.header |= {
            "images": [{"uri": name}],
            "textures": [{"source": 0, "sampler": 0}],
            "samplers": [sampler],
        }
        self.material({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}})

    def material(self, material):
        self.header["materials"] = [material]
        self.primitive["material"] = 0

    def json(self, buffer=None):
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.buffer).decode()
        return json.dumps(self.header | {"buffers": [buffer or {"byteLength": len(self.buffer), "uri": uri}]})

    def glb(self):
        text = self.json({"byteLength": len(self.buffer)}).encode()
        text += b" " * (-len(text) % 4)
        chunks = (
            struct.pack("<I4s", len(text), b"JSON")
            + text
            + struct.pack("<I4s", len(self.buffer), b"BIN\0")
            + self.buffer
        )
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


@pytest.fixture
def box():
    return Gltf()


WHITE = (255, 255, 255)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("my%20t.png", "my t.png"),
        ("%E8%B4%B4%E5%9B%BE.png", "贴图.png"),
        ("贴图.png", "贴图.png"),
        ("a%23b.png", "a#b.png"),
        ("a%23b.png", "a%23b.png"),
        ("T.PNG", "t.png"),
        ("Stra\u00dfe\u0308.png", "Straßë.png"),
    ],
)
def test_uris(tmp_path, box, uri, name):
    (tmp_path / name).write_bytes(picture())
    box.textured(uri)
    (tmp_path / "m y.bin").write_bytes(box.buffer)
    check(
        read_mesh(folder(tmp_path, m_gltf=box.json({"byteLength": len(box.buffer), "uri": "m%20y.bin"}))), RED
    )


def test_glb_by_another_name_and_glTF_by_it(tmp_path, box):
    box.material({})
    check(read_mesh(folder(tmp_path, m_gltf=box.glb())), WHITE)
    check(read_mesh(folder(tmp_path, m_glb="\ufeff" + box.json())), WHITE)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "int8"])
def test_normalised_integers(tmp_path, box, kind):
    (tmp_path / "t.png").write_bytes(picture())
    box.textured()
    top = np.iinfo(kind).max
    uv = np.tile([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]], (6, 1)) * top
    box.primitive["attributes"]["TEXCOORD_0"] = box.add(uv.astype(kind), normalized=True)
    box.primitive["attributes"]["POSITION"] = box.add(
        (V[QUADS].reshape(-1, 3) / 2 * top).round().astype(kind), normalized=True
    )
    box.header["nodes"][0]["scale"] = [2, 2, 2]
    mesh = read_mesh(folder(tmp_path, m_gltf=box.json()))
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [2, 1, 1], atol=0.02)
    np.testing.assert_allclose(shown(mesh), RED, atol=1)
    box.primitive["attributes"]["TEXCOORD_0"] = box.add(uv.astype(kind))
    with pytest.raises(MeshError, match="not floats, nor normalised, need KHR_mesh_quantization"):
        read_mesh(folder(tmp_path, m_gltf=box.json()))


def test_sparse_accessors(tmp_path, box):
    box.material({})
    points = V[QUADS].reshape(-1, 3)
    moved = np.flatnonzero(points[:, 0] > 0)
    base = box.header["accessors"][box.add(np.where(points > 1, 0, points).astype(np.float32))]
    numbers = [box.header["accessors"][box.add(a)] for a in (moved.astype(np.uint8)[:, None], points[moved])]
    indices, values = ({"bufferView": a["bufferView"]} for a in numbers)
    base["sparse"] = {"count": len(moved), "indices": indices | {"componentType": 5121}, "values": values}
    box.primitive["attributes"]["POSITION"] = len(box.header["accessors"]) - 3
    check(read_mesh(folder(tmp_path, m_gltf=box.json())), WHITE)


@pytest.mark.parametrize(
    ("wrap", "color"), [(10497, (127.5, 0, 127.5)), (33071, (0, 0, 255)), (33648, (127.5, 0, 127.5))]
)
def test_wrap_modes(tmp_path, box, wrap, color):
    """Red to the left, blue to the right; the coordinates go from 1 to 3."""
    (tmp_path / "t.png").write_bytes(picture(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)))
    box.textured(wrapS=wrap)
    uv = np.tile(np.array([[1, 0.1], [3, 0.1], [3, 0.9], [1, 0.9]], np.float32), (6, 1))
    box.primitive["attributes"]["TEXCOORD_0"] = box.add(uv)
    np.testing.assert_allclose(shown(read_mesh(folder(tmp_path, m_gltf=box.json()))), color, atol=6)


def test_parts_share_a_texture_that_ends(tmp_path, box):
    (tmp_path / "t.png").write_bytes(picture())
    box.textured(wrapS=33071, wrapT=33648)
    uv = np.tile(np.array([[-3, 0.1], [4, 0.1], [4, 1.9], [-3, 0.9]], np.float32), (6, 1))
    more = {"POSITION": box.primitive["attributes"]["POSITION"], "TEXCOORD_0": box.add(uv * np.float32(0.9))}
    box.primitive["attributes"]["TEXCOORD_0"] = box.add(uv)
    box.header["meshes"][0]["primitives"].append(box.primitive | {"attributes": more})
    mesh = read_mesh(folder(tmp_path, m_gltf=box.json()))
    check(mesh, RED, 20, 24)
    assert len(mesh.textures) == 1


def test_mirrored_texture_goes_back(tmp_path, box):
    (tmp_path / "t.png").write_bytes(picture(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8)))
    box.textured(wrapT=33648)
    uv = np.tile(
        np.array([[0.1, 1.6], [0.9, 1.6], [0.9, 1.9], [0.1, 1.9]], np.float32), (6, 1)
    )  # which is 0.1 to 0.4
    box.primitive["attributes"]["TEXCOORD_0"] = box.add(uv)
    check(read_mesh(folder(tmp_path, m_gltf=box.json())), (255, 0, 0))


def test_instances_and_hidden_nodes(tmp_path, box):
    box.material({})
    places = box.add(np.array([[0, 0, 0], [5, 0, 0], [9, 0, 0]], np.float32))
    sizes = box.add(np.array([[1, 1, 1], [2, 2, 2], [-1, 1, 1]], np.float32))
    hidden = {"KHR_node_visibility": {"visible": False}}
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places, "SCALE": sizes}}}
    box.header["scenes"][0]["nodes"] = [0, 1]
    box.header["nodes"] = [
        {"mesh": 0, "extensions": instances, "name": "many"},
        {"children": [2], "extensions": hidden},
        {"mesh": 0},
    ]
    box.header["extensionsRequired"] = ["EXT_mesh_gpu_instancing", "KHR_node_visibility"]
    mesh, names, _ = read_named(folder(tmp_path, m_gltf=box.json()))
    check(mesh, WHITE, 10 + 40 + 10, 36)
    assert names == ("many",)
    assert mesh.vertices[:, 0].max() == 9
    a, b, c = mesh.vertices[mesh.faces].astype(float).transpose(1, 0, 2)
    assert abs(np.einsum("fi,fi->", a, np.cross(b, c)) / 6) == pytest.approx(2 + 16 + 2, rel=1e-5)


GLOSS = "KHR_materials_pbrSpecularGlossiness"


@pytest.mark.parametrize(
    ("material", "color"),
    [
        ({"extensions": {GLOSS: {"diffuseFactor": [0.8, 0.2, 0.4, 1]}}}, (204, 51, 102)),
        ({"extensions": {GLOSS: {"diffuseTexture": {"index": 0}}}}, RED),
        (
            {"extensions": {GLOSS: {"diffuseFactor": [0, 0, 0, 1], "specularFactor": [1, 0.8, 0.2]}}},
            (255, 204, 51),
        ),
        (
            {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1]}, "emissiveFactor": [1, 0, 0]},
            (255, 0, 0),
        ),
        ({"emissiveTexture": {"index": 0}, "emissiveFactor": [1, 1, 1]}, RED),
        (
            {
                "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}},
                "emissiveTexture": {"index": 0},
                "emissiveFactor": [1, 1, 1],
            },
            RED,
        ),
    ],
)
def test_materials(tmp_path, box, material, color):
    (tmp_path / "t.png").write_bytes(picture())
    box.textured()
    box.material(material)
    check(read_mesh(folder(tmp_path, m_gltf=box.json())), color)


def test_fans_strips_and_what_has_no_positions(tmp_path, box):
    box.material({})
    more = {"attributes": {"POSITION": box.add(V)}, "material": 0}
    fan = more | {"mode": 6, "indices": box.add(np.array([[0], [2], [3], [1]], np.uint8))}
    strip = more | {"mode": 5, "indices": box.add(np.array([[0], [1], [2], [3]], np.uint8))}
    none = {"attributes": {"TEXCOORD_0": 1}, "material": 0}
    box.header["meshes"][0]["primitives"] += [fan, strip, none, more | {"mode": 1}]
    check(read_mesh(folder(tmp_path, m_gltf=box.json())), WHITE, 10 + 2 + 2, 16)


@pytest.mark.skipif(not find_spec("meshopt"), reason="pip install meshopt")
def test_meshopt(tmp_path, box):
    import meshopt

    box.material({})
    packed = meshopt.encode_gltf_buffer(V[QUADS].reshape(-1, 3), "ATTRIBUTES")
    view = box.header["bufferViews"][0]
    extension = {"buffer": 0, "byteOffset": len(box.buffer), "byteLength": len(packed), "byteStride": 12}
    view["extensions"] = {"EXT_meshopt_compression": extension | {"mode": "ATTRIBUTES", "count": 24}}
    box.buffer = bytes(view["byteLength"]) + box.buffer[view["byteLength"] :] + packed
    box.header["extensionsRequired"] = ["EXT_meshopt_compression"]
    check(read_mesh(folder(tmp_path, m_gltf=box.json())), WHITE)


@pytest.mark.skipif(not find_spec("DracoPy"), reason="pip install DracoPy")
def test_draco(tmp_path):
    box = trimesh.Scene(trimesh.Trimesh(V, F, process=False))
    data = trimesh.exchange.gltf.export_glb(box, extension_draco=True)
    assert b"KHR_draco_mesh_compression" in data
    check(read_mesh(folder(tmp_path, m_glb=data)))


def test_what_decodes_is_named_where_it_is_missing(tmp_path, box, monkeypatch):
    monkeypatch.setattr(gltf, "find_spec", lambda name: None)
    monkeypatch.setattr(gltf_data, "find_spec", lambda name: None)
    packed = {"buffer": 1, "byteLength": 9, "byteStride": 12, "mode": "ATTRIBUTES", "count": 24}
    box.header["bufferViews"][0] |= {"buffer": 1, "extensions": {"EXT_meshopt_compression": packed}}
    box.header["extensionsUsed"] = ["EXT_meshopt_compression"]
    told = r"pip install meshopt .*'npx gltfpack -noq"
    for _ in range(2):
        text = json.loads(box.json())
        text["buffers"].append({"byteLength": 9})
        with pytest.raises(MeshError, match=told):
            read_mesh(folder(tmp_path, m_gltf=json.dumps(text)))
        box.header["extensionsRequired"] = ["EXT_meshopt_compression"]
    box.header["accessors"][0].pop("bufferView")
    box.header |= {"extensionsUsed": ["KHR_draco_mesh_compression"], "extensionsRequired": []}
    with pytest.raises(MeshError, match="pip install DracoPy"):
        read_mesh(folder(tmp_path, m_gltf=box.json()))


# ---- what is refused says what it is and what to do


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("m.glb", b"version https://git-lfs.github.com/spec/v1\noid", r"a Git LFS pointer.*'git lfs pull'"),
        ("m.obj", b"<!DOCTYPE html><html>404", "not an OBJ file.*a web page, as a failed download leaves it"),
        ("m.obj", ply("ascii", body=ROWS.encode()), r"not an OBJ file.*a PLY file; call it \.ply"),
        ("m.ply", b"PK\3\4", "not a PLY file.*a zip archive; unpack it"),
        ("m.stl", bytes(80) + struct.pack("<I", 12) + RECORDS[:-60], "truncated: .* 10 of its 12 triangles"),
        ("m.stl", b"solid\n" + STL[:-90].encode(), "truncated or malformed: 33 corners of 12 facets"),
        ("m.off", b"OFF BINARY\n", "binary OFF files cannot be read; export it as text"),
        ("m.off", b"4OFF\n", "not 3D"),
        (
            "m.ply",
            ply("binary_little_endian", body=V.tobytes() + lists(QUADS)[:-9]),
            "only 5 of its 6 rows of face",
        ),
        ("m.ply", ply("ascii", body=ROWS.encode() + TEXT[:20]), "only 2 of its 6 rows of face"),
        ("m.gltf", b'{"asset": {"version": "1.0"}}', r"glTF 1\.0.*npx gltf-pipeline"),
    ],
)
def test_what_is_refused(tmp_path, name, data, told):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MeshError, match=told) as caught:
        read_mesh(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            {"extensionsRequired": ["KHR_texture_basisu"]},
            "KHR_texture_basisu: export it with PNG or JPEG textures",
        ),
        ({"nodes": [{"mesh": 7}]}, "mesh 7 is not there; the file has 1"),
        ({"nodes": [{"children": [1, 2]}, {"children": [2]}, {"mesh": 0}]}, "node 2 has two parents"),
    ],
)
def test_gltf_is_refused(tmp_path, box, edit, told):
    box.header |= edit
    with pytest.raises(MeshError, match=told):
        read_mesh(folder(tmp_path, m_gltf=box.json()))
