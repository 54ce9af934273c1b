"""The measures' columns and the points of a space as figures."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from attnviz.figures import DARK, LIGHT, Palette, dots, measure_columns
from attnviz.figures.space import Dot


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_each_column_is_in_shares_of_its_own_largest(palette: Palette) -> None:
    values = {"plain": [1.0, 0.25, 0.0], "signed": [-4.0, 1.0, 0.0], "nothing": [0.0, 0.0, 0.0]}
    written = {name: [str(x) for x in column] for name, column in values.items()}
    figure = measure_columns(values, written, ["signed"], ["<b>", "x", "y"], palette, room=5)
    plain, signed = figure.data
    assert list(plain.x) == [0, 2] and list(signed.x) == [1]
    assert [list(row) for row in plain.z] == [[1, 0], [0.5, 0], [0, 0]]
    assert [list(row) for row in signed.z] == [[-1], [0.5], [0]]
    assert (plain.zmin, signed.zmin) == (0, -1)
    assert plain.colorscale[0][1] == palette.sequential[0] and signed.colorscale[5][1] == palette.paper
    assert plain.text[0][0] == "plain, 0 &lt;b&gt;: 1.0" and list(figure.layout.xaxis.range) == [-0.5, 4.5]


def test_dots_are_drawn_the_chosen_one_last() -> None:
    points = [
        Dot(0, 1, "a", "about a", kind=1, tells=3),
        Dot(2, 3, "<i>", "about b", amount=1.0, is_key=True, near=1.0, is_named=False),
        Dot(4, 5, "c", "about c", kind=None, near=0.0, is_lit=True),
    ]
    (marks,) = go.Figure(dots(points, 0, ("x", "y"), LIGHT)).data
    assert list(marks.x) == [4, 2, 0] and list(marks.text) == ["c", "", "a"]
    assert [list(one) for one in marks.customdata] == [[-1, "about c"], [-1, "about b"], [3, "about a"]]
    assert list(marks.marker.symbol) == ["circle", "diamond", "circle"]
    assert list(marks.marker.color) == [LIGHT.paper, LIGHT.sequential[-1], LIGHT.categories[1]]
    assert list(marks.marker.size) == [7, 16, 11] and list(marks.marker.line.width) == [1.5, 1, 2.5]


def test_a_name_stands_where_it_covers_no_other_and_no_point() -> None:
    """“[SEP]” and “the” lay on each other on a phone: both stood above their points."""
    points = [Dot(0, 0, "alone", ""), Dot(10, 10, "[SEP]", ""), Dot(10.2, 10.2, "the", ""), Dot(10, 10.6, "", "")]
    (marks,) = go.Figure(dots(points, 1, ("x", "y"), LIGHT)).data
    sides = dict(zip(marks.text, marks.textposition, strict=True))
    assert sides["alone"] == "top center"
    assert sides["[SEP]"] == "bottom center"  # a point and its neighbour's are above and at the right
    assert sides["the"] == "middle right"


def test_names_that_would_cover_one_another_are_left_out_the_chosen_ones_last() -> None:
    """Twelve points in one place have eight sides; queries of a head stood there in a heap of letters."""
    points = [Dot(0, 0, f"word{i}", "") for i in range(12)] + [Dot(9, 9, "far", "")]
    points[5] = Dot(0, 0, "lit", "", is_lit=True)
    (marks,) = go.Figure(dots(points, 3, ("x", "y"), LIGHT)).data
    named = {name: side for name, side in zip(marks.text, marks.textposition, strict=True) if name}
    assert {"word3", "lit", "far"} <= set(named) and len(named) < 12
    assert len({named[name] for name in named if name != "far"}) == len(named) - 1  # each on a side of its own
