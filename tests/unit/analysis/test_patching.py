"""Patched runs against runs that are made another way, and against what can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from attnviz import Intervention, InvalidParameterError, Model, Trace, Transformer, load
from attnviz.analysis import cell_removal, outcomes, patching, patching_gradient, self_repair, sites
from attnviz.analysis.outcomes import Lead, Likeness, Loss, Probability
from attnviz.analysis.patching import How
from attnviz.analysis.sites import Ends, Site
from attnviz.models.programs.models import listed
from attnviz.nn.config import preset
from tests.unit.analysis.test_attribution import VARIANTS, ran

PAIRS = {  # texts of one length for each model, and the answer of one that reads two
    "austen": ("Elizabeth met Mr. Darcy, and Mr.", "Elizabeth met Mr. Collins, and Mr.", None),
    "induction": (" bird moon ship key bird", " bird star ship key bird", None),
    "tales": ("The dog licks the ball.", "The dogs licks the ball.", None),
    "dates": ("May 12, 2020", "May 12, 1987", "20"),
}
CIRCUIT = " bird moon ship key salt tree bird moon ship key"  # the next is " salt"


@pytest.fixture(scope="module")
def induction() -> Model:
    return load("induction")


def swept(model: Transformer, trace: Trace, outcome: outcomes.Outcome, how: How = "patch", **more: Any) -> Tensor:
    return torch.stack([row.values for row in patching.heads(model, trace, outcome, how, **more)])


def linear(**more: Any) -> tuple[Transformer, Trace, Trace]:
    """One layer of attention alone without norms, where the logits are linear in what the heads write."""
    generator = torch.Generator().manual_seed(3)
    config = preset("test", n_layers=1, kind="decoder", d_ff=0, norms=False, norm_first=True, head="lm", **more)
    model = Transformer(config, generator).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    ids = torch.randint(64, (2, 6), generator=generator)
    with torch.inference_mode():
        return model, model(ids[:1]), model(ids[1:])


@pytest.mark.parametrize("name", list(PAIRS))
def test_the_whole_stream_of_another_text_is_that_texts_run_bit_for_bit(name: str) -> None:
    model, (a, b, answer) = load(name), PAIRS[name]
    trace, other = model.run(a, answer), model.run(b, answer)
    ends = patching.everything(model.transformer, trace, other)
    assert torch.equal(ends.final, other.final) and not torch.equal(ends.final, trace.final)
    assert other.logits is not None and torch.equal(ends.logits(), other.logits)


@pytest.mark.parametrize("name", list(PAIRS))
def test_a_factor_of_one_and_a_runs_own_activations_change_no_bit(name: str) -> None:
    model, (a, _, answer) = load(name), PAIRS[name]
    trace, outcome = model.run(a, answer), Probability(7)
    before = patching.base(model.transformer, trace, outcome)
    for found in (
        swept(model.transformer, trace, outcome, 1.0),
        swept(model.transformer, trace, outcome, "patch", other=trace),
        torch.stack([row.values for row in patching.stream(model.transformer, trace, trace, outcome)]),
    ):
        assert bool((found == before).all())


def test_small_batches_give_the_same_and_between_them_one_can_stop(
    induction: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, trace, other = induction.transformer, induction.run(CIRCUIT), induction.run(" star" + CIRCUIT[5:])
    outcome = Probability(7)
    ways = (
        lambda: list(patching.heads_in_steps(model, trace, outcome, "patch", other=other)),
        lambda: list(patching.stream_in_steps(model, trace, other, outcome)),
    )
    for way in ways:
        monkeypatch.setattr(patching, "MOST_TOKENS", 2048)
        whole = [step.values for step in way() if not isinstance(step, int)]
        monkeypatch.setattr(patching, "MOST_TOKENS", 2 * trace.lengths[0])
        steps = way()
        assert max(step for step in steps if isinstance(step, int)) == 2  # heads, or tokens, at a time
        rows = [step.values for step in steps if not isinstance(step, int)]
        torch.testing.assert_close(torch.stack(rows), torch.stack(whole))


@pytest.mark.parametrize("how", ["zero", 1.7])
@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_changed_head_is_a_run_with_that_intervention(name: str, how: How) -> None:
    model, trace = ran(name)
    outcome = Likeness(torch.linspace(-1, 1, 16)) if trace.logits is None else Lead(2, 1)
    found = swept(model, trace, outcome, how)
    for layer in range(3):
        for head in range(2):
            change = Intervention(head_scale={(layer, head): 0.0 if how == "zero" else how})  # type: ignore[dict-item]
            with torch.inference_mode():
                again = model(torch.tensor([trace.encodings[0].ids]), intervention=change)
            assert float(found[layer, head]) == pytest.approx(patching.base(model, again, outcome), rel=1e-4, abs=1e-4)


def test_so_it_is_in_a_model_that_reads_two_texts() -> None:
    model = load("dates")
    trace = model.run("May 12, 2020", "20")
    outcome = Lead(int(trace.logits[0, -1].argmax()), 0)  # type: ignore[index]
    found = swept(model.transformer, trace, outcome, "zero")
    assert sites.sites(trace) == (Site("encoder", 0), Site("decoder", 0), Site("cross", 0))
    for number, site in enumerate(sites.sites(trace)):
        change = Intervention(head_scale={1: 0.0}, where=site.place)
        again = model.run("May 12, 2020", "20", intervention=change)
        assert float(found[number, 1]) == pytest.approx(patching.base(model.transformer, again, outcome), rel=1e-4)


@pytest.mark.parametrize("more", [{}, {"norm_first": True, "final_norm": True}, {"positions": "rope"}], ids=str)
def test_every_place_of_an_encoder_and_a_decoder(more: dict[str, Any]) -> None:
    """Post-norm, pre-norm and with turned queries: a head switched off is a run with that intervention."""
    generator = torch.Generator().manual_seed(5)
    config = preset("test", kind="encoder-decoder", n_layers=2, head="lm", **more)
    model = Transformer(config, generator).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    source, target = torch.randint(64, (1, 5), generator=generator), torch.randint(64, (1, 4), generator=generator)
    with torch.inference_mode():
        trace, other = model(source, target), model(source.flip(1), target)
        outcome = Lead(3, 8)
        found = swept(model, trace, outcome, "zero")
        for number, site in enumerate(sites.sites(trace)):
            change = Intervention(head_scale={(site.layer, 1): 0.0}, where=site.place)
            again = patching.base(model, model(source, target, intervention=change), outcome)
            assert float(found[number, 1]) == pytest.approx(again, rel=1e-3, abs=1e-4)
    assert torch.equal(patching.everything(model, trace, other).final, other.final)
    assert len(list(patching.stream(model, trace, other, outcome, place="decoder"))) == 2


def test_a_text_of_a_padded_batch_is_that_text() -> None:
    model = load("austen")
    both, alone = model.run(["He was not", "She was"]), model.run("She was")
    for how in ("zero", "mean", "uniform"):
        found = swept(model.transformer, both, Lead(5, 9), how, batch=1)  # type: ignore[arg-type]
        expected = swept(model.transformer, alone, Lead(5, 9), how)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_images_are_patched_too() -> None:
    model = load("digits")
    generator = torch.Generator().manual_seed(0)
    trace, other = (model.run(torch.rand(1, 8, 8, generator=generator)) for _ in range(2))
    outcome = Probability(3)
    found = swept(model.transformer, trace, outcome, other=other)
    assert found.shape == (3, 4) and float((found - patching.base(model.transformer, trace, outcome)).abs().max()) > 0
    ends = patching.everything(model.transformer, trace, other)
    assert other.logits is not None and torch.equal(ends.logits(), other.logits)


def test_a_patched_head_by_hand_and_by_its_gradient_where_all_is_linear() -> None:
    model, trace, other = linear()
    outcome = Lead(5, 9, position=4)
    found = swept(model, trace, outcome, other=other)[0]
    assert model.head is not None
    direction = model.head["out"].weight[5] - model.head["out"].weight[9]
    before, after = trace.layers[0].attention, other.layers[0].attention
    width = model.config.head_dim
    for head in range(2):
        columns = before_out(model)[:, head * width : (head + 1) * width]
        expected = (columns @ (after.z[0, head, 4] - before.z[0, head, 4])) @ direction
        change = float(found[head]) - patching.base(model, trace, outcome)
        assert change == pytest.approx(float(expected), rel=1e-4)
    for how in ("patch", "zero", "mean", "uniform", "freeze", 0.5):
        exact = swept(model, trace, outcome, how, other=other) - patching.base(model, trace, outcome)
        by_gradient = patching_gradient.heads(model, trace, outcome, how, other=other)  # type: ignore[arg-type]
        torch.testing.assert_close(by_gradient, exact, rtol=1e-4, atol=1e-4)


def before_out(model: Transformer) -> Tensor:
    """W_O of the only layer."""
    return sites.attention(model, Site("decoder", 0)).out_proj.weight  # type: ignore[no-any-return]


def test_a_frozen_pattern_looks_where_the_other_text_looks() -> None:
    _, trace, other = linear()
    found = patching.changed_z(trace, Site("decoder", 0), "freeze", other=other)
    own, theirs = trace.layers[0].attention, other.layers[0].attention
    torch.testing.assert_close(found, theirs.weights[0] @ own.v[0])
    some = patching.changed_z(trace, Site("decoder", 0), "freeze", other=other, at=[3])
    assert torch.equal(some[:, 3], found[:, 3]) and torch.equal(some[:, :3], own.z[0, :, :3])


def test_a_mean_and_an_even_head_by_hand() -> None:
    _, trace, _ = linear()
    own, site = trace.layers[0].attention, Site("decoder", 0)
    mean, even = (patching.changed_z(trace, site, how) for how in ("mean", "uniform"))
    torch.testing.assert_close(mean[1, 2], own.z[0, 1].mean(dim=0))
    torch.testing.assert_close(even[1, 2], own.v[0, 1, :3].mean(dim=0))  # three tokens that it may look at


def test_the_stream_of_one_token_by_hand() -> None:
    model, trace, other = linear()
    outcome = Lead(5, 9)
    found = torch.stack([row.values for row in patching.stream(model, trace, other, outcome)])
    x = trace.layers[0].resid_pre.clone()
    x[0, 2] = other.layers[0].resid_pre[0, 2]
    with torch.inference_mode():
        ends = Ends(
            model, sites.block(model, Site("decoder", 0)).trace(x, mask=trace.layers[0].attention.mask).resid_post
        )
        assert float(found[0, 2]) == pytest.approx(float(outcome(ends)[0]), rel=1e-5)


def test_without_either_head_of_the_circuit_nothing_is_copied(induction: Model) -> None:
    """The figures: 95 % for the right word; 6.5 % without the previous-token head, 1.9 % without the induction head."""
    trace = induction.run(CIRCUIT)
    salt = induction.encode(" salt").ids[1]
    found = swept(induction.transformer, trace, Probability(salt), "zero")
    assert patching.base(induction.transformer, trace, Probability(salt)) > 0.9
    assert float(found[0, 4]) < 0.1 and float(found[1, 3]) < 0.05
    others = [
        float(found[layer, head]) for layer in range(2) for head in range(5) if (layer, head) not in {(0, 4), (1, 3)}
    ]
    assert min(others) > 0.45 and sum(one > 0.85 for one in others) == 7


def test_the_head_that_copies_takes_the_other_texts_word_along(induction: Model) -> None:
    trace, other = (induction.run(text) for text in (CIRCUIT, CIRCUIT.replace("salt", "star")))
    outcome = Lead(induction.encode(" salt").ids[1], induction.encode(" star").ids[1])
    a, b = (patching.base(induction.transformer, one, outcome) for one in (trace, other))
    exact = swept(induction.transformer, trace, outcome, other=other) - a
    share = exact / (b - a)
    assert share.argmax() == 5 + 3 and 0.8 < float(share[1, 3]) < 0.85
    how_well = patching_gradient.correlation(
        exact, patching_gradient.heads(induction.transformer, trace, outcome, other=other)
    )
    assert how_well.n == 10 and how_well.pearson > 0.9 and how_well.spearman > 0.9
    streams = torch.stack([row.values for row in patching.stream(induction.transformer, trace, other, outcome)])
    assert ((streams - a) / (b - a)).argmax(dim=1).tolist() == [5, 5]  # only “salt” itself differs


def test_outcomes_by_hand() -> None:
    model, trace, _ = linear()
    assert trace.logits is not None
    ends, row = Ends(model, trace.final), trace.logits[0, 3]
    assert float(Probability(4, 3)(ends)) == pytest.approx(float(row.softmax(0)[4]))
    assert float(Lead(4, position=3)(ends)) == pytest.approx(float(row[4]), abs=1e-5)
    assert float(Lead(4, 6, 3)(ends)) == pytest.approx(float(row[4] - row[6]), abs=1e-5)
    goal = trace.logits[0].log_softmax(-1)
    assert float(Loss((1, 2), (0, 3))(ends)) == pytest.approx(-float(goal[0, 1] + goal[3, 2]) / 2, abs=1e-5)
    toward = torch.zeros(16)
    toward[0] = 2.0
    mean = trace.final[0].mean(0)
    assert float(Likeness(toward)(ends)) == pytest.approx(float(mean[0] / mean.norm()), abs=1e-6)
    assert outcomes.hidden_loss([5, 6, 7], [1]) == Loss((6,), (1,))
    named = load("austen").run("He was")
    assert outcomes.text_loss(named) == Loss(tuple(named.encodings[0].ids[1:]), tuple(range(len(named.tokens) - 1)))


def test_correlations_by_hand() -> None:
    a = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = patching_gradient.correlation(a, a**3)
    assert found.spearman == pytest.approx(1.0) and found.pearson == pytest.approx(0.9513698) and found.n == 4
    tied = patching_gradient.correlation(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([3.0, 1.0, 2.0]))
    assert tied.spearman == pytest.approx(-math.sqrt(3) / 2)
    assert math.isnan(patching_gradient.correlation(a, torch.ones(4)).pearson)


def test_what_cannot_be_patched_is_a_sentence() -> None:
    austen, minilm = load("austen"), load("scratch:tiny")
    t, longer = austen.run("He was"), austen.run("He was not")
    plain = minilm.run("hi")
    said = {
        "3 and 4 tokens": lambda: swept(austen.transformer, t, Lead(1), other=longer),
        "needs the run of another": lambda: swept(austen.transformer, t, Lead(1)),
        "how='off'": lambda: swept(austen.transformer, t, Lead(1), "off"),  # type: ignore[arg-type]
        "not finite": lambda: swept(austen.transformer, t, Lead(1), math.nan),
        "batch=1": lambda: swept(austen.transformer, t, Lead(1), "zero", batch=1),
        "position 3 of 3": lambda: swept(austen.transformer, t, Lead(1), "zero", at=[3]),
        "position 9 of 3": lambda: patching.base(austen.transformer, t, Lead(1, position=9)),
        "token 5000": lambda: patching.base(austen.transformer, t, Probability(5000)),
        "has no logits": lambda: patching.base(minilm.transformer, plain, Lead(1)),
        "predicts the next token": lambda: outcomes.text_loss(plain),
        "one token": lambda: outcomes.text_loss(austen.run([5])),
        "not in a text of 2": lambda: outcomes.hidden_loss([1, 2], [2]),
        "head 9 is not there": lambda: cell_removal.of_head(austen.transformer, t, Lead(1), Site("decoder", 0), 9),
        "two texts": lambda: self_repair.of_heads(*two_texts(), Lead(1)),
    }
    for sentence, call in said.items():
        with pytest.raises(InvalidParameterError, match=sentence):
            call()


def two_texts() -> tuple[Transformer, Trace]:
    model = load("dates")
    return model.transformer, model.run("May 12, 2020", "20")


def test_a_row_with_nothing_to_look_at_stays_zero() -> None:
    made = listed("induction").model
    trace = made.run("abcab", intervention=Intervention(blocked=[(0, 0), (1, 0), (1, 1)]))
    other = made.run("abdab", intervention=Intervention(blocked=[(0, 0), (1, 0), (1, 1)]))
    for how in ("zero", "mean", "uniform", "freeze", "patch"):
        found = swept(made.transformer, trace, Lead(3), how, other=other)  # type: ignore[arg-type]
        assert bool(found.isfinite().all())
    assert bool(patching_gradient.heads(made.transformer, trace, Lead(3), other=other).isfinite().all())
