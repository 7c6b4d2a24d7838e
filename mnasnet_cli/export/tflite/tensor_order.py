"""Order of the tensors in a TFLite file, which decides where XNNPACK places them in memory.

XNNPACK's memory planner places large tensors first. Of tensors of equal size, it places the one with the lower index
first. Each tensor gets the lowest address that is free while the tensor is in use. TensorFlow's converter numbers the
tensors in the order in which they are computed.

In b1, the outputs of the first convolution (A) and of the first depthwise convolution (B) are the two largest tensors.
In the order of computation, A gets the lowest address and B the next. The third tensor is in use together with B while
another tensor occupies the place of A, so it lies beyond both, where the cache holds nothing. In the opposite order,
all tensors at 224 px fit into 3.2 MB instead of 3.8 MB.
"""

from __future__ import annotations

import numpy as np

# Offsets of fields in the vtables of TFLite's schema.
_MODEL_SUBGRAPHS = 8
_SUBGRAPH_TENSORS = 4


def reverse_tensor_order(content: bytes) -> bytes:
    """Return the TFLite file with the opposite order of its intermediate tensors. The outputs stay the same.

    Inputs, constants and outputs of the net keep their indices. The file is edited in place, so that all else stays
    byte for byte; `ai_edge_litert.tools.flatbuffer_utils` would lay out the whole file anew.
    """
    from ai_edge_litert.schema_py_generated import Model

    data = bytearray(content)
    subgraph = Model.GetRootAs(data).Subgraphs(0)
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    computed = {tensor for operator in operators for tensor in operator.OutputsAsNumpy().tolist()}
    intermediate = sorted(computed - set(subgraph.OutputsAsNumpy().tolist()))

    new_indices = np.arange(subgraph.TensorsLength())
    new_indices[intermediate] = intermediate[::-1]
    for operator in operators:
        for tensors in (operator.InputsAsNumpy(), operator.OutputsAsNumpy()):  # views of `data`
            present = tensors >= 0  # an optional input that is left out has the index -1
            tensors[present] = new_indices[tensors[present]]
    _reorder_tensors(data, new_indices)
    return bytes(data)


def order_outputs(content: bytes, tensors: list[int]) -> bytes:
    """Return the TFLite file with its outputs in this order; programs that use the signature see no difference."""
    from ai_edge_litert.schema_py_generated import Model

    data = bytearray(content)
    Model.GetRootAs(data).Subgraphs(0).OutputsAsNumpy()[:] = tensors  # a view of `data`
    return bytes(data)


def _reorder_tensors(data: bytearray, new_indices: np.ndarray) -> None:
    """Move entry i of the subgraph's list of tensors to `new_indices[i]`.

    An entry is the distance from the entry itself to its tensor, so its value changes with its place.
    """
    start = _tensor_list(data)
    distances = np.frombuffer(data, "<u4", len(new_indices), start)  # a view of `data`
    entries = start + 4 * np.arange(len(new_indices))
    tensors = entries + distances
    distances[new_indices] = tensors - entries[new_indices]


def _tensor_list(data: bytearray) -> int:
    """Return the position of the first entry in the list of tensors of the first subgraph."""
    from flatbuffers.encode import Get
    from flatbuffers.packer import uoffset
    from flatbuffers.table import Table

    model = Table(data, Get(uoffset, data, 0))
    subgraph = Table(data, model.Indirect(model.Vector(model.Offset(_MODEL_SUBGRAPHS))))
    return int(subgraph.Vector(subgraph.Offset(_SUBGRAPH_TENSORS)))
