"""The section `training.teacher_input`, and what runs, checkpoints and manifests remember of a teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from mnasnet_cli.config.fields import Positive, Section, Triple
from mnasnet_cli.config.pre_postprocessing import MAX_SIDE

Layout = Literal["NCHW", "NHWC"]
_Deviations = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]


@with_config(ConfigDict(extra="allow"))  # keys of later versions
class TeacherRecord(TypedDict):
    """The model that a classifier has learned from."""

    model: str
    """As the user named it."""
    path: str
    """Prefix of the checkpoint, or the artifact."""
    sha256: str
    """Of its weights: a checkpoint's tensors, or the artifact's files."""


class TeacherInputConfig(Section):
    """The input and the classes of a teacher (`--teacher`) that another program has exported to ONNX."""

    image_size: Annotated[int, Field(ge=16, le=MAX_SIDE)] | None = None
    """Side of the teacher's input, in pixels; null: the model's own, or that of the training images if the model takes
    any size. A checkpoint can be run at another size than its own, too."""
    layout: Layout | None = None
    """Order of the input's axes; null: the place of the 3 colours in its shape tells."""
    mean: Triple | None = None
    """Subtracted from R, G and B in [0, 255]; null: ImageNet's mean."""
    deviation: _Deviations | None = None
    """Divides R, G and B after the subtraction; null: ImageNet's standard deviation. `mean` 0 and `deviation` 255 give
    the range 0 to 1."""
    labels: str | None = None
    """File with the name of each class, a line each, in the order of the outputs; null: with 1000 or 1001 outputs
    the classes of ImageNet, else those of the records if they are as many."""

    @property
    def of_foreign_files(self) -> dict[str, object]:
        """The settings that only a file without a manifest needs, as far as they are set."""
        values = {"layout": self.layout, "mean": self.mean, "deviation": self.deviation, "labels": self.labels}
        return {f"training.teacher_input.{key}": value for key, value in values.items() if value is not None}
