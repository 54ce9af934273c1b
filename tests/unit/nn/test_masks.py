"""Masks against loops over every pair of query and key."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import DTypeError, InvalidParameterError, Mask
from attnviz.nn.masks import causal, combine, padding, window

SIZES = st.integers(1, 5)


@given(SIZES, SIZES)
def test_causal_keeps_the_past(t: int, s: int) -> None:
    assert causal(t, s).tolist() == [[j <= i for j in range(s)] for i in range(t)]


def test_causal_is_square_by_default() -> None:
    assert causal(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]


@given(SIZES, SIZES, st.none() | st.integers(0, 5), st.booleans())
def test_window_keeps_the_near(t: int, s: int, size: int | None, past_only: bool) -> None:
    expected = [
        [(size is None or abs(i - j) <= size) and (j <= i or not past_only) for j in range(s)] for i in range(t)
    ]
    assert window(t, s, size=size, past_only=past_only).tolist() == expected


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), SIZES)
def test_padding_keeps_the_first_keys_of_each_row(lengths: list[int], s: int) -> None:
    keep = padding(lengths, s)
    assert keep.shape == (len(lengths), 1, 1, s)
    assert keep[:, 0, 0].tolist() == [[j < n for j in range(s)] for n in lengths]


def test_combine_is_and() -> None:
    one, other = torch.tensor([[True, True, False]]), torch.tensor([[True], [False]])
    assert combine() is None
    assert combine(None, None) is None
    assert combine(None, one) is one
    assert combine(one, None, other).tolist() == [[True, True, False], [False, False, False]]
    assert one.tolist() == [[True, True, False]]  # the given masks stay as they are


@st.composite
def masks(draw, batch: int, heads: int, t: int, s: int) -> Mask:
    """Any conditions that fit B × H × T × S."""

    def maybe(strategy):
        return draw(st.none() | strategy)

    cells = st.tuples(st.none() | st.integers(0, heads - 1), st.integers(0, t - 1), st.integers(0, s - 1))
    sizes = [n if draw(st.booleans()) else 1 for n in (batch, heads, t, s)]
    torch.manual_seed(draw(st.integers(0, 2**31)))
    return Mask(
        causal=draw(st.booleans()),
        window=maybe(st.integers(0, 5)),
        lengths=maybe(st.tuples(*[st.integers(0, s)] * batch)),
        blocked=tuple(draw(st.lists(cells, max_size=3))),
        keys=torch.rand(batch, 1, 1, s) < 0.7 if draw(st.booleans()) else None,
        dense=torch.rand(sizes) < 0.7 if draw(st.booleans()) else None,
        extra=draw(st.integers(0, 2)),
    )


@st.composite
def cases(draw):
    sizes = tuple(draw(st.integers(1, 4)) for _ in range(4))
    return draw(masks(*sizes)), sizes


def allowed(mask: Mask, sizes: tuple[int, int, int, int], n: int, head: int, i: int, j: int) -> bool:
    """One pair, condition by condition."""
    if j >= sizes[3]:  # an extra key
        return True
    if mask.causal and j > i:
        return False
    if mask.window is not None and abs(i - j) > mask.window:
        return False
    if mask.lengths is not None and j >= mask.lengths[n]:
        return False
    if any(h in (None, head) and (q, k) == (i, j) for h, q, k in mask.blocked):
        return False
    if mask.keys is not None and not mask.keys[n, 0, 0, j]:
        return False
    return mask.dense is None or bool(mask.dense.broadcast_to(sizes)[n, head, i, j])


def as_loops(mask: Mask, sizes: tuple[int, int, int, int]) -> list:
    b, h, t, s = sizes
    return [
        [[[allowed(mask, sizes, n, head, i, j) for j in range(s + mask.extra)] for i in range(t)] for head in range(h)]
        for n in range(b)
    ]


@given(cases())
def test_keep_is_every_condition_for_every_pair(case) -> None:
    mask, (b, h, t, s) = case
    keep = mask.keep(t, s + mask.extra, h)
    full = (b, h, t, s + mask.extra)
    if keep is None:
        keep = torch.ones(full, dtype=torch.bool)
    assert keep.dtype == torch.bool
    assert keep.broadcast_to(full).tolist() == as_loops(mask, (b, h, t, s))


@given(cases(), st.sampled_from(["causal", "none", ("window", 0), ("window", 2)]))
def test_replaced_keeps_the_padding_and_the_blocked_cells(case, pattern) -> None:
    """Documented: what says which keys are real stays, and a window in a causal model stays causal."""
    mask, (b, h, t, s) = case
    changed = mask.replaced(pattern)
    is_window = isinstance(pattern, tuple)
    expected = replace(
        mask,
        causal=pattern == "causal" or (is_window and mask.causal),
        window=pattern[1] if is_window else None,
        dense=None,
    )
    keep = changed.keep(t, s + mask.extra, h)
    full = (b, h, t, s + mask.extra)
    keep = torch.ones(full, dtype=torch.bool) if keep is None else keep.broadcast_to(full)
    assert keep.tolist() == as_loops(expected, (b, h, t, s))


@given(cases())
def test_only_causal_says_so_exactly(case) -> None:
    mask, (b, h, t, s) = case
    if mask.only_causal:
        assert as_loops(mask, (b, h, t, s)) == as_loops(Mask(causal=True), (b, h, t, s))
        assert mask.extra == 0
    assert Mask(causal=True).only_causal
    for other in (
        Mask(),
        Mask(causal=True, window=1),
        Mask(causal=True, lengths=(1,)),
        Mask(causal=True, extra=1),
        Mask(causal=True, blocked=((None, 0, 0),)),
        Mask(causal=True, dense=torch.ones(1, 1) > 0),
        Mask(causal=True, keys=torch.ones(1, 1, 1, 1) > 0),
    ):
        assert not other.only_causal


def test_no_condition_costs_nothing() -> None:
    assert Mask().keep(10**6, 10**6) is None
    assert Mask(lengths=(7, 7)).keep(10**6, 7) is None
    assert Mask(extra=2).keep(4, 6) is None


def test_a_mask_holds_no_matrix_until_it_is_asked() -> None:
    mask = Mask(causal=True, window=3, lengths=(5, 6))
    assert not any(isinstance(value, torch.Tensor) for value in vars(mask).values())
    with pytest.raises(FrozenInstanceError):
        mask.causal = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Mask(window=-1), InvalidParameterError, ["window=-1"]),
        (lambda: Mask(dense=torch.ones(2, 2)), DTypeError, ["float32"]),
        (lambda: Mask(dense=torch.ones(2, 2).long()), DTypeError, ["int64"]),
        (lambda: Mask(keys=torch.ones(1, 1, 1, 2)), DTypeError, ["float32"]),
        (lambda: Mask(blocked=((None, 4, 0),)).keep(4, 4), InvalidParameterError, ["(4, 0)", "4 × 4"]),
        (lambda: Mask(blocked=((None, 0, 3),)).keep(4, 3), InvalidParameterError, ["(0, 3)", "4 × 3"]),
        (lambda: Mask(blocked=((None, 0, 4),), extra=1).keep(4, 5), InvalidParameterError, ["(0, 4)"]),
        (lambda: Mask(blocked=((2, 0, 0),)).keep(4, 4, 2), InvalidParameterError, ["head 2", "0…1"]),
    ],
)
def test_errors_carry_the_numbers(make, error, words) -> None:
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
