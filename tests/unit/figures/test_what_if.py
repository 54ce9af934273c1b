"""Maps of effects and the dots of exact and approximate ones show the numbers they are given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from attnviz import figures
from tests.support.hostile_texts import EVERY_FOURTH
from tests.support.node import run_node

EFFECTS = np.array([[0.25, -1.0], [0.0, np.nan]])
WRITTEN = [["+0.25", "−1.00"], ["0", "not run yet"]]


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_a_cell_has_the_root_of_its_share_of_the_largest(palette: figures.Palette) -> None:
    figure = figures.effect_map(EFFECTS, WRITTEN, palette, rows=["layer 0", "layer 1"], chosen=(1, 0))
    heat, text = figure.data
    assert [list(row) for row in heat.z] == [[0.5, -1.0], [0.0, None]]
    assert list(text.text) == ["+0.25", "−1.00", "", ""]
    assert heat.customdata[0][1][2] == "−1.00" and figure.layout.shapes[0].x0 == pytest.approx(-0.48)
    assert list(figure.layout.yaxis.ticktext) == ["layer 0", "layer 1"]
    steps = palette.diverging
    assert (heat.colorscale[0][1], heat.colorscale[-1][1]) == (steps[0], steps[-1])
    for colour, place in zip(text.textfont.color[:2], (0.5, -1.0), strict=True):
        fill = steps[round((place + 1) / 2 * (len(steps) - 1))]
        assert contrast(colour, fill) >= 4.5


def contrast(a: str, b: str) -> float:
    """As WCAG 2.1 has it."""

    def light(colour: str) -> float:
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


def test_a_small_effect_stays_pale_where_the_whole_is_known() -> None:
    figure = figures.effect_map(np.array([[0.04]]), [["4 %"]], figures.LIGHT, rows=["layer 0"], full=1.0)
    assert figure.data[0].z[0][0] == pytest.approx(0.2)


def test_nothing_known_yet_is_drawn() -> None:
    figure = figures.effect_map(np.full((1, 2), np.nan), [["", ""]], figures.LIGHT, rows=["layer 0"])
    assert list(figure.data[0].z[0]) == [None, None]


def test_numbers_that_would_run_into_each_other_stay_out_of_the_cells() -> None:
    """12 heads on a phone; the cells and their colours stay."""
    effects = np.linspace(-1, 1, 12)[None]
    figure = figures.effect_map(effects, [["−1.2 %"] * 12], figures.LIGHT, rows=["layer 0"])
    script = "give([358, 512].map((width) => chart_figure.figureAt(inputs, width, 1).data.map((one) => one.type)))"
    assert run_node(script, inputs=figure.to_json()) == [["heatmap"], ["heatmap", "scatter"]]


def test_names_in_narrow_cells_are_in_the_smallest_type() -> None:
    """12 heads on a phone: “local” touched both edges of its cell."""
    figure = figures.role_map([["local"] * 12], (0, 0), figures.LIGHT)
    script = "give([358, 800].map((width) => chart_figure.figureAt(inputs, width, 1).data[1].textfont.size))"
    assert run_node(script, inputs=figure.to_json()) == [11, 12]


def test_on_paper_a_dark_map_is_the_light_one_with_inks_that_are_read() -> None:
    maps = [figures.effect_map(EFFECTS, WRITTEN, one, rows=["a", "b"]) for one in (figures.DARK, figures.LIGHT)]
    dark, light = (one.to_json() for one in maps)
    printed, kept = run_node("give(inputs.map(chart_paper.forPaper))", inputs=[dark, light])
    assert kept == light
    assert json.loads(printed.lower()) == json.loads(light.lower()) != json.loads(dark.lower())


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_tokens_are_text(label: str) -> None:
    figure = figures.effect_map(EFFECTS, WRITTEN, figures.LIGHT, rows=["a", "b"], columns=[label, "x"], across="token")
    assert "<" not in figure.layout.xaxis.ticktext[0] and "<" not in figure.data[0].customdata[0][0][1]


def test_every_head_is_a_dot_and_the_line_is_where_both_are_equal() -> None:
    near = np.array([[0.3, -0.8], [0.1, 2.0]])
    figure = figures.agreement_dots(EFFECTS, near, ["layer 0", "layer 1"], (0, 1), figures.LIGHT)
    line, dots = figure.data
    assert list(line.x) == list(line.y)
    assert (list(dots.x), list(dots.y)) == ([0.25, -1.0, 0.0], [0.3, -0.8, 0.1])  # the one not run is left out
    assert list(dots.marker.line.width) == [0, 2.5, 0]
    assert list(dots.customdata[1]) == [0, 1, "layer 0, head 1"]
