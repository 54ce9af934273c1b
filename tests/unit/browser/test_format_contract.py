"""Numbers and shares are written alike by attnviz/formatting.py and by core/format.js."""

import functools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import formatting
from tests.support.node import run_node

WRITTEN = """give(inputs.map(([name, value, ...more]) => {
  const named = {NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity};
  return format[name](named[value] ?? value, ...more);
}));"""
SHARES = [
    *(0.0, -0.0, 1.0, 1.5, -1.0, 5e-324, -1e-9, math.inf, -math.inf, math.nan),
    *(i / 8 for i in range(-8, 9)),
    *(i / 1000 for i in range(101)),
    *(0.9 + i / 1000 for i in range(101)),
    *(edge + step for edge in (0.001, 0.0995, 0.0994999, 0.99, 0.9995) for step in (-1e-12, 0.0, 1e-12)),
    *(i / 2**k for k in (4, 7, 10, 12) for i in (1, 3, 5, 7)),
]
NUMBERS = [*SHARES, 0.125, 2.5, 3.5, -0.5, 1.005, 2.675, 99999.4, 99999.995, 1e5, 1.25e5, 9.95e6, 9.96e6, -3e9, 1e15]


def calls(shares: list[float], numbers: list[float]) -> list[tuple[Any, ...]]:
    """What is asked of both: a function's name and its arguments."""
    of_shares = [(name, share) for name in ("percent", "points") for share in shares]
    of_numbers = [(name, x, digits) for name in ("number", "compact") for x in numbers for digits in range(5)]
    return [*of_shares, *of_numbers]


def check(asked: list[tuple[Any, ...]]) -> None:
    plain = [
        [
            name,
            x if isinstance(x, str) or math.isfinite(x) else str(x).replace("nan", "NaN").replace("inf", "Infinity"),
            *more,
        ]
        for name, x, *more in asked
    ]
    written = run_node(WRITTEN, inputs=plain)
    for (name, *arguments), text in zip(asked, written, strict=True):
        assert getattr(formatting, name)(*arguments) == text, (name, arguments)


def test_edges_are_written_alike() -> None:
    check(calls(SHARES, NUMBERS))


def test_long_texts_are_cut_alike() -> None:
    texts = ["", "a" * 120, "a" * 121, "👋🏽" * 60, "👋🏽" * 61, "e" + "\u0301" * 300]
    check([("shortened", text, *most) for text in texts for most in ((), (2,), (1000,))])
    assert formatting.shortened("abcd", 3) == "ab…"


def test_float32_weights_are_written_alike() -> None:
    dice = random.Random(0)
    weights = [float(np.float32(dice.random() ** power)) for power in (1, 4, 8) for _ in range(300)]
    check(calls(weights, [100 * weight for weight in weights]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-2, 2), max_size=30),
    st.lists(st.floats(-1e15, 1e15) | st.integers(-4000, 4000).map(lambda n: n / 32), max_size=30),
)
def test_any_numbers_are_written_alike(shares: list[float], numbers: list[float]) -> None:
    check(calls(shares, numbers))


CALLS = """
const {percent, number, points} = format;
give(Object.fromEntries(inputs.map(call => [call, eval(call)])));
"""
TEXTS = {
    "percent(0.4123)": "41\u202f%",
    "percent(0.0231)": "2.3\u202f%",
    "percent(0.0999)": "10\u202f%",
    "percent(0.0994)": "9.9\u202f%",
    "percent(0.996)": "99.6\u202f%",
    "percent(0.99951)": "100\u202f%",
    "percent(1)": "100\u202f%",
    "percent(0)": "0\u202f%",
    "percent(0.0005)": "<\u202f0.1\u202f%",
    "percent(NaN)": "NaN",
    "percent(0.001)": "0.1\u202f%",
    "percent(0.99)": "99\u202f%",
    "number(-1.5)": "−1.50",
    "number(2.345, 1)": "2.3",
    "number(-0.001)": "0.00",
    "number(NaN)": "NaN",
    "number(-Infinity)": "−∞",
    "points(0.123)": "+12",
    "points(-0.0123)": "−1.2",
    "points(0)": "0",
    "points(0.0001)": "0",
    "points(NaN)": "NaN",
}


@functools.cache
def texts() -> dict[str, str]:
    found: dict[str, str] = run_node(CALLS, inputs=list(TEXTS))
    return found


@pytest.mark.parametrize("call", TEXTS)
def test_numbers_in_words(call: str) -> None:
    assert texts()[call] == TEXTS[call]
