"""What a training says about a poor result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.metrics.accuracy import summarize_accuracy
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.training.advice import poor_result

CLASSES = ["cat", "dog", "eel", "fox"]


def classified(truth: list[int], predicted: list[int], loss: float = 1.0) -> Evaluation:
    count = len(truth)
    outputs = {
        "labels": np.array(truth),
        "predictions": np.array(predicted),
        "in_top5": np.ones(count, bool),
        "losses": np.full(count, loss),
    }
    return Evaluation(summarize_accuracy(outputs, CLASSES, CLASSES), outputs)


def advice(evaluation: Evaluation, recipe: str = "quick", steps: int = 1000, train_loss: float | None = 1.0) -> str:
    return "\n".join(poor_result(load_config(recipe), evaluation, steps, train_loss))


TRUTH = [0, 1, 2, 3] * 50


def test_a_good_result_needs_no_advice() -> None:
    assert advice(classified(TRUTH, [0, 1, 2, 0] * 50)) == ""


def test_chance_is_said_with_the_cause() -> None:
    said = advice(classified(TRUTH, [1] * 200), steps=35)
    assert "top-1 is 25.0 %, and always saying the most frequent class gives 25.0 %" in said
    assert "'dog' for 100 % of the images" in said
    assert "35 steps are few" in said
    assert "--epochs" in said
    assert "--config finetune --init MODEL" in said


def test_the_recipe_of_the_paper_is_named_where_steps_are_many() -> None:
    assert "--config quick" in advice(classified(TRUTH, [1] * 200), recipe="paper", steps=5000)
    assert "mnasnet inspect DATA --health" in advice(classified(TRUTH, [1] * 200), steps=5000)


def test_the_majority_class_is_no_achievement() -> None:
    truth = [0] * 180 + [1] * 20
    assert "gives 90.0 %" in advice(classified(truth, [0] * 200))
    assert advice(classified(truth, truth)) == ""


def test_losses_that_part_are_said() -> None:
    good = [0, 1, 2, 0] * 50
    assert "the validation loss is 1.5e+03, and the training loss 1" in advice(classified(TRUTH, good, loss=1500.0))
    assert advice(classified(TRUTH, good, loss=1500.0), train_loss=None) == ""


@pytest.mark.parametrize(("ap", "poor"), [(0.004, True), (0.2, False), (None, False)])
def test_a_detector_that_finds_nothing(ap: float | None, poor: bool) -> None:
    summary: dict[str, Any] = {"AP": ap}
    found = poor_result(load_config("lite", task="detection"), Evaluation(summary, {}), 100, 1.0)
    assert bool(found) == poor
    if poor:
        assert "AP is 0.4 %" in found[0]
        assert "--backbone MODEL" in found[1]
