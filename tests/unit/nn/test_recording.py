"""Recorded runs call their modules as modules: hooks fire, overrides count, and the trace shows what they did."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import attnviz
from attnviz import (
    Mask,
    ModelConfig,
    ModelError,
    MultiheadAttention,
    Transformer,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from attnviz.generation import sampling
from attnviz.nn.layers import layer_trace
from tests.support.parity import close, scramble

SMALL: dict[str, Any] = {"vocab_size": 30, "max_len": 12, "d_model": 8, "n_heads": 2, "n_layers": 2, "d_ff": 16}
KINDS = [
    {
        "kind": "encoder",
        "positions": "learned",
        "n_types": 2,
        "embed_norm": True,
        "head": "classification",
        "n_classes": 3,
    }
    | {"final_norm": True},
    {"kind": "decoder", "positions": "rope", "norm_first": True, "final_norm": True, "head": "lm"},
    {"kind": "decoder", "positions": "alibi", "d_ff": 0, "head": "lm", "head_transform": True},
    {"kind": "encoder-decoder", "positions": "sinusoidal", "head": "lm"},
    {"kind": "encoder", "positions": "learned", "channels": 3, "image_size": 8, "patch_size": 4, "max_len": 5}
    | {"vocab_size": 0},
]
CONTAINERS = (nn.ModuleList, nn.ModuleDict)


def model(fields: dict[str, Any]) -> Transformer:
    torch.manual_seed(3)
    made = Transformer(ModelConfig(**(SMALL | fields)))
    scramble(made)
    return made


def inputs(made: Transformer) -> list[torch.Tensor]:
    if made.config.channels:
        return [torch.randn(2, 3, 8, 8)]
    ids = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    return [ids, ids[:, :4]] if made.config.kind == "encoder-decoder" else [ids]


def calls(module: nn.Module) -> tuple[Counter[str], Counter[str]]:
    """How often the forward pre-hooks and hooks of each module fire from now on, by its name."""
    before, after = Counter[str](), Counter[str]()
    for name, part in module.named_modules():
        part.register_forward_pre_hook(lambda *_, name=name: before.update([name]))
        part.register_forward_hook(lambda *_, name=name: after.update([name]))
    return before, after


def takes_part(module: nn.Module) -> set[str]:
    """The modules that can be called: all but the lists and dictionaries of them."""
    return {name for name, part in module.named_modules() if type(part) not in CONTAINERS}


@pytest.mark.parametrize("fields", KINDS, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_every_hook_of_a_transformer_fires_once(fields: dict[str, Any], training: bool) -> None:
    made = model(fields).train(training)
    before, after = calls(made)
    made(*inputs(made))
    wanted = dict.fromkeys(takes_part(made), 1)
    if fields["kind"] == "encoder-decoder":
        wanted |= {"embed": 2, "embed.tokens": 2}  # for the source and for the target
    assert before == after == wanted


@pytest.mark.parametrize("name", ["austen", "minilm"])
def test_every_hook_of_a_loaded_model_fires_once(name: str) -> None:
    loaded = attnviz.load(name)
    private = copy.deepcopy(loaded.transformer)  # the loaded one is shared
    before, after = calls(private)
    trace = attnviz.Model(loaded.info, private, loaded.preprocessor).run("It is a truth")
    assert before == after == dict.fromkeys(takes_part(private), 1)
    close(trace.final, loaded.run("It is a truth").final)


def test_a_step_with_remembered_keys_fires_the_hooks_of_its_layers() -> None:
    made = model(KINDS[1]).eval()
    (ids,) = inputs(made)
    past = made(ids[:, :3])
    before, after = calls(made)
    run = made.step(ids[:, 3:], past)
    assert before == after == dict.fromkeys(takes_part(made) - {""}, 1)
    close(run.final, made(ids).final[:, 3:])


PLACES = ["self_attn", "self_attn.out_proj", "norm1", "linear1", "dropout2", ""]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_hook_that_replaces_an_output_changes_the_run_and_its_record(place: str, batch_first: bool) -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)
    scramble(layer)
    x = torch.randn(2, 5, 8)
    plain = layer.trace(x)

    def doubled(_: nn.Module, __: Any, output: Any) -> Any:
        return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output

    handle = layer.get_submodule(place).register_forward_hook(doubled)
    changed = layer.trace(x)
    called = layer(x if batch_first else x.transpose(0, 1))
    assert not torch.allclose(changed.resid_post, plain.resid_post)
    close(called if batch_first else called.transpose(0, 1), changed.resid_post)
    if place.startswith("self_attn"):
        close(changed.attention.out, 2 * plain.attention.out)
        close(changed.resid_mid, layer.norm1(x + changed.attention.out))
    else:
        close(changed.attention.out, plain.attention.out)
    if not place:
        close(changed.resid_post, 2 * plain.resid_post)
    handle.remove()
    close(layer.trace(x).resid_post, plain.resid_post)


def test_a_decoder_layers_hooks_change_the_run_and_its_record() -> None:
    layer = TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True)
    scramble(layer)
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    plain = layer.trace(x, memory, {}, {})
    layer.multihead_attn.register_forward_hook(lambda _, __, output: (0 * output[0], None))
    changed = layer.trace(x, memory, {}, {})
    close(changed.attention.out, plain.attention.out)
    close(changed.cross_attention.z, plain.cross_attention.z)
    assert not changed.cross_attention.out.any()
    close(changed.resid_cross, layer.norm2(plain.resid_mid))


@pytest.mark.parametrize("fields", KINDS[:4], ids=str)
def test_a_hook_patches_a_model(fields: dict[str, Any]) -> None:
    """What a layer gave in one run, put in its place in another: from there on the run is the first one."""
    made = model(fields).eval()
    first, other = inputs(made), [x.flip(1) for x in inputs(made)]
    stack = made.encoder if made.decoder is None else made.decoder
    kept = made(*first)
    target = stack["layers"][-1]
    target.register_forward_hook(lambda *_: kept.layers[-1].resid_post)
    patched = made(*other)
    close(patched.final, kept.final)
    close(patched.logits, kept.logits)
    close(patched.layers[-1].resid_post, kept.layers[-1].resid_post)
    assert not torch.allclose(patched.layers[0].resid_pre, kept.layers[0].resid_pre)


def test_a_pre_hook_that_copies_its_inputs_leaves_remembered_keys_right() -> None:
    """Sharded modules do so: query, key and value are then three tensors, and self-attention is still one."""
    made = model(KINDS[1]).eval()
    (ids,) = inputs(made)
    wanted = made(ids)
    for layer in made.decoder["layers"]:
        layer.self_attn.register_forward_pre_hook(lambda _, given: tuple(x.clone() for x in given))
    past = made(ids[:, :3])
    close(made.step(ids[:, 3:], past).final, wanted.final[:, 3:])


class Halved(MultiheadAttention):
    """With torch's arguments, one by one."""

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        out, weights = super().forward(
            query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
        )
        return out / 2, weights


class Shifted(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x) + 1


class Blocks(TransformerEncoderLayer):
    """torch's inner names."""

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        return super()._sa_block(x, attn_mask, key_padding_mask, is_causal) / 2

    def _ff_block(self, x):
        return 3 * super()._ff_block(x)


class Twice(TransformerEncoderLayer):
    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        return super().forward(super().forward(src, src_mask, src_key_padding_mask, is_causal))


def test_an_attention_that_overrides_forward_is_honoured_in_a_run() -> None:
    made = model(KINDS[1]).eval()
    (ids,) = inputs(made)
    plain = made(ids)
    made.decoder["layers"][1].self_attn.__class__ = Halved
    run = made(ids)
    close(run.layers[1].attention.out, plain.layers[1].attention.out / 2)
    close(run.layers[1].attention.weights, plain.layers[1].attention.weights)  # still causal, still turned
    close(run.layers[1].resid_mid, plain.layers[1].resid_pre + plain.layers[1].attention.out / 2)


def test_a_norm_and_a_layer_that_override_forward_are_honoured_in_a_run() -> None:
    made = model(KINDS[1]).eval()
    (ids,) = inputs(made)
    layer = made.decoder["layers"][0]
    layer.norm1.__class__ = Shifted
    run = made(ids)
    x = run.layers[0].resid_pre
    shifted = nn.functional.layer_norm(x, (8,), layer.norm1.weight, layer.norm1.bias, layer.norm1.eps) + 1
    close(run.layers[0].attention.v, layer.self_attn.heads(False, shifted, shifted, shifted)[2])
    plain = run
    layer.__class__ = Twice
    again = made(ids)
    close(again.layers[0].resid_pre, plain.layers[0].resid_post)  # the record is of the second of its two runs
    close(again.layers[1].resid_pre, again.layers[0].resid_post)
    assert again.layers[0].attention.weights.triu(1).eq(0).all()  # which is as causal as the first


def test_blocks_by_torchs_names_are_honoured_in_a_run() -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True)
    scramble(layer)
    x = torch.randn(2, 5, 8)
    plain = layer.trace(x)
    layer.__class__ = Blocks
    run = layer.trace(x)
    close(run.resid_mid, x + plain.attention.out / 2)
    close(run.resid_post, run.resid_mid + 3 * layer.feed_forward(layer.norm2(run.resid_mid)))
    close(layer(x), run.resid_post)


@pytest.mark.parametrize("batch_first", [True, False])
def test_an_attention_of_torchs_can_be_called_but_not_traced(batch_first: bool) -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)
    theirs = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    theirs.load_state_dict(layer.self_attn.state_dict())
    x = torch.randn(2, 5, 8)
    wanted = layer(x)
    layer.self_attn = theirs
    close(layer(x), wanted)
    with pytest.raises(ModelError, match=r"torch\.nn\.modules\.activation\.MultiheadAttention leaves no record"):
        layer.trace(x, mask=Mask(causal=True))


def test_an_override_that_computes_on_its_own_is_named() -> None:
    class Own(MultiheadAttention):
        def forward(self, query, key, value, **_):
            return query + key + value, None

    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    layer.self_attn.__class__ = Own
    x = torch.randn(1, 5, 8)
    mid = layer.norm1(4 * x)
    close(layer(x), layer.norm2(mid + layer.feed_forward(mid)))
    with pytest.raises(ModelError, match="Own left no record of its run"):
        layer.trace(x)


def test_a_layer_of_torchs_in_a_model_is_named() -> None:
    made = model(KINDS[1])
    made.decoder["layers"][1] = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with pytest.raises(ModelError, match="TransformerEncoderLayer leaves no record"):
        made(*inputs(made))


class Wrapper(nn.Module):
    """As those of checkpoints and of data parallelism."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def test_wrapped_modules_leave_their_records() -> None:
    made = model(KINDS[1]).eval()
    (ids,) = inputs(made)
    wanted = made(ids)
    layers = made.decoder["layers"]
    layers[0].self_attn = Wrapper(layers[0].self_attn)
    layers[1] = Wrapper(layers[1])
    run = made(ids)
    close(run.final, wanted.final)
    for a, b in zip(run.layers, wanted.layers, strict=True):
        close(a.attention.weights, b.attention.weights)
        close(a.attention.out, b.attention.out)


def test_wrapped_modules_keep_their_layout() -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=False)
    scramble(layer)
    x = torch.randn(2, 5, 8)
    wanted = layer.trace(x)
    layer.self_attn = Wrapper(layer.self_attn)
    layer.self_attn.register_forward_hook(lambda _, __, output: (output[0] * 1, None))
    wrapped = Wrapper(layer)
    wrapped.register_forward_hook(lambda _, __, output: output * 1)
    run = layer_trace(wrapped, x, {})
    close(run.attention.out, wanted.attention.out)
    close(run.resid_post, wanted.resid_post)


def test_an_attention_inside_an_override_is_no_part_of_the_record() -> None:
    class Adapted(MultiheadAttention):
        def forward(self, *args, **kwargs):
            other = self.other(args[0])[0]
            out, weights = super().forward(*args, **kwargs)
            return out + other, weights

    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    scramble(layer)
    x = torch.randn(2, 5, 8)
    plain = layer.trace(x, mask=Mask(causal=True))
    layer.self_attn.__class__ = Adapted
    layer.self_attn.other = MultiheadAttention(8, 2, batch_first=True)
    run = layer.trace(x, mask=Mask(causal=True))
    close(run.attention.weights, plain.attention.weights)
    close(run.attention.out, plain.attention.out + layer.self_attn.other(x)[0])


def test_threads_record_apart() -> None:
    """Two runs of one module at once, one of them plain, in the middle of each other."""
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).eval()
    x, y = torch.randn(1, 5, 8), torch.randn(1, 3, 8)
    wanted = layer(y)
    inside, done = threading.Event(), threading.Event()
    answers = []

    def wait(*_: Any) -> None:
        if not inside.is_set():
            inside.set()
            assert done.wait(10)

    layer.self_attn.register_forward_pre_hook(wait)
    thread = threading.Thread(target=lambda: answers.append(layer.trace(x, mask=Mask(causal=True))))
    thread.start()
    assert inside.wait(10)
    close(layer(y), wanted)
    done.set()
    thread.join()
    assert answers[0].attention.weights.triu(1).eq(0).all()


def test_a_run_that_fails_leaves_nothing_behind() -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    x = torch.randn(1, 5, 8)
    wanted = layer(x)

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    handle = layer.norm2.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no"):
        layer.trace(x, mask=Mask(causal=True))
    handle.remove()
    close(layer(x), wanted)


def test_generation_goes_through_hooks() -> None:
    """A hook that switches off the attention of every layer changes what a loaded model says next."""
    loaded = attnviz.load("austen")
    private = copy.deepcopy(loaded.transformer)
    mine = attnviz.Model(loaded.info, private, loaded.preprocessor)
    text = "It is a truth universally"
    assert sampling.greedy(mine, text, 4).ids == sampling.greedy(loaded, text, 4).ids
    for layer in private.decoder["layers"]:
        layer.self_attn.register_forward_hook(lambda _, __, output: (0 * output[0], None))
    assert sampling.greedy(mine, text, 4).ids != sampling.greedy(loaded, text, 4).ids
