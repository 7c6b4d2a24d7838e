"""The layer names of torchvision, timm and the official TPU code (no TensorFlow)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from mnasnet_cli.nets.architecture import BlockSpec, NetSpec, block_specs
from mnasnet_cli.nets.spec import convolutions
from mnasnet_cli.weights.rules import TF_LAYERS, TORCH, Rule, layer_rules

Layers = dict[str, tuple[str, str]]  # our scope → (convolution, batch norm)
STEM, HEAD, LOGITS = "Conv", "Conv_1", "Conv2d_1c_1x1"


def numbered_blocks(spec: NetSpec) -> Iterator[tuple[int, int, BlockSpec]]:
    """Yields (stage, repeat, block) for every block; stage and repeat are counted from 0."""
    positions = [(stage, repeat) for stage, row in enumerate(spec.stages) for repeat in range(row.repeats)]
    for (stage, repeat), block in zip(positions, block_specs(spec), strict=True):
        yield stage, repeat, block


def torchvision_rules(spec: NetSpec, outputs: int) -> list[Rule]:
    """Rules for `MNASNet`: `layers` lists the layers of stem and first block, a module per stage, and the head."""
    layers: Layers = {STEM: ("layers.0", "layers.1"), LOGITS: ("classifier.1", "")}
    for stage, repeat, block in numbered_blocks(spec):
        if stage == 0 and repeat > 0:
            continue  # MNASNet has one such block; `layer_rules` names the layer that it lacks
        if stage == 0:
            layers[f"{block.scope}/depthwise"] = ("layers.3", "layers.4")
            layers[f"{block.scope}/project"] = ("layers.6", "layers.7")
            continue
        prefix = f"layers.{stage + 7}.{repeat}.layers"
        for part, index in (("expand", 0), ("depthwise", 3), ("project", 6)):
            layers[f"{block.scope}/{part}"] = (f"{prefix}.{index}", f"{prefix}.{index + 1}")
    head = len(spec.stages) + 7
    layers[HEAD] = (f"layers.{head}", f"layers.{head + 1}")
    return layer_rules(convolutions(spec, outputs), layers, TORCH, LOGITS)


def torchvision_mobilenet_rules(spec: NetSpec, outputs: int) -> list[Rule]:
    """Rules for `MobileNetV2`: `features` lists stem, blocks and head; layers with an activation are modules of two."""
    layers: Layers = {STEM: ("features.0.0", "features.0.1"), LOGITS: ("classifier.1", "")}
    blocks = block_specs(spec)
    for number, block in enumerate(blocks, 1):
        prefix = f"features.{number}.conv"
        names = ["expand", "depthwise"] if block.has_expansion else ["depthwise"]
        for index, part in enumerate(names):
            layers[f"{block.scope}/{part}"] = (f"{prefix}.{index}.0", f"{prefix}.{index}.1")
        layers[f"{block.scope}/project"] = (f"{prefix}.{len(names)}", f"{prefix}.{len(names) + 1}")
    head = f"features.{len(blocks) + 1}"
    layers[HEAD] = (f"{head}.0", f"{head}.1")
    return layer_rules(convolutions(spec, outputs), layers, TORCH, LOGITS)


def timm_rules(spec: NetSpec, outputs: int) -> list[Rule]:
    """Rules for `EfficientNet`: blocks.STAGE.REPEAT. Blocks without expansion name their layers differently."""
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
    return layer_rules(convolutions(spec, outputs), layers, TORCH, LOGITS)


def tpu_rules(spec: NetSpec, outputs: int) -> list[Rule]:
    """Rules for `MnasNetModel` with the names of `tpu_tensors`: layers of one type are counted within their block."""
    layers: Layers = {
        STEM: ("mnas_stem/conv2d", "mnas_stem/batch_normalization"),
        HEAD: ("mnas_head/conv2d", "mnas_head/batch_normalization"),
        LOGITS: ("mnas_head/dense", ""),
    }
    for number, (_, _, block) in enumerate(numbered_blocks(spec)):
        prefix = f"mnas_blocks_{number}"
        norms = [f"{prefix}/{_numbered('batch_normalization', index)}" for index in range(3)]
        convs = [f"{prefix}/{_numbered('conv2d', index)}" for index in range(2)]
        if block.has_expansion:
            layers[f"{block.scope}/expand"] = (convs.pop(0), norms.pop(0))
        layers[f"{block.scope}/depthwise"] = (f"{prefix}/depthwise_conv2d", norms[0])
        layers[f"{block.scope}/project"] = (convs[0], norms[1])
        for index, part in enumerate(("reduce", "expand")):
            layers[f"{block.scope}/se_block/excitation_{part}"] = (f"{prefix}/se/{_numbered('conv2d', index)}", "")
    return layer_rules(convolutions(spec, outputs), layers, TF_LAYERS, LOGITS)


_TPU_NAME = re.compile(
    r"(?P<scope>mnas_(?:stem|head|blocks_\d+)(?:/se)?)/(?:tpu_)?(?P<layer>[a-z_]*?(?:2d|dense|normalization))"
    r"(?:_(?P<number>[0-9]{1,9}))?/(?P<part>\w+)$"
)


def tpu_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames tensors of the TPU code so that the names do not depend on the TensorFlow release that saved them.

    Keras counts layers within a scope or through the whole program, and may put the model's name in front. For example,
    `mnasnet-a1/mnas_net_model/mnas_blocks_2/conv2d_4/kernel` and `mnasnet-a1/mnas_blocks_2/conv2d_1/kernel` both become
    `mnas_blocks_2/conv2d_1/kernel`: the second conv2d of the block. Other names are kept.
    """
    matches = {name: _TPU_NAME.search(name) for name in tensors}
    numbers: dict[tuple[str, str], set[int]] = {}
    for match in matches.values():
        if match:
            numbers.setdefault((match["scope"], match["layer"]), set()).add(int(match["number"] or 0))
    renamed = {}
    for name, tensor in tensors.items():
        match = matches[name]
        if match:
            index = sorted(numbers[match["scope"], match["layer"]]).index(int(match["number"] or 0))
            short = f"{match['scope']}/{_numbered(match['layer'], index)}/{match['part']}"
            name = name if short in renamed else short  # of two tensors with one short name, one is not in the net
        renamed[name] = tensor
    return renamed


def _numbered(layer: str, index: int) -> str:
    return f"{layer}_{index}" if index else layer
