"""torchvision's RetinaNet on its `mnasnet1_0`, narrowed to the cost of our lite detector: a peer to measure against."""

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
    Side,
    alternate,
    import_torch,
    machine,
    parser_with_rounds,
    report,
    run_worker,
    use_toolkit,
)

NAME = "torchvision RetinaNet, mnasnet1_0, channels-last"
WANTED = 1.5
WITHIN = 0.2  # how far apart the two nets' multiply-adds may be
BOXES = 7  # of an image; COCO has 7.3
TAPS = {"9": 40, "11": 96, "13": 320}  # the last layers of torchvision's net at strides 8, 16 and 32: channels
ANCHOR_SIZES = tuple((side, side * 2**0.5) for side in (32, 64, 128, 256, 512))
ANCHOR_RATIOS = ((0.5, 1.0, 2.0),) * len(ANCHOR_SIZES)


Worker = Callable[[argparse.Namespace], dict[str, Any]]


def compare(title: str, description: str, batch_size: int, workers: dict[str, Worker]) -> None:
    """Be a worker; or measure both sides in turn, print the table and write JSON.

    Args:
      title: of the table.
      description: the benchmark's help.
      batch_size: unless a flag says otherwise.
      workers: "ours", "eager" and "compiled".
    """
    parser = parser_with_rounds(description, rounds=5)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--variant", default="b1")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--peer-channels", type=int, default=24, help="of torchvision's pyramid and heads")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well; it compiles for minutes a round")
    arguments = parser.parse_args()
    if arguments.worker:
        return run_worker({**workers, "count": _count}, arguments)
    use_toolkit()
    before, conditions = machine(), _conditions(arguments)
    flags = _flags(conditions)
    conditions["multiply_adds"] = _multiply_adds(arguments, flags)
    sides = [
        Side(f"mnasnet {arguments.variant}, lite", "ours"),
        Side(NAME, "eager", arguments.peer_python),
    ]
    if arguments.compile:
        sides.append(Side(f"{NAME}, compiled", "compiled", arguments.peer_python, optional=True))
    alternate(sides, arguments.rounds, flags)
    title = f"{title}, {arguments.image_size} px, batch {arguments.batch_size}, {arguments.classes} classes"
    report(title, sides, wanted=WANTED, before=before, conditions=conditions, path=arguments.json)
    return None


def _conditions(arguments: argparse.Namespace) -> dict[str, Any]:
    keys = ("image_size", "variant", "classes", "peer_channels", "batch_size", "seconds")
    return {key: getattr(arguments, key) for key in keys}


def _flags(conditions: dict[str, Any]) -> list[str]:
    return [text for key, value in conditions.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def boxes_and_classes(batch_size: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return BOXES random boxes [N, B, 4] (ymin, xmin, ymax, xmax, px) an image, and their classes [N, B], 1..K."""
    random = np.random.default_rng(0)
    sides = size * random.uniform(0.05, 0.6, (batch_size, BOXES, 2))
    low = random.uniform(0, 1, sides.shape) * (size - sides)
    boxes = np.concatenate([low, low + sides], axis=-1).astype(np.float32)
    return boxes, random.integers(1, classes + 1, (batch_size, BOXES))


def torchvision_detector(arguments: argparse.Namespace, **options: Any) -> Any:
    """Build the peer: all layers trainable, anchors at ours' ratios and scales, channels-last."""
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
        arguments.classes + 1,  # it counts the background
        anchor_generator=anchors.AnchorGenerator(ANCHOR_SIZES, ANCHOR_RATIOS),
        min_size=size,
        max_size=size,
        _skip_resize=True,  # the images have the size already
        **options,
    )
    return net.to(memory_format=torch.channels_last)


def _count(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count the multiply-adds of every convolution of the peer, for one image, by hooks."""
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
    """Return both nets' multiply-adds and print them; exit where they are no fair comparison."""
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
    if abs(ratio - 1) > WITHIN:
        raise SystemExit(f"that is more than {WITHIN:.0%} apart; change --peer-channels {arguments.peer_channels}")
    return {"ours": ours, "torchvision": theirs}
