"""The pictures of cost: they show the numbers that they are given, on axes that can be read."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.figures import DARK, LIGHT, cache_dots, cost_lines, error_dots, implied_matrices
from attnviz.figures.cost import Line
from attnviz.figures.implied_matrices import COLUMNS
from attnviz.figures.theme import apart
from attnviz.formatting import duration, memory_size
from tests.support.hostile_texts import EVERY_FOURTH

MATRICES = [(f"kind {i}", f"{i} off", np.random.default_rng(i).dirichlet(np.ones(5), 5)) for i in range(6)]
LABELS = ["[CLS]", "the", "<b>cat", "the", "[SEP]"]


def texts(figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


# Matrices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 33, 64])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_every_weight_stands_in_its_tile_under_its_tokens(n: int, count: int) -> None:
    matrices = [(f"kind {i}", "", np.random.default_rng(i).dirichlet(np.ones(n), n)) for i in range(count)]
    figure = implied_matrices(matrices, [f"word{i}" for i in range(n)], LIGHT)
    (heatmap,) = figure.data
    shown, colour = np.asarray(heatmap.customdata), np.asarray(heatmap.z)
    assert len(set(heatmap.x)) == len(heatmap.x) == shown.shape[1]  # a name that came twice would merge its columns
    assert len(set(heatmap.y)) == len(heatmap.y) == shown.shape[0]
    seen = 0
    for tile, (_, _, weights) in zip(figure.layout.shapes, matrices, strict=True):
        top, left = int(tile.y0 + 0.5), int(tile.x0 + 0.5)
        assert (tile.x1 - tile.x0, tile.y1 - tile.y0) == (n, n)
        np.testing.assert_allclose(shown[top : top + n, left : left + n], 100 * weights, rtol=1e-5)
        np.testing.assert_allclose(colour[top : top + n, left : left + n], np.sqrt(weights), rtol=1e-5)
        for names, first in ((heatmap.x, left), (heatmap.y, top)):
            assert [name.rstrip("\u200b") for name in names[first : first + n]] == [f"{i} word{i}" for i in range(n)]
        seen += n * n
    assert np.isfinite(colour).sum() == seen  # between the tiles there is nothing


def test_tiles_have_their_titles_and_colours_keep_their_meaning() -> None:
    figure = implied_matrices(MATRICES, LABELS, DARK)
    assert texts(figure) == [f"<b>kind {i}</b><br>{i} off" for i in range(6)]
    assert len({tile.x0 for tile in figure.layout.shapes}) == COLUMNS
    for note, tile in zip(figure.layout.annotations, figure.layout.shapes, strict=True):
        assert (note.x, note.y) == (tile.x0, tile.y0)
    axis = figure.layout.coloraxis
    assert (axis.cmin, axis.cmax) == (0, 1)
    assert dict(zip(axis.colorbar.ticktext, axis.colorbar.tickvals, strict=True))["25"] == 0.5  # √0.25
    assert figure.layout.yaxis.scaleanchor == "x" and figure.layout.yaxis.autorange == "reversed"


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_a_strangers_token_is_never_markup(label: str) -> None:
    figure = implied_matrices(MATRICES[:1], [label] * 5, LIGHT)
    names = [*figure.data[0].x, *figure.data[0].y]
    assert not any("<" in name or ">" in name for name in names)
    assert len(set(figure.data[0].x)) == np.shape(figure.data[0].z)[1]


# Errors -------------------------------------------------------------------------------------------------------


def test_errors_are_drawn_per_head_with_the_chosen_one_on_top() -> None:
    figure = error_dots([("local", [0.5, 0.0, 2.0]), ("linear", [0.1, 0.2, 0.3])], head=0, even=0.8, palette=LIGHT)
    by_name = {trace.y[0]: trace for trace in figure.data}
    assert [trace.y[0] for trace in figure.data] == ["linear", "local"]  # plotly counts from below
    local = by_name["local"]
    assert [tuple(point) for point in local.customdata] == [(1, 0.0), (2, 200.0), (0, 50.0)]
    assert list(local.x) == [1.0, 200.0, 50.0]  # nothing smaller than 1 % can be drawn; the number stays 0
    assert local.marker.color[-1] == LIGHT.ink and local.marker.color[0] != LIGHT.ink
    assert figure.layout.shapes[0].x0 == pytest.approx(80) and texts(figure) == ["looking evenly"]


def test_no_line_where_looking_evenly_is_no_error() -> None:
    assert not error_dots([("local", [0.0])], 0, 0.0, LIGHT).layout.shapes


# Cost ---------------------------------------------------------------------------------------------------------

LINES = [Line("full", (64, 128, 256), (1e-4, 4e-4, 1.6e-3)), Line("linear", (64, 128, 256), (2e-4, 3e-4, 5e-4))]


@pytest.mark.parametrize("unit", ["seconds", "bytes"])
def test_lines_hold_what_was_measured_and_guides_have_their_slopes(unit: str) -> None:
    lines = (
        LINES if unit == "seconds" else [Line(a.name, a.n_tokens, tuple(1e9 * one for one in a.cost)) for a in LINES]
    )
    figure = cost_lines(lines, unit, LIGHT)
    traces = {trace.name: trace for trace in figure.data}
    for line in lines:
        assert (tuple(traces[line.name].x), tuple(traces[line.name].y)) == (line.n_tokens, line.cost)
    for name, power, through in (("n²", 2, lines[0]), ("n", 1, lines[-1])):
        (x0, x1), (y0, y1) = traces[name].x, traces[name].y
        assert math.log(y1 / y0) / math.log(x1 / x0) == pytest.approx(power)
        assert (x1, y1) == (256, pytest.approx(through.cost[-1]))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert {"full", "linear", "n", "n²"} == set(texts(figure))
    low, high = figure.layout.yaxis.range
    assert all(low < math.log10(one) < high for line in lines for one in line.cost)


@pytest.mark.parametrize("lines", [[], [Line("full", (), ())], [Line("full", (64,), (0.001,))]])
def test_little_or_nothing_measured_still_draws(lines: list[Line]) -> None:
    figure = cost_lines(lines, "seconds", LIGHT)
    assert all(math.isfinite(end) for end in figure.layout.yaxis.range)


def test_lines_of_different_lengths_end_where_they_end() -> None:
    figure = cost_lines([LINES[0], Line("linear", (64, 128, 256, 512), (1e-4,) * 4)], "seconds", LIGHT)
    assert {trace.name: trace.x[-1] for trace in figure.data} == {"full": 256, "linear": 512, "n²": 512, "n": 512}


# The cache ----------------------------------------------------------------------------------------------------


def test_caches_are_drawn_as_published_and_unshared() -> None:
    rows = [("A", 2**30, 2**33, True), ("B", 2**20, 2**20, False)]
    figure = cache_dots(rows, LIGHT)
    _, hollow, filled = figure.data
    assert dict(zip(filled.y, filled.x, strict=True)) == {"A": 2**30, "B": 2**20}
    assert dict(zip(hollow.y, hollow.x, strict=True)) == {"A": 2**33, "B": 2**20}
    assert dict(zip(filled.y, filled.marker.opacity, strict=True)) == {"A": 1, "B": 0.4}
    assert sorted(texts(figure)) == sorted(["1\u202fGiB", "8\u202fGiB", "1\u202fMiB"])  # no second label where equal
    low, high = figure.layout.xaxis.range
    assert low < math.log10(2**20) and math.log10(2**33) < high


# Words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (36 * 2**20, "36 MiB"),
        (2**30, "1 GiB"),
        (1.25 * 2**30, "1.2 GiB"),
        (999 * 2**30, "999 GiB"),
        (1008 * 2**30, "1.0 TiB"),
        (5000 * 2**40, "5,000 TiB"),
    ],
)
def test_sizes_in_words(n_bytes: float, words: str) -> None:
    assert memory_size(n_bytes) == words.replace(" ", "\u202f")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2.1e-5, "21 µs"),
        (4.3e-6, "4.3 µs"),
        (1e-3, "1 ms"),
        (1.84e-3, "1.8 ms"),
        (0.14, "140 ms"),
        (1.24, "1.2 s"),
        (12.3, "12 s"),
        (0.0, "0 µs"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words.replace(" ", "\u202f")


@given(st.lists(st.floats(-5, 5), max_size=8), st.floats(0.01, 2))
def test_labels_stand_apart_in_their_order_about_where_they_were(heights: list[float], least: float) -> None:
    ends = [(y, f"line {i}", "ink") for i, y in enumerate(heights)]
    moved = apart(ends, least)
    assert [text for _, text, _ in moved] == [text for _, text, _ in sorted(ends)]
    ys = [y for y, _, _ in moved]
    assert all(b - a >= least - 1e-9 for a, b in pairwise(ys))
    if all(b - a >= least for a, b in pairwise(sorted(heights))):
        assert ys == pytest.approx(sorted(heights))
    if heights:
        assert sum(ys) == pytest.approx(sum(heights), abs=1e-6)
