"""A detector without anchors in other formats: as good as its checkpoint, in integers too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_models import CATEGORIES, detector_config, make_checkpoint

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.exporter import export_model, raise_for_faults
from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.inference.runner import open_model

FORMATS = {
    "frozen": "model.pb", "tflite": "model.tflite", "tflite-int8": "model.tflite", "onnx": "model.onnx",
    "slim-checkpoint": "model.ckpt",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(shared_folder: Callable[..., Path]) -> Path:
    """A run directory with a detector of 3 categories that no one trained; it finds boxes all the same."""
    config = detector_config(family="anchor-free")
    return shared_folder(
        "made_anchor_free", lambda run: make_checkpoint(run, config, list(map(str, CATEGORIES)), [*CATEGORIES.values()])
    )


@pytest.fixture(scope="module")
def exported(run: Path, scene_records: Path, shared_folder: Callable[..., Path]) -> Callable[[str], str]:
    """A function that returns the detector in a format."""

    def fill(out: Path) -> None:
        prefix, format = find_checkpoint(str(run)), out.name.removeprefix("anchor_free_")
        outcomes = export_model(prefix, out, [format], data=scene_records, parity_images=4, calibration_images=12)
        raise_for_faults(outcomes)

    return lambda format: str(shared_folder(f"anchor_free_{format}", fill) / format / FORMATS[format])


# LiteRT has the fewest operations; its files decode the boxes themselves, or with integers leave that to others.
@pytest.mark.parametrize(
    "format",
    [pytest.param(name, marks=() if name.startswith("tflite") else pytest.mark.variation) for name in FORMATS],
)
def test_a_manifest_says_how_boxes_are_decoded(exported: Callable[[str], str], format: str) -> None:
    manifest = read_manifest(Path(exported(format)))
    assert manifest.postprocessing is not None
    assert manifest.postprocessing.box_code == "distances"
    assert manifest.postprocessing.anchors == {
        "min_level": 3, "max_level": 5, "aspect_ratios": [1.0], "scales_per_octave": 1, "anchor_scale": 1.0
    }  # fmt: skip
    assert manifest.postprocessing.inside == (format != "tflite-int8")
    assert manifest.parity["counted"] > 10  # there were boxes to compare
    assert ("Object Detection API has no" in "".join(manifest.notes)) == (format == "slim-checkpoint")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(run: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the checkpoint finds."""
    return open_model(str(run)).predict_tensors(images)


def test_a_checkpoint_gives_the_bins_of_the_sides(expected: dict[str, np.ndarray]) -> None:
    assert expected["box_bins"].shape == (2, 84, 4, 8)


@pytest.mark.parametrize(
    "format", ["tflite", *(pytest.param(f, marks=pytest.mark.variation) for f in ("frozen", "onnx"))]
)
def test_the_formats_find_the_same_boxes(
    exported: Callable[[str], str], images: np.ndarray, expected: dict[str, np.ndarray], format: str
) -> None:
    found = open_model(exported(format)).predict_tensors(images)
    np.testing.assert_allclose(found["detection_scores"], expected["detection_scores"], atol=1e-4)
    np.testing.assert_allclose(found["detection_boxes"], expected["detection_boxes"], atol=1e-3)


def test_integers_find_nearly_the_same(
    exported: Callable[[str], str], images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    found = open_model(exported("tflite-int8")).predict_tensors(images)
    np.testing.assert_allclose(found["detection_scores"][:, 0], expected["detection_scores"][:, 0], atol=0.1)
