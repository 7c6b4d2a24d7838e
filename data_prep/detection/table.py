"""The images of one split with their boxes, and their records."""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path
from typing import Self

import numpy as np

from data_prep.detection.annotations import AnnotationFile
from data_prep.detection.boxes import Boxes
from data_prep.detection.layout import AnnotatedImages
from data_prep.files.archives import FileEntry
from data_prep.files.file_list import FileList, take
from data_prep.images.prepared_image import PreparedImage
from data_prep.writing.shard_job import Record
from mnasnet_cli.health.facts import ImageBoxes
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.image_files.header import BadImage
from mnasnet_cli.records.keys import AREA_LIMITS
from mnasnet_cli.records.orientation import upright_boxes, upright_size


class CocoTable(FileList):
    """The images of one split with their boxes, sorted by image id. names: of the classes; class i is at i - 1."""

    def __init__(self, images: AnnotatedImages, names: list[str]) -> None:
        place = images.tree.place(images.folder)
        super().__init__(Path(place.file or place.path), place.archive)
        self.names = names
        self.image_ids, self.heights, self.widths = array("q"), array("i"), array("i")
        self.boxes: Boxes

    def fill(self, file: AnnotationFile, entries: list[FileEntry], order: np.ndarray, images: AnnotatedImages) -> None:
        """Add the images of an annotation file.

        Args:
            entries: the file of each image. Its name is relative to the folder of `images`.
            order: [images], their numbers in the order of the table.
        """
        place = images.tree.place(images.folder)
        for number in order.tolist():
            self.append(entries[number], place)
            self.image_ids.append(file.image_ids[number])
            self.heights.append(file.heights[number])
            self.widths.append(file.widths[number])

    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """See `FileList`."""
        return np.repeat(np.arange(len(self)), np.diff(self.boxes.starts)), self.boxes.labels.astype(np.int64)

    def select(self, rows: np.ndarray) -> Self:
        """See `FileList`."""
        chosen = super().select(rows)
        chosen.image_ids, chosen.heights, chosen.widths = (
            take(column, rows) for column in (self.image_ids, self.heights, self.widths)
        )
        chosen.boxes = self.boxes.select(rows)
        return chosen

    def record(self, index: int, image: PreparedImage) -> Record:
        """Return an image's record. Raises BadImage if the annotation file has another image size."""
        is_stored_frame = self._is_of_stored_frame(index, image)
        boxes, rows = self.boxes, slice(*self.boxes.starts[index : index + 2].tolist())
        labels, crowds, areas = (column[rows].tolist() for column in (boxes.labels, boxes.crowds, boxes.areas))
        yxyx = boxes.yxyx[rows].tolist()
        if is_stored_frame:
            yxyx = upright_boxes(yxyx, image.orientation)
        example = encode_coco_example(
            image.data, image_id=self.image_ids[index], filename=self.name(index), height=image.height,
            width=image.width, boxes_yxyx=yxyx, classes=labels,
            texts=[self.names[label - 1] for label in labels], is_crowd=crowds, area=areas,
        )  # fmt: skip
        below_32, below_96 = (sum(area < limit for area in areas) for limit in AREA_LIMITS)
        counts = {"boxes": len(labels), "crowds": sum(crowds), "clipped": int(boxes.clipped[rows].sum())}
        sizes = {"small": below_32, "medium": below_96 - below_32, "large": len(areas) - below_96}
        return Record(example, labels, counts | sizes, ImageBoxes(yxyx, labels, crowds, areas))

    def _is_of_stored_frame(self, index: int, image: PreparedImage) -> bool:
        """Tell whether the boxes are in the frame that the file stores, and not in the upright picture.

        The size in the annotation file tells. Where both frames have this size, the boxes are in the upright picture:
        annotation tools show it. Raises BadImage if it is the size of neither.
        """
        expected = self.heights[index], self.widths[index]
        stored = image.stored_height, image.stored_width
        if expected == upright_size(*stored, image.orientation):
            return False
        if expected == stored:
            return True
        height, width = expected
        if (width, height) == stored:
            hint = "; perhaps a program turned the image by its EXIF data, or exchanged the two"
        elif abs(height * stored[1] - width * stored[0]) <= max(height, width, *stored):
            hint = f"; perhaps the boxes are of the same image at {width / stored[1]:.3g} times the size"
        else:
            hint = ""
        raise BadImage(
            f"the image has {stored[1]}×{stored[0]} px, but the annotation file says {width}×{height} px, so the boxes"
            f" do not fit{hint}"
        )

    def digest(self) -> str:
        """Return a SHA-256 of all names, ids and image sizes."""
        columns = (self.image_ids, self.heights, self.widths)
        return hashlib.sha256(self.name_bytes() + b"".join(column.tobytes() for column in columns)).hexdigest()
