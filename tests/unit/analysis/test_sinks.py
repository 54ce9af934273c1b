"""Attention sinks: the shares are the weights, and a run without the first token gives it nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import attnviz
from attnviz import InvalidParameterError, figures
from attnviz.analysis.sinks import first_shares, measure_sink, without_first
from attnviz.models.model import Model
from tests.support.parity import close


@pytest.fixture(scope="module")
def gpt() -> Model:
    return attnviz.load("austen")


def test_the_numbers_are_those_of_two_runs(gpt: Model) -> None:
    trace = gpt.run("She was very fond of him, and")
    ids = trace.encodings[0].ids
    found = measure_sink(gpt, trace, ids)
    n = len(ids)
    for layer, attention in enumerate(trace.attentions):
        for head in range(attention.shape[1]):
            mean = sum(float(attention[0, head, query, 0]) for query in range(1, n)) / (n - 1)
            assert float(found.shares[layer, head]) == pytest.approx(mean, abs=1e-6)
    changed = gpt.run("She was very fond of him, and", intervention=without_first(n))
    for row, run in zip(found.losses, (trace, changed), strict=True):
        assert run.logits is not None
        expected = [float(F.cross_entropy(run.logits[0, i - 1], torch.tensor(ids[i]))) for i in range(2, n)]
        close(row, torch.tensor(expected), 1e-5)
    assert found.even == pytest.approx(np.mean([1 / (i + 1) for i in range(1, n)]))


@given(st.integers(2, 12))
def test_without_it_nobody_looks_there(n: int) -> None:
    model = attnviz.Transformer(
        attnviz.ModelConfig(kind="decoder", vocab_size=20, max_len=12, d_model=8, n_heads=2, head="lm"),
        torch.Generator().manual_seed(1),
    ).eval()
    with torch.inference_mode():
        trace = model(torch.arange(n)[None], intervention=without_first(n))
    assert torch.equal(first_shares(trace), torch.zeros(2, 2))
    for weights in trace.attentions:
        close(weights.sum(dim=-1), torch.ones(1, 2, n), 1e-6)


def test_texts_that_are_too_short_are_refused(gpt: Model) -> None:
    trace = gpt.run("a")
    with pytest.raises(InvalidParameterError, match="2 tokens are too few"):
        measure_sink(gpt, trace, trace.encodings[0].ids)
    with pytest.raises(InvalidParameterError, match="of 1 tokens none"):
        without_first(1)


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_the_pictures_show_the_numbers(palette: figures.Palette) -> None:
    shares = np.array([[0.04, 0.5, 0.25]])
    table, numbers = figures.head_shares(shares, palette).data
    assert np.allclose(table.z, [[0.2, 0.5**0.5, 0.5]]) and np.allclose(table.customdata, [[4, 50, 25]])
    assert list(numbers.text) == ["4", "50", "25"] and list(numbers.x) == [0, 1, 2] and list(numbers.y) == [0, 0, 0]
    bars = figures.paired_bars(["a", "<b>"], [1.0, 2.0], [3.0, 0.5], ("with", "without"), "nats", palette, first=2)
    assert [list(trace.y) for trace in bars.data] == [[1.0, 2.0], [3.0, 0.5]]
    first, second = bars.data[0].x
    assert first == "2 a" and "<b>" not in second
    assert bars.layout.yaxis.title.text == "nats"


@pytest.mark.parametrize("palette", [figures.LIGHT, figures.DARK])
def test_numbers_on_cells_can_be_read(palette: figures.Palette) -> None:
    """Black or white on the ten colours of the scale: at least 4.5 : 1 (WCAG 2.2, 1.4.3)."""
    steps = np.linspace(0, 1, len(palette.sequential))
    _, numbers = figures.head_shares(steps[None] ** 2, palette).data
    for step, colour in zip(palette.sequential, numbers.textfont.color, strict=True):
        light, dark = sorted((luminance(step), luminance(colour)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (step, colour)


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
