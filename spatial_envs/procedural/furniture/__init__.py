"""The catalogue of an apartment's furniture: every function makes one piece of its category, seeded.

A piece stands on y = 0 with its back towards -Z, centred on x = z = 0; what hangs on a wall has its back at
z = 0 and its centre at y = 0. Metres.
"""

from spatial_envs.procedural.furniture.bathroom import (
    bathtub,
    shower,
    toilet,
    towel,
    washbasin,
    washing_machine,
)
from spatial_envs.procedural.furniture.decoration import (
    ceiling_lamp,
    clock,
    curtain,
    keyboard,
    lamp,
    mirror,
    picture,
    plant,
    rug,
    tv,
)
from spatial_envs.procedural.furniture.kitchen import (
    counter,
    kitchen_sink,
    oven,
    refrigerator,
    trash_can,
    wall_cabinet,
)
from spatial_envs.procedural.furniture.pieces import CATEGORIES, Piece, Style
from spatial_envs.procedural.furniture.seating import (
    armchair,
    bed,
    bench,
    chair,
    cushion,
    office_chair,
    sofa,
    stool,
)
from spatial_envs.procedural.furniture.storage import (
    bookshelf,
    cabinet,
    chest_of_drawers,
    nightstand,
    ornaments,
    wardrobe,
)
from spatial_envs.procedural.furniture.tables import coffee_table, desk, table

__all__ = (
    "CATEGORIES", "Piece", "Style", "armchair", "bathtub", "bed", "bench", "bookshelf", "cabinet",
    "ceiling_lamp", "chair", "chest_of_drawers", "clock", "coffee_table", "counter", "curtain", "cushion",
    "desk", "keyboard", "kitchen_sink", "lamp", "mirror", "nightstand", "office_chair", "ornaments",
    "oven", "picture", "plant", "refrigerator", "rug", "shower", "sofa", "stool", "table", "toilet",
    "towel", "trash_can", "tv", "wall_cabinet", "wardrobe", "washbasin", "washing_machine",
)  # fmt: skip
