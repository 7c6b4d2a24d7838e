"""The peer of the detector benchmarks: torchvision's RetinaNet on `mnasnet1_0`, at the cost of our lite detector."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from common import (
    TORCH_MISSING,
    Program,
    import_torch,
    machine,
    measure_in_rounds,
    parser_with_rounds,
    report,
    run_worker,
    use_toolkit,
)

NAME = "torchvision RetinaNet, mnasnet1_0, channels-last"
TARGET = 1.5
MAX_DIFFERENCE = 0.2  # of the multiply-adds of both nets
BOXES = 7  # per image; COCO has 7.3
TAPS = {"9": 40, "11": 96, "13": 320}  # torchvision's last layers with strides 8, 16 and 32: channels
ANCHOR_SIZES = tuple((side, side * 2**0.5) for side in (32, 64, 128, 256, 512))
ANCHOR_RATIOS = ((0.5, 1.0, 2.0),) * len(ANCHOR_SIZES)


Worker = Callable[[argparse.Namespace], dict[str, Any]]


def compare(title: str, description: str, batch_size: int, workers: dict[str, Worker]) -> None:
    """Measure both detectors in alternating rounds, print the table and write JSON; with --worker, measure one.

    Args:
      title: the title of the table.
      description: the help of the benchmark.
      batch_size: the default of --batch-size.
      workers: "ours", "eager" and "compiled".
    """
    parser = parser_with_rounds(description, rounds=5)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--variant", default="b1")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--peer-channels", type=int, default=24, help="channels of torchvision's pyramid and heads")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, too; it takes minutes per round")
    arguments = parser.parse_args()
    if arguments.worker:
        return run_worker({**workers, "count": _count}, arguments)
    use_toolkit()
    before, conditions = machine(), _conditions(arguments)
    flags = _flags(conditions)
    conditions["multiply_adds"] = _multiply_adds(arguments, flags)
    programs = [
        Program(f"mnasnet {arguments.variant}, lite", "ours"),
        Program(NAME, "eager", arguments.peer_python),
    ]
    if arguments.compile:
        programs.append(Program(f"{NAME}, compiled", "compiled", arguments.peer_python, optional=True))
    measure_in_rounds(programs, arguments.rounds, flags)
    title = f"{title}, {arguments.image_size} px, batch {arguments.batch_size}, {arguments.classes} classes"
    report(title, programs, target=TARGET, before=before, conditions=conditions, path=arguments.json)
    return None


def _conditions(arguments: argparse.Namespace) -> dict[str, Any]:
    keys = ("image_size", "variant", "classes", "peer_channels", "batch_size", "seconds")
    return {key: getattr(arguments, key) for key in keys}


def _flags(conditions: dict[str, Any]) -> list[str]:
    return [text for key, value in conditions.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def boxes_and_classes(batch_size: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return BOXES random boxes per image [N, B, 4] (ymin, xmin, ymax, xmax, px), and their classes [N, B], 1..K."""
    random = np.random.default_rng(0)
    programs = size * random.uniform(0.05, 0.6, (batch_size, BOXES, 2))
    low = random.uniform(0, 1, programs.shape) * (size - programs)
    boxes = np.concatenate([low, low + programs], axis=-1).astype(np.float32)
    return boxes, random.integers(1, classes + 1, (batch_size, BOXES))


def torchvision_detector(arguments: argparse.Namespace, **options: Any) -> Any:
    """Build the peer: all layers trainable, our aspect ratios and scales of anchors, channels-last."""
    torch, models, detection, extractors, anchors, pyramid = import_torch(
        "torch",
        "torchvision.models",
        "torchvision.models.detection",
        "torchvision.models.detection.backbone_utils",
        "torchvision.models.detection.anchor_utils",
        "torchvision.ops.feature_pyramid_network",
    )
    channels, size = arguments.peer_channels, arguments.image_size
    backbone = extractors.BackboneWithFPN(
        models.mnasnet1_0(weights=None).layers,
        {name: name for name in TAPS},
        list(TAPS.values()),
        channels,
        extra_blocks=pyramid.LastLevelP6P7(channels, channels),
    )
    net = detection.RetinaNet(
        backbone,
        arguments.classes + 1,  # including the background
        anchor_generator=anchors.AnchorGenerator(ANCHOR_SIZES, ANCHOR_RATIOS),
        min_size=size,
        max_size=size,
        _skip_resize=True,  # the images have the size already
        **options,
    )
    return net.to(memory_format=torch.channels_last)


def _count(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count the multiply-adds of the peer's convolutions for one image with hooks."""
    (torch,) = import_torch("torch")
    net = torchvision_detector(arguments).eval()
    counts = []

    def count(layer: Any, _: Any, result: Any) -> None:
        counts.append(layer.weight.numel() * result.shape[-1] * result.shape[-2])

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        net([torch.rand(3, arguments.image_size, arguments.image_size)])
    return {"multiply_adds": sum(counts)}


def _multiply_adds(arguments: argparse.Namespace, flags: list[str]) -> dict[str, int]:
    """Return and print the multiply-adds of both nets; exit if they differ too much for a fair comparison."""
    from mnasnet_cli.nets.detector_spec import LITE
    from mnasnet_cli.nets.detector_table import detector_multiply_adds
    from mnasnet_cli.nets.spec import get_spec

    python = arguments.peer_python
    command = [python, sys.argv[0], "--worker", "count", *flags]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise SystemExit(f"--peer-python {python} can't be run: {problem.strerror}") from None
    if done.returncode:
        raise SystemExit(f"{TORCH_MISSING.format(name='a working torch', python=python)}\n{done.stderr}")
    theirs = int(json.loads(done.stdout.splitlines()[-1])["multiply_adds"])
    ours = detector_multiply_adds(get_spec(arguments.variant), LITE, arguments.classes, arguments.image_size)
    ratio = theirs / ours
    found = f"multiply-adds: ours {ours / 1e6:,.0f} M, torchvision's {theirs / 1e6:,.0f} M ({ratio:.2f}×)"
    print(found, file=sys.stderr, flush=True)
    if abs(ratio - 1) > MAX_DIFFERENCE:
        raise SystemExit(f"a difference of over {MAX_DIFFERENCE:.0%}; change --peer-channels {arguments.peer_channels}")
    return {"ours": ours, "torchvision": theirs}
