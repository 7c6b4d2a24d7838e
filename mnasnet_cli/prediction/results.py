"""What a model says about an image: its most probable classes, or boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.prediction.images import InputImage
from mnasnet_cli.system.pictures import encode_quickly

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PilImage


@dataclass(frozen=True)
class ScoredClass:
    """A class with its probability."""

    label: str
    """As in the data set, such as a synset."""
    name: str
    """In words."""
    probability: float
    """In [0, 1]; those of all classes add up to 1."""

    @property
    def score(self) -> float:
        """The probability, under the name that it has for boxes."""
        return self.probability

    def to_dict(self) -> dict[str, Any]:
        """Return the class as JSON has it."""
        return {"class": self.label, "name": self.name, "probability": self.probability}


@dataclass(frozen=True)
class Box:
    """An object in an image. Its sides are in px of the upright image."""

    label: int
    """The category id of the data set."""
    name: str
    """The category in words."""
    score: float
    """In [0, 1]."""
    xmin: float
    """Left side, px."""
    ymin: float
    """Upper side, px."""
    xmax: float
    """Right side, px."""
    ymax: float
    """Lower side, px."""

    def to_dict(self) -> dict[str, Any]:
        """Return the box as JSON has it."""
        sides = {"xmin": self.xmin, "ymin": self.ymin, "xmax": self.xmax, "ymax": self.ymax}
        return {"class": self.label, "name": self.name, "score": self.score, **sides}


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image. A notebook shows it as the image with the prediction drawn on it."""

    task: TaskName
    """ "classification" or "detection"."""
    image: InputImage = field(repr=False)
    """The upright image: `image.open()` returns it as a Pillow image."""
    classes: tuple[ScoredClass, ...] = ()
    """A classifier's most probable classes, the most probable first; empty for a detector."""
    boxes: tuple[Box, ...] = ()
    """A detector's boxes, the best first; empty for a classifier."""
    feature_map: np.ndarray | None = field(default=None, repr=False, compare=False)
    """A classifier's last features before pooling, float32 [h, w, D], if they were asked for."""

    @property
    def file(self) -> str:
        """The path as given or found. An image in memory is called after its place, such as "images[0]"."""
        return self.image.name

    @property
    def width(self) -> int:
        """Of the upright image, px."""
        return self.image.width

    @property
    def height(self) -> int:
        """Of the upright image, px."""
        return self.image.height

    @property
    def damage(self) -> str:
        """What is damaged in the file, so that a part of the picture is missing, or ""."""
        return self.image.damage

    @property
    def best(self) -> ScoredClass | Box | None:
        """The most probable class, or the box with the highest score; None if there is no box."""
        found: tuple[ScoredClass | Box, ...] = self.classes or self.boxes
        return found[0] if found else None

    @property
    def label(self) -> str | int | None:
        """The label of the best class, or the category id of the best box; None if there is no box."""
        return self.best.label if self.best else None

    @property
    def name(self) -> str | None:
        """The best class or box in words; None if there is no box."""
        return self.best.name if self.best else None

    @property
    def score(self) -> float | None:
        """The probability of the best class, or the score of the best box; None if there is no box."""
        return self.best.score if self.best else None

    @property
    def probability(self) -> float | None:
        """The probability of the best class; None for a detector."""
        return self.classes[0].probability if self.classes else None

    @property
    def features(self) -> np.ndarray | None:
        """The pooled features, float32 [D]; None without a feature map."""
        return None if self.feature_map is None else self.feature_map.mean(axis=(0, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as `mnasnet predict --json` prints it."""
        row: dict[str, Any] = {"file": self.file, "width": self.width, "height": self.height}
        if self.task == "classification":
            return {**row, "predictions": [one.to_dict() for one in self.classes]}
        return {**row, "boxes": [box.to_dict() for box in self.boxes]}

    def draw(self) -> PilImage:
        """Return the image with its boxes, or above a strip with its classes."""
        from mnasnet_cli.prediction.drawing import draw_boxes, draw_classes

        row = self.to_dict()
        return draw_boxes(self.image, row["boxes"]) if "boxes" in row else draw_classes(self.image, row["predictions"])

    def _repr_png_(self) -> bytes:
        return encode_quickly(self.draw())
