"""`mnasnet search` over nets of three blocks, so that tests don't wait for graphs to be built.

As a program, `python tests/searching/small_search.py ARGS…`. The one stock net is "tiny" of tests/tiny_net.py. All else
is that of the command: its processes, trainings, files and results.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.searching import execution
from mnasnet_cli.searching.nets import entrants, space

sys.path.append(str(Path(__file__).parent.parent))
from tiny_net import TINY, tiny_nets


def small_net_of(genes: space.Genes, width: float, name: str = "net") -> NetSpec:
    """The first three stages of a draw, one block each, under a narrow head."""
    spec = space.net_of(genes, width, name)
    stages = tuple(dataclasses.replace(stage, repeats=1) for stage in spec.stages[:3])
    return dataclasses.replace(spec, stages=stages, head=TINY.head)


def train_small(*arguments: Any) -> dict[str, Any]:
    """In the process of a training, which must know the stock net as well; its curves are not drawn."""
    from mnasnet_cli.metrics import plots

    with tiny_nets(), mock.patch.object(plots, "plot_curves"):
        return original_train_net(*arguments)


original_train_net = execution.train_net


def main() -> None:
    """Run the command."""
    from mnasnet_cli.app import main as run
    from mnasnet_cli.searching import calibration

    with (
        tiny_nets(),
        mock.patch.object(entrants, "STOCK", ("tiny",)),
        mock.patch.object(entrants, "net_of", small_net_of),
        mock.patch.object(calibration, "net_of", small_net_of),
        mock.patch.object(execution, "train_net", train_small),
    ):
        run()


if __name__ == "__main__":
    from small_search import main  # its processes find the functions of a module, not those of a program

    main()
