"""Draw some examples of record files with their labels or boxes into one picture; without TensorFlow."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from mnasnet_cli.data import schema
from mnasnet_cli.data.inspection import BOX_SIDES, OBJECT_LABEL, Features, examples, record_files, text_of
from mnasnet_cli.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

TILE, CAPTION, GAP = 200, 18, 8  # px


def draw_examples(path: Path, count: int, out: Path) -> int:
    """Draw the first `count` examples of the records with their labels or boxes into an image file; return how many."""
    from PIL import Image

    files = [file for paths in record_files(path).values() for file in paths]
    folder = path if path.is_dir() else path.parent
    synsets, texts = schema.read_labels(folder / schema.LABELS_FILE)
    tiles: list[Picture] = []
    for file in files:
        for features in examples(file):
            if len(tiles) == count:
                break
            tiles.append(_tile(features, texts or synsets))
    if not tiles:
        raise DataError(f"{path} holds no examples to draw")
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    step = TILE + GAP
    sheet = Image.new("RGB", (columns * step + GAP, rows * (step + CAPTION) + GAP), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + number % columns * step, GAP + number // columns * (step + CAPTION)))
    try:
        sheet.save(out)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write {out}: {error}") from error
    return len(tiles)


def _tile(features: Features, names: tuple[str, ...]) -> Picture:
    """Return one example as a picture of TILE px with a caption below."""
    from PIL import Image, ImageDraw, ImageFont

    tile = Image.new("RGB", (TILE, TILE + CAPTION), "white")
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(12)
    try:
        with Image.open(io.BytesIO(features[schema.ENCODED][0])) as image:
            picture = image.convert("RGB")
        picture.thumbnail((TILE, TILE))
        picture = picture if max(picture.size) == TILE else _enlarge(picture)
        tile.paste(picture, (0, 0))
    except (KeyError, IndexError, OSError, ValueError) as error:
        picture = Image.new("RGB", (TILE, TILE))
        draw.text((4, 4), f"no image: {error}"[:30], "red", font)
    labels = features.get(schema.LABEL) or []
    caption = text_of(features, schema.TEXT) or text_of(features, schema.SYNSET)
    if labels and not caption:
        caption = _name(labels[0], names)
    draw.text((2, TILE + 2), f"{' '.join(map(str, labels))} {caption.split(',')[0]}"[:32].strip(), "black", font)
    boxes = zip(*(features.get(side, []) for side in BOX_SIDES), strict=True)
    for (top, left, bottom, right), label in zip(boxes, features.get(OBJECT_LABEL, []), strict=False):
        width, height = picture.size
        draw.rectangle((left * width, top * height, right * width - 1, bottom * height - 1), outline="red", width=2)
        draw.text((left * width + 3, top * height + 1), _name(label, names), "yellow", font, stroke_width=1,
                  stroke_fill="black")  # fmt: skip
    return tile


def _enlarge(picture: Picture) -> Picture:
    scale = TILE / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _name(label: int, names: tuple[str, ...]) -> str:
    return names[label - 1] if 0 < label <= len(names) else str(label)
