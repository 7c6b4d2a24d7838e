"""The order of an epoch's records: a pure function of the seed and the epoch, in which any position is found at once.

The records lie in blocks of neighbours, which are read together. The blocks are shuffled, and the sequence that they
make is cut into as many equal lanes as a batch has images: image *l* of every batch is of lane *l*. So each of *n*
processes reads n-ths of the lanes, and nothing of the others. Within a lane, the records of several blocks are shuffled
in windows; those of different lanes end at different steps.

All that is random is a keyed permutation: a generalized Feistel network with cycle walking (Black and Rogaway,
"Ciphers with Arbitrary Finite Domains", 2002). It needs neither memory nor a pass over the records. The arithmetic is
this module's own, because a run must find the same order with all versions of NumPy and TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

WINDOW_FACTOR = 3
"""Records of a window over their mean distance: two random places in a window are a third of its length apart."""
MOST_KEPT = 1.5
"""Records in memory over their mean distance, at most. Of a window, those of blocks that are read and not yet used: a
share of 1/2 - 1/(records of a block + 1)."""
_LEAST_BLOCKS = 8  # of a lane: with longer blocks, batches would repeat the neighbourhoods of the disk
_ROUNDS = 6
_BLOCKS, _WINDOWS, _SHIFT = 1, 2, 3  # what a key is for


class Places(NamedTuple):
    """Where the records of some positions lie: in parts of blocks, each of which is read once and as a whole."""

    first: np.ndarray
    """[P] int64: number of the first record of the part."""
    size: np.ndarray
    """[P] int64: records of the part; record 0 follows the last one."""
    offset: np.ndarray
    """[P] int64: which of them is at the position."""


@dataclass(frozen=True)
class EpochOrder:
    """The order of one epoch. `seed` and `epoch` choose it.

    records: N. batch_size: lanes; each lane has N // batch_size records. block: records of a block at most; see
    `block_records`. mixed: mean distance, in positions, that neighbours of a block get.
    """

    seed: int
    epoch: int
    records: int
    batch_size: int
    block: int = 1
    mixed: int = 8192

    @property
    def steps(self) -> int:
        """Whole batches."""
        return self.records // self.batch_size

    @property
    def window(self) -> int:
        """Steps in which the records of a lane are mixed; 1 if blocks of one record are shuffled already."""
        wanted = -(-WINDOW_FACTOR * self.mixed // self.batch_size)
        return 1 if self.block == 1 else max(1, min(wanted, self.steps))

    def _key(self, purpose: int) -> np.ndarray:
        """[1] uint64: chooses all that is random for this purpose."""
        words = np.array([self.seed, self.epoch, purpose]).astype(np.uint64)
        return _mixed(_mixed(_mixed(words[:1]) + words[1:2]) + words[2:])

    @cached_property
    def _shift(self) -> int:
        """Record at which the first block begins: another one in each epoch."""
        return int(self._key(_SHIFT)[0]) % self.records

    def numbers(self, positions: np.ndarray) -> np.ndarray:
        """Return the numbers of the records at these positions, int64, in 0..N-1."""
        places = self.places(positions)
        return (places.first + places.offset) % self.records

    def places(self, positions: np.ndarray) -> Places:
        """Return where the records of these positions lie, each in 0..steps·batch_size-1."""
        steps, lanes = np.divmod(np.asarray(positions, np.int64), self.batch_size)
        start = lanes * self.steps
        sequence = start + self._in_window(steps, lanes)
        blocks = sequence // self.block
        begin = np.maximum(blocks * self.block, start)
        end = np.minimum((blocks + 1) * self.block, start + self.steps)
        return Places(self._number(begin), end - begin, sequence - begin)

    def uses(self, positions: np.ndarray, places: Places) -> list[np.ndarray]:
        """Return, for the part of a block at each position, the positions of its records."""
        steps, lanes = np.divmod(np.asarray(positions, np.int64), self.batch_size)
        begin = self._in_window(steps, lanes) - places.offset  # of the part, in its lane
        ends = np.cumsum(places.size)
        inside = np.arange(ends[-1]) - np.repeat(ends - places.size, places.size)
        rows, lanes = np.repeat(begin, places.size) + inside, np.repeat(lanes, places.size)
        return np.split(self._in_window(rows, lanes, inverse=True) * self.batch_size + lanes, ends[:-1])

    def _number(self, sequence: np.ndarray) -> np.ndarray:
        """Return the record at places of the sequence of shuffled blocks; the short block of the rest is its last."""
        whole = self.records // self.block
        block, inside = np.divmod(sequence, self.block)
        sizes, keys = np.full_like(block, whole), np.repeat(self._key(_BLOCKS), len(block))
        shuffled = np.where(block < whole, permute(np.minimum(block, whole - 1), sizes, keys), block)
        return (shuffled * self.block + inside + self._shift) % self.records

    def _in_window(self, places: np.ndarray, lanes: np.ndarray, *, inverse: bool = False) -> np.ndarray:
        """Shuffle the places of lanes, in 0..steps-1, within their windows."""
        window = self.window
        if window == 1:
            return places
        ahead = lanes * window // self.batch_size  # lanes end their windows at different steps: reading stays even
        number = (places + ahead) // window
        begin = np.maximum(number * window - ahead, 0)
        end = np.minimum((number + 1) * window - ahead, self.steps)
        keys = _mixed(_mixed(self._key(_WINDOWS) + lanes.astype(np.uint64)) + number.astype(np.uint64))
        return begin + permute(places - begin, end - begin, keys, inverse=inverse)


def block_records(kilobytes: int, record_bytes: float, steps: int) -> int:
    """Return the records of a block of at most this size (1 kB = 1000 bytes), at least 1.

    Blocks are smaller where a lane, with its `steps` records, would have fewer than eight.
    """
    return max(1, min(int(kilobytes * 1000 / record_bytes), steps // _LEAST_BLOCKS))


def permute(values: np.ndarray, sizes: np.ndarray, keys: np.ndarray, *, inverse: bool = False) -> np.ndarray:
    """Return each value, of 0..size-1, under the permutation of that size that its key chooses.

    Args:
      values, sizes: [P] int64. keys: [P] uint64. inverse: undo it.
    """
    # A value is left * width + right. The network permutes the pairs, which are hardly more than the values.
    widths = np.ceil(np.sqrt(sizes)).astype(np.uint64)
    heights = (sizes.astype(np.uint64) + widths - np.uint64(1)) // widths
    found = _network(values.astype(np.uint64), heights, widths, keys, inverse)
    while len(outside := np.flatnonzero(found >= sizes.astype(np.uint64))):  # on along the cycle
        found[outside] = _network(found[outside], heights[outside], widths[outside], keys[outside], inverse)
    return found.astype(np.int64)


def _network(
    values: np.ndarray, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray, inverse: bool
) -> np.ndarray:
    """Permute the values below height * width: each round adds to one half what depends on the other."""
    halves = [values // widths, values % widths]
    sizes = [heights, widths]
    for number in reversed(range(_ROUNDS)) if inverse else range(_ROUNDS):
        one, other = number % 2, 1 - number % 2
        step = _mixed(halves[other] + keys + np.uint64(number << 56)) % sizes[one]
        halves[one] = (halves[one] + (sizes[one] - step if inverse else step)) % sizes[one]
    return halves[0] * widths + halves[1]


def _mixed(value: np.ndarray) -> np.ndarray:
    """Return 64 bits of which each depends on all of the given ones (splitmix64; Steele and others, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)
