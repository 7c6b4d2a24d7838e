"""`mnasnet.train`, and what it takes from recipes, settings and options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mnasnet_cli as mnasnet
from mnasnet_cli.api.training import OPTION_KEYS, TrainOptions, plan
from mnasnet_cli.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.usefixtures("tiny_net")
SMALL = {"data.shuffle_buffer": 50, "data.progressive": [], "training.eval_batch_size": 8}


def test_a_training_and_its_model(shape_records: Path, tmp_path: Path) -> None:
    trained = mnasnet.train(
        "quick", data=shape_records, run_dir=tmp_path / "run", variant="one-block", image_size=32, batch_size=32,
        epochs=1, settings=SMALL,
    )  # fmt: skip
    assert trained.run_dir == tmp_path / "run"
    assert trained.results == json.loads((tmp_path / "run/results.json").read_text())
    assert [line["split"] for line in trained.metrics][-1] == "validation"
    model = trained.model(best=True)
    assert model.evaluate(shape_records)["top1"] == pytest.approx(trained.results["top1"])


def test_settings_options_and_recipes(tmp_path: Path) -> None:
    planned = plan("classification", "quick", data="records", run_dir=tmp_path / "run", settings={
        "optimizer.name": "sgd", "model.dropout": None, "training.epochs": 7,
    }, options={"epochs": 3, "variant": "b1", "width": None})  # fmt: skip
    assert (planned.config.optimizer.name, planned.config.model.dropout) == ("sgd", None)
    assert planned.config.training.epochs == 3  # options win
    assert (planned.data, planned.run_dir) == (Path("records"), tmp_path / "run")
    assert plan("detection").run_dir == Path("runs/coco-b1")
    assert plan("detection").config.model_dump() == plan("detection", "retinanet").config.model_dump()


def test_a_run_of_a_version_with_one_order_of_images_keeps_that_order(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: imagenet\ndata:\n  shuffle_buffer: 50\n")
    assert plan("classification", run_dir=tmp_path).config.data.order == "buffer"
    assert plan("classification", "quick", run_dir=tmp_path).config.data.order == "buffer"
    assert plan("classification", "quick", run_dir=tmp_path, fresh=True).config.data.order == "blocks"
    assert plan("classification", "quick", run_dir=tmp_path / "new").config.data.order == "blocks"
    asked = plan("classification", "quick", run_dir=tmp_path, assignments=["data.order=blocks"])
    assert asked.config.data.order == "blocks"  # which opening the run refuses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"optimiser.name": "sgd"}}, r"settings\['optimiser.name'\]: unknown key .*did you mean"),
        ({"settings": {"training.epochs": "many"}}, r"settings\['training.epochs'\]: training.epochs: .*found 'many'"),
        ({"epoch": 3}, "no option 'epoch' .*did you mean 'epochs'"),
        ({"patience": 3}, "no option 'patience' .*settings="),
        ({"recipe": "quik"}, "unknown configuration 'quik' .*did you mean 'quick'"),
    ],
)
def test_what_is_wrong_is_said(shape_records: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mnasnet.train(data=shape_records, **arguments)  # type: ignore[arg-type]


def test_the_task_follows_from_records_or_recipe(scene_records: Path, exported_classifier: Path) -> None:
    with pytest.raises(ConfigError, match="say what to train"):
        mnasnet.train()
    with pytest.raises(CheckpointError, match="can't be trained; start from its source"):
        mnasnet.train(data=scene_records, init=exported_classifier / "tflite")


def test_options_are_typed_as_they_are_known() -> None:
    assert list(TrainOptions.__annotations__) == list(OPTION_KEYS)
