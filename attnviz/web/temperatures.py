"""The temperatures that a dial offers, on every page that has one."""

from __future__ import annotations

_DECADE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)
# About evenly spaced on a log scale, 1 in the middle.
TEMPERATURES = (
    *(0.05, 0.06, 0.07, 0.08, 0.09),
    *(round(tau / 10, 2) for tau in _DECADE),
    *_DECADE,
    *(10.0, 12.0, 14.0, 16.0, 18.0, 20.0),
)
MARKS = {0.05: "sharp", 1.0: "1", 20.0: "even"}
