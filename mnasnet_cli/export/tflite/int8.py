"""TFLite in integers: from which images the scales come, and what is mended before the converter sees the net."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mnasnet_cli.export.artifact import Written
from mnasnet_cli.export.sample_images import Samples
from mnasnet_cli.export.tflite.calibration import calm_images, in_batches, observe
from mnasnet_cli.export.tflite.converter import write_tflite
from mnasnet_cli.export.tflite.dead_squeeze_excite import awakened
from mnasnet_cli.inference.model import LoadedModel


def write_integers(loaded: LoadedModel, folder: Path, samples: Samples, count: int) -> Written:
    """Writes a fully integer `model.tflite`, calibrated on the calm ones of `count` training images."""
    images = samples.calibration_images(count)
    seen = observe(loaded, in_batches(samples.tensors(images)))
    calm = calm_images(seen.peaks)
    awake, notes = awakened(loaded, seen.squeezes, calm)
    chosen = [image for image, kept in zip(images, calm, strict=True) if kept]
    written = write_tflite(awake, folder, lambda: samples.tensors(chosen))
    return dataclasses.replace(written, notes=tuple(notes))
