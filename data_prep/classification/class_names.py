"""Names of classes: the files that explain them, and spellings that differ between splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from data_prep.classification.image_names import fold
from data_prep.classification.split_images import SplitImages
from data_prep.files.reading import read_bytes
from data_prep.files.tree import Tree, join
from mnasnet_cli.errors import DataError, nearest
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.system.documents import is_number, parse_json

NAME_FILES = ("synset_words.txt", "LOC_synset_mapping.txt", "words.txt")  # ILSVRC's, Kaggle's, Tiny ImageNet's
LIST_FILES = ("classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "names.txt", "categories.txt")
_KEY_AND_NAME = re.compile(r"(\S+?)[\s,;:=]+(\S.*)")


def read_class_names(tree: Tree, folders: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Return class → name from the first file in `folders` that explains the classes, {} if there is none.

    A file has `class name` on each line, as in synset_words.txt, or it is a JSON object {class: name}. If the classes
    are numbers, it may also list their names in order, counted from the lowest class, 0 or 1.
    """
    known = set(classes)
    are_numbers = bool(classes) and all(is_number(one) for one in classes)
    for folder in folders:
        files = set(tree.names(folder)[1])
        for name in NAME_FILES:
            if name in files and (names := _pairs(_lines(tree, join(folder, name)), known)):
                return names
        for name in LIST_FILES if are_numbers else ():
            if name in files and (names := _numbered(_lines(tree, join(folder, name)), classes)):
                return names
        for name in sorted(files):
            if name.lower().endswith(".json") and (names := _json_names(tree, join(folder, name), known)):
                return names
    return {}


def _lines(tree: Tree, name: str) -> list[str]:
    return read_bytes(tree, name).decode("utf-8-sig", "replace").splitlines()


def _pairs(lines: Iterable[str], known: set[str]) -> dict[str, str]:
    matches = (_KEY_AND_NAME.fullmatch(line.strip()) for line in lines)
    return {match[1]: match[2].replace("\t", " ") for match in matches if match and match[1] in known}


def _numbered(lines: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Return the names of classes that are numbers, from lines with a name, or with a number and a name."""
    lines = [line.strip() for line in lines if line.strip()]
    pairs = _pairs(lines, set(classes))
    if len(pairs) == len(classes):
        return pairs
    numbers = [int(one) for one in classes]
    first = 1 if min(numbers) > 0 and max(numbers) == len(lines) else 0
    if max(numbers) - first >= len(lines) or any("," in line for line in lines):
        return {}
    return {one: lines[int(one) - first] for one in classes}


def _json_names(tree: Tree, name: str, known: set[str]) -> dict[str, str]:
    found = tree.find(name)
    if found is None or found.size > 1 << 20:
        return {}
    try:
        names = parse_json(read_bytes(tree, name), name, foreign=True)
    except DataError:
        return {}
    if not isinstance(names, dict) or not known <= names.keys():
        return {}
    texts = {key: names[key] for key in known}
    return {key: _one_line(text) for key, text in texts.items() if isinstance(text, str) and text.strip()}


def _one_line(text: str) -> str:
    """Return a name as labels.txt can hold it. JSON may contain half a surrogate pair, which is no letter: a `?`."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def match_classes(found: SplitImages, classes: Sequence[str], findings: Findings) -> dict[str, str]:
    """Return class of a split → class of the training images; other spellings of a class are taken for it.

    Raises DataError if the training images have no such class.
    """
    known = set(classes)
    spellings = defaultdict(list)
    for one in classes:
        spellings[_words(one)].append(one)
    matched = {}
    for one in found.classes:
        if one in known:
            matched[one] = one
            continue
        same = spellings.get(_words(one), [])
        same = [other for other in same if fold(other) == fold(one)] or same
        if len(same) != 1:
            raise DataError(
                f"{found.where(one)}: {one!r} is not among the {len(known):,} classes of train{nearest(one, classes)}"
            )
        matched[one] = same[0]
        findings.mended(
            "class-name-spelling", "class names differ from those of train in case, blanks, \"_\" or normal form",
            split=found.split, example=f"{one!r} for {same[0]!r}",
        )  # fmt: skip
    return matched


def _words(name: str) -> str:
    """Return what "Golden Retriever", "golden_retriever" and "golden-retriever" have in common."""
    return re.sub(r"[_\- ]+", " ", fold(name))


def report_similar_classes(classes: Sequence[str], findings: Findings) -> None:
    """Report classes whose names are the same but for case, blanks and Unicode's normal form."""
    first: dict[str, str] = {}
    for one in classes:
        other = first.setdefault(fold(one), one)
        if other != one:
            findings.suspect(
                "similar-class-names", "class names differ only in case, blanks or normal form from another class",
                example=f"{one!r} and {other!r}", advice="if they are one class, give them one name",
            )  # fmt: skip
