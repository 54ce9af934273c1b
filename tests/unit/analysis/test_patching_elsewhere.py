"""Patching in models of transformers, against its own models with hooks that put the same tensors in; refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnviz import Intervention, InvalidParameterError, Trace
from attnviz.analysis import cell_removal, outcomes, patching, patching_gradient, sites
from attnviz.analysis.outcomes import Likeness
from attnviz.models.hf_model import HFModel
from attnviz.nn.encoding import Encoding
from tests.support.hf_architectures import ALL_REACHED, pair

# Where transformers' own model has what takes the heads' outputs into the stream, and its layers.
OWN: dict[str, tuple[Callable[[Any, int], nn.Module], Callable[[Any, int], nn.Module]]] = {
    "LlamaForCausalLM": (lambda m, i: m.model.layers[i].self_attn.o_proj, lambda m, i: m.model.layers[i]),
    "GPT2LMHeadModel": (lambda m, i: m.transformer.h[i].attn.c_proj, lambda m, i: m.transformer.h[i]),
    "BertForMaskedLM": (
        lambda m, i: m.bert.encoder.layer[i].attention.output.dense,
        lambda m, i: m.bert.encoder.layer[i],
    ),
}
TEXTS = [[5, 17, 40, 8, 23, 31, 12], [5, 17, 40, 50, 23, 31, 12]]  # they differ at 3
ANSWER = [9, 30, 21, 44]


def encoding(ids: list[int]) -> Encoding:
    names, n = tuple(map(str, ids)), len(ids)
    return Encoding(" ".join(names), tuple(ids), names, names, ((0, 0),) * n, tuple(range(n)), (False,) * n)


def run(model: HFModel, ids: list[int], change: Intervention | None = None) -> Trace:
    target = torch.tensor([ANSWER]) if model.config.kind == "encoder-decoder" else None
    with torch.inference_mode():
        found = model(torch.tensor([ids]), target, intervention=change)
    if found.source is None:
        return replace(found, encodings=(encoding(ids),))
    return replace(found, encodings=(encoding(ANSWER),), source=replace(found.source, encodings=(encoding(ids),)))


def given(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Any:
    """From now on a module gets another first argument."""

    def other(module: nn.Module, args: Any, kwargs: Any) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": change(kwargs["hidden_states"])}

    return module.register_forward_pre_hook(other, with_kwargs=True)


@pytest.mark.parametrize("name", OWN)
def test_a_patched_head_is_transformers_own_with_a_hook(name: str) -> None:
    model, theirs = pair(name)
    here, there = (run(model, ids) for ids in TEXTS)
    like, (head_of, layer_of) = Likeness(outcomes.vector(there)), OWN[name]
    for row in patching.heads(model, here, like, other=there):
        layer, d = row.site.layer, there.layers[0].attention.z.shape[3]
        for head in (0, 3):
            new = there.layers[layer].attention.z[:, head]

            def change(x: Tensor, new: Tensor = new, at: int = head * d) -> Tensor:
                x = x.clone()
                x[..., at : at + new.shape[-1]] = new
                return x

            hook = given(head_of(theirs, layer), change)
            expected = theirs.base_model(torch.tensor([TEXTS[0]])).last_hidden_state
            hook.remove()
            cosine = torch.cosine_similarity(expected.mean(dim=1), like.toward[None])
            assert float(row.values[head]) == pytest.approx(float(cosine), abs=1e-5)
    for part in patching.stream(model, here, there, like):
        new = there.layers[part.layer].resid_pre[0, 3]

        def at_three(x: Tensor, new: Tensor = new) -> Tensor:
            return torch.cat([x[:, :3], new[None, None], x[:, 4:]], dim=1)

        hook = given(layer_of(theirs, part.layer), at_three)
        expected = theirs.base_model(torch.tensor([TEXTS[0]])).last_hidden_state
        hook.remove()
        cosine = torch.cosine_similarity(expected.mean(dim=1), like.toward[None])
        assert float(part.values[3]) == pytest.approx(float(cosine), abs=1e-5)
    assert torch.equal(run(model, TEXTS[0]).final, here.final)  # nothing stays on the model


@pytest.mark.parametrize("name", ALL_REACHED)
def test_of_every_architecture(name: str) -> None:
    """A head switched off is the run with its factor 0; a stream exchanged whole is the other run; scale 1 is nothing;
    and a small change is what the gradient says."""
    model = pair(name)[0]
    if model.config.reads != "text":
        return
    here, there = (run(model, ids) for ids in TEXTS)
    like = Likeness(outcomes.vector(there))
    if model.watched:
        with pytest.raises(InvalidParameterError, match="this model computes its attention in code of its own"):
            next(patching.heads(model, here, like, "zero"))
        return
    base = patching.base(model, here, like)
    for row, same in zip(
        patching.heads(model, here, like, "zero"), patching.heads(model, here, like, 1.0), strict=True
    ):
        assert same.values.tolist() == [base] * model.config.n_heads
        off = Intervention(head_scale=((row.site.layer, 1, 0.0),), where=row.site.place)
        expected = float(like(sites.Ends.of(model, run(model, TEXTS[0], off)))[0])
        assert float(row.values[1]) == pytest.approx(expected, abs=1e-5)
    for layer in range(len((here.source or here).layers)):
        ends = patching.everything(model, here, there, layer=layer)
        assert torch.allclose(ends.final, there.final, atol=1e-5)
    by = 1.01
    exact = torch.stack([row.values for row in patching.heads(model, here, like, by)]) - base
    near = patching_gradient.heads(model, here, like, by)
    assert patching_gradient.correlation(exact, near).pearson > 0.95


def test_logits_are_those_of_the_changed_run() -> None:
    model = pair("LlamaForCausalLM")[0]
    here, there = (run(model, ids) for ids in TEXTS)
    lead = outcomes.Lead(7, 11)
    assert here.logits is not None and there.logits is not None
    expected = float(here.logits[0, -1, 7] - here.logits[0, -1, 11])
    assert patching.base(model, here, lead) == pytest.approx(expected, abs=1e-6)
    ends = patching.everything(model, here, there)
    assert float(lead(ends)[0]) == pytest.approx(float(there.logits[0, -1, 7] - there.logits[0, -1, 11]), abs=1e-5)
    assert ends.logits((2,)).shape == (1, 1, 64)


def test_what_cannot_be_exchanged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pair("LlamaForCausalLM")[0]
    here, there = (run(model, ids) for ids in TEXTS)
    like = Likeness(outcomes.vector(there))
    with pytest.raises(InvalidParameterError, match="was run on more than one text, or on bare ids"):
        patching.check(model, replace(here, encodings=()), "zero", None)
    with pytest.raises(InvalidParameterError, match="is not made of our layers"):
        cell_removal.of_head(model, here, like, sites.sites(here)[0], 0)
    monkeypatch.setattr(model, "blocks", {})
    with pytest.raises(InvalidParameterError, match="a layer of llama is no module whose stream can be exchanged"):
        next(patching.stream(model, here, there, like))
    image = pair("ViTForImageClassification")[0]
    with pytest.raises(InvalidParameterError, match="reads images, and its runs are repeated here on texts only"):
        patching.check(image, image(torch.zeros(1, 1, 8, 8)), "zero", None)


def test_a_stream_with_another_way_into_its_layer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pair("LlamaForCausalLM")[0]
    here, there = (run(model, ids) for ids in TEXTS)
    first, last = (model.blocks[seat] for seat in list(model.blocks)[::2])
    swapped = {seat: last if block == first else block for seat, block in model.blocks.items()}
    monkeypatch.setattr(model, "blocks", swapped)
    with pytest.raises(InvalidParameterError, match="has other ways into layer 0"):
        next(patching.stream(model, here, there, Likeness(outcomes.vector(there))))
