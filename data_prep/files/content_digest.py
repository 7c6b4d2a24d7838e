"""A number for the content of each file of a table: the same for copies of a file, whatever their names."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from data_prep.files.file_list import FileList
from mnasnet_cli.records.image_files.header import BadImage

UNREADABLE = 2**64 - 1  # in place of the digest of a file that cannot be read
WINDOW = 16 << 10  # bytes that are hashed at the start, in the middle and at the end of a file
THREADS = 4  # reading waits for the disk, and inflating releases Python's lock
BATCH = 256  # files of one task


def content_digests(table: FileList) -> np.ndarray:
    """Return a digest of the content of each file: uint64 [n].

    A digest is the BLAKE2b of the size and of three windows of WINDOW bytes, or of the whole file where it is small.
    Files that agree in these are taken for copies: the bytes of two different compressed images differ early. The
    digest of a file in a tar or zip is that of the unpacked file. The numbers are uniform in 0..2^64 - 2, and
    UNREADABLE for a file that cannot be read. Takes 8 bytes of memory per file.
    """
    digests = np.empty(len(table), np.uint64)

    def fill(start: int) -> None:
        end = min(start + BATCH, len(table))
        digests[start:end] = [_digest(table, number) for number in range(start, end)]

    table.open_archives()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(fill, range(0, len(table), BATCH)):
            pass  # raises what a thread raised
    return digests


def _digest(table: FileList, index: int) -> int:
    try:
        size, content = table.read_windows(index, WINDOW)
    except BadImage:
        return UNREADABLE
    digest = hashlib.blake2b(size.to_bytes(8, "little") + content, digest_size=8).digest()
    return int.from_bytes(digest, "little") % UNREADABLE
