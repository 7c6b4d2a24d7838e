"""Measures parts and whole nets through TFLite on this machine. The functions run in short-lived processes.

The time of a call is the processor time of its thread: on a busy machine it still ranks nets, where the time on the
clock does not. With several threads only the clock tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.latency.variants import convert_variant, noise_images, with_live_squeezes
from mnasnet_cli.searching.latency.parts import BLOCK, HEAD, STEM, Part

ROUNDS = 10
ROUND_SECONDS = 0.02
"""Of calls of one net or part in a round."""
SAMPLE_SECONDS = 1e-4
"""Of calls that are timed as one: the clock itself takes half a microsecond."""
MIN_SAMPLES = 10
WARM_UP_CALLS = 3
BUSY = 1.15
"""Time on the clock over processor time, from which on the machine counts as busy."""


def measure_parts(parts: Sequence[Part], classes: int, threads: int, int8: bool) -> dict[str, Any]:
    """Convert and measure parts in turns.

    Returns:
      {"ms": the latency of each part without that of an empty call, "busy": time on the clock over processor time}.
    """
    calls = [_call(content, threads) for content in (_empty(), *(_convert(part, classes, int8) for part in parts))]
    seconds, busy = time_in_turns(calls, threads)
    empty, *latencies = (1e3 * one for one in seconds)
    return {"ms": [max(one - empty, 0.0) for one in latencies], "busy": busy}


def measure_files(files: Sequence[Path], threads: int) -> dict[str, Any]:
    """Measure TFLite files in turns. Returns {"ms": the latency of each, "busy": as of `measure_parts`}."""
    seconds, busy = time_in_turns([_call(file.read_bytes(), threads) for file in files], threads)
    return {"ms": [1e3 * one for one in seconds], "busy": busy}


def convert_nets(tables: Sequence[tuple[Any, int]], classes: int, int8: bool, folder: Path) -> list[Path]:
    """Convert nets with random weights; return the TFLite files.

    Args:
      tables: each net's table as nested dictionaries, and its image size.
    """
    return [
        convert_variant(NetTable.model_validate(table), 1.0, size, folder, int8=int8, classes=classes)
        for table, size in tables
    ]


def time_in_turns(calls: Sequence[Callable[[], None]], threads: int) -> tuple[list[float], float]:
    """Return the seconds of each call, and the time on the clock over processor time.

    Every round runs each call for ROUND_SECONDS, so a slow time of the machine slows all of them. A round's time is the
    lower quartile of its calls: what else the machine does only adds to some of them. It counts relative to the mean of
    all calls in the round; the result is the median over the rounds.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    batches = [_calls_in(call, SAMPLE_SECONDS) for call in calls]
    found = np.empty((ROUNDS, len(calls)))
    wall = spent = 0.0
    for number in range(ROUNDS):
        for place, (call, count) in enumerate(zip(calls, batches, strict=True)):
            samples: list[float] = []
            began, ends = time.perf_counter(), time.perf_counter() + ROUND_SECONDS
            while time.perf_counter() < ends or len(samples) < MIN_SAMPLES:
                before = clock()
                for _ in range(count):
                    call()
                samples.append((clock() - before) / count)
            wall += time.perf_counter() - began
            spent += count * sum(samples)
            found[number, place] = np.percentile(samples, 25)
    logs = np.log(np.maximum(found, 1e-9))
    speeds = logs.mean(1, keepdims=True)  # of the machine in each round
    seconds = np.exp(np.median(logs - speeds, 0) + np.median(speeds))
    return seconds.tolist(), wall / max(spent, 1e-9) if threads == 1 else 1.0


def _calls_in(call: Callable[[], None], seconds: float) -> int:
    """Warm a call up; return how many of it take so long, at least one."""
    for _ in range(WARM_UP_CALLS):
        call()
    began = time.perf_counter()
    call()
    return max(1, round(seconds / max(time.perf_counter() - began, 1e-6)))


def _call(content: bytes, threads: int) -> Callable[[], None]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        values = np.random.default_rng(0).normal(size=details["shape"])
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def _empty() -> bytes:
    """Return a file whose call costs nothing but the call."""
    import tensorflow as tf

    spec = tf.TensorSpec([1, 8], tf.float32)
    function = tf.function(tf.nn.relu, autograph=False, input_signature=[spec])
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    return content


def _convert(part: Part, classes: int, int8: bool) -> bytes:
    """Return a part as a TFLite file, with the changes of the graph that the exporter makes."""
    import tensorflow as tf

    from mnasnet_cli.export.graph import fold_batch_norms, tf1_graph
    from mnasnet_cli.export.tflite.conv_to_matmul import convolutions_to_matmuls
    from mnasnet_cli.export.tflite.split_layers import pad_classes, split_bottlenecks
    from mnasnet_cli.modules.slim_module import SlimModule

    module = SlimModule(lambda images: _build(part, classes, images))
    shape = [1, part.size, part.size, part.inputs]
    module.build(tf.TensorSpec(shape, tf.float32))
    values = with_live_squeezes({name: variable.numpy() for name, variable in module.weights.items()})
    graph = tf.Graph()
    with tf1_graph(graph):
        constants = {name: tf.constant(value, name=name) for name, value in values.items()}
        images = tf.compat.v1.placeholder(tf.float32, shape, name="images")
        tf.identity(module(images, variables=constants), name="outputs")
    definition = fold_batch_norms(tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["outputs"]))
    if not int8:
        definition = convolutions_to_matmuls(pad_classes(split_bottlenecks(definition)))
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune("images:0", "outputs:0")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([pruned])
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [image[np.newaxis]] for image in noise_images(part.size, part.inputs)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


def _build(part: Part, classes: int, images: Any) -> Any:
    """Build a part of a net in inference mode."""
    import tensorflow as tf

    from mnasnet_cli.nets import blocks, layers, mnasnet
    from mnasnet_cli.nets.slim_compat import slim

    activation = blocks.ACTIVATIONS[part.activation]
    activated = {"activation_fn": activation, "normalizer_fn": slim.batch_norm}
    scope = mnasnet.training_scope(is_training=False, updates_collections=None)
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False, center=True, scale=True):
        if part.kind == STEM:
            return layers.conv2d(images, part.outputs, 3, stride=2, scope="Conv", **activated)
        if part.kind == HEAD:
            net = layers.conv2d(images, part.outputs, 1, scope="Conv_1", **activated)
            net = tf.reduce_mean(net, [1, 2], keepdims=True)
            return tf.squeeze(blocks.classify(net, classes), [1, 2])
        assert part.kind == BLOCK
        return blocks.mnas_block(images, block_of(part), activation, part.stride, 1, symmetric=False)


def block_of(part: Part) -> Any:
    """Return a part as a block of a net."""
    from mnasnet_cli.nets.architecture import BlockSpec

    return BlockSpec(
        layer="layer_2",
        scope="mb_conv",
        kernel=part.kernel,
        stride=part.stride,
        in_channels=part.inputs,
        expanded_channels=part.inputs * part.expand,
        out_channels=part.outputs,
        squeeze_channels=part.squeeze,
        squeezes_expanded=True,
        has_expansion=part.expand > 1,
        has_skip=part.skip,
        total_stride=2 * part.stride,
        in_size=part.size,
        out_size=-(-part.size // part.stride),
    )
