"""Which outputs of a teacher are the classes of the records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnasnet_cli.console import plural
from mnasnet_cli.errors import ConfigError

_NAMED = 3  # missing classes that a message names


def matching_outputs(
    teacher: str, known: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]], records: str
) -> np.ndarray:
    """Return the output of the teacher for each class 0..C-1 of the records, int64 [C].

    Args:
      teacher, records: their names in messages.
      known: the teacher's labels, and its classes in words, in the order of its outputs.
      wanted: the same of the records.

    Raises:
      ConfigError: the teacher lacks a class of the records, by labels and by words.
    """
    for theirs, ours in zip(known, wanted, strict=True):
        places = {name: place for place, name in enumerate(theirs)}
        if len(places) == len(theirs) and len(set(ours)) == len(ours) and places.keys() >= set(ours):
            return np.array([places[name] for name in ours], np.int64)
    labels = set(known[0])
    missing = [label for label in wanted[0] if label not in labels]
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    classes = plural(len(known[0]), "class", "classes")
    raise ConfigError(
        f"{teacher} knows {classes} ({_some(known[0])}), but the records in {records} have {len(wanted[0]):,}, of "
        f"which it lacks {', '.join(missing[:_NAMED])}{more}; a teacher must know each class of the records by the "
        "label in labels.txt: name another --teacher"
    )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_NAMED]) + (", …" if len(labels) > _NAMED else "")
