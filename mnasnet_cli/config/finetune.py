"""The section `finetune`: which layers of a pretrained net are trained, and at which learning rate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mnasnet_cli.config.fields import Section
from mnasnet_cli.errors import nearest

STEM, BACKBONE = "stem", "backbone"


class FinetuneConfig(Section):
    """Training from pretrained weights (`--init`, `--backbone`): frozen layers, learning rates, batch norm."""

    freeze: str | None = None
    """Layers that are not trained: `stem`, `layer_N` (every layer up to and including it) or `backbone`; null trains
    all."""
    freeze_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs after which the frozen layers are trained as well; null keeps them frozen to the end."""
    freeze_norm: bool = False
    """Keep the pretrained moving mean and variance of the backbone's batch norm, in trained layers too; without
    pretrained weights it has no effect."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Factor on the learning rate from each layer to the layer below it; the classifier or the detector's heads have
    the full rate."""
    recalibrate_batches: Annotated[int, Field(ge=0)] = 0
    """Training batches on which batch norm's mean and variance are measured before each evaluation; 0 uses the moving
    averages."""

    @model_validator(mode="after")
    def _check_freeze_epochs(self) -> FinetuneConfig:
        if self.freeze_epochs is not None and self.freeze is None:
            raise ValueError(
                f"freeze_epochs is {self.freeze_epochs}, but freeze is null, so nothing is frozen; set freeze to "
                "stem, layer_N or backbone, or set freeze_epochs to null"
            )
        return self

    def frozen_in(self, epoch: int) -> bool:
        """Whether the layers of `freeze` are frozen in an epoch (0-based)."""
        return self.freeze is not None and (self.freeze_epochs is None or epoch < self.freeze_epochs)

    def norm_frozen_until(self, frozen_until: str | None, layers: list[str]) -> str | None:
        """The last layer whose batch norm keeps its statistics.

        Args:
          frozen_until: the last frozen layer; None where all layers are trained.
          layers: the backbone's layers, from the stem to the head.
        """
        return layers[-1] if self.freeze_norm else frozen_until

    def check(self, task: str, layers: list[str]) -> None:
        """Check the section against a task and the net's layers, from the stem to the head.

        Raises:
          ValueError: `freeze` names no layer of the net, or `freeze_norm` contradicts `recalibrate_batches`.
        """
        if self.freeze not in (None, STEM, BACKBONE, *layers):
            known = (STEM, BACKBONE, *layers)
            raise ValueError(
                f"finetune.freeze: the net has no layer {self.freeze!r}; expected {STEM}, {BACKBONE} or "
                f"{layers[0]} … {layers[-1]}{nearest(str(self.freeze), known)}"
            )
        if self.freeze_norm and self.recalibrate_batches and task == "classification":
            # A detector may have both: freeze_norm is for its backbone, recalibration for its heads.
            raise ValueError(
                "finetune.freeze_norm keeps the batch norm statistics that finetune.recalibrate_batches "
                f"({self.recalibrate_batches}) measures again; set freeze_norm to false or recalibrate_batches to 0"
            )
