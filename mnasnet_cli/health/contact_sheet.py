"""Draws the oddest images of a data set, with their boxes and captions, into one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.oddest import Odd
from mnasnet_cli.records.drawing import draw_sheet, draw_tile

TILE_SIZE = 200  # px
COLUMNS = 6
QUALITY = 80


def draw_contact_sheet(collection: Collection, oddest: Sequence[Odd]) -> bytes:
    """Return a JPEG with the images in their order, numbered from 1. Raises DataError if a record cannot be read."""
    tiles = []
    for number, odd in enumerate(oddest, 1):
        example, caption = collection.read(odd.split, odd.index), f"{number}. {odd.kind}: {odd.value}"
        tiles.append(draw_tile(example, collection.texts, TILE_SIZE, caption=caption))
    out = io.BytesIO()
    draw_sheet(tiles, TILE_SIZE, COLUMNS).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
