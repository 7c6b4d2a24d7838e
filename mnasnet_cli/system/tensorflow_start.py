"""What must be set before TensorFlow is imported."""

from __future__ import annotations

import os
import platform

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def choose_onednn() -> None:
    """Let TensorFlow use oneDNN on x86, unless the user has chosen. Without effect after TensorFlow's import.

    TensorFlow 2.21 leaves oneDNN out on x86 processors without AVX-512 VNNI, AVX-512 BF16 or AMX, such as most PCs. A
    training step takes twice as long there without it (docs/explanation/results.md).
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault(ONEDNN_VARIABLE, "1")


def prepare_tensorflow(*, notices: bool = False) -> None:
    """Choose oneDNN and silence TensorFlow. Call it before TensorFlow is imported: later it has no effect.

    Args:
      notices: let TensorFlow's notices through.
    """
    choose_onednn()
    if not notices:
        from mnasnet_cli.system.tensorflow_notices import silence_tensorflow

        silence_tensorflow()
