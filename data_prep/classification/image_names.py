"""Names of image files: when two spellings mean the same file, and the classes that names such as "cat.0.jpg" hold."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence, Set

from data_prep.split_names import split_of
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES

SYSTEM_FILES = ("thumbs.db", "desktop.ini")  # nobody wants to hear of these
_PATTERNS = (
    re.compile(r".*_(?P<label>n\d{8})"),  # ImageNet, as Hugging Face has it
    re.compile(r"(?P<label>.*[^\W\d_].*?) ?\(\d+\)"),  # Windows numbers files so
    re.compile(r"(?P<label>[^.]*[^\W\d_][^.]*)\.\d+"),
    re.compile(r"(?P<label>.*[^\W\d_].*?)[_\- ]\d+"),
)
# What cameras and programs put before a number.
_NOT_CLASSES = re.compile(
    r"(?:.*[_\- ])?(?:img|imgs|image|images|dsc|dscn|dscf|dsci|pic|pict|picture|photo|foto|frame|p|pxl|gopr|dji|mvi|vid"
    r"|video|scan|screenshot|file|untitled|wa|bild|sample|crop|\d+)(?:[_\- ].*)?",
    re.IGNORECASE,
)


def is_image(name: str) -> bool:
    """Tell whether a file has the name of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def stem(name: str) -> str:
    """Return a name without the suffix of an image. Other suffixes stay: "1.0" may be a whole name."""
    return name[: name.rindex(".")] if is_image(name) else name


def fold(text: str) -> str:
    """Return what two spellings of a name have in common: case, Unicode's normal form and blanks do not count."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def file_key(path: str) -> str:
    """Return what two spellings of a file's name have in common.

    Folders and the image suffix do not count either, and not the zeros before a number, which spreadsheets drop.
    """
    key = fold(stem(path[path.rfind("/") + 1 :]))
    return (key.lstrip("0") or "0") if key.isdecimal() else key


def labels_from_names(names: Sequence[str], classes: Set[str] = frozenset()) -> list[str] | None:
    """Return the class of each image from its name, None if it is not certain that the names hold classes.

    It is certain if all names are a text with letters and a number, either "text.number" or "text_number", if there are
    two texts or more, if each is that of several images, and if none is what a camera or a program writes. If
    `classes` are known, it is certain if all texts are among them.
    """
    stems = [stem(name[name.rfind("/") + 1 :]) for name in names]
    for pattern in _PATTERNS:
        matches = [pattern.fullmatch(one) for one in stems]
        if not all(matches):
            continue
        labels = [match["label"] for match in matches if match]
        counts = Counter(labels)
        if classes and classes >= counts.keys():
            return labels
        if len(counts) > 1 and min(counts.values()) > 1 and not any(map(_is_no_class, counts)):
            return labels
    return None


def _is_no_class(text: str) -> bool:
    return bool(_NOT_CLASSES.fullmatch(text) or split_of(text))
