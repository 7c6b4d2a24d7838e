"""What a command wrote: digests, leftovers, and whether a file is whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path

# Names that no finished file has.
TEMPORARY = re.compile(r"^\.|\.tmp$|\.old$|\.partial|~$|\.tempstate|_temp/|^unfinished-")


def digest(path: Path) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file by its path below the folder."""
    if folder.is_file():
        return {".": digest(folder)}
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def is_remade(path: str) -> bool:
    """Whether a file is made again by any command that wants it, and may be missing: the index of records."""
    return path.endswith(".index") and "ckpt" not in path


def is_temporary(path: str) -> bool:
    """Whether a path has a part that only unfinished files have."""
    return any(TEMPORARY.search(part) for part in path.split("/"))


def fault_of(path: Path) -> str:
    """Return what is wrong with a file under a final name, "" for a whole file."""
    try:
        data = path.read_bytes()
        return _fault_of_content(path, data)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def _fault_of_content(path: Path, data: bytes) -> str:
    from PIL import Image

    suffix, name = path.suffix.lower(), path.name
    if name.endswith((".log", ".jsonl")) or "tfevents" in name:
        return ""  # grows by lines
    if not data and suffix in {".json", ".html", ".png", ".jpg", ".csv", ".npz", ".md", ".tflite", ".onnx", ".pb"}:
        return "is empty"
    if suffix == ".json":
        json.loads(data)
    elif suffix in {".jpg", ".jpeg", ".png"}:
        Image.open(io.BytesIO(data)).load()
        if suffix == ".jpg" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
            return "a JPEG without an end"
    elif suffix == ".html":
        if not data.rstrip().endswith(b"</html>"):
            return "a page without an end"
    elif suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode())))
        if len({len(row) for row in rows}) > 1 or not data.endswith(b"\n"):
            return "a table with rows of different lengths"
    elif suffix == ".npz":
        import numpy as np

        with np.load(io.BytesIO(data)) as arrays:
            for key in arrays.files:
                arrays[key]
    elif suffix == ".index" and "ckpt" in name:
        if not list(path.parent.glob(f"{path.stem}.data-*")):
            return "a checkpoint without its data"
    elif suffix == ".index":  # of records
        header, _, lengths = data.partition(b"\n")
        if len(lengths) != 4 * sum(shard["records"] for shard in json.loads(header)["shards"]):
            return "an index without an end"
    elif re.search(r"-\d{5}-of-\d{5}$", name) and ".data-" not in name:
        from mnasnet_cli.records.tfrecord import read_records

        for _ in read_records(path):
            pass
    elif suffix == ".yaml":
        import yaml

        if not yaml.safe_load(data):
            return "no configuration"
    return ""


def weights_digest(run: Path) -> str:
    """Return a digest of everything that the newest checkpoint of a run holds, but for the order of its objects."""
    import tensorflow as tf

    prefix = tf.train.latest_checkpoint(str(run / "checkpoints"))
    if prefix is None:
        return "no checkpoint"
    reader = tf.train.load_checkpoint(prefix)
    total = hashlib.sha256()
    for key in sorted(reader.get_variable_to_shape_map()):
        if key == "_CHECKPOINTABLE_OBJECT_GRAPH":
            continue
        value = reader.get_tensor(key)
        total.update(key.encode() + (value if isinstance(value, bytes) else value.tobytes()))
    return total.hexdigest()
