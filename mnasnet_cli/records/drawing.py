"""Draws examples of record files, with their labels or boxes, into one image file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnasnet_cli.errors import DataError
from mnasnet_cli.pages.fonts import Font
from mnasnet_cli.pages.labels import Box, color_of, draw_boxes, fit_text
from mnasnet_cli.pages.sheets import FONT_SIZE, draw_sheet
from mnasnet_cli.records import dataset_info, keys, shards
from mnasnet_cli.records.describe import Features, examples, record_files, text_of
from mnasnet_cli.records.keys import BOX_SIDES, IS_CROWD, OBJECT_LABEL, OBJECT_TEXT
from mnasnet_cli.system.files import make_folder, write_atomically
from mnasnet_cli.system.pictures import encode

if TYPE_CHECKING:
    from PIL.Image import Image


LABEL_TILE_SIZE, BOX_TILE_SIZE = 200, 400  # px; boxes with names need more space


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
    pictures = [draw_example(features, texts or synsets, size) for features in rows]
    captions = [caption_of(features, texts or synsets) for features in rows]
    sheet = draw_sheet(pictures, captions, columns=math.ceil(math.sqrt(len(rows))), tile=size)
    make_folder(out.parent)
    write_atomically(out, encode(sheet, _format(out)))
    return len(rows)


def _format(out: Path) -> str:
    """Return Pillow's name of the format of a file name, such as "PNG"."""
    from PIL import Image

    found = Image.registered_extensions().get(out.suffix.lower())
    if found not in Image.SAVE:
        raise DataError(f"cannot write {out}: unknown file extension; name a file that ends in .png or .jpg")
    return found


def draw_example(features: Features, names: Sequence[str], size: int) -> Image:
    """Return the image of an example with its boxes; its longer side has `size` px.

    Args:
      names: of the classes; class i is at i - 1.
    """
    from PIL import Image, ImageDraw

    font = Font(FONT_SIZE)
    try:
        with Image.open(io.BytesIO(features[keys.ENCODED][0])) as encoded:
            encoded.draft("RGB", (size, size))  # a JPEG is decoded at 1/2, 1/4 or 1/8 if that is large enough
            image = encoded.convert("RGB")
        image.thumbnail((size, size))
        scale = size / max(image.size)
        if scale > 1:
            image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    except Exception as error:  # decoders raise all kinds of errors for a damaged image
        image = Image.new("RGB", (size, size), "white")
        font.draw(ImageDraw.Draw(image), (4, 4), fit_text(f"no image: {error}", font, size - 8), "red")
    _draw_boxes(image, features, names, font)
    return image


def _draw_boxes(picture: Image, features: Features, names: Sequence[str], font: Font) -> None:
    """Draw the boxes of an example into its picture."""
    size = picture.size
    boxes = list(zip(*(features.get(side, []) for side in BOX_SIDES), strict=False))
    labels = features.get(OBJECT_LABEL) or []
    texts = [text.decode("utf-8", "replace") for text in features.get(OBJECT_TEXT, [])]
    crowds = features.get(IS_CROWD) or []
    drawn = []
    # The largest boxes are drawn first, so that they do not hide the small ones.
    for number in sorted(range(len(boxes)), key=lambda number: _area(boxes[number])):
        label = labels[number] if number < len(labels) else 0
        name = texts[number] if number < len(texts) else _class_name(label, names)
        color = color_of(label or sum(name.encode()))
        is_crowd = number < len(crowds) and bool(crowds[number])
        top, left, bottom, right = boxes[number]
        corners = (left * size[0], top * size[1], right * size[0] - 1, bottom * size[1] - 1)
        drawn.append(Box(corners, f"{name} (crowd)" if is_crowd else name, color, dashed=is_crowd))
    draw_boxes(picture, drawn, font)


def caption_of(features: Features, names: Sequence[str]) -> str:
    """Return the file and the number of boxes of an example with boxes, else its class."""
    if BOX_SIDES[0] in features:
        count = len(features[BOX_SIDES[0]])
        return f"{text_of(features, keys.FILENAME)}: {count or 'no'} box{'es' * (count != 1)}"
    labels = features.get(keys.LABEL) or []
    caption = text_of(features, keys.TEXT) or text_of(features, keys.SYNSET)
    if labels and not caption:
        caption = _class_name(labels[0], names)
    return f"{' '.join(map(str, labels))} {caption.split(',')[0]}".strip()


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _class_name(label: int, names: Sequence[str]) -> str:
    return names[label - 1] if 0 < label <= len(names) else str(label)
