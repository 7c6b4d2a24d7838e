"""What differs between two files, folders or JSON values, in words; "" where nothing does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

TIMES = ("seconds", "cpu_seconds", "images_per_second")
# These files differ from run to run of the same code. TensorFlow draws a random id for every SavedModel, and protobuf
# writes the attributes of a node in an order that it draws for every process. tf2onnx numbers constants at random.
RANDOM_FILES = {
    "saved-model": ("fingerprint.pb", "saved_model.pb"),
    "frozen": ("model.pb",),
    "onnx": ("model.onnx",),
}


def values(before: Any, after: Any) -> str:
    """Differences of JSON values; times are left out."""
    return _shortened(_differences(before, after))


def _differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{place}.{key}".lstrip(".")
            if key in TIMES:
                continue
            if key not in before or key not in after:
                yield f"{inner} is in one only ({'before' if key in before else 'after'})"
            else:
                yield from _differences(before[key], after[key], inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif before != after:
        yield f"{place}: {_short(before)} is now {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _shortened(found: Iterator[str]) -> str:
    shown = list(found)
    more = f"; and {len(shown) - 5} more" if len(shown) > 5 else ""
    return "; ".join(shown[:5]) + more


def json_files(before: Path, after: Path) -> str:
    return values(json.loads(before.read_text()), json.loads(after.read_text()))


def json_lines(before: Path, after: Path, last_step: int | None = None) -> str:
    """Differences of two metrics.jsonl, up to a step."""
    lines = [[json.loads(line) for line in path.read_text().splitlines()] for path in (before, after)]
    kept = [[line for line in part if last_step is None or line["step"] <= last_step] for part in lines]
    return values(*kept)


def file_bytes(before: Path, after: Path) -> str:
    one, other = before.read_bytes(), after.read_bytes()
    if one == other:
        return ""
    same_length = len(one) == len(other)
    count = int(np.count_nonzero(np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8))) if same_length else 0
    return f"{count:,} of {len(one):,} bytes differ" if same_length else f"{len(one):,} bytes are now {len(other):,}"


def graphs(before: Path, after: Path) -> str:
    """Differences of two frozen graphs: of their bytes, with the attributes of every node in order."""
    import tensorflow as tf

    parsed = [tf.compat.v1.GraphDef.FromString(file.read_bytes()) for file in (before, after)]
    whole = [graph.SerializeToString(deterministic=True) for graph in parsed]
    if whole[0] == whole[1]:
        return ""
    one, other = ({node.name: node for node in graph.node} for graph in parsed)
    found = [f"{name} is in one only" for name in sorted(set(one) ^ set(other))]
    found += [f"node {name}" for name in one if name in other and one[name] != other[name]]
    return _shortened(iter(found or ["the order of the nodes, or what is beside them"]))


def folder_bytes(before: Path, after: Path, left_out: tuple[str, ...] = ()) -> str:
    """Differences of all files below two folders, but for files of some names."""
    names = [
        {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.name not in left_out}
        for root in (before, after)
    ]
    found = [f"{name} is in one only" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        difference = file_bytes(before / name, after / name)
        found += [f"{name}: {difference}"] if difference else []
    return _shortened(iter(found))


def checkpoints(before: str, after: str) -> str:
    """Differences of every variable of two checkpoints, bit by bit, but for the object graph and the save counter.

    The graph may list the same objects in another order; the counter says how often something was saved.
    """
    import tensorflow as tf

    one, other = tf.train.load_checkpoint(before), tf.train.load_checkpoint(after)
    left_out = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
    names = [set(reader.get_variable_to_shape_map()) - set(left_out) for reader in (one, other)]
    found = [f"{name} is in one only" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        mine, theirs = one.get_tensor(name), other.get_tensor(name)
        if isinstance(mine, bytes):
            found += [f"{name}: {values(*map(_parsed, (mine, theirs)))}"] if mine != theirs else []
        elif mine.shape != theirs.shape or mine.tobytes() != theirs.tobytes():
            found.append(f"{name} by up to {_largest(mine, theirs)}")
    return _shortened(iter(found))


def count_variables(prefix: str) -> int:
    import tensorflow as tf

    return len(tf.train.load_checkpoint(prefix).get_variable_to_shape_map())


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")


def _largest(one: np.ndarray, other: np.ndarray) -> str:
    if one.shape != other.shape:
        return f"shape {other.shape} instead of {one.shape}"
    return f"{np.abs(one.astype(np.float64) - other.astype(np.float64)).max():.3g}"


def outputs(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> str:
    """Differences of the outputs of two models, by name."""
    found = [f"{name} is in one only" for name in sorted(set(before) ^ set(after))]
    for name in sorted(set(before) & set(after)):
        one, other = np.asarray(before[name]), np.asarray(after[name])
        if one.shape != other.shape or (one != other).any():
            found.append(f"{name} by up to {_largest(one, other)}")
    return _shortened(iter(found))


def run_saved_model(folder: Path, images: list[bytes]) -> dict[str, np.ndarray]:
    """The outputs of every signature for encoded images: all at once, one by one, and as the net's input."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    found = {}
    for name, signature in model.signatures.items():
        ((argument, spec),) = signature.structured_input_signature[1].items()
        for number, value in enumerate(_inputs(spec.dtype.name, spec.shape, images)):
            result = signature(**{argument: tf.constant(value)})
            found |= {f"{name}/{number}/{key}": output.numpy() for key, output in result.items()}
    return found


def run_onnx(file: Path, images: list[bytes]) -> dict[str, np.ndarray]:
    """The outputs for images as the net's input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    found = {}
    for number, value in enumerate(_inputs("float32", argument.shape, images)):
        found |= {
            f"{number}/{name}": out for name, out in zip(names, session.run(None, {argument.name: value}), strict=True)
        }
    return found


def _inputs(dtype: str, shape: Any, images: list[bytes]) -> Iterator[np.ndarray]:
    """Encoded images as an input of this type takes them: as they are, decoded, or as the net's own input."""
    import tensorflow as tf

    if dtype == "string":
        yield np.array(images, dtype=object)
        return
    batches = shape[0] is None or isinstance(shape[0], str)
    decoded = [tf.io.decode_image(image, channels=3, expand_animations=False) for image in images]
    if dtype == "uint8":
        for image in decoded:
            yield image.numpy()[None]
        return
    size = int(shape[1])
    tensors = [tf.image.resize(tf.cast(image, tf.float32), [size, size]).numpy() / 64.0 - 2.0 for image in decoded]
    yield from [np.stack(tensors)] if batches else [tensor[None] for tensor in tensors]
