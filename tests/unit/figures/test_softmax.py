"""The softmax lesson's figures and sentences show the numbers they are given."""

import math
from itertools import pairwise

import pytest
import torch

from attnviz import figures, load
from attnviz.formatting import significant
from attnviz.web.components import dial
from attnviz.web.softmax import text
from attnviz.web.softmax.row import Row, read_row
from attnviz.web.temperatures import TEMPERATURES
from tests.support.hostile_texts import EVERY_FOURTH


def test_many_tokens_share_a_bar_and_lose_no_weight() -> None:
    trace = load("scratch:tiny").run("word " * 60)
    row = read_row(trace, 0, 0, 5, 0.1)
    labels, before, after, texts = text.bars(row)
    assert len(labels) == len(before) == len(after) == len(texts) == text.MOST_BARS
    assert labels[-1] == "39 others"
    assert sum(before) == pytest.approx(1) and sum(after) == pytest.approx(1)


def test_one_allowed_token_needs_no_temperature() -> None:
    row = read_row(load("scratch:gpt").run("a few words"), 0, 0, 0, 0.05)
    assert row.allowed == 1 and "every temperature" in text.row_sentence(row)
    assert row.ends == ((1.0, 1.0), (1.0, 1.0))
    figure = figures.temperature_curves(
        TEMPERATURES, row.curve_tokens, row.curve_tops, (0.05, 1, 1), row.ends, figures.LIGHT
    )
    assert {note.text for note in figure.layout.annotations} == {"every τ: 1", "every τ: 100\u202f%"}


def test_the_temperatures_are_even_on_a_log_scale_with_1_in_the_middle() -> None:
    taus = TEMPERATURES
    steps = [math.log10(b / a) for a, b in pairwise(taus)]
    assert taus[0] == 0.05 and taus[-1] == 20 and taus[len(taus) // 2] == 1
    assert min(steps) > 0.04 and max(steps) < 0.1


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_tokens_are_text_for_plotly(label: str) -> None:
    bars = figures.weight_bars([label], [0.5], [1.0], ["100"], figures.LIGHT)
    dots = figures.token_dots([label], [0.5], [0.5], [0.5], figures.DARK)
    for figure in (bars, dots):
        assert "<" not in figure.layout.yaxis.ticktext[0]
        assert all("<" not in name for trace in figure.data for name in trace.customdata or ())


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_variances_that_cannot_be_measured_are_left_out(palette: figures.Palette) -> None:
    points = [(float(width), 0.9 * width, 1.1 * width) for width in (1, 2, 4)]
    scaled = [(1.0, 0.9, 1.1)] * 3
    figure = figures.variance_lines([1, 2, 4], points, scaled, (4, [math.nan, 0.0], ["a", "b"]), palette)
    assert not [one for one in figure.data if one.name == "heads"]
    assert figure.layout.xaxis.title.text and figure.layout.yaxis.title.text


def test_probabilities_of_0_stand_on_no_logarithm() -> None:
    figure = figures.token_dots(["a", "b"], [0.6, 0.4], [0.6, 0.4], [1.0, 0.0], figures.LIGHT)
    assert all(math.isfinite(end) for end in figure.layout.xaxis.range)
    line = figures.saturation_lines([1, 2], [0.1, 0.0], [0.1, 0.1], "size", figures.LIGHT)
    assert all(math.isfinite(end) for end in line.layout.yaxis.range)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0000158, "0.0000158"), (3.4827, "3.48"), (111.4, "111"), (4188.6, "4,190"), (0.0, "0.0"), (math.inf, "inf")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "index"), [(1.0, 1), (0.9, 1), (100, 2), (-3.0, 0), (math.nan, 0), ("x", 0), (None, 0), (True, 1)]
)
def test_a_dial_stands_at_the_nearest_step(value: object, index: int) -> None:
    assert dial.nearest((0.5, 1.0, 2.0), value) == index


def test_a_masked_row_shares_nothing() -> None:
    trace = load("scratch:test").run("ab")
    row = read_row(trace, 0, 0, 0, 1.0)
    starved = Row(**{**vars(row), "scores": torch.full_like(row.scores, -math.inf)})
    assert starved.allowed == 0 and "no token" in text.row_sentence(starved)
