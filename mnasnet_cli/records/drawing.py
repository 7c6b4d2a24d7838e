"""Draws examples of record files, with their labels or boxes, into one image file."""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, keys, shards
from mnasnet_cli.records.describe import Features, examples, record_files, text_of
from mnasnet_cli.records.keys import BOX_SIDES, IS_CROWD, OBJECT_LABEL, OBJECT_TEXT

if TYPE_CHECKING:
    from PIL.Image import Image


LABEL_TILE_SIZE, BOX_TILE_SIZE = 200, 400  # px; boxes with names need more space
CAPTION_HEIGHT, GAP = 18, 8  # px
FONT_SIZE = 12  # px
DASH = 6  # px; length of the dashes around crowds


def draw_examples(path: Path, count: int, out: Path) -> int:
    """Draw the first `count` examples into the image file `out`, and return how many there are. Raises DataError."""
    files = [file for paths in record_files(path).values() for file in paths]
    folder = path if path.is_dir() else path.parent
    synsets, texts = dataset_info.read_labels(folder / shards.LABELS_FILE)
    rows: list[Features] = []
    for file in files:
        for features in examples(file):
            if len(rows) == count:
                break
            rows.append(features)
    if not rows:
        raise DataError(f"{path} contains no examples to draw")
    size = BOX_TILE_SIZE if any(BOX_SIDES[0] in features for features in rows) else LABEL_TILE_SIZE
    tiles = [draw_tile(features, texts or synsets, size) for features in rows]
    sheet = draw_sheet(tiles, size, math.ceil(math.sqrt(len(tiles))))
    try:
        sheet.save(out)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write {out}: {error}") from error
    return len(rows)


def draw_sheet(tiles: Sequence[Image], size: int, columns: int) -> Image:
    """Return the tiles of `draw_tile` as one image, row by row."""
    from PIL import Image

    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    step = size + GAP
    sheet = Image.new("RGB", (columns * step + GAP, rows * (step + CAPTION_HEIGHT) + GAP), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + number % columns * step, GAP + number // columns * (step + CAPTION_HEIGHT)))
    return sheet


def draw_tile(features: Features, names: Sequence[str], size: int, *, caption: str = "") -> Image:
    """Return one example as an image of size × size px with a caption below: by default its file or its class.

    names: of the classes; class i is at i - 1.
    """
    from PIL import Image, ImageDraw, ImageFont

    tile = Image.new("RGB", (size, size + CAPTION_HEIGHT), "white")
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(FONT_SIZE)
    try:
        with Image.open(io.BytesIO(features[keys.ENCODED][0])) as encoded:
            encoded.draft("RGB", (size, size))  # a JPEG is decoded at 1/2, 1/4 or 1/8 if that is large enough
            image = encoded.convert("RGB")
        image.thumbnail((size, size))
        scale = size / max(image.size)
        if scale > 1:
            image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        tile.paste(image, (0, 0))
        image_size = image.size
    except (KeyError, IndexError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        image_size = (size, size)
        draw.text((4, 4), f"no image: {error}"[:30], "red", font)
    draw.text((2, size + 2), caption or _caption(features, names), "black", font)
    _draw_boxes(draw, features, names, image_size, font)
    return tile


def _draw_boxes(draw: Any, features: Features, names: Sequence[str], size: tuple[int, int], font: Any) -> None:
    """Draw the boxes of an example into its image with the given (width, height) in px."""
    boxes = list(zip(*(features.get(side, []) for side in BOX_SIDES), strict=False))
    labels = features.get(OBJECT_LABEL) or []
    texts = [text.decode("utf-8", "replace") for text in features.get(OBJECT_TEXT, [])]
    crowds = features.get(IS_CROWD) or []
    # The largest boxes are drawn first, so that they do not hide the names of the small ones.
    for number in sorted(range(len(boxes)), key=lambda number: -_area(boxes[number])):
        label = labels[number] if number < len(labels) else 0
        name = texts[number] if number < len(texts) else _class_name(label, names)
        colour = _colour(label or sum(name.encode()))
        is_crowd = number < len(crowds) and bool(crowds[number])
        top, left, bottom, right = boxes[number]
        corners = [top * size[1], left * size[0], bottom * size[1], right * size[0]]
        _draw_box(draw, corners, f"{name} (crowd)" if is_crowd else name, colour, is_crowd, font)


def _caption(features: Features, names: Sequence[str]) -> str:
    if BOX_SIDES[0] in features:
        count = len(features[BOX_SIDES[0]])
        return f"{text_of(features, keys.FILENAME)}: {count or 'no'} box{'es' * (count != 1)}"
    labels = features.get(keys.LABEL) or []
    caption = text_of(features, keys.TEXT) or text_of(features, keys.SYNSET)
    if labels and not caption:
        caption = _class_name(labels[0], names)
    return f"{' '.join(map(str, labels))} {caption.split(',')[0]}"[:32].strip()


def _draw_box(draw: Any, corners: list[float], name: str, colour: str, dashed: bool, font: Any) -> None:
    """Outline a box (ymin, xmin, ymax, xmax in px) and write its name inside, or above it if it is flat."""
    top, left, bottom, right = corners
    bottom, right = max(top, bottom - 1), max(left, right - 1)
    if dashed:
        for start in range(int(left), int(right), 2 * DASH):
            draw.line([(start, top), (min(start + DASH, right), top)], colour, 2)
            draw.line([(start, bottom), (min(start + DASH, right), bottom)], colour, 2)
        for start in range(int(top), int(bottom), 2 * DASH):
            draw.line([(left, start), (left, min(start + DASH, bottom))], colour, 2)
            draw.line([(right, start), (right, min(start + DASH, bottom))], colour, 2)
    else:
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
    above = bottom - top < 2 * FONT_SIZE and top > FONT_SIZE + 2
    place = left + 2, top - FONT_SIZE - 3 if above else top + 1
    draw.rectangle(draw.textbbox(place, name, font), fill=colour)
    draw.text(place, name, "black", font)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _colour(label: int) -> str:
    """Return a light colour. Hues change by the golden ratio, so neighbouring labels have different colours."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618034 % 1, 0.6, 1.0)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def _class_name(label: int, names: Sequence[str]) -> str:
    return names[label - 1] if 0 < label <= len(names) else str(label)
