"""Converts models to TFLite: float32, float16 weights, or int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.preprocessing import normalize
from mnasnet_cli.errors import CheckFailed, first_line
from mnasnet_cli.export.artifact import Artifact, describe_tensors
from mnasnet_cli.export.graph import DEPTHWISE, MULTIPLY, TENSORS, build_graph
from mnasnet_cli.export.tflite.conv_to_matmul import convolutions_to_matmuls
from mnasnet_cli.export.tflite.mediapipe import as_pixels, describe_for_mediapipe, pixel_preprocessing
from mnasnet_cli.export.tflite.split_layers import pad_classes, split_bottlenecks
from mnasnet_cli.export.tflite.tensor_order import order_outputs, reverse_tensor_order
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import CLASSIFIER_OUTPUTS, HEAD_OUTPUTS
from mnasnet_cli.modules.postprocessing import select_boxes
from mnasnet_cli.system.files import temporary_folder, write_atomically
from mnasnet_cli.system.native_output import suppress_output
from mnasnet_cli.system.plain_paths import plain_folder

FILE = "model.tflite"
INPUT = "tensors"
LOGITS, PROBABILITIES = CLASSIFIER_OUTPUTS


def write_tflite(
    loaded: LoadedModel,
    folder: Path,
    calibration: Callable[[], Iterator[np.ndarray]] | None,
    *,
    mediapipe: bool = False,
    one_image: bool = False,
) -> Artifact:
    """Write `model.tflite` in float32, or in int8 if `calibration` is given.

    Args:
      calibration: iterates over preprocessed images [S, S, 3], from whose activations the scales are computed.
      mediapipe: see `_convert`.
      one_image: fix the number of images at 1 for classifiers, too.
    """
    integer = tf.uint8 if mediapipe else tf.int8  # MediaPipe takes no int8

    def configure(converter: Any) -> None:
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            images = _whole_range(calibration, loaded) if mediapipe else calibration
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images())
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = integer

    return _convert(loaded, folder, configure, int8=calibration is not None, mediapipe=mediapipe, one_image=one_image)


def _whole_range(calibration: Callable[[], Iterator[np.ndarray]], loaded: LoadedModel) -> Callable[[], Iterator[Any]]:
    """Return the calibration images as pixels. Two pixels of the first span [0, 255], so that the scale becomes 1."""

    def images() -> Iterator[np.ndarray]:
        for number, image in enumerate(calibration()):
            pixels = as_pixels(image, loaded.preprocessing)
            if number == 0:
                pixels[0, 0], pixels[0, -1] = 0.0, 255.0
            yield pixels

    return images


def write_tflite_fp16(loaded: LoadedModel, folder: Path, *, mediapipe: bool = False) -> Artifact:
    """Write `model.tflite` with float16 weights. Most runtimes convert them to float32 when they load the file."""

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return _convert(loaded, folder, configure, int8=False, mediapipe=mediapipe)


def _convert(
    loaded: LoadedModel,
    folder: Path,
    configure: Callable[[Any], None],
    *,
    int8: bool,
    mediapipe: bool,
    one_image: bool = False,
) -> Artifact:
    """Convert a model with a TFLiteConverter that `configure` has set up.

    mediapipe: write a file of the second kind in `tflite/mediapipe.py`.
    """
    function = _function(loaded, int8=int8, mediapipe=mediapipe, one_image=one_image)
    # `from_concrete_functions` writes a SavedModel, too. When it can't, as on a full disk, it converts in another way,
    # which loses names. So the SavedModel is written here, on the disk of the final file.
    with suppress_output(), temporary_folder(folder) as temporary, plain_folder(temporary) as saved:
        tf.saved_model.save(tf.Module(), str(saved), signatures=function)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        configure(converter)
        try:
            content = reverse_tensor_order(converter.convert())
        except (ValueError, RuntimeError) as error:  # ConverterError is a RuntimeError
            raise CheckFailed(f"TensorFlow's converter failed on this net: {first_line(error)}") from error
    if mediapipe and loaded.task == "classification":
        content = order_outputs(content, [index for _, index, _ in sorted(_outputs_of(content), reverse=True)])
    file_outputs = {name: kind for name, _, kind in _outputs_of(content)}
    path = folder / FILE
    content, described = describe_for_mediapipe(content, loaded, file_outputs, pixels=mediapipe)
    write_atomically(path, content)
    inputs = {INPUT: function.structured_input_signature[0][0]}
    signature = {"inputs": describe_tensors(inputs), "outputs": describe_tensors(function.structured_outputs)}
    if int8:
        _add_quantization(signature, content)
    preprocessing = pixel_preprocessing(loaded.preprocessing) if mediapipe else None
    return Artifact(path, signature, boxes_inside=not int8, preprocessing=preprocessing, mediapipe=described)


def _function(loaded: LoadedModel, *, int8: bool, mediapipe: bool, one_image: bool) -> Any:
    """Return the concrete function to convert.

    A classifier takes any number of images. It ends with logits, because an int8 softmax would only blur their order. A
    detector takes one image. In float it ends with boxes after suppression, in int8 with the raw outputs, because 256
    steps are too coarse for coordinates.
    """
    size = loaded.image_size
    options = loaded.postprocessing
    net = _net(loaded, int8=int8)

    def outputs(tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        found = net(normalize(tensors, loaded.preprocessing) if mediapipe else tensors)
        if options is None and mediapipe:
            return {**found, PROBABILITIES: tf.nn.softmax(found[LOGITS])}
        if options is None or int8:
            return found
        boxes = select_boxes(found["class_logits"], found["box_deltas"], size, options)
        return {name: tf.cast(values, tf.float32) for name, values in boxes.items()} if mediapipe else boxes

    batch = None if options is None and not one_image else 1
    spec = tf.TensorSpec([batch, size, size, 3], tf.float32, name=INPUT)
    return tf.function(outputs, autograph=False, input_signature=[spec]).get_concrete_function()


def _net(loaded: LoadedModel, *, int8: bool) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the logits of a classifier or the raw outputs of a detector as a function of the net's input.

    In float, the layers are rewritten for XNNPACK (`split_layers`, `conv_to_matmul`). The large kernels that a
    RetinaNet's levels share are stored once: 45 MB instead of 121 MB at 256 channels, at the same speed. In int8, a
    separate batch norm or a sum of parts would add a rounding, so the graph stays as it is.
    """
    definition = build_graph(loaded, None, heads=True, scaling=MULTIPLY if int8 else DEPTHWISE).definition
    if not int8:
        definition = convolutions_to_matmuls(pad_classes(split_bottlenecks(definition)))
    names = (LOGITS,) if loaded.task == "classification" else HEAD_OUTPUTS
    graph = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return graph.prune(f"{TENSORS}:0", {name: f"{name}:0" for name in names})


def _add_quantization(signature: dict[str, Any], content: bytes) -> None:
    """Add the scale and zero point of each tensor to the signature: real = (integer - zero_point) · scale."""
    runner = _interpreter(content).get_signature_runner()
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        for name, tensor in details.items():
            scale, zero_point = tensor["quantization"]
            signature[side][name] |= {
                "dtype": np.dtype(tensor["dtype"]).name,
                "scale": float(scale),
                "zero_point": int(zero_point),
            }


def _outputs_of(content: bytes) -> list[tuple[str, int, Any]]:
    """Return names, indices of tensors, and types of the outputs in the order of the file."""
    interpreter = _interpreter(content)
    named = interpreter.get_signature_runner().get_output_details()
    names = {details["index"]: name for name, details in named.items()}
    return [(names[one["index"]], one["index"], one["dtype"]) for one in interpreter.get_output_details()]


def _interpreter(content: bytes) -> Any:
    """Return an interpreter for a file that is not run: XNNPACK, which rejects some scales, is left out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    without_xnnpack = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with suppress_output():
        return Interpreter(model_content=content, experimental_op_resolver_type=without_xnnpack)
