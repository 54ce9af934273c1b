"""Remembered keys and values of models of transformers: a step gives what a run on all tokens gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import attnviz
from attnviz import Intervention
from attnviz.generation import sampling
from attnviz.generation.beam_search import beam
from attnviz.models import hf_cache
from attnviz.models.scratch import SCRATCH_TOKENIZER
from tests.support.hf_architectures import QUICK, REACHED, made, pair
from tests.support.parity import close

SPEAK = [
    name for name in REACHED if "CausalLM" in name or "LMHead" in name or "Conditional" in name or "Marian" in name
]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in SPEAK]
)
def test_steps_give_what_a_whole_run_gives(name: str) -> None:
    """Beyond every window and chunk too; the attention of a step is the whole run's last row."""
    model, _ = pair(name)
    if not model.remembers:
        # attention looked at from outside, or in some layers, or of keys made of a narrow vector, which is remembered;
        # or beside another state
        assert model.watched or model.config.attends or name.startswith(("Deepseek", "FalconH1")), name
        return
    ids, source = torch.randint(3, 60, (2, 14)), torch.randint(3, 60, (2, 7))
    before = (source,) if model.config.kind == "encoder-decoder" else ()
    change = Intervention(temperature=0.7, head_scale={(1, 2): 0.0}, where="decoder")
    for intervention in (None, change):
        with torch.inference_mode():
            whole = model(*before, ids, intervention=intervention)
            run = model(*before, ids[:, :3], intervention=intervention)
            for i in range(3, 14):
                run = model.step(ids[:, i : i + 1], run)
                close(run.logits[:, -1], whole.logits[:, i], 2e-5)
            assert run.n_so_far == 14
        for ours, theirs in zip(run.layers, whole.layers, strict=True):
            close(ours.attention.weights[:, :, -1], theirs.attention.weights[:, :, -1], 1e-5)
            close(ours.resid_post[:, -1], theirs.resid_post[:, -1], 2e-5)


def test_a_run_may_be_gone_on_from_twice() -> None:
    model, _ = pair("LlamaForCausalLM")
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.inference_mode():
        first = model(ids[:, :3])
        one, other, again = (model.step(torch.tensor([[token]]), first).logits for token in (6, 7, 6))
    close(one, again)
    assert (one - other).abs().max() > 1e-3
    close(one[:, -1], model(ids).logits[:, -1], 1e-5)


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "T5ForConditionalGeneration"])
def test_text_is_the_same_with_and_without(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = made(name, "eager", vocab_size=30_522, eos_token_id=None)
    model = attnviz.load(inner, tokenizer=SCRATCH_TOKENIZER)
    texts = {}
    for remembers in (True, False):
        monkeypatch.setitem(vars(model.transformer), "remembers", remembers)
        calls: list[int] = []

        def count(_: Any, given: Any, named: dict[str, Any], calls: list[int] = calls) -> None:
            calls.append(named.get("decoder_input_ids", named.get("input_ids")).shape[1])

        hook = model.transformer.inner.register_forward_pre_hook(count, with_kwargs=True)
        said = sampling.greedy(model, "the old man", 6)
        hook.remove()
        begin = sampling.prompt(model, "the old man")
        spoken = [token for token, _ in zip(sampling.tokens(model, begin), range(5), strict=False)]
        recorded = sampling.recorded(model, begin, spoken)
        texts[remembers] = (
            said,
            [one.ids for one in beam(model, "the old man", 3, 4)],
            recorded.final,
            recorded.tokens,
        )
        assert (set(calls[1:]) == {1}) == remembers
    assert texts[True][:2] == texts[False][:2] and texts[True][3] == texts[False][3]
    close(texts[True][2], texts[False][2], 1e-5)


def test_a_model_whose_steps_differ_reads_all_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    real = hf_cache._stored

    def wrong(attention: Any) -> tuple[torch.Tensor, torch.Tensor]:
        k, v = real(attention)
        return k, v * 1.5

    model, _ = pair("LlamaForCausalLM")
    monkeypatch.setattr(hf_cache, "_stored", wrong)
    assert not hf_cache.steps_as_it_runs(model)
    monkeypatch.setattr(hf_cache, "_stored", real)
    assert hf_cache.steps_as_it_runs(model)


def test_what_predicts_no_token_has_nothing_to_remember() -> None:
    for name in ("BertForMaskedLM", "ViTForImageClassification"):
        assert not pair(name)[0].remembers
