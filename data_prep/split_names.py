"""The names that people give to the splits of a data set."""

from __future__ import annotations

import re

SPLITS = ("train", "validation", "test")
_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "eval": "validation", "evaluation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_PATTERN = re.compile(rf"({'|'.join(_NAMES)})([ _-]?(set|data|images|\d{{4}}))?", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Return the split that a folder or a list is named after: "train" for "Train", "train2017" and "training_set".

    None: the name is not that of a split.
    """
    match = _PATTERN.fullmatch(name.strip())
    return _NAMES[match[1].lower()] if match else None
