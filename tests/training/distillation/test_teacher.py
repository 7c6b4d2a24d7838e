"""Distillation: the loss, the classes of teacher and records, teachers of every format, and exact resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from killed_runs import assert_same, kill
from made_models import classifier_config, make_checkpoint
from onnx_files import write_foreign_onnx
from tiny_net import FLAGS

from mnasnet_cli.checkpoints.reader import read_info
from mnasnet_cli.config.distillation import TeacherInputConfig
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.preprocessing import preprocess_crops
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.losses import distillation_loss
from mnasnet_cli.training.distillation.classes import matching_outputs
from mnasnet_cli.training.distillation.formats import find_model
from mnasnet_cli.training.distillation.teacher import Teacher, describe_teacher, outputs_for

pytestmark = pytest.mark.usefixtures("tiny_net")

NONE = TeacherInputConfig()


def test_loss_is_that_of_the_formula() -> None:
    random = np.random.default_rng(0)
    student, teacher = (random.normal(size=(5, 4)).astype(np.float32) for _ in range(2))
    for temperature in (1.0, 3.0):
        p, q = (np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True) for z in (teacher, student))
        expected = temperature**2 * (p * (np.log(p) - np.log(q))).sum(1)
        assert distillation_loss(student, teacher, temperature).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert distillation_loss(teacher, teacher, 2.0).numpy() == pytest.approx(np.zeros(5), abs=1e-6)


def test_no_gradient_reaches_the_teacher() -> None:
    logits = tf.constant([[1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = distillation_loss(tf.constant([[0.0, 1.0]]), logits, 1.0)
    assert tape.gradient(loss, logits) is None


@pytest.mark.parametrize(
    ("known", "wanted", "expected"),
    [
        ((["a", "b"], ["ant", "bee"]), (["a", "b"], ["ant", "bee"]), [0, 1]),
        ((["c", "a", "b"], ["cat", "ant", "bee"]), (["b", "c"], ["x", "y"]), [2, 0]),  # by label, some of many
        ((["1", "2"], ["ant", "bee"]), (["b", "a"], ["bee", "ant"]), [1, 0]),  # in words
    ],
)
def test_classes_are_matched_by_name(known: Any, wanted: Any, expected: list[int]) -> None:
    assert matching_outputs("T", known, wanted, "data").tolist() == expected


def test_a_missing_class_is_named() -> None:
    known = [[f"n{number}" for number in range(1000)]] * 2
    with pytest.raises(ConfigError, match=r"T knows 1,000 classes \(n0, n1, n2, …\).* have 2, of which it lacks ant;"):
        matching_outputs("T", known, [["n5", "ant"]] * 2, "data")


def task_of(records: Path, *settings: str) -> ClassificationTask:
    sizes = ("data.image_size=40", "training.batch_size=4", "model.variant=tiny")
    return ClassificationTask(load_config("quick", assignments=[*sizes, *settings]), records)


@pytest.fixture(scope="module")
def teacher_run(shape_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of the records' four classes in another order, among two others."""
    from tiny_net import tiny_nets

    run = tmp_path_factory.mktemp("teacher")
    with tiny_nets():
        labels = list(reversed(task_of(shape_records).labels))
        make_checkpoint(run, classifier_config(), ["other", *labels, "more"])
    return run


@pytest.mark.parametrize("format", ["checkpoint", "saved-model", "frozen", "tflite", "onnx"])
def test_teachers_of_every_format_answer_alike(
    shape_records: Path, made_classifier: Path, exported_classifier: Path, format: str
) -> None:
    path = made_classifier if format == "checkpoint" else exported_classifier / format
    task = task_of(shape_records)
    task.__dict__["labels"] = ["d", "b", "a"]
    images = np.random.default_rng(0).uniform(0, 255, (4, 40, 40, 3)).astype(np.float32)  # the teacher takes 32 px
    teacher = Teacher(find_model(str(path), NONE, 40), task)
    found = tf.function(teacher, autograph=False)(tf.constant(images))
    runner = open_model(str(made_classifier))
    inputs = preprocess_crops(tf.constant(images), runner.manifest.preprocessing).numpy()
    assert inputs.shape == (4, 32, 32, 3)
    assert found.shape == (4, 3)
    assert found.numpy() == pytest.approx(runner.predict_tensors(inputs)["logits"][:, [3, 1, 0]], abs=2e-4)


def test_a_damaged_teacher_is_found_before_it_is_built(exported_classifier: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported_classifier / "tflite", tmp_path / "tflite"))
    [file] = copy.glob("*.tflite")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"\.tflite is damaged"):
        find_model(str(copy), NONE, 32)


def test_bfloat16_computes_the_teacher_so_too(shape_records: Path, teacher_run: Path) -> None:
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32))
    found = find_model(str(teacher_run), NONE, 32)
    exact, rough = (
        Teacher(found, task_of(shape_records, f"training.precision={kind}"))(images).numpy()
        for kind in ("float32", "bfloat16")
    )
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < 0.1


def test_an_onnx_file_of_another_program(shape_records: Path, tmp_path: Path) -> None:
    kernel = write_foreign_onnx(tmp_path / "net.onnx")
    key = "training.teacher_input"
    task = task_of(shape_records, f"{key}.mean=[0,0,0]", f"{key}.deviation=[255,255,255]")
    found = find_model(str(tmp_path / "net.onnx"), task.config.training.teacher_input, 40)
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    expected = (images / 255).mean((1, 2)) @ kernel
    assert Teacher(found, task)(tf.constant(images)).numpy() == pytest.approx(expected, abs=1e-5)
    (_, assumed) = describe_teacher(found, task)
    assert "assumed: NCHW, RGB, classes in the order of the records" in assumed


def test_softmax_at_the_end_is_undone(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 24, 24, 3)).astype(np.float32)
    logits = []
    for softmax in (False, True):
        path = tmp_path / f"{softmax}.onnx"
        write_foreign_onnx(path, shape=("N", "h", "w", 3), softmax=softmax)
        found = find_model(str(path), NONE, 24)
        assert found.foreign is not None
        assert (found.preprocessing.image_size, found.foreign.gives_probabilities) == (24, softmax)  # any size: ours
        logits.append(found.foreign.logits(images))
    assert tf.nn.log_softmax(logits[1]).numpy() == pytest.approx(tf.nn.log_softmax(logits[0]).numpy(), abs=1e-5)


def test_outputs_for_imagenet_have_its_names(tmp_path: Path, shape_records: Path) -> None:
    write_foreign_onnx(tmp_path / "net.onnx", classes=1000)
    found = find_model(str(tmp_path / "net.onnx"), NONE, 32)
    assert found.labels[0] == "n01440764"
    with pytest.raises(ConfigError, match=r"knows 1,000 classes .* have 4, of which it lacks "):
        outputs_for(found, task_of(shape_records))


@pytest.mark.parametrize(
    ("options", "file", "message"),
    [
        ({}, {"shape": ("N", 3, 32, 24)}, r"takes images of \['N', 3, 32, 24\]; expected squares"),
        ({}, {"shape": (8, 3, 32, 32)}, r"takes exactly 8 images at a time"),
        ({}, {"shape": ("N", "c", "h", "w")}, r"does not tell where the 3 colours are; .*layout=NCHW"),
        ({"layout": "NHWC"}, {}, r"layout=NHWC contradicts .*net.onnx, whose input is \['N', 3, 32, 32\]"),
        ({"image_size": 64}, {}, r"takes images of 32 px, not training.teacher_input.image_size=64"),
        ({}, {"classes": 1}, r"gives output \[1, 1\] for one image; expected the logits of a classifier"),
    ],
)
def test_what_an_onnx_file_does_not_tell_is_asked_for(tmp_path: Path, options: Any, file: Any, message: str) -> None:
    write_foreign_onnx(tmp_path / "net.onnx", **file)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        find_model(str(tmp_path / "net.onnx"), TeacherInputConfig(**options), 32)


def test_unnamed_classes_of_another_number_are_refused(tmp_path: Path, shape_records: Path) -> None:
    write_foreign_onnx(tmp_path / "net.onnx", classes=7)
    found = find_model(str(tmp_path / "net.onnx"), NONE, 32)
    with pytest.raises(ConfigError, match=r"7 outputs without names, .* 4 classes; .*teacher_input.labels=FILE"):
        outputs_for(found, task_of(shape_records))
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{name}\n" for name in ["x", "y", "z", *task_of(shape_records).labels]))
    found = find_model(str(tmp_path / "net.onnx"), TeacherInputConfig(labels=str(labels)), 32)
    assert outputs_for(found, task_of(shape_records)).tolist() == [3, 4, 5, 6]


# A run with a teacher, from the command line.

DISTIL = ("--set=training.teacher_weight=0.7", "--set=training.teacher_temperature=2.0")


@pytest.fixture(scope="module")
def taught_run(shape_records: Path, teacher_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs with a teacher; never change it."""
    from tiny_net import train_tiny

    run = tmp_path_factory.mktemp("taught") / "run"
    said = train_tiny(*command(shape_records, run), f"--teacher={teacher_run}")
    assert "teacher: " in said
    assert "4 of its 6 classes); weight 0.7, temperature 2" in said
    return run


def command(records: Path, run: Path, *more: str) -> list[str]:
    return ["train-imagenet", *FLAGS, "--epochs=2", *DISTIL, f"--data={records}", f"--run-dir={run}", *more]


def test_the_run_remembers_its_teacher(
    taught_run: Path, teacher_run: Path, mnasnet: Callable[..., Any], tmp_path: Path
) -> None:
    prefix = str(teacher_run / "checkpoints/ckpt-7")
    record = read_info(str(taught_run / "checkpoints/ckpt-12"))["teacher"]
    assert (record["model"], record["path"]) == (str(teacher_run), prefix)
    for file in ("environment.json", "results.json"):
        assert json.loads((taught_run / file).read_text())["teacher"] == record
    lines = [json.loads(line) for line in (taught_run / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert all(line["teacher_loss"] > 0 for line in train)
    assert train[-1]["teacher_loss"] < train[0]["teacher_loss"]
    assert str(teacher_run) in (taught_run / "card.md").read_text()
    assert mnasnet("export", taught_run, "--out", tmp_path, "--format", "frozen").code == 0
    assert read_manifest(tmp_path / "frozen").teacher == record


@pytest.mark.variation
def test_a_killed_run_goes_on_exactly_and_needs_no_flag(
    mnasnet: Callable[..., Any], shape_records: Path, teacher_run: Path, taught_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    # The save of the second epoch: the checkpoint is of the first.
    kill(mnasnet, command(shape_records, run, f"--teacher={teacher_run}"), "save", 2)
    outcome = mnasnet(*command(shape_records, run))
    assert outcome.code == 0, outcome.err
    assert_same(run, taught_run)


def test_another_teacher_is_refused_and_the_same_elsewhere_is_not(
    mnasnet: Callable[..., Any], shape_records: Path, teacher_run: Path, taught_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(taught_run, run)
    moved = tmp_path / "moved"
    shutil.copytree(teacher_run, moved)
    assert mnasnet(*command(shape_records, run, f"--teacher={moved}")).code == 0
    labels = ["other", *reversed(task_of(shape_records).labels), "more", "new"]
    make_checkpoint(tmp_path / "changed", classifier_config(), labels)
    outcome = mnasnet(*command(shape_records, run, f"--teacher={tmp_path / 'changed'}"))
    assert outcome.code == 2
    assert "is not the teacher that" in outcome.lines[-1]
    shutil.rmtree(moved)
    outcome = mnasnet(*command(shape_records, run))
    assert outcome.code == 2
    assert "can't be opened" in outcome.lines[-1]
    assert "name where it is now with --teacher MODEL" in outcome.lines[-1]


@pytest.mark.variation
def test_all_ways_to_take_a_step_have_a_teacher(
    mnasnet: Callable[..., Any], shape_records: Path, tmp_path: Path
) -> None:
    teacher = tmp_path / "net.onnx"
    write_foreign_onnx(teacher)  # the way through another library
    ways = ("--set=training.batch_parts=2", "--set=training.accumulate_steps=2", "--precision=bfloat16", "--epochs=1")
    outcome = mnasnet(*command(shape_records, tmp_path / "run", *ways, f"--teacher={teacher}"))
    assert outcome.code == 0, outcome.err
    assert "assumed: NCHW, RGB, ImageNet's mean" in outcome.err


def test_faults_are_one_line(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, made_detector: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    cases = {
        "is a detector": command(shape_records, run, f"--teacher={made_detector}"),
        "no model at nowhere": command(shape_records, run, "--teacher=nowhere"),
        "no teacher is named": command(shape_records, run),
        "is for ONNX files of other programs": command(
            shape_records, run, f"--teacher={trained_run}", "--set=training.teacher_input.layout=NCHW"
        ),
        "a detector can't learn from a teacher": ["train-coco", "--teacher=x", "--data=nowhere"],
    }
    for expected, arguments in cases.items():
        outcome = mnasnet(*arguments)
        assert (outcome.code, len(outcome.lines)) == (2, 1), outcome.err
        assert expected in outcome.lines[0]
        assert not run.exists()
    shutil.copytree(trained_run, run)
    plain = ["train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={run}", f"--teacher={trained_run}"]
    assert "began without a teacher" in mnasnet(*plain).lines[-1]
