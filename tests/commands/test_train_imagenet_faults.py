"""`mnasnet train-imagenet` with wrong flags or into a wrong place: one line, and nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import error_of

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--variant=b7"],
            "unknown variant 'b7' (known: a1, b1, small, d1, a1-2019, b1-2019",
        ),
        (["--set=training.epoch=3"], "unknown key 'training.epoch'; did you mean 'training.epochs'?"),
        (["--set=training.eval_batch_size=x"], "should be a valid integer, found 'x'"),
        (["--config=nonsense"], "unknown configuration 'nonsense'"),
        (["--image-size=7"], "--image-size"),
        (["--image-size=big"], "--image-size"),
        (["--precision=float16"], "training.precision: must be 'float32' or 'bfloat16'"),
        (["--batch-size=0"], "--batch-size"),
        (["--epochs=0"], "--epochs"),
        (["--width=-1"], "--width must be a positive number"),
        (["--seed=99999999999"], "training.seed: should be less than 2147483648"),
        (["--dat=x"], "--dat"),
        (["--set=training.accumulate_steps=3"], "batch_size 16 is not a multiple of accumulate_steps 3"),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(
    train_imagenet: Callable[..., Any], tmp_path: Path, flags: list[str], message: str
) -> None:
    assert message in error_of(train_imagenet(*flags))
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_hold_a_run_is_an_error(train_imagenet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in error_of(train_imagenet(f"--run-dir={tmp_path / 'file'}"))
    assert "not a directory" in error_of(train_imagenet(f"--run-dir={tmp_path / 'file' / 'run'}"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_configuration_for_the_same_run_names_the_keys(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    command = ("train-imagenet", f"--data={shape_records}", f"--run-dir={run}")
    error = error_of(mnasnet(*command, "--batch-size=8", "--set=optimizer.name=sgd"))
    assert "optimizer.name was 'muon' and is now 'sgd'; training.batch_size was 16 and is now 8" in error
    assert "--fresh" in error
    (run / "config.yaml").write_bytes(b"\xff\xfe")
    assert "config.yaml is damaged" in error_of(mnasnet(*command))
