"""Numbers and names as tables on the screen show them. JSON has fractions, tables have percentages."""

from __future__ import annotations

from collections.abc import Sequence


def percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one digit, such as "82.6 %"; "n/a" for None."""
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def class_columns(
    classes: Sequence[tuple[object, object]], heads: tuple[str, str] = ("class", "name")
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the heads and the cells of the columns of classes: one column where labels and names are alike.

    Args:
      classes: label and name of each class.
      heads: of the two columns.
    """
    if all(str(label) == str(name) or not str(name) for label, name in classes):
        return heads[:1], [(label,) for label, _ in classes]
    return heads, list(classes)
