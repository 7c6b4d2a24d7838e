"""Draws the oddest images of a data set, with their boxes and captions, into one picture."""

from __future__ import annotations

from collections.abc import Sequence

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.oddest import Odd
from mnasnet_cli.pages.sheets import draw_sheet
from mnasnet_cli.records.drawing import draw_example
from mnasnet_cli.system.pictures import encode

TILE_SIZE = 200  # px
COLUMNS = 6
QUALITY = 80


def draw_contact_sheet(collection: Collection, oddest: Sequence[Odd]) -> bytes:
    """Return a JPEG with the images in their order, numbered from 1. Raises DataError if a record cannot be read."""
    pictures, captions = [], []
    for number, odd in enumerate(oddest, 1):
        pictures.append(draw_example(collection.read(odd.split, odd.index), collection.texts, TILE_SIZE))
        captions.append(f"{number}. {odd.kind}\n{odd.value}")
    return encode(draw_sheet(pictures, captions, columns=COLUMNS, tile=TILE_SIZE), "JPEG", quality=QUALITY)
