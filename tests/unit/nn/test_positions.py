"""Positional encodings against their formulas, written out position by position."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import InvalidParameterError, ShapeError
from attnviz.nn.positions import alibi_bias, alibi_slopes, learned, none, rope, sinusoidal
from tests.support.parity import close

WIDTHS = st.integers(1, 6).map(lambda n: 2 * n)


@given(st.integers(1, 12), WIDTHS, st.sampled_from([10_000.0, 100.0]))
def test_sinusoidal_is_the_papers_formula(n: int, width: int, base: float) -> None:
    expected = torch.zeros(n, width)
    for p in range(n):
        for i in range(width // 2):
            angle = p / base ** (2 * i / width)
            expected[p, 2 * i], expected[p, 2 * i + 1] = math.sin(angle), math.cos(angle)
    close(sinusoidal(n, width, base=base), expected, 1e-6)


def test_sinusoidal_stays_exact_far_out() -> None:
    table = sinusoidal(20_001, 8)
    for i in range(4):
        angle = 20_000 / 10_000 ** (2 * i / 8)
        assert table[20_000, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[20_000, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_rows_all_differ() -> None:
    table = sinusoidal(512, 16)
    assert (torch.cdist(table, table) + torch.eye(512)).min() > 0.01


def test_none_is_zeros() -> None:
    assert none(3, 5).shape == (3, 5)
    assert none(3, 5).eq(0).all()


def test_learned_is_the_first_rows_of_its_table() -> None:
    table = torch.randn(6, 4)
    assert torch.equal(learned(table, 3), table[:3])
    assert torch.equal(learned(table, 6), table)


def test_learned_does_not_exist_beyond_its_table() -> None:
    with pytest.raises(ShapeError, match=r"7 .* 6"):
        learned(torch.randn(6, 4), 7)


@given(st.integers(0, 2**31), st.integers(1, 6), WIDTHS, st.integers(0, 50), st.sampled_from([10_000.0, 50.0]))
def test_rope_turns_each_pair_by_its_angle(seed: int, n: int, width: int, start: int, base: float) -> None:
    torch.manual_seed(seed)
    x = torch.randn(2, 3, n, width, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for p in range(n):
        for i in range(width // 2):
            angle = (start + p) / base ** (2 * i / width)
            turn = torch.tensor(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
            )
            expected[..., p, 2 * i : 2 * i + 2] = x[..., p, 2 * i : 2 * i + 2] @ turn.T
    close(rope(x, base=base, start=start), expected)


@given(st.integers(0, 2**31), WIDTHS, st.integers(0, 400), st.integers(0, 400), st.integers(0, 100_000))
def test_rope_scores_depend_on_the_offset_only(seed: int, width: int, i: int, j: int, shift: int) -> None:
    torch.manual_seed(seed)
    q, k = (torch.randn(1, width, dtype=torch.float64) for _ in range(2))

    def score(at_q: int, at_k: int) -> torch.Tensor:
        return (rope(q, start=at_q) @ rope(k, start=at_k).T).squeeze()

    close(score(i, j), score(i + shift, j + shift), 1e-9)  # float64 angles of 1e5 carry 1e-11


def test_rope_scores_do_depend_on_the_offset() -> None:
    q, k = (torch.randn(1, 8, dtype=torch.float64) for _ in range(2))
    scores = [(rope(q, start=i) @ rope(k).T).item() for i in range(5)]
    assert len({round(score, 6) for score in scores}) == 5


@given(st.integers(0, 2**31), WIDTHS, st.integers(0, 10_000))
def test_rope_keeps_the_length_of_every_vector(seed: int, width: int, start: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(2, 5, width, dtype=torch.float64)
    close(rope(x, start=start).norm(dim=-1), x.norm(dim=-1))


def test_rope_leaves_position_zero_and_the_input_alone() -> None:
    x = torch.randn(3, 4, 8)
    before = x.clone()
    close(rope(x)[:, 0], x[:, 0], 1e-7)
    assert torch.equal(x, before)
    assert rope(x.bfloat16()).dtype == torch.bfloat16
    close(rope(x, start=7), rope(torch.cat([torch.zeros(3, 7, 8), x], 1))[:, 7:], 1e-6)


def reference_slopes(n: int) -> list[float]:
    """get_slopes of the paper's own code (github.com/ofirpress/attention_with_linear_biases)."""

    def of_power(n: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(n).is_integer():
        return of_power(n)
    closest = 2 ** math.floor(math.log2(n))
    return of_power(closest) + reference_slopes(2 * closest)[0::2][: n - closest]


def test_alibi_slopes_of_eight_heads() -> None:
    assert alibi_slopes(8).tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12, 16, 20, 31, 64, 100])
def test_alibi_slopes_are_the_references(n: int) -> None:
    close(alibi_slopes(n), torch.tensor(reference_slopes(n)), 1e-7)
    exact = alibi_slopes(n, torch.zeros(1, dtype=torch.float64))
    close(exact, torch.tensor(reference_slopes(n), dtype=torch.float64), 1e-14)


def test_alibi_slopes_do_not_lose_precision_in_half() -> None:
    assert alibi_slopes(12, torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_alibi_bias_falls_linearly_with_the_distance(heads: int, t: int, s: int) -> None:
    slopes = torch.rand(heads, dtype=torch.float64)
    expected = [[[-m * abs(i - j) for j in range(s)] for i in range(t)] for m in slopes.tolist()]
    close(alibi_bias(slopes, t, s), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sinusoidal(4, 5), "5"),
        (lambda: sinusoidal(4, 0), "0"),
        (lambda: sinusoidal(0, 4), "0"),
        (lambda: rope(torch.zeros(2, 3)), "3"),
        (lambda: alibi_slopes(0), "n_heads=0"),
    ],
)
def test_errors_carry_the_numbers(make, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        make()
