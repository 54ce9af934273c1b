"""Roles of heads: shares worked out by hand, heads whose role is known by construction, and models that have none."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from attnviz import Intervention, InvalidParameterError, Model, Trace, Transformer, load, preset
from attnviz.analysis import roles
from attnviz.analysis.roles import MEASURES, SHARES
from attnviz.models.programs.library import LISTINGS
from attnviz.models.programs.models import listed
from attnviz.training.tasks.sequences import WORDS

TEXT = "The cat, the old cat, saw the dog and the dog saw the cat."


@pytest.fixture(scope="module")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="module")
def trace(minilm: Model) -> Trace:
    return minilm.run(TEXT)


def by_hand(trace: Trace, measure: str, layer: int, head: int) -> tuple[float, float, int]:
    """Share, chance and queries of one measure, cell by cell."""
    encoding = trace.encodings[0]
    ids, special, n = encoding.ids, encoding.special, len(encoding)
    weights = trace.layers[layer].attention.weights[0, head].tolist()
    causal = trace.config.kind == "decoder"
    hit = whole = even = 0.0
    queries = 0
    for i in range(1, n):
        if special[i]:
            continue
        seen = [j for j in range(n) if not (causal and j > i)]
        sinks = [j for j in seen if (special[j] or j == 0) and j != i]
        if measure == "uniform":
            hit += -sum(weights[i][j] * math.log(weights[i][j]) for j in seen if weights[i][j] > 0)
            whole += math.log(len(seen))
            queries += 1
            continue
        among = seen if measure == "sink" else [j for j in seen if j not in sinks and (j != i or measure == "same")]
        wanted = {
            "previous": [j for j in among if j == i - 1],
            "next": [j for j in among if j == i + 1],
            "local": [j for j in among if 1 <= abs(i - j) <= 2],
            "same": [j for j in among if j == i],
            "duplicate": [j for j in among if j != i and ids[j] == ids[i]],
            "induction": [j for j in among if j > 0 and j != i and j - 1 != i and ids[j - 1] == ids[i]],
            "punctuation": [j for j in among if j != i and not any(ch.isalnum() for ch in encoding.labels[j])],
            "sink": sinks,
        }[measure]
        if not wanted or len(among) < 2:
            continue
        queries += 1
        mass = sum(weights[i][j] for j in among)
        hit, whole = hit + sum(weights[i][j] for j in wanted), whole + mass
        even += mass * len(wanted) / len(among)
    return hit / whole, even / whole, queries


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["minilm", "scratch:gpt"])
def test_shares_and_chance_are_those_worked_out_cell_by_cell(name, measure):
    run = load(name).run(TEXT)
    found, place = roles.of_trace(run), MEASURES.index(measure)
    if name == "scratch:gpt" and measure == "next":  # nobody may look ahead
        assert found.queries[place] == 0 and bool(found.of("next").isnan().all())
        return
    for layer, head in ((0, 0), (2, 3), (3, 1)):
        share, chance, queries = by_hand(run, measure, layer, head)
        assert float(found.of(measure)[layer, head]) == pytest.approx(share, rel=1e-4)
        assert int(found.queries[place]) == queries
        if measure != "uniform":
            assert float(found.chance[place, layer, head]) == pytest.approx(chance, rel=1e-4)


def test_intervals_hold_the_score_and_are_the_same_again(trace):
    found, again = roles.of_trace(trace, seed=3), roles.of_trace(trace, seed=3)
    whole = ~found.score.isnan()
    assert bool((found.low <= found.score + 1e-6)[whole].all() and (found.score <= found.high + 1e-6)[whole].all())
    assert torch.equal(found.low[whole], again.low[whole])
    assert bool(((found.score >= 0) & (found.score <= 1 + 1e-6))[whole].all())


def texts_of(listing_alphabet: str, n: int = 40) -> list[str]:
    draw = random.Random(1)
    return ["".join(draw.choices(listing_alphabet, k=12)) for _ in range(n)]


def confusion() -> Counter[tuple[str, str]]:
    """Of every compiled head what it is by construction ("": no role; "unused": no weights), and what it is found."""
    pairs: Counter[tuple[str, str]] = Counter()
    for listing in LISTINGS:
        made = listed(listing.name)
        found = roles.of_model(made.model, texts_of(listing.alphabet), probes=False).names
        for layer, row in enumerate(found):
            for head, name in enumerate(row):
                known = made.compiled.roles.get((layer, head), "" if (layer, head) in made.compiled.heads else "unused")
                pairs[known, name] += 1
    return pairs


def test_compiled_heads_are_found_and_no_other_gets_their_roles():
    pairs = confusion()
    assert {known: name for known, name in pairs if known not in ("", "unused")} == {
        "previous": "previous",
        "duplicate": "duplicate",
        "induction": "induction",
    }
    assert pairs["previous", "previous"] == 2 and pairs["duplicate", "duplicate"] == 5
    assert pairs["induction", "induction"] == 1
    assert {name for known, name in pairs if known == "unused"} == {"uniform"}  # no weights: they look at all alike
    assert {name for known, name in pairs if known == ""} <= {"", "uniform", "sink"}


def false_positives(n_models: int) -> tuple[int, int]:
    """Heads of random models that get a role other than the evenness that they have, and heads in all."""
    wrong = heads = 0
    for seed in range(n_models):
        config = preset("test", vocab_size=200, kind="decoder" if seed % 2 else "encoder", n_layers=1 + seed % 3)
        generator = torch.Generator().manual_seed(seed)
        model = Transformer(config, generator).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # not even, as newly initialised ones are
                parameter.mul_(1 + 30 * float(torch.rand((), generator=generator)))
        ids = torch.randint(200, (10, 24), generator=generator)
        with torch.inference_mode():
            found = roles.of_trace(model(ids), ids=ids.tolist(), seed=seed).names
        wrong += sum(name not in ("", "uniform") for row in found for name in row)
        heads += sum(map(len, found))
    return wrong, heads


def test_random_models_get_no_roles():
    wrong, heads = false_positives(30)
    assert wrong <= 0.01 * heads


@pytest.mark.nightly
def test_two_hundred_random_models_get_no_roles():
    wrong, heads = false_positives(200)
    assert wrong <= 0.01 * heads


def test_the_induction_heads_of_trained_models_are_found():
    found = roles.of_model(load("austen"), ["She was very fond of her friends, and they were fond of her."] * 2)
    assert [
        (layer, head) for layer, row in enumerate(found.names) for head, name in enumerate(row) if name == "induction"
    ] == [(2, 1)]
    trained = roles.of_model(load("induction"), [WORDS])
    assert trained.names[1][1:4] == ["induction"] * 3 and "induction" not in trained.names[0]


def test_a_masked_run_is_judged_as_it_ran(minilm):
    run = minilm.run(TEXT, intervention=Intervention(mask=("window", 1)))
    found = roles.of_trace(run)
    near = found.score[SHARES.index("local")]
    assert float(near.min()) > 0.999  # nothing else can be seen
    assert float(found.evidence[SHARES.index("local")].max()) == pytest.approx(0.0, abs=1e-4)  # so it says nothing


def test_names_and_evidence_are_worked_out_once(minilm):
    found = roles.of_trace(minilm.run(TEXT))
    assert found.names is found.names and found.evidence is found.evidence  # Explore asks for each head's, every run


@pytest.mark.parametrize("text", ["a", "a b", "...", "\u6771\u4eac", "!" * 30])
def test_texts_that_say_little_give_no_role(minilm, text):
    found = roles.of_trace(minilm.run(text))
    shares = set(SHARES) - {"sink"}
    assert not shares & {name for row in found.names for name in row} or text.startswith("!")


def test_what_has_no_roles_is_a_sentence(minilm, trace):
    with pytest.raises(InvalidParameterError, match="one text"):
        roles.of_trace(load("dates").run("1 May 2020", "2020"))
    with pytest.raises(InvalidParameterError, match="which tokens"):
        roles.of_trace(replace(trace, encodings=()))
    with pytest.raises(InvalidParameterError, match="texts"):
        roles.of_model(minilm, [])
    with pytest.raises(InvalidParameterError, match="Digits reads images"):
        roles.of_model(load("digits"), ["a"])
