"""Work that several machines share: begun in one way, it goes on in that way only, and nothing is written otherwise."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import coco_cases
import imagenet_cases
import pytest
from folder_contents import contents

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records import shards as schema

FOUR = {"train_shards": 2, "val_shards": 2}  # a shard each


@pytest.fixture
def begun(pristine_imagenet: Path, tmp_path: Path) -> Path:
    """The first of four parts."""
    imagenet_cases.prepare(pristine_imagenet, tmp_path / "begun", part=(1, 4), **FOUR)
    return tmp_path / "begun"


def records(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out).items() if name != "dataset.json"}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"begun with --part I/4, but this run is without --part; go on with --part I/4 and with --resume"),
        ({**FOUR, "part": (2, 2)}, r"begun with --part I/4, but this run is with --part I/2; go on"),
        ({"part": (2, 4)}, r"--train-shards \(was 2, is 4\) differs from the run that began there; use the same"),
        ({**FOUR, "part": (2, 4), "seed": 3}, r"--seed \(was 0, is 3\) differs"),
        ({**FOUR, "part": (2, 4), "max_side": 20}, r"--max-side \(was None, is 20\) differs"),
    ],
)
def test_another_way_is_refused_before_anything_is_written(
    pristine_imagenet: Path, begun: Path, options: dict[str, Any], message: str, resume: bool
) -> None:
    before = contents(begun)
    with pytest.raises(ConfigError, match=message):
        imagenet_cases.prepare(pristine_imagenet, begun, resume=resume, **options)
    assert contents(begun) == before


def test_parts_of_work_that_was_begun_alone_are_refused(pristine_imagenet: Path, begun: Path) -> None:
    (begun / "unfinished-part-00001-of-00004.jsonl").rename(begun / "unfinished-part-00001-of-00001.jsonl")
    with pytest.raises(ConfigError, match="begun without --part, but this run is with --part I/4; go on without"):
        imagenet_cases.prepare(pristine_imagenet, begun, resume=True, part=(1, 4), **FOUR)


def test_a_part_of_another_source_is_refused(imagenet_source: Path, begun: Path) -> None:
    before = contents(begun)
    shutil.rmtree(imagenet_source / "val")
    for part in (1, 2):
        with pytest.raises(DataError, match="list of validation images differs"):
            imagenet_cases.prepare(imagenet_source, begun, resume=True, part=(part, 4), **FOUR)
    assert contents(begun) == before


@pytest.mark.parametrize("kind", ["imagenet", "coco"])
def test_parts_in_any_order_and_again(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    cases: Any = {"imagenet": imagenet_cases, "coco": coco_cases}[kind]
    source = request.getfixturevalue(f"pristine_{kind}")
    prepare: Callable[..., dict[str, Any]] = cases.prepare
    options = dataclasses.asdict(cases.SMALL) | {"workers": 1}
    chosen = {key: options[key] for key in ("train_shards", "val_shards", "workers")}
    for number, order in enumerate(permutations((1, 2, 3))):
        out = tmp_path / str(number)
        for part in order[:2]:
            prepare(source, out, part=(part, 3), resume=number % 2 > 0, **chosen)
            again = prepare(source, out, part=(part, 3), resume=True, **chosen)
            assert again["kept_shards"] > 0
        with pytest.raises(DataError, match=rf"finish them with `mnasnet prepare-{kind} .* --part I/3 --resume`"):
            schema.find_shards(out, "train")
        assert prepare(source, out, part=(order[2], 3), **chosen)["missing_parts"] == []
        assert records(out) == records(request.getfixturevalue(f"{kind}_records"))
        assert prepare(source, out, resume=True, **chosen)["kept_shards"] == sum(
            chosen[key] for key in ("train_shards", "val_shards")
        )


def test_the_advice_leads_on(mnasnet: Any, pristine_coco: Path, tmp_path: Path) -> None:
    command = ["prepare-coco", pristine_coco, tmp_path / "out"]
    shards = ["--train-shards", 2, "--val-shards", 2]
    assert mnasnet(*command, *shards, "--part", "1/4").code == 0
    advice = mnasnet("inspect", tmp_path / "out")
    assert (advice.code, len(advice.err.splitlines())) == (2, 1)
    assert "--part I/4 --resume` for I from 1 to 4" in advice.err
    before = contents(tmp_path / "out")
    for flags in ([], shards, ["--part", "1/4"]):
        refused = mnasnet(*command, *flags, "--resume")
        assert (refused.code, len(refused.err.splitlines())) == (2, 1), refused.err
    assert contents(tmp_path / "out") == before
    for part in (1, 2, 3, 4):
        assert mnasnet(*command, *shards, "--part", f"{part}/4", "--resume").code == 0
    assert mnasnet("inspect", tmp_path / "out").code == 0
    assert not list((tmp_path / "out").glob("unfinished*"))


def test_a_part_does_not_warn_of_splits_that_others_write(mnasnet: Any, imagenet_source: Path, tmp_path: Path) -> None:
    flags = ["--train-shards", 2, "--val-shards", 1, "--part", "2/2"]
    result = mnasnet("prepare-imagenet", imagenet_source, tmp_path / "out", *flags)
    assert result.code == 0, result.err
    assert "still to do: --part 1/2" in result.err
    assert "warning" not in result.err
    shutil.rmtree(imagenet_source / "val")
    result = mnasnet("prepare-imagenet", imagenet_source, tmp_path / "other", *flags)
    assert "warning: the source has no validation images" in result.err


def test_a_part_does_not_warn_of_boxes_that_others_have(mnasnet: Any, coco_source: Path, tmp_path: Path) -> None:
    coco_cases.change(coco_source, lambda content: content.update(annotations=[]), "val")
    command = ["prepare-coco", coco_source, tmp_path / "out", "--train-shards", 2, "--val-shards", 2]
    for part in ("1/2", "2/2"):
        result = mnasnet(*command, "--part", part)
        assert ("warning: no validation image has a box" in result.err) == (part == "2/2"), result.err
