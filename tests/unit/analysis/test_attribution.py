"""Scores and logits as sums over parts of the model: they sum to what the run computed, and name who did it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError, Model, Trace, Transformer, load
from attnviz.analysis import attribution
from attnviz.analysis.attribution import Part
from attnviz.models.programs.models import listed
from attnviz.nn.config import preset
from attnviz.training.tasks.sequences import Induction, scores

VARIANTS: dict[str, dict[str, Any]] = {
    "post": {"embed_norm": True, "n_types": 2},
    "pre": {"norm_first": True, "final_norm": True},
    "relu, no biases": {"activation": "relu", "bias": False},
    "decoder": {"kind": "decoder", "norm_first": True, "final_norm": True, "head": "lm"},
    "rope": {"positions": "rope", "head": "lm", "tied": False},
    "alibi": {"positions": "alibi", "kind": "decoder", "head": "lm"},
    "attention alone": {"d_ff": 0, "kind": "decoder", "norm_first": True},
    "no norms": {"norms": False, "norm_first": True, "positions": "sinusoidal"},
    "classifier": {"head": "classification", "n_classes": 3},
}


def ran(name: str, seed: int = 0, **change: Any) -> tuple[Transformer, Trace]:
    """A random model with norms and biases that are not 1 and 0, and its run on seven letters."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(preset("test", n_layers=3, **VARIANTS[name]), generator).eval().requires_grad_(False)
    for parameter_name, parameter in model.named_parameters():
        scale = 0.3 if "embed" not in parameter_name else 1.0
        parameter += scale * torch.randn(parameter.shape, generator=generator)
    tokenizer = load("program:first").tokenizer
    ids = torch.randint(64, (1, 7), generator=generator)
    encoding = replace(tokenizer.encode("abcdef"), ids=tuple(ids[0].tolist()))
    with torch.inference_mode():
        trace = model(ids, intervention=Intervention(**change) if change else None)
    return model, replace(trace, encodings=(encoding,))


def close(found: float, expected: Any) -> bool:
    return abs(found - float(expected)) <= 1e-5 * max(1.0, abs(float(expected)))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_parts_are_the_stream(name):
    model, trace = ran(name)
    for layer in range(3):
        torch.testing.assert_close(
            attribution.stream(model, trace, layer).total.float(),
            trace.layers[layer].resid_pre[0],
            rtol=1e-5,
            atol=1e-5,
        )
    last = attribution.stream(model, trace, 3)
    torch.testing.assert_close(last.total.float(), trace.layers[-1].resid_post[0], rtol=1e-5, atol=1e-5)
    assert last.parts.count(Part("head", 2, 1)) == 1 and last.parts[-1] == Part("bias")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(VARIANTS)), st.integers(0, 2), st.integers(0, 1), st.integers(0, 6), st.data())
def test_the_terms_of_a_cell_are_its_score(name, layer, head, query, data):
    key = data.draw(st.integers(0, query))  # no mask forbids it
    model, trace = ran(name, seed=layer)
    found = attribution.score_parts(model, trace, layer, head, query, key)
    assert close(found.score, trace.layers[layer].attention.scores[0, head, query, key])
    assert close(float(found.by_query.sum()) + found.added, found.score)
    assert close(float(found.by_key.sum()) + found.added, found.score)


@pytest.mark.parametrize("name", ["decoder", "rope", "alibi"])
def test_the_terms_of_a_logit_are_the_logit(name):
    model, trace = ran(name)
    assert trace.logits is not None
    for position, token, versus in ((6, 3, None), (2, 60, 11)):
        found = attribution.logit_parts(model, trace, position, token, versus=versus)
        row = trace.logits[0, position]
        assert close(found.logit, row[token] - (0 if versus is None else row[versus]))


def test_the_terms_of_a_class_are_its_logit():
    model, trace = ran("classifier")
    assert trace.logits is not None
    assert close(attribution.logit_parts(model, trace, 0, 2).logit, trace.logits[0, 2])


@pytest.mark.parametrize(
    "change", [{"temperature": 3.0}, {"scaled": False}, {"head_scale": ((1, 0, 0.0),)}, {"positions": "none"}]
)
def test_a_changed_run_is_split_as_it_ran(change):
    model, trace = ran("decoder", **change)
    found = attribution.score_parts(model, trace, 2, 1, 5, 3)
    assert close(found.score, trace.layers[2].attention.scores[0, 1, 5, 3])
    parts = attribution.stream(model, trace, 2)
    if "head_scale" in change:
        assert not parts.vectors[parts.parts.index(Part("head", 1, 0))].any()
    assert (Part("position") in parts.parts) == ("positions" not in change)


def test_by_hand():
    """One head of width 2 in a model without norms: position and token meet in one cell."""
    made = listed("previous")
    trace = made.model.run("ab")
    found = attribution.score_parts(made.model.transformer, trace, 0, 0, 2, 1)
    terms = {
        (str(row), str(column)): float(found.terms[i, j])
        for i, row in enumerate(found.parts)
        for j, column in enumerate(found.parts)
        if abs(float(found.terms[i, j])) > 1e-3
    }
    # the query's position 1 asks for the key's position 0: 2 · (24 + 16 · 12) in units of the score; place 0 adds 0
    assert terms.keys() == {("position", "position")} and terms["position", "position"] == pytest.approx(432, rel=1e-5)


@pytest.mark.parametrize("name", ["minilm", "austen", "induction", "tales"])
def test_the_models_that_come_with_the_app(name):
    model = load(name)
    text = {"induction": "k q w z k q w"}.get(name, "the old man and the cat")
    trace = model.run(text)
    last = len(trace.layers) - 1
    for cell in ((0, 0, 2, 1), (last, 1, 3, 2)):
        layer, head, query, key = cell
        found = attribution.score_parts(model.transformer, trace, *cell)
        assert close(found.score, trace.layers[layer].attention.scores[0, head, query, key])


def test_an_image_is_split_too():
    model = load("digits")
    trace = model.run(torch.rand(8, 8, generator=torch.Generator().manual_seed(0)).numpy())
    found = attribution.score_parts(model.transformer, trace, 1, 2, 0, 5)
    assert close(found.score, trace.layers[1].attention.scores[0, 2, 0, 5])
    assert trace.logits is not None
    assert close(attribution.logit_parts(model.transformer, trace, 0, 7).logit, trace.logits[0, 7])


@pytest.fixture(scope="module")
def induction() -> Model:
    return load("induction")


def test_the_previous_token_head_dominates_the_key_of_the_induction_head(induction):
    sequences = Induction(64).twice()[:3]
    found = scores(induction.transformer, sequences)
    previous, again = int(found.previous[0].argmax()), int(found.induction[1].argmax())
    n, wins = (sequences.shape[1] - 1) // 2, []
    for row in sequences:
        with torch.inference_mode():
            trace = induction.transformer(row[None])
        trace = replace(trace, encodings=(replace(induction.tokenizer.encode("a"), ids=tuple(row.tolist())),))
        for query in range(n + 2, 2 * n, 4):
            parts = attribution.score_parts(induction.transformer, trace, 1, again, query, query - n + 1)
            by_key = dict(zip(parts.parts, parts.by_key.tolist(), strict=True))
            mine = by_key.pop(Part("head", 0, previous))
            wins.append(mine > max(by_key.values()))
    assert all(wins) and len(wins) >= 20


def test_the_lens_ends_at_the_logits_and_reads_every_layer():
    for name in ("decoder", "rope", "classifier"):
        model, trace = ran(name)
        assert trace.logits is not None
        position = 0 if name == "classifier" else 4
        lens = attribution.logit_lens(model, trace, position)
        expected = trace.logits[0] if name == "classifier" else trace.logits[0, position]
        torch.testing.assert_close(lens[-1], expected)
        assert lens.shape == (4, expected.shape[0])


def test_what_cannot_be_split_is_a_sentence():
    model, trace = ran("post")
    for call, sentence in (
        (lambda: attribution.stream(model, trace, 4), "layer 4 of 3"),
        (lambda: attribution.stream(model, trace, 0, batch=1), "batch=1"),
        (lambda: attribution.score_parts(model, trace, 3, 0, 0, 0), "layer 3 of 3"),
        (lambda: attribution.score_parts(model, trace, 0, 2, 0, 0), "head 2 of 2"),
        (lambda: attribution.score_parts(model, trace, 0, 0, 7, 0), "query 7"),
        (lambda: attribution.logit_parts(model, trace, 0, 0), "no logits"),
        (lambda: attribution.stream(model, replace(trace, encodings=()), 0), "which tokens"),
    ):
        with pytest.raises(InvalidParameterError, match=sentence):
            call()
    decoder, ran_decoder = ran("decoder")
    with pytest.raises(InvalidParameterError, match="token=64 is outside 0…63"):
        attribution.logit_parts(decoder, ran_decoder, 0, 64)
    dates = load("dates")
    with pytest.raises(InvalidParameterError, match="two texts"):
        attribution.stream(dates.transformer, dates.run("1 May 2020", "2020"), 0)
    bert = load("scratch:bert")
    with pytest.raises(InvalidParameterError, match="not one linear map"):
        attribution.logit_parts(bert.transformer, bert.run("hi"), 0, 5)
