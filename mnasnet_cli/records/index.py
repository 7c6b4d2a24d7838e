"""Where each record of a split lies: the lengths of its records, read once and kept beside the shards.

The file SPLIT.index has one line of JSON, the names, sizes and counts of the shards, and then the data length of every
record, uint32 in the order of the shards. It says nothing that the shards don't: one that is missing, damaged or older
than a shard, or that tells of other shards, is made again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import google_crc32c

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.records.shards import find_shards
from mnasnet_cli.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, is_compressed, record_lengths
from mnasnet_cli.system.documents import Unreadable, parse_json, read_bytes, validate
from mnasnet_cli.system.files import make_folder, user_cache, write_atomically

MAX_INDEX_BYTES = 1 << 32
"""Of an index: 100 bytes for each shard and 4 for each record, so a thousand million records."""
FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES
_THREADS = 4  # that read lengths; on a local disk, more would wait for Python's lock


class ShardIndex(NamedTuple):
    """The places of the records of one shard. lengths: bytes of each record's data, uint32."""

    path: Path
    lengths: array[int]
    compressed: bool
    """Whether the shard is compressed with gzip, so that its records are found only from its beginning on."""

    @property
    def size(self) -> int:
        """Bytes of the shard, unpacked."""
        return sum(self.lengths) + FRAME_BYTES * len(self.lengths)


@dataclass(frozen=True)
class _Shard:
    """A shard, as an index knows it. size: bytes on the disk. records: their number."""

    name: str
    size: int
    records: int
    compressed: bool = False


@dataclass(frozen=True)
class _Header:
    """The first line of an index. checksum: CRC-32C of the lengths."""

    version: Literal[1]
    shards: list[_Shard]
    checksum: int


def load_index(
    directory: Path, split: str, kind: str | None = None, *, known: Mapping[str, array[int]] | None = None
) -> list[ShardIndex]:
    """Return the index of a split's shards. One that is missing or out of date is made and kept.

    Args:
      kind: of the records, for messages.
      known: lengths of the records by the names of shards, which need not be read for them.

    Raises DataError like `find_shards`, or if a shard is damaged.
    """
    paths = find_shards(directory, split, kind)
    for place in _places(directory, split):
        with suppress(Unreadable, OSError):
            return _read(place, paths)
    found = dict(known or {})
    unknown = [path for path in paths if path.name not in found]
    with ThreadPoolExecutor(_THREADS) as pool:
        found |= zip((path.name for path in unknown), pool.map(record_lengths, unknown), strict=True)
    shards = [ShardIndex(path, found[path.name], is_compressed(path)) for path in paths]
    _keep(directory, split, shards)
    return shards


def _keep(directory: Path, split: str, shards: Sequence[ShardIndex]) -> None:
    """Write an index beside the shards, or into the user's cache if that fails, or nowhere: it can be made again."""
    rows = [
        _Shard(shard.path.name, shard.path.stat().st_size, len(shard.lengths), shard.compressed) for shard in shards
    ]
    content = _little_endian(array("I", [length for shard in shards for length in shard.lengths])).tobytes()
    header = json.dumps(asdict(_Header(1, rows, google_crc32c.value(content))))
    for place in _places(directory, split):
        with suppress(EnvironmentProblem, OSError):
            make_folder(place.parent)
            return write_atomically(place, f"{header}\n".encode() + content, flush=False)


def _places(directory: Path, split: str) -> tuple[Path, Path]:
    """Return where an index may lie: beside the shards, or in the user's cache if that folder is read-only."""
    name = hashlib.sha256(str(directory.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return directory / f"{split}.index", user_cache() / "indexes" / f"{name}-{split}.index"


def _read(place: Path, paths: Sequence[Path]) -> list[ShardIndex]:
    """Read an index. Raises Unreadable if it is missing, damaged or out of date, and OSError."""
    line, _, content = read_bytes(place, MAX_INDEX_BYTES).partition(b"\n")
    header = validate(parse_json(line, place), _Header, place)
    stated = [path.stat() for path in paths]
    found = [(path.name, status.st_size) for path, status in zip(paths, stated, strict=True)]
    if [(shard.name, shard.size) for shard in header.shards] != found:
        raise Unreadable(place, "is about other shards")
    if max(status.st_mtime_ns for status in stated) > place.stat().st_mtime_ns:
        raise Unreadable(place, "is older than a shard")
    counts = [shard.records for shard in header.shards]
    if min(counts) < 0 or len(content) != 4 * sum(counts) or google_crc32c.value(content) != header.checksum:
        raise Unreadable(place, "is damaged")
    lengths, end = _little_endian(array("I", content)), 0
    shards = []
    for path, known in zip(paths, header.shards, strict=True):
        shards.append(ShardIndex(path, lengths[end : end + known.records], known.compressed))
        end += known.records
        if not known.compressed and shards[-1].size != known.size:
            raise Unreadable(place, "is damaged")
    return shards


def _little_endian(numbers: array[int]) -> array[int]:
    """Return numbers in the order of bytes of the file, or back."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
