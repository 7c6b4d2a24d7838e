"""Prepares data: image files to record shards."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli import console
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import ConfigError, nearest
from mnasnet_cli.system.documents import is_number

if TYPE_CHECKING:
    from data_prep.options import Options


def prepare(
    source: str | os.PathLike[str], out: str | os.PathLike[str], *, task: TaskName | None = None, **options: Any
) -> dict[str, Any]:
    """Write the records of images into the folder `out`: TFRecord shards, labels.txt and dataset.json.

    Args:
      source: a folder or archive of images: class folders, a table of labels, COCO, YOLO, Pascal VOC, and more.
      out: folder for the records.
      task: "classification" or "detection"; None: detection if the source has annotations with boxes.
      options: those of `mnasnet prepare-imagenet` or `mnasnet prepare-coco`, with underscores, such as
        val_fraction=0.2, max_side=512 (px), workers=4, on_bad_image="skip".

    Returns:
      what `mnasnet prepare-imagenet --json` prints: counts by split and class, image sizes, bad files, and more.

    Raises:
      DataError: the source is in no layout that is known, or an image is damaged.
      ConfigError: an option is unknown or invalid.
    """
    source, out = Path(source), Path(out)
    task = task or task_of(source, options)
    if task not in ("classification", "detection"):
        raise ConfigError(f"no task {task!r}: there are 'classification' and 'detection'")
    parsed = parse_options(task, options)
    began = time.monotonic()
    with ExitStack() as stack:
        bar: list[console.ProgressReport] = []

        def on_progress(done: int, total: int) -> None:
            if not bar:  # not earlier: the bar starts a thread, and workers are forked before there are threads
                bar.append(stack.enter_context(console.progress("writing records", total)))
            bar[0].update(done)

        result = _writer(task)(source, out, parsed, on_layout=console.say, on_progress=on_progress)
    splits = {
        name: {key: value for key, value in split.items() if not key.startswith("shard_")}  # long lists
        for name, split in result["splits"].items()
    }
    return {"out": str(out), "seconds": round(time.monotonic() - began, 3)} | result | {"splits": splits}


def task_of(source: Path, options: Collection[str] = ()) -> TaskName:
    """Return the task for which a source has annotations: detection if they are boxes.

    Args:
      options: names of options of `prepare`; one that only one task has decides.
    """
    from data_prep.coco import has_annotations

    if any(name in ("labels", "label_columns") for name in options):
        return "classification"
    if any(name in _names_of("detection") and name not in _names_of("classification") for name in options):
        return "detection"
    # The reader of classification says what is wrong with a source that is neither.
    return "detection" if has_annotations(source) else "classification"


def parse_options(task: TaskName, values: Mapping[str, Any]) -> Options:
    """Return the options of a task's preparation. As in the command line, values may be text.

    Raises:
      ConfigError: an option is unknown or invalid.
    """
    types, parsed = _names_of(task), dict(values)
    for name, value in values.items():
        if name not in types:
            raise ConfigError(f"no option '{name}' (there are {', '.join(types)}){nearest(name, types)}")
        if "Path" in types[name] and value is not None:
            parsed[name] = Path(value)
        elif isinstance(value, str) and name in _PARSERS:
            parsed[name] = _PARSERS[name](value)
    return _kind(task)(**parsed)


def _kind(task: TaskName) -> type[Options]:
    from data_prep.options import CocoOptions, Options

    return CocoOptions if task == "detection" else Options


def _names_of(task: TaskName) -> dict[str, str]:
    """Return the names of a task's options, each with its type in words."""
    return {field.name: str(field.type) for field in dataclasses.fields(_kind(task))}


def _parse_part(text: str) -> tuple[int, int]:
    """Turn "2/4" into (2, 4)."""
    first, slash, second = text.partition("/")
    if not (slash and is_number(first) and is_number(second)):
        raise ConfigError(f"--part {text}: expected I/N, for example 1/4")
    return int(first), int(second)


def _parse_columns(text: str) -> tuple[str, str]:
    """Turn "image,breed" into ("image", "breed")."""
    first, comma, second = text.partition(",")
    if not (comma and first.strip() and second.strip()):
        raise ConfigError(f"--label-columns {text}: expected FILE,LABEL, for example image,breed or 1,3")
    return first.strip(), second.strip()


_PARSERS: dict[str, Callable[[str], tuple[Any, Any]]] = {"part": _parse_part, "label_columns": _parse_columns}


def _writer(task: TaskName) -> Any:
    """Return the function of data_prep that writes the records of a task."""
    if task == "detection":
        from data_prep.coco import prepare_coco

        return prepare_coco
    from data_prep.imagenet import prepare_imagenet

    return prepare_imagenet
