"""Loading a configuration: which source wins, and what an error names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnasnet_cli.config.loading import load_config, validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError


def test_flags_win_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 3, seed: 3, batch_size: 8}\n")
    config = load_config(
        str(path),
        assignments=["training.epochs=4", "training.seed=4"],
        flags={"training.epochs": 5, "training.batch_size": None},
    )
    assert (config.training.epochs, config.training.seed, config.training.batch_size) == (5, 4, 8)


def test_base_stands_in_for_a_file_and_stays_as_it_is() -> None:
    base = {"training": {"epochs": 3, "seed": 3}}
    config = load_config(base=base, assignments=["training.epochs=4"])
    assert (config.training.epochs, config.training.seed) == (4, 3)
    assert base == {"training": {"epochs": 3, "seed": 3}}
    with pytest.raises(ConfigError, match=r"run/config\.yaml.*training\.epoch\b"):
        load_config(base={"training": {"epoch": 3}}, base_name="run/config.yaml")


def test_numbers_in_scientific_notation_are_numbers() -> None:
    config = load_config(assignments=["optimizer.weight_decay=2e-5", "optimizer.epsilon=1E-8"])
    assert (config.optimizer.weight_decay, config.optimizer.epsilon) == (2e-5, 1e-8)


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  # epochs: 3\ndata:\n  image_size: 64\n")
    assert load_config(str(path)).training == Config().training


@pytest.mark.parametrize(
    ("assignment", "facts"),
    [
        ("training.epoch=3", ["--set training.epoch=3", "did you mean 'training.epochs'?"]),
        ("epochs=3", ["--set epochs=3", "'epochs'", "did you mean 'training.epochs'?"]),
        ("training.epochs=ten", ["--set training.epochs=ten", "training.epochs", "integer", "'ten'"]),
        ("training.epochs=1.5", ["training.epochs", "integer", "1.5"]),
        ("training=5", ["training", "epochs, batch_size, accumulate_steps", "found 5"]),
        ("data.augment.crop_area.x=1", ["data.augment.crop_area"]),
        ("data.mean=[1, 2]", ["data.mean.2"]),
        ("optimizer.learning_rate_per_256=.nan", ["optimizer.learning_rate_per_256", "finite"]),
        ("optimizer.learning_rate_per_256=.inf", ["optimizer.learning_rate_per_256", "finite"]),
        ("training.epochs=[", ["--set 'training.epochs=['", "YAML"]),
        ("training.epochs", ["--set 'training.epochs'", "key.sub=value"]),
        ("=3", ["--set '=3'", "key.sub=value"]),
        ("task=coco", ["--set task=coco", "'coco'", "'classification'"]),
    ],
)
def test_a_bad_assignment_is_one_line_that_names_it(assignment: str, facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", task="classification", assignments=[assignment])
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        (b"- a\n- b\n", ["a list", "'training:'"]),
        (b"hello", ["a str", "'training:'"]),
        (b"", ["nothing", "'training:'"]),
        (b"a: [1", ["YAML"]),
        (b"\x9e\x00\xff\x01", ["not text in UTF-8", "YAML"]),
        (b"1: 2", ["keys should be strings"]),
        (b"training: {epochs: ten}", ["training.epochs", "integer", "'ten'"]),
        (b"training: {batch_size: '64'}", ["training.batch_size", "a number of images", "'64'"]),
        (b"training: {epoch: 10}", ["'training.epoch'", "did you mean 'training.epochs'?"]),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, facts: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), task="classification")
    assert all(fact in str(caught.value) for fact in [str(path), *facts]), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_task_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("task: coco\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*'coco'.*'classification'"):
        load_config(str(path), task="classification")


def test_a_flag_below_a_key_that_is_no_section_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: 5\n")
    with pytest.raises(ConfigError, match=r"--epochs.*'training'.*5"):
        load_config(str(path), flags={"training.epochs": 3})


def test_every_error_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.width.*training\.epochs"):
        validate({"model": {"width": -1.0}, "training": {"epochs": 0}}, "here")
