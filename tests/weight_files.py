"""Writes random weights in the formats of other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnasnet_cli.weights.formats import FORMATS, WeightFormat

WIDTH = 0.35
CLASSES = 6


def format_named(name: str) -> WeightFormat:
    return next(weight_format for weight_format in FORMATS if weight_format.name == name)


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors by name, float32; variances are positive."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        positive = name.endswith(("running_var", "moving_variance", "gamma"))
        values = random.uniform(0.5, 1.5, shape) if positive else random.normal(0.0, 0.2, shape)
        tensors[name] = values.astype(np.float32)
    return tensors


def state_dict(name: str, variant: str, width: float = WIDTH, classes: int = CLASSES) -> dict[str, np.ndarray]:
    """A state dict of torchvision or timm, or the variables of the TPU code, TF-Slim or the Object Detection API."""
    weight_format = format_named(name)
    _, spec = weight_format.candidate_nets(variant, width)[0]
    rules = weight_format.rules(spec, classes)
    tensors = random_tensors({rule.theirs: rule.their_shape for rule in rules})
    for mean in [name for name in tensors if name.endswith(".running_mean")]:
        tensors[mean.replace("running_mean", "num_batches_tracked")] = np.array(1234, np.int64)
    return tensors


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    from safetensors.numpy import save_file

    save_file(tensors, str(path))
    return path


def write_tensorflow(prefix: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A checkpoint as a Saver of TensorFlow 1 writes it, with a step and an optimizer slot beside the variables."""
    import tensorflow as tf

    names, values = zip(*tensors.items(), strict=True)
    extra = [next(name for name in names if name.endswith(("weights", "kernel"))) + "/RMSProp", "global_step"]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[*names, *extra],
        shape_and_slices=[""] * (len(names) + 2),
        tensors=[*map(tf.constant, values), tf.constant([1.0]), tf.constant(5, tf.int64)],
    )
    return prefix
