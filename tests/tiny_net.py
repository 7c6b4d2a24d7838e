"""A net of three blocks, so that tests of the training don't wait for graphs to be built.

As a program (`python tests/tiny_net.py ARGS…`) this is `mnasnet ARGS…` that also knows the variant "tiny".
"""

from __future__ import annotations

from mnasnet_cli.nets.spec import NETS, NetSpec, StageSpec

TINY = NetSpec(
    name="tiny",
    stem=8,
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=8, skip=False),
        StageSpec(repeats=2, kernel=3, stride=2, expand=2, channels=16, squeeze=0.25),
    ),
    head=64,
)

# Small in all that costs time; every part of the training that keeps a state is on.
FLAGS = (
    "--config=quick", "--variant=tiny", "--image-size=32", "--batch-size=16", "--epochs=3", "--set=model.dropout=0.2",
    "--set=data.augment.mixup=0.2", "--set=data.augment.color_jitter=0.2", "--set=data.shuffle_buffer=50",
    "--set=model.zero_init_residual=false",
)  # fmt: skip

if __name__ == "__main__":
    NETS["tiny"] = TINY
    from mnasnet_cli.app import main

    main()
