"""What a model's own rules make of the scores of the next token: tokens forced, forbidden, or weighed otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from attnviz.generation import watermark
from attnviz.models.decoding_rules import DecodingRules


def ruled(
    scores: Tensor,
    texts: Sequence[Sequence[int]],
    rules: DecodingRules,
    *,
    source: Sequence[int],
    n_prompt: int,
    longest: int,
    marked: bool = True,
) -> Tensor:
    """(N, V) → (N, V): scores, or log p, of the token after each text, under a model's rules.

    Arguments
        texts: N texts of one length so far, each `n_prompt` tokens of prompt and what was said.
        source: what an encoder read; of a decoder alone, its prompt.
        longest: tokens of a text at most.
        marked: with the watermark, if there is one; it comes last, where tokens are drawn after temperature and top-p.

    Source: the processors of transformers' generate, in their order.
    """
    if rules.nothing:
        return scores
    scores = scores.clone()
    n = len(texts[0])
    for row, text in zip(scores, texts, strict=True):
        row += _bias(text, rules, len(row))
        _penalise(row, source, 1 / rules.source_repetition)
        _penalise(row, text, rules.repetition)
        forbidden = [
            *_repeats(text, text, rules.no_repeat),
            *_repeats(text, source, rules.no_copy),
            *_bad(text, rules),
        ]
        row[[token for token in forbidden if token < len(row)]] = -torch.inf
    too_short = n < rules.shortest or n - n_prompt < rules.shortest_answer
    ends = [token for token in rules.ends if token < scores.shape[1]]
    if too_short:
        scores[:, ends] = -torch.inf
    if rules.first is not None and n == 1:
        scores = _only(scores, rules.first)
    if rules.last is not None and n == longest - 1:
        scores = _only(scores, rules.last)
    late = 0 if rules.end_gains is None else n - n_prompt - rules.end_gains[0]
    if rules.end_gains is not None and late > 0:
        gain = scores[:, ends].abs() * (rules.end_gains[1] ** late - 1)
        scores[:, ends] += gain.masked_fill(gain.isinf(), 0.0)  # what is forbidden stays so
    forbidden = list(rules.suppressed)
    begins = n_prompt if n_prompt > 1 or rules.first is None else n_prompt + 1
    if n == begins:
        forbidden += rules.not_first
    scores[:, [token for token in forbidden if token < scores.shape[1]]] = -torch.inf
    for place, token in (pair for pair in rules.forced if len(pair) == 2):
        if place == n:
            scores = _only(scores, token)
    if rules.watermark is not None and marked:
        for row, text in zip(scores, texts, strict=True):
            row += watermark.gains(row, text, rules.watermark)
    return scores.log_softmax(dim=-1) if rules.renormalized else scores


def guided(scores: Tensor, unprompted: Tensor, scale: float) -> Tensor:
    """(N, V) → (N, V): log p, moved away from those of a run without the prompt. Source: Sanchez et al. 2023."""
    scores, unprompted = scores.float().log_softmax(dim=-1), unprompted.float().log_softmax(dim=-1)
    return scale * (scores - unprompted) + unprompted


def _only(scores: Tensor, token: int) -> Tensor:
    """One token and no other."""
    if token >= scores.shape[1]:
        return scores
    forced = torch.full_like(scores, -torch.inf)
    forced[:, token] = 0.0
    return forced


def _bias(text: Sequence[int], rules: DecodingRules, n: int) -> Tensor:
    """What is added to the scores of the next token, (V,): of each run of tokens whose last one it would be."""
    added = torch.zeros(n)
    for run, bias in rules.biases:
        before = run[:-1]
        if run[-1] < n and tuple(text[len(text) - len(before) :]) == before:
            added[run[-1]] += bias
    return added


def _penalise(row: Tensor, tokens: Sequence[int], by: float) -> None:
    """Divides the scores of these tokens by a penalty, or multiplies them where they are negative."""
    if by != 1:
        seen = [token for token in set(tokens) if token < len(row)]
        row[seen] = torch.where(row[seen] < 0, row[seen] * by, row[seen] / by)


def _repeats(text: Sequence[int], among: Sequence[int], size: int) -> Iterator[int]:
    """Tokens that would end a run of `size` tokens that stands in `among` already."""
    if size < 1 or len(text) + 1 < size:
        return
    last = tuple(text[len(text) - size + 1 :])
    for i in range(len(among) - size + 1):
        if tuple(among[i : i + size - 1]) == last:
            yield among[i + size - 1]


def _bad(text: Sequence[int], rules: DecodingRules) -> Iterator[int]:
    """Tokens that would end a forbidden run of them."""
    for word in rules.bad_words:
        before = word[:-1]
        if word not in [(end,) for end in rules.ends] and tuple(text[len(text) - len(before) :]) == before:
            yield word[-1]
