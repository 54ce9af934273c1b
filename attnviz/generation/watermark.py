"""What a watermark adds to the scores of tokens: watermarking_config of generation_config.json."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from attnviz.models.decoding_rules import Watermark

PRIME = 1_000_003  # places of the table that mixes the ids of tokens
TRIED = 40  # of the likeliest tokens, under "selfhash"


def gains(scores: Tensor, text: Sequence[int], mark: Watermark) -> Tensor:
    """(V,) → (V,): the bias on the green tokens, 0 on the others.

    Which are green follows from the token before, by a random generator ("lefthash"), or from each of the likeliest
    tokens itself with those before it ("selfhash"). Source: Kirchenbauer et al. 2023, algorithms 2 and 3, as
    transformers draws them on the CPU.
    """
    added = torch.zeros_like(scores)
    if len(text) < mark.width:
        return added
    if mark.scheme == "lefthash":
        added[_green(mark.key * text[-1], len(scores), mark)] = mark.bias
        return added
    for token in scores.argsort(descending=True)[:TRIED].tolist():
        if token in _green(_mixed([*text, token], mark), len(scores), mark):
            added[token] = mark.bias
    return added


def _green(seed: int, n: int, mark: Watermark) -> Tensor:
    """The green ones of n tokens."""
    generator = torch.Generator().manual_seed(seed % (2**64 - 1))
    return torch.randperm(n, generator=generator)[: int(n * mark.ratio)]


def _mixed(text: Sequence[int], mark: Watermark) -> int:
    """A number of the last tokens, in integers of 64 bits, which overflow."""
    places = _table(mark.key)[torch.tensor(text[-mark.width :]) % PRIME] + 1
    return int((mark.key * places * places[-1]).min())


@functools.lru_cache(maxsize=4)
def _table(key: int) -> Tensor:
    return torch.randperm(PRIME, generator=torch.Generator().manual_seed(key))
