"""What a worker does: it writes a piece of a shard. The pieces of a shard are joined when all are there.

So a set of few shards keeps all workers busy.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from data_prep.images.prepared_image import prepare_image
from data_prep.writing.shard_job import BadImageError, Job, ShardId, ShardStatistics
from data_prep.writing.shards import ShardWriter, append, shard_range
from mnasnet_cli.records.image_files.header import BadImage
from mnasnet_cli.records.orientation import Exif
from mnasnet_cli.records.shards import shard_digest
from mnasnet_cli.system.files import move_into_place
from mnasnet_cli.system.workers import Report

PIECES_PER_WORKER = 6  # at least; with fewer, workers wait for the one that ends last
LEAST_IMAGES = 16  # of a piece


class Piece(NamedTuple):
    """A piece of a shard: number `number` of `pieces`, from 0. Pieces are written by several workers."""

    shard: ShardId
    number: int = 0
    pieces: int = 1


class WrittenPiece(NamedTuple):
    """What a worker has written. file: has the shard's name if it is the only piece. size: bytes. See `ShardWriter`."""

    piece: Piece
    file: Path
    examples: int
    size: int
    checksums: bytes
    lengths: array[int]
    statistics: ShardStatistics


def in_pieces(job: Job, shards: Sequence[ShardId], processes: int) -> list[Piece]:
    """Return the pieces of some shards: one for each shard, or more where the shards would not keep all workers busy.

    The number of pieces does not change the records.
    """
    images = {shard: len(job.image_numbers(shard)) for shard in shards}
    size = max(LEAST_IMAGES, -(-sum(images.values()) // (PIECES_PER_WORKER * processes)))
    if processes == 1:
        size = max(images.values(), default=1)
    counts = {shard: -(-count // size) for shard, count in images.items()}
    return [Piece(shard, number, count) for shard, count in counts.items() for number in range(count)]


class Joiner:
    """Makes shards of their pieces, which arrive in any order. `on_entry` gets the journal entry of each shard.

    `lengths` holds those of the records, by the names of the shards.
    """

    def __init__(self, job: Job, on_entry: Callable[[dict[str, Any]], None]) -> None:
        self._job, self._on_entry = job, on_entry
        self._waiting: dict[Piece, WrittenPiece] = {}  # for the pieces before them
        self._joined: dict[ShardId, list[WrittenPiece]] = {}
        self.lengths: dict[str, array[int]] = {}

    def add(self, written: WrittenPiece) -> None:
        """Take a piece and append it to those before it; the last one of a shard completes it.

        Pieces are joined as they arrive, while the workers write others.
        """
        shard, _, count = written.piece
        self._waiting[written.piece] = written
        joined = self._joined.setdefault(shard, [])
        while following := self._waiting.pop(Piece(shard, len(joined), count), None):
            if joined:
                append(joined[0].file, following.file)
            joined.append(following)
        if len(joined) == count:
            pieces = self._joined.pop(shard)
            self.lengths[self._job.shard_name(shard)] = sum((piece.lengths for piece in pieces), array("I"))
            self._on_entry(_complete(pieces, self._job))


def _complete(pieces: Sequence[WrittenPiece], job: Job) -> dict[str, Any]:
    """Give a shard its name and return its journal entry."""
    shard, path = pieces[0].piece.shard, job.out / job.shard_name(pieces[0].piece.shard)
    move_into_place(pieces[0].file, path)
    statistics = pieces[0].statistics
    for written in pieces[1:]:
        statistics.merge(written.statistics)
    return {
        "shard": path.name, "split": shard.split, "index": shard.number, "source": job.sizes_checksum(shard),
        "examples": sum(written.examples for written in pieces), "bytes": sum(written.size for written in pieces),
        "digest": shard_digest(b"".join(written.checksums for written in pieces)), **statistics.as_dict(),
    }  # fmt: skip


def write_piece(job: Job, piece: Piece, report: Report) -> WrittenPiece:
    """Write one piece of a shard in a worker process."""
    shard = piece.shard
    table, options = job.source.tables[shard.split], job.options
    statistics = ShardStatistics()
    numbers = job.image_numbers(shard)
    start, end = shard_range(piece.number, piece.pieces, len(numbers))
    target = job.out / job.shard_name(shard)
    with ShardWriter(target, piece.number if piece.pieces > 1 else None) as writer:
        for done, number in enumerate(numbers[start:end], 1):
            try:
                image = prepare_image(
                    table.read(number), max_side=options.max_side, verify=options.verify, exif=cast(Exif, options.exif)
                )
                record = table.record(number, image)
            except BadImage as error:
                path = table.path(number)
                if options.on_bad_image == "fail":
                    raise BadImageError(
                        f"{path}: {error}; fix or remove it, or skip bad images with --on-bad-image skip"
                    ) from None
                statistics.bad.append({"file": os.path.relpath(path, job.source.root), "reason": str(error)})
                continue
            finally:
                report(done)
            writer.write(record.example)
            statistics.add(record, image)
    file = target if piece.pieces == 1 else writer.temporary
    return WrittenPiece(piece, file, writer.examples, writer.bytes, bytes(writer.checksums), writer.lengths, statistics)
