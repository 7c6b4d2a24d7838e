"""Stretches of a graph: found by their operations, and copied with other weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node, constant_value, node_name


class Stretches:
    """A graph to search. What it finds are nodes in a row, each of which feeds the next one alone."""

    def __init__(self, definition: Any) -> None:
        self._nodes = {node.name: node for node in definition.node}
        self._users: dict[str, list[Any]] = {}
        for node in definition.node:
            for name in node.input:
                self._users.setdefault(node_name(name), []).append(node)

    def around(self, node: Any, before: Sequence[str], after: Sequence[str]) -> list[Any] | None:
        """The stretch of `before`, `node` and `after`; None where the graph has something else there.

        Operations are named by how they begin ("Relu" is Relu6, too); their second inputs are constants.
        """
        found = [node]
        for op in reversed(before):
            source = self._nodes[node_name(found[0].input[0])]
            if not source.op.startswith(op) or len(self._users[source.name]) != 1:
                return None
            found.insert(0, source)
        for op in after:
            users = self._users.get(found[-1].name, [])
            if len(users) != 1 or not users[0].op.startswith(op):
                return None
            found.append(users[0])
        second = [self._nodes[node_name(name)] for each in found for name in each.input[1:]]
        return found if all(constant.op == "Const" for constant in second) else None

    def node(self, name: str) -> Any:
        """The node of that name."""
        return self._nodes[name]

    def users(self, node: Any) -> Sequence[Any]:
        """The nodes that take what `node` gives, each as often as it does."""
        return self._users.get(node.name, [])

    def weights(self, node: Any) -> np.ndarray:
        """The second input of a node of a stretch: a kernel or a bias."""
        return constant_value(self._nodes[node_name(node.input[1])])


def twin(node: Any, suffix: str, source: str, weights: np.ndarray | None = None) -> list[Any]:
    """A copy of `node` that `source` feeds, with other weights where they are given.

    Its nodes are new ones, under the old name and a suffix; the copy itself comes last.
    """
    copy = tf.compat.v1.NodeDef()
    copy.CopyFrom(node)
    copy.name = f"{node.name}/{suffix}"
    copy.input[0] = source
    if weights is None:
        return [copy]
    constant = constant_node(f"{copy.name}/weights", np.ascontiguousarray(weights))
    copy.input[1] = constant.name
    return [constant, copy]


def new_node(name: str, op: str, inputs: Sequence[str], like: Any) -> Any:
    """A node of an operation on numbers of the type that `like` has."""
    node = tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
    node.attr["T"].CopyFrom(like.attr["T"])
    return node


def replaced(definition: Any, gone: Collection[str], added: Sequence[Any]) -> Any:
    """The graph without the nodes that are named in `gone`, and with others."""
    changed = tf.compat.v1.GraphDef(versions=definition.versions)
    changed.node.extend([node for node in definition.node if node.name not in gone])
    changed.node.extend(added)
    return changed
