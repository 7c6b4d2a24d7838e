"""The base class of the configuration's sections, and the number types that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
FractionBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Pair = Annotated[tuple[float, float], Field(strict=False)]  # strict=False: YAML has lists, not tuples
Triple = Annotated[tuple[float, float, float], Field(strict=False)]


class Section(BaseModel):
    """A group of settings. An unknown key and a value of the wrong type are errors.

    The docstring below a field is its description in `docs/reference/configuration.md`.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
