"""Seven measures of one prediction's tokens: on a model that is worked out by hand, and against independent runs."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from attnviz import Intervention, InvalidParameterError, Model, ModelConfig, Trace, Transformer, load
from attnviz.analysis import contributions, erasure, evidence, gradients, predictions, reruns
from attnviz.analysis.predictions import Prediction
from attnviz.analysis.reruns import finished
from attnviz.inputs.tokenizers import Tokenizer

# Two tokens, one head that looks everywhere alike, no norms, no positions, W_V = 1, W_O = diag(1, 3):
#     final = x + mean(x) diag(1, 3),   logit of token 0 = first number + second number of the last final vector
#     a = (1, 0), b = (0, 2), so the mean is (½, 1), and the last final vector (½, 2 + 3) = (½, 5): logit 5½
A, B = (1.0, 0.0), (0.0, 2.0)


@pytest.fixture(scope="module")
def by_hand() -> Model:
    tokenizer = Tokenizer.train_char(["ab"], start=None, end=None)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        max_len=8,
        d_model=2,
        n_heads=1,
        n_layers=1,
        d_ff=0,
        norms=False,
        bias=False,
        positions="none",
        head="lm",
        tied=False,
    )
    network = Transformer(config)
    a, b = (tokenizer.encode(one).ids[0] for one in "ab")
    with torch.no_grad():
        table = cast(nn.Embedding, network.embed["tokens"]).weight
        table.zero_()
        table[a], table[b] = torch.tensor(A), torch.tensor(B)
        layer = cast(Any, network.encoder)["layers"][0].self_attn
        layer.in_proj_weight.copy_(torch.cat([torch.zeros(4, 2), torch.eye(2)]))
        layer.out_proj.weight.copy_(torch.diag(torch.tensor([1.0, 3.0])))
        out = cast(Any, network.head)["out"]
        out.weight.zero_()
        out.weight[0] = 1.0
        out.bias.zero_()
    return replace(load("scratch:tiny"), transformer=network.eval(), preprocessor=tokenizer)


@pytest.fixture(scope="module")
def two(by_hand: Model) -> Trace:
    return by_hand.run("ab")


@pytest.fixture(scope="module")
def tales() -> Model:
    return load("tales")


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


QUICK = tuple(method for method in evidence.METHODS if method != "integrated")
TALE, NOVEL = "The cat saw the dogs because they were hungry.", "It is a truth universally acknowledged that"


def test_the_prediction_is_the_likeliest_token_unless_one_is_asked_for(two: Trace, austen: Model) -> None:
    asked = predictions.predicted(two, 0)
    assert asked == Prediction("token", (1,), 0)
    assert predictions.of_run(asked, two) == 5.5
    trace = austen.run(NOVEL)
    assert trace.logits is not None
    found = predictions.predicted(trace)
    assert found == Prediction("token", (trace.lengths[0] - 1,), int(trace.logits[0, -1].argmax()))
    assert predictions.predicted(trace, position=3).target == int(trace.logits[0, 3].argmax())


def test_an_embedding_is_read_along_its_own_direction() -> None:
    model = load("scratch:tiny")
    trace = model.run(["one text", "another, longer text"])
    found = predictions.predicted(trace)
    assert found == Prediction("embedding", tuple(range(trace.lengths[0])))
    mean = trace.final[0, : trace.lengths[0]].double().mean(dim=0)
    assert predictions.of_run(found, trace) == pytest.approx(float(mean.norm()), rel=1e-5)


def test_a_classifier_of_images_is_read_at_its_first_token() -> None:
    model = load("digits")
    trace = model.run(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8))
    assert trace.logits is not None
    assert predictions.predicted(trace) == Prediction("class", (0,), int(trace.logits[0].argmax()))
    found = evidence.gathered(model, trace, predictions.predicted(trace), methods=QUICK)
    assert not found.missing and len(found.own) == trace.lengths[0] - 1  # every patch


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": 9_999_999}, "outside 0…"),
        ({"position": 99}, "position 99 of"),
        ({"batch": 3}, "batch=3, but the trace holds 1 texts"),
    ],
)
def test_what_is_not_there_cannot_be_predicted(austen: Model, arguments: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        predictions.predicted(austen.run("It is"), **arguments)
    with pytest.raises(InvalidParameterError, match="two texts"):
        predictions.predicted(load("dates").run("3 May", target="2"))


def test_all_measures_by_hand(by_hand: Model, two: Trace) -> None:
    found = evidence.gathered(by_hand, two, predictions.predicted(two, 0), how="mean")
    assert not found.missing
    values = {method: found.values[method].tolist() for method in evidence.METHODS}
    assert values["attention"] == [0.5, 0.5]
    assert values["rollout"] == [0.25, 0.75]  # half of what is there is the residual stream
    assert values["flow"] == [0.25, 0.75]
    assert values["norm"] == pytest.approx([0.5 / 3.5, 3 / 3.5])  # ‖½ (1, 0)‖ and ‖½ (0, 6)‖, as shares
    assert values["gradient"] == pytest.approx([0.5, 3])  # the logit is linear in the weights: ½ · 1 and ½ · 6
    # the mean of the table is zero but for a and b, which are two of very many rows
    table = cast(nn.Embedding, by_hand.transformer.embed["tokens"]).weight
    mean = table.detach().mean(dim=0).double()
    first, second = (torch.tensor(x).double() - mean for x in (A, B))
    expected = [float((first * torch.tensor([0.5, 1.5])).sum()), float((second * torch.tensor([1.5, 2.5])).sum())]
    assert values["erasure"] == pytest.approx(expected, rel=1e-5)  # the model is linear: so are both
    assert values["integrated"] == pytest.approx(expected, rel=1e-5)
    assert found.integrated is not None and found.integrated.steps == gradients.FIRST_STEPS


def test_erasing_equals_a_run_with_the_mask_token(tales: Model) -> None:
    trace = tales.run(TALE)
    asked = predictions.predicted(trace, position=5)
    found = erasure.erased(tales, trace, asked)
    assert found.how == "mask" and trace.logits is not None
    assert found.before == float(trace.logits[0, 5, cast(int, asked.target)])
    for token in range(trace.lengths[0]):
        ids = list(trace.encodings[0].ids)
        ids[token] = cast(int, tales.tokenizer.mask_id)
        again = tales.run(ids).logits
        assert again is not None
        assert float(found.after[token]) == pytest.approx(float(again[0, 5, cast(int, asked.target)]), abs=1e-4)
    by_ids = finished(erasure._by_ids(tales, trace, asked, None, 0))  # as another library's models are run
    assert torch.allclose(by_ids, found.after, atol=1e-4)


def test_erasing_equals_a_run_with_the_tables_mean(austen: Model) -> None:
    trace = austen.run(NOVEL)
    found = erasure.erased(austen, trace, predictions.predicted(trace))
    assert found.how == "mean"  # a decoder's mask token is never trained
    ids = trace.encodings[0].ids
    token = 4
    assert ids.count(ids[token]) == 1
    network = copy.deepcopy(austen.transformer)
    with torch.no_grad():
        table = cast(nn.Embedding, network.embed["tokens"]).weight
        network.head["out"].weight = nn.Parameter(table.clone())  # type: ignore[index]
        table[ids[token]] = table.mean(dim=0)
    again = replace(austen, transformer=network).run(NOVEL).logits
    assert again is not None
    target = cast(int, predictions.predicted(trace).target)
    assert float(found.after[token]) == pytest.approx(float(again[0, -1, target]), abs=1e-4)


def test_erasing_moves_an_embedding_as_a_run_does() -> None:
    model = load("scratch:tiny")
    trace = model.run("one short text")
    found = erasure.erased(model, trace, predictions.predicted(trace))
    ids = list(trace.encodings[0].ids)
    ids[1] = cast(int, model.tokenizer.mask_id)
    mean = trace.final[0].mean(dim=0)
    moved = model.run(ids).final[0].mean(dim=0) @ mean / mean.norm()
    assert found.how == "mask" and float(found.after[1]) == pytest.approx(float(moved), rel=1e-4)
    assert torch.allclose(
        finished(erasure._by_ids(model, trace, predictions.predicted(trace), None, 0)), found.after, atol=1e-4
    )


def test_many_tokens_run_in_parts(tales: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tales.run(TALE)
    asked = predictions.predicted(trace)
    whole = erasure.erased(tales, trace, asked).after, gradients.integrated_gradients(tales, trace, asked).values
    monkeypatch.setattr(reruns, "MOST_TOKENS", 40)
    parts = erasure.erased(tales, trace, asked).after, gradients.integrated_gradients(tales, trace, asked).values
    assert torch.allclose(whole[0], parts[0], atol=1e-5) and torch.allclose(whole[1], parts[1], atol=1e-4)


def test_a_text_of_a_batch_is_as_it_is_alone(tales: Model) -> None:
    trace = tales.run(["The cat slept.", TALE])
    alone = tales.run(TALE)
    found = evidence.gathered(tales, trace, predictions.predicted(trace, batch=1), batch=1)
    expected = evidence.gathered(tales, alone, predictions.predicted(alone))
    assert not found.missing and found.own == expected.own
    for method in evidence.METHODS:
        assert torch.allclose(found.values[method], expected.values[method], atol=1e-3), method


def test_a_run_from_token_vectors_is_the_run(tales: Model, austen: Model) -> None:
    for model, text in ((tales, TALE), (austen, NOVEL), (load("scratch:tiny"), "a b"), (load("scratch:gpt"), "a b")):
        trace = model.run(text)
        vectors = reruns.token_vectors(model.transformer, trace)
        again = reruns.run(model.transformer, trace, vectors[None])
        assert torch.allclose(again.final, trace.final, atol=1e-5), model.info.name
    change = Intervention(temperature=2.0, positions="none")
    trace = tales.run(TALE, intervention=change)
    again = reruns.run(tales.transformer, trace, reruns.token_vectors(tales.transformer, trace)[None])
    assert torch.allclose(again.final, trace.final, atol=1e-5)
    with pytest.raises(InvalidParameterError, match=r"not \(1, 2, 64\)"):
        reruns.run(tales.transformer, trace, torch.zeros(1, 2, 64))


def test_attention_times_gradient_is_what_a_little_less_of_a_head_takes_away(austen: Model) -> None:
    """Σ A ∂f/∂A over all of a head is the derivative by a factor on that head, which finite differences give."""
    trace = austen.run(NOVEL)
    asked = predictions.predicted(trace)
    found = gradients.gradient_attention(austen, trace, asked)
    assert found.shape == (4, 4, trace.lengths[0])
    for layer, head in ((0, 1), (2, 3), (3, 0)):
        sides = []
        for factor in (0.99, 1.01):
            run = austen.run(NOVEL, intervention=Intervention(head_scale=((layer, head, factor),)))
            sides.append(predictions.of_run(asked, run))
        slope = (sides[1] - sides[0]) / 0.02
        assert float(found[layer, head].sum()) == pytest.approx(slope, abs=2e-2)


def test_integrated_gradients_add_up_to_the_difference(austen: Model, tales: Model) -> None:
    for model, text in ((austen, NOVEL), (tales, TALE), (load("scratch:tiny"), "one short text")):
        trace = model.run(text)
        found = gradients.integrated_gradients(model, trace, predictions.predicted(trace))
        difference = found.before - found.baseline
        assert found.is_complete and abs(found.gap) <= gradients.TOLERANCE * abs(difference), model.info.name
        special = torch.tensor(trace.encodings[0].special)
        assert found.values[special].abs().sum() == 0  # they stay in the baseline
    rough = gradients.integrated_gradients(austen, austen.run(NOVEL), predictions.predicted(austen.run(NOVEL)), steps=2)
    assert rough.steps == 2 and not rough.is_complete
    done: list[int] = []
    gradients.integrated_gradients(
        tales, trace=tales.run(TALE), prediction=Prediction("token", (3,), 9), each=done.append
    )
    assert done and done[-1] >= gradients.FIRST_STEPS


def test_norms_are_those_of_the_weighted_transformed_vectors(tales: Model) -> None:
    trace = tales.run(TALE)
    layer = cast(Any, tales.transformer.encoder)["layers"][1]
    x = layer.norm1(trace.layers[1].resid_pre[0])
    width, weights = layer.self_attn.head_dim, trace.layers[1].attention.weights[0]
    w_v, b_v = layer.self_attn.in_proj_weight[-64:], layer.self_attn.in_proj_bias[-64:]
    every = torch.zeros(3, len(x), 64)
    with torch.no_grad():
        for head in range(2):
            part = slice(head * width, (head + 1) * width)
            moved = (x @ w_v[part].T + b_v[part]) @ layer.self_attn.out_proj.weight[:, part].T  # f(x)
            each = weights[head, [0, 4, 5], :, None] * moved
            every += each
            alone = contributions.norms(tales.transformer, trace, 1, [0, 4, 5], head=head)
            assert torch.allclose(alone, each.norm(dim=-1), atol=1e-5)
    assert torch.allclose(contributions.norms(tales.transformer, trace, 1, [0, 4, 5]), every.norm(dim=-1), atol=1e-5)


def test_a_layer_alone_and_what_is_not_there(tales: Model) -> None:
    trace = tales.run(TALE)
    asked = predictions.predicted(trace)
    found = evidence.gathered(tales, trace, asked, layer=1, methods=QUICK)
    assert "integrated" not in found.values and not found.missing
    last = asked.rows[0]
    assert torch.allclose(found.values["attention"].float(), trace.layers[1].attention.weights[0, :, last].mean(dim=0))
    with pytest.raises(InvalidParameterError, match="layer 3 of 3"):
        evidence.gathered(tales, trace, asked, layer=3)
    with pytest.raises(InvalidParameterError, match="'lime' is not one of attention, rollout"):
        evidence.gathered(tales, trace, asked, methods=["lime"])  # type: ignore[list-item]
    halves = [evidence.gathered(tales, trace, asked, methods=part) for part in (QUICK[3:], QUICK[:3])]
    whole = evidence.joined(halves)
    assert tuple(whole.values) == QUICK and whole.erased is halves[0].erased and whole.integrated is None
    compared = found.compared("erasure")
    assert compared is not None and compared[0].value == compared[1].value == 1 and compared[0].n == len(found.own)
    assert found.compared("integrated") is None
    short = tales.run("The")
    few = evidence.gathered(tales, short, predictions.predicted(short), methods=QUICK)
    with pytest.raises(InvalidParameterError, match="1 tokens: no rank correlation of fewer than 4"):
        few.compared("attention")


def test_what_a_model_does_not_allow_is_said_and_the_rest_is_there(
    tales: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise InvalidParameterError("this one is not made of our layers")

    trace = tales.run(TALE)
    for module in ("erasure", "reruns", "contributions"):
        monkeypatch.setattr(f"attnviz.analysis.{module}.check_split", none)
    found = evidence.gathered(tales, trace, predictions.predicted(trace))
    assert set(found.missing) == {"norm", "gradient", "integrated"}
    assert set(found.values) == {"attention", "rollout", "flow", "erasure"}
    assert "not made of our layers" in found.missing["norm"]
