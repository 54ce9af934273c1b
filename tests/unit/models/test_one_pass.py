"""Several runs in one pass of a model are what a pass for each of them gives."""

import pytest

from attnviz import Intervention, Trace
from attnviz.analysis import causality
from attnviz.models.one_pass import Run, can_run, in_one_pass
from attnviz.nn.transformer import Transformer
from tests.support.models import loaded
from tests.support.parity import close

TEXT, SHORT = "The animal didn't cross the street because it was too tired.", "Yes."
CHANGES = [None, Intervention(mask="causal"), Intervention(mask="none"), Intervention(mask=("window", 2))]


def same(one: Trace, other: Trace) -> None:
    assert one.lengths == other.lengths and one.encodings == other.encodings and one.title == other.title
    close(one.final, other.final, 1e-5)
    assert (one.logits is None) == (other.logits is None)
    if one.logits is not None and other.logits is not None:
        close(one.logits, other.logits, 1e-4)
    for layer, expected in zip(one.layers, other.layers, strict=True):
        for name in ("resid_pre", "resid_mid", "resid_post", "feed_forward"):
            found, wanted = getattr(layer, name), getattr(expected, name)
            assert (found is None) == (wanted is None)
            if found is not None:
                close(found, wanted, 1e-4)
        close(layer.attention.weights, expected.attention.weights, 1e-5)
        close(layer.attention.z, expected.attention.z, 1e-4)
        assert layer.attention.out is not None and layer.attention.out.shape == expected.attention.out.shape


@pytest.mark.parametrize("name", ["minilm", "tales", "scratch:tiny", "scratch:gpt", "induction", "scratch:bert"])
def test_each_run_is_as_by_a_pass_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(name)
    whole, short = model.encode(TEXT), model.encode(SHORT)
    filled = (*short.ids, *[model.tokenizer.pad_id] * (len(whole) - len(short)))
    expected = [model.run(TEXT, intervention=change) for change in CHANGES]
    expected += [causality.padded(model, [SHORT], masked=masked, length=len(whole)) for masked in (False, True)]
    runs = [Run(whole, whole.ids, change) for change in CHANGES]
    runs += [Run(short, filled), Run(short, filled, real=len(short))]
    passes, run = [], Transformer._run
    monkeypatch.setattr(Transformer, "_run", lambda *given, **named: passes.append(1) or run(*given, **named))
    traces = in_one_pass(model, runs)
    assert len(passes) == 1
    for trace, wanted, asked in zip(traces, expected, runs, strict=True):
        same(trace, wanted)
        assert trace.intervention == asked.change
        ours, its = trace.layers[0].attention.mask, wanted.layers[0].attention.mask
        assert (ours.causal, ours.window, ours.lengths, ours.dense) == (its.causal, its.window, its.lengths, its.dense)


def test_a_run_holds_no_memory_of_the_others() -> None:
    model = loaded("scratch:tiny")
    encoding = model.encode(TEXT)
    trace = in_one_pass(model, [Run(encoding, encoding.ids)] * 4)[0]
    assert trace.nbytes <= 1.3 * model.run(TEXT).nbytes


def test_it_is_for_our_models_of_one_text() -> None:
    assert can_run(loaded("minilm")) and can_run(loaded("tales"))
    assert not can_run(loaded("digits")) and not can_run(loaded("scratch:base"))
