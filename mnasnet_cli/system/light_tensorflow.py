"""Keeps TensorFlow from importing Keras at its start."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def light_tensorflow() -> Iterator[None]:
    """Import TensorFlow without Keras in the block; afterwards Keras can be imported as usual, also as `tf.keras`.

    TensorFlow loads Keras for its users, which takes almost as long as the rest of TensorFlow, and goes on if that
    fails. Nothing here uses Keras.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Keras where it is, since TensorFlow looks up its folder, but with a loader that refuses."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in ("keras", "tf_keras"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = _Refusal()
        return spec


class _Refusal(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(f"{module.__name__} is not imported while TensorFlow starts", name=module.__name__)
