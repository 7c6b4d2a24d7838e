"""The keys of records: for ImageNet those of TF-Slim and the TPU code, for COCO those of the Object Detection API."""

from __future__ import annotations

ENCODED = "image/encoded"
FORMAT = "image/format"  # "JPEG" or "PNG" for ImageNet, "jpeg" or "png" for COCO
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
SOURCE_ID = "image/source_id"  # the image id in decimal digits
SHA256 = "image/key/sha256"  # of the encoded image, in hexadecimal digits
BOX_SIDES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))  # 0..1
OBJECT_LABEL = "image/object/class/label"
OBJECT_TEXT = "image/object/class/text"
IS_CROWD = "image/object/is_crowd"
AREA = "image/object/area"  # px²; of the object's segmentation if there is one, else of its box

AREA_LIMITS = (32**2, 96**2)  # px²: COCO calls an object small below the first limit and large from the second
COCO_SIZES = {"small": "below 32² px", "medium": "below 96² px", "large": "from 96² px"}
