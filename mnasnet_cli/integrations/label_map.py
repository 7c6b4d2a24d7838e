"""The label map that the Object Detection API wants beside COCO records:

    python -m mnasnet_cli.integrations.label_map data/coco label_map.pbtxt

Its ids are those of the data set's categories (1 … 90 for COCO), as in the API's own label map of COCO: with it, the
API reads class names, not our class numbers, and its detections carry category ids. A pipeline's ``num_classes`` is
the largest id.
"""

from __future__ import annotations

import json
import os
import sys

USAGE = "usage: python -m mnasnet_cli.integrations.label_map RECORDS LABEL_MAP.pbtxt"


def label_map(records: str) -> str:
    """Returns the label map for a folder of ``mnasnet prepare-coco``.

    Raises:
      ValueError: its dataset.json is not there, cannot be read, or lists no categories.
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
    # JSON quotes as the text format does where it leaves characters beyond ASCII alone.
    return "".join(
        f"item {{\n  id: {number}\n  name: {json.dumps(name, ensure_ascii=False)}\n}}\n" for number, name in rows
    )


def main() -> None:
    """Writes the label map that the arguments name."""
    if len(sys.argv) != 3:
        sys.exit(USAGE)
    try:
        text = label_map(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
