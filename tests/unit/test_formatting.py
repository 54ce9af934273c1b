"""Numbers, amounts and lists as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz import formatting
from attnviz.formatting import MINUS, NARROW


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (-0.0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.021, "2.1 %"),
        (0.0995, "10 %"),
        (0.125, "13 %"),  # in the middle: as browsers round
        (0.41, "41 %"),
        (0.99, "99 %"),
        (0.996, "99.6 %"),
        (0.9996, "100 %"),
        (1.0, "100 %"),
        (1.5, "150 %"),
        (-0.032, f"{MINUS}3.2 %"),
        (-1e-9, "0.0 %"),
        (math.nan, "NaN"),
    ],
)
def test_percents(share: float, text: str) -> None:
    assert formatting.percent(share) == text.replace(" ", NARROW)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.5, 2, "0.50"),
        (-1.25, 1, f"{MINUS}1.3"),
        (-0.004, 2, "0.00"),
        (2.5, 0, "3"),
        (1e9, 0, "1000000000"),
        (math.inf, 2, "∞"),
        (-math.inf, 2, f"{MINUS}∞"),
        (math.nan, 2, "NaN"),
    ],
)
def test_numbers(value: float, digits: int, text: str) -> None:
    assert formatting.number(value, digits) == text


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_number_is_the_nearest_with_its_decimals(value: float, digits: int) -> None:
    text = formatting.number(value, digits).replace(MINUS, "-")
    assert abs(float(text) - value) <= 0.5 * 10.0**-digits * (1 + 1e-9)
    assert not text.startswith("-") or float(text) < 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (0.12, "+12"),
        (-0.004, f"{MINUS}0.4"),
        (0.0004, "0"),
        (0.0, "0"),
        (-0.5, f"{MINUS}50"),
        (0.0025, "+0.3"),
        (math.nan, "NaN"),
    ],
)
def test_changes_are_signed(change: float, text: str) -> None:
    assert formatting.points(change) == text


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        (0.684, 0.284, ("68 %", "28 %", f"{MINUS}40")),
        (0.256, 0.164, ("25.6 %", "16.4 %", f"{MINUS}9.2")),  # 26 % and 16 % differ by 10
        (0.1449, 0.0489, ("14.5 %", "4.9 %", f"{MINUS}9.6")),
        (0.1037, 0.3261, ("10.4 %", "32.6 %", "+22.2")),  # 10 % and 33 % differ by 23, not by 22
        (0.25556, 0.16444, ("25.6 %", "16.4 %", f"{MINUS}9.2")),  # −9.112: the tenths that are shown differ by 9.2
        (0.0, 0.0, ("0 %", "0 %", "0")),
        (0.0, 0.9, ("0 %", "90 %", "+90")),
        (0.0004, 0.25, ("< 0.1 %", "25.0 %", "+25.0")),
        (math.nan, 0.5, ("NaN", "50 %", "NaN")),
    ],
)
def test_two_shares_differ_by_what_stands_beside_them(before: float, after: float, texts: tuple[str, str, str]) -> None:
    assert formatting.shares(before, after) == tuple(text.replace(" ", NARROW) for text in texts)


@pytest.mark.parametrize(
    ("before", "after", "digits", "text"),
    [
        (0.8324, 0.8696, 3, "+0.038"),  # unrounded, +0.037
        (1.0, 0.99996, 3, "0"),
        (-1.254, 2.0, 2, "+3.25"),
        (2.0, -1.0, 2, f"{MINUS}3.00"),
        (1.0, math.nan, 2, "NaN"),
    ],
)
def test_a_difference_is_that_of_the_numbers_as_written(before: float, after: float, digits: int, text: str) -> None:
    assert formatting.difference(before, after, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 2, "0"),
        (2.04e-6, 2, "2.0\u00a0×\u00a010⁻⁶"),
        (3.4e-7, 1, "3\u00a0×\u00a010⁻⁷"),
        (0.0123, 2, "0.012"),
        (123.4, 2, "123"),
        (4567.0, 2, "4.6\u00a0×\u00a010³"),
        (-2.04e-6, 2, f"{MINUS}2.0\u00a0×\u00a010⁻⁶"),
    ],
)
def test_powers_of_ten(value: float, digits: int, text: str) -> None:
    assert formatting.scientific(value, digits) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50 %"), (4.12e-5, "0.00412 %"), (4.12e-9, "4.12\u00a0×\u00a010⁻⁷ %"), (0.0, "0 %"), (0.123456, "12.3 %")],
)
def test_small_shares_keep_three_digits(share: float, text: str) -> None:
    assert formatting.small_percent(share) == text[:-2] + NARROW + "%"


@pytest.mark.parametrize(
    ("value", "text"), [(99_999, "99999.00"), (1.2e5, "1.2·10⁵"), (-2.5e7, f"{MINUS}2.5·10⁷"), (math.nan, "?")]
)
def test_narrow_cells(value: float, text: str) -> None:
    assert formatting.compact(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(8.2, "8 s"), (99.4, "99 s"), (99.6, "2 min"), (300, "5 min")])
def test_times_to_wait(seconds: float, text: str) -> None:
    assert formatting.minutes(seconds) == text.replace(" ", NARROW)


def test_words() -> None:
    assert [formatting.counted(n, "layer") for n in (0, 1, 2, 1000)] == [
        "0 layers",
        "1 layer",
        "2 layers",
        "1,000 layers",
    ]
    lists = [(), ("a",), ("a", "b"), ("a", "b", "c")]
    assert [formatting.listed(parts) for parts in lists] == ["", "a", "a and b", "a, b and c"]
    assert formatting.listed(("a", "b", "c"), "; ") == "a; b and c"
    assert [formatting.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 113)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "113th")
    ]
