"""The format of a checkpoint: the keys of its tensors, and text as a tensor.

Every checkpoint holds the step, `info` and `losses` as JSON, and the weights of a net. Checkpoints of a training run
also hold the optimizer's slots and, if the run averages its weights, the averages.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

STEP, INFO, LOSSES = "step", "info", "losses"
MODEL_WEIGHTS, AVERAGED_WEIGHTS, SLOTS = "model/weights", "average/weights", "optimizer/slots"
_VALUE = "VARIABLE_VALUE"  # TensorFlow's name for the value of a variable


class SavedText(tf.Module):
    """A string that is saved like a variable. Variables cannot hold strings in multi-worker training."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def _serialize_to_tensors(self) -> dict[str, tf.Tensor]:
        return {_VALUE: tf.constant(self.text)}

    def _restore_from_tensors(self, restored: Mapping[str, tf.Tensor]) -> None:
        self.text = restored[_VALUE].numpy().decode()


def value_key(path: str) -> str:
    """Return the key of a variable or text, from its path in TensorFlow's object graph."""
    return f"{path}/.ATTRIBUTES/{_VALUE}"


def variable_key(folder: str, name: str) -> str:
    """Return the key of a variable in a dictionary of the object graph. In its name, "." and "/" are escaped."""
    return value_key(f"{folder}/{name.replace('.', '..').replace('/', '.S')}")


def variable_name(folder: str, key: str) -> str | None:
    """Return the name of the variable that has this key in a dictionary; None if it is not in the dictionary."""
    start, end = f"{folder}/", value_key("")
    if not (key.startswith(start) and key.endswith(end)):
        return None
    return key.removeprefix(start).removesuffix(end).replace("..", "\0").replace(".S", "/").replace("\0", ".")
