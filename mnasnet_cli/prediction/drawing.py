"""What a net said of a picture, drawn: boxes with names and scores, or a strip with the likeliest classes."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.prediction.images import Picture
from mnasnet_cli.system.files import replace_atomically

if TYPE_CHECKING:
    from PIL.Image import Image as Drawing


MARK = b"drawn by mnasnet predict"  # the comment in our JPEGs: what has it may be drawn again, other files stay
LEAST_FONT = 12  # px; of large pictures, the 45th part of the longer side
BACKGROUND, BAR, TEXT = "#202020", "#3b6ea5", "white"


class Annotator:
    """Writes drawn pictures below a folder, each under a name of its own; never over a picture of someone else's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[Path] = set()

    def write(self, picture: Picture, row: Mapping[str, Any]) -> Path:
        """Draws what `row` (see `prediction.predict`) says of a picture; returns the file."""
        path = self._free(picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing = draw_boxes(picture, row["boxes"]) if "boxes" in row else draw_classes(picture, row["predictions"])
        with replace_atomically(path) as temporary:
            drawing.save(temporary, "JPEG", quality=92, comment=MARK)
        return path

    def _free(self, picture: Picture) -> Path:
        """A path that this run has not written, and that holds no picture but a drawing of an earlier run.

        Two folders may hold pictures of the same name, and the folder to write into may be one of those to read.
        """
        path = self.folder / picture.place.with_name(f"{picture.place.name}.jpg")
        number = 1
        while path in self._taken or not _is_free(path):
            number += 1
            path = self.folder / picture.place.with_name(f"{picture.place.name}-{number}.jpg")
        self._taken.add(path)
        return path


def _is_free(path: Path) -> bool:
    """Whether nothing is there, or a drawing of ours."""
    from PIL import Image

    if not path.exists():
        return True
    try:
        with Image.open(path) as image:
            return bool(image.info.get("comment") == MARK)
    except OSError:
        return False


def draw_boxes(picture: Picture, boxes: Sequence[Mapping[str, Any]]) -> Drawing:
    """The picture with boxes (xmin, ymin, xmax, ymax in px), each with its name and score; the best lie on top."""
    from PIL import ImageDraw

    drawing = _open(picture)
    draw, font = ImageDraw.Draw(drawing), _font(drawing)
    line = max(2, round(font.size / 7))
    for box in reversed(boxes):
        colour = _colour(box["name"])
        left, top = max(0.0, box["xmin"]), max(0.0, box["ymin"])
        right, bottom = min(drawing.width - 1.0, box["xmax"]), min(drawing.height - 1.0, box["ymax"])
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
        text = f"{box['name']} {box['score']:.2f}"
        _, _, width, height = draw.textbbox((0, 0), text, font)
        # Above the box, where there is room, and never beyond the picture.
        place = min(left, max(0.0, drawing.width - width - 4.0)), top - height - 4 if top > height + 4 else top
        draw.rectangle((*place, place[0] + width + 4, place[1] + height + 4), fill=colour)
        draw.text((place[0] + 2, place[1] + 1), text, "black", font)
    return drawing


def draw_classes(picture: Picture, predictions: Sequence[Mapping[str, Any]]) -> Drawing:
    """The picture above a strip with a bar for each of the likeliest classes, its name and probability."""
    from PIL import Image, ImageDraw

    photo = _open(picture)
    width = max(photo.width, 240)  # names need room
    font = _font(photo)
    row = round(font.size * 1.5)
    drawing = Image.new("RGB", (width, photo.height + row * len(predictions)), BACKGROUND)
    drawing.paste(photo, ((width - photo.width) // 2, 0))
    draw = ImageDraw.Draw(drawing)
    for number, prediction in enumerate(predictions):
        top = photo.height + number * row
        draw.rectangle((0, top + 1, round(prediction["probability"] * (width - 1)), top + row - 2), fill=BAR)
        percent = f"{prediction['probability']:.1%}"
        draw.text((4, top + row / 2), _fitting(draw, prediction["name"], font, width * 0.75), TEXT, font, anchor="lm")
        draw.text((width - 4, top + row / 2), percent, TEXT, font, anchor="rm")
    return drawing


def _open(picture: Picture) -> Drawing:
    from PIL import Image

    with Image.open(io.BytesIO(picture.encoded)) as image:
        return image.convert("RGB")


def _font(drawing: Drawing) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(max(LEAST_FONT, max(drawing.size) // 45))


def _fitting(draw: Any, text: str, font: Any, width: float) -> str:
    """The text, cut with an ellipsis where it is longer than `width` px."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text}…"


def _colour(name: str) -> str:
    """A light colour that a name always has; steps of the golden ratio keep neighbours apart."""
    red, green, blue = colorsys.hsv_to_rgb(sum(name.encode()) * 0.618034 % 1, 0.6, 1.0)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"
