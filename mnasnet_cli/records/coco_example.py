"""Encodes and decodes COCO-style records, with the keys of the Object Detection API."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnasnet_cli.records.image_files.kinds import PNG_SIGNATURE
from mnasnet_cli.records.keys import (
    AREA,
    BOX_SIDES,
    ENCODED,
    FILENAME,
    FORMAT,
    HEIGHT,
    IS_CROWD,
    OBJECT_LABEL,
    OBJECT_TEXT,
    SHA256,
    SOURCE_ID,
    WIDTH,
)
from mnasnet_cli.records.tfrecord import Value, encode_entry, join_entries

if TYPE_CHECKING:
    import tensorflow as tf


Box = Sequence[float]


def encode_coco_example(
    encoded: bytes,
    *,
    image_id: int,
    filename: str,
    height: int,
    width: int,
    boxes_yxyx: Sequence[Box],
    classes: Sequence[int],
    texts: Sequence[str],
    is_crowd: Sequence[bool],
    area: Sequence[float],
) -> bytes:
    """Return a serialized tf.train.Example of an image with n boxes; n may be 0.

    Args:
        encoded: bytes of a JPEG or PNG file.
        image_id: the data set's id of the image.
        filename: name in the annotation file.
        height, width: pixels.
        boxes_yxyx: n × (ymin, xmin, ymax, xmax), normalized to [0, 1].
        classes: n class numbers 1..K. texts: n category names. is_crowd: n flags. area: n areas of the objects in px².
    """
    sides = list(zip(*boxes_yxyx, strict=True)) or [()] * 4
    entries: dict[str, Value] = {
        ENCODED: encoded,
        FILENAME: filename.encode("utf-8", "surrogateescape"),
        FORMAT: b"png" if encoded.startswith(PNG_SIGNATURE) else b"jpeg",
        HEIGHT: height,
        WIDTH: width,
        SOURCE_ID: str(image_id).encode(),
        SHA256: hashlib.sha256(encoded).hexdigest().encode(),
        **{key: array("f", values) for key, values in zip(BOX_SIDES, sides, strict=True)},
        OBJECT_LABEL: array("q", classes),
        OBJECT_TEXT: [text.encode() for text in texts],
        IS_CROWD: array("q", map(int, is_crowd)),
        AREA: array("f", area),
    }
    return join_entries([encode_entry(key, entries[key]) for key in sorted(entries)])


def parse_coco_example(serialized: tf.Tensor, names: Sequence[str] = ()) -> dict[str, tf.Tensor]:
    """Parse a serialized example (string []) with n boxes in TensorFlow, for tf.data's map.

    Args:
        names: names of the classes 1..K, for records with texts but without labels. The COCO script of the Object
            Detection API writes such records.

    Returns:
        image_bytes string [], filename string [], height and width int64 [] in px;
        image_id int64 []: the record's, or a hash below 2^31 if that is not an integer;
        boxes_yxyx float32 [n, 4] in px, clipped to the image;
        classes int64 [n] 1..K; is_crowd bool [n], False if the record has no flags;
        area float32 [n] in px², the areas of the boxes if the record has no areas.

    Raises InvalidArgumentError (when run) if the lists differ in length or a text is not one of `names`.
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(serialized, _features(tf))
    height, width = _size(tf, parsed)
    scale = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    boxes = tf.clip_by_value(tf.stack([parsed[side] for side in BOX_SIDES], axis=-1), 0.0, 1.0) * scale
    classes = parsed[OBJECT_LABEL]
    if names:
        classes = _default(tf, classes, lambda: _classes_of_texts(tf, parsed[OBJECT_TEXT], names))
    sizes = boxes[:, 2:] - boxes[:, :2]
    area = _default(tf, parsed[AREA], lambda: sizes[:, 0] * sizes[:, 1])
    crowd = _default(tf, parsed[IS_CROWD], lambda: tf.zeros_like(classes))
    count = tf.shape(boxes)[0]
    same = [tf.debugging.assert_equal(tf.size(values), count, "the lists of a record differ in length")
            for values in (classes, area, crowd)]  # fmt: skip
    with tf.control_dependencies([check for check in same if check is not None]):  # None in eager mode
        classes = tf.identity(classes)
    return {
        "image_bytes": parsed[ENCODED],
        "filename": parsed[FILENAME],
        "image_id": _image_id(tf, parsed[SOURCE_ID], parsed[FILENAME]),
        "height": height,
        "width": width,
        "boxes_yxyx": boxes,
        "classes": classes,
        "is_crowd": crowd > 0,
        "area": area,
    }


def _features(tf: Any) -> dict[str, Any]:
    one, many = tf.io.FixedLenFeature, tf.io.FixedLenSequenceFeature
    return {
        ENCODED: one([], tf.string),
        FILENAME: one([], tf.string, default_value=""),
        SOURCE_ID: one([], tf.string, default_value=""),
        HEIGHT: one([], tf.int64, default_value=0),
        WIDTH: one([], tf.int64, default_value=0),
        OBJECT_LABEL: many([], tf.int64, allow_missing=True),
        OBJECT_TEXT: many([], tf.string, allow_missing=True),
        IS_CROWD: many([], tf.int64, allow_missing=True),
        AREA: many([], tf.float32, allow_missing=True),
        **{side: many([], tf.float32, allow_missing=True) for side in BOX_SIDES},
    }


def _default(tf: Any, values: tf.Tensor, make: Any) -> tf.Tensor:
    """Return the values, or the result of `make` if there are none."""
    return tf.cond(tf.size(values) > 0, lambda: values, make)


def _size(tf: Any, parsed: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (height, width) in px, from the encoded image if the record does not have them."""
    stored = tf.stack([parsed[HEIGHT], parsed[WIDTH]])

    def decode() -> tf.Tensor:
        return tf.cast(tf.shape(tf.io.decode_image(parsed[ENCODED], expand_animations=False))[:2], tf.int64)

    size = tf.cond(tf.reduce_all(stored > 0), lambda: stored, decode)
    size = tf.ensure_shape(size, [2])
    return size[0], size[1]


def _classes_of_texts(tf: Any, texts: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Return the class numbers 1..K of texts."""
    same = tf.equal(texts[:, None], tf.constant(list(names))[None, :])
    known = tf.debugging.Assert(tf.reduce_all(tf.reduce_any(same, axis=1)), ["unknown class of a box:", texts])
    with tf.control_dependencies([known] if known is not None else []):
        return tf.argmax(tf.cast(same, tf.int64), axis=1) + 1


def _image_id(tf: Any, source_id: tf.Tensor, filename: tf.Tensor) -> tf.Tensor:
    is_integer = tf.strings.regex_full_match(source_id, r"-?\d{1,18}")
    return tf.cond(
        is_integer,
        lambda: tf.strings.to_number(source_id, tf.int64),
        lambda: tf.strings.to_hash_bucket_fast(tf.strings.join([source_id, filename], "/"), 1 << 31),
    )


def coco_fault(example: Mapping[str, Sequence[Any]], classes: int) -> str:
    """Return why an example from `decode_example` cannot be used for detection with K classes, "" if it can.

    Boxes that are partly outside the image are allowed: parsing clips them.
    """
    if len(example.get(ENCODED, ())) != 1:
        return "it contains no image"
    sides = [list(example.get(side, ())) for side in BOX_SIDES]
    labels = list(example.get(OBJECT_LABEL, ())) or list(example.get(OBJECT_TEXT, ()))
    counts = {len(values) for values in (*sides, labels)}
    if len(counts) > 1:
        return f"its lists of box sides and labels differ in length: {sorted(counts)}"
    for number, (box, label) in enumerate(zip(zip(*sides, strict=True), labels, strict=True)):
        if not all(isinstance(side, float) and math.isfinite(side) for side in box):
            return f"box {number} has a side that is not a finite number"
        top, left, bottom, right = (min(max(side, 0.0), 1.0) for side in box)
        if bottom <= top or right <= left:
            shown = ", ".join(f"{side:g}" for side in box)
            return f"box {number} (ymin, xmin, ymax, xmax: {shown}) has no area within the image"
        if isinstance(label, int) and not 1 <= label <= classes:
            return f"box {number} has the label {label}, expected 1..{classes}"
    return ""
