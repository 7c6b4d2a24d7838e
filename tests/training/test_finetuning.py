"""Frozen layers, layer-wise learning rates, and precise batch norm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny_net import DETECTOR_FLAGS, FLAGS

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config, OptimizerConfig
from mnasnet_cli.modules.slim_module import MOVING_STATISTICS
from mnasnet_cli.nets.spec import NETS, get_spec, layer_names
from mnasnet_cli.training.finetuning import FinetunePlan, layer_number
from mnasnet_cli.training.optimization.optimizers import Optimizer

# A net of two blocks: stem, layer_2 and layer_3, head convolution layer_4, classifier.
LAYERS = {
    "Mnasnet/Conv/weights": 1,
    "Mnasnet/Conv/BatchNorm/gamma": 1,
    "Mnasnet/sep_conv/depthwise/depthwise_weights": 2,
    "Mnasnet/mb_conv/expand/weights": 3,
    "FeatureExtractor/Mnasnet/mb_conv/project/weights": 3,
    "Mnasnet/Conv_1/weights": 4,
    "Mnasnet/Conv2d_1c_1x1/biases": 5,
    "FeatureExtractor/Mnasnet/fpn/projection_1/weights": 5,
    "WeightSharedConvolutionalBoxPredictor/BoxPredictor/weights": 5,
}


def make_config(*assignments: str) -> Config:
    return load_config("quick", assignments=["model.variant=tiny", *assignments])


def weights_of(run: Path, *, ema: bool = True) -> dict[str, np.ndarray]:
    from mnasnet_cli.checkpoints.files import newest_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    return read_checkpoint(newest_checkpoint(run), ema=ema).weights


@pytest.mark.usefixtures("tiny_net")
def test_layers_of_weights() -> None:
    assert {name: layer_number(name, get_spec("tiny")) for name in LAYERS} == LAYERS


def test_every_layer_of_every_net_has_weights(repo: Path) -> None:
    shapes = json.loads((repo / "tests/golden/variables.json").read_text())
    for name, spec in NETS.items():
        found = [layer_number(weight, spec) for weight in shapes[name]]
        assert found == sorted(found), name  # in the order of creation
        assert set(found) == set(range(1, len(layer_names(spec)) + 2))


@pytest.mark.usefixtures("tiny_net")
def test_plan() -> None:
    plan = FinetunePlan(make_config("finetune.layer_decay=0.5"), LAYERS, 10)
    assert [plan.frozen_until(epoch) for epoch in range(2)] == [None, None]
    assert [plan.rate_factor(name) for name in LAYERS] == [0.5 ** (5 - layer) for layer in LAYERS.values()]
    assert plan.trained(LAYERS, None) == list(LAYERS)
    assert {plan.first_step(name) for name in LAYERS} == {0}
    for part, until, last in (("stem", "layer_1", 1), ("layer_2", "layer_2", 2), ("backbone", "layer_4", 4)):
        plan = FinetunePlan(make_config(f"finetune.freeze={part}", "finetune.freeze_epochs=2"), LAYERS, 10)
        assert [plan.frozen_until(epoch) for epoch in range(3)] == [until, until, None]
        assert plan.trained(LAYERS, until) == [name for name, layer in LAYERS.items() if layer > last]
        assert plan.trained(LAYERS, None) == list(LAYERS)
        assert [plan.first_step(name) for name in LAYERS] == [20 * (layer <= last) for layer in LAYERS.values()]
    plan = FinetunePlan(make_config("finetune.freeze=stem"), LAYERS, 10)
    assert plan.frozen_until(1000) == "layer_1"


@pytest.mark.usefixtures("tiny_net")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_released_weight_is_updated_as_if_it_began_then(optimizer: Any) -> None:
    name = "Mnasnet/Conv/weights"
    plan = FinetunePlan(
        make_config("finetune.freeze=stem", "finetune.freeze_epochs=2", "finetune.layer_decay=0.5"), [name], 5
    )
    options = OptimizerConfig(name=optimizer, weight_decay=0.1)

    def run(plan: FinetunePlan | None, first: int, rate: float) -> np.ndarray:
        weights = {name: tf.Variable([1.0, -2.0])}
        rule = Optimizer(options, weights, frozenset([name]), plan)
        for step in range(3):
            gradients = {name: tf.constant([0.3, 0.1]) * (step + 1)}
            rule.apply(weights, gradients, tf.constant(rate), tf.constant(first + step, tf.int64))
        return weights[name].numpy()

    assert run(plan, 10, 0.1 * 2**4) == pytest.approx(run(None, 0, 0.1), rel=1e-6)


def test_frozen_layers_cost_no_gradients(shape_records: Path, tiny_net: None) -> None:
    from mnasnet_cli.data.pipeline import Share
    from mnasnet_cli.tasks.classification import ClassificationTask
    from mnasnet_cli.training.optimization.gradients import BatchGradients

    config = make_config("data.image_size=32", "training.batch_size=4", "finetune.freeze=backbone")
    task = ClassificationTask(config, shape_records)
    model = task.make_model()
    plan = FinetunePlan(config, model.trainable, 1)
    batches = iter(task.train_batches(0, 32, 0, Share(batch_size=4)))

    def backward(frozen_until: str | None) -> int:
        weights = {name: model.weights[name] for name in plan.trained(model.trainable, frozen_until)}
        gradients = BatchGradients(task, model, weights, frozen_until)
        traced = tf.function(lambda: gradients(batches, tf.constant(0, tf.int64)), autograph=False)
        nodes = traced.get_concrete_function().graph.as_graph_def().node
        return sum("Backprop" in node.op or node.op.endswith("Grad") for node in nodes)

    everything = backward(None)
    assert 0 < backward("layer_4") < everything / 5


@pytest.mark.usefixtures("tiny_net")
def test_a_frozen_part_stays_bit_for_bit(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run, common = tmp_path / "run", [f"--data={shape_records}", f"--init={trained_run}", "--freeze=layer_2"]
    settings = ["--epochs=1", "--set=training.accumulate_steps=2", "--set=finetune.recalibrate_batches=2"]
    outcome = mnasnet("train-imagenet", *FLAGS, *common, *settings, f"--run-dir={run}")
    assert outcome.code == 0, outcome.err
    before, spec = weights_of(trained_run), get_spec("tiny")
    for ema in (True, False):
        after = weights_of(run, ema=ema)
        same = {layer_number(name, spec) for name in before if (before[name] == after[name]).all()}
        changed = {layer_number(name, spec) for name in before if (before[name] != after[name]).any()}
        assert (same, changed) == ({1, 2}, {3, 4, 5})


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_net")
def test_batch_norm_keeps_its_statistics_while_everything_is_trained(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run, common = tmp_path / "run", [f"--data={shape_records}", f"--init={trained_run}", "--epochs=1"]
    outcome = mnasnet("train-imagenet", *FLAGS, *common, "--set=finetune.freeze_norm=true", f"--run-dir={run}")
    assert outcome.code == 0, outcome.err
    before = weights_of(trained_run)
    for ema in (True, False):
        after = weights_of(run, ema=ema)
        same = {name for name in before if (before[name] == after[name]).all()}
        assert same == {name for name in before if name.endswith(MOVING_STATISTICS)}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_net")
def test_a_detectors_backbone_stays(mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path) -> None:
    common = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", "--epochs=1"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert mnasnet(*common, f"--run-dir={first}").code == 0
    extra = ["--freeze=backbone", "--set=finetune.recalibrate_batches=1", "--set=finetune.layer_decay=0.7"]
    outcome = mnasnet(*common, f"--run-dir={second}", f"--init={first}", *extra)
    assert outcome.code == 0, outcome.err
    before, after = weights_of(first), weights_of(second)
    backbone = [name for name in before if layer_number(name, get_spec("tiny-backbone")) < 5]
    assert backbone
    assert all((before[name] == after[name]).all() for name in backbone)
    assert any((before[name] != after[name]).any() for name in before if name not in backbone)


@pytest.mark.usefixtures("tiny_net")
@pytest.mark.parametrize(
    ("command", "flags", "arguments", "facts"),
    [
        ("train-imagenet", FLAGS, ["--freeze=stem"], ["finetune.freeze=stem", "--init MODEL"]),
        ("train-coco", DETECTOR_FLAGS, ["--freeze=backbone"], ["--backbone MODEL", "--init MODEL"]),
        ("train-imagenet", FLAGS, ["--freeze=layer_9"], ["'layer_9'", "stem, backbone or layer_1 … layer_4"]),
        ("train-imagenet", FLAGS, ["--set=finetune.freeze_epochs=2"], ["freeze_epochs is 2", "freeze is null"]),
        ("train-imagenet", FLAGS, ["--set=finetune.layer_decay=1.5"], ["finetune.layer_decay"]),
    ],
)  # fmt: skip
def test_contradictions(
    mnasnet: Callable[..., Any],
    shape_records: Path,
    scene_records: Path,
    tmp_path: Path,
    command: str,
    flags: tuple[str, ...],
    arguments: list[str],
    facts: list[str],
) -> None:
    data = shape_records if command == "train-imagenet" else scene_records
    outcome = mnasnet(command, *flags, f"--data={data}", f"--run-dir={tmp_path / 'run'}", *arguments)
    assert outcome.code == 2, outcome.err
    assert all(fact in outcome.err for fact in facts), outcome.err
    assert len(outcome.lines) == 1
    assert not list(tmp_path.iterdir())
