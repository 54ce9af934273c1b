"""Figures show the numbers they are given, in the house style."""

import hashlib
import re
from pathlib import Path

import plotly
import pytest

from attnviz import figures
from attnviz.inputs.assets import ASSETS
from tests.pages.driver import DRAWN
from tests.support.hostile_texts import EVERY_FOURTH

MOVED = [[0.1, 0.2, 0.0], [0.3, 0.1, 0.2]]


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_downstream_lines_are_the_numbers(palette: figures.Palette) -> None:
    figure = figures.downstream_lines(MOVED, ["a", "b", "c"], 1, palette)
    lines = {trace.name: list(trace.y) for trace in figure.data[3:]}
    assert lines["mean of all tokens"] == pytest.approx([10.0, 20.0])
    assert lines["b"] == pytest.approx([20.0, 10.0])
    assert [list(trace.y) for trace in figure.data[:3]] == [
        pytest.approx([100 * row[i] for row in MOVED]) for i in range(3)
    ]
    assert {a.text for a in figure.layout.annotations} == {"mean", "b"}
    assert figure.layout.xaxis.title.text and figure.layout.yaxis.title.text and figure.layout.yaxis.ticksuffix
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)" and not figure.layout.showlegend


def test_without_a_token_only_the_mean_is_named() -> None:
    figure = figures.downstream_lines(MOVED, ["a", "b", "c"], None, figures.LIGHT)
    assert [a.text for a in figure.layout.annotations] == ["mean"]


def test_labels_at_the_ends_never_touch() -> None:
    even = [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    figure = figures.downstream_lines(even, ["a", "b", "c"], 0, figures.LIGHT)
    low, high = sorted(a.y for a in figure.layout.annotations)
    assert high - low == pytest.approx(0.11 * 50)


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_tokens_are_text_for_plotly(label: str) -> None:
    figure = figures.downstream_lines(MOVED, [label, "b", "c"], 0, figures.LIGHT)
    assert all("<" not in (a.text or "") for a in figure.layout.annotations)
    assert all("<" not in trace.name for trace in figure.data)


def test_the_charts_library_is_the_one_that_plotly_checks_for() -> None:
    """plotly's package checks our figures in the tests; what draws them is a smaller build of the same version."""
    version = re.compile(r"plotly\.js (?:\(cartesian - minified\) )?v([\d.]+)")
    theirs = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    ours = ASSETS / "plotly" / "plotly-cartesian.min.js"
    heads = [version.search(path.read_text("utf-8")[:300]) for path in (theirs, ours)]
    assert heads[0] and heads[1] and heads[0][1] == heads[1][1]
    source = ours.read_text("utf-8")
    published = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"  # plotly.js-cartesian-dist-min 4.1.1
    assert hashlib.sha256(ours.read_bytes()).hexdigest() == published
    for kind in DRAWN:
        assert f'moduleType:"trace",name:"{kind}"' in source, kind


def test_lines_beyond_the_four_colours_are_told_apart_by_dashes() -> None:
    """A fifth positional encoding is a fifth line on the page Positions."""
    lines = {f"line {number}": [0.0, number] for number in range(9)}
    drawn = figures.wave_lines(lines, figures.LIGHT, x="position", y="gap").data
    assert [list(one.y) for one in drawn] == list(lines.values())
    looks = [(one.line.color, one.line.dash) for one in drawn]
    assert len(set(looks)) == 9 and [dash for _, dash in looks[:5]] == ["solid"] * 4 + ["dash"]
