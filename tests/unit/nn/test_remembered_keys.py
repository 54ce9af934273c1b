"""Decoding with remembered keys and values: step after step gives what one run on the whole gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError, ModelConfig, ShapeError, Trace, Transformer
from attnviz.nn.trace import joined
from tests.support.parity import close

SMALL: dict[str, Any] = {
    "vocab_size": 30,
    "max_len": 12,
    "d_model": 16,
    "n_heads": 4,
    "n_layers": 2,
    "d_ff": 24,
    "head": "lm",
}
KINDS = [
    {"kind": "decoder", "positions": "learned", "norm_first": True, "final_norm": True},
    {"kind": "decoder", "positions": "sinusoidal"},
    {"kind": "decoder", "positions": "rope", "norm_first": True},
    {"kind": "decoder", "positions": "alibi", "d_ff": 0, "norm_first": True},
    {"kind": "decoder", "positions": "none"},
    {"kind": "encoder-decoder", "positions": "sinusoidal"},
    {"kind": "encoder-decoder", "positions": "rope", "norm_first": True, "final_norm": True, "tied": False},
]
CHANGES = [
    None,
    Intervention(temperature=0.5),
    Intervention(mask=("window", 2)),
    Intervention(mask="none", where="cross"),
    Intervention(blocked=((None, None, 4, 0), (1, 2, 3, 3)), where="decoder"),
    Intervention(blocked=((0, 1, 4, 2),)),
    Intervention(head_scale=((0, 1, 0.0),), layers=(0,)),
    Intervention(scaled=False),
]


def model(fields: dict[str, Any]) -> Transformer:
    generator = torch.Generator().manual_seed(4)
    made = Transformer(ModelConfig(**(SMALL | fields)), generator).eval().requires_grad_(False)
    for parameter in made.parameters():  # the usual 0.02 would let attention be almost even
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return made


def run(made: Transformer, ids: torch.Tensor, change: Intervention | None = None) -> Trace:
    if made.config.kind == "decoder":
        return made(ids, intervention=change)
    source = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]])[: len(ids)]
    return made(source, ids, lengths=[6, 4][: len(ids)], intervention=change)


def stepped(made: Transformer, ids: torch.Tensor, cuts: list[int], change: Intervention | None) -> list[Trace]:
    """The runs on the pieces of `ids` between the cuts."""
    runs = [run(made, ids[:, : cuts[0]], change)]
    for start, end in zip(cuts, [*cuts[1:], ids.shape[1]], strict=True):
        runs.append(made.step(ids[:, start:end], runs[-1]))
    return runs


def equal(ours: Trace, whole: Trace) -> None:
    for a, b in zip(ours.hidden_states, whole.hidden_states, strict=True):
        close(a, b, 1e-5)
    for a, b in zip(ours.attentions + ours.cross_attentions, whole.attentions + whole.cross_attentions, strict=True):
        close(a, b, 1e-5)
    for a, b in zip(ours.layers, whole.layers, strict=True):
        for name in ("resid_mid", "resid_cross", "resid_post", "feed_forward"):
            if getattr(b, name) is not None:
                close(getattr(a, name), getattr(b, name), 1e-5)
        close(a.attention.z, b.attention.z, 1e-5)
        assert a.attention.out is not None and b.attention.out is not None
        close(a.attention.out, b.attention.out, 1e-5)
    assert ours.logits is not None and whole.logits is not None
    close(ours.logits, whole.logits, 1e-5)
    assert ours.lengths == whole.lengths


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fields", KINDS)
def test_one_token_at_a_time_is_the_run_on_the_whole(fields: dict[str, Any], change: Intervention | None) -> None:
    if change is not None and change.where == "cross" and fields["kind"] == "decoder":
        change = replace(change, where="all", mask="causal")
    made = model(fields)
    ids = torch.tensor([[5, 9, 2, 17, 29, 0, 5, 5], [1, 2, 3, 4, 5, 6, 7, 8]])
    first = 5 if change is not None and change.blocked else 1  # the first run has the cells that it is to block
    with torch.inference_mode():
        equal(joined(stepped(made, ids, list(range(first, 8)), change)), run(made, ids, change))


@given(
    fields=st.sampled_from(KINDS),
    cuts=st.sets(st.integers(1, 11), min_size=1),
    ids=st.lists(st.integers(0, 29), min_size=12, max_size=12),
)
@settings(deadline=None, max_examples=40)
def test_any_pieces_join_to_the_whole(fields: dict[str, Any], cuts: set[int], ids: list[int]) -> None:
    made = model(fields)
    with torch.inference_mode():
        equal(joined(stepped(made, torch.tensor([ids]), sorted(cuts), None)), run(made, torch.tensor([ids])))


def test_an_encoder_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(KINDS[5])
    assert made.encoder is not None
    calls = []
    for layer in made.encoder["layers"]:  # type: ignore[union-attr]
        layer.register_forward_pre_hook(lambda *_: calls.append(1))
        monkeypatch.setattr(layer, "trace", lambda *a, own=layer.trace, **k: (calls.append(1), own(*a, **k))[1])
    with torch.inference_mode():
        first = run(made, torch.tensor([[1, 2]]))
        assert len(calls) == 2
        made.step(torch.tensor([[3]]), first)
    assert len(calls) == 2


def test_what_takes_no_step_says_so() -> None:
    made = model(KINDS[0])
    first = made(torch.tensor([[1, 2, 3]]))
    with pytest.raises(ShapeError, match="13 tokens are more than the model's 12"):
        made.step(torch.zeros(1, 10, dtype=torch.long), first)
    encoder = Transformer(ModelConfig(**(SMALL | {"kind": "encoder"})))
    with pytest.raises(InvalidParameterError, match="decodes nothing"):
        encoder.step(torch.tensor([[1]]), first)
    second = made.step(torch.tensor([[4]]), first)
    with pytest.raises(InvalidParameterError, match=r"begin at \[3, 0\] and end at \[4, 3\]"):
        joined([second, first])
