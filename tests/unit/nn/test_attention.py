"""attend() against the formula, written out in loops, and at its limits."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attnviz import AttentionTrace, DTypeError, InvalidParameterError, Mask, ShapeError, attend
from attnviz.nn.positions import alibi_slopes
from tests.support.parity import close, gradients

SIZES = st.integers(1, 4)
INF = math.inf


def qkv(b=2, h=3, t=5, s=6, d=4, dv=None, dtype=torch.float64, requires_grad=False):
    shapes = (b, h, t, d), (b, h, s, d), (b, h, s, dv or d)
    return [torch.randn(shape, dtype=dtype, requires_grad=requires_grad) for shape in shapes]


def loops(q, k, v, *, keep=None, bias=None, scale=None, temperature=1.0, slopes=None, factors=None):
    """Vaswani et al. 2017, equation 1, number by number; (scores, weights, z) in float64."""
    (b, h, t, d), s, dv = q.shape, k.shape[2], v.shape[3]
    q, k, v = q.double().tolist(), k.double().tolist(), v.double().tolist()
    scale = 1 / math.sqrt(d) if scale is None else scale
    keep = torch.ones(b, h, t, s, dtype=torch.bool) if keep is None else keep.broadcast_to(b, h, t, s)
    bias = torch.zeros(b, h, t, s) if bias is None else bias.broadcast_to(b, h, t, s)
    keep, bias = keep.tolist(), bias.double().tolist()
    scores = torch.zeros(b, h, t, s, dtype=torch.float64)
    weights = torch.zeros_like(scores)
    z = torch.zeros(b, h, t, dv, dtype=torch.float64)
    for n, head, i in ((n, head, i) for n in range(b) for head in range(h) for i in range(t)):
        row = []
        for j in range(s):
            score = sum(q[n][head][i][c] * k[n][head][j][c] for c in range(d)) * scale
            score += bias[n][head][i][j] - (slopes[head] * abs(i - j) if slopes else 0.0)
            row.append(score if keep[n][head][i][j] else -INF)
        scores[n, head, i] = torch.tensor(row, dtype=torch.float64)
        if max(row) == -INF:
            continue
        powers = [math.exp((score - max(row)) / temperature) for score in row]
        shares = [power / sum(powers) for power in powers]
        weights[n, head, i] = torch.tensor(shares, dtype=torch.float64)
        factor = factors[head] if factors else 1.0
        for c in range(dv):
            z[n, head, i, c] = factor * sum(shares[j] * v[n][head][j][c] for j in range(s))
    return scores, weights, z


def explicit(q, k, v, keep=None, bias=None, temperature=1.0) -> tuple[Tensor, Tensor]:
    """(weights, z) by plain differentiable operations; a starved row is multiplied away, not masked."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    scores = scores if bias is None else scores + bias
    powers = ((scores - scores.detach().amax(-1, keepdim=True)) / temperature).exp()
    if keep is not None:
        powers = powers * keep
    total = powers.sum(-1, keepdim=True)
    weights = powers / total.where(total > 0, 1.0)
    return weights, weights @ v


def test_a_two_by_two_example_computed_by_hand() -> None:
    eye = torch.eye(2, dtype=torch.float64)[None, None]
    v = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=torch.float64)
    trace = attend(eye, eye, v)
    # scores are 1/√2 on the diagonal: e^0.7071 = 2.0281, so the weights are 2.0281/3.0281 and 1/3.0281
    own, other = 0.6697615493266569, 0.3302384506733431
    close(trace.scores[0, 0], torch.eye(2, dtype=torch.float64) / math.sqrt(2))
    close(trace.weights[0, 0], torch.tensor([[own, other], [other, own]], dtype=torch.float64))
    expected = [[own + 3 * other, 2 * own + 4 * other], [other + 3 * own, 2 * other + 4 * own]]
    close(trace.z[0, 0], torch.tensor(expected, dtype=torch.float64))
    assert trace.scale == 1 / math.sqrt(2)
    assert trace.keep is None
    assert trace.out is None


def test_scale_and_temperature_enter_where_the_formula_says() -> None:
    q, k, v = qkv()
    plain = q @ k.mT
    trace = attend(q, k, v, scale=0.3, temperature=2.5)
    close(trace.scores, plain * 0.3)  # before the temperature
    close(trace.weights, (plain * 0.3 / 2.5).softmax(-1))
    close(trace.z, (plain * 0.3 / 2.5).softmax(-1) @ v)
    assert (trace.scale, trace.temperature) == (0.3, 2.5)


def test_the_bias_is_divided_by_the_temperature_too() -> None:
    q, k, v = qkv()
    bias = torch.randn(5, 6, dtype=torch.float64)
    trace = attend(q, k, v, bias=bias, temperature=0.4)
    close(trace.z, ((q @ k.mT / 2 + bias) / 0.4).softmax(-1) @ v)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [0.0, -0.7, 1.0])
def test_any_finite_scale(scale: float, causal: bool) -> None:
    q, k, v = qkv()
    trace = attend(q, k, v, scale=scale, keep=Mask(causal=causal))
    keep = torch.ones(5, 6).tril() > 0 if causal else None
    scores, weights, z = loops(q, k, v, scale=scale, keep=keep)
    close(trace.scores, scores)
    close(trace.weights, weights)
    close(trace.z, z)


@st.composite
def cases(draw):
    """Any shapes, masks, biases, scale, temperature, slopes and head factors."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    b, h, t, s = (draw(SIZES) for _ in range(4))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    tensors = qkv(b, h, t, s, draw(st.integers(1, 5)), draw(st.integers(1, 5)), dtype)
    full = (b, h, t, s)

    def some_of(full):  # any shape that broadcasts to (B, H, T, S)
        sizes = [n if draw(st.booleans()) else 1 for n in full]
        return sizes[draw(st.integers(0, 4)) :]

    match draw(st.sampled_from(["none", "dense", "causal", "window", "lengths", "all"])):
        case "none":
            keep, dense = None, None
        case "dense":
            keep = dense = torch.rand(some_of(full)) < 0.6
        case kind:
            lengths = tuple(draw(st.lists(st.integers(0, s), min_size=b, max_size=b)))
            keep = Mask(
                causal=kind in ("causal", "all"),
                window=draw(st.integers(0, s)) if kind in ("window", "all") else None,
                lengths=lengths if kind in ("lengths", "all") else None,
            )
            dense = torch.ones(full, dtype=torch.bool)
            for n, i, j in ((n, i, j) for n in range(b) for i in range(t) for j in range(s)):
                dense[n, :, i, j] = (
                    not (keep.causal and j > i)
                    and not (keep.window is not None and abs(i - j) > keep.window)
                    and not (keep.lengths is not None and j >= keep.lengths[n])
                )
    options = {
        "bias": torch.randn(some_of(full), dtype=dtype) if draw(st.booleans()) else None,
        "scale": draw(st.none() | st.floats(-2, 2)),
        "temperature": draw(st.floats(0.25, 4)),
    }
    slopes = [draw(st.floats(0, 1)) for _ in range(h)] if draw(st.booleans()) else None
    factors = [draw(st.floats(-2, 2)) for _ in range(h)] if draw(st.booleans()) else None
    return tensors, keep, dense, options, slopes, factors


@given(cases())
def test_every_number_is_that_of_the_formula(case) -> None:
    (q, k, v), keep, dense, options, slopes, factors = case
    trace = attend(
        q,
        k,
        v,
        keep=keep,
        **options,
        alibi=None if slopes is None else torch.tensor(slopes, dtype=q.dtype),
        head_scale=None if factors is None else torch.tensor(factors, dtype=q.dtype),
    )
    scores, weights, z = loops(q, k, v, keep=dense, **options, slopes=slopes, factors=factors)
    close(trace.scores, scores.to(q.dtype))
    close(trace.weights, weights.to(q.dtype))
    close(trace.z, z.to(q.dtype))


@given(cases())
def test_rows_of_weights_are_distributions_or_nothing(case) -> None:
    (q, k, v), keep, dense, options, slopes, _ = case
    alibi = None if slopes is None else torch.tensor(slopes, dtype=q.dtype)
    weights = attend(q, k, v, keep=keep, **options, alibi=alibi).weights
    fed = torch.ones(weights.shape[:3]) if dense is None else dense.broadcast_to(weights.shape).any(-1)
    close(weights.sum(-1), fed.to(q.dtype), 1e-6)
    assert (weights >= 0).all()
    if dense is not None:
        assert weights.masked_select(~dense.broadcast_to(weights.shape)).eq(0).all()


@given(cases())
def test_z_is_the_weights_times_v(case) -> None:
    """The fused kernel's z against the weights derived from the trace afterwards."""
    (q, k, v), keep, _, options, slopes, factors = case
    alibi = None if slopes is None else torch.tensor(slopes, dtype=q.dtype)
    head_scale = None if factors is None else torch.tensor(factors, dtype=q.dtype)
    trace = attend(q, k, v, keep=keep, **options, alibi=alibi, head_scale=head_scale)
    z = trace.weights @ trace.v
    close(trace.z, z if head_scale is None else z * head_scale[:, None, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("keep", [None, Mask(causal=True), Mask(causal=True, lengths=(130, 70))])
@pytest.mark.parametrize("grad", [False, True])
def test_the_fused_kernel_agrees_at_sizes_where_it_is_used(dtype, keep, grad) -> None:
    q, k, v = qkv(2, 4, 130, 130, 32, dtype=dtype, requires_grad=grad)
    trace = attend(q, k, v, keep=keep, temperature=0.7)
    close(trace.z, trace.weights @ v)


def test_causal_attention_sees_no_later_key() -> None:
    q, k, v = qkv(t=7, s=7)
    weights = attend(q, k, v, keep=Mask(causal=True)).weights
    assert weights.triu(1).eq(0).all()
    assert weights.tril().ne(0).sum() == 2 * 3 * 28


@pytest.mark.parametrize(("t", "s"), [(5, 9), (9, 5)])
def test_causal_with_other_keys_than_queries(t: int, s: int) -> None:
    q, k, v = qkv(t=t, s=s)
    trace = attend(q, k, v, keep=Mask(causal=True))
    keep = torch.tensor([[j <= i for j in range(s)] for i in range(t)])
    close(trace.z, loops(q, k, v, keep=keep)[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [4, 130])
def test_a_starved_row_gives_zero_and_finite_gradients(dtype, bias, size) -> None:
    tensors = qkv(2, 2, size, size, 8, dtype=dtype, requires_grad=True)
    keep = torch.rand(2, 1, size, size) < 0.7
    keep[:, :, :, :2] = True
    keep[:, :, 1] = False
    keep[1, :, 2] = False
    added = torch.randn(size, size, dtype=dtype) if bias else None
    trace = attend(*tensors, keep=keep, bias=added)
    assert trace.weights[:, :, 1].eq(0).all()
    assert trace.weights[1, :, 2].eq(0).all()
    assert trace.z[:, :, 1].eq(0).all()
    assert trace.z[1, :, 2].eq(0).all()
    assert trace.z[0, :, 2].ne(0).any()
    for loss in (trace.z.square().sum(), trace.weights.square().sum()):
        dq, dk, dv = gradients(loss, *tensors)
        assert all(d.isfinite().all() for d in (dq, dk, dv))
        assert dq[:, :, 1].eq(0).all()
        assert dq[0, :, 0].ne(0).any()


def test_everything_forbidden_is_zero_everywhere() -> None:
    q, k, v = qkv()
    trace = attend(q, k, v, keep=torch.zeros(1, 1, 1, 1, dtype=torch.bool))
    assert trace.weights.eq(0).all()
    assert trace.z.eq(0).all()


def test_a_bias_of_minus_infinity_starves_a_row_like_a_mask() -> None:
    q, k, v = qkv()
    bias = torch.zeros(5, 6, dtype=torch.float64)
    bias[1] = -INF
    bias[2, :5] = -INF
    trace = attend(q, k, v, bias=bias)
    assert trace.weights[:, :, 1].eq(0).all()
    assert trace.z[:, :, 1].eq(0).all()
    close(trace.weights[:, :, 2, 5], torch.ones(2, 3, dtype=torch.float64))


def test_a_bias_and_a_mask_that_starve_a_row_only_together() -> None:
    q, k, v = qkv()
    bias = torch.zeros(5, 6, dtype=torch.float64)
    bias[1, :4] = -INF
    keep = torch.ones(5, 6, dtype=torch.bool)
    keep[1, 4:] = False
    trace = attend(q, k, v, bias=bias, keep=keep)
    assert trace.weights[:, :, 1].eq(0).all()
    assert trace.z[:, :, 1].eq(0).all()


@given(st.integers(0, 2**31), st.booleans(), st.booleans(), st.floats(0.3, 3))
def test_gradients_are_those_of_the_formula(seed: int, masked: bool, biased: bool, temperature: float) -> None:
    torch.manual_seed(seed)
    tensors = qkv(2, 2, 4, 5, 3, requires_grad=True)
    keep = torch.rand(2, 1, 4, 5) < 0.6 if masked else None
    bias = torch.randn(2, 1, 5, dtype=torch.float64, requires_grad=True) if biased else None
    inputs = [*tensors, *([bias] if biased else [])]
    trace = attend(*tensors, keep=keep, bias=bias, temperature=temperature)
    weights, z = explicit(*tensors, keep=keep, bias=bias, temperature=temperature)
    r1, r2 = torch.randn_like(z), torch.randn_like(weights)
    mine = gradients((trace.z * r1).sum() + (trace.weights * r2).sum(), *inputs)
    theirs = gradients((z * r1).sum() + (weights * r2).sum(), *inputs)
    for a, b in zip(mine, theirs, strict=True):
        close(a, b)


def test_alibi_is_a_bias_by_distance() -> None:
    q, k, v = qkv(h=4, t=6, s=6)
    slopes = alibi_slopes(4).double()
    distance = torch.tensor([[abs(i - j) for j in range(6)] for i in range(6)], dtype=torch.float64)
    dense = -slopes[:, None, None] * distance
    by_slope, by_bias = attend(q, k, v, alibi=slopes), attend(q, k, v, bias=dense)
    close(by_slope.scores, by_bias.scores)
    close(by_slope.z, by_bias.z)
    extra = torch.randn(6, 6, dtype=torch.float64)
    close(attend(q, k, v, alibi=slopes, bias=extra).z, attend(q, k, v, bias=dense + extra).z)


def test_a_head_factor_scales_z_and_not_the_weights() -> None:
    q, k, v = qkv()
    factors = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    plain, scaled = attend(q, k, v), attend(q, k, v, head_scale=factors)
    assert torch.equal(scaled.weights, plain.weights)
    close(scaled.z, plain.z * factors[:, None, None])


@pytest.mark.parametrize("temperature", [1e-3, 1e-5])
def test_temperature_towards_zero_gives_the_argmax(temperature: float) -> None:
    q, k, v = qkv()
    bias = torch.rand(2, 3, 5, 6).argsort(-1).double()  # no two scores of a row nearer than about 0.5
    q = q * 0.01
    trace = attend(q, k, v, bias=bias, temperature=temperature)
    top = torch.nn.functional.one_hot(bias.argmax(-1), 6).double()
    close(trace.weights, top)
    close(trace.z, top @ v)


def test_temperature_towards_infinity_gives_the_mean_of_what_is_allowed() -> None:
    q, k, v = qkv(t=6, s=6)
    trace = attend(q, k, v, temperature=1e12)
    close(trace.weights, torch.full((2, 3, 6, 6), 1 / 6, dtype=torch.float64))
    close(trace.z, v.mean(2, keepdim=True).expand_as(v))
    causal = attend(q, k, v, temperature=1e12, keep=Mask(causal=True)).weights
    rows = torch.tensor([[1 / (i + 1) if j <= i else 0 for j in range(6)] for i in range(6)])
    close(causal, rows.double().expand(2, 3, 6, 6), 1e-7)


@pytest.mark.parametrize("temperature", [1e-30, 1e-40, 5e-324, 1e-6, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_no_temperature_gives_nan(temperature: float, dtype: torch.dtype) -> None:
    """Either it is refused, or every number is one."""
    tensors = qkv(dtype=dtype)
    try:
        trace = attend(*tensors, temperature=temperature)
    except InvalidParameterError as error:
        assert str(temperature) in str(error)
        return
    assert trace.weights.isfinite().all()
    assert trace.z.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_results_have_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    q, k, v = qkv(dtype=dtype)
    bias = torch.randn(5, 6)  # of another floating dtype
    trace = attend(q, k, v, bias=bias, keep=Mask(causal=True), alibi=alibi_slopes(3))
    assert {x.dtype for x in (trace.scores, trace.weights, trace.z)} == {dtype}


def test_bfloat16_is_near_float64() -> None:
    tensors = qkv(dtype=torch.bfloat16)
    trace = attend(*tensors)
    _, weights, z = loops(*tensors)
    close(trace.weights.double(), weights, 0.02)
    close(trace.z.double(), z, 0.05)


@pytest.mark.parametrize("keys", [6, 9])
@pytest.mark.parametrize("alibi", [False, True])
def test_bfloat16_with_gradients_gives_what_float32_gives(keys: int, alibi: bool) -> None:
    """Under a causal mask it takes another way than the fused kernel: same values, same gradients."""
    q, k, v = torch.randn(2, 4, 6, 8), torch.randn(2, 4, keys, 8), torch.randn(2, 4, keys, 8)
    slopes = alibi_slopes(4, q) if alibi else None
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        inputs = [x.bfloat16().to(dtype).requires_grad_() for x in (q, k, v)]
        z = attend(*inputs, keep=Mask(causal=True), temperature=0.7, alibi=slopes).z
        assert z.dtype == dtype and ("ScaledDot" not in str(z.grad_fn)) == (dtype == torch.bfloat16)
        found.append([z, *torch.autograd.grad(z.float().square().sum(), inputs)])
    for exact, rough in zip(*found, strict=True):
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("shape", [(), (6,), (1,), (5, 1), (3, 1, 1), (2, 1, 1, 6)])
def test_masks_and_biases_of_any_rank_broadcast(shape: tuple[int, ...]) -> None:
    q, k, v = qkv()
    keep = torch.rand(shape) < 0.7
    bias = torch.randn(shape, dtype=torch.float64)
    for options in ({"keep": keep}, {"bias": bias}, {"keep": keep, "bias": bias}):
        close(attend(q, k, v, **options).z, loops(q, k, v, **options)[2])


def test_dropout_drops_weights_and_keeps_their_expectation() -> None:
    q, k = (torch.zeros(1, 1, 400, 8) for _ in range(2))
    v = torch.ones(1, 1, 400, 8)
    trace = attend(q, k, v, dropout=0.25)
    assert trace.z.std() > 0.01  # some rows lost more than others
    assert trace.z.mean().item() == pytest.approx(1.0, abs=0.01)  # what is left is scaled up by 1/0.75
    close(trace.weights, torch.full((1, 1, 400, 400), 1 / 400))  # before dropout
    assert not torch.equal(trace.z, attend(q, k, v, dropout=0.25).z)
    assert attend(q, k, v, dropout=1.0).z.eq(0).all()


def test_dropout_acts_at_the_coldest_temperatures_too() -> None:
    q, k = (torch.zeros(1, 1, 100, 8) for _ in range(2))
    v = torch.ones(1, 1, 100, 8)
    z = attend(q, k, v, dropout=0.25, temperature=1e-5).z
    assert z.std() > 0.01
    assert z.mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("temperature", [1e-4, 1e-6])
def test_z_is_the_weights_times_v_where_scores_nearly_tie(temperature: float) -> None:
    """In float32 a fused softmax of scores / τ would choose differently from the weights that are shown."""
    q, k, v = qkv(2, 4, 40, 30, 16, dtype=torch.float32)
    k = torch.cat([k, k + 3e-7 * torch.randn_like(k)], dim=2)
    v = torch.cat([v, torch.randn_like(v)], dim=2)
    trace = attend(q, k, v, temperature=temperature)
    close(trace.z, trace.weights @ v)


def test_a_starved_row_under_dropout_is_zero() -> None:
    q, k, v = qkv(dtype=torch.float32)
    keep = torch.ones(5, 6, dtype=torch.bool)
    keep[3] = False
    assert attend(q, k, v, keep=keep, dropout=0.3).z[:, :, 3].eq(0).all()


def test_a_trace_is_frozen_and_holds_nothing_quadratic() -> None:
    q, k, v = qkv(1, 2, 64, 64, 4)
    trace = attend(q, k, v, keep=Mask(causal=True, window=9, lengths=(50,)), alibi=alibi_slopes(2))
    assert trace.weights.numel() == 2 * 64 * 64
    with pytest.raises(FrozenInstanceError):
        trace.z = q  # type: ignore[misc]
    held = [getattr(trace, field.name) for field in fields(trace)]
    assert max(x.numel() for x in held if isinstance(x, Tensor)) == 2 * 64 * 4


def test_scores_and_weights_are_the_same_each_time() -> None:
    trace = attend(*qkv(), keep=Mask(causal=True))
    assert torch.equal(trace.weights, trace.weights)
    assert torch.equal(trace.scores, trace.scores)
    assert trace.scores.isneginf().sum() == (~trace.keep).sum() * 6


def test_a_trace_can_be_pickled() -> None:
    trace = attend(*qkv(), keep=Mask(causal=True), temperature=0.5)
    again = pickle.loads(pickle.dumps(trace))
    assert isinstance(again, AttentionTrace)
    assert torch.equal(again.weights, trace.weights)


Q, K, V = torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 6, 4), torch.zeros(2, 3, 6, 7)


@pytest.mark.parametrize("keep", [None, Mask(causal=True)])
@pytest.mark.parametrize(("queries", "keys", "texts"), [(0, 6, 2), (5, 0, 2), (0, 0, 2), (5, 6, 0)])
def test_nothing_to_attend_to_gives_zeros(queries: int, keys: int, texts: int, keep: Mask | None) -> None:
    trace = attend(Q[:texts, :, :queries], K[:texts, :, :keys], V[:texts, :, :keys], keep=keep)
    assert trace.weights.shape == (texts, 3, queries, keys)
    assert trace.z.shape == (texts, 3, queries, 7)
    assert trace.z.isfinite().all()
    if keys == 0:
        assert not trace.z.any()


@pytest.mark.parametrize(
    ("tensors", "options", "error", "words"),
    [
        ((Q[0], K, V), {}, ShapeError, ["(3, 5, 4)", "(2, 3, 6, 4)"]),
        ((Q[:1], K, V), {}, ShapeError, ["(1, 3, 5, 4)", "(2, 3, 6, 4)"]),
        ((Q[:, :2], K, V), {}, ShapeError, ["(2, 2, 5, 4)"]),
        ((Q[..., :3], K, V), {}, ShapeError, ["(2, 3, 5, 3)", "(2, 3, 6, 4)"]),
        ((Q, K, V[:, :, :5]), {}, ShapeError, ["(2, 3, 6, 4)", "(2, 3, 5, 7)"]),
        ((Q[:, :0], K[:, :0], V[:, :0]), {}, ShapeError, ["(2, 0, 5, 4)"]),
        ((Q, K, V), {"keep": torch.ones(5, 5, dtype=torch.bool)}, ShapeError, ["(5, 5)", "(2, 3, 5, 6)"]),
        ((Q, K, V), {"keep": torch.ones(1, 2, 3, 5, 6) > 0}, ShapeError, ["(1, 2, 3, 5, 6)"]),
        ((Q, K, V), {"bias": torch.ones(4, 1, 1)}, ShapeError, ["bias (4, 1, 1)", "(2, 3, 5, 6)"]),
        ((Q, K, V), {"alibi": torch.ones(5)}, ShapeError, ["5", "3"]),
        ((Q, K, V), {"head_scale": torch.ones(4)}, ShapeError, ["4", "3"]),
        ((Q, K, V), {"keep": Mask(lengths=(1, 2, 3))}, ShapeError, ["3", "2"]),
        ((Q.long(), K, V), {}, DTypeError, ["q", "int64"]),
        ((Q, K.double(), V), {}, DTypeError, ["k", "float64", "float32"]),
        ((Q, K, V.cfloat()), {}, DTypeError, ["v", "complex64"]),
        (([[1.0]], K, V), {}, DTypeError, ["q", "list"]),
        ((Q, K, V), {"keep": torch.ones(5, 6)}, DTypeError, ["float32"]),
        ((Q, K, V), {"bias": torch.ones(5, 6, dtype=torch.bool)}, DTypeError, ["bias", "bool"]),
        ((Q, K, V), {"bias": torch.ones(5, 6, dtype=torch.long)}, DTypeError, ["bias", "int64"]),
        ((Q, K, V), {"temperature": 0}, InvalidParameterError, ["temperature=0"]),
        ((Q, K, V), {"temperature": -1.5}, InvalidParameterError, ["temperature=-1.5"]),
        ((Q, K, V), {"temperature": math.nan}, InvalidParameterError, ["temperature=nan"]),
        ((Q, K, V), {"temperature": math.inf}, InvalidParameterError, ["temperature=inf"]),
        ((Q, K, V), {"temperature": "hot"}, InvalidParameterError, ["temperature='hot'"]),
        ((Q, K, V), {"scale": math.nan}, InvalidParameterError, ["scale=nan"]),
        ((Q, K, V), {"scale": math.inf}, InvalidParameterError, ["scale=inf"]),
        ((Q, K, V), {"dropout": 1.5}, InvalidParameterError, ["dropout=1.5"]),
        ((Q, K, V), {"dropout": -0.1}, InvalidParameterError, ["dropout=-0.1"]),
    ],
)
def test_errors_carry_the_numbers(tensors, options, error, words) -> None:
    with pytest.raises(error) as caught:
        attend(*tensors, **options)
    for word in words:
        assert word in str(caught.value)


def test_promised_kinds_of_error() -> None:
    """Code written for torch catches ValueError and TypeError."""
    assert issubclass(InvalidParameterError, ValueError)
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)


def capped(q: Tensor, k: Tensor, cap: float) -> Tensor:
    return cap * ((q.double() @ k.double().mT) / (cap * q.shape[-1] ** 0.5)).tanh()


def test_a_soft_cap_bends_the_scores_before_a_bias_is_added() -> None:
    q, k, v = (3 * torch.randn(2, 3, 5, 8) for _ in range(3))
    bias = torch.randn(1, 3, 5, 5)
    trace = attend(q, k, v, bias=bias, softcap=2.0, temperature=0.5)
    expected = ((capped(q, k, 2.0) + bias) / 0.5).softmax(-1)
    close(trace.weights, expected.float(), 1e-5)
    close(trace.z, expected.float() @ v, 1e-5)


def test_a_sink_takes_its_part_of_each_row() -> None:
    """As a key whose score is the sink's and whose value is 0."""
    q, k, v = (torch.randn(2, 3, 5, 8) for _ in range(3))
    sinks = torch.tensor([0.0, 2.0, -50.0])
    trace = attend(q, k, v, keep=Mask(causal=True), sinks=sinks, temperature=2.0)
    scores = (q @ k.mT / 8**0.5).masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf)
    powers = (scores / 2).exp()
    expected = powers / (powers.sum(-1, keepdim=True) + (sinks / 2).exp()[:, None, None])
    close(trace.weights, expected, 1e-6)
    close(trace.z, expected @ v, 1e-5)
    close(trace.weights[:, 2].sum(-1), torch.ones(2, 5), 1e-6)
    nothing = attend(q, k, v, keep=torch.zeros(5, 5, dtype=torch.bool), sinks=sinks)
    assert nothing.weights.abs().max() == 0 and nothing.z.abs().max() == 0


@pytest.mark.parametrize("given", [{"softcap": 0.0}, {"softcap": math.nan}, {"sinks": torch.zeros(2)}])
def test_a_cap_or_a_sink_that_is_none_is_refused(given: dict) -> None:
    q = torch.randn(1, 3, 5, 8)
    with pytest.raises((InvalidParameterError, ShapeError)):
        attend(q, q, q, **given)
