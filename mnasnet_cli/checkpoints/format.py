"""The parts of a checkpoint: TensorFlow's names for them, and strings."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

_KEY = "VARIABLE_VALUE"
VALUE = f"/.ATTRIBUTES/{_KEY}"


class SavedText(tf.Module):
    """A string that is saved like a variable; a variable can't be one where several processes train."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def _serialize_to_tensors(self) -> dict[str, tf.Tensor]:
        return {_KEY: tf.constant(self.text)}

    def _restore_from_tensors(self, restored: Mapping[str, tf.Tensor]) -> None:
        self.text = restored[_KEY].numpy().decode()


def checkpoint_keys(folder: str, variables: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    """Variables under the names that they have in a checkpoint."""
    return {f"{folder}/{name.replace('.', '..').replace('/', '.S')}": v for name, v in variables.items()}


def read_into(prefix: str, variables: Mapping[str, tf.Variable]) -> None:
    """Gives variables the values that a checkpoint has under these names, on all replicas of this process."""
    reader = tf.train.load_checkpoint(prefix)
    for key, variable in variables.items():
        value = reader.get_tensor(f"{key}{VALUE}")
        for local in tf.distribute.get_strategy().experimental_local_results(variable):
            local.assign(value)


def read_text(prefix: str, key: str) -> str:
    """A `SavedText` of a checkpoint."""
    return str(tf.train.load_checkpoint(prefix).get_tensor(f"{key}{VALUE}").decode())


def weight_name(name: str) -> str:
    """Undoes the escaping of names in TensorFlow's object graph: "/" is ".S" and "." is ".."."""
    return name.replace("..", "\0").replace(".S", "/").replace("\0", ".")
