"""A checkpoint as a model that can be run and exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from mnasnet_cli import __version__
from mnasnet_cli.checkpoints.reader import CheckpointContents, read_checkpoint
from mnasnet_cli.checkpoints.restoring import load_weights, net_config
from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.modules.classifier import make_classifier
from mnasnet_cli.modules.detector import make_detector
from mnasnet_cli.modules.info import net_cost
from mnasnet_cli.modules.postprocessing import postprocessing_of
from mnasnet_cli.modules.slim_module import SlimModule


@dataclass(frozen=True)
class LoadedModel:
    """A net with its weights in inference mode: `model(tensors, is_training=False)`."""

    contents: CheckpointContents
    config: Config
    model: SlimModule
    labels: tuple[str, ...]
    names: tuple[str, ...]
    preprocessing: Preprocessing
    postprocessing: Postprocessing | None
    """None for classifiers."""

    @property
    def task(self) -> TaskName:
        return self.config.task

    @property
    def image_size(self) -> int:
        return self.preprocessing.image_size

    def manifest(self, format: str = "checkpoint") -> Manifest:
        """Return the manifest without signature, parity and files, which the exporter adds."""
        params, multiplications = net_cost(self.config, self.image_size, len(self.labels))
        return Manifest(
            format=format,
            task=self.task,
            variant=self.config.model.variant,
            width=self.config.model.width,
            table=self.config.model.table.model_dump(mode="json") if self.config.model.table else None,
            labels=self.labels,
            names=self.names,
            preprocessing=self.preprocessing,
            postprocessing=self.postprocessing,
            source=self.contents.prefix,
            step=self.contents.step,
            averaged=self.contents.averaged,
            params=params,
            multiply_adds=multiplications,
            versions={"mnasnet": __version__, "tensorflow": tf.__version__},
            teacher=self.contents.info.get("teacher"),
        )


def load_model(prefix: str, *, image_size: int | None = None, ema: bool = True) -> LoadedModel:
    """Make the net of a checkpoint and load its weights.

    Args:
      prefix: the checkpoint's prefix (`checkpoints.files.find_checkpoint`).
      image_size: side of the net's input, px; None: the checkpoint's own.
      ema: prefer the averaged weights.

    Raises:
      CheckpointError: not a checkpoint of this toolkit, or damaged.
    """
    contents = read_checkpoint(prefix, ema=ema)
    config = net_config(contents)
    labels = tuple(contents.info["labels"])
    preprocessing = contents.preprocessing
    if image_size is not None:
        preprocessing = dataclasses.replace(preprocessing, image_size=image_size)
    return LoadedModel(
        contents=contents,
        config=config,
        model=_make_model(config, contents),
        labels=labels,
        names=tuple(contents.info.get("names") or labels),
        preprocessing=preprocessing,
        postprocessing=postprocessing_of(config.detection, list(map(int, labels))) if config.detection else None,
    )


def with_weights(loaded: LoadedModel, changed: Mapping[str, np.ndarray]) -> LoadedModel:
    """Return the net with new values for some of its weights, by name; `loaded` is not changed."""
    contents = dataclasses.replace(loaded.contents, weights={**loaded.contents.weights, **changed})
    return dataclasses.replace(loaded, contents=contents, model=_make_model(loaded.config, contents))


def _make_model(config: Config, contents: CheckpointContents) -> SlimModule:
    classes = len(contents.info["labels"])
    model = make_detector(config, classes) if config.detection else make_classifier(config, classes)
    load_weights(model, contents)
    return model
