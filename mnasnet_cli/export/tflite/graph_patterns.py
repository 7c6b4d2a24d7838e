"""Finds chains of nodes in a GraphDef, copies nodes with other weights, and replaces nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node, constant_value, node_name


class GraphIndex:
    """The nodes of a GraphDef by name, with the consumers of each."""

    def __init__(self, definition: Any) -> None:
        self._nodes = {node.name: node for node in definition.node}
        self._consumers: dict[str, list[Any]] = {}
        for node in definition.node:
            for name in node.input:
                self._consumers.setdefault(node_name(name), []).append(node)

    def node(self, name: str) -> Any:
        """Return the node of that name."""
        return self._nodes[name]

    def consumers(self, node: Any) -> Sequence[Any]:
        """Return the nodes that read the output of `node`. A node that reads it twice is listed twice."""
        return self._consumers.get(node.name, [])

    def weights(self, node: Any) -> np.ndarray:
        """Return the constant that is the second input of a node: a kernel or a bias."""
        return constant_value(self._nodes[node_name(node.input[1])])

    def match_chain(self, node: Any, before: Sequence[str] = (), after: Sequence[str] = ()) -> list[Any] | None:
        """Return the nodes of the chain `before` → `node` → `after`, or None if the graph differs from it.

        Each node of a chain is the only consumer of the one before it. All inputs but the first are constants.

        Args:
          before, after: the operations in their order. A prefix is enough: "Relu" matches Relu6, too.
        """
        chain = [node]
        for operation in reversed(before):
            source = self._nodes[node_name(chain[0].input[0])]
            if not source.op.startswith(operation) or len(self.consumers(source)) != 1:
                return None
            chain.insert(0, source)
        for operation in after:
            consumers = self.consumers(chain[-1])
            if len(consumers) != 1 or not consumers[0].op.startswith(operation):
                return None
            chain.append(consumers[0])
        other_inputs = [self._nodes[node_name(name)] for each in chain for name in each.input[1:]]
        return chain if all(source.op == "Const" for source in other_inputs) else None


def copy_node(node: Any, suffix: str, source: str, weights: np.ndarray | None = None) -> list[Any]:
    """Copy a node under the name "NAME/SUFFIX".

    Args:
      source: the name of the node that feeds the copy.
      weights: the second input of the copy; None: the same as of `node`.

    Returns:
      the constant that holds `weights`, if they are given, and the copy.
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


def copy_chain(chain: Sequence[tuple[Any, np.ndarray | None]], suffix: str, source: str) -> list[Any]:
    """Copy nodes, each of which feeds the next; `chain` holds the arguments `node` and `weights` of `copy_node`.

    Returns:
      the new nodes; the copy of the last node comes last.
    """
    copies: list[Any] = []
    for node, weights in chain:
        copies += copy_node(node, suffix, source, weights)
        source = copies[-1].name
    return copies


def new_node(name: str, operation: str, inputs: Sequence[str], like: Any) -> Any:
    """Make a node that has the data type (attribute T) of the node `like`."""
    node = tf.compat.v1.NodeDef(name=name, op=operation, input=inputs)
    node.attr["T"].CopyFrom(like.attr["T"])
    return node


def replace_nodes(definition: Any, removed: Collection[str], added: Sequence[Any]) -> Any:
    """Return the graph without the nodes named in `removed` and with the nodes `added`."""
    changed = tf.compat.v1.GraphDef(versions=definition.versions)
    changed.node.extend([node for node in definition.node if node.name not in removed])
    changed.node.extend(added)
    return changed
