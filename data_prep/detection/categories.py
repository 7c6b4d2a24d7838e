"""The categories of all splits of a source as one list."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np

from data_prep.detection.annotations import AnnotationFile
from data_prep.files.file_names import fold
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings


def merge_categories(
    files: Mapping[str, AnnotationFile], names: Mapping[str, str], findings: Findings
) -> dict[int, str]:
    """Return the categories of all files, sorted by id, and give the annotations the ids of this list.

    The ids and names of the first file stay. A category of another file that has the name of one of these, but another
    id, gets this id. Names may differ by case and normal form. The root category of Roboflow is dropped.

    Args:
        files: by split. Their annotations are changed.
        names: split → the name of the file, for messages.

    Raises DataError if a file gives an id another name.
    """
    _drop_roots(files, findings)
    first = next(iter(files))
    merged = dict(files[first].categories)
    for split, file in files.items():
        if split != first:
            _match(merged, file, split, (names[first], names[split]), findings)
    _suspect_same_names(merged, findings)
    return dict(sorted(merged.items()))


def _drop_roots(files: Mapping[str, AnnotationFile], findings: Findings) -> None:
    """Drop the category of Roboflow's exports that stands for the whole data set and has no boxes."""
    used = set().union(*(np.unique(file.annotation_categories).tolist() for file in files.values()))
    roots = {}
    for file in files.values():
        parents = set(file.supercategories.values())
        for category_id, name in file.categories.items():
            is_root = file.supercategories[category_id].lower() == "none" and name in parents
            if is_root and category_id not in used and len(file.categories) > 1:
                roots[category_id] = name
                del file.supercategories[category_id]
        for category_id, name in roots.items():
            if file.categories.get(category_id) == name:
                del file.categories[category_id]
    findings.suspect(
        "root-category", "class without boxes was dropped, because other classes name it as their supercategory"
        " (Roboflow adds it)", count=len(roots), example=next(iter(roots.values()), ""),
    )  # fmt: skip


def _match(
    merged: dict[int, str], file: AnnotationFile, split: str, names: tuple[str, str], findings: Findings
) -> None:
    """Add the categories of a file to `merged`, and give its annotations the ids there."""
    ids = _unique({name: category_id for category_id, name in merged.items()}, Counter(merged.values()))
    folded = _unique(
        {fold(name): category_id for category_id, name in merged.items()}, Counter(map(fold, merged.values()))
    )
    own, own_folded = Counter(file.categories.values()), Counter(map(fold, file.categories.values()))
    changed = {}
    added = {}
    for category_id, name in file.categories.items():
        if merged.get(category_id) == name:
            continue
        match = ids.get(name) if own[name] == 1 else None
        if match is None and own_folded[fold(name)] == 1:
            match = folded.get(fold(name))
        if match is not None:
            changed[category_id] = match
            if merged[match] != name:
                findings.mended(
                    "class-name-spelling", "class names differed by case or Unicode form from those of another split",
                    split=split, example=f"'{name}' and '{merged[match]}'",
                )  # fmt: skip
            if match != category_id:
                findings.mended(
                    "category-ids-differ", "classes had other ids than in another split and were matched by name",
                    split=split, example=f"'{name}' ({category_id} and {match})",
                )  # fmt: skip
        elif category_id in merged:
            raise DataError(
                f"category {category_id} is '{name}' in {names[1]}, but '{merged[category_id]}' in {names[0]}"
            )
        else:
            added[category_id] = name
    merged.update(added)
    _renumber(file, changed)


def _unique(ids: dict[str, int], counts: Counter[str]) -> dict[str, int]:
    return {name: category_id for name, category_id in ids.items() if counts[name] == 1}


def _renumber(file: AnnotationFile, changed: Mapping[int, int]) -> None:
    """Give the annotations of a file other category ids."""
    if any(before != after for before, after in changed.items()):
        known, inverse = np.unique(np.asarray(file.annotation_categories, np.int64), return_inverse=True)
        new = np.asarray([changed.get(one, one) for one in known.tolist()], np.int64)
        file.annotation_categories = array("q", new[inverse].tobytes())


def _suspect_same_names(categories: Mapping[int, str], findings: Findings) -> None:
    groups: dict[str, list[str]] = {}
    for category_id, name in categories.items():
        groups.setdefault(fold(name), []).append(f"'{name}' ({category_id})")
    same = [group for group in groups.values() if len(group) > 1]
    findings.suspect(
        "same-class-name", "names belong to more than one class", count=len(same),
        example=" and ".join(same[0]) if same else "", advice="give the boxes of both classes one category id",
    )  # fmt: skip
