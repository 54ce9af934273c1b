"""Cards of heads: examples and losses against what is worked out here, files against what they were written from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from attnviz import Intervention, InvalidParameterError, Model, Trace, load
from attnviz.analysis import ablation, cards, cards_file, cards_text, roles
from attnviz.analysis.cards import Cards
from attnviz.inputs.sample import sample
from attnviz.inputs.tokenizers import Tokenizer

TEXTS = sample()[:12]


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


@pytest.fixture(scope="module")
def made(austen: Model) -> Cards:
    return cards.of_model(austen, TEXTS)


def asked(trace: Trace) -> list[int]:
    """The queries that are judged."""
    return [i for i, special in enumerate(trace.encodings[0].special) if i and not special]


def local_cells(trace: Trace, i: int) -> list[int]:
    """The keys that are at most two tokens before a query, and where no head rests."""
    return [j for j in (i - 2, i - 1) if j > 0 and not trace.encodings[0].special[j]]


def share_of_local(trace: Trace, layer: int, head: int, queries: list[int] | None = None) -> float:
    """Attention on those cells over what rests neither on the first token nor on the query itself, from scratch."""
    w, special = trace.layers[layer].attention.weights[0, head].double(), trace.encodings[0].special
    hit = whole = 0.0
    for i in asked(trace) if queries is None else queries:
        others = [j for j in range(1, i) if not special[j]]
        if local_cells(trace, i) and len(others) > 1:  # one alone is no choice
            hit += sum(float(w[i, j]) for j in local_cells(trace, i))
            whole += sum(float(w[i, j]) for j in others)
    return hit / whole


def test_roles_are_those_of_the_roles_module(austen: Model, made: Cards) -> None:
    expected = roles.of_model(austen, TEXTS)
    for name in ("score", "low", "high", "chance", "at_work"):
        assert torch.equal(getattr(made.roles, name).nan_to_num(9), getattr(expected, name).nan_to_num(9)), name


def test_of_a_strangers_model_the_roles_are_the_same(austen: Model) -> None:
    """Its tokenizer runs in a process of its own, which is asked for the words of the probes too."""
    tokenizer = Tokenizer.from_str(austen.tokenizer.to_json(), isolated=True)
    found = cards.of_model(replace(austen, preprocessor=tokenizer), TEXTS[:2]).roles
    assert torch.equal(found.score.nan_to_num(), roles.of_model(austen, TEXTS[:2]).score.nan_to_num())


def test_examples_of_a_local_head_are_the_texts_by_their_share(austen: Model, made: Cards) -> None:
    layer, head = 1, 3
    assert made.roles.names[layer][head] == "local"
    traces = [austen.run(text) for text in TEXTS]
    shares = [share_of_local(trace, layer, head) for trace in traces]
    examples = made.examples[layer][head]
    assert [one.rank for one in examples] == list(cards.RANKS)
    spread = [sorted(shares)[round(rank * 11)] for rank in cards.RANKS]
    assert [one.share for one in examples] == pytest.approx(spread, abs=1e-5)
    for one in examples:
        assert one.share == pytest.approx(shares[one.text], abs=1e-5)
        w = traces[one.text].layers[layer].attention.weights[0, head]
        near = {(i, j): float(w[i, j]) for i in asked(traces[one.text]) for j in local_cells(traces[one.text], i)}
        assert (one.query, one.key) == max(near, key=near.__getitem__)
        assert one.weight == pytest.approx(near[one.query, one.key], abs=1e-6)


def test_of_one_text_examples_are_its_words(austen: Model) -> None:
    trace = austen.run(TEXTS[0])
    found = cards.of_trace(austen, trace)
    assert found.roles.names[1][3] == "local"
    examples = found.examples[1][3]
    w = trace.layers[1].attention.weights[0, 3]
    assert {one.text for one in examples} == {0}
    assert [one.share for one in examples] == sorted((one.share for one in examples), reverse=True)
    for one in examples:
        assert one.weight == pytest.approx(float(w[one.query, one.key]), abs=1e-6)
        assert one.share == pytest.approx(share_of_local(trace, 1, 3, [one.query]), abs=1e-5)
        assert one.key == max(local_cells(trace, one.query), key=lambda j: float(w[one.query, j]))


def test_what_is_lost_is_the_sweep_and_over_texts_its_mean(austen: Model, made: Cards) -> None:
    assert made.lost is not None and made.lost.n_texts == 12
    trace = austen.run(TEXTS[0])
    swept = [ablation.moved(trace.final[0], one.final) for one in ablation.each_head(austen.transformer, trace)]
    alone = cards.of_trace(austen, trace).lost
    assert alone is not None and torch.equal(alone.moved, torch.stack(swept).double())
    assert torch.equal(alone.low, alone.moved) and torch.equal(alone.high, alone.moved)
    several = cards._lost([(torch.tensor([[0.1, 0.4]]), None), (torch.tensor([[0.3, 0.4]]), None)])
    assert several is not None and several.cost is None
    half = 1.96 * 0.2 / 2**0.5 / 2**0.5  # of 0.1 and 0.3
    torch.testing.assert_close(several.moved, torch.tensor([[0.2, 0.4]]).double())
    torch.testing.assert_close(several.low, torch.tensor([[0.2 - half, 0.4]]).double().clamp_min(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(several.high, torch.tensor([[0.2 + half, 0.4]]).double(), atol=1e-6, rtol=0)


def test_the_cost_is_the_loss_of_a_run_without_the_head(austen: Model, made: Cards) -> None:
    trace = austen.run(TEXTS[0])
    found = cards.of_trace(austen, trace).lost
    assert found is not None and found.cost is not None and trace.logits is not None
    goal = torch.tensor(trace.encodings[0].ids[1:])
    base = F.cross_entropy(trace.logits[0, :-1], goal)
    assert found.cost.base == pytest.approx(float(base), abs=1e-5)
    for layer, head in ((1, 3), (3, 0)):
        changed = austen.run(TEXTS[0], intervention=Intervention(head_scale=((layer, head, 0.0),))).logits
        assert changed is not None
        worse = float(F.cross_entropy(changed[0, :-1], goal) - base)
        assert float(found.cost.more[layer, head]) == pytest.approx(worse, abs=1e-4)
    assert made.lost is not None and made.lost.cost is not None
    assert bool((made.lost.cost.low < made.lost.cost.more).all())


def test_of_a_model_that_fills_in_the_cost_is_of_hidden_tokens() -> None:
    tales = load("tales")
    text = cards_file.shipped("tales").texts[0]  # type: ignore[union-attr]
    trace = tales.run(text)
    found = cards.of_trace(tales, trace).lost
    encoding = trace.encodings[0]
    hidden = [i for i, special in enumerate(encoding.special) if not special][3::7]
    ids = [tales.tokenizer.mask_id if i in hidden else one for i, one in enumerate(encoding.ids)]
    goal = torch.tensor([encoding.ids[i] for i in hidden])
    losses = [
        F.cross_entropy(tales.run(ids, intervention=change).logits[0, hidden], goal)  # type: ignore[index,arg-type]
        for change in (None, Intervention(head_scale=((1, 1, 0.0),)))
    ]
    assert found is not None and found.cost is not None
    assert found.cost.base == pytest.approx(float(losses[0]), abs=1e-5)
    assert float(found.cost.more[1, 1]) == pytest.approx(float(losses[1] - losses[0]), abs=1e-4)


def test_where_there_is_no_loss_none_is_said() -> None:
    tiny = load("scratch:tiny")
    for text in ("The cat sat.", "a"):
        found = cards.of_trace(tiny, tiny.run(text)).lost
        assert found is not None and found.cost is None and cards_text.cost(found, 0, 0, "your text") == ""


def test_the_text_that_wakes_a_head_is_the_one_where_it_does_most(austen: Model, made: Cards) -> None:
    assert made.wakes[1][3] == made.examples[1][3][0]  # it has a role: the best example
    places = [(y, x) for y, row in enumerate(made.roles.names) for x, name in enumerate(row) if name in ("sink", "")]
    assert places
    for layer, head in places[:3]:
        shares = []
        for text in TEXTS:
            trace = austen.run(text)
            w = trace.layers[layer].attention.weights[0, head].double()
            rows = [i for i in asked(trace) if i > 1]
            special = trace.encodings[0].special
            rests = [j for j in range(len(special)) if j == 0 or special[j]]
            shares.append(1 - float(w[rows][:, rests].sum() / w[rows].sum()))
        one = made.wakes[layer][head]
        assert one is not None and one.share == pytest.approx(shares[one.text], abs=0.02)
        assert shares[one.text] == pytest.approx(max(shares), abs=0.02)


def test_a_file_gives_back_what_was_written(tmp_path: Path, austen: Model, made: Cards) -> None:
    cards_file.write(tmp_path / "austen.json", austen, TEXTS, made)
    back = cards_file.read(tmp_path / "austen.json")
    assert back.texts == TEXTS and not back.is_sample and back.model == cards_file.fingerprint(austen)
    assert back.cards.roles.names == made.roles.names
    torch.testing.assert_close(back.cards.roles.score, made.roles.score, atol=6e-5, rtol=0, equal_nan=True)
    assert back.cards.lost is not None and made.lost is not None
    torch.testing.assert_close(back.cards.lost.moved.double(), made.lost.moved, atol=6e-5, rtol=0)
    assert back.cards.lost.cost is not None and made.lost.cost is not None
    torch.testing.assert_close(back.cards.lost.cost.more.double(), made.lost.cost.more, atol=6e-5, rtol=0)
    assert [[one and one.text for one in row] for row in back.cards.wakes] == [
        [one and one.text for one in row] for row in made.wakes
    ]
    one, other = back.cards.examples[1][3][0], made.examples[1][3][0]
    assert replace(one, share=0, weight=0) == replace(other, share=0, weight=0)


def test_what_has_no_roles_is_refused(austen: Model) -> None:
    with pytest.raises(InvalidParameterError, match="reads images"):
        cards.of_model(load("digits"), TEXTS)
    with pytest.raises(InvalidParameterError, match="texts"):
        cards.of_model(austen, ())
    alone = cards.of_trace(austen, austen.run("a"))
    assert all(name == "" or name in ("sink", "uniform") for row in alone.roles.names for name in row)


def test_rows_that_see_nothing_and_attention_that_is_even(austen: Model) -> None:
    n = len(austen.run(TEXTS[0]).encodings[0])
    nothing = Intervention(blocked=tuple((i, j) for i in (3, 4) for j in range(n)))
    found = cards.of_trace(austen, austen.run(TEXTS[0], intervention=nothing))
    told = [one for row in found.examples for head in row for one in head]
    assert told and not [one for one in told if one.query in (3, 4)]
    assert all(0 <= one.share <= 1 and 0 <= one.weight <= 1 for one in told)
    even = cards.of_trace(austen, austen.run(TEXTS[0], intervention=Intervention(temperature=1e6)))
    assert {name for row in even.roles.names for name in row} == {"uniform"}


# ---- what comes with the models -------------------------------------------------------------------------


SHIPPED = sorted(path.stem for path in cards_file.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_of_these_weights_and_texts(name: str, minilm: Model) -> None:
    """After new weights or texts: python -m attnviz investigate --model NAME --cards assets/heads/NAME.json."""
    model = minilm if name == "minilm" else load(name)
    stored = cards_file.shipped(name)
    assert stored is not None and stored.model == cards_file.fingerprint(model)
    assert len(stored.texts) == 300 and stored.is_sample == (name in ("austen", "minilm"))
    config = model.transformer.config
    assert stored.cards.roles.score.shape == (len(roles.MEASURES), config.n_layers, config.n_heads)
    for layer, row in enumerate(stored.cards.examples):  # and its numbers are this model's
        one = row[layer % len(row)][0]
        w = model.run(stored.texts[one.text]).layers[layer].attention.weights[0, layer % len(row)]
        assert float(w[one.query, one.key]) == pytest.approx(one.weight, abs=2e-3)


def test_all_bundled_models_of_one_text_have_cards() -> None:
    assert SHIPPED == ["austen", "induction", "minilm", "tales"]


def test_a_file_of_an_older_sample_is_noticed(tmp_path: Path) -> None:
    about = json.loads((cards_file.FOLDER / "austen.json").read_text(encoding="utf-8"))
    about["sample"] = "of before"
    (tmp_path / "old.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(InvalidParameterError, match=r"old\.json is of other texts"):
        cards_file.read(tmp_path / "old.json")
    assert cards_file.shipped("../models/austen/config") is None
