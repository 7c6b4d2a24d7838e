"""A line of a preparation's journal: what is known of a complete shard."""

from __future__ import annotations

from typing import Any, Required

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from mnasnet_cli.records.dataset_file import Count


@with_config(ConfigDict(extra="allow"))
class ShardEntry(TypedDict, total=False):
    """A shard: its place and file, a digest of it, and the sums over its images; see `ShardStatistics.as_dict`.

    source: a checksum of the sizes of its image files. facts: missing in journals of older versions.
    """

    split: Required[str]
    index: Required[Count]
    shard: Required[str]
    examples: Required[Count]
    bytes: Required[Count]
    digest: Required[str]
    source: Required[int]
    labels: Required[dict[str, Count]]
    channels: Required[dict[str, Count]]
    sides: Required[dict[str, tuple[int, int, int]]]
    image_bytes: Required[Count]
    bad: Required[list[dict[str, str]]]
    reencoded: Count
    turned: Count
    converted: Count
    counts: dict[str, Count]
    boxes: dict[str, Count]
    facts: dict[str, Any]
