"""Finds out in which layout and format a source is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_prep.detection.coco_layouts import (
    FLAGS,
    AnnotationJson,
    Place,
    Survey,
    choose,
    find_images,
    layout_of,
    look_at,
    places_within,
    survey,
)
from data_prep.detection.formats import box_table, cvat_xml, label_studio, pascal_voc, supervisely, via, yolo
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import FolderTree, Tree, open_tree
from data_prep.options import CocoOptions
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES
from mnasnet_cli.system.shell import command

RECOGNISERS: tuple[Callable[[Catalog, str], Layout | None], ...] = (
    yolo.recognise,
    pascal_voc.recognise,
    cvat_xml.recognise,
    supervisely.recognise,
    via.recognise,
    label_studio.recognise,
    box_table.recognise,
)
"""For the formats other than COCO, in the order in which they are asked: of the files and of `Options.exif`."""

FORMATS = "COCO, YOLO, Pascal VOC, CVAT, Supervisely, VIA, Label Studio or CSV"
ANNOTATION_SUFFIXES = (".yaml", ".yml", ".xml", ".csv", ".txt", ".data")
LISTED = 5  # files in a message


def find_layout(root: Path, options: CocoOptions) -> Layout:
    """Return the layout of a source. Raises DataError if there is none, or if it is unclear which."""
    if root.is_file() and root.suffix.lower() == ".json":
        raise DataError(f"{root} is a file; give its folder, and name the file with --train-annotations {root.name}")
    if root.is_file() and root.suffix.lower() in ANNOTATION_SUFFIXES:
        raise DataError(f"{root} is a file; give the folder that also holds the images")
    tree = open_tree(root)
    found = survey(tree)
    fixed = _fixed_by_flags(root, tree, found, options)
    layout = layout_of(found, fixed)
    if layout is not None:
        if not fixed:
            _check_all_splits_have_annotations(root, found, layout, options)
        return layout
    catalog = Catalog(tree)
    for recognise in RECOGNISERS:
        if layout := recognise(catalog, options.exif):
            return layout
    raise DataError(_why_nothing(root, found))


def _fixed_by_flags(
    root: Path, tree: Tree, found: Survey, options: CocoOptions
) -> dict[str, tuple[AnnotationJson, Place]]:
    """Return the annotation files and image folders of the splits for which there are flags."""
    fixed = {}
    given = {
        split: (getattr(options, f"{flag}_images"), getattr(options, f"{flag}_annotations"))
        for split, flag in FLAGS.items()
    }
    given = {split: paths for split, paths in given.items() if any(paths)}
    for split, (images, requested) in given.items():
        flag = FLAGS[split]
        places = _flagged_images(root, tree, found, images, flag) if images else found.places
        if requested:
            file = _flagged_annotations(root, found, requested, flag)
        else:
            file = _annotations_of(root, found, places, images, split, alone=len(given) == 1)
        place = find_images(file, places, None if images else split)
        if place is None and not images:
            raise DataError(f"no images for --{flag}-annotations in {root}; name them with --{flag}-images")
        fixed[split] = file, place or places[0]
    return fixed


def _flagged_images(root: Path, tree: Tree, found: Survey, requested: Path, flag: str) -> list[Place]:
    """Return the folder or zip that a flag names, and the folders in it. It is in the source, or a path from here."""
    names = requested.parts
    if tree.archive and (places := [place for place in found.places if place.names[: len(names)] == names]):
        return places
    for path in (root / requested, requested):
        if path.exists():
            return places_within(path)
    raise DataError(f"no folder or zip {requested} (--{flag}-images), neither in {root} nor here")


def _flagged_annotations(root: Path, found: Survey, requested: Path, flag: str) -> AnnotationJson:
    """Return the annotation file that a flag names: in the source, in a zip in it, or a path from here."""
    names = requested.parts
    for path in (root / requested, root / "annotations" / requested):
        if path.is_file():
            return _checked(_in_source(root, path))
    for file in found.files:
        if (*file.place.names, file.name)[-len(names) :] == names and file.place.tree.archive:
            return _checked(file)
    if requested.is_file():
        return _checked(AnnotationJson(Place(FolderTree(requested.parent), "", ()), requested.name))
    raise DataError(f"no file {requested} (--{flag}-annotations), neither in {root} nor here")


def _in_source(root: Path, path: Path) -> AnnotationJson:
    names = path.parent.relative_to(root).parts if path.is_relative_to(root) else ()
    return AnnotationJson(Place(FolderTree(path.parent), "", names), path.name)


def _checked(file: AnnotationJson) -> AnnotationJson:
    if file.look is None and look_at(file).look is None:
        raise DataError(f"{file.place.tree.show(file.path)} is not a COCO annotation file: it {file.reason}")
    return file


def _annotations_of(
    root: Path, found: Survey, places: list[Place], images: Path, split: str, *, alone: bool
) -> AnnotationJson:
    """Return the annotation file for the images that a flag names."""
    folders = [place.tree.path / place.folder for place in places]
    groups = (
        [file for file in found.files if file.place.tree.path / file.place.folder in folders],
        [file for file in found.files if file.stem.lower() == f"instances_{images.stem.lower()}"],
        [file for file in found.files if file.split == split],
        [file for file in found.files if file.split is None and alone],
    )
    for group in groups:
        if file := choose([file for file in group if file.look], split):
            return file
    raise DataError(
        f"no instances_{images.stem}.json in {root} or its folders and zips of annotations;"
        f" name the annotation file of {images.name} with --{FLAGS[split]}-annotations"
    )


def _check_all_splits_have_annotations(root: Path, found: Survey, layout: Layout, options: CocoOptions) -> None:
    """Raise DataError if there are training or validation images without an annotation file."""
    if not any(file.split in layout.splits for file in found.files):
        return
    for split in ("train", "validation"):
        if split in layout.splits or (split == "validation" and options.val_fraction is not None):
            continue
        for place in found.places:
            if place.names and split_of(Path(place.names[-1]).stem) == split and _holds_images(place):
                advice = ", or take a share of the training images with --val-fraction" if split == "validation" else ""
                raise DataError(
                    f"no instances_{Path(place.names[-1]).stem}.json in {root} or its folders and zips of annotations;"
                    f" name the annotation file of {place.show()} with --{FLAGS[split]}-annotations{advice}"
                )


def _holds_images(place: Place) -> bool:
    """Tell whether there are images in a folder, or directly below it."""
    below = [f"{place.folder}/{name}" if place.folder else name for name in place.tree.folders(place.folder)]
    names = (name for folder in (place.folder, *below) for name in place.tree.file_names(folder))
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in names)


def _why_nothing(root: Path, found: Survey) -> str:
    """Return what an error says about a source that no reader knows."""
    rejected = [f"{file.show()} {file.reason}" for file in found.files]
    more = f" and {len(rejected) - LISTED} more" if len(rejected) > LISTED else ""
    looked = f"; {', '.join(rejected[:LISTED])}{more}" if rejected else ""
    if not rejected and _has_class_folders(found):
        return (
            f"no annotations in {root}, but folders of images: if each folder is a class, use"
            f" `{command('prepare-imagenet', root, 'OUT')}`"
        )
    zips = [place.names[-1] for place in found.places if place.tree.archive and place.names]  # the source has no name
    zips = zips or [path.name for path in sorted(root.glob("*.zip"))]
    hint = f"; if {zips[0]} is the data set, give it as SOURCE" if zips else ""
    return (
        f"no annotations in {root}: expected an export in the format of {FORMATS}, such as annotations/"
        f"instances_train2017.json and train2017/{looked}{hint};"
        " use --train-images and --train-annotations for other names"
    )


def _has_class_folders(found: Survey) -> bool:
    """Tell whether images are in at least two folders with names that are not those of splits."""
    folders = 0
    for place in found.places:
        if place.names and not split_of(place.names[-1]):
            names = place.tree.file_names(place.folder)
            folders += any(name.lower().endswith(IMAGE_SUFFIXES) for name in names)
            if folders == 2:
                return True
    return False
