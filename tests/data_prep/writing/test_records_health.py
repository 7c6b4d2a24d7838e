"""The health of written records: from the facts in journals, in parts, resumed, and from old journals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import coco_cases
import imagenet_cases
import pytest

from mnasnet_cli.health.examination import examine_records

HEALTH = ("health", "findings", "images_in_both_splits")


def health(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: summary[key] for key in HEALTH}


def stored(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "dataset.json").read_text()))


@pytest.mark.parametrize("kind", ["imagenet", "coco"])
def test_a_scan_of_the_records_says_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    records = request.getfixturevalue(f"{kind}_records")
    found = examine_records(records)
    assert json.loads(json.dumps(found.summary())) == stored(records)["health"]
    assert found.findings.to_list() == stored(records)["findings"]


def test_the_same_picture_in_both_splits(imagenet_source: Path, tmp_path: Path) -> None:
    train, val = imagenet_source / "train", imagenet_source / "val"
    shutil.copy(next((train / "n90000001").iterdir()), val / "n90000001/again.JPEG")
    shutil.copy(next((train / "n90000001").iterdir()), train / "n90000002/again.JPEG")
    found = imagenet_cases.prepare(imagenet_source, tmp_path / "out")
    assert found["images_in_both_splits"] == stored(tmp_path / "out")["images_in_both_splits"] == 1
    codes = {one["code"]: one for one in found["findings"]}
    assert codes["picture-in-two-splits"]["example"] == "again.JPEG"
    assert codes["picture-in-two-classes"]["count"] == 1


def test_parts_are_merged(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    for part in ((1, 2), (2, 2)):
        found = imagenet_cases.prepare(imagenet_source, tmp_path / "out", part=part)
        assert ("health" in found) == (part == (2, 2))
    assert health(found) == health(stored(imagenet_records))


def test_a_resumed_run_keeps_the_facts(coco_source: Path, coco_records: Path, tmp_path: Path) -> None:
    broken = coco_source / "val2017/000001000003.jpg"
    data = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(Exception, match="empty"):
        coco_cases.prepare(coco_source, tmp_path / "out", resume=True)
    broken.write_bytes(data)
    found = coco_cases.prepare(coco_source, tmp_path / "out", resume=True)
    assert found["kept_shards"] > 0
    assert health(found) == health(stored(coco_records))


def test_an_old_journal_has_no_facts(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    imagenet_cases.prepare(imagenet_source, out, part=(1, 2))
    [journal] = out.glob("unfinished-*")
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert all("facts" in row for row in rows[1:])
    journal.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "facts"}) + "\n" for row in rows))
    found = imagenet_cases.prepare(imagenet_source, out, part=(2, 2))
    assert health(found) == health(stored(imagenet_records))


def test_a_lost_shard_is_written_again(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(imagenet_records, tmp_path / "out"))
    (out / "train-00001-of-00004").unlink()
    found = imagenet_cases.prepare(imagenet_source, out, resume=True)
    assert health(found) == health(stored(imagenet_records))


def test_old_records_are_completed(mnasnet: Any, imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    """dataset.json of an older version holds no findings and no health."""
    out = Path(shutil.copytree(imagenet_records, tmp_path / "out"))
    old = {key: value for key, value in stored(out).items() if key not in (*HEALTH, "layout")}
    (out / "dataset.json").write_text(json.dumps(old))
    (out / "train-00001-of-00004").unlink()
    flags = ["--resume", "--train-shards", 4, "--val-shards", 2]
    result = mnasnet("prepare-imagenet", imagenet_source, out, *flags)
    assert result.code == 0, result.err
    assert mnasnet("inspect", out, "--health").code == 0


def test_the_report_is_the_last_thing_that_is_printed(mnasnet: Any, imagenet_source: Path, tmp_path: Path) -> None:
    result = mnasnet("prepare-imagenet", imagenet_source, tmp_path / "out")
    assert result.code == 0, result.err
    assert "Health of" in result.out
    assert result.out.index("Health of") > result.out.index("Records in")
    lines = result.err.splitlines()
    assert lines[-1].startswith("`mnasnet inspect ")
    assert lines[-2].startswith("warning: 48 images have less than half of the 224 px")
