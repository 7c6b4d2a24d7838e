"""Metadata in TFLite files: what the input is, what the outputs mean, and how the classes are called.

The format is TFLite Model Metadata, schema 1.5.0: `mediapipe/tasks/metadata/metadata_schema.fbs` in MediaPipe's
sources. The metadata is a FlatBuffer in a buffer of the model; the files that it names are in a zip behind the model.
The numbers of fields and of enum values below are those of that schema, and for the model those of TFLite's
`schema.fbs`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# TFLite's schema: the file identifier, and fields of Model.
_MODEL_IDENTIFIER = b"TFL3"
_VERSION, _BUFFERS, _METADATA = 0, 4, 6
_METADATA_NAME = "TFLITE_METADATA"
# The metadata's schema: the identifier, and members of enums and unions.
_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"
_FEATURE, _IMAGE, _BOX = 1, 2, 3  # ContentProperties
_NORMALIZATION = 1  # ProcessUnitOptions
_RGB = 1  # ColorSpaceType
_BOUNDARIES = 1  # BoundingBoxType
_CORNERS = (1, 0, 3, 2)  # of ymin, xmin, ymax, xmax: left, top, right, bottom
_ALIGNMENT = 16  # of buffers in TFLite files
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes

AXIS_LABELS, VALUE_LABELS = 2, 3
"""AssociatedFileType: a tensor has one value for each label, or its values are numbers of labels."""


class OutputTensor(NamedTuple):
    """The meaning of an output."""

    name: str
    labels: int | None = None
    """AXIS_LABELS or VALUE_LABELS; None: the tensor has no labels."""
    is_boxes: bool = False
    """Whether it holds boxes, as ymin, xmin, ymax, xmax."""
    item_axis: int | None = None
    """The axis that counts boxes; None: the tensor describes the whole image."""


def task_metadata(
    task: str, mean: float, deviation: float, outputs: Sequence[OutputTensor], label_files: Sequence[str]
) -> bytes:
    """Return the metadata of a net that takes one image.

    Args:
      task: the name of the model.
      mean, deviation: the input is (pixel - mean) / deviation.
      outputs: in the order of the file.
      label_files: names of the files with class names, one a line. The second holds them in English.
    """
    writer = _Writer()
    subgraph = writer.table(
        {
            2: writer.list([_image(writer, mean, deviation)]),
            3: writer.list([_output(writer, tensor, label_files) for tensor in outputs]),
        }
    )
    root = writer.table({0: writer.text(task), 3: writer.list([subgraph]), 7: writer.text(_PARSER_VERSION)})
    return writer.finish(root, _IDENTIFIER)


def _image(writer: _Writer, mean: float, deviation: float) -> int:
    """Write the TensorMetadata of an image."""
    normalization = writer.table({0: writer.floats([mean]), 1: writer.floats([deviation])})
    unit = writer.table({0: ("Uint8", _NORMALIZATION), 1: normalization})
    content = writer.table({0: ("Uint8", _IMAGE), 1: writer.table({0: ("Int8", _RGB)})})
    largest, smallest = writer.floats([(255.0 - mean) / deviation]), writer.floats([-mean / deviation])
    stats = writer.table({0: largest, 1: smallest})
    return writer.table({0: writer.text("image"), 3: content, 4: writer.list([unit]), 5: stats})


def _output(writer: _Writer, tensor: OutputTensor, label_files: Sequence[str]) -> int:
    """Write the TensorMetadata of an output."""
    if tensor.is_boxes:
        kind, properties = _BOX, writer.table({0: writer.integers(_CORNERS), 1: ("Int8", _BOUNDARIES)})
    else:
        kind, properties = _FEATURE, writer.table({})
    content: dict[int, Any] = {0: ("Uint8", kind), 1: properties}
    if tensor.item_axis is not None:
        content[2] = writer.table({0: ("Int32", tensor.item_axis), 1: ("Int32", tensor.item_axis)})
    fields = {0: writer.text(tensor.name), 3: writer.table(content)}
    if tensor.labels is not None:
        files = []
        for name, language in zip(label_files, (None, "en"), strict=False):
            file: dict[int, Any] = {0: writer.text(name), 2: ("Int8", tensor.labels)}
            files.append(writer.table(file | ({3: writer.text(language)} if language else {})))
        fields[6] = writer.list(files)
    return writer.table(fields)


def add_metadata(content: bytes, metadata: bytes, files: Mapping[str, Sequence[str]]) -> bytes:
    """Return the TFLite file with metadata, and with text files of these lines in a zip behind it.

    A new root is put in front of the file. All that it refers to lies behind it as it was. Positions in a FlatBuffer
    are relative, so no byte of the net changes.
    """
    packed = io.BytesIO(_with_new_root(content, metadata))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name, lines in files.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DATE), "".join(f"{_one_line(line)}\n" for line in lines))
    return packed.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _with_new_root(content: bytes, metadata: bytes) -> bytes:
    """Return the file with a copy of its root table in front, to which one buffer and its name are added."""
    from flatbuffers.encode import Get
    from flatbuffers.packer import soffset, uoffset, voffset
    from flatbuffers.table import Table

    model = Table(bytearray(content), Get(uoffset, content, 0))
    vtable = model.Pos - Get(soffset, content, model.Pos)
    # Slots of the root's fields: where each field lies behind the root, or 0 if the root has no such field.
    slots = [Get(voffset, content, vtable + 4 + 2 * field) for field in range(Get(voffset, content, vtable) // 2 - 2)]

    def tables(field: int) -> list[int]:
        start, count = (model.Vector(slots[field]), model.VectorLen(slots[field])) if slots[field] else (0, 0)
        return [-model.Indirect(start + 4 * index) for index in range(count)]

    # The writer counts positions back from its end, which is where the old file will start.
    writer = _Writer()
    fields: dict[int, Any] = {
        field: -model.Indirect(model.Pos + slot) for field, slot in enumerate(slots) if slot and field != _VERSION
    }
    buffers = tables(_BUFFERS)
    entry = writer.table({0: writer.text(_METADATA_NAME), 1: ("Uint32", len(buffers))})
    fields[_METADATA] = writer.list([*tables(_METADATA), entry])
    fields[_BUFFERS] = writer.list([*buffers, writer.table({0: writer.data(metadata)})])
    fields[_VERSION] = ("Uint32", Get(uoffset, content, model.Pos + slots[_VERSION]))
    return writer.finish(writer.table(fields), _MODEL_IDENTIFIER) + content


class _Writer:
    """Writes tables of a FlatBuffer. Each method returns a position, which a table or a list written later can hold."""

    def __init__(self) -> None:
        from flatbuffers import Builder

        self._builder = Builder()

    def text(self, value: str) -> int:
        return int(self._builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def list(self, positions: Sequence[int]) -> int:
        self._builder.StartVector(4, len(positions), 4)
        for position in reversed(positions):
            self._builder.PrependUOffsetTRelative(position)
        return int(self._builder.EndVector())

    def integers(self, values: Sequence[int]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependUint32(value)
        return int(self._builder.EndVector())

    def data(self, value: bytes) -> int:
        self._builder.StartVector(1, len(value), _ALIGNMENT)
        for byte in reversed(value):
            self._builder.PrependByte(byte)
        return int(self._builder.EndVector())

    def table(self, fields: Mapping[int, int | tuple[str, int]]) -> int:
        """Write a table of positions, or of numbers with their type, by the number of the field."""
        self._builder.StartObject(max(fields, default=-1) + 1)
        for field, value in fields.items():
            if isinstance(value, tuple):
                kind, number = value
                getattr(self._builder, f"Prepend{kind}Slot")(field, number, 0)
            else:
                self._builder.PrependUOffsetTRelativeSlot(field, value, 0)
        return int(self._builder.EndObject())

    def finish(self, root: int, identifier: bytes) -> bytes:
        self._builder.Finish(root, identifier)
        return bytes(self._builder.Output())
