"""The curves of a training: the numbers given, each panel on its own axis, names that do not touch."""

import pytest

from attnviz import figures
from attnviz.figures import Curve, Panel, training
from tests.support.hostile_texts import EVERY_FOURTH

STEPS = [1, 10, 20]
LOSS = Panel("loss, nats", [Curve("each step", STEPS, [4.0, 3.0, 2.5], faint=True), Curve("mean", STEPS, [4, 3.5, 3])])
EXACT = Panel("exact", [Curve("exact", [10, 20], [0.25, 0.5])], top=1, share=True)


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_every_curve_is_drawn_on_its_panels_axis(palette: figures.Palette) -> None:
    figure = figures.training_curves([LOSS, EXACT], palette, last=100)
    drawn = {trace.name: (trace.yaxis, list(trace.x), list(trace.y)) for trace in figure.data}
    assert drawn == {
        "each step": ("y", STEPS, [4.0, 3.0, 2.5]),
        "mean": ("y", STEPS, [4, 3.5, 3]),
        "exact": ("y2", [10, 20], [0.25, 0.5]),
    }
    assert tuple(figure.layout.xaxis.range) == (0, 100) and figure.layout.xaxis.title.text == "steps"
    assert figure.layout.yaxis2.range[0] == 0 and figure.layout.yaxis2.range[1] == pytest.approx(1.06)
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]
    assert {note.text for note in figure.layout.annotations} == {"loss, nats", "mean", "exact"}
    assert [note.text for note in figure.layout.annotations].count("exact") == 2  # the title and the curve's name


@pytest.mark.parametrize(
    ("marked", "dots"), [(10, {(10, 3.5), (10, 0.25)}), (15, {(10, 3.5), (10, 0.25)}), (5, {(1, 4)})]
)
def test_the_marked_step_is_a_line_and_a_dot_on_each_curve(marked: int, dots: set) -> None:
    figure = figures.training_curves([LOSS, EXACT], figures.LIGHT, last=100, marked=marked)
    upper, lower = figure.layout.shapes
    for line, axis in ((upper, figure.layout.yaxis), (lower, figure.layout.yaxis2)):
        assert (line.x0, line.x1, line.yref) == (marked, marked, "paper")
        assert (line.y0, line.y1) == tuple(axis.domain)
    assert {(t.x[0], t.y[0]) for t in figure.data if t.mode == "markers"} == dots


def test_names_at_the_right_end_stand_apart() -> None:
    curves = [Curve(name, STEPS, [0, 0, end]) for name, end in (("a", 0.9), ("b", 0.91), ("c", 0.92), ("d", 0.1))]
    figure = figures.training_curves([Panel("score", curves, top=1)], figures.LIGHT, last=20)
    heights = {note.text: note.y for note in figure.layout.annotations if note.yref == "y"}
    pixels = figure.layout.height - training.FOOT
    least = training.LINE_PX / pixels * 1.06
    assert set(heights) == set("abcd") and heights["a"] < heights["b"] < heights["c"]
    assert min(heights["b"] - heights["a"], heights["c"] - heights["b"]) >= least - 1e-9


def test_a_training_that_has_not_begun_is_an_empty_axis() -> None:
    figure = figures.training_curves([Panel("loss, nats", [Curve("loss", [], [])])], figures.LIGHT, last=50, marked=0)
    assert tuple(figure.layout.yaxis.range) == (0, 1) and len(figure.data) == 1


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_names_are_text_for_plotly(label: str) -> None:
    figure = figures.training_curves([Panel(label, [Curve(label, [1], [1.0])])], figures.LIGHT, last=1)
    assert all("<" not in (note.text or "") for note in figure.layout.annotations)
    for trace in figure.data:
        assert "<" not in trace.name and trace.hovertemplate.count("<") == 2  # those of <extra>
