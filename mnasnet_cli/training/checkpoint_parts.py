"""A string inside a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

_KEY = "VARIABLE_VALUE"  # as a variable would be saved


class SavedText(tf.Module):
    """A string that is saved like a variable; a variable can't be one where several processes train."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def _serialize_to_tensors(self) -> dict[str, tf.Tensor]:
        return {_KEY: tf.constant(self.text)}

    def _restore_from_tensors(self, restored: Mapping[str, tf.Tensor]) -> None:
        self.text = restored[_KEY].numpy().decode()
