"""Patterns against loops over every pair of query and key."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import InvalidParameterError
from attnviz.nn import mask_patterns

N = st.integers(1, 12)
SIZE = st.integers(0, 14)
FROM_1 = st.integers(1, 14)


def loops(n: int, allowed) -> list[list[bool]]:
    return [[bool(allowed(i, j)) for j in range(n)] for i in range(n)]


@given(N)
def test_causal(n: int) -> None:
    assert mask_patterns.causal(n).tolist() == loops(n, lambda i, j: j <= i)


@given(N, SIZE)
def test_window(n: int, size: int) -> None:
    assert mask_patterns.window(n, size).tolist() == loops(n, lambda i, j: abs(i - j) <= size)


@given(N, SIZE, FROM_1)
def test_strided(n: int, size: int, stride: int) -> None:
    reached = mask_patterns.strided(n, size, stride)
    assert reached.tolist() == loops(n, lambda i, j: abs(i - j) <= size or j in range(i % stride, n, stride))


@given(N, FROM_1)
def test_block(n: int, size: int) -> None:
    assert mask_patterns.block(n, size).tolist() == loops(
        n, lambda i, j: any({i, j} <= set(range(a, a + size)) for a in range(0, n, size))
    )


@given(N, SIZE)
def test_prefix(n: int, length: int) -> None:
    assert mask_patterns.prefix(n, length).tolist() == loops(n, lambda i, j: j < length or j <= i)


@given(N, SIZE, FROM_1)
def test_every_pattern_is_square_bool_and_lets_a_query_see_itself(n: int, size: int, stride: int) -> None:
    found = [mask_patterns.causal(n), mask_patterns.window(n, size), mask_patterns.strided(n, size, stride)]
    for keep in (*found, mask_patterns.block(n, stride), mask_patterns.prefix(n, size)):
        assert keep.dtype == torch.bool and keep.shape == (n, n)
        assert keep.diagonal().all()


@given(st.integers(2, 6))
def test_two_layers_of_the_strided_pattern_reach_the_whole_past(root: int) -> None:
    """Child et al. 2019: with size + 1 = stride = √n, every earlier key is one step away from a reached one."""
    n = root * root
    one = (mask_patterns.strided(n, root - 1, root) & mask_patterns.causal(n)).float()
    assert torch.equal(one @ one > 0, mask_patterns.causal(n))
    assert one.sum() < mask_patterns.causal(n).sum() or n < 9


def test_the_patterns_in_the_documentation() -> None:
    shown = mask_patterns.__doc__ or ""
    rows = [line.split() for line in shown.splitlines() if line.strip() and set(line.split()) <= {"0", "1"}]
    drawn = [torch.tensor([[bool(int(x)) for x in row[4 * i : 4 * i + 4]] for row in rows]) for i in range(5)]
    real = [
        mask_patterns.causal(4),
        mask_patterns.window(4, 1),
        mask_patterns.block(4, 2),
        mask_patterns.strided(4, 0, 2),
        mask_patterns.prefix(4, 2),
    ]
    assert all(torch.equal(a, b) for a, b in zip(drawn, real, strict=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mask_patterns.causal(0), "n=0"),
        (lambda: mask_patterns.window(4, -1), "window size -1"),
        (lambda: mask_patterns.window(4, 1.5), "1.5"),
        (lambda: mask_patterns.strided(4, 1, 0), "stride=0"),
        (lambda: mask_patterns.strided(4, -2, 1), "-2"),
        (lambda: mask_patterns.block(4, 0), "size=0"),
        (lambda: mask_patterns.prefix(4, -3), "prefix length -3"),
        (lambda: mask_patterns.block(True, 1), "n=True"),
    ],
)
def test_errors_carry_the_numbers(make, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        make()
