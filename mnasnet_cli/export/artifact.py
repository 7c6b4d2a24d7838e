"""What the writer of each format gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Written:
    """An artifact that has been written."""

    path: Path
    """What `open_model` takes."""
    signature: Mapping[str, Any]
    """As the manifest has it."""
    boxes_inside: bool = True
    """Of a detector: whether it gives boxes, and not raw heads."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the libraries that wrote it, besides TensorFlow."""
    notes: tuple[str, ...] = ()
    """Where it is another net than the checkpoint's, in words."""


def describe(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Tensors, or specs of them, by name as a signature says them; None is an open dimension."""
    return {
        name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()} for name, tensor in sorted(tensors.items())
    }
