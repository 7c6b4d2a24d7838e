"""Export: a checkpoint in any number of formats, each held against the checkpoint before it gets its name."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.console import duration, say, warn
from mnasnet_cli.errors import CheckFailed, CheckpointError
from mnasnet_cli.export import onnx
from mnasnet_cli.export.artifact import Written
from mnasnet_cli.export.frozen_graph import write_frozen
from mnasnet_cli.export.parity import COUNTING_SCORE, TOLERANCES, Comparison, Predict, compare, joined
from mnasnet_cli.export.sample_images import Samples
from mnasnet_cli.export.saved_model import write_saved_model
from mnasnet_cli.export.signature_check import enter
from mnasnet_cli.export.slim_checkpoint import slim_predictor, write_slim_checkpoint
from mnasnet_cli.export.staging import check_replaceable, staged_folder
from mnasnet_cli.export.tflite.calibration import in_batches
from mnasnet_cli.export.tflite.converter import write_tflite, write_tflite_fp16
from mnasnet_cli.export.tflite.int8 import write_integers
from mnasnet_cli.inference.base import size_in_bytes
from mnasnet_cli.inference.checkpoint import CheckpointRunner
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.system.native_output import suppress_output

PARITY_IMAGES = {"classification": 64, "detection": 16}
CALIBRATION_IMAGES = {"classification": 300, "detection": 100}
# Images that go through the entrances with preprocessing inside: each may need a graph of its own size.
ENTRANCE_IMAGES = 2


@dataclass(frozen=True)
class Outcome:
    """One format."""

    format: str
    path: Path
    """Where it lies, or would lie."""
    file_bytes: int
    comparison: Comparison | None
    """None where it could not be made, or not be run."""
    fault: str
    """What is over its tolerance, or why there is none; "" where it was put in its place."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": self.format,
            "path": str(self.path),
            "bytes": self.file_bytes,
            "ok": not self.fault,
            "fault": self.fault or None,
            "parity": self.comparison.as_dict() if self.comparison else None,
        }


@dataclass(frozen=True)
class Job:
    """What all formats of an export share."""

    loaded: LoadedModel
    reference: Predict
    samples: Samples
    encoded: list[bytes]
    """The images that the artifacts are checked on."""
    calibration_images: int
    """How many integers take their scales from."""

    def tensors(self) -> Iterable[np.ndarray]:
        """The images as the net sees them, in batches [N, S, S, 3]."""
        return in_batches(self.samples.tensors(self.encoded))


WRITERS: dict[str, Callable[[Job, Path], Written]] = {
    "saved-model": lambda job, folder: write_saved_model(job.loaded, folder),
    "frozen": lambda job, folder: write_frozen(job.loaded, folder),
    "tflite": lambda job, folder: write_tflite(job.loaded, folder, None),
    "tflite-fp16": lambda job, folder: write_tflite_fp16(job.loaded, folder),
    "tflite-int8": lambda job, folder: write_integers(job.loaded, folder, job.samples, job.calibration_images),
    "onnx": lambda job, folder: onnx.write_onnx(job.loaded, folder),
    "slim-checkpoint": lambda job, folder: write_slim_checkpoint(job.loaded, folder),
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
) -> list[Outcome]:
    """Writes a checkpoint in several formats, each into the folder of its name below `out`.

    One that isn't the same model, by its tolerance (`parity.TOLERANCES`), is not put there; nor is one that can't be
    converted, and the others go on.

    Args:
      prefix: of the checkpoint.
      data: records whose validation images the artifacts are checked on, and whose training images calibrate integers;
        None: generated images, and no integers.
      image_size: side of the net's input, px; None: as it was evaluated.
      ema: take the averaged weights where there are any.
      parity_images: to check on; None: 64, of a detector 16.
      calibration_images: that integers take their scales from; None: 300, of a detector 100.

    Raises:
      CheckpointError, DataError, EnvironmentProblem: before anything is written, as far as that can be known.
    """
    for form in formats:
        check_replaceable(out / form)
    runner = CheckpointRunner(prefix, ema=ema, image_size=image_size)
    samples = Samples(runner.loaded, data)
    if "onnx" in formats:
        onnx.check_converter()
    if "tflite-int8" in formats:
        samples.calibration_images(0)
    count = parity_images or PARITY_IMAGES[runner.task]
    calibration_images = calibration_images or CALIBRATION_IMAGES[runner.task]
    job = Job(runner.loaded, runner.predict_tensors, samples, samples.encoded(count), calibration_images)
    outcomes = []
    for form in dict.fromkeys(formats):
        began = time.monotonic()
        outcome = _export(job, form, out / form)
        outcomes.append(outcome)
        state = f"refused: {outcome.fault}" if outcome.fault else f"written to {outcome.path}"
        say(f"{form}: {state} ({duration(time.monotonic() - began)})")
    if any(outcome.comparison and not outcome.comparison.counted for outcome in outcomes):
        warn(
            f"no box of the checkpoint has a score of {COUNTING_SCORE:g} or more on these images, so there were only "
            "their best scores to compare; is it trained?"
        )
    return outcomes


def _export(job: Job, form: str, target: Path) -> Outcome:
    try:
        with staged_folder(target) as folder:
            written = WRITERS[form](job, folder)
            manifest = _manifest(job.loaded, form, written, folder)
            manifest.write(folder)
            comparison = _check(job, form, written)
            fault = comparison.fault(form, job.loaded.task)
            path = target / written.path.relative_to(folder)
            outcome = Outcome(form, path, _size(written, folder), comparison, fault)
            if fault:
                raise _Refused
            about = {"on": job.samples.describe(len(job.encoded)), **comparison.as_dict()}
            about["tolerance"] = dataclasses.asdict(TOLERANCES[form])
            dataclasses.replace(manifest, parity=about).write(folder)
    except _Refused:
        pass
    except (CheckFailed, CheckpointError) as error:  # there are nets that a converter or a runtime doesn't take
        return Outcome(form, target, 0, None, str(error))
    return outcome


class _Refused(Exception):
    """Ends the staging of an artifact that failed its check."""


def _manifest(loaded: LoadedModel, form: str, written: Written, folder: Path) -> Manifest:
    manifest = loaded.manifest(form)
    post = manifest.postprocessing
    if post is not None:
        post = dataclasses.replace(post, inside=written.boxes_inside)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return dataclasses.replace(
        manifest,
        postprocessing=post,
        net=loaded.contents.info.get("net") or {},
        signature=written.signature,
        versions={**manifest.versions, **written.versions},
        notes=written.notes,
        files=tuple(files),
    )


def _check(job: Job, form: str, written: Written) -> Comparison:
    """Runs the artifact beside the checkpoint."""
    if form == "slim-checkpoint":
        predict = slim_predictor(job.loaded, written.path)
    else:
        with suppress_output():  # LiteRT tells what it runs on
            predict = open_model(str(written.path)).predict_tensors
    names = ("logits",) if job.loaded.task == "classification" else DETECTOR_OUTPUTS
    got, wanted = [], []
    for outputs, tensors in chain(
        ((predict(tensors), tensors) for tensors in job.tensors()),
        enter(form, written, job.samples, job.encoded[:ENTRANCE_IMAGES]),
    ):
        reference = job.reference(tensors)
        got.append({name: outputs[name] for name in names})
        wanted.append({name: reference[name] for name in names})
    return compare(joined(got), joined(wanted), form)


def _size(written: Written, folder: Path) -> int:
    return size_in_bytes(folder) if written.path.is_dir() or not written.path.is_file() else size_in_bytes(written.path)


def raise_for_faults(outcomes: Sequence[Outcome]) -> None:
    """Raises CheckFailed naming the formats that were refused, where there are any."""
    refused = [outcome for outcome in outcomes if outcome.fault]
    if refused:
        faults = "; ".join(f"{outcome.format}: {outcome.fault}" for outcome in refused)
        others = "not the same model as the checkpoint, and so " if all(one.comparison for one in refused) else ""
        raise CheckFailed(f"{others}not exported: {faults}")


def rows_of(outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]]:
    """A table's rows: format, MB, largest difference, agreement in percent, images, where it is."""
    return [
        (
            outcome.format,
            outcome.file_bytes / 1e6,
            *_cells(outcome.comparison),
            f"refused: {outcome.fault}" if outcome.fault else str(outcome.path),
        )
        for outcome in outcomes
    ]


def _cells(comparison: Comparison | None) -> tuple[Any, ...]:
    """Largest difference, agreement and images, for a table."""
    if comparison is None:
        return None, "n/a", None
    agreement = "no boxes" if comparison.agreement is None else f"{comparison.agreement:.1%}"
    return comparison.difference, agreement, comparison.images
