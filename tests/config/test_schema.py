"""The configuration as a whole: contradictions between keys, and values that follow from keys."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("assignment", "facts"),
    [
        ("model.variant=b7", ["'b7'", "a1, b1, small, d1, a1-2019, b1-2019, mobilenet-v2", "did you mean 'b1'?"]),
        ("model.width=0", ["model.width", "greater than 0", "found 0"]),
        ("data.image_size=8", ["data.image_size", "greater than or equal to 16", "found 8"]),
        ("data.augment.crop_area=[0.9, 0.1]", ["crop_area [0.9, 0.1]", "(0, 1]"]),
        ("data.augment.crop_ratio=[0, 1]", ["crop_ratio [0.0, 1.0]"]),
        ("data.progressive=[[0.5, 1]]", ["progressive", "0.0", "[0.5]"]),
        ("data.progressive=[[0, 1], [0, 1]]", ["progressive", "[0.0, 0.0]"]),
        ("training.seed=-1", ["training.seed", "found -1"]),
        ("training.seed=2147483648", ["training.seed", "2147483648"]),
        ("training.accumulate_steps=3", ["batch_size 256", "accumulate_steps 3"]),
        ("training.batch_parts=3", ["256 images", "batch_parts 3", "--set training.batch_parts=1"]),
        ("optimizer.name=adam", ["'adam'", "did you mean 'adamw'?"]),
    ],
)
def test_a_bad_value_is_an_error_with_the_facts(assignment: str, facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", task="classification", assignments=[assignment])
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_a_warm_up_longer_than_the_training_names_the_keys_and_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"warmup_epochs.*\(3\).*training\.epochs \(1\).*--epochs"):
        load_config("quick", assignments=["schedule.warmup_epochs=3"], flags={"training.epochs": 1})


def test_only_detectors_have_a_detection_section() -> None:
    assert load_config("quick", task="classification").detection is None
    assert load_config(task="detection").detection is not None
    with pytest.raises(ConfigError, match=r"'detection'.*task: detection"):
        load_config("quick", task="classification", assignments=["detection.family=lite"])


def test_the_learning_rate_grows_with_the_batch() -> None:
    config = load_config(assignments=["optimizer.learning_rate_per_256=0.016", "training.batch_size=64"])
    assert config.learning_rate == pytest.approx(0.004)  # 0.016 · 64 / 256


def test_the_evaluation_size_is_a_multiple_of_32() -> None:
    assert Config().eval_size == 224
    assert load_config(assignments=["data.image_size=100"]).eval_size == 100
    assert load_config(assignments=["data.image_size=128", "data.eval_scale=1.3"]).eval_size == 160  # of 166.4


def test_progressive_sizes_are_multiples_of_32() -> None:
    config = load_config(
        assignments=["data.image_size=160", "data.progressive=[[0, 0.6], [0.5, 0.75], [0.9, 1]]", "training.epochs=10"]
    )
    # 160 · 0.6 = 96; 160 · 0.75 = 120, nearest 128; the last epoch in full.
    assert [config.image_size_at(epoch) for epoch in range(10)] == [96] * 5 + [128] * 4 + [160]


def test_preprocessing_is_that_of_evaluation() -> None:
    config = load_config(assignments=["data.image_size=128", "data.eval_scale=1.25", "data.antialias=true"])
    assert (config.preprocessing.image_size, config.preprocessing.crop_fraction) == (160, 0.875)
    assert config.preprocessing.antialias
    assert load_config(task="detection").preprocessing.crop_fraction is None  # the whole image
