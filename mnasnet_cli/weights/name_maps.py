"""The names that torchvision, timm and the TPU code give to the layers of a net (no TensorFlow)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from mnasnet_cli.nets.architecture import BlockSpec, NetSpec, block_specs
from mnasnet_cli.nets.spec import convolutions
from mnasnet_cli.weights.rules import TF_LAYERS, TORCH, Rule, layer_rules

Layers = dict[str, tuple[str, str]]
STEM, HEAD, LOGITS = "Conv", "Conv_1", "Conv2d_1c_1x1"


def numbered_blocks(spec: NetSpec) -> Iterator[tuple[int, int, BlockSpec]]:
    """Yields (stage, repeat, block), both counted from 0."""
    places = [(stage, repeat) for stage, row in enumerate(spec.stages) for repeat in range(row.repeats)]
    for (stage, repeat), block in zip(places, block_specs(spec), strict=True):
        yield stage, repeat, block


def torchvision_rules(spec: NetSpec, classes: int) -> list[Rule]:
    """`MNASNet`: stem and first block lie flat in `layers`, then come a stack per stage and the head."""
    layers: Layers = {STEM: ("layers.0", "layers.1"), LOGITS: ("classifier.1", "")}
    for stage, repeat, block in numbered_blocks(spec):
        if stage == 0:
            layers[f"{block.scope}/depthwise"] = ("layers.3", "layers.4")
            layers[f"{block.scope}/project"] = ("layers.6", "layers.7")
            continue
        within = f"layers.{stage + 7}.{repeat}.layers"
        for part, number in (("expand", 0), ("depthwise", 3), ("project", 6)):
            layers[f"{block.scope}/{part}"] = (f"{within}.{number}", f"{within}.{number + 1}")
    head = len(spec.stages) + 7
    layers[HEAD] = (f"layers.{head}", f"layers.{head + 1}")
    return layer_rules(convolutions(spec, classes), layers, TORCH, LOGITS)


def timm_rules(spec: NetSpec, classes: int) -> list[Rule]:
    """`EfficientNet`: blocks.STAGE.REPEAT, with other names in blocks that don't expand."""
    layers: Layers = {STEM: ("conv_stem", "bn1"), HEAD: ("conv_head", "bn2"), LOGITS: ("classifier", "")}
    for stage, repeat, block in numbered_blocks(spec):
        if block.has_expansion:
            parts = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
        else:
            parts = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}
        parts["se_block/excitation_reduce"] = ("se.conv_reduce", "")
        parts["se_block/excitation_expand"] = ("se.conv_expand", "")
        for part, (conv, norm) in parts.items():
            layers[f"{block.scope}/{part}"] = (f"blocks.{stage}.{repeat}.{conv}", f"blocks.{stage}.{repeat}.{norm}")
    return layer_rules(convolutions(spec, classes), layers, TORCH, LOGITS)


def tpu_rules(spec: NetSpec, classes: int) -> list[Rule]:
    """`MnasNetModel`, in the names of `tpu_tensors`: layers of a kind are counted within their block."""
    layers: Layers = {
        STEM: ("mnas_stem/conv2d", "mnas_stem/batch_normalization"),
        HEAD: ("mnas_head/conv2d", "mnas_head/batch_normalization"),
        LOGITS: ("mnas_head/dense", ""),
    }
    for number, (_, _, block) in enumerate(numbered_blocks(spec)):
        within = f"mnas_blocks_{number}"
        norms = [f"{within}/{_counted('batch_normalization', place)}" for place in range(3)]
        convs = [f"{within}/{_counted('conv2d', place)}" for place in range(2)]
        if block.has_expansion:
            layers[f"{block.scope}/expand"] = (convs.pop(0), norms.pop(0))
        layers[f"{block.scope}/depthwise"] = (f"{within}/depthwise_conv2d", norms[0])
        layers[f"{block.scope}/project"] = (convs[0], norms[1])
        for place, part in enumerate(("reduce", "expand")):
            layers[f"{block.scope}/se_block/excitation_{part}"] = (f"{within}/se/{_counted('conv2d', place)}", "")
    return layer_rules(convolutions(spec, classes), layers, TF_LAYERS, LOGITS)


_TPU_NAME = re.compile(
    r"(?P<scope>mnas_(?:stem|head|blocks_\d+)(?:/se)?)/(?:tpu_)?(?P<layer>[a-z_]*?(?:2d|dense|normalization))"
    r"(?:_(?P<number>\d+))?/(?P<part>\w+)$"
)


def tpu_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of the TPU code under names that don't depend on the TensorFlow that wrote them.

    Keras' layers count through the whole program or within a scope, and put the model's name before theirs or not; so
    `mnasnet-a1/mnas_net_model/mnas_blocks_2/conv2d_4/kernel` and `mnasnet-a1/mnas_blocks_2/conv2d_1/kernel` are both
    `mnas_blocks_2/conv2d_1/kernel`: the second of its kind in the block. A name that is no such layer's is kept.
    """
    matches = {name: _TPU_NAME.search(name) for name in tensors}
    numbers: dict[tuple[str, str], set[int]] = {}
    for match in matches.values():
        if match:
            numbers.setdefault((match["scope"], match["layer"]), set()).add(int(match["number"] or 0))
    found = {}
    for name, tensor in tensors.items():
        match = matches[name]
        if match:
            place = sorted(numbers[match["scope"], match["layer"]]).index(int(match["number"] or 0))
            ours = f"{match['scope']}/{_counted(match['layer'], place)}/{match['part']}"
            name = name if ours in found else ours  # two of one name: one of them is no part of the net
        found[name] = tensor
    return found


def _counted(layer: str, place: int) -> str:
    return f"{layer}_{place}" if place else layer
