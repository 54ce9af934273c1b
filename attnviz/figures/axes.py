"""Axes that several figures share: a row for every token, logarithms with readable ticks, shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from attnviz.figures.palette import Palette
from attnviz.figures.theme import plain
from attnviz.formatting import shortened

TINY = 1e-300  # stands for 0 on a logarithmic axis
LONGEST_NAME = 14  # characters of a token beside its bar
SHARE_TICKS: dict[str, Any] = {"tickvals": [0, 50, 100], "ticktext": ["0\u202f%", "50\u202f%", "100\u202f%"]}


def token_names(labels: Sequence[str]) -> list[str]:
    return [plain(shortened(label, LONGEST_NAME)) for label in labels]


def token_axis(names: Sequence[str], palette: Palette) -> dict[str, Any]:
    """A row for every token, top to bottom."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "ticklabelstandoff": 6,
        "tickfont": {"size": 14, "color": palette.ink1},
    }


def log_axis(low: float, high: float, title: str) -> dict[str, Any]:
    """A logarithmic y axis around the values, with room for a label above and below them."""
    ticks = decades(low, high)
    return {
        "type": "log",
        "range": [math.log10(max(low, TINY)) - 0.35, math.log10(max(high, TINY)) + 0.35],
        "title": {"text": title},
        "tickvals": ticks,
        "ticktext": [decimal(tick) for tick in ticks],
    }


def decades(low: float, high: float) -> list[float]:
    """At most six powers of ten from about `low` to `high`; 1, 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(max(low, TINY))), math.ceil(math.log10(max(high, TINY)))
    powers = list(range(first, last + 1))
    if len(powers) > 3:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
    return [step * 10.0**power for power in powers for step in (1, 2, 5)]


def decimal(value: float) -> str:
    """A tick as text: 1,000, 0.02, and 10⁻⁹ where zeros would have to be counted."""
    if value >= 1:
        return f"{value:,.0f}"
    power = math.floor(math.log10(value) + 1e-9)
    if power < -5:
        digit = round(value / 10.0**power)
        return f"{'' if digit == 1 else f'{digit}·'}10<sup>−{-power}</sup>"
    return f"{value:.{-power}f}"
