"""A trained or exported model, ready to use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.config.task_names import DATASETS, MODEL_KINDS, TaskName
from mnasnet_cli.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    import numpy as np

    from mnasnet_cli.export.exporter import ExportResult
    from mnasnet_cli.inference.runner import Runner
    from mnasnet_cli.prediction.explaining import Explanation
    from mnasnet_cli.prediction.images import UnreadableInput
    from mnasnet_cli.prediction.inputs import ImageSource
    from mnasnet_cli.prediction.results import Prediction


def load(
    model: str | os.PathLike[str],
    *,
    image_size: int | None = None,
    best: bool = False,
    ema: bool = True,
    threads: int | None = None,
) -> Model:
    """Open a model of any format.

    Args:
      model: a run directory, a checkpoint prefix, or an exported artifact (SavedModel folder, `.pb`, `.tflite`,
        `.onnx`), as the commands take it.
      image_size: side of the net's input, px; None: the model's own. An artifact has one size only.
      best: of a run, open the best checkpoint instead of the newest.
      ema: of a checkpoint, use the averaged weights if it has them.
      threads: CPU threads; None: one for each core.

    Raises:
      CheckpointError: there is no model, or it is damaged.
      ConfigError: the artifact was exported for another image size.
      EnvironmentProblem: the library that runs the format is not installed.
    """
    from mnasnet_cli.inference.runner import open_model

    path = os.fspath(model)
    runner = open_model(path, image_size=image_size, best=best, ema=ema, threads=threads)
    return Model(path, runner, image_size=image_size, best=best, ema=ema)


class Model:
    """A model that `load` has opened."""

    def __init__(self, path: str, runner: Runner, *, image_size: int | None, best: bool, ema: bool) -> None:
        self.path = path
        """The path as given to `load`."""
        self._runner = runner
        self._loaded_with: dict[str, Any] = {"image_size": image_size, "best": best, "ema": ema}

    @property
    def task(self) -> TaskName:
        """ "classification" or "detection"."""
        return self._runner.task

    @property
    def kind(self) -> str:
        """ "classifier" or "detector"."""
        return MODEL_KINDS[self.task]

    @property
    def format(self) -> str:
        """ "checkpoint", or the format of the artifact, such as "tflite"."""
        return self._runner.format

    @property
    def image_size(self) -> int:
        """Side of the net's input, px."""
        return self._runner.image_size

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as in the data set: synsets or folder names; of a detector, category ids as text."""
        return self._runner.manifest.labels

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in words, in the order of `labels`."""
        return self._runner.manifest.names

    @cached_property
    def info(self) -> dict[str, Any]:
        """What `mnasnet inspect --json` says: the net, its classes and more; of a run also the results."""
        from mnasnet_cli.checkpoints.describe import describe_checkpoint
        from mnasnet_cli.inference.describe import describe_artifact
        from mnasnet_cli.runs.describe import describe_run
        from mnasnet_cli.runs.directory import RunDirectory

        path = Path(self.path)
        if self.format != "checkpoint":
            return describe_artifact(path)
        return describe_run(path) if RunDirectory.exists(path) else describe_checkpoint(self._runner.manifest.source)

    def __repr__(self) -> str:
        manifest = self._runner.manifest
        kind = f"{manifest.variant} {self.kind} of {len(self.labels):,} classes"
        return f"<Model {self.path}: {kind}, {self.image_size} px, {self.format}>"

    def predict(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        top: int = 5,
        score_threshold: float = 0.3,
        batch_size: int = 8,
    ) -> list[Prediction]:
        """Classify images, or detect the objects in them.

        Args:
          images: one or several of: paths of images, videos and folders, patterns such as "photos/**/*.jpg", encoded
            images (bytes), Pillow images, and NumPy arrays, uint8 [H, W, 3] or [N, H, W, 3], RGB.
          top: number of classes, the most probable ones (classifiers).
          score_threshold: smallest score of the boxes (detectors).
          batch_size: images that run through the net at a time.

        Returns:
          the predictions in the order of the images; those of a folder are sorted by path.

        Raises:
          DataError: an input can't be read. `stream` passes such an input through instead.
        """
        found = self.stream(images, top=top, score_threshold=score_threshold, batch_size=batch_size)
        return [_readable(one) for one in found]

    def stream(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        top: int = 5,
        score_threshold: float = 0.3,
        batch_size: int = 8,
        frame_step: int = 1,
        feature_maps: bool = False,
    ) -> Iterator[Prediction | UnreadableInput]:
        """Yield the predictions one by one: for videos, for large folders, and where some inputs may be damaged.

        Args:
          images, top, score_threshold, batch_size: as in `predict`.
          frame_step: use every n-th frame of a video.
          feature_maps: add the last features before pooling to the predictions (checkpoints of classifiers only).

        Yields:
          a `Prediction`, or for an input that can't be read an `UnreadableInput` with `name` and `reason`.
        """
        from mnasnet_cli.prediction.inputs import read_inputs
        from mnasnet_cli.prediction.predict import predict

        for option, value in (("top", top), ("batch_size", batch_size), ("frame_step", frame_step)):
            if value < 1:
                raise ConfigError(f"{option} must be at least 1, not {value}")
        return predict(
            self._runner,
            read_inputs(images, frame_step=frame_step),
            batch_size=batch_size,
            top=top,
            score_threshold=score_threshold,
            feature_maps=feature_maps,
        )

    def features(self, images: ImageSource | Iterable[ImageSource], *, batch_size: int = 8) -> np.ndarray:
        """Return the pooled features before the last layer: float32 [N, D], a row for each image.

        Args:
          images, batch_size: as in `predict`.

        Raises:
          CheckpointError: the model is a detector, or an exported artifact.
          DataError: an input can't be read.
        """
        import numpy as np

        weights, _ = self._runner.last_layer()
        found = self.stream(images, top=1, batch_size=batch_size, feature_maps=True)
        rows = [row for one in found if (row := _readable(one).features) is not None]
        return np.stack(rows) if rows else np.zeros((0, len(weights)), np.float32)

    def explain(self, image: ImageSource | Prediction, *, label: str | None = None) -> Explanation:
        """Return which parts of an image spoke for a class: its class activation map, which is exact for this net.

        Args:
          image: one image, as in `predict`, or a prediction of it.
          label: label or name of the class; None: the most probable one.

        Raises:
          CheckpointError: the model is a detector, or an exported artifact.
          DataError: the input can't be read, is not one image, or there is no such class.
        """
        from mnasnet_cli.prediction.explaining import explain
        from mnasnet_cli.prediction.results import Prediction

        self._runner.last_layer()
        if not isinstance(image, Prediction) or image.feature_map is None:
            source = image.image if isinstance(image, Prediction) else image
            found = [_readable(one) for one in self.stream([source], top=1, feature_maps=True)]
            if len(found) != 1:
                raise DataError(f"explain takes one image at a time, not {len(found)}")
            image = found[0]
        return explain(self._runner, image, label)

    def evaluate(
        self,
        data: str | os.PathLike[str] | None = None,
        split: str = "validation",
        *,
        batch_size: int | None = None,
        plots: str | os.PathLike[str] | None = None,
        detections: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """Score the model on records. Every image counts once.

        Args:
          data: folder of records; None: data/imagenet, for a detector data/coco.
          split: "validation", "test" or "train".
          batch_size: images at a time; None: 64, for a detector 16.
          plots: folder for plots, tables and the best and worst images.
          detections: file for a detector's boxes, in COCO's results format.

        Returns:
          what `mnasnet eval --json` prints: top1, top5, loss, examples and per_class; for a detector COCO's twelve
          numbers, images and per_class; and which model was scored on what. Accuracies and APs are in [0, 1].

        Raises:
          DataError: there are no records, no images of the split, or the records have other classes.
        """
        from mnasnet_cli.records.shards import SPLITS

        if split not in SPLITS:
            raise ConfigError(f"no split {split!r}: there are {', '.join(SPLITS)}{nearest(split, SPLITS)}")
        folder = Path(data) if data is not None else Path("data") / DATASETS[self.task]
        options: dict[str, Any] = {"runner": self._runner, "split": split, "batch_size": batch_size}
        options["plots"] = Path(plots) if plots is not None else None
        if self.task == "detection":
            from mnasnet_cli.evaluation.detector import evaluate_detector

            file = Path(detections) if detections is not None else None
            return evaluate_detector(self.path, folder, detections_file=file, **options)
        if detections is not None:
            raise ConfigError("detections are boxes, but this model is a classifier")
        from mnasnet_cli.evaluation.classifier import evaluate_classifier

        return evaluate_classifier(self.path, folder, **options)

    def export(
        self,
        formats: str | Sequence[str] = ("saved-model", "tflite"),
        out: str | os.PathLike[str] | None = None,
        *,
        data: str | os.PathLike[str] | None = None,
        parity_images: int | None = None,
        calibration_images: int | None = None,
        mediapipe: bool = False,
        accept_parity: bool = False,
        litertjs: str | os.PathLike[str] | None = None,
    ) -> list[ExportResult]:
        """Export the model, and compare each artifact with the checkpoint on the same images.

        Args:
          formats: one or several of saved-model, frozen, tflite, tflite-fp16, tflite-int8, onnx, slim-checkpoint,
            web, torchvision and timm.
          out: folder for one folder per format; None: `export` in the run.
          data: folder of records for the comparison and for the calibration of tflite-int8; None: data/imagenet or
            data/coco where there is one, else generated images.
          parity_images: images of the comparison; None: 64, for a detector 16.
          calibration_images: images for tflite-int8; None: 300, for a detector 100.
          accept_parity: keep an artifact over its tolerance; its manifest says so.
          mediapipe: TFLite files take pixels and normalize them inside, as MediaPipe Tasks needs it.
          litertjs: for the format web, a folder with the npm package @litertjs/core, or a URL to load it from.

        Returns:
          a result for each format, with `path`, `file_bytes` and `comparison`.

        Raises:
          CheckFailed: an artifact differs by more than its format's tolerance. It is not kept; the others are.
          CheckpointError: the model is itself an exported artifact.
          ConfigError: there is no such format.
        """
        from mnasnet_cli.api.exporting import export

        exported = export(
            self.path,
            [formats] if isinstance(formats, str) else formats,
            Path(out) if out is not None else None,
            data=Path(data) if data is not None else None,
            parity_images=parity_images,
            calibration_images=calibration_images,
            mediapipe=mediapipe,
            accept_parity=accept_parity,
            litertjs=os.fspath(litertjs) if litertjs is not None else None,
            **self._loaded_with,
        )
        exported.raise_for_faults()
        return exported.results


def _readable(found: Prediction | UnreadableInput) -> Prediction:
    """Return a prediction. Raises DataError for an input that can't be read."""
    from mnasnet_cli.prediction.images import UnreadableInput

    if isinstance(found, UnreadableInput):
        raise DataError(f"{found.name}: {found.reason}")
    return found
