"""A net of two blocks, so that tests of the training don't wait for graphs to be built.

As a program (`python tests/tiny_net.py ARGS…`) this is `mnasnet ARGS…` that also knows the tiny variants.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from unittest import mock

from mnasnet_cli.nets.detector_spec import DETECTORS, LITE, RETINANET
from mnasnet_cli.nets.spec import NETS, NetSpec, StageSpec

# A block with a skip, and one with an expansion and squeeze-excite.
TINY = NetSpec(
    name="tiny",
    stem=8,
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=8),
        StageSpec(repeats=1, kernel=3, stride=2, expand=2, channels=16, squeeze=0.25),
    ),
    head=64,
)

# The smallest that a detector stands on: its lowest level has a stride of 8.
TINY_BACKBONE = NetSpec(
    name="tiny-backbone",
    stem=8,
    stages=(
        StageSpec(repeats=1, kernel=3, stride=2, expand=1, channels=8, skip=False),
        StageSpec(repeats=1, kernel=3, stride=2, expand=2, channels=16),
    ),
    head=64,
)
# For trainings that are about something else than the net.
ONE_BLOCK = NetSpec(
    name="one-block",
    stem=8,
    stages=(StageSpec(repeats=1, kernel=3, stride=2, expand=1, channels=8, skip=False),),
    head=16,
)
TINY_NETS = {spec.name: spec for spec in (TINY, TINY_BACKBONE, ONE_BLOCK)}

# One level of the backbone and one above it: with five, most of a small detector are copies of its heads.
TINY_DETECTORS = {spec.name: dataclasses.replace(spec, max_level=spec.min_level + 1) for spec in (RETINANET, LITE)}

# Small in all that costs time; every part of the training that keeps a state is on.
FLAGS = (
    "--config=quick", "--variant=tiny", "--image-size=32", "--batch-size=16", "--epochs=3", "--set=model.dropout=0.2",
    "--set=data.augment.mixup=0.2", "--set=data.augment.color_jitter=0.2", "--set=data.shuffle_buffer=50",
    "--set=model.zero_init_residual=false", "--set=training.batch_parts=1",
)  # fmt: skip

DETECTOR_FLAGS = (
    "--config=lite", "--variant=tiny-backbone", "--image-size=64", "--batch-size=4", "--epochs=2",
    "--set=training.eval_every_epochs=1", "--set=training.eval_batch_size=4", "--set=detection.channels=8",
    "--set=detection.depth=0", "--set=data.shuffle_buffer=50", "--set=detection.scale_jitter=[0.7,1.5]",
    "--set=data.progressive=[]",
)  # fmt: skip


@contextlib.contextmanager
def tiny_nets() -> Iterator[None]:
    """A block in which the tiny variants are known, and pyramids with anchors have two levels.

    Other tests list the nets, and must not find them.
    """
    with mock.patch.dict(NETS, TINY_NETS), mock.patch.dict(DETECTORS, TINY_DETECTORS):
        yield


def train_tiny(*arguments: str) -> str:
    """Runs a training that must succeed, where no test is running yet; returns what it said on standard error."""
    from typer.testing import CliRunner

    from mnasnet_cli.app import app

    with tiny_nets():
        result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.stderr
    return str(result.stderr)


if __name__ == "__main__":
    from mnasnet_cli.app import main

    with tiny_nets():
        main()
