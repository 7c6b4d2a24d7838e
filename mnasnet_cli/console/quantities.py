"""Durations, percentages, rates and counts as people read them."""

from __future__ import annotations


def rate_text(rate: float) -> str:
    """Return a rate with as many digits as it needs."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def duration(seconds: float) -> str:
    """Return a duration as text: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short_duration(seconds: float) -> str:
    """Return a duration as text for narrow places: "0.4s", "12s", "3m05s", "2h07m"."""
    return duration(seconds).replace("min", "m").replace(" ", "")


def percent(fraction: object) -> str:
    """Return a fraction as a percentage with one digit, such as "82.6 %"; "n/a" for what is no number."""
    return f"{100 * fraction:.1f} %" if isinstance(fraction, int | float) else "n/a"


def plural(count: int, unit: str, units: str | None = None) -> str:
    """Return a number with its unit, such as "1 image" or "1,200 images"; `units` is an irregular plural."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {units or unit + 's'}"
