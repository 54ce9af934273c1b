"""Which query may attend to which key.

Inside attnviz a mask has one polarity: ``keep``, True = may attend. (torch's modules use the opposite; the
layers translate at their border.) A `Mask` is a description, not a matrix: it costs nothing until `keep` is
asked for, so a trace of a long text stays linear in its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import DTypeError, InvalidParameterError


def causal(n_queries: int, n_keys: int | None = None, device: torch.device | None = None) -> Tensor:
    """Bool (T, S): query i may attend to keys 0…i (Vaswani et al. 2017, section 3.2.3)."""
    return window(n_queries, n_keys, size=None, device=device, past_only=True)


def window(
    n_queries: int,
    n_keys: int | None = None,
    *,
    size: int | None,
    device: torch.device | None = None,
    past_only: bool = False,
    start: int = 0,
) -> Tensor:
    """Bool (T, S): query i may attend to keys at most `size` away (Beltagy et al. 2020, section 3.1).

    `size` None means any distance; `past_only` also forbids every later key; `start` is the first query's position.
    """
    i = torch.arange(start, start + n_queries, device=device)[:, None]
    j = torch.arange(n_queries if n_keys is None else n_keys, device=device)[None, :]
    keep = torch.ones(i.shape[0], j.shape[1], dtype=torch.bool, device=device)
    if past_only:
        keep &= j <= i
    if size is not None:
        keep &= (i - j).abs() <= size
    return keep


def padding(lengths: Sequence[int], n_keys: int, device: torch.device | None = None) -> Tensor:
    """Bool (B, 1, 1, S): in row b only the first lengths[b] keys are real."""
    real = torch.as_tensor(tuple(lengths), device=device)
    return (torch.arange(n_keys, device=device)[None, :] < real[:, None])[:, None, None, :]


def combine(*masks: Tensor | None) -> Tensor | None:
    """The pairs that every given mask keeps; None if no mask is given (everything may attend)."""
    given = [mask for mask in masks if mask is not None]
    return reduce(torch.logical_and, given) if given else None


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask as a description: the conditions that a pair (query, key) has to meet, all of them.

    Arguments
        causal: only keys at or before the query.
        window: only keys at most this many positions away.
        lengths: real keys per batch row, (B,); the rest is padding.
        blocked: cells forbidden one by one, as (head or None for all heads, query, key).
        keys: bool (B, 1, 1, S), the real keys where padding is not at the end.
        dense: bool, broadcastable to (B, H, T, S), True = may attend; for patterns that have no formula.
        extra: keys at the end that no condition concerns (those of `add_bias_kv` and `add_zero_attn`).
        start: the position of the first query, where the keys before it are remembered from earlier runs.
    """

    causal: bool = False
    window: int | None = None
    lengths: tuple[int, ...] | None = None
    blocked: tuple[tuple[int | None, int, int], ...] = ()
    keys: Tensor | None = None
    dense: Tensor | None = None
    extra: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 0:
            raise InvalidParameterError(f"window={self.window} is negative")
        for mask in (self.keys, self.dense):
            if mask is not None and mask.dtype != torch.bool:
                raise DTypeError(f"a mask is bool (True = may attend), not {mask.dtype}")
        if self.dense is not None and self.dense.dim() < 2:
            object.__setattr__(self, "dense", torch.atleast_2d(self.dense))

    def keep(self, n_queries: int, n_keys: int, n_heads: int = 1, device: torch.device | None = None) -> Tensor | None:
        """Bool, broadcastable to (B, H, T, S), True = may attend; None if every pair may."""
        n_keys -= self.extra
        parts: list[Tensor | None] = [self.keys, self.dense]
        later = self.causal and self.start < n_keys - 1  # a key that the first query may not see
        if later or self.window is not None:
            parts.append(
                window(n_queries, n_keys, size=self.window, device=device, past_only=self.causal, start=self.start)
            )
        if self.lengths and min(self.lengths) < n_keys:
            parts.append(padding(self.lengths, n_keys, device))
        if self.blocked:
            parts.append(self._unblocked(n_queries, n_keys, n_heads, device))
        keep = combine(*parts)
        if keep is None or not self.extra:
            return keep
        return F.pad(keep.expand(*keep.shape[:-1], n_keys), (0, self.extra), value=True)

    def _unblocked(self, n_queries: int, n_keys: int, n_heads: int, device: torch.device | None) -> Tensor:
        cells = [(head, query - self.start, key) for head, query, key in self.blocked]
        if self.start:  # cells of queries that ran before, or are still to come, are no concern of this run
            cells = [cell for cell in cells if 0 <= cell[1] < n_queries and 0 <= cell[2] < n_keys]
        for head, query, key in cells:
            if not (0 <= query < n_queries and 0 <= key < n_keys):
                raise InvalidParameterError(
                    f"blocked cell ({query}, {key}) is outside the {n_queries} × {n_keys} matrix"
                )
            if head is not None and not 0 <= head < n_heads:
                raise InvalidParameterError(f"blocked head {head} is outside 0…{n_heads - 1}")
        keep = torch.ones(1, n_heads, n_queries, n_keys, dtype=torch.bool, device=device)
        everywhere = torch.tensor([cell[1:] for cell in cells if cell[0] is None], dtype=torch.long)
        in_heads = torch.tensor([cell for cell in cells if cell[0] is not None], dtype=torch.long)
        if len(everywhere):  # one write for all cells: a painted mask has thousands
            keep[:, :, everywhere[:, 0], everywhere[:, 1]] = False
        if len(in_heads):
            keep[:, in_heads[:, 0], in_heads[:, 1], in_heads[:, 2]] = False
        return keep

    @property
    def only_causal(self) -> bool:
        """Whether causality is the one condition."""
        if not self.causal:
            return False
        others = (self.window, self.lengths, self.keys, self.dense)
        plain = not self.blocked and not self.extra and not self.start
        return all(x is None for x in others) and plain

    def replaced(self, pattern: str | tuple[str, int]) -> Mask:
        """The same padding under another pattern: "causal", "none" or ("window", n).

        What says which keys are real (lengths, keys) stays, and a window in a causal model stays causal.
        """
        plain = replace(self, causal=False, window=None, dense=None)
        if pattern == "causal":
            return replace(plain, causal=True)
        if pattern == "none":
            return plain
        return replace(plain, causal=self.causal, window=int(pattern[1]))
