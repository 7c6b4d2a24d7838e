"""Exports a checkpoint to several formats, and compares each artifact with the checkpoint before it is kept."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.console import duration, say, warn
from mnasnet_cli.errors import CheckFailed, CheckpointError, ConfigError
from mnasnet_cli.export import onnx
from mnasnet_cli.export.artifact import STATE_DICT_FORMATS, Artifact
from mnasnet_cli.export.frozen_graph import write_frozen_graph
from mnasnet_cli.export.parity import MIN_SCORE, TOLERANCES, Comparison, Predict, compare, concatenate
from mnasnet_cli.export.sample_images import SampleImages, in_batches
from mnasnet_cli.export.saved_model import write_saved_model
from mnasnet_cli.export.signature_check import run_image_inputs
from mnasnet_cli.export.slim_checkpoint import slim_predictor, write_slim_checkpoint
from mnasnet_cli.export.staging import check_replaceable, staged_export
from mnasnet_cli.export.state_dict import check_state_dict, write_state_dict
from mnasnet_cli.export.tflite.converter import write_tflite, write_tflite_fp16
from mnasnet_cli.export.tflite.int8 import write_tflite_int8
from mnasnet_cli.export.tflite.mediapipe import as_pixels
from mnasnet_cli.export.web import check_runtime, write_web_page
from mnasnet_cli.inference.base import size_in_bytes
from mnasnet_cli.inference.checkpoint import CheckpointRunner
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.inference.verification import checksums_of
from mnasnet_cli.system.native_output import suppress_output

PARITY_IMAGES = {"classification": 64, "detection": 16}
CALIBRATION_IMAGES = {"classification": 300, "detection": 100}
# Images for the inputs that include preprocessing. Few, because each size may need a graph of its own.
SIGNATURE_IMAGES = 2


@dataclass(frozen=True)
class ExportResult:
    """What became of one format."""

    format: str
    path: Path
    """The artifact, or the format's folder if there is none."""
    file_bytes: int
    comparison: Comparison | None
    """None for state dicts, and if the format could not be written or run."""
    fault: str = ""
    """Why the artifact was not kept; "" if it was."""
    accepted: str = ""
    """What exceeds the tolerance of an artifact that was kept all the same."""
    load_code: str = ""
    """For state dicts: the line of Python that loads the weights."""

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        parity = {"identical": True} if self.load_code else self.comparison and self.comparison.as_dict()
        return {
            "format": self.format,
            "path": str(self.path),
            "bytes": self.file_bytes,
            **({"code": self.load_code} if self.load_code else {}),
            "ok": not self.fault,
            "fault": self.fault or None,
            "accepted": self.accepted or None,
            "parity": parity,
        }


@dataclass(frozen=True)
class ExportJob:
    """What all formats of an export share."""

    loaded: LoadedModel
    reference: Predict
    samples: SampleImages
    images: list[bytes]
    """The encoded images of the parity check."""
    calibration_images: int
    mediapipe: bool = False
    """Whether TFLite files normalize pixels themselves; see `export.tflite.mediapipe`."""
    litertjs: str | None = None
    """Where LiteRT.js is; see `export.web`."""
    accept_parity: bool = False
    """Whether an artifact over its tolerance is kept."""

    def batches(self) -> Iterator[np.ndarray]:
        """Return the images of the parity check as the net's input, in batches [n, S, S, 3]."""
        return in_batches(self.samples.preprocess(self.images))


WRITERS: dict[str, Callable[[ExportJob, Path], Artifact]] = {
    "saved-model": lambda job, folder: write_saved_model(job.loaded, folder),
    "frozen": lambda job, folder: write_frozen_graph(job.loaded, folder),
    "tflite": lambda job, folder: write_tflite(job.loaded, folder, None, mediapipe=job.mediapipe),
    "tflite-fp16": lambda job, folder: write_tflite_fp16(job.loaded, folder, mediapipe=job.mediapipe),
    "tflite-int8": lambda job, folder: write_tflite_int8(
        job.loaded, folder, job.samples, job.calibration_images, mediapipe=job.mediapipe
    ),
    "onnx": lambda job, folder: onnx.write_onnx(job.loaded, folder),
    "slim-checkpoint": lambda job, folder: write_slim_checkpoint(job.loaded, folder),
    "web": lambda job, folder: write_web_page(job.loaded, folder, job.litertjs),
    "torchvision": lambda job, folder: write_state_dict(job.loaded.contents, folder, "torchvision"),
    "timm": lambda job, folder: write_state_dict(job.loaded.contents, folder, "timm"),
}


def export_model(
    prefix: str,
    out: Path,
    formats: Sequence[str],
    *,
    data: Path | None,
    image_size: int | None = None,
    ema: bool = True,
    parity_images: int | None = None,
    calibration_images: int | None = None,
    mediapipe: bool = False,
    litertjs: str | None = None,
    accept_parity: bool = False,
) -> list[ExportResult]:
    """Export a checkpoint to several formats, each into the folder of its name in `out`.

    An artifact that exceeds the tolerance of its format (`parity.TOLERANCES`) is not kept, and a format that can't be
    converted is skipped. The other formats continue.

    Args:
      prefix: of the checkpoint.
      formats: names of WRITERS. State dicts are written last.
      data: folder of records. Artifacts are compared on its validation images and calibrated on its training images.
        None: the images are generated, and tflite-int8 is an error.
      image_size: side of the net's input, px; None: as in evaluation.
      ema: use averaged weights if there are any.
      parity_images: number of images to compare on; None: 64, for a detector 16.
      calibration_images: number of images for tflite-int8; None: 300, for a detector 100.
      mediapipe: the TFLite files normalize pixels themselves, as MediaPipe Tasks needs it.
      litertjs: for the format web, the folder or the URL of LiteRT.js; see `export.web.write_web_page`.
      accept_parity: keep an artifact over its tolerance; its manifest says so. Numbers that are not finite are never
        accepted.

    Raises:
      CheckpointError, DataError, EnvironmentProblem: before anything is written, as far as this can be known.
    """
    formats = list(dict.fromkeys(formats))
    state_dicts = [format for format in formats if format in STATE_DICT_FORMATS]
    compared = [format for format in formats if format not in STATE_DICT_FORMATS]
    for format in formats:
        check_replaceable(out / format)
    runner = CheckpointRunner(prefix, ema=ema, image_size=image_size)
    if mediapipe:
        _check_mediapipe(runner.task, formats)
    check_runtime(litertjs if "web" in formats else None)
    _check_state_dicts(runner.loaded.contents, state_dicts, has_others=len(formats) > 1)
    samples = SampleImages(runner.loaded, data if compared else None)
    if "onnx" in formats:
        onnx.check_converter()
    if "tflite-int8" in formats:
        samples.calibration_images(0)  # raises an error if there are no records
    images = samples.parity_images(parity_images or PARITY_IMAGES[runner.task]) if compared else []
    calibration_images = calibration_images or CALIBRATION_IMAGES[runner.task]
    job = ExportJob(
        runner.loaded, runner.predict_tensors, samples, images, calibration_images, mediapipe, litertjs, accept_parity
    )
    results = []
    for format in compared + state_dicts:
        began = time.monotonic()
        result = _export(job, format, out / format)
        results.append(result)
        outcome = f"not exported: {result.fault}" if result.fault else f"written to {result.path}"
        if result.accepted:
            warn(f"{format} is over its tolerance, and kept because of --accept-parity: {result.accepted}")
        say(f"{format}: {outcome} ({duration(time.monotonic() - began)})")
    if any(result.comparison and not result.comparison.counted for result in results):
        warn(
            f"no box of the checkpoint has a score of at least {MIN_SCORE:g} on these images, so only the best score "
            "of each image was compared; train the detector first"
        )
    return results


def raise_for_faults(results: Sequence[ExportResult]) -> None:
    """Raise CheckFailed with the formats that were not exported, if there are any."""
    faults = [f"{result.format}: {result.fault}" for result in results if result.fault]
    if faults:
        raise CheckFailed(f"not exported: {'; '.join(faults)}")


def _check_mediapipe(task: TaskName, formats: Sequence[str]) -> None:
    if not any(format.startswith("tflite") for format in formats):
        raise ConfigError("--mediapipe changes TFLite files only; add --format tflite, tflite-fp16 or tflite-int8")
    if task == "detection" and "tflite-int8" in formats:
        raise ConfigError(
            "MediaPipe does not decode the raw heads of an int8 detector; leave out --mediapipe or --format tflite-int8"
        )


def _check_state_dicts(contents: CheckpointContents, formats: Sequence[str], *, has_others: bool) -> None:
    for format in formats:
        try:
            check_state_dict(contents, format)
        except CheckpointError as error:
            hint = f"; nothing was written, leave out --format {format} to export the others" if has_others else ""
            raise CheckpointError(f"{error}{hint}") from error


def _export(job: ExportJob, format: str, target: Path) -> ExportResult:
    """Write one format, and put it in its place if it passes the comparison."""
    path, file_bytes, comparison = target, 0, None
    try:
        with staged_export(target) as folder:
            artifact = WRITERS[format](job, folder)
            if format in STATE_DICT_FORMATS:  # the writer has compared the tensors and written a manifest
                path, file_bytes = target / artifact.path.name, size_in_bytes(artifact.path)
                return ExportResult(format, path, file_bytes, None, load_code=artifact.load_code)
            manifest = _manifest(job.loaded, format, artifact, folder)
            manifest.write(folder)
            comparison = _compare(job, format, artifact)
            path = target / artifact.path.relative_to(folder)
            file_bytes = size_in_bytes(artifact.path if artifact.path.is_file() else folder)
            fault = comparison.fault(format, job.loaded.task)
            if fault and not (job.accept_parity and math.isfinite(comparison.relative)):
                raise CheckFailed(fault)
            parity = {"on": job.samples.describe_parity_images(len(job.images)), **comparison.as_dict()}
            parity |= {"tolerance": dataclasses.asdict(TOLERANCES[format]), "accepted": fault or None}
            dataclasses.replace(manifest, parity=parity).write(folder)
    except (CheckFailed, CheckpointError) as error:  # also from converters and runtimes that reject this net
        return ExportResult(format, path, file_bytes, comparison, str(error))
    return ExportResult(format, path, file_bytes, comparison, accepted=fault)


def _manifest(loaded: LoadedModel, format: str, artifact: Artifact, folder: Path) -> Manifest:
    manifest = loaded.manifest(format)
    post = manifest.postprocessing
    if post is not None:
        post = dataclasses.replace(post, inside=artifact.boxes_inside)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return dataclasses.replace(
        manifest,
        preprocessing=artifact.preprocessing or manifest.preprocessing,
        postprocessing=post,
        net=loaded.contents.info.get("net") or {},
        signature=artifact.signature,
        versions={**manifest.versions, **artifact.versions},
        mediapipe=artifact.mediapipe,
        notes=artifact.notes,
        files=tuple(files),
        checksums=checksums_of(folder, files),
    )


def _compare(job: ExportJob, format: str, artifact: Artifact) -> Comparison:
    """Run the artifact and the checkpoint on the same images."""
    if format == "slim-checkpoint":
        predict: Predict = slim_predictor(job.loaded, artifact.path)
    else:
        with suppress_output():  # LiteRT prints its delegates
            run = open_model(str(artifact.path)).predict_tensors
        own = artifact.preprocessing
        predict = run if own is None else lambda tensors: run(as_pixels(tensors, job.loaded.preprocessing))
    names = ("logits",) if job.loaded.task == "classification" else DETECTOR_OUTPUTS
    outputs, expected = [], []
    for found, tensors in chain(
        ((predict(tensors), tensors) for tensors in job.batches()),
        run_image_inputs(format, artifact, job.samples, job.images[:SIGNATURE_IMAGES]),
    ):
        reference = job.reference(tensors)
        outputs.append({name: found[name] for name in names})
        expected.append({name: reference[name] for name in names})
    return compare(concatenate(outputs), concatenate(expected), format)
