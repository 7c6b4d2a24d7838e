"""The numbers of the tensors in a TFLite file, by which XNNPACK plans where they lie in memory.

Its planner takes them by size, of equal ones that with the lower number first, and gives each the lowest place that is
free as long as it lives. TensorFlow's converter numbers them as they are computed. So the first of b1's two largest
tensors, what the first convolution and the first depthwise one give, gets the place at the bottom; the third needs the
second while the bottom is taken by the next, and must lie beyond both, where nothing is in the cache. Numbered from the
last to the first, all find room in 3.2 MB instead of 3.8, at 224 px. What is computed stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_TENSORS = 4  # of the fields of a SubGraph in TFLite's schema: the first


def number_from_last_to_first(content: bytes) -> bytes:
    """The TFLite file with the tensors that its operations give numbered the other way round; inputs, outputs stay."""
    from ai_edge_litert.schema_py_generated import Model

    data = bytearray(content)
    graph = Model.GetRootAs(data).Subgraphs(0)
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    outputs = set(graph.OutputsAsNumpy().tolist())
    given = sorted({tensor for operator in operators for tensor in operator.OutputsAsNumpy().tolist()} - outputs)

    numbers = np.append(np.arange(graph.TensorsLength()), -1)  # the last is that of an input that is left out
    numbers[given] = given[::-1]
    for operator in operators:
        for tensors in (operator.InputsAsNumpy(), operator.OutputsAsNumpy()):
            tensors[:] = numbers[tensors]  # views into `data`
    _move(data, graph, numbers[:-1])
    return bytes(data)


def _move(data: bytearray, graph: Any, numbers: np.ndarray) -> None:
    """Gives each tensor its new place in the list of a graph: it holds distances from the places to the tensors."""
    start = graph._tab.Vector(graph._tab.Offset(_TENSORS))
    places = np.frombuffer(data, "<u4", len(numbers), start)
    at = start + 4 * np.arange(len(numbers))
    tensors = at + places
    places[numbers] = tensors - at[numbers]
