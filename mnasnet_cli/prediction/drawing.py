"""Draws predictions: boxes with names and scores, or a strip with the most probable classes below the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.pages import labels
from mnasnet_cli.pages.labels import Box, color_of_name, fit_text, font_for
from mnasnet_cli.prediction.images import InputImage
from mnasnet_cli.system.files import make_folder, write_atomically
from mnasnet_cli.system.pictures import encode

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PilImage


MARK = b"drawn by mnasnet predict"  # the comment in our JPEG files; only files with it are overwritten
BACKGROUND, BAR, TEXT = "#202020", "#3b6ea5", "white"
UNSEEN = 0.5  # brightness of what the net does not see, in an explanation
OPACITY = 0.7  # of the strongest contribution
MIN_SIDE = 160  # px of the longer side; smaller images are enlarged, so that names can be read
MIN_STRIP = 240  # px; room for names


class Annotator:
    """Writes annotated images below a folder, each under a unique name. Other images are never overwritten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[Path] = set()

    def write(self, image: InputImage, drawing: PilImage) -> Path:
        """Writes what was drawn of an image; returns the file."""
        path = self._free_path(image)
        make_folder(path.parent)
        write_atomically(path, encode(drawing, "JPEG", quality=92, comment=MARK))
        return path

    def _free_path(self, image: InputImage) -> Path:
        """A path that this run has not written and that holds no image except one drawn by an earlier run.

        Two input folders may hold images of the same name, and the output folder may be an input folder.
        """
        path = self.folder / image.output_path.with_name(f"{image.output_path.name}.jpg")
        number = 1
        while path in self._taken or not _can_overwrite(path):
            number += 1
            path = self.folder / image.output_path.with_name(f"{image.output_path.name}-{number}.jpg")
        self._taken.add(path)
        return path


def _can_overwrite(path: Path) -> bool:
    """Whether the path is free, or holds an image drawn by `mnasnet predict`."""
    from PIL import Image

    if not path.exists():
        return True
    try:
        with Image.open(path) as image:
            return bool(image.info.get("comment") == MARK)
    except OSError:
        return False


def draw_boxes(image: InputImage, boxes: Sequence[Mapping[str, Any]]) -> PilImage:
    """The image with boxes (xmin, ymin, xmax, ymax in px), names and scores; the best are drawn on top.

    An image whose longer side is under MIN_SIDE px is enlarged. A name that finds no free place is left out.
    """
    drawing = image.open()
    scale = _enlargement(drawing)
    drawing = _enlarge(drawing)
    font = font_for(drawing.size)
    line = max(2, round(font.size / 7))
    drawn = [
        Box([scale * float(box[side]) for side in ("xmin", "ymin", "xmax", "ymax")],
            f"{box['name']} {box['score']:.2f}", color_of_name(box["name"]), line)
        for box in boxes
    ]  # fmt: skip
    labels.draw_boxes(drawing, drawn, font)
    return drawing


def draw_classes(image: InputImage, predictions: Sequence[Mapping[str, Any]]) -> PilImage:
    """The image above a strip with a bar, the name and the probability of each class."""
    return _above_strip(image.open(), predictions)


def draw_contributions(
    image: InputImage,
    contributions: np.ndarray,
    window: tuple[int, int, int, int],
    explained: Mapping[str, Any],
) -> PilImage:
    """The image with the parts that spoke for a class in colour, above a strip with the class.

    Args:
      contributions: float32 [h, w]; what is not positive did not speak for the class, and stays gray.
      window: left, top, right, bottom in px: the part of the image that the contributions cover. The rest is darker,
        because the net does not see it.
    """
    import numpy as np
    from PIL import Image

    left, top, right, bottom = window
    positive = np.maximum(contributions, 0.0).astype(np.float32)
    strength = positive / positive.max() if positive.any() else positive
    resized = Image.fromarray(strength).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(resized), 0.0, 1.0)[..., np.newaxis]
    colour = np.concatenate([np.full_like(heat, 255), 220 * heat, np.zeros_like(heat)], axis=-1)  # red to yellow
    gray = np.asarray(image.open().convert("L").convert("RGB"), np.float32)
    seen = gray[top:bottom, left:right]
    pixels = gray * UNSEEN
    pixels[top:bottom, left:right] = seen + (colour - seen) * heat * OPACITY
    return _above_strip(Image.fromarray(np.round(pixels).astype(np.uint8)), [explained])


def _above_strip(photo: PilImage, predictions: Sequence[Mapping[str, Any]]) -> PilImage:
    """The photo above a row with a bar for each class."""
    from PIL import Image, ImageDraw

    photo = _enlarge(photo)
    width = max(photo.width, MIN_STRIP)
    font = font_for(photo.size)
    row = round(font.size * 1.5)
    drawing = Image.new("RGB", (width, photo.height + row * len(predictions)), BACKGROUND)
    drawing.paste(photo, ((width - photo.width) // 2, 0))
    draw = ImageDraw.Draw(drawing)
    room = (row - sum(font.getmetrics())) / 2
    for number, prediction in enumerate(predictions):
        top = photo.height + number * row
        draw.rectangle((0, top + 1, round(prediction["probability"] * (width - 1)), top + row - 2), fill=BAR)
        percent = f"{100 * prediction['probability']:.1f} %"
        space = width - 16 - font.getlength("100.0 %")
        font.draw(draw, (4, top + room), fit_text(prediction["name"], font, space), TEXT)
        font.draw(draw, (width - 4 - font.getlength(percent), top + room), percent, TEXT)
    return drawing


def _enlargement(picture: PilImage) -> int:
    return max(1, -(-MIN_SIDE // max(picture.size)))


def _enlarge(picture: PilImage) -> PilImage:
    """Return a picture whose longer side has at least MIN_SIDE px."""
    scale = _enlargement(picture)
    return picture if scale == 1 else picture.resize((picture.width * scale, picture.height * scale))
