"""Runs an ONNX file with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import CheckpointError, ConfigError, EnvironmentProblem, first_line
from mnasnet_cli.inference.base import BaseRunner, one_by_one, with_integer_classes
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.system.machine import core_count
from mnasnet_cli.system.optional_packages import install_command


class OnnxRunner(BaseRunner):
    """An `.onnx` file on the CPU."""

    def __init__(self, path: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        super().__init__(manifest, path.stat().st_size)
        self._path = path
        self._session = load_session(path, threads or core_count())
        inputs = self._session.get_inputs()
        size = self.image_size
        if len(inputs) != 1 or size not in inputs[0].shape:
            shapes = ", ".join(str(item.shape) for item in inputs)
            raise CheckpointError(
                f"{path} takes {shapes}, but its manifest says one input of {size} × {size} px; the files do not "
                "belong together: export the model again with `mnasnet export`"
            )
        self._input, self._any_batch = inputs[0].name, inputs[0].shape[0] != 1
        self._outputs = [item.name for item in self._session.get_outputs() if item.name != "probabilities"]
        if manifest.postprocessing is not None and not manifest.postprocessing.inside:
            self.timing_note = "raw heads: without decoding and suppression of boxes"

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._run(images) if self._any_batch else one_by_one(self._run, images)
        post = self.manifest.postprocessing
        return self.postprocess(outputs) if post is not None and not post.inside else with_integer_classes(outputs)

    def inference_call(self, images: np.ndarray) -> Callable[[], None]:
        if len(images) > 1 and not self._any_batch:
            raise ConfigError(
                f"{self._path} does not accept a batch of {len(images)} images: it was exported for one; use "
                "--batch-size 1"
            )

        def call() -> None:
            self._session.run(self._outputs, {self._input: images})

        return call

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, {self._input: images}), strict=True))


def load_session(path: Path, threads: int) -> Any:
    """Open an ONNX file. Raises CheckpointError if it is damaged, EnvironmentProblem without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError as error:
        command = install_command("onnx", "onnxruntime")
        raise EnvironmentProblem(f"running .onnx files needs ONNX Runtime; run `{command}`") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise CheckpointError(f"{path} is not a whole ONNX file: {first_line(error)}") from error
