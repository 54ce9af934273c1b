"""Other people's tools on our models and traces: CircuitsVis and captum, where they are installed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import attnviz
from attnviz import Model, Transformer, preset

TEXT = "The animal didn't cross the street because it was too tired."


def random_gpt() -> Transformer:
    model = Transformer(preset("test", kind="decoder", head="lm"), torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) * 0.1)
    return model.requires_grad_(False)


def test_circuitsvis_takes_a_trace(minilm: Model) -> None:
    circuitsvis = pytest.importorskip("circuitsvis", reason="CircuitsVis is not installed")
    trace = minilm.run(TEXT)
    for show in (circuitsvis.attention.attention_patterns, circuitsvis.attention.attention_heads):
        page = str(show(tokens=trace.tokens, attention=trace.attentions[3][0]))
        assert all(json.dumps(token)[1:-1] in page for token in trace.tokens)
        assert f"{float(trace.attentions[3][0, 1, 2, 3]):.4f}"[:5] in page


def test_captum_attributes_a_prediction_to_embeddings_and_layers() -> None:
    """What integrated gradients give the tokens adds up to the change of the logit: completeness."""
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    model, ids, blank = random_gpt(), torch.tensor([[3, 1, 4, 1, 5]]), torch.zeros(1, 5, dtype=torch.long)

    def last(ids: torch.Tensor) -> torch.Tensor:
        return model(ids).logits[:, -1]

    expected = float((last(ids) - last(blank))[0, 7])
    for where in (model.embed["tokens"], model.embed):
        found = attr.LayerIntegratedGradients(last, where).attribute(ids, blank, target=7, n_steps=200)
        assert found.shape == (1, 5, 16) and float(found.sum()) == pytest.approx(expected, abs=2e-3)
    layer: Any = model.decoder["layers"][0]  # type: ignore[index]
    for module, width in ((layer, 16), (layer.self_attn.out_proj, 16), (layer.linear1, 32), (layer.norm1, 16)):
        seen = attr.LayerActivation(last, module).attribute(ids)
        assert seen.shape == (1, 5, width)
        assert attr.LayerGradientXActivation(last, module).attribute(ids, target=7).abs().sum() > 0
    assert torch.equal(attr.LayerActivation(last, layer).attribute(ids), model(ids).layers[0].resid_post)


def test_captum_attributes_an_images_class_to_layers() -> None:
    """Conductance of a layer adds up to the change of the logit too; the image's own attribution does."""
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    model = attnviz.load("digits")
    pixels = model.preprocessor.batch(torch.linspace(0, 1, 64).reshape(1, 8, 8).numpy())

    def classes(pixels: torch.Tensor) -> torch.Tensor:
        return model.transformer(pixels).logits

    blank = torch.zeros_like(pixels)
    expected = float((classes(pixels) - classes(blank))[0, 3])
    whole = attr.IntegratedGradients(classes).attribute(pixels, blank, target=3, n_steps=200)
    assert float(whole.sum()) == pytest.approx(expected, abs=0.02)
    layer: Any = model.transformer.encoder["layers"][0]  # type: ignore[index]
    through = attr.LayerConductance(classes, layer).attribute(pixels, blank, target=3, n_steps=200)
    assert float(through.sum()) == pytest.approx(expected, abs=0.02)
