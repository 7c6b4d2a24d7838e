"""Rules between names and shapes of our nets and those of others, read in both directions (no TensorFlow)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mnasnet_cli.nets.spec import ConvShape

SCOPE = "Mnasnet"
COUNTER = ".num_batches_tracked"  # what PyTorch's batch norm keeps beside its statistics

# How a tensor's axes lie elsewhere: theirs are ours in this order. A dense layer's kernel has no positions, so that its
# two axes of size 1 are left out.
_AXES: dict[str, tuple[int, ...]] = {
    "same": (),
    "torch": (3, 2, 0, 1),  # [k, k, in, out] to [out, in, k, k]
    "torch-depthwise": (2, 3, 0, 1),  # [k, k, C, 1] to [C, 1, k, k]
    "torch-dense": (3, 2),  # [1, 1, in, out] to [out, in]
    "dense": (2, 3),  # [1, 1, in, out] to [in, out]
}


@dataclass(frozen=True)
class Rule:
    """One tensor: our name and shape, the other's name, and how its axes lie there (a key of `_AXES`)."""

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
    """How a library names the parts of a layer: `joiner` stands between the layer and the part."""

    joiner: str
    kernel: str
    depthwise: str
    bias: str
    norm: Mapping[str, str]
    """Slim's names of batch norm's parts → theirs."""
    layouts: Mapping[str, str] = field(default_factory=dict)
    """"kernel", "depthwise" and "dense" → a key of `_AXES`; "same" where left out."""


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
    norm={part: part for part in ("gamma", "beta", "moving_mean", "moving_variance")},
    layouts={"dense": "dense"},
)


def layer_rules(
    convolutions: Iterable[ConvShape], layers: Mapping[str, tuple[str, str]], naming: Naming, dense: str
) -> list[Rule]:
    """The rules of a net's convolutions.

    Args:
      layers: scope of ours → names of their convolution and their batch norm.
      dense: scope of the convolution that is a dense layer there.
    """
    rules = []
    for conv in convolutions:
        theirs, norm = layers[conv.scope]
        kind = "depthwise" if conv.scope.endswith("depthwise") else "dense" if conv.scope == dense else "kernel"
        ours = f"{SCOPE}/{conv.scope}"
        kernel = f"{ours}/depthwise_weights" if kind == "depthwise" else f"{ours}/weights"
        part = naming.depthwise if kind == "depthwise" else naming.kernel
        rules.append(Rule(kernel, theirs + naming.joiner + part, conv.kernel, naming.layouts.get(kind, "same")))
        if conv.normalized:
            for name, part in naming.norm.items():
                rules.append(Rule(f"{ours}/BatchNorm/{name}", norm + naming.joiner + part, (conv.channels,)))
        else:
            rules.append(Rule(f"{ours}/biases", theirs + naming.joiner + naming.bias, (conv.channels,)))
    return rules


def find_faults(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """(name, what is wrong): what keeps tensors from being those of the rules, in names, shapes or numbers."""
    wanted = {rule.theirs: rule.their_shape for rule in rules}
    faults = [(name, "missing") for name in wanted if name not in tensors]
    faults += [(name, "not in the net") for name in tensors if name not in wanted]
    for name, shape in wanted.items():
        tensor = tensors.get(name)
        if tensor is None:
            continue
        if tensor.shape != shape:
            faults.append((name, f"shape {list(tensor.shape)} instead of {list(shape)}"))
        elif tensor.dtype.kind != "f":
            faults.append((name, f"{tensor.dtype} instead of floating point numbers"))
        elif not np.isfinite(tensor).all():
            faults.append((name, "numbers that are not finite"))
    return faults


def describe_faults(faults: Iterable[tuple[str, str]]) -> str:
    """All of them in one line; parts of a layer with the same fault stand together, as in `bn1.{weight,bias}`."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, problem in faults:
        layer, part = re.fullmatch(r"(.*[./])?([^./]*)", name).groups("")  # type: ignore[union-attr]
        groups.setdefault((layer, problem), []).append(part)
    named = []
    for (layer, problem), parts in groups.items():
        named.append(f"{layer}{parts[0] if len(parts) == 1 else '{' + ','.join(parts) + '}'}: {problem}")
    return "; ".join(named)


def take(rules: Iterable[Rule], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors by our names, in our layout and as float32; `find_faults` found none."""
    return {rule.ours: rule.to_ours(tensors[rule.theirs]).astype(np.float32, copy=False) for rule in rules}


def give(rules: Iterable[Rule], weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our weights by their names and in their layout: the way back of `take`."""
    return {rule.theirs: rule.to_theirs(weights[rule.ours]) for rule in rules}
