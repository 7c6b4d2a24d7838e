"""One COCO-style record: encoder and decoder, with the keys of the Object Detection API."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    """Return one serialised tf.train.Example of an image with n boxes; n may be 0.

    Args:
        encoded: a JPEG file's bytes.
        image_id: of the data set.
        filename: as the annotation file has it.
        height, width: pixels.
        boxes_yxyx: n × (ymin, xmin, ymax, xmax), normalised to [0, 1].
        classes: n class numbers 1..K. texts: n category names. is_crowd: n flags. area: n of the objects, in px².
    """
    sides = list(zip(*boxes_yxyx, strict=True)) or [()] * 4
    entries: dict[str, Value] = {
        ENCODED: encoded,
        FILENAME: filename.encode("utf-8", "surrogateescape"),
        FORMAT: b"jpeg",
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
    """Parse one serialised example (string []) with n boxes in TensorFlow, as tf.data's map wants it.

    Args:
        names: of classes 1..K. They number the boxes of records that have texts but no labels, as the Object Detection
            API's COCO script writes them.

    Returns:
        image_bytes string [], filename string [], height and width int64 [] in px;
        image_id int64 []; where the record's isn't a whole number, a hash of it that is below 2^31;
        boxes_yxyx float32 [n, 4] in px of the image, clipped to it;
        classes int64 [n] 1..K; is_crowd bool [n], False where the record has none;
        area float32 [n] in px², of the box where the record has none.

    Raises InvalidArgumentError (when run) where the lists differ in length or a text is none of `names`.
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(serialized, _features(tf))
    height, width = _size(tf, parsed)
    scale = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    boxes = tf.clip_by_value(tf.stack([parsed[side] for side in BOX_SIDES], axis=-1), 0.0, 1.0) * scale
    classes = parsed[OBJECT_LABEL]
    if names:
        classes = _default(tf, classes, lambda: _numbered(tf, parsed[OBJECT_TEXT], names))
    sizes = boxes[:, 2:] - boxes[:, :2]
    area = _default(tf, parsed[AREA], lambda: sizes[:, 0] * sizes[:, 1])
    crowd = _default(tf, parsed[IS_CROWD], lambda: tf.zeros_like(classes))
    count = tf.shape(boxes)[0]
    same = [tf.debugging.assert_equal(tf.size(values), count, "a record's lists differ in length")
            for values in (classes, area, crowd)]  # fmt: skip
    with tf.control_dependencies([check for check in same if check is not None]):  # None: run at once
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
    """Return the values, or what `make` gives where there are none."""
    return tf.cond(tf.size(values) > 0, lambda: values, make)


def _size(tf: Any, parsed: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (height, width) in px, from the image itself where the record doesn't say."""
    said = tf.stack([parsed[HEIGHT], parsed[WIDTH]])

    def look() -> tf.Tensor:
        return tf.cast(tf.shape(tf.io.decode_image(parsed[ENCODED], expand_animations=False))[:2], tf.int64)

    size = tf.cond(tf.reduce_all(said > 0), lambda: said, look)
    size = tf.ensure_shape(size, [2])
    return size[0], size[1]


def _numbered(tf: Any, texts: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    same = tf.equal(texts[:, None], tf.constant(list(names))[None, :])
    known = tf.debugging.Assert(
        tf.reduce_all(tf.reduce_any(same, axis=1)), ["a box's class is not among the known ones:", texts]
    )
    with tf.control_dependencies([known] if known is not None else []):
        return tf.argmax(tf.cast(same, tf.int64), axis=1) + 1


def _image_id(tf: Any, source_id: tf.Tensor, filename: tf.Tensor) -> tf.Tensor:
    whole = tf.strings.regex_full_match(source_id, r"-?\d{1,18}")
    return tf.cond(
        whole,
        lambda: tf.strings.to_number(source_id, tf.int64),
        lambda: tf.strings.to_hash_bucket_fast(tf.strings.join([source_id, filename], "/"), 1 << 31),
    )


def coco_fault(example: Mapping[str, Sequence[Any]], classes: int) -> str:
    """Say what makes an example (as `decode_example` gives it) useless for detection with K classes; "" if nothing.

    Boxes that overshoot the image by less than its size pass: parsing clips them.
    """
    if len(example.get(ENCODED, ())) != 1:
        return "it holds no image"
    sides = [list(example.get(side, ())) for side in BOX_SIDES]
    labels = list(example.get(OBJECT_LABEL, ())) or list(example.get(OBJECT_TEXT, ()))
    counts = {len(values) for values in (*sides, labels)}
    if len(counts) > 1:
        return f"its lists of box sides and labels differ in length: {sorted(counts)}"
    for number, (box, label) in enumerate(zip(zip(*sides, strict=True), labels, strict=True)):
        if not all(isinstance(side, float) and math.isfinite(side) for side in box):
            return f"box {number} has a side that is no finite number"
        top, left, bottom, right = (min(max(side, 0.0), 1.0) for side in box)
        if bottom <= top or right <= left:
            shown = ", ".join(f"{side:g}" for side in box)
            return f"box {number} (ymin, xmin, ymax, xmax: {shown}) has no area within the image"
        if isinstance(label, int) and not 1 <= label <= classes:
            return f"box {number} has the label {label}, expected 1..{classes}"
    return ""
