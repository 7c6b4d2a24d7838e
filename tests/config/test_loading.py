"""Configurations: what is read, what wins, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnasnet_cli.config.loading import load_config, validate
from mnasnet_cli.config.recipes import TASKS, shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in shipped_configs(task)])
def test_shipped_configs_load_and_survive_a_round_trip_through_yaml(task: str, name: str, tmp_path: Path) -> None:
    config = load_config(name, task=task)
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert load_config(str(path)) == config


def test_the_paper_recipe_is_the_papers() -> None:
    config = load_config("paper")
    optimizer, schedule, training = config.optimizer, config.schedule, config.training
    assert (optimizer.name, optimizer.rmsprop_decay, optimizer.momentum, optimizer.epsilon) == (
        "rmsprop",
        0.9,
        0.9,
        1e-3,
    )
    assert (optimizer.learning_rate_per_256, optimizer.weight_decay) == (0.016, 1e-5)
    assert (schedule.name, schedule.warmup_epochs, schedule.decay_epochs, schedule.decay_rate) == (
        "exponential", 5.0, 2.4, 0.97,
    )  # fmt: skip
    assert (training.epochs, training.label_smoothing, training.ema_decay) == (350, 0.1, 0.9999)


def test_the_detector_recipe_is_that_of_2019() -> None:
    config = load_config("retinanet", task="coco")
    assert config.detection is not None
    spec = config.detection.spec
    assert (spec.channels, spec.depth, spec.separable, config.data.image_size) == (256, 4, False, 640)
    assert (config.optimizer.name, config.optimizer.momentum, config.schedule.name) == ("sgd", 0.9, "cosine")
    assert (config.training.batch_size, config.learning_rate) == (16, pytest.approx(0.02))
    # 400,000 steps, 20,000 of them warm-up, of 118,287 // 16 = 7,392 an epoch.
    assert config.training.epochs == round(400_000 / 7_392)
    assert config.schedule.warmup_epochs == pytest.approx(20_000 / 7_392, abs=0.01)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("detection.famly=lite", "unknown key 'detection.famly'; did you mean 'detection.family'?"),
        ("detection.family=lit", "must be 'retinanet' or 'lite', found 'lit'; did you mean 'lite'?"),
        ("detection.kernel=4", "kernel must be odd, got 4"),
        ("detection.negative_iou=0.7", "negative_iou 0.7 must not exceed positive_iou 0.5"),
        ("detection.scale_jitter=[2, 1]", "scale_jitter [2.0, 1.0] must be two rising numbers"),
        ("data.augment.mixup=0.2", "data.augment.mixup is not for detectors (it is 0.2)"),
        ("training.label_smoothing=0.0", "training.label_smoothing is not for detectors"),
        ("detection=3", "detection: expected keys such as family, channels, depth below it, found 3"),
    ],
)
def test_what_a_detector_is_not_configured_with(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("lite", task="coco", assignments=[assignment])
    assert message in str(caught.value)


def test_a_detector_says_every_size_of_its_net() -> None:
    config = load_config("lite", task="coco", assignments=["detection.channels=64", "detection.kernel=3"]).detection
    assert config is not None
    written = config.with_net()
    assert (written.channels, written.depth, written.kernel) == (64, 1, 3)
    assert (written.pyramid_norm, written.pyramid_activation) == (True, "relu6")
    assert written.spec == config.spec


def test_a_classifier_has_no_detection_section() -> None:
    with pytest.raises(ConfigError, match="the section 'detection' is for detectors"):
        load_config("quick", task="imagenet", assignments=["detection.family=lite"])


def test_flags_win_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 3, seed: 3, batch_size: 8}\n")
    config = load_config(
        str(path),
        assignments=["training.epochs=4", "training.seed=4"],
        flags={"training.epochs": 5, "training.batch_size": None},
    )
    assert (config.training.epochs, config.training.seed, config.training.batch_size) == (5, 4, 8)


def test_numbers_in_scientific_notation_are_numbers() -> None:
    config = load_config(assignments=["optimizer.weight_decay=2e-5", "optimizer.epsilon=1E-8"])
    assert (config.optimizer.weight_decay, config.optimizer.epsilon) == (2e-5, 1e-8)


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  # epochs: 3\ndata:\n  image_size: 64\n")
    assert load_config(str(path)).training == Config().training


def test_the_learning_rate_grows_with_the_batch() -> None:
    config = load_config(assignments=["optimizer.learning_rate_per_256=0.016", "training.batch_size=64"])
    assert config.learning_rate == pytest.approx(0.004)  # 0.016 · 64 / 256


def test_progressive_sizes_are_multiples_of_32() -> None:
    config = load_config(
        assignments=["data.image_size=160", "data.progressive=[[0, 0.6], [0.5, 0.75], [0.9, 1]]", "training.epochs=10"]
    )
    # 160 · 0.6 = 96; 160 · 0.75 = 120, nearest 128; the last epoch in full.
    assert [config.image_size_at(epoch) for epoch in range(10)] == [96] * 5 + [128] * 4 + [160]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epoch=3", "--set training.epoch=3: unknown key 'training.epoch'; did you mean 'training.epochs'?"),
        ("epochs=3", "--set epochs=3: unknown key 'epochs'; did you mean 'training.epochs'?"),
        ("optimizer.name=adam", "did you mean 'adamw'?"),
        ("model.variant=b7", "unknown variant 'b7' (known: a1, b1, small, d1, a1-2019, b1-2019); did you mean 'b1'?"),
        ("training.epochs=ten", "--set training.epochs=ten: training.epochs: should be a valid integer, found 'ten'"),
        ("training.epochs=1.5", "training.epochs: should be a valid integer, found 1.5"),
        ("training=5", "training: expected keys such as epochs, batch_size, accumulate_steps below it, found 5"),
        ("data.augment.crop_area.x=1", "data.augment.crop_area"),
        ("data.mean=[1, 2]", "data.mean.2"),
        ("optimizer.learning_rate_per_256=.nan", "finite"),
        ("optimizer.learning_rate_per_256=.inf", "finite"),
        ("model.width=0", "model.width: should be greater than 0, found 0"),
        ("training.seed=-1", "training.seed: should be greater than or equal to 0, found -1"),
        ("training.seed=2147483648", "training.seed: should be less than 2147483648"),
        ("training.accumulate_steps=3", "batch_size 256 is not a multiple of accumulate_steps 3"),
        ("training.batch_parts=3", "256 images at a time can't be split into 3 equal batch_parts"),
        ("data.augment.crop_area=[0.9, 0.1]", "crop_area [0.9, 0.1] must be two rising numbers in (0, 1]"),
        ("data.progressive=[[0.5, 1]]", "progressive must start at 0.0"),
        ("data.image_size=8", "data.image_size: should be greater than or equal to 16, found 8"),
        ("training.epochs=[", "--set 'training.epochs=[' is not valid YAML"),
        ("training.epochs", "is not of the form key.sub=value"),
        ("=3", "is not of the form key.sub=value"),
        ("task=coco", "--set task=coco is for the task 'coco', but this command is for 'imagenet'"),
    ],
)
def test_a_bad_assignment_is_one_line_that_names_it(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", task="imagenet", assignments=[assignment])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "holds a list, expected sections such as 'training:'"),
        (b"hello", "holds a str, expected sections"),
        (b"", "holds nothing, expected sections"),
        (b"a: [1", "is not valid YAML"),
        (b"\x9e\x00\xff\x01", "is not a text file"),
        (b"1: 2", "keys should be strings"),
        (b"training: {epochs: ten}", "training.epochs: should be a valid integer, found 'ten'"),
        (b"training: {batch_size: '64'}", "training.batch_size: should be a valid integer, found '64'"),
        (b"training: {epoch: 10}", "unknown key 'training.epoch'; did you mean 'training.epochs'?"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), task="imagenet")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_flags_over_a_section_that_is_no_section(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: 5\n")
    with pytest.raises(ConfigError, match="--epochs: 'training' holds 5"):
        load_config(str(path), flags={"training.epochs": 3})


def test_an_unknown_config_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        load_config("quik")
    with pytest.raises(ConfigError, match=r"missing\.yaml does not exist"):
        load_config("missing.yaml")


def test_a_contradiction_names_the_flags() -> None:
    with pytest.raises(ConfigError, match=r"warmup_epochs.*longer than training.epochs \(1\).*--epochs"):
        load_config("quick", assignments=["schedule.warmup_epochs=3"], flags={"training.epochs": 1})


def test_statistics_are_either_kept_or_measured_anew() -> None:
    finetune = {"freeze_norm": True, "recalibrate_batches": 8}
    with pytest.raises(ConfigError, match=r"freeze_norm keeps .*recalibrate_batches .8. measures"):
        validate({"finetune": finetune}, "here")
    assert validate({"task": "coco", "finetune": finetune}, "here").finetune.freeze_norm  # its heads measure theirs


def test_every_fault_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model.width.*training.epochs"):
        validate({"model": {"width": -1.0}, "training": {"epochs": 0}}, "here")
