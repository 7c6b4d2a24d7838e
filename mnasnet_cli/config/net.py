"""The section `model.net`: changes to a variant's architecture that imported weights need."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mnasnet_cli.config.fields import Fraction, Positive, Section


class NetConfig(Section):
    """Differences from the variant's own architecture. `mnasnet import` sets them; null keeps the variant's value."""

    activation: Literal["relu", "relu6"] | None = None
    """Activation after the stem, the expansion, the depthwise convolution and the head."""
    padding: Literal["same", "symmetric"] | None = None
    """`same` pads as TensorFlow does; `symmetric` pads k // 2 zeros on every side, as PyTorch does."""
    batch_norm_epsilon: Positive | None = None
    """Added to the variance in batch norm."""
    batch_norm_decay: Fraction | None = None
    """Decay per step of batch norm's moving mean and variance; `model.batch_norm_decay` overrides it."""
    first_skip: bool | None = None
    """Whether the first block may have a residual connection."""
    stem_scales: bool | None = None
    """Whether the width multiplier scales the stem."""
    unscaled_stages: Annotated[int, Field(ge=0, le=7)] | None = None
    """Number of stages, counted from the first, that the width multiplier does not scale."""
    head_scaling: Literal["fixed", "widen"] | None = None
    """`fixed` keeps the head's channels; `widen` scales them by width multipliers above 1."""

    @property
    def overrides(self) -> dict[str, Any]:
        """The fields that are set, as `nets.spec.get_spec` takes them."""
        return self.model_dump(exclude_none=True)
