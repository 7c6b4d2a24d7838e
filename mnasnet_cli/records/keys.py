"""The keys of the records: ImageNet's as in TF-Slim and the TPU code, COCO's as in the Object Detection API."""

from __future__ import annotations

ENCODED = "image/encoded"
FORMAT = "image/format"
HEIGHT = "image/height"
WIDTH = "image/width"
FILENAME = "image/filename"

# ImageNet
COLORSPACE = "image/colorspace"
CHANNELS = "image/channels"
LABEL = "image/class/label"
SYNSET = "image/class/synset"
TEXT = "image/class/text"

# COCO
SOURCE_ID = "image/source_id"  # the image's id, in decimal digits
SHA256 = "image/key/sha256"  # hex, of the encoded image
BOX_SIDES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))  # 0..1
OBJECT_LABEL = "image/object/class/label"
OBJECT_TEXT = "image/object/class/text"
IS_CROWD = "image/object/is_crowd"
AREA = "image/object/area"  # of the object, not of its box where the two differ; px²

AREA_LIMITS = (32**2, 96**2)  # px²: small below the first, large from the second; the limits of COCO's evaluation
