"""The section `model.net`: where an implementation of a net differs from its table."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mnasnet_cli.config.fields import Fraction, Positive, Section


class NetConfig(Section):
    """What the net of imported weights does otherwise than the table; null leaves it as it is there."""

    activation: Literal["relu", "relu6"] | None = None
    padding: Literal["same", "symmetric"] | None = None
    """symmetric: k // 2 zeros on every side, as PyTorch pads, instead of TensorFlow's SAME."""
    batch_norm_epsilon: Positive | None = None
    batch_norm_decay: Fraction | None = None
    """Decay of the moving mean and variance that the net comes with; model.batch_norm_decay goes before it."""
    first_skip: bool | None = None
    """Whether the first block may have a residual connection."""
    stem_scales: bool | None = None
    """Whether the width multiplier scales the stem."""
    unscaled_stages: Annotated[int, Field(ge=0, le=7)] | None = None
    """So many stages, from the first on, the width multiplier leaves alone."""
    head_scaling: Literal["fixed", "widen"] | None = None
    """widen: width multipliers over 1 scale the head, too."""

    @property
    def changes(self) -> dict[str, Any]:
        """Those that are set, as `nets.architecture.adapt` takes them."""
        return self.model_dump(exclude_none=True)
