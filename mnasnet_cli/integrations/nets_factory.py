"""MnasNet in TF-Slim's ``nets_factory``:

    from mnasnet_cli.integrations import nets_factory

    nets_factory.register()

Afterwards slim's programs accept ``--model_name=mnasnet_b1``, and read the records of ``mnasnet prepare-imagenet``.
slim's folder (``nets``, ``datasets``) must be on the path.
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
    """Adds every net to ``networks_map`` and ``arg_scopes_map``; returns their names. A second call changes nothing.

    Args:
      factory: the module with the two maps; None imports slim's ``nets.nets_factory``.
      dataset_utils: the module whose ``read_label_file`` is extended to our labels.txt; None imports slim's
        ``datasets.dataset_utils`` if it is on the path.

    Raises:
      ImportError: slim's folder is not on the path.
    """
    if factory is None:
        try:
            factory = importlib.import_module("nets.nets_factory")
        except ImportError as error:
            raise ImportError(
                f"TF-Slim's nets_factory cannot be imported ({error}); add slim/, the folder of nets/, to PYTHONPATH"
            ) from error
    if dataset_utils is None:
        with contextlib.suppress(ImportError):  # the nets need only nets/
            dataset_utils = importlib.import_module("datasets.dataset_utils")
    factory.networks_map.update(mnasnet.networks_map)
    factory.arg_scopes_map.update(mnasnet.arg_scopes_map)
    if dataset_utils is not None:
        dataset_utils.read_label_file = _with_our_labels(dataset_utils.read_label_file)
    return sorted(mnasnet.networks_map)


def _with_our_labels(read_label_file: Callable[..., Any]) -> Callable[..., Any]:
    """Returns ``read_label_file``, extended to our format of labels.txt, in which line i describes class i.

    slim's format is "1:tench". Without this, its ImageNet data set fails at our lines, "n01440764<TAB>tench".
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
