"""Every command in a folder whose name holds what TensorFlow, shells and printf take for something else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_net import DETECTOR_FLAGS, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_net")]

ODD = "-a [1] *?{b,c}\\ 50% $HOME #2@0 图..."
FORMATS = ("saved-model", "frozen", "tflite", "slim-checkpoint")


@pytest.mark.parametrize("task", ["imagenet", "coco"])
def test_a_run_goes_all_the_way(
    mnasnet: Callable[..., Any],
    shape_records: Path,
    scene_records: Path,
    made_b1: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
) -> None:
    def run(*arguments: object) -> Any:
        outcome = mnasnet(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    monkeypatch.chdir(tmp_path)
    records, flags = (shape_records, FLAGS) if task == "imagenet" else (scene_records, DETECTOR_FLAGS)
    data = Path(shutil.copytree(records, Path(f"{ODD}data")))
    where = (f"--data={data}", f"--run-dir={ODD}")
    run(f"train-{task}", *flags, *where, "--set=training.keep_checkpoints=1")
    checkpoints = {path.suffix for path in Path(ODD, "checkpoints").glob("ckpt-*")}
    assert len(list(Path(ODD, "checkpoints").iterdir())) == 1 + len(checkpoints)  # older ones are gone
    resumed = run(f"train-{task}", *where)
    assert "resuming from step" in resumed.err
    run("eval", f"./{ODD}", f"--data={data}")
    run("card", f"./{ODD}")
    run("export", f"./{ODD}", f"--out={ODD}/export", f"--data={data}", "--parity-images=2", "--accept-parity",
        *(f"--format={name}" for name in FORMATS))  # fmt: skip
    picture = Path(__file__).parents[1] / "fixtures" / "scene.jpg"
    shutil.copy(picture, f"{ODD}.jpg")
    models = [f"./{ODD}", *(f"./{ODD}/export/{name}" for name in FORMATS if name != "slim-checkpoint")]
    for number, model in enumerate(models):
        run("predict", model, f"./{ODD}.jpg", f"--out={ODD} drawn-{number}")
        run("inspect", model)
    run("inspect", f"./{ODD}", "--verify")
    run("inspect", f"./{data}", "--verify", "--images=2", f"--out={ODD}.png")
    b1 = Path(shutil.copytree(made_b1, f"{ODD} b1"))  # measured in another process, which doesn't know the tiny nets
    run("benchmark", f"./{b1}", f"./{ODD}/export/tflite", "--runs=2", "--rounds=1", f"--out={ODD}/latency")
    run("runs", f"./{ODD}")
    if task == "imagenet":
        run("import", f"./{ODD}/export/slim-checkpoint/model.ckpt", f"./{ODD} imported", "--variant=tiny")
        flags = (*flags, f"--teacher=./{ODD}")
    run(f"train-{task}", *flags, f"--data={data}", f"--run-dir={ODD} 2", f"--init={ODD}", "--epochs=1")
