"""Shipped recipes: found by name and by path, complete, and as published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.recipes import configs_dir, find_config, shipped_configs
from mnasnet_cli.config.task_names import DATASETS
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in DATASETS for name in shipped_configs(task)])
def test_every_recipe_loads_and_survives_a_round_trip_through_yaml(task: str, name: str, tmp_path: Path) -> None:
    config = load_config(name, task=task)
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert load_config(str(path)) == config


@pytest.mark.parametrize("name", ["paper", "quick"])
def test_a_recipe_is_found_by_name_and_by_path(name: str) -> None:
    assert name in shipped_configs("classification")
    path = find_config(name)
    assert path.parent == configs_dir() / "imagenet"
    assert find_config(str(path)) == path


def test_the_task_chooses_between_recipes_of_one_name() -> None:
    assert find_config("demo", "classification").parent.name == "imagenet"
    assert find_config("demo", "detection").parent.name == "coco"


def test_a_file_without_suffix_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("training: {epochs: 3}\n")
    assert find_config("mine") == Path("mine")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("quik", ["'quik'", "did you mean 'quick'", *shipped_configs()]),
        ("missing.yaml", ["missing.yaml does not exist"]),
        ("folder/missing", ["folder/missing does not exist"]),
    ],
)
def test_an_unknown_recipe_is_an_error_that_helps(name: str, facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(name)
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_the_paper_recipe_is_the_papers() -> None:
    config = load_config("paper")
    optimizer, schedule, training = config.optimizer, config.schedule, config.training
    assert (optimizer.name, optimizer.rmsprop_decay, optimizer.momentum) == ("rmsprop", 0.9, 0.9)
    assert (optimizer.epsilon, optimizer.learning_rate_per_256, optimizer.weight_decay) == (1e-3, 0.016, 1e-5)
    assert (schedule.name, schedule.warmup_epochs) == ("exponential", 5.0)
    assert (schedule.decay_epochs, schedule.decay_rate) == (2.4, 0.97)
    assert (training.epochs, training.label_smoothing, training.ema_decay) == (350, 0.1, 0.9999)


def test_the_retinanet_recipe_is_that_of_2019() -> None:
    config = load_config("retinanet", task="detection")
    assert config.detection is not None
    spec = config.detection.spec
    assert (spec.channels, spec.depth, spec.separable, config.data.image_size) == (256, 4, False, 640)
    assert (config.optimizer.name, config.optimizer.momentum, config.schedule.name) == ("sgd", 0.9, "cosine")
    assert (config.training.batch_size, config.learning_rate) == (16, pytest.approx(0.02))
    # 400,000 steps, 20,000 of them warm-up, of 118,287 // 16 = 7,392 an epoch.
    assert config.training.epochs == round(400_000 / 7_392)
    assert config.schedule.warmup_epochs == pytest.approx(20_000 / 7_392, abs=0.01)


def test_every_recipe_says_what_it_is_for() -> None:
    for path in configs_dir().glob("*/*.yaml"):
        assert re.match(r"# [A-Z].*\.", path.read_text()), path
