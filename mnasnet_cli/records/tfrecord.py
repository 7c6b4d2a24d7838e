"""Reads and writes TFRecord files and tf.train.Example messages without TensorFlow."""

from __future__ import annotations

import gzip
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import google_crc32c

from mnasnet_cli.errors import DataError, os_error_reason

Value = bytes | int | float | Sequence[bytes] | Sequence[int] | Sequence[float] | array

HEADER_BYTES = 12  # uint64 length, uint32 CRC of the length
FOOTER_BYTES = 4  # uint32 CRC of the data
_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_GZIP = b"\x1f\x8b\x08"  # its magic number, and the only method
_MASK_DELTA = 0xA282EAD8  # from TensorFlow's crc32c.h


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C of `data`."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame_record(data: bytes) -> tuple[bytes, bytes]:
    """Return the header and the footer of a record with `data`."""
    length = _LENGTH.pack(len(data))
    return length + _CRC.pack(masked_crc(length)), _CRC.pack(masked_crc(data))


def encode_record(data: bytes) -> bytes:
    """Return a whole record: the header, `data` and the footer."""
    header, footer = frame_record(data)
    return header + data + footer


def read_records(path: Path, *, check: bool = True, first: int = 0, offset: int = 0) -> Iterator[bytes]:
    """Yield the data of each record; with `check`, verify the CRC of the data.

    first, offset: the number of the record to begin with and its byte offset; see `record_offsets`.

    If the file is cut off or damaged, raises DataError with the file, the record and its byte offset.
    """
    with _open(path) as file:
        for index, start, length in _scan(path, file, first, offset):
            data = file.read(length)
            if check:
                footer = file.read(FOOTER_BYTES)
                if masked_crc(data) != _CRC.unpack(footer)[0]:
                    raise _corrupt(path, index, start, "its checksum does not match its data")
            yield data


def count_records(path: Path) -> int:
    """Return the number of records. Only the headers are read. Raises DataError like `read_records`."""
    return len(record_lengths(path))


def record_offsets(path: Path) -> array[int]:
    """Return the byte offset of each record. Only the headers are read. Raises DataError like `read_records`."""
    with _open(path) as file:
        return array("Q", (offset for _, offset, _ in _scan(path, file)))


def record_lengths(path: Path) -> array[int]:
    """Return the bytes of each record's data. Only the headers are read. Raises DataError like `read_records`.

    A record has less than 4 GiB: protobuf messages have at most 2.
    """
    with _open(path, buffering=0) as file:  # a buffer would be filled for each header
        lengths = array("Q", (length for _, _, length in _scan(path, file)))
    if lengths and max(lengths) >> 32:
        raise DataError(f"{path} has a record of {max(lengths):,} bytes, expected less than 4 GiB")
    return array("I", lengths)


def unframe(content: memoryview, lengths: Sequence[int], path: Path, number: int, offset: int) -> list[bytes]:
    """Return the data of consecutive records, whose lengths are known.

    Args:
      content: their bytes in the file. number, offset: of the first one, for errors.

    Raises DataError like `read_records`.
    """
    found, position = [], 0
    for index, length in enumerate(lengths, number):
        start, end = position + HEADER_BYTES, position + HEADER_BYTES + length
        if end + FOOTER_BYTES > len(content):
            raise _corrupt(path, index, offset + position, "the file is cut off before the record's end")
        if _LENGTH.unpack_from(content, position)[0] != length:
            raise _corrupt(path, index, offset + position, "it has another length than before; the file was replaced")
        data = bytes(content[start:end])
        if masked_crc(data) != _CRC.unpack_from(content, end)[0]:
            raise _corrupt(path, index, offset + position, "its checksum does not match its data")
        found.append(data)
        position = end + FOOTER_BYTES
    return found


def is_compressed(path: Path) -> bool:
    """Tell whether a file of records is compressed with gzip. Raises DataError if it cannot be read."""
    with _open_plain(path) as file:
        return _is_gzip(file.read(HEADER_BYTES))


def are_compressed(shards: Mapping[Path, bool]) -> bool:
    """Return whether the shards of a split are compressed with gzip. Raises DataError if some are and others are not.

    Args:
      shards: whether each one is, from `is_compressed`; TensorFlow reads all of them in the same way.
    """
    kinds = {compressed: path for path, compressed in shards.items()}
    if len(kinds) == 2:
        raise DataError(f"{kinds[True]} is compressed with gzip and {kinds[False].name} is not; unpack all, or none")
    return True in kinds


def _is_gzip(start: bytes) -> bool:
    # A record may have a length that looks like the first bytes of gzip; then the checksum of its length is right.
    is_record = len(start) == HEADER_BYTES and masked_crc(start[:8]) == _HEADER.unpack(start)[1]
    return start.startswith(_GZIP) and not is_record


@contextmanager
def _open(path: Path, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a file of records; one that is compressed with gzip is unpacked. Errors of reading become DataError."""
    with _open_plain(path, buffering) as file:
        compressed = _is_gzip(file.read(HEADER_BYTES))
        file.seek(0)
        if not compressed:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{path} is damaged: it is compressed with gzip, and cannot be unpacked ({error})"
            ) from None


@contextmanager
def _open_plain(path: Path, buffering: int = -1) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb", buffering) as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {os_error_reason(error)}") from error


def _scan(path: Path, file: BinaryIO, index: int = 0, offset: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield (number, byte offset, data length) of each record from the one with this number and offset.

    The file's position is then at the record's data.
    """
    size = file.seek(0, os.SEEK_END)
    while offset < size:
        file.seek(offset)
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise _corrupt(path, index, offset, "the file is cut off in the record's header")
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise _corrupt(path, index, offset, "the checksum of its length does not match")
        end = offset + HEADER_BYTES + length + FOOTER_BYTES
        if end > size:
            raise _corrupt(path, index, offset, f"the file is cut off {end - size:,} bytes before the record's end")
        yield index, offset, length
        index, offset = index + 1, end


def _corrupt(path: Path, index: int, offset: int, reason: str) -> DataError:
    return DataError(f"{path} is not a complete TFRecord file: record {index}, at byte {offset}: {reason}")


# --- tf.train.Example ---------------------------------------------------------------------------------------------


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Return a serialized tf.train.Example with its keys in sorted order, as in protobuf's deterministic mode.

    A value is a bytes, int or float, or a sequence of one of them. An empty sequence is written as an empty bytes list;
    an empty array("f") or array("q") as an empty list of floats or int64s, which TensorFlow's parser requires.
    """
    return join_entries([encode_entry(key, features[key]) for key in sorted(features)])


def join_entries(entries: Sequence[bytes]) -> bytes:
    """Return the serialized tf.train.Example with entries from `encode_entry`."""
    size = sum(map(len, entries))
    return b"".join((b"\n", encode_varint(size), *entries))


def encode_entry(key: str, value: Value) -> bytes:
    """Return one serialized feature of an Example, for `join_entries`."""
    name = key.encode()
    feature = _encode_feature(value)
    head = b"".join((b"\n", encode_varint(len(name)), name, b"\x12", encode_varint(len(feature))))
    return b"".join((b"\n", encode_varint(len(head) + len(feature)), head, feature))


def _encode_feature(value: Value) -> bytes:
    """Return a serialized tf.train.Feature. Field 1 is a BytesList, 2 a packed FloatList, 3 a packed Int64List."""
    if isinstance(value, bytes):
        size = encode_varint(len(value))
        return b"".join((b"\n", encode_varint(1 + len(size) + len(value)), b"\n", size, value))
    if isinstance(value, int):
        return b"\x1a" + _packed(encode_varint(value & 0xFFFFFFFFFFFFFFFF))
    if isinstance(value, float):
        return b"\x12" + _packed(struct.pack("<f", value))
    if isinstance(value, array):
        return _encode_array(value)
    if not value or isinstance(value[0], bytes):
        items = b"".join(b"\n" + encode_varint(len(item)) + item for item in value)  # type: ignore[arg-type,operator]
        return b"\n" + encode_varint(len(items)) + items
    if isinstance(value[0], int):
        return b"\x1a" + _packed(b"".join(encode_varint(int(item) & 0xFFFFFFFFFFFFFFFF) for item in value))
    return b"\x12" + _packed(struct.pack(f"<{len(value)}f", *value))


def _encode_array(value: array[Any]) -> bytes:
    if value.typecode == "q":
        return b"\x1a" + _packed(b"".join(encode_varint(item & 0xFFFFFFFFFFFFFFFF) for item in value))
    if sys.byteorder == "big":
        value = value[:]
        value.byteswap()
    return b"\x12" + _packed(value.tobytes())


def _packed(payload: bytes) -> bytes:
    body = b"\n" + encode_varint(len(payload)) + payload if payload else b""  # protobuf does not write empty fields
    return encode_varint(len(body)) + body


_ONE_BYTE_VARINTS = tuple(bytes([number]) for number in range(128))


def encode_varint(number: int) -> bytes:
    """Return a protobuf varint: seven bits per byte, the lowest first; the eighth bit is set if more bytes follow."""
    if number < 128:
        return _ONE_BYTE_VARINTS[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_example(data: bytes) -> dict[str, list[bytes] | list[int] | list[float]]:
    """Return the features of a serialized tf.train.Example. Raises ValueError if the bytes are not such a message."""
    features: dict[str, list[bytes] | list[int] | list[float]] = {}
    try:
        for number, message in _fields(memoryview(data)):  # slices of it are not copied
            for tag, entry in _fields(message) if number == 1 else ():
                if tag == 1:
                    parts = dict(_fields(entry))
                    features[bytes(parts[1]).decode()] = _decode_feature(parts.get(2, b""))
    except (IndexError, KeyError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("not a tf.train.Example") from error
    return features


def _decode_feature(data: bytes | memoryview) -> list[bytes] | list[int] | list[float]:
    kind, payload = next(iter(_fields(data)), (1, b""))
    values = [value for number, value in _fields(payload) if number == 1]
    if kind == 1:
        return list(map(bytes, values))
    if kind == 2:
        joined = b"".join(values)
        return list(struct.unpack(f"<{len(joined) // 4}f", joined))
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):  # an int64 list that is not packed
            numbers.append(_signed(value))
            continue
        position = 0
        while position < len(value):
            item, position = _read_varint(value, position)
            numbers.append(_signed(item))
    return numbers


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, Any]]:
    """Yield (field number, payload) of a protobuf message. The payload of a varint field is an int, else a slice."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        wire = tag & 7
        if wire == 0:
            value, position = _read_varint(data, position)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, position = _read_varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("not a tf.train.Example")
        if position + size > len(data):
            raise ValueError("not a tf.train.Example")
        yield tag >> 3, data[position : position + size]
        position += size
