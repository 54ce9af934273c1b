"""Heads that are changed one at a time: the same as a run with that change, and what becomes of the output."""

from __future__ import annotations

import pytest
import torch

from attnviz import Intervention, InvalidParameterError, Trace, Transformer, load
from attnviz.analysis import ablation, patching
from attnviz.analysis.sites import Site
from attnviz.models.programs.models import NOTHING, listed
from tests.unit.analysis.test_attribution import VARIANTS, ran


def rerun(model: Transformer, trace: Trace, **change: object) -> Trace:
    with torch.inference_mode():
        return model(torch.tensor([trace.encodings[0].ids]), intervention=Intervention(**change))  # type: ignore[arg-type]


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal up to float32's rounding of the largest entry: without norms some are a thousand times others."""
    return float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("how", ["zero", 0.5, 2.0])
@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_head_of_a_sweep_is_a_run_with_that_head_changed(name, how):
    model, trace = ran(name)
    for changed in ablation.each_head(model, trace, how):
        for head in range(2):
            factor = 0.0 if how == "zero" else how
            expected = rerun(model, trace, head_scale=((changed.layer, head, factor),))
            assert same(changed.final[head], expected.final[0])
            if expected.logits is not None:
                assert changed.logits is not None
                assert same(changed.logits[head], expected.logits[0])


@pytest.mark.parametrize("name", ["pre", "rope", "alibi", "classifier"])
def test_a_factor_of_one_changes_nothing(name):
    model, trace = ran(name)
    for changed in ablation.each_head(model, trace, 1.0):
        torch.testing.assert_close(changed.final, trace.final.expand_as(changed.final), rtol=1e-5, atol=1e-6)


def test_a_sweep_goes_on_from_a_changed_run():
    model, trace = ran("decoder", temperature=2.0, mask="none")
    (first, *_) = ablation.each_head(model, trace)
    expected = rerun(model, trace, temperature=2.0, mask="none", head_scale=((0, 1, 0.0),))
    torch.testing.assert_close(first.final[1], expected.final[0], rtol=1e-4, atol=1e-5)


def test_uniform_is_a_softmax_that_is_even():
    """At a very high temperature every key gets the same."""
    model, trace = ran("decoder")
    with torch.inference_mode():
        even = model(
            torch.tensor([trace.encodings[0].ids]), intervention=Intervention(temperature=1e6, layers=(1,))
        ).layers[1]
    z = patching.changed_z(trace, Site("decoder", 1), "uniform")
    torch.testing.assert_close(z, even.attention.z[0], rtol=1e-3, atol=1e-4)


def test_mean_leaves_what_a_head_says_of_every_token():
    model, trace = ran("pre")
    (*_, last) = ablation.each_head(model, trace, "mean")
    layer = trace.layers[2]
    z = layer.attention.z[0].clone()
    z[1] = z[1].mean(dim=0)
    with torch.inference_mode():
        block = model.encoder["layers"][2]  # type: ignore[index]
        mid = layer.resid_pre[0] + block.self_attn.out_proj(z.transpose(0, 1).flatten(1))
        final = model.encoder["norm"](mid + block.feed_forward(block.norm2(mid)))  # type: ignore[index]
    torch.testing.assert_close(last.final[1], final, rtol=1e-4, atol=1e-5)


def test_either_head_of_induction_is_needed():
    made = listed("induction")
    trace = made.model.run("abcdabc")
    nothing = made.model.tokenizer.library.token_to_id(NOTHING)
    assert trace.logits is not None
    for changed in ablation.each_head(made.model.transformer, trace):
        assert changed.logits is not None
        said = changed.logits[:, 1:].argmax(dim=-1)
        needed = (said == nothing).all(dim=-1).tolist()
        assert needed == [True, False, False]  # the others are not used
        effect = ablation.divergence(trace.logits[0, -1], changed.logits[:, -1])
        assert effect[0] > 1 and effect[1:].abs().max() < 1e-5
        grown = ablation.loss_change(trace.logits[0], changed.logits, torch.tensor(trace.encodings[0].ids))
        assert grown[0] > 1 and grown[1:].abs().max() < 1e-5


def test_measures_by_hand():
    before = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    after = torch.stack([before, before * 2, before + torch.tensor([0.0, 1.0])])
    assert ablation.moved(before, after).tolist() == pytest.approx([0.0, 1.0, (1 / 5 + 1 / 2) / 2])
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    expected = float((p * (p / q).log()).sum())
    assert ablation.divergence(p.log(), torch.stack([p.log(), q.log()])).tolist() == pytest.approx([0.0, expected])
    even = torch.zeros(3, 4)
    sure = even.clone()
    sure[0, 2] = sure[1, 1] = 50.0  # after token 1 comes 2, then 1
    ids = torch.tensor([1, 2, 1])
    assert ablation.loss_change(sure, torch.stack([sure, even]), ids).tolist() == pytest.approx(
        [0.0, float(torch.tensor(4.0).log())]
    )


def test_what_cannot_be_swept_is_a_sentence():
    model, trace = ran("pre")
    for call, sentence in (
        (lambda: next(ablation.each_head(model, trace, "off")), "how='off'"),  # type: ignore[arg-type]
        (lambda: next(ablation.each_head(model, trace, batch=2)), "batch=2"),
        (lambda: ablation.rest_of_run(model, trace, 1, trace.final[:, :3]), r"x is \(B, 7, 16\)"),
        (lambda: ablation.loss_change(torch.zeros(1, 4), torch.zeros(2, 1, 4), torch.tensor([1])), "one token"),
    ):
        with pytest.raises(InvalidParameterError, match=sentence):
            call()
    dates = load("dates")
    with pytest.raises(InvalidParameterError, match="two texts"):
        next(ablation.each_head(dates.transformer, dates.run("1 May 2020", "2020")))
