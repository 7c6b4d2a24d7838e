"""Conversion between our tensor names and layouts and those of other libraries, in both directions.

Needs no TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.nets.spec import ConvShape

SCOPE = "Mnasnet"
BATCH_COUNTER = ".num_batches_tracked"  # PyTorch's batch norm stores it beside its statistics

# Layout → our axes in the order of the other library. A dense layer's kernel has no spatial axes, so our two axes of
# size 1 are left out.
_AXES: dict[str, tuple[int, ...]] = {
    "same": (),
    "torch": (3, 2, 0, 1),  # [k, k, in, out] to [out, in, k, k]
    "torch-depthwise": (2, 3, 0, 1),  # [k, k, C, 1] to [C, 1, k, k]
    "torch-dense": (3, 2),  # [1, 1, in, out] to [out, in]
    "dense": (2, 3),  # [1, 1, in, out] to [in, out]
}


@dataclass(frozen=True)
class Rule:
    """The conversion of one tensor.

    Attributes:
      ours, theirs: its name here and in the other library.
      shape: its shape here.
      layout: the order of its axes there, a key of `_AXES`.
    """

    ours: str
    theirs: str
    shape: tuple[int, ...]
    layout: str = "same"

    @property
    def their_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in _AXES[self.layout]) or self.shape

    def to_ours(self, tensor: np.ndarray) -> np.ndarray:
        axes = _AXES[self.layout]
        if len(axes) == 4:
            return np.ascontiguousarray(tensor.transpose(np.argsort(axes)))
        return np.ascontiguousarray(tensor.T if axes == (3, 2) else tensor).reshape(self.shape)

    def to_theirs(self, tensor: np.ndarray) -> np.ndarray:
        axes = _AXES[self.layout]
        if len(axes) == 4:
            return np.ascontiguousarray(tensor.transpose(axes))
        flat = tensor.reshape(tensor.shape[-2:] if axes else tensor.shape)
        return np.ascontiguousarray(flat.T if axes == (3, 2) else flat)


@dataclass(frozen=True)
class Naming:
    """How a library names the tensors of a layer.

    Attributes:
      joiner: stands between the names of layer and tensor.
      kernel, depthwise, bias: names of tensors.
      norm: slim's names of the batch norm tensors → the library's.
      layouts: "kernel", "depthwise" or "dense" → a key of `_AXES`; "same" if left out.
    """

    joiner: str
    kernel: str
    depthwise: str
    bias: str
    norm: Mapping[str, str]
    layouts: Mapping[str, str] = field(default_factory=dict)


TORCH = Naming(
    joiner=".",
    kernel="weight",
    depthwise="weight",
    bias="bias",
    norm={"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
    layouts={"kernel": "torch", "depthwise": "torch-depthwise", "dense": "torch-dense"},
)

TF_LAYERS = Naming(
    joiner="/",
    kernel="kernel",
    depthwise="depthwise_kernel",
    bias="bias",
    norm={name: name for name in ("gamma", "beta", "moving_mean", "moving_variance")},
    layouts={"dense": "dense"},
)


def layer_rules(
    convolutions: Iterable[ConvShape], layers: Mapping[str, tuple[str, str]], naming: Naming, dense: str
) -> list[Rule]:
    """The rules for a net's convolutions.

    Args:
      layers: our scope → the library's names of the convolution and its batch norm.
      dense: our scope of the convolution that is a dense layer in the library.

    Raises:
      CheckpointError: the library has no name for a layer; its nets have no such row.
    """
    rules = []
    for conv in convolutions:
        if conv.scope not in layers:
            raise CheckpointError(f"weights of this kind have no layer {conv.scope}, which the net has")
        theirs, norm = layers[conv.scope]
        ours = f"{SCOPE}/{conv.scope}"
        depthwise = conv.scope.endswith("depthwise")
        role = "depthwise" if depthwise else "dense" if conv.scope == dense else "kernel"
        our_kernel = f"{ours}/depthwise_weights" if depthwise else f"{ours}/weights"
        their_kernel = naming.depthwise if depthwise else naming.kernel
        layout = naming.layouts.get(role, "same")
        rules.append(Rule(our_kernel, theirs + naming.joiner + their_kernel, conv.kernel, layout))
        if conv.normalized:
            for our_name, their_name in naming.norm.items():
                rules.append(Rule(f"{ours}/BatchNorm/{our_name}", norm + naming.joiner + their_name, (conv.channels,)))
        else:
            rules.append(Rule(f"{ours}/biases", theirs + naming.joiner + naming.bias, (conv.channels,)))
    return rules


def find_mismatches(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """(name, problem) for each tensor whose name, shape, type or values do not fit the rules."""
    expected = {rule.theirs: rule.their_shape for rule in rules}
    mismatches = [(name, "missing") for name in expected if name not in tensors]
    mismatches += [(name, "not in the net") for name in tensors if name not in expected]
    for name, shape in expected.items():
        tensor = tensors.get(name)
        if tensor is None:
            continue
        if tensor.shape != shape:
            mismatches.append((name, f"shape {list(tensor.shape)} instead of {list(shape)}"))
        elif tensor.dtype.kind != "f":
            mismatches.append((name, f"{tensor.dtype} instead of floating point"))
        elif not np.isfinite(tensor).all():
            mismatches.append((name, "values that are not finite"))
    return mismatches


def describe_mismatches(mismatches: Iterable[tuple[str, str]]) -> str:
    """All mismatches in one line. Tensors of a layer with the same problem are grouped, as in `bn1.{weight,bias}`."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, problem in mismatches:
        layer, part = re.fullmatch(r"(.*[./])?([^./]*)", name).groups("")  # type: ignore[union-attr]
        groups.setdefault((layer, problem), []).append(part)
    named = []
    for (layer, problem), parts in groups.items():
        named.append(f"{layer}{parts[0] if len(parts) == 1 else '{' + ','.join(parts) + '}'}: {problem}")
    return "; ".join(named)


def to_our_weights(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts tensors without mismatches to our names and layouts, as float32."""
    return {rule.ours: rule.to_ours(tensors[rule.theirs]).astype(np.float32, copy=False) for rule in rules}


def to_their_tensors(rules: Iterable[Rule], weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts our weights to the other library's names and layouts: the inverse of `to_our_weights`."""
    return {rule.theirs: rule.to_theirs(weights[rule.ours]) for rule in rules}
