"""The bars of the page "Masks": what is drawn is what was given."""

from __future__ import annotations

import pytest

from attnviz.figures import DARK, LIGHT, Palette, token_bars

LABELS = ["[CLS]", "<b>", "the", "the", "unbelievably long"]
SHARES = [0.5, 0.0, 1.5, 3e-7, 0.021]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_bar_per_token_in_percent(palette: Palette) -> None:
    figure = token_bars([("", SHARES)], LABELS, palette, marked=2, zero=1e-6)
    (bars,) = figure.data
    assert list(bars.y) == pytest.approx([100 * share for share in SHARES])
    assert list(bars.x) == ["0 [CLS]", "1 &lt;b&gt;", "2 the", "3 the", "4 unbelievabl…"]
    assert list(bars.text) == ["", "0", "", "0", ""]
    assert list(bars.customdata) == ["50\u202f%", "0\u202f%", "150\u202f%", "3\u00a0×\u00a010⁻⁷", "2.1\u202f%"]
    assert [colour == palette.query for colour in bars.marker.color] == [False, False, True, False, False]
    assert figure.layout.yaxis.range == (0, pytest.approx(172.5)) and figure.layout.yaxis.ticksuffix == "\u202f%"


def test_rows_share_one_scale_and_stand_above_each_other() -> None:
    figure = token_bars([("One <i>", SHARES), ("Other", [0.0] * 5)], LABELS, LIGHT)
    axes = [figure.layout.yaxis, figure.layout.yaxis2]
    assert axes[0].range == axes[1].range
    assert axes[0].domain[0] > axes[1].domain[1] and axes[0].domain[1] == 1 and axes[1].domain[0] == 0
    assert [note.text for note in figure.layout.annotations] == ["One &lt;i&gt;", "Other"]
    assert list(figure.data[1].text) == ["0"] * 5


def test_nothing_changed_is_drawn_as_nothing() -> None:
    figure = token_bars([("", [0.0])], ["x"], LIGHT)
    assert list(figure.data[0].y) == [0.0] and figure.layout.yaxis.range[1] > 0
