"""Word order in a transformer: what shuffled words do to its outputs, what positions look like to each other, and
what a head's score does with distance, up to lengths that the model never saw.

Everything here runs the model's own functions: `Transformer`, its first layer, and `attnviz.nn.positions`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn import positions
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.config import ModelConfig
from attnviz.nn.intervention import Intervention, MaskName
from attnviz.nn.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Shuffled:
    """What shuffling the words did to the model's outputs, token by token, each followed to its new place."""

    moved: Tensor  # (T,) ‖y′ − y‖ / ‖y‖ per token, in the order of the original text
    largest: float  # max |y′ − y| over all tokens and dimensions
    scale: float  # max |y|: float32 rounds to about 1e-7 of it in every step


@dataclass(frozen=True, eq=False)
class Spread:
    """A matrix of positions (n, n) by offset: over all pairs that lie k apart, k = 0 … n − 1."""

    mean: Tensor  # (n,)
    low: Tensor  # (n,) the smallest value among these pairs
    high: Tensor  # (n,) the largest

    @property
    def largest(self) -> float:
        """max(high − low) over the offsets: 0 if the value depends on the offset only."""
        return float((self.high - self.low).max())


# ---- the shuffle test ------------------------------------------------------------------------------


def word_order(words: Sequence[int | None], seed: int) -> tuple[int, ...]:
    """A shuffle of the words as positions: the new text's token j is the old one's `order[j]`.

    Arguments
        words: the word number of each token, None for special tokens (`Encoding.words`). Pieces of a word stay
            together and in their order; special tokens stay between the same numbers of words.
        seed: draws the shuffle, the same on every machine. Two or more words never stay as they were.

    Errors: InvalidParameterError for a negative seed.
    """
    if seed < 0:
        raise InvalidParameterError(f"seed={seed} is negative")
    groups: list[list[int]] = []
    for i, word in enumerate(words):
        if i and word is not None and word == words[i - 1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    free = [group for group in groups if words[group[0]] is not None]
    drawn = np.arange(len(free))
    generator = np.random.default_rng(seed)
    while len(free) > 1 and (drawn == np.arange(len(free))).all():
        drawn = generator.permutation(len(free))
    shuffled = iter(drawn)
    placed = [group if words[group[0]] is None else free[next(shuffled)] for group in groups]
    return tuple(i for group in placed for i in group)


def schemes_of(config: ModelConfig) -> tuple[str, ...]:
    """The schemes that a model of this shape can run with: learned positions need a table, pairs an even width."""
    widths = config.d_model, config.head_dim, config.positions
    return tuple(name for name in positions.SCHEMES if positions.described(name).fits(*widths))


def outputs(transformer: Transformer, ids: Sequence[int], scheme: str, *, mask: MaskName = None) -> Tensor:
    """The model's last vectors (T, C) on token ids (T,), run with a positional scheme (and a mask, if given).

    Errors: as `Transformer.forward` and `Intervention`.
    """
    return _outputs(transformer, [ids], scheme, mask)[0]


def _outputs(transformer: Transformer, texts: Sequence[Sequence[int]], scheme: str, mask: MaskName) -> Tensor:
    """As `outputs`, (B, T, C) on texts of one length (B, T)."""
    change = Intervention(positions=scheme, mask=mask)
    with torch.inference_mode():
        return transformer(torch.tensor([list(ids) for ids in texts]), intervention=change).final


def shuffle_test(
    transformer: Transformer,
    ids: Sequence[int],
    order: Sequence[int],
    scheme: str,
    *,
    mask: MaskName = None,
    original: Tensor | None = None,
) -> Shuffled:
    """Runs the text and its shuffle, and compares every token's output with its output at its new place.

    Without positions a bidirectional model cannot tell the two texts apart: f(Px) = P f(x), so the difference
    is 0 but for rounding (`exact` removes that).

    Arguments
        ids: token ids (T,); order: a permutation of 0 … T − 1, as from `word_order`.
        scheme: of `positions.SCHEMES`; mask: as in `Intervention`, None for the model's own.
        original: `outputs` of the unshuffled text, if they are known.

    Errors: InvalidParameterError if `order` is no permutation; as `outputs`.
    Source: Lee et al. 2019, "Set Transformer", property 1 (permutation equivariance).
    """
    if sorted(order) != list(range(len(ids))):
        raise InvalidParameterError(f"order is not a permutation of the {len(ids)} tokens")
    shuffled = [ids[i] for i in order]
    if original is None:  # both in one run: a third less work than in two
        before, after = _outputs(transformer, [ids, shuffled], scheme, mask)
    else:
        before, after = original, outputs(transformer, shuffled, scheme, mask=mask)
    difference = torch.empty_like(before)
    difference[list(order)] = after - before[list(order)]
    moved = difference.norm(dim=-1) / before.norm(dim=-1)
    return Shuffled(moved, float(difference.abs().max()), float(before.abs().max()))


def exact(transformer: Transformer) -> Transformer:
    """The same model in float64, a copy: twice the memory, and a billionth of the rounding."""
    return copy.deepcopy(transformer).double()


# ---- what a position looks like ---------------------------------------------------------------------


def positional_encoding(transformer: Transformer, scheme: str, n_positions: int) -> Tensor:
    """What a scheme gives to positions 0 … n − 1 of this model, one row per position,
    by where it acts (`positions.Scheme.acts`):
        nowhere, input      (n, C)  what is added to the token's embedding
        turn                (n, D)  the vector (1, 0, 1, 0, …) turned: cos θ, sin θ of every pair
        scores              (n, H)  what each head's score gains at this distance; of ALiBi −m_h · distance

    Errors: InvalidParameterError for a scheme that this model has not; ShapeError beyond a learned table.
    """
    config, told = transformer.config, positions.described(scheme)
    told.check(config.d_model, config.head_dim)
    if told.acts == "turn" and told.rates is not None:
        start = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat(config.head_dim // 2)
        return positions.turn(start.expand(n_positions, -1), told.rates(config.head_dim))
    if told.bias is not None:
        return told.bias(config.n_heads, positions.offsets(n_positions, 1).float())[..., 0].T
    own = cast(nn.Embedding, transformer.embed["positions"]) if "positions" in transformer.embed else None
    like = torch.empty(0) if own is None else own.weight
    added = told.added(n_positions, config.d_model, 0, own, like)
    return positions.none(n_positions, config.d_model) if added is None else added


def wavelengths(width: int, scheme: str = "sinusoidal") -> Tensor:
    """Tokens until pair i has turned once: 2π / rate, as (width/2,); width is C, or D for what turns in heads.

    Errors: InvalidParameterError for a scheme without waves.
    Source: Vaswani et al. 2017, section 3.5: "a geometric progression from 2π to 10000 · 2π".
    """
    rates = positions.described(scheme).rates
    if rates is None:
        raise InvalidParameterError(f"{positions.described(scheme).name} positions have no waves")
    return 2 * math.pi / rates(width)


def similarity(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Dot product and cosine of every two rows of (n, W), both (n, n), in float64. A row of zeros has cosine 0."""
    rows = rows.double()
    unit = F.normalize(rows, dim=-1)
    return rows @ rows.T, unit @ unit.T


def by_offset(matrix: Tensor) -> Spread:
    """Mean, smallest and largest value of a matrix (n, n) along each diagonal j − i = k ≥ 0. Errors: ShapeError."""
    n = matrix.shape[0]
    if matrix.dim() != 2 or matrix.shape[1] != n:
        raise ShapeError(f"a matrix of positions is square, not {tuple(matrix.shape)}")
    lines = [matrix.diagonal(k) for k in range(n)]
    return Spread(
        torch.stack([line.mean() for line in lines]),
        torch.stack([line.min() for line in lines]),
        torch.stack([line.max() for line in lines]),
    )


# ---- what a head makes of it ------------------------------------------------------------------------


def favourite_offset(weights: Tensor) -> int:
    """The offset key − query that gets most attention on average, among those that half of the tokens have.

    `weights` (T, T) of one head; the average is over the queries that have a key there.
    """
    reach = weights.shape[0] // 2
    means = {k: float(weights.diagonal(k).mean()) for k in range(-reach, reach + 1) if weights.diagonal(k).numel()}
    return max(means, key=lambda k: (means[k], -abs(k)))


def at_offset(weights: Tensor, offset: int) -> float:
    """Mean weight of the keys that lie `offset` after their query: of (T, T) along one diagonal."""
    return float(weights.diagonal(offset).mean())


def scores_by_distance(transformer: Transformer, token: int, scheme: str, n_distances: int) -> Tensor:
    """How strongly a token looks at a copy of itself 0 … n − 1 tokens before it, in each head of layer 0: (H, n).

    The score q·k/√D (with a scheme's bias) before any mask. The copy stands at position 1, as position 0 is the
    special token's in most models; the query at 1 … n. So absolute positions reach n, whatever `max_len` says.
    Errors: ShapeError where a learned table ends; InvalidParameterError for a scheme that this model has not.
    """
    with torch.inference_mode():
        x, attention = _copies(transformer, token, scheme, n_distances + 1)
        q, k = attention.heads(False, x[:, -n_distances:], x[:, :2][:, -1:])  # of positions 1 … n, and of 1
        # both counted from the copy on: what turns, and what a score is added, know only how far the two are apart
        return _scores(transformer, scheme, q, k, n_distances, 1)[..., 0]


def scores_of_copies(transformer: Transformer, token: int, scheme: str, n: int) -> Tensor:
    """How strongly n copies of a token in a row look at each other, in each head of layer 0: (H, n, n).

    The score q·k/√D (with a scheme's bias) before any mask: all copies are one word, so that only positions differ.
    Errors: as `scores_by_distance`.
    """
    with torch.inference_mode():
        x, attention = _copies(transformer, token, scheme, n)
        q, k = attention.heads(False, x, x)
        return _scores(transformer, scheme, q, k, n, n)


def _scores(transformer: Transformer, scheme: str, q: Tensor, k: Tensor, n_queries: int, n_keys: int) -> Tensor:
    """(H, T, S), with what the scheme does in attention; of T queries or S keys that are all the same, one is given."""
    told, config = positions.described(scheme), transformer.config
    q, k = q.expand(-1, -1, n_queries, -1), k.expand(-1, -1, n_keys, -1)
    if told.acts == "turn" and told.rates is not None:
        by = told.rates(config.head_dim)
        q, k = positions.turn(q, by), positions.turn(k, by)
    bias = None if told.bias is None else told.bias(config.n_heads, positions.offsets(n_queries, n_keys).to(q.dtype))
    return AttentionTrace(q, k, k, q, bias=bias, scale=1 / math.sqrt(config.head_dim)).scores[0]


def gap_by_place(scores: Tensor, near: int = 1, far: int = 3) -> Tensor:
    """How much higher a query scores the key `near` before it than the one `far` before it, at each place: (n − far,).

    `scores` (n, n) of one head, query by key; the first place is `far`. The same number at every place if a score
    depends on the distance only.
    """
    return scores.diagonal(-near)[far - near :] - scores.diagonal(-far)


def _copies(transformer: Transformer, token: int, scheme: str, n: int) -> tuple[Tensor, Any]:
    """What the first layer's attention reads of n copies of a token, (1, n, C), and that attention.

    Where the scheme adds nothing to a token's vector, all copies have the one of (1, 1, C).
    """
    n = n if positions.described(scheme).acts == "input" else 1
    stack = transformer.encoder if transformer.encoder is not None else transformer.decoder
    layer: Any = cast(nn.ModuleList, cast(nn.ModuleDict, stack)["layers"])[0]
    x = transformer.embed(torch.full((1, n), token), None, scheme)
    return layer.norm1(x) if layer.norm_first else x, layer.self_attn
