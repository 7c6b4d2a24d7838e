"""How an image becomes a net's input, and how a detector's raw outputs become boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preprocessing:
    """From an image to the net's input [S, S, 3] float32; evaluation does the same.

    Crop (a classifier) or take all of the image (a detector), resize to S × S without keeping the aspect, subtract
    `mean` from R, G, B in [0, 255], divide by `deviation`.
    """

    image_size: int
    """S, px."""
    crop_fraction: float | None
    """Side of the central square over the image's short side; None: the whole image."""
    antialias: bool
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    interpolation: str = "bilinear"
    stretch: bool = False
    """Crop that fraction of both sides instead of a square; resizing then stretches it."""


@dataclass(frozen=True)
class Postprocessing:
    """From a detector's raw heads to boxes: decode, clip, suppress (`models.postprocessing.detect`).

    Raw heads are `class_logits` [N, A, K] and `box_deltas` [N, A, 4] for the A anchors that `anchors` describes, level
    by level from the finest, in each row by row, cell by cell, aspect ratio by aspect ratio, scale by scale.
    """

    inside: bool
    """Whether the artifact does it itself; else its outputs are the raw heads."""
    category_ids: tuple[int, ...]
    """Of the classes 1..K."""
    candidates: int
    nms_iou: float
    score_threshold: float
    max_detections: int
    anchors: Mapping[str, Any]
    """The layout: arguments of `geometry.anchors.level_anchors`."""
    code_scales: tuple[float, float, float, float]
    """What the deltas are divided by before they are used: ty, tx, th, tw."""
