"""The map of differences: its colours, its names and its cells without numbers."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import figures
from tests.support.hostile_texts import EVERY_FOURTH

A = np.array([[0.5, 0.0], [0.144, 0.0]])
B = np.array([[0.5, 0.025], [0.048, 0.001]])


def test_ten_points_have_the_strongest_colour_unless_a_larger_difference_is_there() -> None:
    figure = figures.difference_map(A, B, ["it", "cat"], figures.LIGHT, chosen=(0, 1))
    assert [round(one**2, 6) for row in figure.data[0].z for one in row] == [0, 0.25, 0.96, 0.01]
    larger = figures.difference_map(A, A + 10 * (B - A), ["it", "cat"], figures.LIGHT)
    assert [round(one**2, 3) for row in larger.data[0].z for one in row] == [0, 0.26, 1, 0.01]
    assert figure.data[0].customdata[1][0] == ["cat", "it", "−9.6 points"]
    assert not any(figure.data[1].text) and figure.layout.shapes[0].x0 == pytest.approx(0.52)


def test_every_token_has_a_row_that_can_be_read() -> None:
    labels = [f"w{i}" for i in range(64)]
    figure = figures.difference_map(np.zeros((64, 64)), np.zeros((64, 64)), labels, figures.DARK)
    assert list(figure.layout.yaxis.ticktext) == labels and figure.layout.height >= 64 * 14
    assert list(figure.layout.xaxis.ticktext) == labels[::4] and list(figure.layout.xaxis.tickvals) == [
        *range(0, 64, 4)
    ]
    assert not np.asarray(figure.data[0].z, dtype=float).any()  # nothing differs: nothing is coloured


@pytest.mark.parametrize("label", EVERY_FOURTH)
def test_tokens_are_text(label: str) -> None:
    figure = figures.difference_map(A, B, [label, "x"], figures.LIGHT)
    assert "<" not in figure.layout.xaxis.ticktext[0] + figure.layout.yaxis.ticktext[0]
    assert "<" not in "".join(figure.data[0].customdata[0][0][:2])
