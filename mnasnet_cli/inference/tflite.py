"""Runs a TFLite file, float or quantized, with LiteRT. Postprocessing of raw outputs is our own code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, ConfigError, EnvironmentProblem, first_line
from mnasnet_cli.inference.base import BaseRunner, one_by_one, with_integer_classes
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.system.machine import core_count
from mnasnet_cli.system.native_output import suppress_output

MAGIC, MAGIC_AT = b"TFL3", 4  # the file identifier of the FlatBuffers format, and its offset in bytes


class TfliteRunner(BaseRunner):
    """A `.tflite` file. It runs on one image at a time, as on a phone."""

    def __init__(self, path: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        super().__init__(manifest, path.stat().st_size)
        self._path = path
        self._interpreter = _load(path, threads or core_count())
        (self._input,) = self._inputs_of(path)
        self._outputs = self._named_outputs()
        if manifest.task == "detection" and not self._boxes_inside:
            self.timing_note = "raw heads: without decoding and suppression of boxes"

    @property
    def _boxes_inside(self) -> bool:
        post = self.manifest.postprocessing
        return post is not None and post.inside

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self._resize(1, self.image_size)
        outputs = one_by_one(self._one, images)
        if self.task == "detection" and not self._boxes_inside:
            return self.postprocess(outputs)
        outputs.pop("probabilities", None)
        return with_integer_classes(outputs)

    def inference_call(self, images: np.ndarray) -> Callable[[], None]:
        self._resize(*images.shape[:2])
        self._interpreter.set_tensor(self._input["index"], _quantized(images, self._input))
        return self._interpreter.invoke

    def _one(self, image: np.ndarray) -> dict[str, np.ndarray]:
        try:
            self._interpreter.set_tensor(self._input["index"], _quantized(image, self._input))
            self._interpreter.invoke()
            return {
                name: _dequantized(self._interpreter.get_tensor(details["index"]), details)
                for name, details in self._outputs.items()
            }
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self._path} can't be run, so it is damaged: {first_line(error)}; export the model again"
            ) from error

    def _resize(self, batch_size: int, side: int) -> None:
        shape = [batch_size, side, side, 3]
        if self._interpreter.get_input_details()[0]["shape"].tolist() == shape:
            return
        try:
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"{self._path} does not accept a batch of {batch_size} images ({first_line(error)}); use --batch-size 1"
            ) from error

    def _inputs_of(self, path: Path) -> list[dict[str, Any]]:
        inputs = self._interpreter.get_input_details()
        size = self.image_size
        if len(inputs) != 1 or inputs[0]["shape"].tolist()[1:] != [size, size, 3]:
            shapes = ", ".join(str(item["shape"].tolist()) for item in inputs)
            raise CheckpointError(
                f"{path} takes {shapes}, but its manifest says one image of {size} × {size} px; the files do not "
                "belong together: export the model again with `mnasnet export`"
            )
        return list(inputs)

    def _named_outputs(self) -> dict[str, dict[str, Any]]:
        """Return the output tensors by their names in the signature."""
        signatures = self._interpreter.get_signature_list()
        details = {item["name"]: item for item in self._interpreter.get_output_details()}
        if not signatures:
            return details
        runner = self._interpreter.get_signature_runner(next(iter(signatures)))
        return dict(runner.get_output_details())


def _load(path: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import OpResolverType
    except ImportError as error:
        raise EnvironmentProblem("running .tflite files requires LiteRT: `pip install ai-edge-litert`") from error
    with path.open("rb") as file:
        if file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] != MAGIC:
            raise CheckpointError(f"{path} is not a TFLite file; export the model again with `mnasnet export`")
    try:
        return _interpreter(path, threads)
    except ValueError as error:
        if "Could not open" in str(error):  # it could be, a moment ago
            raise EnvironmentProblem(
                f"cannot open {path} again; the process may have too many open files: raise the limit (ulimit -n)"
            ) from error
        raise CheckpointError(f"{path} is not a whole TFLite file: {first_line(error)}") from error
    except RuntimeError as error:
        # XNNPACK rejects some quantization scales that LiteRT's own kernels accept.
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with contextlib.suppress(ValueError, RuntimeError):
            interpreter = _interpreter(path, threads, experimental_op_resolver_type=plain)
            warn(f"{path} runs without XNNPACK and is slower: XNNPACK rejects it ({first_line(error)})")
            return interpreter
        raise CheckpointError(f"{path} is not a whole TFLite file: {first_line(error)}") from error


def _interpreter(path: Path, threads: int, **options: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with suppress_output():  # it prints which delegate it uses
        interpreter = Interpreter(model_path=str(path), num_threads=threads, **options)
        interpreter.allocate_tensors()
    return interpreter


def _quantized(images: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Convert real numbers r to a tensor's type; for a quantized tensor, to q = r / scale + zero point."""
    kind = details["dtype"]
    if not np.issubdtype(kind, np.integer):
        return images.astype(kind, copy=False)
    scale, zero = details["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.round(images / scale) + zero, limits.min, limits.max).astype(kind)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Convert a tensor to real numbers; for a quantized tensor q, to r = (q - zero point) · scale."""
    scale, zero = details["quantization"]
    if not np.issubdtype(details["dtype"], np.integer) or not scale:
        return values
    return (values.astype(np.float32) - zero) * np.float32(scale)
