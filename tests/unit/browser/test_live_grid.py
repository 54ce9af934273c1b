"""The transformer of the live page against torch at length: a hundred texts through every model, and MiniLM."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
import torch

from attnviz import Intervention, load
from attnviz.models.model import Model
from tests.support.live import in_page, numbers
from tests.support.scripts import texts

pytestmark = pytest.mark.nightly
CLOSE = 1e-4
GRID: list[Intervention | None] = [
    None,
    Intervention(temperature=0.5),
    Intervention(mask="causal", head_scale={(0, 1): 0.0}),
    Intervention(mask=("window", 3), temperature=2.0),
    Intervention(scaled=False, layers=0),
    Intervention(mask="none", blocked=[(0, 0)]),
    Intervention(positions="none", head_scale={0: 0.5}),
]


def rounded(model: Model) -> Model:
    """The model with its weights rounded once to float16, as the page has them."""
    with torch.inference_mode():
        for x in model.transformer.parameters():
            x.copy_(x.half().float())
    return model


def check(model: Model, text: str, target: str | None, change: Intervention | None) -> None:
    trace = model.run(text, target, intervention=change)
    source = (trace.source or trace).encodings[0].ids
    found = in_page(
        model.transformer, source, None if target is None else list(trace.encodings[0].ids), intervention=change
    )
    expected = numbers(trace)
    assert found.shape == expected.shape and np.isfinite(found).all()
    # numbers grow to 28 where the model runs as it was not trained; float32 tells 2e-6 of them apart
    assert np.abs(found - expected).max() <= CLOSE + 2e-6 * float(np.abs(expected).max()), (text, change)


@pytest.mark.parametrize("name", ["austen", "tales", "induction", "dates"])
def test_a_hundred_texts(name: str) -> None:
    model = load(name)
    for text, change in zip(texts(), cycle(GRID), strict=False):
        if name == "dates" and change is not None and change.blocked:
            change = Intervention(blocked=change.blocked, where="decoder")
        check(model, text, "1997-05" if name == "dates" else None, change)


def test_minilm_up_to_its_longest_text() -> None:
    model = rounded(load("minilm"))
    chosen = [*texts()[7:17], "word " * 600, ""]
    for text, change in zip(chosen, cycle(GRID[:-1]), strict=False):
        check(model, text, None, change)
