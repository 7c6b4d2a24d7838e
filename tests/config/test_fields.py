"""Sections: strict types, no unknown keys, and a description of every key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from mnasnet_cli.config.fields import Fraction, FractionBelowOne, NonNegative, Pair, Positive, Section
from mnasnet_cli.config.schema import Config


class Numbers(Section):
    """One field of each type."""

    fraction: Fraction = 0.0
    below_one: FractionBelowOne = 0.0
    non_negative: NonNegative = 0.0
    positive: Positive = 1.0
    pair: Pair = (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("fraction", 1.0, 1.1),
        ("below_one", 0.999, 1.0),
        ("non_negative", 0.0, -0.1),
        ("positive", 0.1, 0.0),
        ("positive", 1, float("inf")),
        ("pair", [2, 3], [2]),
        ("fraction", 0, "0"),
    ],
)
def test_bounds_and_types(name: str, allowed: object, refused: object) -> None:
    assert getattr(Numbers.model_validate({name: allowed}), name) == (tuple(allowed) if name == "pair" else allowed)
    with pytest.raises(ValidationError, match=name):
        Numbers.model_validate({name: refused})


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError, match="fractoin"):
        Numbers.model_validate({"fractoin": 0.5})


def _sections(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield section
    for field in section.model_fields.values():
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from _sections(type(value))


@pytest.mark.parametrize("section", [*_sections(Config), type(Config(task="detection").detection)])
def test_every_key_has_a_description_of_one_or_more_sentences(section: type[Section]) -> None:
    for name, field in section.model_fields.items():
        if not isinstance(field.get_default(call_default_factory=True), BaseModel):
            assert field.description, f"{section.__name__}.{name}"
            assert field.description.endswith("."), f"{section.__name__}.{name}"
