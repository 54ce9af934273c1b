"""What a mask hides leaves no trace: measured on every family of models, and against what the mask alone allows."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError, Model, load
from attnviz.analysis import causality
from attnviz.analysis.measures import relative_change
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn import mask_patterns

TEXT = "The animal was too tired to cross it."
ALONE = ["minilm", "scratch:tiny", "scratch:bert", "scratch:gpt", "scratch:test"]


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load("scratch:test")


@pytest.mark.parametrize("name", ALONE)
def test_under_the_causal_mask_exactly_the_earlier_positions_notice_nothing(name: str) -> None:
    model = load(name)
    n = len(model.encode(TEXT))
    for position in (1, n // 2, n - 1):
        found = causality.exchange_token(model, TEXT, position, intervention=Intervention(mask="causal"))
        assert found.change.shape == (model.info.n_layers, n)
        assert float(found.change[:, :position].max()) <= 1e-6, "an earlier position, in some layer"
        assert found.noticed == tuple(range(position, n))


def test_the_final_change_is_the_last_row_of_the_relative_change(tiny: Model) -> None:
    before, after = (tiny.run(TEXT, intervention=change) for change in (None, Intervention(mask=("window", 1))))
    found = causality.final_change(before, after)
    assert float(found.max()) > 0 and torch.equal(found, relative_change(before, after)[-1])


@pytest.mark.parametrize("name", ALONE)
def test_without_a_mask_every_position_notices(name: str) -> None:
    model = load(name)
    n = len(model.encode(TEXT))
    assert causality.exchange_token(model, TEXT, n - 2, intervention=Intervention(mask="none")).noticed == tuple(
        range(n)
    )


def test_a_causal_model_is_tight_as_trained() -> None:
    model = load("scratch:gpt")
    n = len(model.encode(TEXT))
    found = causality.exchange_token(model, TEXT, 4)
    assert float(found.change[:, :4].max()) <= 1e-6 and found.noticed == tuple(range(4, n))


def test_the_decoder_of_an_encoder_decoder_is_tight_and_its_source_is_not() -> None:
    model = load("scratch:base")
    source, n = "Das Tier war müde.", len(model.encode(TEXT))
    found = causality.exchange_token(model, TEXT, 5, source=source)
    assert float(found.change[:, :5].max()) <= 1e-6 and found.noticed == tuple(range(5, n))
    opened = causality.exchange_token(
        model, TEXT, 5, source=source, intervention=Intervention(mask="none", where="decoder")
    )
    assert opened.noticed == tuple(range(n))


def test_the_change_is_that_of_two_plain_runs(minilm: Model) -> None:
    """“tired” is exchanged for “angry”, both one token: the same as running both sentences."""
    new_id = causality.word_id(minilm.tokenizer, "angry")
    assert new_id is not None
    position = minilm.encode(TEXT).labels.index("tired")
    found = causality.exchange_token(minilm, TEXT, position, new_id)
    before, after = minilm.run(TEXT), minilm.run(TEXT.replace("tired", "angry"))
    for layer in range(6):
        a, b = before.layers[layer].resid_post[0], after.layers[layer].resid_post[0]
        assert torch.equal(found.change[layer], (b - a).norm(dim=-1) / a.norm(dim=-1))
    assert (found.old, found.new) == ("tired", "angry")


def test_the_replacement_is_a_real_token_and_another_one(minilm: Model) -> None:
    tokenizer = minilm.tokenizer
    banana = causality.word_id(tokenizer, "banana")
    assert causality.replacement(tokenizer, 0) == banana
    assert banana is not None and causality.replacement(tokenizer, banana) == causality.word_id(tokenizer, "green")
    assert causality.word_id(tokenizer, "untokenizableword") is None
    assert causality.word_id(tokenizer, "two words") is None and causality.word_id(tokenizer, "☃☃") is None
    assert causality.token_label(tokenizer, banana) == "banana"


@pytest.mark.parametrize("train", [Tokenizer.train_word, Tokenizer.train_bpe])
def test_a_vocabulary_without_our_words_gives_one_of_its_own(train) -> None:
    tokenizer = train(["kala kissa kala koira kissa"] * 5, 280)
    old = causality.word_id(tokenizer, "kala")
    new = causality.replacement(tokenizer, -1 if old is None else old)
    assert 0 <= new < tokenizer.vocab_size and new != old
    assert causality.word_id(tokenizer, causality.token_label(tokenizer, new)) == new


def test_a_vocabulary_of_one_word_says_so() -> None:
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "only": 1}, "unk_token": "[UNK]"}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": 0, "content": "[UNK]", **flags}]
    tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "model": model, "added_tokens": added}))
    with pytest.raises(InvalidParameterError, match="vocabulary of 2"):
        causality.replacement(tokenizer, 1)


@pytest.mark.parametrize(
    ("position", "new_id", "words"), [(99, 5, "99"), (-1, 5, "-1"), (1, 10**6, "1000000"), (1, -2, "-2")]
)
def test_errors_carry_the_numbers(tiny: Model, position: int, new_id: int, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        causality.exchange_token(tiny, TEXT, position, new_id)


# ---- what a mask lets through ----------------------------------------------------------------------


def walks(keep: list[list[bool]], i: int, layers: int) -> set[int]:
    """The positions whose input can be in query i's output, step by step."""
    seen = {i}
    for _ in range(layers):
        seen |= {j for q in seen for j in range(len(keep)) if keep[q][j]}
    return seen


KEEPS = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
)


@given(KEEPS, st.integers(1, 4))
def test_reach_is_every_walk_of_so_many_steps(keep: list[list[bool]], layers: int) -> None:
    reached = causality.reach(torch.tensor(keep), layers)
    assert [set(row.nonzero()[:, 0].tolist()) for row in reached] == [walks(keep, i, layers) for i in range(len(keep))]


@settings(max_examples=25)
@given(st.data())
def test_no_mask_lets_more_through_than_its_reach(tiny: Model, data: st.DataObject) -> None:
    """Any mask on a real model: whoever cannot be reached from the exchanged word notices nothing."""
    n = len(tiny.encode(TEXT))
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))).view(n, n)
    keep &= torch.rand(n, n, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99)))) < 0.3
    position = data.draw(st.integers(0, n - 1))
    change = Intervention(blocked=[tuple(cell) for cell in (~keep).nonzero().tolist()])
    found = causality.exchange_token(tiny, TEXT, position, intervention=change)
    reached = causality.reach(keep, tiny.info.n_layers)[:, position]
    assert float(found.change[:, ~reached].max() if not bool(reached.all()) else 0.0) <= 1e-6
    assert torch.isfinite(found.change).all()


def test_a_window_reaches_further_with_every_layer(minilm: Model) -> None:
    """The far end notices after as many layers as the window needs, and not one earlier."""
    n = len(minilm.encode(TEXT))
    found = causality.exchange_token(minilm, TEXT, 0, intervention=Intervention(mask=("window", 2)))
    for layer in range(6):
        expected = causality.reach(mask_patterns.window(n, 2), layer + 1)[:, 0]
        assert ((found.change[layer] > causality.TOLERANCE) == expected).all()


def test_starved_rows() -> None:
    keep = torch.tensor([[True, False], [False, False]])
    assert causality.starved(keep) == (1,)
    assert causality.starved(torch.zeros(3, 3, dtype=torch.bool)) == (0, 1, 2)
    assert causality.starved(mask_patterns.causal(4)) == ()


@pytest.mark.parametrize("name", ALONE)
def test_a_row_that_sees_nothing_gets_weights_0_and_the_bias_alone(name: str) -> None:
    model = load(name)
    n = len(model.encode(TEXT))
    trace = model.run(TEXT, intervention=Intervention(blocked=[(2, key) for key in range(n)]))
    stack = model.transformer.decoder or model.transformer.encoder
    assert stack is not None
    for layer, module in zip(trace.layers, stack["layers"], strict=True):
        assert layer.attention.weights[0, :, 2].abs().max() == 0 and layer.attention.z[0, :, 2].abs().max() == 0
        assert layer.attention.out is not None
        assert torch.allclose(layer.attention.out[0, 2], module.self_attn.out_proj.bias, atol=1e-6)
    assert torch.isfinite(trace.final).all()


# ---- padding -----------------------------------------------------------------------------------------

BATCH = [TEXT, "Birds sing at dawn.", "Yes."]


@pytest.mark.parametrize("name", ALONE)
def test_with_the_padding_mask_a_text_is_as_alone(name: str) -> None:
    model = load(name)
    batch = causality.padded(model, BATCH)
    for row, text in enumerate(BATCH):
        change = causality.against_alone(batch, row, model.run(text))
        assert change.shape == (len(model.encode(text)),) and float(change.max()) <= causality.ROUNDING
    assert float(causality.padding_share(batch, 2).max()) == 0
    assert causality.padded_head(causality.padding_share(batch, 2)) == (0, 0)


def test_the_masked_batch_is_what_a_model_runs_itself(minilm: Model) -> None:
    ours, its = causality.padded(minilm, BATCH), minilm.run(BATCH)
    assert torch.equal(ours.final, its.final) and ours.lengths == its.lengths and ours.encodings == its.encodings


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("masked", [False, True])
def test_one_text_of_a_batch_is_as_in_the_whole_batch(name: str, masked: bool) -> None:
    """Filled up to a length: no text of a batch sees another."""
    model = load(name)
    one = causality.padded(model, BATCH[2:], masked=masked, length=len(model.encode(TEXT)))
    whole = causality.padded(model, BATCH, masked=masked)
    assert one.final.shape[1] == whole.final.shape[1]
    assert torch.allclose(one.final[0], whole.final[2], atol=1e-5, rtol=1e-5)
    assert torch.allclose(causality.padding_share(one, 0), causality.padding_share(whole, 2), atol=1e-6)


def test_without_the_mask_padding_is_seen_and_changes_the_text(minilm: Model) -> None:
    batch = causality.padded(minilm, BATCH, masked=False)
    length = len(minilm.encode(BATCH[2]))
    share = causality.padding_share(batch, 2)
    layer, head = causality.padded_head(share)
    weights = batch.layers[layer].attention.weights[2, head]
    assert float(weights[:length, length:].sum(dim=-1).mean()) == pytest.approx(float(share.max()))
    assert float(share.max()) > 0.5
    assert float(causality.against_alone(batch, 2, minilm.run(BATCH[2])).min()) > 0.1
    assert (
        float(causality.against_alone(batch, 0, minilm.run(BATCH[0])).max()) <= causality.ROUNDING
    )  # the longest has none


def test_the_causal_mask_hides_padding_at_the_end_by_itself() -> None:
    model = load("scratch:gpt")
    batch = causality.padded(model, BATCH, masked=False)
    assert float(causality.padding_share(batch, 2).max()) == 0
    assert float(causality.against_alone(batch, 2, model.run(BATCH[2])).max()) <= causality.ROUNDING
