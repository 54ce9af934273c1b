"""The picture of every head: each weight in its place, one scale for all, the chosen head in ink."""

import numpy as np
import plotly.graph_objects as go
import pytest

from attnviz import figures
from attnviz.figures import DARK, LIGHT


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 4, 7, 7), (3, 2, 4, 30)])
def test_every_weight_stands_in_the_tile_of_its_head(shape: tuple[int, ...], palette: figures.Palette) -> None:
    weights = np.random.default_rng(0).random(shape, dtype=np.float32)
    n_layers, n_heads = shape[:2]
    figure = figures.head_tiles(weights, palette, marked=(n_layers - 1, 0))
    go.Figure(figure.to_dict())  # plotly knows every name and value in it
    (heatmap,) = figure.data
    table, frames = np.asarray(heatmap.customdata), figure.layout.shapes
    assert np.isfinite(table).sum() == weights.size
    np.testing.assert_allclose(heatmap.z, np.sqrt(table / 100), rtol=1e-5)
    assert (heatmap.zmin, heatmap.zmax) == (0, 1)
    for number, frame in enumerate(frames):
        layer, head = divmod(number, n_heads)
        rows, columns = (
            slice(round(frame.y0 + 0.5), round(frame.y1 + 0.5)),
            slice(round(frame.x0 + 0.5), round(frame.x1 + 0.5)),
        )
        np.testing.assert_allclose(table[rows, columns], 100 * weights[layer, head], rtol=1e-5)
        assert (frame.line.color == palette.ink) == ((layer, head) == (n_layers - 1, 0))
    middle = [(frame.x0 + frame.x1) / 2 for frame in frames[:n_heads]]
    np.testing.assert_allclose(figure.layout.xaxis.tickvals, middle)
    np.testing.assert_allclose(figure.layout.yaxis.tickvals, [(f.y0 + f.y1) / 2 for f in frames[::n_heads]])


def test_names_of_curves_that_end_at_zero_stay_above_the_axis() -> None:
    curves = [figures.Curve(name, [1, 2], [1.0, end]) for name, end in (("a", 0.0), ("b", 0.001), ("c", 0.002))]
    figure = figures.training_curves([figures.Panel("loss", curves)], LIGHT, last=2)
    heights = [note.y for note in figure.layout.annotations if note.text in "abc"]
    assert heights[0] >= figure.layout.yaxis.range[0] and np.diff(heights).min() > 0.05
