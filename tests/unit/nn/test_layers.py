"""Encoder and decoder layers and their stacks as drop-ins for torch.nn's."""

from __future__ import annotations

import copy
import inspect
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import attnviz
from attnviz import (
    DTypeError,
    Intervention,
    InvalidParameterError,
    Mask,
    ShapeError,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from tests.support.parity import close, gradients, random_mask, same_gradients, scramble

pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched"),  # torch's, on bool with float masks
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]
F64 = torch.float64
CLASSES = ["TransformerEncoderLayer", "TransformerDecoderLayer"]


def options(draw) -> dict:
    activation = draw(st.sampled_from(["relu", "gelu", torch.tanh]))
    return {
        "d_model": 6,
        "nhead": draw(st.sampled_from([1, 2, 3])),
        "dim_feedforward": draw(st.integers(1, 9)),
        "dropout": 0.0,
        "activation": activation,
        "layer_norm_eps": draw(st.sampled_from([1e-5, 1e-12, 0.1])),
        "batch_first": draw(st.booleans()),
        "norm_first": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "dtype": draw(st.sampled_from([torch.float32, F64])),
    }


@st.composite
def cases(draw, decoder: bool, stacked: bool):
    """Our module, torch's with the same weights, inputs and masks."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    chosen = options(draw)
    dtype, heads = chosen["dtype"], chosen["nhead"]
    name = "TransformerDecoder" if decoder else "TransformerEncoder"
    theirs = getattr(nn, name + "Layer")(**chosen)
    ours = getattr(attnviz, name + "Layer")(**chosen)
    if stacked:
        n, normed = draw(st.integers(1, 3)), draw(st.booleans())
        norm = [nn.LayerNorm(6, dtype=dtype) if normed else None for _ in range(2)]
        extra = {} if decoder else {"enable_nested_tensor": False}
        theirs = getattr(nn, name)(theirs, n, norm[0], **extra)
        ours = getattr(attnviz, name)(ours, n, norm[1], **extra)
    scramble(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    if draw(st.booleans()):
        ours.eval(), theirs.eval()

    batched = draw(st.booleans())
    b, t, s = draw(st.integers(1, 3)) if batched else 1, draw(st.integers(1, 5)), draw(st.integers(1, 5))

    def tensor(n: int) -> torch.Tensor:
        shape = (n, 6) if not batched else (b, n, 6) if chosen["batch_first"] else (n, b, 6)
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    kinds = st.sampled_from(["none", "bool", "float", "inf"])

    def pair(n: int):
        shape = draw(st.sampled_from([(t, n), (b * heads, t, n)]))
        padding = random_mask(draw(kinds), *((b, n) if batched else (n,)), dtype=dtype)
        return random_mask(draw(kinds), *shape, dtype=dtype), padding

    own, own_padding = pair(t)
    if not decoder:
        masks = {"mask" if stacked else "src_mask": own, "src_key_padding_mask": own_padding}
        return ours, theirs, [tensor(t)], masks
    cross, cross_padding = pair(s)
    masks = {
        "tgt_mask": own,
        "tgt_key_padding_mask": own_padding,
        "memory_mask": cross,
        "memory_key_padding_mask": cross_padding,
    }
    return ours, theirs, [tensor(t), tensor(s)], masks


def check(case) -> None:
    ours, theirs, inputs, masks = case
    out, reference = ours(*inputs, **masks), theirs(*inputs, **masks)
    close(out, reference)
    r = torch.randn_like(out)
    mine = gradients((out * r).sum(), *inputs)
    for a, b in zip(mine, gradients((reference * r).sum(), *inputs), strict=True):
        close(a, b)
    same_gradients(ours, theirs, (ours(*inputs, **masks) * r).sum(), (theirs(*inputs, **masks) * r).sum())
    # torch's fast path (eval mode, no gradients) reads any float mask as bool and answers NaN (torch 2.13)
    if not any(mask is not None and mask.is_floating_point() for mask in masks.values()):
        with torch.no_grad():
            close(ours(*inputs, **masks), theirs(*inputs, **masks))


@given(cases(decoder=False, stacked=False))
def test_an_encoder_layer_is_torchs(case) -> None:
    check(case)


@given(cases(decoder=True, stacked=False))
def test_a_decoder_layer_is_torchs(case) -> None:
    check(case)


@given(cases(decoder=False, stacked=True))
def test_an_encoder_is_torchs(case) -> None:
    check(case)


@given(cases(decoder=True, stacked=True))
def test_a_decoder_is_torchs(case) -> None:
    check(case)


@pytest.mark.parametrize("causal", [None, True, False])
@pytest.mark.parametrize("batch_first", [False, True])
def test_is_causal_as_a_hint_is_torchs(causal: bool | None, batch_first: bool) -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=F64)
    shared = {"batch_first": batch_first, "dtype": F64, "dropout": 0.0}
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, **shared), 2, enable_nested_tensor=False)
    ours = TransformerEncoder(TransformerEncoderLayer(8, 2, 16, **shared), 2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 5, 8, dtype=F64)
    close(ours(x, mask, is_causal=causal), theirs(x, mask, is_causal=causal))
    their_decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, **shared), 2)
    our_decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16, **shared), 2)
    our_decoder.load_state_dict(their_decoder.state_dict())
    y = torch.randn(5, 5, 8, dtype=F64)
    close(our_decoder(x, y, mask, tgt_is_causal=causal), their_decoder(x, y, mask, tgt_is_causal=causal))
    if causal:  # and ours needs no mask beside it
        close(ours(x, is_causal=True), ours(x, mask))
        close(our_decoder(x, y, tgt_is_causal=True), our_decoder(x, y, mask))


def test_padding_in_eval_mode_is_torchs_nested_path_where_tokens_are_real() -> None:
    """torch zeroes the padded outputs there; at the real tokens the two agree."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True).eval()
    ours = TransformerEncoder(TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    ours.load_state_dict(theirs.state_dict())
    x, padding = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        reference = theirs(x, src_key_padding_mask=padding)
        out = ours(x, src_key_padding_mask=padding)
    close(out[~padding], reference[~padding])
    assert out.isfinite().all()


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_state_dicts_are_exchanged_both_ways(name: str, bias: bool, norm_first: bool) -> None:
    ours, theirs = (getattr(m, name)(8, 2, 16, bias=bias, norm_first=norm_first) for m in (attnviz, nn))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    scramble(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    stack = name.removesuffix("Layer")
    our_stack, their_stack = (
        getattr(m, stack)(layer, 3, nn.LayerNorm(8)) for m, layer in ((attnviz, ours), (nn, theirs))
    )
    assert list(our_stack.state_dict()) == list(their_stack.state_dict())
    their_stack.load_state_dict(our_stack.state_dict(), strict=True)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("bias", [True, False])
def test_the_same_seed_gives_the_same_layer(name: str, bias: bool) -> None:
    torch.manual_seed(3)
    ours, next_number = getattr(attnviz, name)(8, 2, 16, bias=bias), torch.rand(1)
    torch.manual_seed(3)
    theirs = getattr(nn, name)(8, 2, 16, bias=bias)
    assert torch.equal(torch.rand(1), next_number)
    for key, x in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], x), key


@pytest.mark.parametrize("name", [*CLASSES, "TransformerEncoder", "TransformerDecoder"])
def test_arguments_stand_in_torchs_order(name: str) -> None:
    ours, theirs = getattr(attnviz, name), getattr(nn, name)

    def order(function) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert order(ours.__init__) == order(theirs.__init__)
    assert order(ours.forward) == order(theirs.forward)


def test_defaults_are_torchs() -> None:
    for name in CLASSES:
        ours, theirs = getattr(attnviz, name)(8, 2), getattr(nn, name)(8, 2)
        assert ours.linear1.out_features == theirs.linear1.out_features == 2048
        assert ours.dropout.p == theirs.dropout.p == ours.self_attn.dropout == 0.1
        assert ours.norm1.eps == theirs.norm1.eps
        assert ours.norm_first is theirs.norm_first is False
        assert ours.self_attn.batch_first is theirs.self_attn.batch_first is False
        assert ours.activation is theirs.activation


@pytest.mark.parametrize("decoder", [False, True])
def test_torchs_stacks_take_our_layers(decoder: bool) -> None:
    name = "TransformerDecoder" if decoder else "TransformerEncoder"
    layer = getattr(attnviz, name + "Layer")(8, 2, 16, batch_first=True)
    extra = {} if decoder else {"enable_nested_tensor": False}
    theirs = getattr(nn, name)(layer, 2, **extra).eval()
    ours = getattr(attnviz, name)(layer, 2).eval()
    inputs = [torch.randn(3, 5, 8) for _ in range(1 + decoder)]
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    close(theirs(*inputs), ours(*inputs))
    close(theirs(*inputs, mask), ours(*inputs, mask))


def test_torchs_transformer_takes_our_stacks() -> None:
    shared = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True}
    theirs = nn.Transformer(8, 2, 2, 2, **shared)
    encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, **shared), 2, nn.LayerNorm(8))
    decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, **shared), 2, nn.LayerNorm(8))
    ours = nn.Transformer(8, 2, custom_encoder=encoder, custom_decoder=decoder, batch_first=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    source, target = torch.randn(2, 4, 8), torch.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    close(ours(source, target, tgt_mask=mask), theirs(source, target, tgt_mask=mask))


def test_stacked_layers_start_equal_and_share_nothing() -> None:
    layer = TransformerEncoderLayer(8, 2, 16)
    stack = TransformerEncoder(layer, 3)
    assert stack.num_layers == len(stack.layers) == 3
    for other in stack.layers:
        assert torch.equal(other.linear1.weight, layer.linear1.weight)
        assert other.linear1.weight is not layer.linear1.weight
    scramble(stack.layers[0])
    assert torch.equal(stack.layers[1].linear1.weight, layer.linear1.weight)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", nn.GELU(), torch.sigmoid])
def test_activations_by_name_function_or_module(activation) -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, activation, dtype=F64)
    x = torch.randn(3, 8, dtype=F64)
    function = (
        {
            "relu": torch.relu,
            "gelu": nn.functional.gelu,
            "gelu_tanh": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        }.get(activation, activation)
        if isinstance(activation, str)
        else activation
    )
    close(layer.feed_forward(x), layer.linear2(function(layer.linear1(x))))


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layers_residual_stream_chains(norm_first: bool) -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, norm_first=norm_first, dtype=F64)
    scramble(layer)
    x = torch.randn(2, 5, 8, dtype=F64)
    run = layer.trace(x)
    assert torch.equal(run.resid_pre, x)
    assert run.cross_attention is None
    assert run.resid_cross is None
    attended = layer.self_attn.trace_batch_first(layer.norm1(x) if norm_first else x)
    close(run.attention.out, attended.out)
    close(run.attention.q, attended.q)
    if norm_first:
        close(run.resid_mid, x + run.attention.out)
        close(run.feed_forward, layer.feed_forward(layer.norm2(run.resid_mid)))
        close(run.resid_post, run.resid_mid + run.feed_forward)
    else:
        close(run.resid_mid, layer.norm1(x + run.attention.out))
        close(run.feed_forward, layer.feed_forward(run.resid_mid))
        close(run.resid_post, layer.norm2(run.resid_mid + run.feed_forward))


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_layers_residual_stream_chains(norm_first: bool) -> None:
    layer = TransformerDecoderLayer(8, 2, 16, 0.0, norm_first=norm_first, dtype=F64)
    scramble(layer)
    x, memory = torch.randn(2, 5, 8, dtype=F64), torch.randn(2, 7, 8, dtype=F64)
    run = layer.trace(x, memory, {"is_causal": True})
    assert torch.equal(run.resid_pre, x)
    close(layer.trace(x, memory).resid_post, layer(*(t.transpose(0, 1) for t in (x, memory))).transpose(0, 1))
    assert run.cross_attention.weights.shape == (2, 2, 5, 7)
    assert run.attention.weights.triu(1).eq(0).all()
    if norm_first:
        close(run.resid_mid, x + run.attention.out)
        crossed = layer.multihead_attn.trace_batch_first(layer.norm2(run.resid_mid), memory)
        close(run.resid_cross, run.resid_mid + run.cross_attention.out)
        close(run.feed_forward, layer.feed_forward(layer.norm3(run.resid_cross)))
        close(run.resid_post, run.resid_cross + run.feed_forward)
    else:
        close(run.resid_mid, layer.norm1(x + run.attention.out))
        crossed = layer.multihead_attn.trace_batch_first(run.resid_mid, memory)
        close(run.resid_cross, layer.norm2(run.resid_mid + run.cross_attention.out))
        close(run.feed_forward, layer.feed_forward(run.resid_cross))
        close(run.resid_post, layer.norm3(run.resid_cross + run.feed_forward))
    close(run.cross_attention.out, crossed.out)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("unbatched", [False, True])
def test_forward_is_the_trace(batch_first: bool, unbatched: bool) -> None:
    shared = {"batch_first": batch_first, "dropout": 0.0}
    x, y = torch.randn(3, 4, 8), torch.randn(3, 4, 8)
    x, y = (x[0], y[0]) if unbatched else (x, y)

    def enter(x: torch.Tensor) -> torch.Tensor:
        return x[None] if unbatched else x if batch_first else x.transpose(0, 1)

    encoder = TransformerEncoderLayer(8, 2, 16, **shared)
    close(enter(encoder(x)), encoder.trace(enter(x)).resid_post)
    decoder = TransformerDecoderLayer(8, 2, 16, **shared)
    close(enter(decoder(x, y)), decoder.trace(enter(x), enter(y), {}, {}).resid_post)


def test_an_intervention_reaches_the_layers_output() -> None:
    layer = TransformerEncoderLayer(8, 2, 16, 0.0)
    x = torch.randn(2, 5, 8)
    plain = layer.trace(x)
    changed = layer.trace(x, intervention=Intervention(temperature=5.0), mask=Mask(causal=True))
    assert changed.attention.temperature == 5.0
    assert changed.attention.weights.triu(1).eq(0).all()
    assert not torch.allclose(changed.resid_post, plain.resid_post)
    assert torch.equal(layer.trace(x).resid_post, plain.resid_post)


@pytest.mark.parametrize("name", CLASSES)
def test_dropout_is_random_in_training_and_silent_in_eval(name: str) -> None:
    decoder = "Decoder" in name
    inputs = [torch.randn(2, 5, 8) for _ in range(1 + decoder)]
    layer = getattr(attnviz, name)(8, 2, 16, dropout=0.4)
    plain = getattr(attnviz, name)(8, 2, 16, dropout=0.0)
    plain.load_state_dict(layer.state_dict())
    assert not torch.equal(layer(*inputs), layer(*inputs))
    close(layer.eval()(*inputs), plain(*inputs))


@pytest.mark.parametrize("name", CLASSES)
def test_dropout_acts_where_and_as_much_as_torchs(name: str) -> None:
    """The spread of the output over many runs is torch's: same places, same scaling by 1/(1−p)."""
    decoder = "Decoder" in name
    inputs = [torch.randn(1, 4, 8) for _ in range(1 + decoder)]
    ours, theirs = (getattr(m, name)(8, 2, 16, dropout=0.3, norm_first=True) for m in (attnviz, nn))
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        mine = torch.stack([ours(*inputs) for _ in range(700)])
        reference = torch.stack([theirs(*inputs) for _ in range(700)])
    assert (mine.std(0) / reference.std(0)).mean().item() == pytest.approx(1.0, abs=0.06)
    close(mine.mean(0), reference.mean(0), 0.2)


def test_copies_and_pickles() -> None:
    for activation in ("relu", "gelu_tanh"):
        stack = TransformerEncoder(TransformerEncoderLayer(8, 2, 16, activation=activation), 2).eval()
        x = torch.randn(3, 2, 8)
        for again in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
            assert torch.equal(again(x), stack(x))


def test_starved_and_fully_padded_rows_stay_finite() -> None:
    layer = TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True)
    x = torch.randn(2, 4, 8, requires_grad=True)
    memory = torch.randn(2, 3, 8)
    out = layer(
        x,
        memory,
        tgt_key_padding_mask=torch.tensor([[True] * 4, [False] * 4]),
        memory_key_padding_mask=torch.tensor([[False] * 3, [True] * 3]),
    )
    assert out.isfinite().all()
    assert all(g.isfinite().all() for g in gradients(out.square().sum(), x, *layer.parameters()))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"d_model": 30, "nhead": 4}, ["30", "4"]),
        ({"d_model": 0, "nhead": 1}, ["d_model=0"]),
        ({"d_model": 8, "nhead": -1}, ["nhead=-1"]),
        ({"d_model": 8, "nhead": 2, "dim_feedforward": -1}, ["dim_feedforward=-1"]),
        ({"d_model": 8, "nhead": 2, "dropout": 2}, ["dropout=2"]),
        ({"d_model": 8, "nhead": 2, "activation": "swish"}, ["'swish'", "gelu"]),
        ({"d_model": 8, "nhead": 2, "layer_norm_eps": "x"}, ["layer_norm_eps='x'"]),
        ({"d_model": 8, "nhead": 2, "activation": 3}, ["activation=3"]),
    ],
)
def test_constructor_errors_carry_the_numbers(name: str, arguments, words) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        getattr(attnviz, name)(**arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_a_stack_needs_a_whole_number_of_layers(n) -> None:
    for stack, layer in (
        (TransformerEncoder, TransformerEncoderLayer),
        (TransformerDecoder, TransformerDecoderLayer),
    ):
        with pytest.raises(InvalidParameterError, match=f"num_layers={n}"):
            stack(layer(8, 2, 16), n)


X = torch.zeros(3, 4, 8)


@pytest.mark.parametrize(
    ("inputs", "masks", "error", "words"),
    [
        ((X[..., :7], X), {}, ShapeError, ["7", "8"]),
        ((X, X[..., :7]), {}, ShapeError, ["7", "8"]),
        ((X[0, 0], X), {}, ShapeError, ["(8,)"]),
        ((X, X[0]), {}, ShapeError, ["(4, 8)"]),
        ((X, X[:, :2]), {}, ShapeError, ["(3, 2, 8)"]),
        ((X.int(), X), {}, DTypeError, ["int32"]),
        ((X, X.double()), {}, DTypeError, ["float64", "float32"]),
        ((X, X), {"tgt_mask": torch.zeros(4, 4)}, ShapeError, ["(4, 4)", "(3, 3)"]),
        ((X, X), {"memory_mask": torch.zeros(3, 4)}, ShapeError, ["(3, 4)", "(3, 3)"]),
        ((X, X), {"memory_key_padding_mask": torch.zeros(3, 3)}, ShapeError, ["(3, 3)", "(4, 3)"]),
        (([1.0], X), {}, DTypeError, ["list"]),
    ],
)
def test_call_errors_carry_the_numbers(inputs, masks, error, words) -> None:
    with pytest.raises(error) as caught:
        TransformerDecoderLayer(8, 2, 16)(*inputs, **masks)
    for word in words:
        assert word in str(caught.value)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.booleans())
def test_an_encoder_is_equivariant_to_permutation(seed: int, norm_first: bool) -> None:
    torch.manual_seed(seed)
    layer = TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first, dtype=F64)
    stack = TransformerEncoder(layer, 2)
    x, order = torch.randn(2, 6, 8, dtype=F64), torch.randperm(6)
    close(stack(x[:, order]), stack(x)[:, order])


@pytest.mark.parametrize("norm_first", [False, True])
def test_without_feed_forward_a_layer_is_attention_add_and_norm(norm_first: bool) -> None:
    torch.manual_seed(3)
    layer = attnviz.TransformerEncoderLayer(8, 2, 0, 0.0, batch_first=True, norm_first=norm_first).eval()
    assert {name.split(".")[0] for name in layer.state_dict()} == {"self_attn", "norm1"}
    x = torch.randn(2, 5, 8)
    before = layer.norm1(x) if norm_first else x
    added = x + layer.self_attn(before, before, before, need_weights=False)[0]
    torch.testing.assert_close(layer(x), added if norm_first else layer.norm1(added))


def test_without_feed_forward_a_decoder_layer_keeps_both_attentions() -> None:
    torch.manual_seed(3)
    layer = attnviz.TransformerDecoderLayer(8, 2, 0, 0.0, batch_first=True, norm_first=True).eval()
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    first = layer.norm1(x)
    mid = x + layer.self_attn(first, first, first, need_weights=False)[0]
    torch.testing.assert_close(
        layer(x, memory), mid + layer.multihead_attn(layer.norm2(mid), memory, memory, need_weights=False)[0]
    )


@pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])
def test_parameters_without_feed_forward_are_counted(kind: str) -> None:
    config = attnviz.ModelConfig(kind=kind, d_ff=0, d_model=16, n_heads=2, vocab_size=20, max_len=8, head="lm")
    model = attnviz.Transformer(config)
    assert sum(p.numel() for p in model.parameters()) == config.n_parameters
