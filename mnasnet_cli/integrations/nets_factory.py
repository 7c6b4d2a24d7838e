"""MnasNet in TF-Slim's ``nets_factory``:

    from mnasnet_cli.integrations import nets_factory

    nets_factory.register()

Afterwards ``--model_name=mnasnet_b1`` is a net of slim's programs, and they read the folders that ``mnasnet
prepare-imagenet`` writes. Needs slim's folder (``nets``, ``datasets``) on the path.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from typing import Any, Callable

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import tf


def register(factory: Any = None, dataset_utils: Any = None) -> list[str]:
    """Adds every net to ``networks_map`` and ``arg_scopes_map``; returns the names. Calling it again changes nothing.

    Args:
      factory: the module that holds the two maps; None imports slim's ``nets.nets_factory``.
      dataset_utils: the module whose ``read_label_file`` is to read our labels.txt, too; None imports slim's
        ``datasets.dataset_utils`` where it is on the path.

    Raises:
      ImportError: slim's folder is not on the path.
    """
    if factory is None:
        try:
            factory = importlib.import_module("nets.nets_factory")
        except ImportError as error:
            raise ImportError(
                f"TF-Slim's nets_factory cannot be imported ({error}); put slim/, the folder of nets/, on PYTHONPATH"
            ) from error
    if dataset_utils is None:
        with contextlib.suppress(ImportError):  # nets/ alone is enough for the nets
            dataset_utils = importlib.import_module("datasets.dataset_utils")
    factory.networks_map.update(mnasnet.networks_map)
    factory.arg_scopes_map.update(mnasnet.arg_scopes_map)
    if dataset_utils is not None:
        dataset_utils.read_label_file = _reading_our_labels(dataset_utils.read_label_file)
    return sorted(mnasnet.networks_map)


def _reading_our_labels(read_label_file: Callable[..., Any]) -> Callable[..., Any]:
    """Returns slim's ``read_label_file``, extended by our form of labels.txt, where class i stands on line i.

    Slim's has "1:tench"; without this, its ImageNet data set stops at ours, "n01440764<TAB>tench".
    """
    if hasattr(read_label_file, "__wrapped__"):
        return read_label_file

    @functools.wraps(read_label_file)
    def read(dataset_dir: str, filename: str = "labels.txt") -> dict[int, str]:
        with tf.io.gfile.GFile(os.path.join(dataset_dir, filename), "rb") as file:
            lines = file.read().decode("utf-8").splitlines()
        rows = [line.split("\t", 1) for line in lines if line]
        if not rows or not all(len(row) == 2 for row in rows):
            found: dict[int, str] = read_label_file(dataset_dir, filename)
            return found
        return {0: "background", **{number: text for number, (_, text) in enumerate(rows, 1)}}

    return read
