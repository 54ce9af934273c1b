"""Each cheap way to attend against the matrix that it comes to, and against plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attnviz import DTypeError, InvalidParameterError, ShapeError, attend
from attnviz.analysis import variants
from attnviz.analysis.variants import Variant, compare, matrix, output, pattern, pooled, relative_error, shared
from attnviz.nn import mask_patterns, reference
from tests.support.parity import close

F64 = torch.float64
VARIANTS = st.one_of(
    st.builds(Variant, kind=st.sampled_from(["full", "fused", "linear"])),
    st.builds(Variant, kind=st.just("local"), size=st.integers(0, 90)),
    st.builds(Variant, kind=st.just("strided"), size=st.integers(0, 90), stride=st.integers(1, 90)),
    st.builds(Variant, kind=st.just("grouped"), groups=st.sampled_from([1, 2, 4])),
)
LENGTHS = st.integers(1, 8) | st.integers(30, 100)  # around and beyond a block


def qkv(n: int, heads: int = 4, width: int = 3, value_width: int = 5, dtype: torch.dtype = F64) -> list[Tensor]:
    return [torch.randn(heads, n, d, dtype=dtype) for d in (width, width, value_width)]


def own_values(variant: Variant, v: Tensor) -> Tensor:
    return shared(v, variant.groups) if variant.kind == "grouped" else v


@given(VARIANTS, LENGTHS, st.booleans(), st.none() | st.floats(0.01, 2))
def test_the_output_is_the_matrix_times_the_values(variant: Variant, n: int, causal: bool, scale: float | None) -> None:
    q, k, v = qkv(n)
    weights = matrix(variant, q, k, scale=scale, causal=causal)
    close(output(variant, q, k, v, scale=scale, causal=causal), weights @ own_values(variant, v))
    close(weights.sum(-1), torch.ones(4, n, dtype=F64))
    allowed = pattern(variant, n, causal)
    assert (weights[:, ~allowed] == 0).all() and (weights[:, allowed] > 0).all()


@given(VARIANTS, st.integers(1, 40), st.booleans())
def test_the_matrix_is_the_formula_in_plain_numpy(variant: Variant, n: int, causal: bool) -> None:
    q, k, _ = qkv(n)
    weights = matrix(variant, q, k, causal=causal).numpy()
    i, j = np.mgrid[:n, :n]
    seen = np.ones((n, n), bool)
    if variant.kind in ("local", "strided"):
        seen = abs(i - j) <= variant.size
    if variant.kind == "strided":
        seen |= (i - j) % variant.stride == 0
    if causal:
        seen &= j <= i
    if variant.kind == "linear":
        phi = [np.where(x > 0, x + 1, np.exp(x)) for x in (q.numpy(), k.numpy())]
        products = np.where(seen, phi[0] @ phi[1].swapaxes(1, 2), 0)
        expected = products / products.sum(-1, keepdims=True)
    else:
        if variant.kind == "grouped":
            size = 4 // variant.groups
            means = [k[g * size : (g + 1) * size].mean(0) for g in range(variant.groups)]
            k = torch.stack([means[h // size] for h in range(4)])
        expected = reference.attention(q, k, k, keep=seen)[1]
    np.testing.assert_allclose(weights, expected, atol=1e-12)


@given(LENGTHS, st.integers(0, 90), st.integers(1, 90), st.booleans())
def test_patterns_are_those_of_the_masks(n: int, size: int, stride: int, causal: bool) -> None:
    past = mask_patterns.causal(n) if causal else torch.ones(n, n, dtype=torch.bool)
    assert (pattern(Variant("local", size=size), n, causal) == mask_patterns.window(n, size) & past).all()
    strided = pattern(Variant("strided", size=size, stride=stride), n, causal)
    assert (strided == mask_patterns.strided(n, size, stride) & past).all()


@given(LENGTHS, st.booleans())
def test_full_attention_is_attend(n: int, causal: bool) -> None:
    q, k, v = qkv(n)
    trace = attend(q[None], k[None], v[None], keep=mask_patterns.causal(n) if causal else None)
    for kind in ("full", "fused"):
        close(output(Variant(kind), q, k, v, causal=causal), trace.z[0])
    close(matrix(Variant("full"), q, k, causal=causal), trace.weights[0])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 65])
def test_where_nothing_is_left_out_the_variants_are_full_attention(n: int, causal: bool) -> None:
    q, k, v = qkv(n)
    whole = output(Variant("full"), q, k, v, causal=causal)
    same = [
        Variant("local", size=n),
        Variant("strided", size=0, stride=1),
        Variant("strided", size=n, stride=7),
        Variant("grouped", groups=4),
    ]
    for variant in same:
        close(output(variant, q, k, v, causal=causal), whole)
    assert all(one.error.max() < 1e-10 for one in compare(same, q, k, v, causal=causal))


@given(VARIANTS, LENGTHS, st.booleans())
def test_alibi_biases_every_variant_that_has_scores(variant: Variant, n: int, causal: bool) -> None:
    """The models with ALiBi are shown as they are: full attention is theirs, and the others have the same bias."""
    q, k, v = qkv(n)
    slopes = torch.tensor([0.5, 0.25, 0.1, 2.0], dtype=F64)
    weights = matrix(variant, q, k, causal=causal, alibi=slopes)
    close(output(variant, q, k, v, causal=causal, alibi=slopes), weights @ own_values(variant, v))
    if variant.kind in ("full", "fused"):
        keep = mask_patterns.causal(n) if causal else None
        close(weights, attend(q[None], k[None], v[None], keep=keep, alibi=slopes).weights[0])
    elif variant.kind == "linear":
        close(weights, matrix(variant, q, k, causal=causal))


@pytest.mark.parametrize(
    ("heads", "n", "size", "groups", "same"),
    [
        (4, 9, 2, 2, set()),
        (2, 9, 2, 2, {"grouped"}),  # as many key heads as heads
        (5, 9, 2, 5, {"grouped"}),
        (4, 9, 8, 2, {"local", "strided"}),  # the window holds the whole text
        (1, 9, 2, 1, {"multi", "grouped"}),
        (4, 1, 0, 2, {"local", "strided"}),
    ],
)
def test_what_is_full_attention_under_another_name_is_known(
    heads: int, n: int, size: int, groups: int, same: set[str]
) -> None:
    q, k, v = qkv(n, heads)
    found = variants.survey(q, k, v, size=size, groups=groups)
    assert found.same == same
    for kind in same:
        assert float(found.by_kind[kind].error.max()) < 1e-10


def test_one_group_is_multi_query_attention() -> None:
    """Shazeer 2019: all heads of queries read one head of keys and values."""
    q, k, v = qkv(9)
    one_k, one_v = k.mean(0), v.mean(0)
    by_hand = torch.stack([(q[h] @ one_k.mT / math.sqrt(3)).softmax(-1) @ one_v for h in range(4)])
    close(output(Variant("grouped", groups=1), q, k, v), by_hand)


def test_pooling_keys_is_pooling_their_projections() -> None:
    """Ainslie et al. 2023 average the heads' projection matrices; the keys' mean is what those project."""
    x, w, b = torch.randn(7, 12, dtype=F64), torch.randn(4, 3, 12, dtype=F64), torch.randn(4, 1, 3, dtype=F64)
    keys = x @ w.mT + b  # (H, T, D)
    merged_w, merged_b = w.unflatten(0, (2, 2)).mean(1), b.unflatten(0, (2, 2)).mean(1)
    close(pooled(keys, 2), x @ merged_w.mT + merged_b)


def test_linear_attention_is_the_recurrence_of_its_paper() -> None:
    """Katharopoulos et al. 2020, equations 16 to 20: a state that each token adds to."""
    q, k, v = qkv(70, heads=1)
    phi_q, phi_k = variants.feature_map(q[0]), variants.feature_map(k[0])
    state, total, rows = torch.zeros(3, 5, dtype=F64), torch.zeros(3, dtype=F64), []
    for i in range(70):
        state, total = state + phi_k[i][:, None] * v[0, i], total + phi_k[i]
        rows.append(phi_q[i] @ state / (phi_q[i] @ total))
    close(output(Variant("linear"), q, k, v, causal=True)[0], torch.stack(rows))


def test_the_feature_map_stays_positive_where_elu_plus_one_rounds_to_nought() -> None:
    x = torch.tensor([-60.0, -18.0, -1.0, 0.0, 2.0])
    phi = variants.feature_map(x)
    assert (phi > 0).all()
    torch.testing.assert_close(phi[2:], torch.nn.functional.elu(x[2:]) + 1)


def test_the_feature_map_can_be_trained_through() -> None:
    x = torch.tensor([-1.0, 200.0], requires_grad=True)
    (slope,) = torch.autograd.grad(variants.feature_map(x).sum(), x)
    torch.testing.assert_close(slope, torch.tensor([math.exp(-1), 1.0]))


@pytest.mark.parametrize("causal", [False, True])
def test_features_that_underflow_give_nothing_not_nan(causal: bool) -> None:
    q = torch.full((1, 3, 2), -500.0)
    v = torch.ones(1, 3, 2)
    assert not output(Variant("linear"), q, q, v, causal=causal).any()
    assert not matrix(Variant("linear"), q, q, causal=causal).any()


@pytest.mark.parametrize("variant", [Variant("local", size=2), Variant("strided", size=2, stride=5)])
def test_large_scores_stay_finite(variant: Variant) -> None:
    q, k, v = qkv(50, dtype=torch.float32)
    z = output(variant, 1e4 * q, k, v)
    assert z.isfinite().all()
    torch.testing.assert_close(z, matrix(variant, 1e4 * q, k) @ v, atol=1e-3, rtol=1e-3)


def test_errors_are_relative_and_per_head() -> None:
    expected = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]], [[1.0, 0.0]]])
    z = expected.clone()
    z[0, 0, 0] += 1
    assert relative_error(z, expected).tolist() == pytest.approx([0.2, 0.0, 0.0])


def test_compare_holds_what_each_variant_gives() -> None:
    q, k, v = qkv(20)
    chosen = [Variant("full"), Variant("local", size=1), Variant("linear"), Variant("grouped", groups=2)]
    found = compare(chosen, q, k, v, causal=True)
    assert [one.variant for one in found] == chosen
    for one in found:
        close(one.z, output(one.variant, q, k, v, causal=True))
        close(one.weights, matrix(one.variant, q, k, causal=True))
        close(one.error, (one.z - found[0].z).flatten(1).norm(dim=1) / found[0].z.flatten(1).norm(dim=1))
    assert not found[0].error.any() and all((one.error > 0.01).all() for one in found[1:])


def test_a_window_ignores_what_is_outside_it() -> None:
    """Changing a far token changes nothing, to the last bit: it is not read."""
    q, k, v = qkv(100)
    before = output(Variant("local", size=3), q, k, v)
    k[:, 50], v[:, 50] = 1e6, math.nan
    after = output(Variant("local", size=3), q, k, v)
    far = [i for i in range(100) if abs(i - 50) > 60]
    assert torch.equal(before[:, far], after[:, far]) and after[:, 50].isnan().all()


def test_what_does_not_fit_is_refused_with_its_numbers() -> None:
    q, k, v = qkv(5)
    for options, words in [
        ({"kind": "sparse"}, "'sparse'"),
        ({"size": -1}, "size=-1"),
        ({"stride": 0}, "stride=0"),
        ({"groups": 0}, "groups=0"),
        ({"size": 1.5}, "size=1.5"),
    ]:
        with pytest.raises(InvalidParameterError, match=words):
            Variant(**{"kind": "strided", **options})
    with pytest.raises(InvalidParameterError, match=r"4 heads .* groups=3"):
        output(Variant("grouped", groups=3), q, k, v)
    with pytest.raises(ShapeError, match=r"\(4, 4, 3\)"):
        output(Variant("local", size=1), q, k[:, :4], v)
    with pytest.raises(ShapeError):
        compare([Variant("full")], q[None], k[None], v[None])
    with pytest.raises(DTypeError, match="int64"):
        output(Variant("full"), q.long(), k, v)
