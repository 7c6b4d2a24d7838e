"""Numbers as tables on the screen show them. JSON has fractions, tables have percentages."""

from __future__ import annotations


def percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one digit, such as "82.6 %"; "n/a" for None."""
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"
