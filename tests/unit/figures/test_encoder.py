"""The encoder block's figures carry the numbers that they are given, in the house style."""

import re

import numpy as np
import plotly.graph_objects as go
import pytest

from attnviz import figures
from attnviz.figures import block, encoder, theme
from tests.support.hostile_texts import EVERY_FOURTH

LENGTHS = {
    "before": 10.0,
    "attention_in": 12.0,
    "attention": 5.0,
    "attention_sum": 11.0,
    "middle": 14.0,
    "feed_in": 13.0,
    "feed_forward": 20.0,
    "feed_sum": 25.0,
    "after": 8.0,
}
RANDOM = np.random.default_rng(0)


def texts(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def widths(figure: go.Figure, fill: str) -> list[float]:
    """Widths of the band of one colour, in % of the picture: distances between its two outlines, top to bottom."""
    (path,) = [shape.path for shape in figure.layout.shapes if shape.type == "path" and shape.fillcolor == fill]
    points = [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.e-]+),(-?[\d.e-]+)(?= [CLMZ])", path)]
    half = len(points) // 2
    return [right[0] - left[0] for right, left in zip(points[:half], reversed(points[half:]), strict=True)]


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_diagram_says_every_length_and_draws_it(norm_first: bool, palette: figures.Palette) -> None:
    figure = figures.block_diagram(LENGTHS, norm_first, 25.0, palette)
    said = " ".join(texts(figure))
    stages = ["before", "middle", "after"] + ([] if norm_first else ["attention_sum", "feed_sum"])
    for stage in stages:
        assert f"<b>{LENGTHS[stage]:.2f}</b>" in said
    for stage in ("attention", "feed_forward"):
        assert f"adds {LENGTHS[stage]:.2f}" in texts(figure)
    assert (said.count("12.00"), said.count("13.00")) == ((1, 1) if norm_first else (0, 0))
    assert texts(figure).count("LayerNorm") == 2
    unit = block.WIDEST / 25.0
    stream = ["before", "middle", "after"] if norm_first else ["before", "attention_sum", "middle", "feed_sum", "after"]
    expected = [unit * LENGTHS[stage] for stage in stream for _ in range(2)]
    assert widths(figure, encoder.tint(palette.query, 0.22)) == pytest.approx(expected)
    for name, colour in encoder.branch_colours(palette).items():
        assert widths(figure, encoder.tint(colour, 0.4)) == pytest.approx([-unit * LENGTHS[name]] * 2)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_layer_of_attention_only_is_drawn_without_a_feed_forward_network(norm_first: bool) -> None:
    alone = {name: norm for name, norm in LENGTHS.items() if not name.startswith("feed")}
    figure = figures.block_diagram(alone, norm_first, 25.0, figures.LIGHT)
    assert texts(figure).count("LayerNorm") == 1 and "Feed-forward" not in texts(figure)
    assert f"<b>{alone['after']:.2f}</b><br>out" in texts(figure)
    assert figure.layout.height < figures.block_diagram(LENGTHS, norm_first, 25.0, figures.LIGHT).layout.height
    unit = block.WIDEST / 25.0
    stream = ["before", "after"] if norm_first else ["before", "attention_sum", "after"]
    expected = [unit * alone[stage] for stage in stream for _ in range(2)]
    assert widths(figure, encoder.tint(figures.LIGHT.query, 0.22)) == pytest.approx(expected)


def test_two_diagrams_share_their_scale_and_a_zero_vector_has_no_width() -> None:
    nothing = dict.fromkeys(LENGTHS, 0.0)
    figure = figures.block_diagram(nothing, True, 0.0, figures.LIGHT)
    assert set(widths(figure, encoder.tint(figures.LIGHT.query, 0.22))) == {0.0}
    assert "<b>0.00</b><br>in" in texts(figure)


def test_norm_rows_count_every_number_and_name_mean_and_deviation() -> None:
    rows = [("before", RANDOM.normal(2, 3, 100)), ("after", RANDOM.normal(0, 1, 100))]
    figure = figures.norm_rows(rows, figures.LIGHT)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    for (name, values), bar, note in zip(rows, bars, texts(figure), strict=True):
        assert sum(bar.customdata) == 100 and bar.name == name
        assert bar.x.min() - bar.width / 2 <= values.min() and values.max() <= bar.x.max() + bar.width / 2
        mean = f"{values.mean():.2f}".replace("-", "−")
        assert note == f"<b>{name}</b><br>mean {mean}, deviation {values.std():.2f}"
    assert {float(bar.base) for bar in bars} == {0.0, 1.0}
    assert len({float(bar.width) for bar in bars}) == 1  # one axis, one width of bins


def test_norm_rows_of_equal_numbers() -> None:
    figure = figures.norm_rows([("before", np.full(8, 3.0)), ("after", np.full(8, 3.0))], figures.LIGHT)
    assert [sum(trace.customdata) for trace in figure.data if trace.type == "bar"] == [8, 8]


def test_activation_curves_split_the_units_at_zero() -> None:
    hidden = RANDOM.normal(-1, 1, 500)
    x = np.linspace(-4, 3, 50)
    figure = figures.activation_curves(
        {"ReLU": (x, np.maximum(x, 0)), "GELU": (x, x / 2)}, "GELU", hidden, figures.DARK
    )
    lines = {trace.name: trace for trace in figure.data if trace.type == "scatter"}
    assert lines["GELU"].line.width > lines["ReLU"].line.width and figure.data[1].name == "GELU"  # the own one on top
    assert list(lines["ReLU"].y) == pytest.approx(np.maximum(x, 0))
    (bars,) = [trace for trace in figure.data if trace.type == "bar"]
    colours = np.array(bars.marker.color)
    assert sum(bars.y[colours == figures.DARK.ink2]) == (hidden < 0).sum()
    assert sum(bars.y[colours == figures.DARK.query]) == (hidden >= 0).sum()
    assert sorted(texts(figure)) == ["GELU", "ReLU"]
    assert figure.layout.yaxis2.title.text == "units" and figure.layout.yaxis2.title.font.size == 14


def test_branch_bars_are_means_and_one_tokens_shares() -> None:
    shares = {"attention": RANDOM.random((3, 4)), "feed_forward": RANDOM.random((3, 4))}
    figure = figures.branch_bars(shares, 2, "it", figures.LIGHT)
    for trace, name in zip(figure.data, ["attention", "feed_forward"] * 2, strict=True):
        values = shares[name].mean(axis=1) if trace.type == "bar" else shares[name][:, 2]
        assert list(trace.y) == pytest.approx(list(100 * values))
    assert set(texts(figure)) == {"attention", "feed-forward"}
    assert figure.layout.yaxis.ticksuffix and figure.layout.xaxis.title.text == "layer"


def test_the_name_of_a_paths_start_keeps_clear_of_that_of_its_end() -> None:
    """“it” and “embedding” ran into each other: the path ends beside its start, at the height of the note."""
    ends = {0.0: -13, -3.3: 13}  # the end's height in a plane 100 high: 13 px below the start there is a name at −3.3
    for end, shift in ends.items():
        points = np.array([[[0.0, 0.0], [0.0, -50.0]], [[5.0, 5.0], [90.0, 50.0]], [[2.0, end], [90.0, 50.0]]])
        figure = figures.drift_paths(points, np.array([0.5, 0.25]), ["it", "other"], 0, figures.LIGHT)
        (start,) = [note for note in figure.layout.annotations if note.text == "embedding"]
        assert start.yshift == shift, end


def test_drift_paths_hold_every_point_and_mark_one_token() -> None:
    points = RANDOM.normal(size=(4, 6, 2))
    labels = ["a", "bb", "ccc", "dd", "e", ""]
    figure = figures.drift_paths(points, np.array([0.5, 0.25]), labels, 2, figures.LIGHT)
    everything, ends, own = figure.data
    drawn = np.stack([everything.x, everything.y], axis=1).reshape(6, 5, 2)
    np.testing.assert_allclose(drawn[:, :4], points.swapaxes(0, 1))
    assert np.isnan(drawn[:, 4]).all()  # one line per token
    np.testing.assert_allclose(np.stack([ends.x, ends.y], axis=1), points[-1])
    np.testing.assert_allclose(np.stack([own.x, own.y], axis=1), points[:, 2])
    assert own.name == "ccc" and own.line.color == figures.LIGHT.query
    assert "ccc" in texts(figure) and "embedding" in texts(figure)
    assert "50\u202f%" in figure.layout.xaxis.title.text and "25\u202f%" in figure.layout.yaxis.title.text
    assert list(own.text) == ["ccc<br>before the layers", *(f"ccc<br>after layer {i}" for i in range(3))]


def test_labels_of_the_drift_keep_apart_the_chosen_token_first() -> None:
    points = np.zeros((2, 30, 2))
    points[1] = RANDOM.random((30, 2))
    labels = [f"word{i}" for i in range(30)]
    figure = figures.drift_paths(points, np.array([0.5, 0.2]), labels, 7, figures.LIGHT)
    notes = [note for note in figure.layout.annotations if note.text != "embedding"]
    assert notes[0].text == "word7" and 1 < len(notes) < 30
    places = np.array([[note.x, note.y] for note in notes]) / np.ptp(points.reshape(-1, 2), axis=0)
    for i, place in enumerate(places):
        for other in places[:i]:
            assert (np.abs(place - other) > [0.12, 0.05]).any()


def test_a_token_alone_that_never_moves_can_be_drawn() -> None:
    figure = figures.drift_paths(np.zeros((3, 1, 2)), np.zeros(2), ["a"], 0, figures.DARK)
    assert set(texts(figure)) == {"embedding", "a"}


@pytest.mark.parametrize("values", [([1.0, 2.0, 4.0], [1.0, 0.9, 0.5]), ([1.0], [1.01])])
def test_depth_lines_are_the_numbers(values: tuple[list[float], list[float]]) -> None:
    figure = figures.depth_lines(*values, "layer", "length of the gradient", figures.LIGHT)
    assert [trace.name for trace in figure.data] == ["post-norm", "pre-norm"]
    assert [list(trace.y) for trace in figure.data] == list(map(list, values))
    assert [list(trace.x) for trace in figure.data] == [list(range(len(values[0])))] * 2
    assert sorted(texts(figure)) == ["post-norm", "pre-norm"]
    assert figure.layout.yaxis.range[0] == 0 and figure.layout.yaxis.range[1] >= max(max(values[0]), max(values[1]))


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_tokens_are_text_for_plotly(label: str) -> None:
    points = RANDOM.normal(size=(2, 2, 2))
    drift = figures.drift_paths(points, np.array([0.5, 0.2]), [label, "b"], 0, figures.LIGHT)
    bars = figures.branch_bars({"attention": np.ones((1, 2)), "feed_forward": np.ones((1, 2))}, 0, label, figures.LIGHT)
    for figure in (drift, bars):
        shown = [*texts(figure), *(trace.name or "" for trace in figure.data)]
        shown += [text.replace("<br>", "") for trace in figure.data for text in (trace.text or []) if text]
        assert all("<" not in text and ">" not in text for text in shown)


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_every_figure_is_in_the_house_style(palette: figures.Palette) -> None:
    trace = {"type": "scatter", "x": [0, 1], "y": [1, 2]}
    layout = {"xaxis": {"title": {"text": "layer"}}, "yaxis2": {"anchor": "x"}, "margin": {"t": 34}}
    figure = theme.assembled([trace], layout, palette, height=200)
    found = figure.layout.to_plotly_json()
    axis = {
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "fixedrange": True,
        "automargin": True,
        "ticklabeloverflow": "allow",
        "tickfont": {"size": 13, "color": palette.ink2},
        "title": {"font": {"size": 14, "color": palette.ink2}, "standoff": 8},
    }
    assert found["xaxis"] == {**axis, "title": {**axis["title"], "text": "layer"}}
    assert found["yaxis"] == {**axis, "showgrid": True, "gridcolor": palette.line}
    assert found["yaxis2"] == {**found["yaxis"], "anchor": "x"}
    assert found["dragmode"] is False  # else a finger on a chart could not scroll the page
    assert found["margin"] == {"l": 8, "r": 8, "t": 34, "b": 8}
    assert found["font"] == {"family": '"Source Sans",system-ui,sans-serif', "size": 14, "color": palette.ink1}
    assert found["paper_bgcolor"] == found["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert tuple(found["colorway"]) == palette.categories and found["height"] == 200 and not found["showlegend"]
    assert found["hoverlabel"]["bgcolor"] == palette.ink and found["hoverlabel"]["font"]["color"] == palette.paper
    assert list(figure.data[0].y) == [1, 2]
    assert figure.layout.template.layout.to_plotly_json() == {}  # plotly's own would be 7 KB more, sent every time
