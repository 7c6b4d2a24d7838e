"""A COCO-style source: its images and annotations, in folders or zips, to record shards."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from data_prep.archives import Member, open_member, zip_members
from data_prep.coco_annotations import AnnotationFile, Boxes, Fault, check_boxes, read_annotations
from data_prep.files import NO_FILE, NOT_REGULAR, FileList, list_folder
from data_prep.jpeg import BadImage, ImageFacts
from data_prep.options import CocoOptions
from data_prep.preparation import Progress, write_records
from data_prep.shard_job import Record
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.keys import AREA_LIMITS

FOLDERS = {
    "train": ("train2017", "train2014", "train"),
    "validation": ("val2017", "val2014", "val", "validation", "valid"),
}
FLAGS = {"train": "train", "validation": "val"}  # split → what its flags begin with


class CocoTable(FileList):
    """The images of one split, sorted by image id, with their boxes."""

    def __init__(self, base: Path, archive: str, names: list[str]) -> None:
        super().__init__(base, archive)
        self.names = names  # of classes; class i at i - 1
        self.image_ids, self.heights, self.widths = array("q"), array("i"), array("i")
        self.boxes: Boxes

    def record(self, index: int, image: ImageFacts) -> Record:
        """Return the image's record. Raises BadImage where its size isn't what the annotations are for."""
        expected = self.widths[index], self.heights[index]
        if (image.width, image.height) != expected:
            turned = "; turned as its EXIF says?" if (image.height, image.width) == expected else ""
            raise BadImage(
                f"it has {image.width}×{image.height} pixels, but the annotation file says"
                f" {expected[0]}×{expected[1]}, so its boxes don't fit{turned}"
            )
        boxes, rows = self.boxes, slice(*self.boxes.starts[index : index + 2].tolist())
        labels, crowds, areas = (part[rows].tolist() for part in (boxes.labels, boxes.crowds, boxes.areas))
        example = encode_coco_example(
            image.data, image_id=self.image_ids[index], filename=self.name(index), height=image.height,
            width=image.width, boxes_yxyx=boxes.yxyx[rows].tolist(), classes=labels,
            texts=[self.names[label - 1] for label in labels], is_crowd=crowds, area=areas,
        )  # fmt: skip
        small, medium = (sum(area < limit for area in areas) for limit in AREA_LIMITS)
        counts = {"boxes": len(labels), "crowds": sum(crowds), "clipped": int(boxes.clipped[rows].sum())}
        sizes = {"small": small, "medium": medium - small, "large": len(areas) - medium}
        return Record(example, labels, counts | sizes)

    def digest(self) -> str:
        """Return a hash of all names, ids and sizes in pixels."""
        parts = (self.image_ids, self.heights, self.widths)
        return hashlib.sha256(self.name_bytes() + b"".join(part.tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class CocoSource:
    """What was found. categories: id → name, sorted by id; class i is the i-th. ignored: files without an entry."""

    root: Path
    tables: dict[str, CocoTable]
    categories: dict[int, str]
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    ignored: int = 0
    kind = "coco"

    @property
    def class_keys(self) -> list[str]:
        """The category ids."""
        return [str(one) for one in self.categories]

    @property
    def texts(self) -> list[str]:
        """The category names."""
        return list(self.categories.values())

    def plan(self) -> dict[str, Any]:
        """Return what decides the records beside the options."""
        listed = "\n".join(f"{one} {name}" for one, name in self.categories.items())
        plan: dict[str, Any] = {"kind": self.kind, "categories": hashlib.sha256(listed.encode()).hexdigest()}
        for split, table in self.tables.items():
            plan[f"list_of_{split}_images"] = table.digest()
            plan[f"{split}_annotations"] = table.boxes.digest()
        return plan

    def details(self) -> dict[str, Any]:
        """Return the map from class numbers to categories, and the entries that were left out."""
        rows = enumerate(self.categories.items(), 1)
        return {
            "categories": [{"label": label, "id": one, "name": name} for label, (one, name) in rows],
            "images_in_both_splits": self._in_both_splits(),
            "bad_annotations": [{"split": split, **fault} for split, faults in self.faults.items() for fault in faults],
        }

    def _in_both_splits(self) -> int:
        """Count the images that both splits hold, by id and file name: a score on them tells of memory only."""
        known = [{(one, table.name(i)) for i, one in enumerate(table.image_ids)} for table in self.tables.values()]
        return len(set.intersection(*known)) if len(known) > 1 else 0


def find_source(root: Path, options: CocoOptions) -> CocoSource:
    """List a source. Raises DataError where something is missing, no COCO file, or at fault and not to be skipped."""
    try:
        return _find_source(Path(root), options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {(error.strerror or '').lower()}") from error


def _find_source(root: Path, options: CocoOptions) -> CocoSource:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder" if root.exists() else f"no folder {root}")
    places = {split: _image_place(root, split, options) for split in FOLDERS}
    if not any(places.values()):
        raise DataError(
            f"no images in {root}: it needs train2017/ and val2017/, or train2017.zip and val2017.zip;"
            " name others with --train-images and --val-images"
        )
    names, files = {}, {}
    for split, place in places.items():
        if place is not None:
            names[split], opener = _annotation_place(root, split, place, options)
            files[split] = read_annotations(opener, names[split])
    categories = _categories(files, names)
    labels = {one: label for label, one in enumerate(categories, 1)}
    tables, faults = {}, {}
    unnamed: dict[Path, set[str]] = {}
    for split, file in files.items():
        place = places[split] or root
        order = np.argsort(np.asarray(file.image_ids, np.int64), kind="stable")
        tables[split], free = _table(place, file, order, list(categories.values()))
        tables[split].boxes, faults[split] = check_boxes(file, order, labels)
        unnamed[place] = unnamed.get(place, free) & free  # two splits may lie in one folder
        _judge(names[split], len(tables[split].boxes.labels), faults[split], options)
    return CocoSource(root, tables, categories, faults, sum(map(len, unnamed.values())))


def _image_place(root: Path, split: str, options: CocoOptions) -> Path | None:
    """Return the folder or zip that holds a split's images."""
    flag = FLAGS[split]
    given: Path | None = getattr(options, f"{flag}_images")
    if given is not None:
        for path in (given, root / given):
            if path.exists():
                return path
        raise DataError(f"no folder or zip {given} (--{flag}-images), neither here nor in {root}")
    for name in FOLDERS[split]:
        for path in (root / name, root / f"{name}.zip"):
            if path.exists():
                return path
    if getattr(options, f"{flag}_annotations") is not None:
        raise DataError(f"--{flag}-annotations has no images beside it in {root}; name them with --{flag}-images")
    return None


def _annotation_place(root: Path, split: str, place: Path, options: CocoOptions) -> tuple[str, Callable[[], IO[bytes]]]:
    """Return an annotation file's name for messages, and how to open it."""
    flag = FLAGS[split]
    given: Path | None = getattr(options, f"{flag}_annotations")
    wanted = given or Path(f"instances_{place.stem}.json")
    beside = [given] if given else [place / "_annotations.coco.json"]  # as some labelling services lay it
    for path in (*beside, root / "annotations" / wanted, root / wanted):
        if path.is_file():
            return str(path), partial(io.FileIO, path)
    for archive in sorted(root.glob("annotations*.zip")):
        for member in zip_members(archive):
            if PurePosixPath(member.name).name == wanted.name:
                return f"{archive}/{member.name}", partial(open_member, archive, member.name)
    raise DataError(
        f"no {wanted} in {root}, {root}/annotations or a zip annotations*.zip;"
        f" name the annotation file of {place.name} with --{flag}-annotations"
    )


def _categories(files: dict[str, AnnotationFile], names: dict[str, str]) -> dict[int, str]:
    """Return the categories of all files, sorted by id. Raises DataError where two files contradict each other."""
    merged: dict[int, str] = {}
    for split, file in files.items():
        for one, name in file.categories.items():
            if merged.setdefault(one, name) != name:
                raise DataError(
                    f"category {one} is '{name}' in {names[split]}, but '{merged[one]}' in {names['train']}"
                )
    return dict(sorted(merged.items()))


def _table(place: Path, file: AnnotationFile, order: np.ndarray, names: list[str]) -> tuple[CocoTable, set[str]]:
    """Return the images that the annotation file names, and the names of the other files."""
    archive = "" if place.is_dir() else "zip"
    table = CocoTable(place, archive, names)
    found = _in_zip(place) if archive else {name: Member(name, size, 0, 0, 0) for name, size in list_folder(place)}
    missing = Member("", NO_FILE, 0, 0, 0)
    for number in order.tolist():
        name = file.image_names[number]
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"the file name '{name}' of image {file.image_ids[number]} leads out of {place}")
        member = found.get(name) or (missing if archive else _below(place, name))
        table.append(member.name or name, member.size, member.offset, member.packed, member.checksum)
        table.image_ids.append(file.image_ids[number])
        table.heights.append(file.heights[number])
        table.widths.append(file.widths[number])
    return table, set(found) - set(file.image_names)


def _in_zip(path: Path) -> dict[str, Member]:
    """Return the files in a zip by the names that annotation files have: train2017.zip has a folder train2017."""
    members = [member for member in zip_members(path) if not PurePosixPath(member.name).name.startswith(".")]
    tops = {member.name.partition("/")[0] if "/" in member.name else "" for member in members}
    cut = len(tops.pop()) + 1 if len(tops) == 1 and tops != {""} else 0
    return {member.name[cut:]: member._replace(name=member.name[cut:]) for member in members}


def _below(folder: Path, name: str) -> Member:
    """Return a file that may lie in a folder below."""
    path = folder / name
    size = NO_FILE if not path.exists() else path.stat().st_size if path.is_file() else NOT_REGULAR
    return Member(name, size, 0, 0, 0)


def _judge(name: str, usable: int, faults: list[Fault], options: CocoOptions) -> None:
    """Raise DataError where there are faults that aren't to be skipped, or no box is left."""
    if not faults:
        return
    kinds = Counter(fault["reason"] for fault in faults)
    shown = ", ".join(f"{count:,}: {reason}" for reason, count in kinds.most_common())
    if options.on_bad_annotation == "fail":
        entries = "entry" if len(faults) == 1 else "entries"
        raise DataError(
            f"{name} has {len(faults):,} {entries} that can't be used ({shown}), the first is {faults[0]};"
            " mend the file, or leave such entries out with --on-bad-annotation skip"
        )
    if not usable and any("annotation" in fault for fault in faults):
        raise DataError(f"{name}: not one of its annotations can be used ({shown})")


def prepare_coco(
    source: Path, out: Path, options: CocoOptions | None = None, *, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or CocoOptions()
    return write_records(lambda: find_source(Path(source), options), Path(out), options, on_progress)
