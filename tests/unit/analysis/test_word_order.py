"""The shuffle test, similarity by offset, and scores by distance, against the models and the formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError, ShapeError, load
from attnviz.analysis import word_order
from attnviz.nn import positions, reference
from attnviz.nn.config import PRESETS, preset
from attnviz.nn.transformer import Transformer

TEXT = "The animal didn't cross the street because it was too tired."
SEEDS = st.integers(0, 9_999)
WORDS = st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=1, max_size=12)  # pieces of each word; None: special


def numbered(pieces: list[int | None]) -> list[int | None]:
    """Word numbers of tokens, as an encoding has them."""
    words: list[int | None] = []
    for number, many in enumerate(pieces):
        words += [None] if many is None else [number] * many
    return words


def model(seed: int = 0, **changes: object) -> Transformer:
    """A small random model; weights large enough that positions matter."""
    config = preset("test", n_layers=2, vocab_size=64, **changes)
    found = Transformer(config, torch.Generator().manual_seed(seed)).eval().requires_grad_(False)
    with torch.no_grad():
        for name, weight in found.named_parameters():
            if weight.dim() == 2 and "embed" not in name:
                weight.mul_(10)
    return found


# ---- words in another order ----------------------------------------------------------------------


@given(WORDS, SEEDS)
def test_words_move_whole_and_special_tokens_stay(pieces: list[int | None], seed: int) -> None:
    words = numbered(pieces)
    drawn = word_order.word_order(words, seed)
    assert sorted(drawn) == list(range(len(words)))
    new = [words[i] for i in drawn]
    for a, b in pairwise(drawn):  # within a word, the pieces follow one another
        if words[a] is not None and words[a] == words[b]:
            assert b == a + 1
    specials = [i for i, many in enumerate(pieces) if many is None]
    runs = [word for i, word in enumerate(new) if word is None or i == 0 or word != new[i - 1]]
    assert [i for i, word in enumerate(runs) if word is None] == specials
    if sum(many is not None for many in pieces) > 1:
        assert drawn != tuple(range(len(words)))
    assert drawn == word_order.word_order(words, seed)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="-1"):
        word_order.word_order([0, 1], -1)


# ---- the shuffle test ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("base", "gpt")])
@given(ids=st.lists(st.integers(0, 63), min_size=2, max_size=24), seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_without_positions_every_bidirectional_family_permutes_along(name: str, ids: list[int], seed: int) -> None:
    found = FAMILIES[name]
    drawn = word_order.word_order(list(range(len(ids))), seed)
    test = word_order.shuffle_test(found, ids, drawn, "none")
    assert test.largest <= 1e-6
    assert float(test.moved.max()) <= 1e-6


FAMILIES = {
    name: Transformer(
        replace(preset(name, vocab_size=64), n_layers=2, d_model=16, n_heads=2, d_ff=32),
        torch.Generator().manual_seed(1),
    )
    .eval()
    .requires_grad_(False)
    for name in PRESETS
    if name != "base"
}


@pytest.mark.parametrize("scheme", ["sinusoidal", "learned", "rope", "alibi"])
def test_with_positions_outputs_do_not_permute_along(scheme: str) -> None:
    ids = [5, 9, 3, 60, 11, 2]
    test = word_order.shuffle_test(model(), ids, word_order.word_order(range(6), 0), scheme)
    assert test.largest > 1e-3
    assert float(test.moved.max()) > 1e-3


def test_a_causal_model_counts_without_positions_until_its_mask_is_lifted() -> None:
    found, ids = model(kind="decoder"), [5, 9, 3, 60, 11, 2]
    drawn = word_order.word_order(range(6), 0)
    assert word_order.shuffle_test(found, ids, drawn, "none").largest > 1e-3
    assert word_order.shuffle_test(found, ids, drawn, "none", mask="none").largest <= 1e-6


def test_minilm_permutes_along_to_rounding_and_in_float64_to_1e_12() -> None:
    minilm = load("minilm")
    encoding = minilm.encode(TEXT)
    drawn = word_order.word_order(encoding.words, 0)
    rounded = word_order.shuffle_test(minilm.transformer, encoding.ids, drawn, "none")
    assert rounded.largest <= 1e-6 * rounded.scale
    copy = word_order.exact(minilm.transformer)
    assert word_order.shuffle_test(copy, encoding.ids, drawn, "none").largest <= 1e-12
    assert word_order.shuffle_test(copy, encoding.ids, drawn, "learned").largest > 0.1
    assert next(minilm.transformer.parameters()).dtype == torch.float32  # the shared model is as it was


def test_what_moved_is_measured_token_by_token() -> None:
    found, ids, drawn = model(), [5, 9, 3, 60], (2, 0, 3, 1)
    test = word_order.shuffle_test(found, ids, drawn, "learned")
    before = word_order.outputs(found, ids, "learned")
    after = word_order.outputs(found, [3, 5, 60, 9], "learned")
    for new, old in enumerate(drawn):
        expected = (after[new] - before[old]).norm() / before[old].norm()
        assert float(test.moved[old]) == pytest.approx(float(expected), rel=1e-5)
    assert test.largest == pytest.approx(max(float((after[j] - before[i]).abs().max()) for j, i in enumerate(drawn)))
    assert test.scale == pytest.approx(float(before.abs().max()), rel=1e-6)  # two texts in one run round differently
    again = word_order.shuffle_test(found, ids, drawn, "learned", original=before)
    torch.testing.assert_close(again.moved, test.moved)


@pytest.mark.parametrize("drawn", [(0, 1), (0, 0, 1), (1, 2, 3), (0, 1, 2, 3)])
def test_what_is_no_permutation_is_refused(drawn: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameterError, match="3 tokens"):
        word_order.shuffle_test(model(), [1, 2, 3], drawn, "none")


def test_schemes_that_a_model_can_run_with() -> None:
    assert word_order.schemes_of(preset("tiny")) == positions.SCHEMES
    told = list(map(positions.described, positions.SCHEMES))
    untaught = tuple(scheme.key for scheme in told if not scheme.learned)
    assert word_order.schemes_of(preset("tiny", positions="rope")) == untaught
    odd = tuple(scheme.key for scheme in told if scheme.rates is None)  # sines and cosines come in pairs
    assert word_order.schemes_of(preset("test", d_model=9, n_heads=3)) == odd
    assert {"none", "learned", "alibi"} <= set(odd) and not {"sinusoidal", "rope"} & set(odd)
    for scheme in word_order.schemes_of(preset("test", d_model=9, n_heads=3)):
        word_order.outputs(model(d_model=9, n_heads=3), [1, 2], scheme)


# ---- encodings and their similarity ----------------------------------------------------------------


def test_the_learned_table_is_the_weights() -> None:
    minilm = load("minilm").transformer
    table = word_order.positional_encoding(minilm, "learned", 128)
    assert torch.equal(table, minilm.state_dict()["embed.positions.weight"][:128])
    with pytest.raises(ShapeError, match="513 positions asked of a learned table that has 512"):
        word_order.positional_encoding(minilm, "learned", 513)


def test_every_scheme_of_a_model_as_numbers() -> None:
    found = model()
    config = found.config
    assert not word_order.positional_encoding(found, "none", 5).any()
    assert word_order.positional_encoding(found, "none", 5).shape == (5, config.d_model)
    expected = torch.from_numpy(reference.sinusoidal(9, config.d_model)).float()
    assert torch.allclose(word_order.positional_encoding(found, "sinusoidal", 9), expected, atol=1e-6)
    turned = word_order.positional_encoding(found, "rope", 9)
    assert turned.shape == (9, config.head_dim)
    for i, length in enumerate(word_order.wavelengths(config.head_dim).tolist()):
        for p in range(9):
            angle = 2 * math.pi * p / length
            assert turned[p, 2 * i].item() == pytest.approx(math.cos(angle), abs=1e-9)
            assert turned[p, 2 * i + 1].item() == pytest.approx(math.sin(angle), abs=1e-9)
    fading = word_order.positional_encoding(found, "alibi", 9)
    for head in range(config.n_heads):
        for p in range(9):
            assert fading[p, head].item() == pytest.approx(-(2 ** (-8 * (head + 1) / config.n_heads)) * p)
    with pytest.raises(InvalidParameterError, match="learned"):
        word_order.positional_encoding(model(positions="rope"), "learned", 3)
    with pytest.raises(InvalidParameterError, match="nonsense"):
        word_order.positional_encoding(found, "nonsense", 3)


@given(st.integers(1, 64).map(lambda n: 2 * n))
def test_wavelengths_follow_the_formula(width: int) -> None:
    found = word_order.wavelengths(width).tolist()
    assert found == pytest.approx([2 * math.pi * 10_000 ** (2 * i / width) for i in range(width // 2)], rel=1e-12)
    table = positions.sinusoidal(8, width).double()
    for i, length in enumerate(found):  # a step of one wavelength comes back to the same sine
        for p in range(8):
            assert table[p, 2 * i].item() == pytest.approx(math.sin(2 * math.pi * (p + length) / length), abs=1e-5)


@given(st.integers(1, 24).map(lambda n: 2 * n), st.integers(2, 60), st.data())
def test_sinusoidal_dot_products_know_only_the_offset(width: int, n: int, data: st.DataObject) -> None:
    dot, cosine = word_order.similarity(positions.sinusoidal(n, width))
    k = data.draw(st.integers(0, n - 1))
    expected = sum(math.cos(2 * math.pi * k / length) for length in word_order.wavelengths(width).tolist())
    assert torch.allclose(dot.diagonal(k), torch.tensor(expected, dtype=torch.float64), atol=1e-5 * width)
    assert word_order.by_offset(cosine).largest < 1e-5


@given(
    st.lists(st.floats(-3, 3), min_size=16, max_size=16), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500)
)
def test_rope_products_know_only_the_offset(numbers: list[float], p: int, s: int, further: int) -> None:
    q, k = torch.tensor(numbers, dtype=torch.float64).view(2, 8)

    def product(at: int, key_at: int) -> float:
        return float(positions.rope(q[None], start=at)[0] @ positions.rope(k[None], start=key_at)[0])

    assert product(p, s) == pytest.approx(product(p + further, s + further), abs=1e-9)


def test_rope_similarity_has_no_spread_and_a_learned_one_has() -> None:
    minilm = load("minilm").transformer
    spreads = {
        scheme: word_order.by_offset(word_order.similarity(word_order.positional_encoding(minilm, scheme, 128))[1])
        for scheme in ("sinusoidal", "rope", "learned")
    }
    assert spreads["sinusoidal"].largest < 1e-6
    assert spreads["rope"].largest < 1e-12
    assert spreads["learned"].largest > 0.5


@given(st.integers(1, 9))
def test_by_offset_is_every_diagonal(n: int) -> None:
    matrix = torch.randn(n, n, generator=torch.Generator().manual_seed(n))
    spread = word_order.by_offset(matrix)
    for k in range(n):
        pairs = [float(matrix[i, i + k]) for i in range(n - k)]
        assert spread.mean[k].item() == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
        assert (spread.low[k].item(), spread.high[k].item()) == (min(pairs), max(pairs))
    with pytest.raises(ShapeError, match="square"):
        word_order.by_offset(torch.zeros(2, 3))


# ---- heads ------------------------------------------------------------------------------------------


def test_the_favourite_offset_of_minilms_first_layer_is_the_token_before() -> None:
    weights = load("minilm").run(TEXT).layers[0].attention.weights[0, 2]
    assert word_order.favourite_offset(weights) == -1
    assert word_order.at_offset(weights, -1) > 0.99
    expected = sum(float(weights[i, i - 1]) for i in range(1, 16)) / 15
    assert word_order.at_offset(weights, -1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_short_text_has_a_favourite_offset(n: int) -> None:
    assert word_order.favourite_offset(torch.eye(n)) == 0


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("scheme", positions.SCHEMES)
def test_scores_by_distance_are_those_of_a_real_run(scheme: str, norm_first: bool, kind: str) -> None:
    found, n = model(norm_first=norm_first, kind=kind, n_types=2, embed_norm=True), 12
    with torch.inference_mode():
        run = found(torch.full((1, n + 1), 7), intervention=Intervention(positions=scheme))
    expected = run.layers[0].attention.scores[0, :, 1:, 1]  # every later token on the one at position 1
    assert torch.allclose(word_order.scores_by_distance(found, 7, scheme, n), expected, atol=1e-5)


def test_beyond_its_length_learned_refuses_and_the_others_go_on() -> None:
    found = model(max_len=16)
    assert word_order.scores_by_distance(found, 7, "learned", 15).shape == (2, 15)
    with pytest.raises(ShapeError, match="65 positions asked of a learned table that has 16"):
        word_order.scores_by_distance(found, 7, "learned", 64)
    for scheme in ("none", "sinusoidal", "rope", "alibi"):
        curve = word_order.scores_by_distance(found, 7, scheme, 64)
        assert curve.shape == (2, 64) and bool(curve.isfinite().all())
    steps = word_order.scores_by_distance(found, 7, "alibi", 64).diff(dim=1)
    assert torch.allclose(steps, -positions.alibi_slopes(2)[:, None].expand_as(steps), atol=1e-5)
    assert word_order.scores_by_distance(found, 7, "none", 64).diff(dim=1).abs().max() == 0
