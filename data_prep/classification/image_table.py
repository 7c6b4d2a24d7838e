"""The images of one split in little memory, and the records that they become."""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path

from data_prep.classification.split_images import Batch
from data_prep.files.file_list import FileList, Place
from data_prep.images.prepared_image import PreparedImage
from data_prep.writing.shard_job import Record
from mnasnet_cli.records.imagenet_example import encode_imagenet_example


class ImagenetTable(FileList):
    """The images of one split, sorted by class and name.

    labels: 1..N. synsets, texts: class i is at i - 1; all tables of a source share these lists.
    """

    labels: array[int]

    def __init__(self, base: Place, *, synsets: list[str], texts: list[str]) -> None:
        super().__init__(Path(base.path))
        self.synsets, self.texts = synsets, texts
        self.labels = array("H")

    def add(self, batch: Batch, label: int) -> None:
        """Append images."""
        self.extend(batch.files, batch.place)
        self.labels.extend([label] * len(batch.files))

    def record(self, index: int, image: PreparedImage) -> Record:
        """Return an image's record."""
        label = self.labels[index]
        example = encode_imagenet_example(
            image.data, label=label, synset=self.synsets[label - 1], text=self.texts[label - 1],
            filename=self.name(index), height=image.height, width=image.width, channels=image.channels,
        )  # fmt: skip
        return Record(example, (label,))

    def digest(self) -> str:
        """Return a SHA-256 of all names and labels."""
        return hashlib.sha256(self.name_bytes() + self.labels.tobytes()).hexdigest()
