"""Files that an earlier commit wrote (tests/fixtures): everything reads them, and they give the numbers of then."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from tiny_net import TINY, TINY_BACKBONE

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.nets.spec import NETS

FIXTURES = Path(__file__).parents[1] / "fixtures"
NUMBERS = json.loads((FIXTURES / "numbers.json").read_text())
PIXELS = ("xmin", "ymin", "xmax", "ymax")  # of predicted boxes, rounded to 0.1
EXACT = 1e-5
INT8 = 0.02  # processors round integers in their own ways
# With other numbers of cores, sums are added in another order: the weights of the two runs then differed by up to 6e-4,
# and by up to 0.16 with a momentum that was lost. compare_revisions.py holds them against each other bit by bit.
RESUMED = 2e-3

# The tiny nets of then; detectors have all their levels.
FIRST, SECOND = TINY.stages
TINY_OF_THEN = dataclasses.replace(
    TINY, stages=(dataclasses.replace(FIRST, skip=False), dataclasses.replace(SECOND, repeats=2))
)


@pytest.fixture(scope="module", autouse=True)
def _nets_of_then() -> Iterator[None]:
    with mock.patch.dict(NETS, {"tiny": TINY_OF_THEN, "tiny-backbone": TINY_BACKBONE}):
        yield


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixtures with unpacked exports; never change it."""
    root = tmp_path_factory.mktemp("old") / "fixtures"
    shutil.copytree(FIXTURES, root)
    for archive in (root / "exports").rglob("*.tar.xz"):
        shutil.unpack_archive(archive, archive.parent, filter="data")
    return root


@pytest.fixture
def old(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The unpacked fixtures as the current folder: the commands of numbers.json name them by relative paths.

    At that time, evaluation decoded JPEGs as `data.decode: fast` does. The files don't say so, because there was no
    such key. So `fast` is the default here.
    """
    monkeypatch.chdir(unpacked)
    parse = Preprocessing.parse
    assert parse({"image_size": 32}, "classification").decode == "accurate"
    monkeypatch.setattr(Preprocessing, "parse", lambda tree, task: parse({"decode": "fast", **tree}, task))
    return unpacked


def assert_close(found: Any, expected: Any, tolerance: float = EXACT, place: str = "") -> None:
    """Holds JSON against JSON; `found` may have more keys. A float may differ by the tolerance, or by that share."""
    if isinstance(expected, dict):
        assert set(expected) <= set(found), place
        for key, value in expected.items():
            assert_close(found[key], value, 0.11 if key in PIXELS else tolerance, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for index, value in enumerate(expected):
            assert_close(found[index], value, tolerance, f"{place}[{index}]")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance), f"{place}: {found} != {expected}"
    else:
        assert found == expected, place


def is_variation(command: str) -> bool:
    """Every file is inspected; classifiers are evaluated, and detectors find boxes. The rest takes a minute."""
    name, *words = command.split()
    if name == "eval":
        return (words[0] == "--coco-val" and words[1].startswith("exports/")) or words[-1] in ("--no-ema", "--best")
    return name == "predict" and "classifier" in words[0] and words[0] != "exports/classifier/tflite"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=pytest.mark.variation if is_variation(command) else ())
        for command in NUMBERS["commands"]
    ],
)
def test_commands_give_the_same_numbers(mnasnet: Callable[..., Any], old: Path, command: str) -> None:
    outcome = mnasnet(*command.split(), "--json")
    assert outcome.code == 0, outcome.err
    assert_close(outcome.json, NUMBERS["commands"][command], INT8 if "int8" in command else EXACT)


@pytest.mark.parametrize(
    "model", ["runs/classifier-finished/checkpoints/ckpt-12", "imported", "exports/detector/saved-model"]
)
def test_a_model_that_does_not_say_how_to_decode_decodes_accurately(
    mnasnet: Callable[..., Any], unpacked: Path, model: str
) -> None:
    found = mnasnet("inspect", str(unpacked / model), "--json").json
    assert found["preprocessing"]["decode"] == "accurate"


@pytest.mark.parametrize(
    ("kind", "command", "data"),
    [
        ("classifier", "train-imagenet", "imagenet"),
        pytest.param("detector", "train-coco", "coco", marks=pytest.mark.variation),
    ],
)
def test_a_stopped_run_goes_on_with_old_records(
    mnasnet: Callable[..., Any], old: Path, tmp_path: Path, kind: str, command: str, data: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(old / "runs" / f"{kind}-stopped", run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("\ndata:\n", "\ndata:\n  decode: fast\n"))
    kept = len((run / "metrics.jsonl").read_text().splitlines())
    outcome = mnasnet(command, f"--data={data}", f"--run-dir={run}", "--json")
    assert outcome.code == 0, outcome.err
    expected = NUMBERS["resumed"][kind]
    assert_close(outcome.json, expected["results"] | {"run_dir": str(run)}, RESUMED)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()[kept:]]
    assert_close(lines, expected["metrics"], RESUMED)
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    with np.load(FIXTURES / f"resumed-{kind}.npz") as weights:
        assert set(weights) == {key for key in reader.get_variable_to_shape_map() if key.startswith("model/")}
        for key, value in weights.items():
            np.testing.assert_allclose(reader.get_tensor(key), value, rtol=0.0, atol=RESUMED, err_msg=key)
