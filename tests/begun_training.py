"""Trainings that end where they would take their first step, for tests of what comes before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from mnasnet_cli.errors import DataError


class Begun(NamedTuple):
    """A training that is ready: weights, slots and averages are restored.

    step: where it would go on. outcome: of the command, which failed here.
    """

    trainer: Any
    step: int
    outcome: Any


def begin_training(command: Callable[[], Any]) -> Begun:
    """Call a command that trains, up to its first step: compiling and taking steps is most of its time."""
    from mnasnet_cli.training import loop

    trainers: list[loop.Trainer] = []
    images: list[int] = []
    train = loop.Trainer.train

    def remember(trainer: loop.Trainer) -> Any:
        trainers.append(trainer)
        return train(trainer)

    def stop(name: str, total: int, *, start: int) -> Any:
        images.append(start)
        raise DataError("this training only begins")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "train", remember)
        patch.setattr(loop, "progress", stop)
        outcome = command()
    [trainer], [start] = trainers, images
    return Begun(trainer, start // trainer.config.training.batch_size, outcome)
