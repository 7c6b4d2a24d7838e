"""Examines a data set: its numbers, its duplicates, and what is odd in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnasnet_cli.health import duplicates as copies
from mnasnet_cli.health import summary
from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.duplicates import Duplicates, find_duplicates
from mnasnet_cli.health.oddest import Odd, find_oddest
from mnasnet_cli.health.scan import scan
from mnasnet_cli.health.suspicions import find_suspicions
from mnasnet_cli.records.dataset_file import read_dataset_file
from mnasnet_cli.records.dataset_info import DatasetInfo
from mnasnet_cli.records.findings import Finding, Findings
from mnasnet_cli.records.shards import DATASET_FILE


@dataclass
class Health:
    """The health of a data set. findings: what preparation said, then what its images and boxes say."""

    collection: Collection
    duplicates: Duplicates
    findings: Findings

    @property
    def images_in_both_splits(self) -> int:
        """The number of validation images that are in the training split as well."""
        return copies.count_images(self.duplicates.across_splits("train", "validation"))

    def summary(self) -> dict[str, Any]:
        """Return the numbers as dataset.json holds them: per split, and the duplicates."""
        return {
            "splits": summary.summarize(self.collection),
            "duplicates": copies.summarize(self.duplicates, self.collection),
        }

    def dataset_info(self, directory: Path) -> DatasetInfo:
        """Return the counts in the form of a dataset.json, for records that have none."""
        return summary.dataset_info(self.collection, directory)

    def oddest(self) -> list[Odd]:
        """Return the oddest images."""
        return find_oddest(self.collection, self.duplicates)

    def to_json(self) -> dict[str, Any]:
        """Return everything as `inspect --json` shows it."""
        return {
            "kind": self.collection.kind,
            **self.summary(),
            "classes": summary.class_table(self.collection),
            "findings": self.findings.to_list(),
            "oddest": [odd.describe(self.collection) for odd in self.oddest()],
        }


def examine(collection: Collection, known: Iterable[Finding] = ()) -> Health:
    """Return the health of a data set. What `known` findings say is not said again: their codes count."""
    found = find_duplicates(collection)
    said = list(known)
    codes = {finding.code for finding in said}
    new = [finding for finding in find_suspicions(collection, found) if finding.code not in codes]
    return Health(collection, found, Findings([*said, *new]))


def examine_records(path: Path, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Health:
    """Return the health of a record file or folder of any program. Raises DataError if it is damaged.

    on_progress: called with (done, total) numbers of records.
    """
    return examine(scan(path, on_progress=on_progress), stored_findings(path))


def stored_findings(path: Path) -> Findings:
    """Return the findings in the dataset.json of a record folder; none if there is no such file."""
    file = path / DATASET_FILE
    if not path.is_dir() or not file.is_file():
        return Findings()
    return Findings.parse(read_dataset_file(path).get("findings", ()))
