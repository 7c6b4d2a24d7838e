"""Classifiers in ONNX files of other programs, which have no manifest: what their graph and a trial run tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.distillation import Layout, TeacherInputConfig
from mnasnet_cli.errors import CheckpointError, ConfigError, first_line
from mnasnet_cli.inference.onnx import load_session
from mnasnet_cli.system.machine import core_count

_SMALLEST = 1e-12  # probability whose logarithm is taken instead of that of 0


@dataclass(frozen=True)
class ForeignOnnx:
    """A classifier that takes RGB images, already normalized."""

    layout: Layout
    image_size: int
    """Side of the input, px."""
    outputs: int
    """C, the number of classes."""
    gives_probabilities: bool
    """Whether the file ends with softmax; `logits` undoes it."""
    one_by_one: bool
    """Whether it takes one image at a time."""
    session: Any
    input_name: str
    output_name: str

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the logits [N, C] float32 of images [N, S, S, 3] float32, up to a constant of each image."""
        parts = np.split(images, len(images)) if self.one_by_one else [images]
        values = np.concatenate([_run(self.session, self.input_name, [self.output_name], part, self.layout)[0]
                                 for part in parts])  # fmt: skip
        return np.log(np.maximum(values, _SMALLEST)) if self.gives_probabilities else values


def open_foreign_onnx(path: Path, options: TeacherInputConfig, default_size: int) -> ForeignOnnx:
    """Open an ONNX file whose input and outputs are not described.

    Args:
      options: what the user says of it.
      default_size: side of the input if the file takes any, px.

    Raises:
      CheckpointError: it is damaged, or no classifier of images.
      ConfigError: `options` contradict it, or it does not tell something.
      EnvironmentProblem: ONNX Runtime is not installed.
    """
    session = load_session(path, core_count())
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        shapes = ", ".join(f"{item.type.removeprefix('tensor')}{item.shape}" for item in inputs)
        raise CheckpointError(
            f"{path} takes {shapes}; expected one float32 batch of images, [N, 3, S, S] or [N, S, S, 3]"
        )
    shape = inputs[0].shape
    if isinstance(shape[0], int) and shape[0] != 1:
        raise CheckpointError(f"{path} takes exactly {shape[0]} images at a time; export it for any number, or for one")
    layout = _layout(path, shape, options.layout)
    size = _side(path, shape, layout, options.image_size, default_size)
    names = [item.name for item in session.get_outputs()]
    trial = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    try:
        found = dict(zip(names, _run(session, inputs[0].name, names, trial, layout), strict=True))
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise CheckpointError(f"{path} can't be run on an image of {size} × {size} px: {first_line(error)}") from error
    for name, values in found.items():
        if isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim == 2 and values.shape[1] > 1:
            sums_to_one = values.min() >= 0.0 and abs(float(values.sum()) - 1.0) < 1e-3
            return ForeignOnnx(
                layout=layout,
                image_size=size,
                outputs=values.shape[1],
                gives_probabilities=sums_to_one,
                one_by_one=shape[0] == 1,
                session=session,
                input_name=inputs[0].name,
                output_name=name,
            )
    shapes = ", ".join(f"{name} {list(getattr(values, 'shape', ()))}" for name, values in found.items())
    raise CheckpointError(f"{path} gives {shapes} for one image; expected the logits of a classifier, float32 [1, C]")


def _layout(path: Path, shape: list[Any], asked: Layout | None) -> Layout:
    places = [place for place in (1, 3) if shape[place] == 3]
    if len(places) == 1:
        layout: Layout = "NCHW" if places[0] == 1 else "NHWC"
        if asked not in (None, layout):
            raise ConfigError(
                f"training.teacher_input.layout={asked} contradicts {path}, whose input is {shape}; remove the setting"
            )
        return layout
    if asked is None:
        raise ConfigError(
            f"{path} takes {shape}, which does not tell where the 3 colours are; name it with "
            "--set training.teacher_input.layout=NCHW (PyTorch) or NHWC (TensorFlow)"
        )
    return asked


def _side(path: Path, shape: list[Any], layout: Layout, asked: int | None, default: int) -> int:
    sides = {side for side in (shape[2:] if layout == "NCHW" else shape[1:3]) if isinstance(side, int)}
    if len(sides) > 1:
        raise CheckpointError(f"{path} takes images of {shape}; expected squares: export it for one side")
    own = sides.pop() if sides else None
    if own is not None and asked not in (None, own):
        raise ConfigError(
            f"{path} takes images of {own} px, not training.teacher_input.image_size={asked}; remove the setting"
        )
    return own or asked or default


def _run(session: Any, input_name: str, outputs: list[str], images: np.ndarray, layout: Layout) -> list[Any]:
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if layout == "NCHW" else images
    return list(session.run(outputs, {input_name: fed}))
