import dataclasses
import json

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_info import load_dataset_info
from mnasnet_cli.records.shards import find_shards
from mnasnet_cli.records.tfrecord import read_records
from mnasnet_cli.searching.held_out import check_records, held_out_share, make_records


def _records(folder, split):
    return [record for path in find_shards(folder, split) for record in read_records(path)]


def test_the_training_images_are_split_and_the_validation_split_stays_out(shape_records, tmp_path):
    folder = make_records(shape_records, tmp_path)
    train, held_out = _records(folder, "train"), _records(folder, "validation")
    assert sorted(train + held_out) == sorted(_records(shape_records, "train"))
    assert 0.05 < len(held_out) / 96 < 0.4
    assert not set(held_out) & set(_records(shape_records, "validation"))


def test_the_records_describe_themselves(shape_records, tmp_path):
    info = load_dataset_info(make_records(shape_records, tmp_path), "imagenet")
    assert info.classes == 4
    assert info.splits["train"].examples + info.splits["validation"].examples == 96
    assert sum(info.splits["train"].per_class.values()) == info.splits["train"].examples
    assert info.synsets == load_dataset_info(shape_records).synsets


def test_the_split_is_the_same_each_time(shape_records, tmp_path):
    one, other = (make_records(shape_records, tmp_path / name) for name in ("one", "other"))
    assert (one / "dataset.json").read_bytes() == (other / "dataset.json").read_bytes()
    assert _records(one, "validation") == _records(other, "validation")
    again = make_records(shape_records, tmp_path / "one")
    assert again == one


def test_records_of_another_set_are_refused(shape_records, many_shapes, tmp_path):
    make_records(many_shapes, tmp_path)
    with pytest.raises(DataError, match=r"holds images of another set than .*; choose another --run-dir"):
        make_records(shape_records, tmp_path)


@pytest.mark.parametrize(("images", "share"), [(500, 0.2), (10_000, 0.2), (100_000, 0.02)])
def test_large_sets_hold_out_a_smaller_share(images, share):
    assert held_out_share(images) == share


def test_small_sets_and_sets_without_a_validation_split_are_refused(shape_records):
    info = load_dataset_info(shape_records)
    with pytest.raises(DataError, match="96 training images, too few for a search: a fifth of them, 19, would score"):
        check_records(info)
    many = dataclasses.replace(info.splits["train"], examples=5000)
    check_records(dataclasses.replace(info, splits={**info.splits, "train": many}))
    with pytest.raises(DataError, match="no validation images, on which the found nets are compared at the end"):
        check_records(dataclasses.replace(info, splits={"train": many}))


def test_what_a_killed_process_left_is_written_again(shape_records, tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "train-00000-of-00004").write_bytes(b"unfinished")
    folder = make_records(shape_records, tmp_path)
    assert json.loads((folder / "dataset.json").read_text())["splits"]["train"]["examples"] > 0
    assert len(_records(folder, "train")) > 0
