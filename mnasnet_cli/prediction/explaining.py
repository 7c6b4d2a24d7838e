"""Explains a class by the parts of the image that spoke for it: a class activation map.

The net ends in a mean over all positions and one linear layer. The logit of a class is therefore the mean, over the
positions, of what the features of each position contribute, plus a bias. The map holds these contributions, so it is
exact (Zhou et al., "Learning Deep Features for Discriminative Localization", 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mnasnet_cli.errors import DataError, nearest
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.prediction.images import InputImage
from mnasnet_cli.prediction.predict import top_classes
from mnasnet_cli.prediction.results import Prediction, ScoredClass
from mnasnet_cli.system.pictures import encode_quickly

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Explanation:
    """What each part of an image contributed to a class. A notebook shows it as `draw` returns it."""

    image: InputImage = field(repr=False)
    """The upright image: `image.open()` returns it as a Pillow image."""
    explained: ScoredClass
    """The class that is explained."""
    contributions: np.ndarray = field(repr=False, compare=False)
    """Float32 [h, w], by position. Their mean is the logit of the class without the bias."""
    logit: float
    """Of the class."""
    bias: float
    """Of the class, in the last layer."""
    window: Window
    """The part of the upright image that the net sees, and that the map covers: left, top, right, bottom, px."""

    @property
    def file(self) -> str:
        """The path as given or found. An image in memory is called after its place, such as "images[0]"."""
        return self.image.name

    def draw(self) -> PilImage:
        """Return the image with the parts that spoke for the class in colour, above the class and its probability."""
        from mnasnet_cli.prediction.drawing import draw_contributions

        return draw_contributions(self.image, self.contributions, self.window, self.explained.to_dict())

    def _repr_png_(self) -> bytes:
        return encode_quickly(self.draw())


def explain(runner: Runner, prediction: Prediction, label: str | None = None) -> Explanation:
    """Explain a class of a prediction that has a feature map.

    Args:
      label: label or name of the class; None: the most probable one.

    Raises:
      CheckpointError: the model is a detector or an artifact; see `Runner.last_layer`.
      DataError: there is no such class.
    """
    weights, biases = runner.last_layer()
    assert prediction.feature_map is not None
    logits = prediction.feature_map.mean(axis=(0, 1)) @ weights + biases
    classes = top_classes(runner, logits, len(biases))
    index = _class_number(runner, classes[0].label if label is None else label)
    explained = next(one for one in classes if one.label == runner.manifest.labels[index])
    return Explanation(
        image=prediction.image,
        explained=explained,
        contributions=prediction.feature_map @ weights[:, index],
        logit=float(logits[index]),
        bias=float(biases[index]),
        window=_window(runner, prediction.image),
    )


def _class_number(runner: Runner, label: str) -> int:
    for known in (runner.manifest.labels, runner.manifest.names):
        if label in known:
            return known.index(label)
    names = [*runner.manifest.names, *runner.manifest.labels]
    raise DataError(f"the model has no class '{label}'{nearest(label, names) or '; its classes are in .labels'}")


def _window(runner: Runner, image: InputImage) -> Window:
    import tensorflow as tf

    from mnasnet_cli.data.preprocessing import crop_window

    shape = tf.constant([image.height, image.width])
    top, left, height, width = crop_window(shape, runner.manifest.preprocessing).numpy().tolist()
    return left, top, left + width, top + height
