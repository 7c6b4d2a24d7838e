"""Writes the label map that the Object Detection API needs with COCO records:

    python -m mnasnet_cli.integrations.label_map data/coco label_map.pbtxt

The ids are the category ids of the data set (1 … 90 for COCO), as in the API's own label map of COCO. With a label map,
the API reads the class names of the records instead of their labels, and its detections have category ids. Set
``num_classes`` of the pipeline to the largest id.
"""

from __future__ import annotations

import json
import os
import sys

USAGE = "usage: python -m mnasnet_cli.integrations.label_map RECORDS LABEL_MAP.pbtxt"


def label_map(records: str) -> str:
    """Returns the label map for a record folder of ``mnasnet prepare-coco``.

    Raises:
      ValueError: dataset.json is missing, is damaged, or has no categories.
    """
    path = os.path.join(records, "dataset.json")
    try:
        with open(path, encoding="utf-8") as file:
            categories = json.load(file)["categories"]
        rows = [(int(category["id"]), str(category["name"])) for category in categories]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"no COCO categories in {path} ({error!r}); write the records with `mnasnet prepare-coco`"
        ) from error
    # Without ASCII escapes, JSON quotes strings as the text format of protocol buffers does.
    return "".join(
        f"item {{\n  id: {number}\n  name: {json.dumps(name, ensure_ascii=False)}\n}}\n" for number, name in rows
    )


def main() -> None:
    """Writes the label map to the file given on the command line."""
    if len(sys.argv) != 3:
        sys.exit(USAGE)
    try:
        text = label_map(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    temporary = sys.argv[2] + ".tmp"  # without the package, its writer is not there either
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, sys.argv[2])


if __name__ == "__main__":
    main()
