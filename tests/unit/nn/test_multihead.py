"""MultiheadAttention as a drop-in for torch.nn.MultiheadAttention, and its trace."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attnviz import DTypeError, Intervention, InvalidParameterError, Mask, MultiheadAttention, ShapeError
from attnviz.nn.positions import rope
from tests.support.examples import examples
from tests.support.parity import close, gradients, random_mask, same_gradients, scramble

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched")  # torch's, on bool with float masks


def pair(embed=8, heads=2, dtype=torch.float64, **options) -> tuple[MultiheadAttention, nn.MultiheadAttention]:
    """Our layer and torch's with the same random parameters, through a strict state_dict."""
    theirs = nn.MultiheadAttention(embed, heads, dtype=dtype, **options)
    scramble(theirs)
    ours = MultiheadAttention(embed, heads, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


@st.composite
def cases(draw):
    torch.manual_seed(draw(st.integers(0, 2**31)))
    heads = draw(st.integers(1, 3))
    embed = heads * draw(st.integers(1, 4))
    widths = {name: draw(st.none() | st.integers(1, 7)) for name in ("kdim", "vdim")}
    flags = {name: draw(st.booleans()) for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")}
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    ours, theirs = pair(embed, heads, dtype, **widths, **flags)
    if draw(st.booleans()):
        ours.eval(), theirs.eval()

    batched = draw(st.booleans())
    b, t, s = draw(st.integers(1, 3)) if batched else 1, draw(st.integers(1, 5)), draw(st.integers(1, 5))
    sizes = [(t, embed), (s, widths["kdim"] or embed), (s, widths["vdim"] or embed)]
    if not batched:
        shapes = sizes
    elif flags["batch_first"]:
        shapes = [(b, n, c) for n, c in sizes]
    else:
        shapes = [(n, b, c) for n, c in sizes]
    inputs = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]

    kinds = st.sampled_from(["none", "bool", "float", "inf"])
    attn_mask = random_mask(draw(kinds), *draw(st.sampled_from([(t, s), (b * heads, t, s)])), dtype=dtype)
    padding = random_mask(draw(kinds), *((b, s) if batched else (s,)), dtype=dtype)
    masks = {"attn_mask": attn_mask, "key_padding_mask": padding}
    if draw(st.integers(0, 3)) == 0:  # torch's is_causal is a hint that attn_mask is the causal one
        forbidden = torch.ones(t, s, dtype=torch.bool).triu(1)
        added = torch.zeros(t, s, dtype=dtype).masked_fill(forbidden, -math.inf)
        masks |= {"attn_mask": draw(st.sampled_from([forbidden, added])), "is_causal": True}
    return ours, theirs, inputs, masks


@settings(max_examples=examples(150))
@given(cases(), st.booleans())
def test_outputs_weights_and_gradients_are_torchs(case, average: bool) -> None:
    """Every case in float64 too, where each gradient is held on its own."""
    ours, theirs, inputs, masks = case
    same(ours, theirs, inputs, masks, average)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    floats = {k: x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for k, x in masks.items()}
    same(ours.double(), theirs.double(), exact, floats, average)


def same(ours: nn.Module, theirs: nn.Module, inputs: list[torch.Tensor], masks: dict, average: bool) -> None:
    """Equal outputs, weights and gradients.

    In float32 a gradient is measured against the largest: one that is 0 is a difference of equal terms as large as the
    others, whose rounding stays.
    """
    out, weights = ours(*inputs, **masks, average_attn_weights=average)
    their_out, their_weights = theirs(*inputs, **masks, average_attn_weights=average)
    close(out, their_out)
    close(weights, their_weights)
    r1, r2 = torch.randn_like(out), torch.randn_like(weights)
    loss = (out * r1).sum() + (weights * r2).sum()
    their_loss = (their_out * r1).sum() + (their_weights * r2).sum()
    for a, b in zip(
        gradients(loss, *inputs, *ours.parameters()),
        gradients(their_loss, *inputs, *theirs.parameters()),
        strict=True,
    ):
        largest = max(1.0, float(b.abs().max())) if b.dtype == torch.float32 else 1.0
        close(a / largest, b / largest)


@settings(max_examples=examples(60))
@given(cases())
def test_output_without_weights_is_torchs(case) -> None:
    """need_weights=False takes torch's fused and, in eval mode without gradients, its fast path."""
    ours, theirs, inputs, masks = case
    masks.pop("is_causal", None)  # there torch's hint forbids the extra keys too
    with torch.no_grad():
        out, weights = ours(*inputs, **masks, need_weights=False)
        their_out, _ = theirs(*inputs, **masks, need_weights=False)
    assert weights is None
    close(out, their_out)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_self_attention_is_torchs_fast_path(masked: bool, need_weights: bool) -> None:
    ours, theirs = pair(8, 2, torch.float32, batch_first=True)
    ours.eval(), theirs.eval()
    x = torch.randn(2, 5, 8)
    masks = {"attn_mask": torch.ones(5, 5).triu(1) > 0, "key_padding_mask": torch.ones(2, 5).triu(4) > 0}
    masks = masks if masked else {}
    with torch.no_grad():
        out, weights = ours(x, **masks, need_weights=need_weights)
        reference = theirs(x, x, x, **masks, need_weights=need_weights)
    close(out, reference[0])
    assert (weights is None) == (not need_weights)
    if need_weights:
        close(weights, reference[1])


@settings(max_examples=examples(60))
@given(cases())
def test_forward_is_the_trace(case) -> None:
    ours, _, inputs, masks = case
    trace = ours.trace(*inputs, **masks)
    out, weights = ours(*inputs, **masks, average_attn_weights=False)
    batched = inputs[0].dim() == 3
    laid_out = trace.out if not batched or ours.batch_first else trace.out.transpose(0, 1)
    fused, _ = ours(*inputs, **masks, need_weights=False)
    assert torch.equal(laid_out if batched else trace.out[0], fused)
    close(out, fused)  # with weights, the output is made of them
    assert torch.equal(trace.weights if batched else trace.weights[0], weights)
    close(trace.z, trace.weights @ trace.v)
    sides = trace.z.transpose(1, 2).flatten(2) @ ours.out_proj.weight.T
    close(trace.out, sides if ours.out_proj.bias is None else sides + ours.out_proj.bias)
    assert trace.scale == 1 / math.sqrt(ours.head_dim)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("unbatched", [False, True])
def test_key_defaults_to_query_and_value_to_key(batch_first: bool, unbatched: bool) -> None:
    ours, theirs = pair(batch_first=batch_first)
    x, y = (torch.randn(3, 4, 8, dtype=torch.float64)[(0,) if unbatched else ...] for _ in range(2))
    close(ours(x)[0], theirs(x, x, x)[0])
    close(ours(x, y)[0], theirs(x, y, y)[0])
    close(ours(x, value=y)[0], theirs(x, x, y)[0])
    close(ours.trace(x).out, ours.trace(x, x.clone(), x.clone()).out)  # one matrix product, or three


@pytest.mark.parametrize("options", [{}, {"kdim": 5}, {"vdim": 6}, {"kdim": 5, "vdim": 6}])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bias_kv", [True, False])
def test_state_dicts_are_exchanged_both_ways(options, bias: bool, bias_kv: bool) -> None:
    ours = MultiheadAttention(8, 2, bias=bias, add_bias_kv=bias_kv, **options)
    theirs = nn.MultiheadAttention(8, 2, bias=bias, add_bias_kv=bias_kv, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    scramble(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    inputs = [torch.randn(3, 2, n) for n in (8, ours.kdim, ours.vdim)]
    close(ours(*inputs)[0], theirs(*inputs)[0])


@pytest.mark.parametrize("options", [{}, {"kdim": 5}, {"add_bias_kv": True}, {"bias": False, "vdim": 3}])
def test_the_same_seed_gives_the_same_layer(options) -> None:
    torch.manual_seed(7)
    ours, next_number = MultiheadAttention(12, 3, **options), torch.rand(1)
    torch.manual_seed(7)
    theirs = nn.MultiheadAttention(12, 3, **options)
    assert torch.equal(torch.rand(1), next_number)  # as many random numbers drawn
    for name, x in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], x), name


@pytest.mark.parametrize("options", [{}, {"kdim": 5, "vdim": 6}, {"bias": False}, {"add_bias_kv": True}])
def test_properties_are_torchs(options) -> None:
    ours, theirs = pair(**options, dropout=0.25, add_zero_attn=True, batch_first=True)
    for name in (
        "embed_dim",
        "num_heads",
        "head_dim",
        "kdim",
        "vdim",
        "dropout",
        "batch_first",
        "add_zero_attn",
        "training",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in (
        "in_proj_weight",
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "in_proj_bias",
        "bias_k",
        "bias_v",
    ):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert (a is None) == (b is None), name
        if b is not None:
            assert isinstance(a, nn.Parameter)
            assert torch.equal(a, b), name
    assert isinstance(ours.out_proj, nn.Linear)
    assert torch.equal(ours.out_proj.weight, theirs.out_proj.weight)


def test_arguments_stand_in_torchs_order() -> None:
    ours, theirs = (inspect.signature(c.__init__).parameters for c in (MultiheadAttention, nn.MultiheadAttention))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
    ours, theirs = (inspect.signature(c.forward).parameters for c in (MultiheadAttention, nn.MultiheadAttention))
    assert list(ours) == list(theirs)
    for name in list(theirs)[4:]:
        assert ours[name].default == theirs[name].default


def test_device_and_dtype_are_honoured() -> None:
    layer = MultiheadAttention(8, 2, kdim=4, add_bias_kv=True, device="meta", dtype=torch.float16)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float16)}


def test_copies_pickles_and_saves() -> None:
    layer = MultiheadAttention(8, 2, add_bias_kv=True).eval()
    x = torch.randn(3, 2, 8)
    expected = layer(x)[0]
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(again(x)[0], expected)
        scramble(again)  # a copy shares no memory with the original
    assert torch.equal(layer(x)[0], expected)


def test_a_run_leaves_nothing_on_the_layer() -> None:
    layer = MultiheadAttention(8, 2).eval()
    before = {**vars(layer), "state": {k: v.clone() for k, v in layer.state_dict().items()}}
    layer.trace(torch.randn(3, 2, 8), intervention=Intervention(temperature=0.1, head_scale={0: 0.0}))
    layer(torch.randn(5, 2, 8))
    assert {k: v for k, v in before.items() if k != "state"} == vars(layer)
    assert all(torch.equal(layer.state_dict()[k], v) for k, v in before["state"].items())


def test_a_row_that_may_attend_to_nothing() -> None:
    """Where torch gives NaN: weights 0, z 0, and W_O's bias as output; gradients stay finite."""
    ours, theirs = pair(batch_first=True)
    x = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    padding = torch.tensor([[True] * 4, [False, True, False, False]])
    assert theirs(x, x, x, key_padding_mask=padding)[0].isnan().any()
    for masks in (
        {"key_padding_mask": padding},
        {"key_padding_mask": torch.zeros(2, 4).masked_fill(padding, -math.inf)},
        {"attn_mask": padding[0].expand(4, 4), "key_padding_mask": padding},
    ):
        out, weights = ours(x, **masks)
        assert weights[0].eq(0).all()
        close(out[0], ours.out_proj.bias.expand(4, 8))
        grads = gradients(out.square().sum() + weights.square().sum(), x, *ours.parameters())
        assert all(g.isfinite().all() for g in grads)


def test_extra_keys_stand_last_and_are_always_allowed() -> None:
    ours, _ = pair(batch_first=True, add_bias_kv=True, add_zero_attn=True)
    x = torch.randn(2, 4, 8, dtype=torch.float64)
    trace = ours.trace(x, key_padding_mask=torch.ones(2, 4, dtype=torch.bool))
    assert trace.k.shape == trace.v.shape == (2, 2, 6, 4)
    assert trace.weights[..., :4].eq(0).all()
    close(trace.weights.sum(-1), torch.ones(2, 2, 4, dtype=torch.float64))
    assert torch.equal(trace.k[:, :, 4].flatten(1), ours.bias_k[0].expand(2, -1))
    assert trace.k[:, :, 5].eq(0).all()
    assert trace.v[:, :, 5].eq(0).all()


def test_is_causal_without_a_mask_forbids_later_keys() -> None:
    ours, theirs = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    expected = theirs(x, x, x, attn_mask=mask, average_attn_weights=False)
    out, weights = ours(x, is_causal=True, average_attn_weights=False)
    close(out, expected[0])
    close(weights, expected[1])
    assert weights.triu(1).eq(0).all()
    both = ours(x, is_causal=True, attn_mask=torch.eye(5) > 0, average_attn_weights=False)[1]
    assert both.triu(0).eq(0).all()


def test_a_mask_in_our_polarity_is_combined_with_torchs() -> None:
    ours, _ = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    forbidden = torch.rand(5, 5) < 0.3
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    extra = torch.rand(5, 5) < 0.8
    trace = ours.trace(
        x, attn_mask=forbidden, key_padding_mask=padding, mask=Mask(window=2, lengths=(5, 4), dense=extra)
    )
    for n in range(2):
        for i in range(5):
            for j in range(5):
                keep = abs(i - j) <= 2 and j < (5, 4)[n] and extra[i, j]
                keep = keep and not forbidden[i, j] and not padding[n, j]
                assert (trace.weights[n, :, i, j] > 0).all() == bool(keep)


def test_mask_gradients_are_torchs() -> None:
    """A float mask may be a learned bias."""
    ours, theirs = pair(batch_first=True)
    x = torch.randn(2, 4, 8, dtype=torch.float64)
    for masked in (False, True):
        mask = torch.zeros(4, 4, dtype=torch.float64)
        if masked:
            mask[0, 2:] = -math.inf
        mask.requires_grad_()
        mine, reference = ours(x, attn_mask=mask)[0], theirs(x, x, x, attn_mask=mask)[0]
        close(gradients(mine.sin().sum(), mask)[0], gradients(reference.sin().sum(), mask)[0])


def test_dropout_acts_in_training_only_and_not_on_the_weights_returned() -> None:
    layer = MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    plain = MultiheadAttention(8, 2, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 6, 8)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    close(layer(x)[1], plain(x)[1])
    layer.eval()
    close(layer(x)[0], plain(x)[0])
    layer.train()
    draws = torch.stack([layer(x)[0].detach() for _ in range(600)])
    close(draws.mean(0), plain(x)[0].detach(), 0.1)  # its expectation is the run without dropout


def test_dropout_drops_as_much_as_torchs() -> None:
    ours, theirs = pair(16, 2, torch.float32, dropout=0.3, batch_first=True)
    x = torch.randn(1, 8, 16)
    mine = torch.stack([ours(x)[0].detach() for _ in range(500)]).std(0)
    reference = torch.stack([theirs(x, x, x)[0].detach() for _ in range(500)]).std(0)
    assert (mine / reference).mean().item() == pytest.approx(1.0, abs=0.05)


def by_hand(layer: MultiheadAttention, x, keep=None, scale=None, temperature=1.0, factors=None):
    """(weights, out) of self-attention on (B, T, C), without the code under test."""
    b, t, c = x.shape
    q, k, v = (
        (x @ w.T + bias).view(b, t, layer.num_heads, -1).transpose(1, 2)
        for w, bias in zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)
    )
    scores = q @ k.mT * (layer.head_dim**-0.5 if scale is None else scale)
    scores = scores if keep is None else scores.masked_fill(~keep, -math.inf)
    weights = (scores / temperature).softmax(-1)
    z = weights @ v if factors is None else weights @ v * torch.tensor(factors)[:, None, None]
    return weights, z.transpose(1, 2).reshape(b, t, c) @ layer.out_proj.weight.T + layer.out_proj.bias


@pytest.mark.parametrize(
    ("intervention", "expected"),
    [
        (Intervention(temperature=0.3), {"temperature": 0.3}),
        (Intervention(scaled=False), {"scale": 1.0}),
        (Intervention(head_scale={1: 0.0}), {"factors": [1.0, 0.0]}),
        (Intervention(head_scale={0: -1.5, 1: 2.0}), {"factors": [-1.5, 2.0]}),
        (Intervention(mask="causal"), {"keep": torch.ones(5, 5).tril() > 0}),
        (Intervention(mask=("window", 0)), {"keep": torch.eye(5) > 0}),
        (Intervention(mask="causal", scaled=False), {"keep": torch.ones(5, 5).tril() > 0, "scale": 1.0}),
    ],
)
def test_interventions_act_on_the_output(intervention, expected) -> None:
    layer, _ = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    trace = layer.trace(x, intervention=intervention)
    weights, out = by_hand(layer, x, **expected)
    close(trace.weights, weights)
    close(trace.out, out)


def test_blocked_cells_in_one_head_or_in_all() -> None:
    layer, _ = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    cells = [(0, 3), (None, 1, 4, 4), (None, 0, 2, 0)]
    keep = torch.ones(2, 5, 5, dtype=torch.bool)
    keep[:, 0, 3] = keep[1, 4, 4] = keep[0, 2, 0] = False
    trace = layer.trace(x, intervention=Intervention(blocked=cells))
    weights, out = by_hand(layer, x, keep=keep)
    assert trace.weights.eq(0).sum() == 2 * 4
    close(trace.weights, weights)
    close(trace.out, out)


@pytest.mark.parametrize("kind", ["bool", "float", "inf"])
@pytest.mark.parametrize("pattern", ["none", "causal", ("window", 1)])
@pytest.mark.parametrize("t", [1, 4])
def test_padding_stays_when_an_intervention_replaces_the_pattern(kind: str, pattern, t: int) -> None:
    layer, _ = pair(batch_first=True)
    x, y = torch.randn(2, t, 8, dtype=torch.float64), torch.randn(2, 4, 8, dtype=torch.float64)
    padding = torch.tensor([[False] * 4, [False, False, True, True]])
    pattern_mask = torch.ones(t, 4, dtype=torch.bool).triu(1)
    if kind != "bool":
        pattern_mask = torch.zeros(t, 4).masked_fill(pattern_mask, -math.inf)
        padding = torch.zeros(2, 4).masked_fill(padding, -math.inf)
    change = Intervention(mask=pattern)
    changed = layer.trace(x, y, attn_mask=pattern_mask, key_padding_mask=padding, intervention=change)
    alone = layer.trace(x, y, key_padding_mask=padding, intervention=change)
    close(changed.weights, alone.weights)
    assert changed.weights[1, :, :, 2:].eq(0).all()
    if pattern == "none":
        assert changed.weights[0].gt(0).all()


@pytest.mark.parametrize("extra", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_interventions_leave_extra_keys_alone(extra) -> None:
    layer, _ = pair(batch_first=True, **extra)
    x = torch.randn(1, 4, 8, dtype=torch.float64)
    trace = layer.trace(x, intervention=Intervention(mask=("window", 0), blocked=[(2, 2)]))
    assert trace.weights[0, :, :, 4].gt(0).all()
    close(trace.weights[0, :, 2], torch.eye(5, dtype=torch.float64)[4].expand(2, -1))
    assert (trace.weights[0, :, 0] > 0).sum() == 2 * 2


def test_a_pattern_that_is_the_same_for_every_key_leaves_extra_keys_alone() -> None:
    layer, _ = pair(batch_first=True, add_zero_attn=True, add_bias_kv=True)
    x = torch.randn(1, 3, 8, dtype=torch.float64)
    asks = torch.tensor([[True], [False], [True]])
    trace = layer.trace(x, mask=Mask(dense=asks))
    assert (trace.weights > 0).sum((0, 1, 3)).tolist() == [10, 4, 10]


def test_rotary_and_alibi_reach_the_scores() -> None:
    layer, _ = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    plain, turned = layer.trace(x), layer.trace(x, rotary=True)
    close(turned.q, rope(plain.q))
    close(turned.k, rope(plain.k))
    assert torch.equal(turned.v, plain.v)
    slopes = torch.tensor([0.5, 0.25], dtype=torch.float64)
    distance = (torch.arange(5)[:, None] - torch.arange(5)).abs().double()
    biased = layer.trace(x, alibi=slopes)
    close(biased.scores, plain.scores - slopes[:, None, None] * distance)
    assert not torch.allclose(biased.out, plain.out)


def test_autocast_runs_as_in_torch() -> None:
    for options in ({}, {"add_bias_kv": True}, {"kdim": 8, "vdim": 6}):
        ours, theirs = pair(8, 2, torch.float32, batch_first=True, **options)
        x = torch.randn(2, 5, 8)
        v = torch.randn(2, 5, ours.vdim)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for inputs in ((x, x, v), (x.bfloat16(), x.bfloat16(), v.bfloat16())):
                out, weights = ours(*inputs)
                reference = theirs(*inputs)
                assert out.dtype == torch.bfloat16
                close(out.float(), reference[0].float(), 0.05)
                close(weights.float(), reference[1].float(), 0.05)


def test_bfloat16_layers_run() -> None:
    layer = MultiheadAttention(8, 2, dtype=torch.bfloat16, batch_first=True)
    exact = MultiheadAttention(8, 2, dtype=torch.float64, batch_first=True)
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 8, dtype=torch.bfloat16)
    out, weights = layer(x, is_causal=True)
    assert (out.dtype, weights.dtype) == (torch.bfloat16, torch.bfloat16)
    close(out.double(), exact(x.double(), is_causal=True)[0], 0.03)


@pytest.mark.parametrize("batch_first", [False, True])
def test_an_empty_batch_gives_an_empty_output(batch_first: bool) -> None:
    ours, theirs = pair(batch_first=batch_first)
    x = torch.randn(*((0, 4) if batch_first else (4, 0)), 8, dtype=torch.float64)
    assert ours(x)[0].shape == theirs(x, x, x)[0].shape
    assert ours(x)[1].shape == (0, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"embed_dim": 30, "num_heads": 4}, ["embed_dim=30", "num_heads=4"]),
        ({"embed_dim": 0, "num_heads": 1}, ["embed_dim=0"]),
        ({"embed_dim": -8, "num_heads": 2}, ["embed_dim=-8"]),
        ({"embed_dim": 8, "num_heads": 0}, ["num_heads=0"]),
        ({"embed_dim": 8.0, "num_heads": 2}, ["embed_dim=8.0"]),
        ({"embed_dim": 8, "num_heads": True}, ["num_heads=True"]),
        ({"embed_dim": 8, "num_heads": None}, ["num_heads=None"]),
        ({"embed_dim": 8, "num_heads": 2, "kdim": 0}, ["kdim=0"]),
        ({"embed_dim": 8, "num_heads": 2, "vdim": -1}, ["vdim=-1"]),
        ({"embed_dim": 8, "num_heads": 2, "dropout": 1.1}, ["dropout=1.1"]),
        ({"embed_dim": 8, "num_heads": 2, "dropout": -0.1}, ["dropout=-0.1"]),
        ({"embed_dim": 8, "num_heads": 2, "dropout": math.nan}, ["dropout=nan"]),
        ({"embed_dim": 8, "num_heads": 2, "dropout": "a"}, ["dropout='a'"]),
    ],
)
def test_constructor_errors_carry_the_numbers(arguments, words) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        MultiheadAttention(**arguments)
    for word in words:
        assert word in str(caught.value)


X = torch.zeros(2, 5, 8)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((X[..., :7],), {}, ShapeError, ["query", "7", "8"]),
        ((X, X[..., :6]), {}, ShapeError, ["key", "6", "8"]),
        ((X, X, X[..., :6]), {}, ShapeError, ["value", "6", "8"]),
        ((X, X[:1]), {}, ShapeError, ["(2, 5, 8)", "(1, 5, 8)"]),
        ((X, X, X[:, :4]), {}, ShapeError, ["(2, 5, 8)", "(2, 4, 8)"]),
        ((X, X[0]), {}, ShapeError, ["(2, 5, 8)", "(5, 8)"]),
        ((X[0], X), {}, ShapeError, ["(5, 8)", "(2, 5, 8)"]),
        ((X[0, 0],), {}, ShapeError, ["(8,)"]),
        ((X[None],), {}, ShapeError, ["(1, 2, 5, 8)"]),
        ((X,), {"attn_mask": torch.zeros(5, 4)}, ShapeError, ["attn_mask", "(5, 4)", "(5, 5)", "(4, 5, 5)"]),
        ((X,), {"attn_mask": torch.zeros(2, 5, 5)}, ShapeError, ["(2, 5, 5)", "(4, 5, 5)"]),
        ((X,), {"key_padding_mask": torch.zeros(2, 4)}, ShapeError, ["key_padding_mask", "(2, 4)", "(2, 5)"]),
        ((X,), {"key_padding_mask": torch.zeros(5)}, ShapeError, ["key_padding_mask", "(2, 5)"]),
        ((X.long(),), {}, DTypeError, ["query", "int64"]),
        ((X, X.double()), {}, DTypeError, ["key", "float64", "float32"]),
        ((X, X, X.bfloat16()), {}, DTypeError, ["value", "bfloat16", "float32"]),
        ((X.double(),), {}, DTypeError, ["query", "float64", "float32"]),
        ((X,), {"attn_mask": torch.zeros(5, 5).long()}, DTypeError, ["attn_mask", "int64"]),
        ((X,), {"key_padding_mask": torch.zeros(2, 5).int()}, DTypeError, ["key_padding_mask", "int32"]),
        (([1.0],), {}, DTypeError, ["query", "list"]),
        ((X, [1.0]), {}, DTypeError, ["key", "list"]),
        ((X,), {"attn_mask": [[0.0]]}, DTypeError, ["attn_mask", "list"]),
    ],
)
def test_call_errors_carry_the_numbers(arguments, options, error, words) -> None:
    layer = MultiheadAttention(8, 2, batch_first=True)
    with pytest.raises(error) as caught:
        layer(*arguments, **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (Intervention(head_scale={2: 0.0}), ["head 2", "2"]),
        (Intervention(blocked=[(5, 0)]), ["(5, 0)", "5 × 5"]),
        (Intervention(blocked=[(0, 9)]), ["(0, 9)", "5 × 5"]),
        (Intervention(blocked=[(None, 2, 0, 0)]), ["head 2", "0…1"]),
    ],
)
def test_interventions_beyond_the_layer_are_errors(intervention, words) -> None:
    layer = MultiheadAttention(8, 2, batch_first=True)
    with pytest.raises(InvalidParameterError) as caught:
        layer.trace(X, intervention=intervention)
    for word in words:
        assert word in str(caught.value)


def test_rotary_needs_an_even_head_width() -> None:
    with pytest.raises(InvalidParameterError, match="3"):
        MultiheadAttention(6, 2, batch_first=True).trace(torch.zeros(1, 4, 6), rotary=True)


def test_parameters_learn() -> None:
    """The layer is trainable end to end: it learns to copy the first token everywhere."""
    layer = MultiheadAttention(8, 2, batch_first=True)
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    losses = []
    for _ in range(150):
        x = torch.randn(16, 4, 8)
        x[:, 0, 0] = 3.0  # what marks the first token
        loss = (layer(x)[0] - x[:, :1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_no_warning_is_given_for_ordinary_use() -> None:
    layer = MultiheadAttention(8, 2, batch_first=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(X, attn_mask=torch.zeros(5, 5), key_padding_mask=torch.zeros(2, 5, dtype=torch.bool))


def test_same_gradients_notices_a_difference() -> None:
    """The helper on which the parity of layers rests must be able to fail."""
    ours, theirs = pair()
    x = torch.randn(4, 2, 8, dtype=torch.float64)
    same_gradients(ours, theirs, ours(x)[0].sin().sum(), theirs(x, x, x)[0].sin().sum())
    with pytest.raises(AssertionError):
        same_gradients(ours, theirs, ours(x)[0].sin().sum(), theirs(x, x, x)[0].cos().sum())
    assert replace(ours.trace(x), temperature=2.0).weights.ne(ours.trace(x).weights).any()
