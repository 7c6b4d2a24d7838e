"""The export formats, and what the writer of each format returns. TensorFlow is not imported here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.config.pre_postprocessing import Preprocessing


class Format(enum.StrEnum):
    """The export formats: `inference.manifest.FORMATS` and the state dicts."""

    SAVED_MODEL = "saved-model"
    FROZEN = "frozen"
    TFLITE = "tflite"
    TFLITE_FP16 = "tflite-fp16"
    TFLITE_INT8 = "tflite-int8"
    ONNX = "onnx"
    SLIM_CHECKPOINT = "slim-checkpoint"
    WEB = "web"
    TORCHVISION = "torchvision"
    TIMM = "timm"


STATE_DICT_FORMATS = (Format.TORCHVISION, Format.TIMM)
"""Weights for the nets of torchvision and timm. This toolkit can't run them; it can import them."""


@dataclass(frozen=True)
class Artifact:
    """A model that was written in one format."""

    path: Path
    """The argument of `open_model`."""
    signature: Mapping[str, Any] = field(default_factory=dict)
    """The inputs and outputs, as in the manifest."""
    boxes_inside: bool = True
    """For detectors: whether the outputs are boxes, not raw outputs."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries that wrote it, except TensorFlow."""
    notes: tuple[str, ...] = ()
    """How the net differs from the checkpoint's, in words."""
    preprocessing: Preprocessing | None = None
    """If the artifact takes another input than the checkpoint's net: how an image becomes that input."""
    mediapipe: Mapping[str, Any] = field(default_factory=dict)
    """For TFLite files: see `Manifest.mediapipe`."""
    load_code: str = ""
    """For state dicts: the line of Python that loads the weights."""


def describe_tensors(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return dtype and shape of tensors, or of their specs, by name; None is an open dimension."""
    return {
        name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()} for name, tensor in sorted(tensors.items())
    }
