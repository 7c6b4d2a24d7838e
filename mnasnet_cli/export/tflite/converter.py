"""TFLite files for phones: float, weights in half the bytes, and fully integer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.errors import CheckFailed, first_line
from mnasnet_cli.export.artifact import Written, describe
from mnasnet_cli.export.graph import MULTIPLY, SEPARATE, TENSORS, build_graph
from mnasnet_cli.export.tflite.conv_to_matmul import multiply_narrow_projections
from mnasnet_cli.export.tflite.split_layers import fill_classes, narrow_bottlenecks
from mnasnet_cli.export.tflite.tensor_order import number_from_last_to_first
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import CLASSIFIER_OUTPUTS, HEAD_OUTPUTS
from mnasnet_cli.models.postprocessing import select_boxes
from mnasnet_cli.system.native_output import suppress_output

FILE = "model.tflite"
INPUT = "tensors"


def write_tflite(loaded: LoadedModel, folder: Path, calibration: Callable[[], Iterator[np.ndarray]] | None) -> Written:
    """Writes `model.tflite` in float32; with `calibration`, fully integer.

    Args:
      calibration: gives images [S, S, 3] as the net sees them, whose values the scales of all tensors are taken from.
    """
    integer = calibration is not None

    def configure(converter: Any) -> None:
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in calibration())
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8

    return _convert(_function(loaded, integer=integer), configure, folder, boxes_inside=not integer, integer=integer)


def write_tflite_fp16(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `model.tflite` with float16 weights, which most runtimes widen to float32 when they load it."""

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return _convert(_function(loaded, integer=False), configure, folder, boxes_inside=True, integer=False)


def _function(loaded: LoadedModel, *, integer: bool) -> Any:
    """The concrete function that is converted.

    A classifier takes any number of images and gives logits: an integer softmax would only lose their order. A detector
    takes one, and gives boxes, suppression included; in integers it ends with the raw heads, since a box's coordinates
    in 256 steps would be good for nothing.
    """
    size = loaded.image_size
    options = loaded.postprocessing
    net = _net(loaded, integer=integer)

    def outputs(tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        found = net(tensors)
        if options is None or integer:
            return found
        return select_boxes(found["class_logits"], found["box_deltas"], size, options)

    batch = None if options is None else 1
    spec = tf.TensorSpec([batch, size, size, 3], tf.float32, name=INPUT)
    return tf.function(outputs, autograph=False, input_signature=[spec]).get_concrete_function()


def _net(loaded: LoadedModel, *, integer: bool) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The logits of a classifier or the raw heads of a detector, from a graph that was prepared for the converter.

    In float, layers get widths that suit the processor (see `narrow`), and the large kernels that a RetinaNet's levels
    share are stored once: 45 MB instead of 121 at 256 channels, in the same time. In integers, a step between a kernel
    and its batch norm would be one more rounding, and so would a sum of parts.
    """
    definition = build_graph(loaded, None, heads=True, scaling=MULTIPLY if integer else SEPARATE).definition
    if not integer:
        definition = multiply_narrow_projections(fill_classes(narrow_bottlenecks(definition)))
    names = CLASSIFIER_OUTPUTS[:1] if loaded.task == "classification" else HEAD_OUTPUTS
    graph = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return graph.prune(f"{TENSORS}:0", {name: f"{name}:0" for name in names})


def _convert(
    function: Any, configure: Callable[[Any], None], folder: Path, *, boxes_inside: bool, integer: bool
) -> Written:
    # The converter goes by way of a SavedModel. Where it can't write that, on a full disk, it takes another way on its
    # own, on which names are lost; so it is given one, on the disk that the file goes to.
    with suppress_output(), tempfile.TemporaryDirectory(dir=folder) as saved:
        tf.saved_model.save(tf.Module(), saved, signatures=function)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        configure(converter)
        try:
            content = number_from_last_to_first(converter.convert())
        except (ValueError, RuntimeError) as error:  # ConverterError is one of the latter
            raise CheckFailed(f"TensorFlow's converter can't convert this net: {first_line(error)}") from error
    path = folder / FILE
    path.write_bytes(content)
    inputs = {INPUT: function.structured_input_signature[0][0]}
    signature = {"inputs": describe(inputs), "outputs": describe(function.structured_outputs)}
    if integer:
        _add_quantization(signature, content)
    return Written(path, signature, boxes_inside=boxes_inside)


def _add_quantization(signature: dict[str, Any], content: bytes) -> None:
    """Adds to each tensor how its integers mean numbers: real = (integer - zero_point) · scale."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # nothing is run, and XNNPACK doesn't take every scale
    with suppress_output():
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
        runner = interpreter.get_signature_runner()
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        for name, about in details.items():
            scale, zero_point = about["quantization"]
            signature[side][name] |= {"dtype": "int8", "scale": float(scale), "zero_point": int(zero_point)}
