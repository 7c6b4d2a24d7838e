"""Finds the files that an annotation file names, where their names were changed on the way to this machine.

A name that fits as it is always wins. For the others, `\\` counts as `/`, an address on the web or in a labelling tool
counts by its path, `%20` as a blank, and what leads out of the folder is dropped. Then the file is taken that agrees
with most of the last parts of the name, whatever the case and the normal form of Unicode. At least the name without
folders has to agree. If two files fit equally well, neither is taken.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from data_prep.files.archives import FileEntry
from data_prep.files.tree import Tree

BACKSLASH = "backslash"
ADDRESS = "address"
QUOTED = "quoted"
FOLDER = "folder"
ELSEWHERE = "elsewhere"
CASE = "case"
NORMAL_FORM = "normal-form"
UPLOAD = "upload"
MESSAGES = {
    BACKSLASH: "file names had \\ in place of /",
    ADDRESS: "file names were addresses",
    QUOTED: "file names had %20 or the like in place of characters",
    FOLDER: "file names had leading folders that are not there",
    ELSEWHERE: "files were in another folder than their names say",
    CASE: "file names differed by case",
    NORMAL_FORM: "file names had another normal form of Unicode",
    UPLOAD: "file names had the prefix of an upload to Label Studio",
}
"""What follows the number of names that were changed in one of these ways."""

_ADDRESS = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://|/?data/local-files/\?")
_DRIVE = re.compile(r"(?:file:/{2})?/?[A-Za-z]:(?=[/\\])|file:/{2}")
_UPLOAD_FOLDER = re.compile(r"(^|/)upload/")
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts the start of a UUID before each name
_ANY_PREFIX = re.compile(r"[^-]+-(?=.)")
_LETTER = re.compile(r"[a-f]")
_MAX_NAME_BYTES = 255


class Found(NamedTuple):
    """The file for a name. entry: None if there is none. changes: in what the name differs from the file's."""

    entry: FileEntry | None
    changes: tuple[str, ...] = ()


class FileFinder:
    """The files in a folder of a tree and below it. The entries that are found have names relative to this folder.

    is_skipped: tells for the name of a folder below it whether this is not searched. A name that fits as it is may lead
    there nevertheless.
    """

    def __init__(self, tree: Tree, folder: str, is_skipped: Callable[[str], bool] = lambda name: False) -> None:
        self.tree, self.folder, self.is_skipped = tree, folder, is_skipped
        self._below: dict[str, list[str]] = {}  # folded name without folders → names relative to the folder
        self._uploads: dict[str, list[str]] = {}  # the same for the names without the prefix of an upload
        self._is_listed = False

    def find_all(self, names: Iterable[str]) -> list[Found]:
        """Return the file of each name. No file belongs to two names that differ in more than their notation."""
        names = list(names)
        top = {file.name: file for file in self.tree.files(self.folder)}  # faster than one by one
        found = [Found(self.find_exactly(name) if "/" in name else top.get(name)) for name in names]
        wanted = [number for number, one in enumerate(found) if one.entry is None]
        if not wanted:
            return found
        uploads = _are_uploads(names[number].replace("\\", "/").rpartition("/")[2] for number in wanted)
        owners: dict[str, set[str]] = {}  # file → plain names that it was taken for
        for one in found:
            if one.entry is not None:
                owners.setdefault(one.entry.name, set()).add(one.entry.name)
        for number in wanted:
            found[number], plain = self._find_similar(names[number], uploads)
            if (entry := found[number].entry) is not None:
                owners.setdefault(entry.name, set()).add(plain)
        for number in wanted:
            if (entry := found[number].entry) is not None and len(owners[entry.name]) > 1:
                found[number] = Found(None)
        return found

    def find_exactly(self, name: str) -> FileEntry | None:
        """Return the file with exactly this name."""
        parts = name.split("/")
        if any(part in ("", ".", "..") or not _is_possible(part) for part in parts) or (
            "\\" in name and os.sep == "\\"
        ):
            return None
        entry = self.tree.find(self._path(name))
        return entry and entry._replace(name=name)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    def _find_similar(self, name: str, uploads: bool) -> tuple[Found, str]:
        """Return the file that fits a name best, and the name in plain notation."""
        plain, changes = _plain(name)
        for wanted, more in ((plain, ()), (unquote(plain), (QUOTED,))) if "%" in plain else ((plain, ()),):
            found = self._find_below(wanted)
            if found.entry is not None:
                return Found(found.entry, (*changes, *more, *found.changes)), wanted
        folder, _, last = plain.rpartition("/")
        prefix = _ANY_PREFIX if _UPLOAD_FOLDER.search(f"{folder}/") else _UPLOAD_PREFIX if uploads else None
        if prefix is not None and (match := prefix.match(last)):
            found = self._find_below(unquote(last[match.end() :]))
        else:
            found = self._only(self._uploads.get(fold(last), []))
        return Found(found.entry, (*changes, UPLOAD) if found.entry is not None else ()), plain

    def _find_below(self, plain: str) -> Found:
        """Return the file that agrees with most of the last parts of a name."""
        self._list()
        parts = plain.split("/")
        best: list[tuple[tuple[int, int, int], str]] = []
        for candidate in self._below.get(fold(parts[-1]), ()):
            grade = _grade(parts, candidate.split("/"))
            if not best or grade >= best[0][0]:
                best = [one for one in best if one[0] == grade] + [(grade, candidate)]
        if len(best) != 1:
            return Found(None)
        (same, whole, spelling), candidate = best[0]
        changes = [] if same == len(parts) else [FOLDER]
        if not whole:
            changes = [ELSEWHERE]
        if spelling < _EXACT:
            changes.append(CASE if spelling < _SAME_CASE else NORMAL_FORM)
        return Found(self.find_exactly(candidate), tuple(changes))

    def _only(self, candidates: list[str]) -> Found:
        return Found(self.find_exactly(candidates[0]) if len(candidates) == 1 else None)

    def _list(self) -> None:
        """List all files below the folder."""
        if self._is_listed:
            return
        self._is_listed = True
        names = []
        folders = [""]
        while folders:
            folder = folders.pop()
            start = f"{folder}/" if folder else ""
            for name in self.tree.file_names(self._path(folder) if folder else self.folder):
                self._below.setdefault(fold(name), []).append(start + name)
                names.append(start + name)
            below = self.tree.folders(self._path(folder) if folder else self.folder)
            folders += [start + name for name in below if not self.is_skipped(name)]
        last = [name.rpartition("/")[2] for name in names]
        uploads = [(name, match.end()) for name in last if (match := _UPLOAD_PREFIX.match(name))]
        if 2 * len(uploads) > len(names) and _are_uploads(name for name, _ in uploads):
            for name, path in zip(last, names, strict=True):
                self._uploads.setdefault(fold(_UPLOAD_PREFIX.sub("", name, count=1)), []).append(path)


_EXACT, _SAME_CASE = 2, 1


def _grade(wanted: list[str], candidate: list[str]) -> tuple[int, int, int]:
    """Return how well a path fits a name: the number of last parts that agree, whether one is the end of the other,
    and the spelling: _EXACT, _SAME_CASE (another normal form) or 0 (another case)."""
    same, spelling = 0, _EXACT
    for one, other in zip(reversed(wanted), reversed(candidate), strict=False):
        if one != other:
            if fold(one) != fold(other):
                break
            normal = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
            spelling = min(spelling, _SAME_CASE if normal else 0)
        same += 1
    return same, int(same == len(candidate)), spelling


def fold(name: str) -> str:
    """Return a name in a form that is the same for all cases and normal forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _plain(name: str) -> tuple[str, tuple[str, ...]]:
    """Return a name as a relative path with "/", and what was changed for it besides dropped folders."""
    changes = []
    if _ADDRESS.match(name):
        address = urlsplit(name)
        name = unquote(parse_qs(address.query).get("d", [address.path])[0])
        changes.append(ADDRESS)
    name = _DRIVE.sub("", name, count=1) if _DRIVE.match(name) else name
    if "\\" in name:
        name = name.replace("\\", "/")
        changes.append(BACKSLASH)
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts.clear()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts), tuple(changes)


def _are_uploads(names: Iterable[str]) -> bool:
    """Tell whether all names have the prefix of Label Studio's uploads. Dates such as 20240131- are none."""
    matches = [_UPLOAD_PREFIX.match(name) for name in names]
    return all(matches) and any(_LETTER.search(match[0]) for match in matches if match)


def _is_possible(part: str) -> bool:
    """Tell whether a file can have this name."""
    try:
        return not {"\0", os.sep} & set(part) and len(os.fsencode(part)) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False
