"""The section `finetune`: which parts of a pretrained net are trained, and at which learning rate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mnasnet_cli.config.fields import Section
from mnasnet_cli.errors import nearest

STEM, BACKBONE = "stem", "backbone"


class FinetuneConfig(Section):
    """What is trained of a net that begins with trained weights, and how much."""

    freeze: str | None = None
    """The part that stays as it begins: stem, layer_N (the layers up to it) or backbone; null trains everything."""
    freeze_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs after which the frozen part is trained as well; it stays frozen where null."""
    freeze_norm: bool = False
    """The backbone's batch norm uses and keeps the statistics of the weights that it begins with, in what is trained,
    too; without such weights it has none to keep, and this says nothing."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Learning rate of a layer over that of the layer above it; the classifier or the heads have the whole rate."""
    recalibrate_batches: Annotated[int, Field(ge=0)] = 0
    """Before an evaluation, batch norm's statistics become the mean over so many training batches; 0: moving ones."""

    @model_validator(mode="after")
    def _staged(self) -> FinetuneConfig:
        if self.freeze_epochs is not None and self.freeze is None:
            raise ValueError(
                f"freeze_epochs {self.freeze_epochs} says when a part is released, but freeze names none; name one, or "
                "set both to null"
            )
        return self

    def frozen_in(self, epoch: int) -> bool:
        """Whether the part is frozen in an epoch (0-based)."""
        return self.freeze is not None and (self.freeze_epochs is None or epoch < self.freeze_epochs)

    def norm_frozen_until(self, frozen_until: str | None, layers: list[str]) -> str | None:
        """The last of the layers whose batch norm keeps its statistics, where those up to one are frozen anyway."""
        return layers[-1] if self.freeze_norm else frozen_until

    def check(self, task: str, layers: list[str]) -> None:
        """Raises ValueError where this doesn't fit a task and a net with these layers, from the stem to the head."""
        if self.freeze not in (None, STEM, BACKBONE, *layers):
            known = (STEM, BACKBONE, *layers)
            raise ValueError(
                f"finetune.freeze: the net has no part called {self.freeze!r}; expected {STEM}, {BACKBONE} or "
                f"{layers[0]} … {layers[-1]}{nearest(str(self.freeze), known)}"
            )
        if self.freeze_norm and self.recalibrate_batches and task == "imagenet":  # a detector's heads have norms, too
            raise ValueError(
                "finetune.freeze_norm keeps the statistics that finetune.recalibrate_batches "
                f"({self.recalibrate_batches}) measures anew; set the former to false or the latter to 0"
            )
