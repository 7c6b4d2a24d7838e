"""The contents of the default graph: variables, their initial values, operations and updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from mnasnet_cli.nets.slim_compat import tf1


def built(collection: str = tf1.GraphKeys.GLOBAL_VARIABLES) -> dict[str, tuple[int, ...]]:
    return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf1.get_collection(collection)}


def initial_values() -> dict[str, np.ndarray]:
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        return dict(session.run({v.op.name: v for v in tf1.trainable_variables()}))


def operations(kind: str) -> list[Any]:
    return [operation for operation in tf1.get_default_graph().get_operations() if operation.type == kind]


def dropouts() -> list[Any]:
    return [operation for operation in operations("RandomUniform") if "Dropout" in operation.name]


def norms() -> list[Any]:
    return operations("FusedBatchNormV3")


def updates() -> int:
    return len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
