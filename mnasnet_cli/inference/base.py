"""What the runners of all formats have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, DataError, first_line
from mnasnet_cli.inference.manifest import Manifest


class BaseRunner:
    """Preprocessing, postprocessing, and what the manifest tells; see `runner.Runner`."""

    timing_note = ""
    detection: DetectionConfig | None = None

    def __init__(self, manifest: Manifest, file_bytes: int) -> None:
        self.manifest = manifest
        self.file_bytes = file_bytes

    @property
    def format(self) -> str:
        return self.manifest.format

    @property
    def task(self) -> TaskName:
        return self.manifest.task

    @property
    def image_size(self) -> int:
        return self.manifest.image_size

    @cached_property
    def _preprocess(self) -> Callable[[bytes], Any]:
        from mnasnet_cli.data.preprocessing import compiled_preprocess

        return compiled_preprocess(self.manifest.preprocessing)

    def preprocess(self, encoded: bytes) -> np.ndarray:
        import tensorflow as tf

        try:
            return np.asarray(self._preprocess(encoded))
        except tf.errors.InvalidArgumentError as error:
            raise DataError(first_line(error)) from error

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def predict_with_features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        raise self._no_features()

    def last_layer(self) -> tuple[np.ndarray, np.ndarray]:
        raise self._no_features()

    def _no_features(self) -> CheckpointError:
        source = self.manifest.source
        if self.task == "detection":
            return CheckpointError(f"{source} is a detector; features and explanations come from a classifier")
        return CheckpointError(
            f"a {self.format} artifact gives its classes, but neither features nor explanations; use the run or the "
            f"checkpoint that it was exported from, {source}"
        )

    def inference_call(self, images: np.ndarray) -> Callable[[], None]:
        def call() -> None:
            self.predict_tensors(images)

        return call

    @cached_property
    def _select_boxes(self) -> Callable[[Any, Any], dict[str, Any]]:
        import tensorflow as tf

        from mnasnet_cli.modules.postprocessing import select_boxes

        options, size = self.manifest.postprocessing, self.image_size
        assert options is not None
        return tf.function(
            lambda logits, deltas: select_boxes(logits, deltas, size, options), autograph=False, reduce_retracing=True
        )

    def postprocess(self, heads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Turn the raw outputs class_logits [N, A, K] and box_deltas [N, A, 4] into boxes."""
        found = self._select_boxes(heads["class_logits"], heads["box_deltas"])
        return {name: np.asarray(values) for name, values in found.items()}


def with_integer_classes(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs with classes and counts as int32. The Object Detection API's graphs return them as floats."""
    whole = ("detection_classes", "num_detections")
    return {name: values.astype(np.int32) if name in whole else values for name, values in outputs.items()}


def one_by_one(run: Callable[[np.ndarray], dict[str, np.ndarray]], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs for images [N, …] from a function that takes one image at a time, [1, …]."""
    parts = [run(images[index : index + 1]) for index in range(len(images))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def limit_threads(threads: int | None) -> None:
    """Set TensorFlow's number of threads. It can't be changed once TensorFlow has computed something."""
    if threads is None:
        return
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            warn(f"TensorFlow is already running in this process; its number of threads stays as it is, not {threads}")


def size_in_bytes(path: Path) -> int:
    """Return the size of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
