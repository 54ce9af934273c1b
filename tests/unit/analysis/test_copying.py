"""Copying scores against the whole matrix, vocabulary by vocabulary; chance by drawing; heads that are known."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest
import torch

from attnviz import InvalidParameterError, Transformer, load
from attnviz.analysis import copying
from attnviz.nn.config import ModelConfig

SMALL = ModelConfig(
    kind="decoder", vocab_size=30, d_model=12, n_heads=3, n_layers=2, norm_first=True, final_norm=True, head="lm"
)


def made(**changes: Any) -> Transformer:
    model = Transformer(dataclasses.replace(SMALL, **changes), torch.Generator().manual_seed(1)).eval()
    with torch.no_grad():
        for p in model.parameters():  # weights of norms too
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"norms": False, "final_norm": False}, {"kind": "encoder"}])
def test_the_score_is_that_of_the_whole_matrix(changes: dict[str, Any]) -> None:
    model = made(**changes)
    stack, found = cast(Any, model.decoder or model.encoder), copying.scores(model)
    embed = cast(Any, model.embed)["tokens"].weight.detach().double()
    unembed = cast(Any, model.head)["out"].weight.detach().double()
    mean_out = torch.eye(12, dtype=torch.float64) - 1 / 12
    for layer, block in enumerate(stack["layers"]):
        into, after = embed, unembed.T
        if model.config.norms:
            into = embed @ mean_out @ torch.diag(block.norm1.weight.detach().double())
            after = torch.diag(stack["norm"].weight.detach().double()) @ unembed.T
            after = mean_out @ after  # a norm takes the mean out before its weights
        w_v = block.self_attn.in_proj_weight[24:].detach().double()
        w_o = block.self_attn.out_proj.weight.detach().double()
        for head in range(3):
            own = slice(4 * head, 4 * head + 4)
            whole = into @ w_v[own].T @ w_o[:, own].T @ after  # (V, V): rows are what is seen
            values = torch.linalg.eigvals(whole)
            assert float(found[layer, head]) == pytest.approx(float(values.real.sum() / values.abs().sum()), abs=1e-6)


def test_by_hand() -> None:
    """Embedding and its transpose, W_V and W_O one: the circuit is E Eᵀ, which has no negative eigenvalue."""
    model = made(n_heads=1, norms=False, final_norm=False)
    with torch.no_grad():
        for block, sign in zip(cast(Any, model.decoder)["layers"], (1, -1), strict=True):
            block.self_attn.in_proj_weight[24:] = torch.eye(12)
            block.self_attn.out_proj.weight.copy_(sign * torch.eye(12))
    assert copying.scores(model).tolist() == [[pytest.approx(1)], [pytest.approx(-1)]]
    with torch.no_grad():
        cast(Any, model.decoder)["layers"][0].self_attn.out_proj.weight.zero_()
    assert copying.scores(model)[0].tolist() == [0]


@pytest.mark.parametrize("width", [8, 32])
def test_chance_is_what_drawing_gives(width: int) -> None:
    drawn = torch.linalg.eigvals(torch.randn(2000, width, width, generator=torch.Generator().manual_seed(0)))
    scores = drawn.real.sum(dim=1) / drawn.abs().sum(dim=1)
    within = float((scores.abs() <= copying.by_chance(width)).float().mean())
    assert within == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("name", "layer", "head"), [("induction", 1, 3), ("austen", 2, 1), ("program:induction", 1, 0)]
)
def test_induction_heads_copy(name: str, layer: int, head: int) -> None:
    assert float(copying.scores(load(name).transformer)[layer, head]) > 0.9


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("minilm", "which this model has not"),
        ("digits", "which this model has not"),
        ("scratch:bert", "stands between"),
    ],
)
def test_where_it_cannot_be_read_is_said(name: str, why: str) -> None:
    model = load(name).transformer
    with pytest.raises(InvalidParameterError, match=why):
        copying.scores(model)
    assert copying.scores_if_read(model) is None
