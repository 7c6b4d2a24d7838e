"""A checkpoint as a model that can be run or exported, with all that belongs to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from mnasnet_cli import __version__
from mnasnet_cli.checkpoints.reader import CheckpointContents, read_checkpoint
from mnasnet_cli.checkpoints.restoring import config_of, load_weights
from mnasnet_cli.config.model_io import Postprocessing, Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.geometry import anchors, boxes
from mnasnet_cli.inference.manifest import TASKS, Kind, Manifest
from mnasnet_cli.models.classifier import make_classifier
from mnasnet_cli.models.detector import make_detector
from mnasnet_cli.models.slim_module import SlimModule
from mnasnet_cli.nets.detector_table import detector_multiply_adds, detector_parameters
from mnasnet_cli.nets.spec import count_parameters, multiply_adds

_KINDS = {task: kind for kind, task in TASKS.items()}


@dataclass(frozen=True)
class LoadedModel:
    """A net with its weights in inference mode: `model(tensors, is_training=False)`."""

    contents: CheckpointContents
    config: Config
    kind: Kind
    model: SlimModule
    labels: tuple[str, ...]
    names: tuple[str, ...]
    preprocessing: Preprocessing
    postprocessing: Postprocessing | None
    """None for classifiers."""

    @property
    def image_size(self) -> int:
        return self.preprocessing.image_size

    def manifest(self, form: str = "checkpoint") -> Manifest:
        """What is known of it whatever the format; signature, parity and files are the exporter's to add."""
        params, multiplications = _cost(self.config, len(self.labels))
        return Manifest(
            format=form,
            kind=self.kind,
            variant=self.config.model.variant,
            width=self.config.model.width,
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
        )


def load_model(prefix: str, *, image_size: int | None = None, ema: bool = True) -> LoadedModel:
    """Makes the net of a checkpoint and puts its weights into it.

    Args:
      prefix: of the checkpoint (`checkpoints.files.find_checkpoint`).
      image_size: side of the net's input, px; None: as it was evaluated.
      ema: take the averaged weights where there are any.

    Raises:
      CheckpointError: not a checkpoint of this toolkit, or damaged.
    """
    contents = read_checkpoint(prefix, ema=ema)
    info = contents.info
    if info.get("task") not in _KINDS:
        raise CheckpointError(f"{prefix} was written for the unknown task {info.get('task')!r}")
    kind = _KINDS[info["task"]]
    config = config_of(contents, image_size=image_size)
    labels = tuple(info["labels"])
    return LoadedModel(
        contents=contents,
        config=config,
        kind=kind,
        model=_make_model(config, contents),
        labels=labels,
        names=tuple(info.get("names") or labels),
        preprocessing=preprocessing_of(config, kind),
        postprocessing=_postprocessing(config, labels) if kind == "detector" else None,
    )


def with_weights(loaded: LoadedModel, changed: Mapping[str, np.ndarray]) -> LoadedModel:
    """The same net with other values for some of its weights, by name; `loaded` stays as it is."""
    contents = dataclasses.replace(loaded.contents, weights={**loaded.contents.weights, **changed})
    return dataclasses.replace(loaded, contents=contents, model=_make_model(loaded.config, contents))


def _cost(config: Config, classes: int) -> tuple[int, int]:
    """Parameters, and multiply-adds of one image."""
    spec, size = config.model.spec, config.eval_size
    if config.detection is None:
        return count_parameters(spec, classes), multiply_adds(spec, size, classes)
    detector = config.detection.spec
    return detector_parameters(spec, detector, classes), detector_multiply_adds(spec, detector, classes, size)


def _make_model(config: Config, contents: CheckpointContents) -> SlimModule:
    classes = len(contents.info["labels"])
    model = make_classifier(config, classes) if config.task == "imagenet" else make_detector(config, classes)
    load_weights(model, contents)
    return model


def preprocessing_of(config: Config, kind: Kind) -> Preprocessing:
    """From an image to the net's input, as the configuration evaluates it."""
    data = config.data
    return Preprocessing(
        image_size=config.eval_size,
        crop_fraction=data.crop_fraction if kind == "classifier" else None,
        antialias=data.antialias,
        mean=data.mean,
        deviation=data.deviation,
        interpolation=data.interpolation,
        stretch=data.stretch,
    )


def _postprocessing(config: Config, labels: tuple[str, ...]) -> Postprocessing:
    options = config.detection
    assert options is not None
    return Postprocessing(
        inside=True,
        category_ids=tuple(map(int, labels)),
        candidates=options.candidates,
        nms_iou=options.nms_iou,
        score_threshold=options.score_threshold,
        max_detections=options.max_detections,
        anchors={
            "min_level": anchors.MIN_LEVEL,
            "max_level": anchors.MAX_LEVEL,
            "aspect_ratios": list(anchors.ASPECT_RATIOS),
            "scales_per_octave": anchors.SCALES_PER_OCTAVE,
            "anchor_scale": anchors.ANCHOR_SCALE,
        },
        code_scales=boxes.CODE_SCALES,
    )
