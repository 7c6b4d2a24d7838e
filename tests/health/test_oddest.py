"""The oddest images, and the sheet that shows them."""

from __future__ import annotations

import io
from pathlib import Path

from health_cases import boxed, collect, labelled, picture
from PIL import Image

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.contact_sheet import COLUMNS, TILE_SIZE, draw_contact_sheet
from mnasnet_cli.health.duplicates import find_duplicates
from mnasnet_cli.health.oddest import Odd, find_oddest
from mnasnet_cli.records import keys

USUAL = (0.1, 0.1, 0.5, 0.5)


def oddest(found: Collection) -> list[Odd]:
    return find_oddest(found, find_duplicates(found))


def test_sizes_and_shapes(tmp_path: Path) -> None:
    sizes = [(100, 100)] * 10 + [(20, 20), (900, 850), (400, 60)]
    records = [labelled(picture(seed, *size), 1) for seed, size in enumerate(sizes)]
    found = oddest(collect(tmp_path, train=records))
    first = {odd.kind: odd for odd in reversed(found)}
    assert (first["smallest"].index, first["smallest"].value) == (10, "400 px")
    assert (first["largest"].index, first["largest"].value) == (11, "765,000 px")
    assert len(found) == len({(odd.split, odd.index) for odd in found})
    # 12 is the second largest, so it is not listed again as the longest. Images of the usual size are not odd.
    assert found[:3] == [
        Odd("smallest", "train", 10, "400 px"),
        Odd("largest", "train", 11, "765,000 px"),
        Odd("largest", "train", 12, "24,000 px"),
    ]


def test_equal_sizes_are_not_odd(tmp_path: Path) -> None:
    found = oddest(collect(tmp_path, train=[labelled(picture(seed), 1) for seed in range(12)]))
    assert {odd.kind for odd in found} == {"least content", "most content"}


def test_boxes_and_duplicates(tmp_path: Path) -> None:
    records = [boxed(picture(seed), [USUAL] * (1 + seed % 3), [1] * (1 + seed % 3)) for seed in range(20)]
    records.append(boxed(picture(50), [(0.5, 0.5, 0.504, 0.6)], [1], **{keys.FILENAME: b"tiny.jpg"}))
    found = collect(tmp_path, train=records, validation=records[:1])
    kinds = {odd.kind: odd for odd in reversed(oddest(found))}
    assert (kinds["in two splits"].split, kinds["in two splits"].value) == ("train", "2 copies")
    assert kinds["most boxes"].value == "3 boxes"
    assert kinds["smallest box"].value == "0.4 % of a side"
    assert kinds["smallest box"].describe(found) == {
        "kind": "smallest box", "value": "0.4 % of a side", "split": "train", "file": "tiny.jpg",
        "shard": "train-00000-of-00001", "record": 20, "class": None, "width": 240, "height": 230,
    }  # fmt: skip


def test_contact_sheet(tmp_path: Path) -> None:
    records = [labelled(picture(seed, 100 + seed, 90), 1) for seed in range(7)]
    found = collect(tmp_path, train=[*records, labelled(b"no image", 1)])
    odd = [Odd("largest", "train", index, "1 px") for index in range(8)]
    with Image.open(io.BytesIO(draw_contact_sheet(found, odd))) as sheet:
        assert sheet.format == "JPEG"
        assert COLUMNS * TILE_SIZE < sheet.width < COLUMNS * (TILE_SIZE + 20)
        assert 2 * TILE_SIZE < sheet.height < 2 * (TILE_SIZE + 50)
