"""The NumPy reference against our torch core, against torch.nn, and against numbers worked out by hand."""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import attnviz
from attnviz import InvalidParameterError, Mask, ShapeError
from attnviz.nn import masks, positions, reference
from tests.support.parity import random_mask, scramble

F64 = torch.float64
SIZES = st.integers(1, 5)
ACTIVATIONS = st.sampled_from(list(reference.ACTIVATIONS))
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


def same(ours: np.ndarray, theirs: Tensor | np.ndarray, tolerance: float = 1e-10) -> None:
    """Equal shape, float64, equal numbers."""
    assert ours.dtype == np.float64
    theirs = theirs.detach().numpy() if isinstance(theirs, Tensor) else theirs
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=tolerance, equal_nan=False)


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def seeded(draw: st.DrawFn) -> None:
    torch.manual_seed(draw(st.integers(0, 2**31)))


def test_it_imports_numpy_and_the_errors_only() -> None:
    tree = ast.parse(Path(reference.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert ours == {"numpy", "numpy.typing", "attnviz.errors"}


# By hand ------------------------------------------------------------------------------------------------------


def test_two_heads_of_two_numbers_by_hand() -> None:
    """Three tokens of 4 numbers, 2 heads of 2; every weight 0, 1 or 2, so that a reader can follow on paper."""
    x = [[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]]
    eye = np.eye(4)
    weights = {
        "in_proj_weight": np.vstack([eye, 2 * eye, eye[[1, 0, 3, 2]]]),  # q = x, k = 2x, v = x with pairs swapped
        "out_proj.weight": eye[[2, 3, 0, 1]],  # the heads change places
        "out_proj.bias": [0, 0, 0, 10],
    }
    out, shares = reference.multi_head_attention(x, weights, 2, keep=reference.causal(3))
    # head 0 has q = (1,0), (0,1), (1,1), so q·k = 2 0 2 / 0 2 2 / 2 2 4, and divided by √2: 0, √2 and 2√2
    a, b = math.exp(math.sqrt(2)), math.exp(2 * math.sqrt(2))  # 4.113 and 16.92
    head_0 = np.array([[1, 0, 0], [1 / (1 + a), a / (1 + a), 0], [a / (2 * a + b), a / (2 * a + b), b / (2 * a + b)]])
    # head 1 has q = (0,1), (1,0), (0,0): the last query is nought, so it attends evenly
    head_1 = np.array([[1, 0, 0], [1 / (1 + a), a / (1 + a), 0], [1 / 3, 1 / 3, 1 / 3]])
    same(shares, np.stack([head_0, head_1]))
    assert [round(w, 3) for w in shares[0, 2]] == [0.164, 0.164, 0.673]
    # v of head 0 is (0,1), (1,0), (1,1); of head 1 (1,0), (0,1), (0,0)
    z_0, z_1 = head_0 @ [[0, 1], [1, 0], [1, 1]], head_1 @ [[1, 0], [0, 1], [0, 0]]
    same(out, np.hstack([z_1, z_0 + np.array([0, 10])]))
    assert [round(y, 3) for y in out[2]] == [0.333, 0.333, 0.836, 10.836]


def test_softmax_by_hand() -> None:
    same(reference.softmax([0, math.log(3)]), np.array([0.25, 0.75]))
    same(reference.softmax([0, math.log(3)], temperature=0.5), np.array([0.1, 0.9]))  # 1 : 3² = 1 : 9
    same(reference.softmax([5.0, -np.inf, 5.0]), np.array([0.5, 0.0, 0.5]))


def test_layer_norm_by_hand() -> None:
    # mean 2, differences −1 and 1, variance 1: over √(1 + 0.5625) = 1.25 they are ∓0.8
    same(reference.layer_norm([1, 3], weight=[1, 2], bias=[0, 10], eps=0.5625), np.array([-0.8, 11.6]))


def test_activations_by_hand() -> None:
    same(reference.relu([-2, 0, 3]), np.array([0.0, 0.0, 3.0]))
    same(reference.gelu([1.0]), np.array([0.8413447460685429]))  # Φ(1)
    assert abs(reference.gelu_tanh([1.0])[0] - 0.8411919906) < 1e-9
    assert reference.gelu([]).shape == (0,)


def test_positions_by_hand() -> None:
    same(
        reference.sinusoidal(2, 4), np.array([[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]])
    )
    same(reference.rotary([[1, 0], [1, 0]], base=10.0), np.array([[1, 0], [math.cos(1), math.sin(1)]]))
    same(reference.alibi(2, 2, 2), np.array([[[0, -1 / 16], [-1 / 16, 0]], [[0, -1 / 256], [-1 / 256, 0]]]))


def test_masks_by_hand() -> None:
    assert reference.causal(2, 3).tolist() == [[True, False, False], [True, True, False]]
    assert reference.window(3, 1).tolist() == [[True, True, False], [True, True, True], [False, True, True]]
    assert reference.padding([2, 0], 3)[:, 0, 0].tolist() == [[True, True, False], [False, False, False]]


# At the limits ------------------------------------------------------------------------------------------------


def test_a_row_with_nothing_allowed_gets_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    keep = np.array([[True, True, True], [False, False, False], [True, False, False]])
    z, weights = reference.attention(x, x, x, keep=keep)
    assert not weights[1].any() and not z[1].any()
    same(z[2], x[0])


@pytest.mark.parametrize("temperature", [1e-300, 1e-3, 1e300])
def test_extreme_scores_and_temperatures_stay_finite(temperature: float) -> None:
    with np.errstate(all="raise", under="ignore", over="raise"):
        weights = reference.softmax([[1e308, -1e308, 0.0], [-np.inf, 1e5, 1e5]], temperature)
    np.testing.assert_allclose(weights.sum(-1), 1)
    same(weights[1], np.array([0, 0.5, 0.5]))


def test_what_does_not_fit_is_refused_with_its_numbers() -> None:
    x = np.ones((2, 6))
    for temperature in (0, -1, math.nan):
        with pytest.raises(InvalidParameterError, match=str(temperature)):
            reference.softmax([1, 2], temperature)
    with pytest.raises(ShapeError, match=r"\(2, 6\).*\(2, 5\)"):
        reference.attention(x, np.ones((2, 5)), x)
    with pytest.raises(ShapeError, match=r"6 .* 4 heads"):
        reference.split_heads(x, 4)
    with pytest.raises(ShapeError, match=r"\(3, 5\) takes 5 .* not 6"):
        reference.linear(x, np.ones((3, 5)))
    with pytest.raises(InvalidParameterError, match="'swish'"):
        reference.feed_forward(x, {}, "swish")
    with pytest.raises(InvalidParameterError, match="not 5"):
        reference.sinusoidal(3, 5)
    with pytest.raises(InvalidParameterError, match="n_heads=0"):
        reference.alibi_slopes(0)


# Against torch ------------------------------------------------------------------------------------------------


@given(st.data())
def test_attention_is_torchs_and_ours(data: st.DataObject) -> None:
    draw = data.draw
    seeded(draw)
    b, h, t, s, d = (draw(SIZES) for _ in range(5))
    q, k, v = (torch.randn(b, h, n, d, dtype=F64) for n in (t, s, s))
    keep = torch.rand(b, 1, t, s) < 0.6 if draw(st.booleans()) else None
    bias = torch.randn(h, t, s, dtype=F64) if draw(st.booleans()) else None
    scale, temperature = draw(st.none() | st.floats(-2, 2)), draw(st.floats(0.05, 20))
    z, weights = reference.attention(q, k, v, keep=keep, bias=bias, scale=scale, temperature=temperature)
    trace = attnviz.attend(q, k, v, keep=keep, bias=bias, scale=scale, temperature=temperature)
    same(weights, trace.weights)
    same(z, trace.z)
    if keep is None or keep.any(-1).all():  # torch's own answer to a row without keys is NaN
        added = torch.zeros(b, h, t, s, dtype=F64) if bias is None else bias.expand(b, h, t, s)
        added = added if keep is None else added.masked_fill(~keep, -math.inf)
        scale = 1 / math.sqrt(d) if scale is None else scale
        same(z, F.scaled_dot_product_attention(q, k, v, added / temperature, scale=scale / temperature))


@given(st.data())
def test_multi_head_attention_is_torchs_and_ours(data: st.DataObject) -> None:
    draw = data.draw
    seeded(draw)
    heads = draw(st.integers(1, 3))
    c = heads * draw(SIZES)
    options = {"bias": draw(st.booleans()), "batch_first": True, "dtype": F64}
    theirs, ours = nn.MultiheadAttention(c, heads, **options), attnviz.MultiheadAttention(c, heads, **options)
    scramble(theirs)
    ours.load_state_dict(theirs.state_dict())
    b, t, s = (draw(SIZES) for _ in range(3))
    query, key, value = (torch.randn(b, n, c, dtype=F64) for n in (t, s, s))
    given = [(query, query, query), (query, key, key), (query, key, value)][draw(st.integers(0, 2))]
    hidden = random_mask(draw(st.sampled_from(["none", "bool"])), t, given[1].shape[1])
    out, weights = reference.multi_head_attention(
        given[0], arrays(theirs), heads, key=given[1], value=given[2], keep=None if hidden is None else ~hidden
    )
    for module in (ours, theirs):
        expected = module(*given, attn_mask=hidden, average_attn_weights=False)
        same(out, expected[0])
        same(weights, expected[1])


@given(st.data())
def test_an_encoder_is_torchs_and_ours(data: st.DataObject) -> None:
    """Shapes, masks of every kind, norm order, activation, biases, final norm: layer by layer, and the whole."""
    draw = data.draw
    seeded(draw)
    heads, n_layers, activation = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(ACTIVATIONS)
    c, first, eps = heads * draw(SIZES), draw(st.booleans()), draw(st.sampled_from([1e-5, 1e-12, 0.1]))
    shape = {"d_model": c, "nhead": heads, "dim_feedforward": draw(SIZES), "dropout": 0.0, "dtype": F64}
    shape |= {"norm_first": first, "layer_norm_eps": eps, "bias": draw(st.booleans()), "batch_first": True}
    function = attnviz.nn.layers.ACTIVATIONS[activation]
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**shape, activation=function),
        n_layers,
        nn.LayerNorm(c, eps, dtype=F64) if draw(st.booleans()) else None,
        enable_nested_tensor=False,
    )
    scramble(theirs)
    layer = attnviz.TransformerEncoderLayer(**shape, activation=activation)
    ours = attnviz.TransformerEncoder(layer, n_layers, None if theirs.norm is None else nn.LayerNorm(c, eps, dtype=F64))
    ours.load_state_dict(theirs.state_dict())

    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    b, t = len(lengths), max(lengths)
    x = torch.randn(b, t, c, dtype=F64)
    pattern = draw(st.sampled_from(["none", "causal", "window"]))
    keep = {"none": np.ones((t, t), bool), "causal": reference.causal(t), "window": reference.window(t, 1)}[pattern]
    forbidden, padded = torch.from_numpy(~keep), torch.from_numpy(~reference.padding(lengths, t)[:, 0, 0])

    options = {"norm_first": first, "activation": activation, "eps": eps, "keep": keep & reference.padding(lengths, t)}
    states = reference.encoder(x, arrays(theirs), heads, n_layers, **options)
    assert len(states) == n_layers + 1
    real = ~padded.numpy()  # a padding token whose window holds only padding is torch's NaN and our 0
    for module in (ours, theirs.train()):  # train: torch's fast path for inference zeroes the padding
        same(states[-1][real], module(x, forbidden, padded)[torch.from_numpy(real)])
    one = reference.encoder_layer(x, reference.under("layers.0", arrays(theirs)), heads, **options)
    mask = Mask(causal=pattern == "causal", window=1 if pattern == "window" else None, lengths=tuple(lengths))
    same(one, ours.layers[0].trace(x, mask=mask).resid_post)


def test_every_scheme_has_a_twin() -> None:
    by_place = {"input": reference.ADDED, "turn": reference.TURNED, "scores": reference.BIASES}
    for place, twins in by_place.items():
        told = map(positions.described, positions.SCHEMES)
        assert set(twins) == {scheme.key for scheme in told if scheme.acts == place and not scheme.learned}


@given(st.data())
def test_a_model_with_any_positions_is_ours(data: st.DataObject) -> None:
    """A whole random transformer, positions included, run twice."""
    draw = data.draw
    seeded(draw)
    heads, scheme, t = draw(st.integers(1, 4)), draw(st.sampled_from(positions.SCHEMES)), draw(SIZES)
    first, causal = draw(st.booleans()), draw(st.booleans())
    config = attnviz.ModelConfig(
        kind="decoder" if causal else "encoder",
        vocab_size=9,
        max_len=8,
        d_model=4 * heads,
        n_heads=heads,
        d_ff=5,
        activation=draw(ACTIVATIONS),
        norm_first=first,
        final_norm=draw(st.booleans()),
        positions=scheme,
    )
    model = attnviz.Transformer(config).double()
    scramble(model)
    ids = torch.randint(9, (2, t))
    trace = model(ids)
    weights = arrays(model)
    x = weights["embed.tokens.weight"][ids.numpy()]
    if config.scheme.learned:
        x = x + weights["embed.positions.weight"][:t]
    if config.scheme.table is not None:
        x = x + reference.ADDED[scheme](t, config.d_model)
    stack = reference.under("decoder" if causal else "encoder", weights)
    states = reference.encoder(
        x,
        stack,
        heads,
        config.n_layers,
        norm_first=first,
        activation=config.activation,
        eps=config.norm_eps,
        keep=reference.causal(t) if causal else None,
        bias=reference.BIASES[scheme](t, t, heads) if config.scheme.acts == "scores" else None,
        turn=reference.TURNED[scheme] if config.scheme.acts == "turn" else None,
    )
    tolerance = 1e-9 if config.scheme.table is None else 1e-6  # the core keeps such tables in float32
    for ours, theirs in zip(states, trace.hidden_states, strict=True):
        same(ours, theirs, tolerance)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=12), st.floats(0.05, 20))
def test_functions_of_numbers_are_torchs(numbers: list[float], temperature: float) -> None:
    x = torch.tensor(numbers, dtype=F64)
    same(reference.softmax(x, temperature), (x / temperature).softmax(-1))
    same(reference.relu(x), F.relu(x))
    same(reference.gelu(x), F.gelu(x))
    same(reference.gelu_tanh(x), F.gelu(x, approximate="tanh"))
    same(reference.layer_norm(x), F.layer_norm(x, x.shape))


@given(SIZES, st.integers(1, 4), st.integers(1, 20))
def test_positions_are_ours(t: int, pairs: int, heads: int) -> None:
    x = torch.randn(2, t, 2 * pairs, dtype=F64)
    same(reference.sinusoidal(t, 2 * pairs), positions.sinusoidal(t, 2 * pairs).double(), 1e-6)
    same(reference.rotary(x, base=100.0), positions.rope(x, base=100.0))
    slopes = positions.alibi_slopes(heads, x)
    same(reference.alibi_slopes(heads), slopes)
    same(reference.alibi(t, t + 1, heads), positions.alibi_bias(slopes, t, t + 1))


@given(SIZES, SIZES, st.integers(0, 5))
def test_masks_are_ours(t: int, s: int, size: int) -> None:
    assert (reference.causal(t, s) == masks.causal(t, s).numpy()).all()
    assert (reference.window(t, size, s) == masks.window(t, s, size=size).numpy()).all()
    lengths = [min(size, s), s]
    assert (reference.padding(lengths, s) == masks.padding(lengths, s).numpy()).all()


@given(st.integers(1, 4), SIZES, SIZES)
def test_heads_are_cut_where_torch_cuts_them(heads: int, t: int, d: int) -> None:
    x = torch.randn(2, t, heads * d, dtype=F64)
    cut = reference.split_heads(x, heads)
    same(cut, x.unflatten(-1, (heads, d)).transpose(1, 2))
    same(reference.merge_heads(cut), x)


def test_the_reference_runs_minilm(minilm: attnviz.Model) -> None:
    """Six trained layers, in float64, against the torch model's float32."""
    trace = minilm.run("The animal didn't cross the street because it was too tired.")
    config = trace.config
    stack = reference.under("encoder", arrays(minilm.transformer))
    states = reference.encoder(
        trace.layers[0].resid_pre,
        stack,
        config.n_heads,
        config.n_layers,
        norm_first=config.norm_first,
        activation=config.activation,
        eps=config.norm_eps,
    )
    for ours, theirs in zip(states, trace.hidden_states, strict=True):
        same(ours, theirs.double(), 1e-4)
