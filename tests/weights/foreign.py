"""Weights as others write them, drawn at random: what importing is tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnasnet_cli.weights.formats import KINDS, Kind

WIDTH = 0.35
CLASSES = 6


def kind_of(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def drawn(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors by name; variances are positive."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        positive = name.endswith(("running_var", "moving_variance", "gamma"))
        values = random.uniform(0.5, 1.5, shape) if positive else random.normal(0.0, 0.2, shape)
        tensors[name] = values.astype(np.float32)
    return tensors


def state_dict(kind: str, variant: str, width: float = WIDTH, classes: int = CLASSES) -> dict[str, np.ndarray]:
    """A state dict of torchvision or timm, or the variables of the TPU code, TF-Slim or the Object Detection API."""
    found = kind_of(kind)
    _, spec = found.specs(variant, width)[0]
    rules = found.rules(spec, classes)
    tensors = drawn({rule.theirs: rule.their_shape for rule in rules})
    for name in [name for name in tensors if name.endswith(".running_mean")]:
        tensors[name.replace("running_mean", "num_batches_tracked")] = np.array(1234, np.int64)
    return tensors


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    from safetensors.numpy import save_file

    save_file(tensors, str(path))
    return path


def write_tensorflow(prefix: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A checkpoint as TensorFlow 1's Saver writes it, with a step and an optimizer's slot beside the variables."""
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
