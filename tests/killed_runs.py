"""Runs that are killed, and whether what they end with is that of a run that was not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

TIMES = ("seconds", "cpu_seconds", "images_per_second")


def state(run: Path) -> dict[str, bytes]:
    """Everything that the newest checkpoint holds: weights, averages, slots, step."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    values = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
    del values["_CHECKPOINTABLE_OBJECT_GRAPH"]  # it may list the same objects in another order
    return {key: value if isinstance(value, bytes) else value.tobytes() for key, value in values.items()}


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def results(run: Path) -> dict[str, Any]:
    found = json.loads((run / "results.json").read_text())
    return {key: value for key, value in found.items() if key not in TIMES}


def assert_same(run: Path, undisturbed: Path) -> None:
    ours, theirs = state(run), state(undisturbed)
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if ours[key] != theirs[key]] == []
    assert metrics(run) == metrics(undisturbed)
    assert results(run) == results(undisturbed)


class Killed(BaseException):
    """Ends a run as abruptly as possible within a process: only `finally` runs."""


def die_at(patch: pytest.MonkeyPatch, where: str, count: int) -> None:
    """Lets the `count`th call of a part of the training raise Killed: "steps", "evaluation" or "save"."""
    from mnasnet_cli.training.checkpoint_manager import CheckpointManager
    from mnasnet_cli.training.evaluator import Evaluator
    from mnasnet_cli.training.steps import TrainSteps

    owner, name = {
        "steps": (TrainSteps, "__call__"),
        "evaluation": (Evaluator, "__call__"),
        "save": (CheckpointManager, "save"),
    }[where]
    original, left = getattr(owner, name), [count]

    def dying(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            if where == "steps":  # a kill in the middle of a call loses its steps
                original(*args, **kwargs)
            raise Killed
        return original(*args, **kwargs)

    patch.setattr(owner, name, dying)


def kill(mnasnet: Callable[..., Any], command: Sequence[str], where: str, count: int) -> None:
    """Starts a training and kills it; see `die_at`."""
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, where, count)
        with pytest.raises(Killed):
            mnasnet(*command)


def train_with_kills(mnasnet: Callable[..., Any], command: Sequence[str], moments: Iterable[tuple[str, int]]) -> None:
    """Starts a training, kills it at each moment in turn, each time starts it again, and lets it end."""
    for where, count in moments:
        kill(mnasnet, command, where, count)
    outcome = mnasnet(*command)
    assert outcome.code == 0, outcome.err
