"""The error for a loss that is not finite."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mnasnet_cli.training.divergence import divergence_error


def message(kept_step: int | None) -> str:
    task = SimpleNamespace(
        steps_per_epoch=10,
        config=SimpleNamespace(training=SimpleNamespace(batch_size=12)),
        train_names=lambda epoch, first, count: [f"{epoch}-{number}" for number in range(first, first + count)],
    )
    return str(divergence_error(task, 25, "the loss is nan", kept_step=kept_step, run_dir=Path("runs/x")))  # type: ignore[arg-type]


def test_names_the_step_and_the_images() -> None:
    assert message(None).startswith("the loss is nan at step 25 (epoch 3)")
    assert "2-60, 2-61" in message(None)
    assert "and 4 more" in message(None)
    assert "--init" not in message(None)


def test_names_the_checkpoint_to_start_from() -> None:
    assert "step 1,020" in message(1020)
    assert "--init runs/x" in message(1020)
