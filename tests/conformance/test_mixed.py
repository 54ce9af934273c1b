"""Ours inside torch's modules and torch's inside ours, in training and eval, with and without gradients."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import attnviz
from tests.support.pairs import FF, HEADS, C, pair, tokens
from tests.support.parity import close, scramble

pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:FSDP2-wrapped module"),
]
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
MASKS: dict[str, dict[str, torch.Tensor]] = {
    "nothing": {},
    "a bool mask": {"src_mask": CAUSAL},
    "a float mask": {"src_mask": torch.zeros(5, 5).masked_fill(CAUSAL, -math.inf)},
    "padding": {"src_key_padding_mask": torch.arange(5).expand(2, 5) > torch.tensor([[4], [2]])},
}
MODES = [(True, True), (False, True), (False, False)]  # training, gradients
modes = pytest.mark.parametrize(("training", "gradients"), MODES, ids=["training", "eval", "eval without gradients"])
layouts = pytest.mark.parametrize("batch_first", [True, False])
masks = pytest.mark.parametrize("given", MASKS)


def swapped(layer: nn.Module, library: Any) -> nn.Module:
    """The layer with the attention of another library, of the same parameters."""
    for name in ("self_attn", "multihead_attn"):
        if hasattr(layer, name):
            old = getattr(layer, name)
            new = library.MultiheadAttention(C, HEADS, batch_first=old.batch_first)
            new.load_state_dict(old.state_dict())
            setattr(layer, name, new)
    return layer


@modes
@layouts
@masks
@pytest.mark.parametrize("inner", [attnviz, nn], ids=["ours in torch's", "torch's in ours"])
def test_attentions_change_places(inner: Any, given: str, batch_first: bool, training: bool, gradients: bool) -> None:
    ours, theirs = pair("encoder layer", batch_first=batch_first)
    mixed = swapped(theirs if inner is attnviz else ours, inner).train(training)
    plain = pair("encoder layer", batch_first=batch_first)[0]
    plain.load_state_dict(mixed.state_dict())
    fired: Counter[str] = Counter()
    plain.train(training)
    x = tokens(2, 5)
    x = x if batch_first else x.transpose(0, 1).contiguous()
    with torch.set_grad_enabled(gradients):
        out, wanted = mixed(x, **MASKS[given]), plain(x, **MASKS[given])
    close(out, wanted)
    mixed.self_attn.register_forward_hook(lambda *_: fired.update(["attention"]))
    with torch.set_grad_enabled(gradients):
        close(mixed(x, **MASKS[given]), wanted)
    assert fired == {"attention": 1}


@modes
@layouts
@pytest.mark.parametrize("inner", [attnviz, nn], ids=["ours in torch's", "torch's in ours"])
def test_attentions_of_decoders_change_places(inner: Any, batch_first: bool, training: bool, gradients: bool) -> None:
    ours, theirs = pair("decoder layer", batch_first=batch_first)
    mixed = swapped(theirs if inner is attnviz else ours, inner).train(training)
    wanted = pair("decoder layer", batch_first=batch_first)[0].train(training)
    wanted.load_state_dict(mixed.state_dict())
    x, memory = tokens(5, 5), tokens(5, 5)
    with torch.set_grad_enabled(gradients):
        close(mixed(x, memory, tgt_mask=CAUSAL), wanted(x, memory, tgt_mask=CAUSAL))


@modes
@layouts
@masks
@pytest.mark.parametrize("outer", [attnviz, nn], ids=["torch's in ours", "ours in torch's"])
def test_stacks_take_each_others_layers(
    outer: Any, given: str, batch_first: bool, training: bool, gradients: bool
) -> None:
    layer = (nn if outer is attnviz else attnviz).TransformerEncoderLayer(C, HEADS, FF, 0.0, batch_first=batch_first)
    scramble(layer)
    mixed = outer.TransformerEncoder(layer, 2, nn.LayerNorm(C), enable_nested_tensor=False).train(training)
    ours = attnviz.TransformerEncoderLayer(C, HEADS, FF, 0.0, batch_first=batch_first)
    wanted = attnviz.TransformerEncoder(ours, 2, nn.LayerNorm(C)).train(training)
    wanted.load_state_dict(mixed.state_dict())
    names = {"src_mask": "mask"}
    masks = {names.get(name, name): mask for name, mask in MASKS[given].items()}
    x = tokens(2, 5) if batch_first else tokens(5, 2)
    with torch.set_grad_enabled(gradients):
        close(mixed(x, **masks), wanted(x, **masks))


@modes
def test_a_subclass_of_ours_is_honoured_inside_torchs_layer(training: bool, gradients: bool) -> None:
    """torch's fast path would read its weights and go around it."""

    class Tripled(attnviz.MultiheadAttention):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out, weights = super().forward(*args, **kwargs)
            return out * 3, weights

    _, theirs = pair("encoder layer")
    plain = swapped(theirs, attnviz).train(training)
    x = tokens()
    added = plain.self_attn(x)[0]
    plain.self_attn.__class__ = Tripled
    with torch.set_grad_enabled(gradients):
        out = plain(x)
        mid = plain.norm1(x + 3 * added)
        close(out, plain.norm2(mid + plain._ff_block(mid)))


@modes
def test_torchs_stack_of_torchs_layers_with_our_attention(training: bool, gradients: bool) -> None:
    """Also where torch would make nested tensors of the padding."""
    ours, theirs = pair("encoder layer")
    stack = nn.TransformerEncoder(swapped(theirs, attnviz), 2, enable_nested_tensor=True).train(training)
    wanted = attnviz.TransformerEncoder(ours, 2).train(training)
    x, padding = tokens(), MASKS["padding"]["src_key_padding_mask"]
    with torch.set_grad_enabled(gradients):
        close(stack(x, src_key_padding_mask=padding), wanted(x, src_key_padding_mask=padding))


def test_torchs_transformer_takes_our_stacks_and_gives_its_masks() -> None:
    theirs = nn.Transformer(C, HEADS, 1, 1, FF, 0.0, batch_first=True)
    ours = nn.Transformer(C, HEADS, batch_first=True, custom_encoder=nn.Identity(), custom_decoder=nn.Identity())
    shared = {"dropout": 0.0, "batch_first": True}
    layers = (
        attnviz.TransformerEncoderLayer(C, HEADS, FF, **shared),
        attnviz.TransformerDecoderLayer(C, HEADS, FF, **shared),
    )
    ours.encoder = attnviz.TransformerEncoder(layers[0], 1, nn.LayerNorm(C))
    ours.decoder = attnviz.TransformerDecoder(layers[1], 1, nn.LayerNorm(C))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, y = tokens(), tokens()
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    for model in (ours, theirs):
        model.train()
    close(ours(x, y, tgt_mask=mask, tgt_is_causal=True), theirs(x, y, tgt_mask=mask, tgt_is_causal=True))


def test_sharded_modules_gather_before_they_run() -> None:
    """FSDP2 in one process: its hooks gather a module's parameters when the module is called."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    ours, theirs = pair("encoder")
    x = tokens()
    wanted = theirs(x)
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        for layer in ours.layers:
            fully_shard(layer.self_attn, mesh=mesh)
            fully_shard(layer, mesh=mesh)
        fully_shard(ours, mesh=mesh)
        out = ours(x)
        close(out, wanted)
        out.sum().backward()
        assert all(p.grad is not None for p in ours.parameters())
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("inner", ["self_attn", "linear1", ""])
def test_modules_in_wrappers(inner: str) -> None:
    """As those of checkpoints and of data parallelism are."""

    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.module(*args, **kwargs)

    ours, _ = pair("encoder layer")
    x = tokens()
    wanted = ours.trace(x)
    if inner:
        setattr(ours, inner, Wrapper(getattr(ours, inner)))
        run = ours.trace(x)
        close(run.attention.weights, wanted.attention.weights)
    else:
        close(Wrapper(ours)(x), wanted.resid_post)
        return
    close(run.resid_post, wanted.resid_post)
