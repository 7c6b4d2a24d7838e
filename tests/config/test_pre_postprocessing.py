"""Preprocessing and postprocessing as checkpoints and manifests store them."""

from __future__ import annotations

import json

from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing

ANCHORS = {"min_level": 3, "max_level": 7, "aspect_ratios": [1.0], "scales_per_octave": 2, "anchor_scale": 4.0}


def test_preprocessing_survives_json() -> None:
    options = Preprocessing(
        image_size=96, crop_fraction=0.9, mean=(1.0, 2.0, 3.0), interpolation="bicubic", stretch=True
    )
    stored = json.loads(json.dumps(options.to_dict()))
    assert Preprocessing.parse(stored, "classification") == options


def test_keys_of_older_and_later_versions() -> None:
    older = {"image_size": 96, "mean": [0.0, 0.0, 0.0], "deviation": [1.0, 1.0, 1.0]}
    parsed = Preprocessing.parse({**older, "gamma": 2.0}, "classification")
    assert parsed == Preprocessing(image_size=96, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
    assert (parsed.crop_fraction, parsed.interpolation, parsed.antialias) == (0.875, "bilinear", False)


def test_detectors_see_the_whole_image() -> None:
    assert Preprocessing.parse({"image_size": 320, "crop_fraction": 0.875}, "detection").crop_fraction is None


def test_postprocessing_from_json() -> None:
    stored = {
        "inside": True, "category_ids": [1, 3], "candidates": 1000, "nms_iou": 0.6, "score_threshold": 0.0,
        "max_detections": 100, "anchors": ANCHORS, "code_scales": [10.0, 10.0, 5.0, 5.0], "later": 1,
    }  # fmt: skip
    parsed = Postprocessing.parse(stored)
    assert (parsed.category_ids, parsed.code_scales) == ((1, 3), (10.0, 10.0, 5.0, 5.0))
