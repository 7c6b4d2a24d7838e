"""What is odd in a data set: what preparation mended, and what looks wrong. dataset.json holds the list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mnasnet_cli.errors import DataError

Severity = Literal["mended", "suspicious", "note"]
LISTED = 5  # findings that an error of --strict names


@dataclass
class Finding:
    """One kind of oddity, with its count.

    severity: "mended" if the right value is certain and was put in, "suspicious" if a person should look,
    "note" if nothing is wrong with it.
    code: a stable name for programs, such as "annotation-without-id". split: "" if it is not of one split.
    message: what follows the count: "annotations had no id and were numbered". example: the first one.
    advice: what to do, "" if nothing.
    """

    severity: Severity
    code: str
    message: str
    split: str = ""
    count: int = 0
    example: str = ""
    advice: str = ""

    def __str__(self) -> str:
        where = f"{self.split}: " if self.split else ""
        example = f", for example {self.example}" if self.example else ""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{where}{self.count:,} {self.message}{example}{advice}"


class Findings:
    """The findings of one data set, in the order in which each kind was first seen."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        self._found = {(one.code, one.split): one for one in found}

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def mended(self, code: str, message: str, *, example: str = "", split: str = "", count: int = 1) -> None:
        """Count what was mended. The message and the example of the first call are kept."""
        self._add(Finding("mended", code, message, split, 0, example), count)

    def suspect(
        self, code: str, message: str, *, example: str = "", split: str = "", count: int = 1, advice: str = ""
    ) -> None:
        """Count what looks wrong. The message, the example and the advice of the first call are kept."""
        self._add(Finding("suspicious", code, message, split, 0, example, advice), count)

    def note(self, code: str, message: str, *, example: str = "", split: str = "", count: int = 1) -> None:
        """Count what is worth knowing. The message and the example of the first call are kept."""
        self._add(Finding("note", code, message, split, 0, example), count)

    def add(self, finding: Finding) -> None:
        """Add a finding, or its count to one of the same kind and split."""
        self._add(replace(finding, count=0), finding.count)

    def _add(self, finding: Finding, count: int) -> None:
        if count:
            self._found.setdefault((finding.code, finding.split), finding).count += count

    def refuse_mended(self) -> None:
        """Raise DataError if anything was mended: for --strict."""
        mended = [str(one) for one in self if one.severity == "mended"]
        if mended:
            more = f"; and {len(mended) - LISTED} more" if len(mended) > LISTED else ""
            raise DataError(f"--strict: {'; '.join(mended[:LISTED])}{more}; mend the source, or leave out --strict")

    def to_list(self) -> list[dict[str, Any]]:
        """Return the findings as dataset.json holds them."""
        return [asdict(one) for one in self]

    @classmethod
    def parse(cls, rows: Iterable[Mapping[str, Any]]) -> Findings:
        """Read what `to_list` returned."""
        return cls(Finding(**row) for row in rows)
