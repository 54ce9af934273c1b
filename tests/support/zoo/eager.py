"""What transformers' own eager attention computes, and what it would compute under a change.

A change is made in the softmax itself, which every attention calls whatever its code looks like: scores are divided by
the temperature, pairs forbidden, a head's weights multiplied. It knows nothing of how attnviz computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXTRA = 1  # columns beside the keys: a learned sink


@dataclass(frozen=True)
class Change:
    """What is different in each attention, (B, H, T, S): temperature, a window's reach, a head times a factor."""

    temperature: float = 1.0
    reach: int | None = None  # in self-attention only: that of as many keys as queries
    head: int = 0
    factor: float = 1.0
    beside: int = 0  # keys on each side of a token, of scores in windows: (B, T, H, 2 · beside + 1), T in whole chunks

    def softmax(self, plain: Any, scores: Tensor) -> Tensor:
        """The changed weights of scores that hold the model's mask already."""
        if self.beside and scores.shape[-1] == 2 * self.beside + 1 and scores.shape[1] % (2 * self.beside) == 0:
            return self._in_windows(plain, scores)
        queries, keys = scores.shape[-2:]
        scores = scores.float()
        scores = (scores - scores.amax(dim=-1, keepdim=True)) / self.temperature
        if self.reach is not None and 0 <= keys - queries <= EXTRA:
            i, j = torch.arange(queries)[:, None], torch.arange(keys)[None]
            scores = scores.masked_fill(((i - j).abs() > self.reach) & (j < queries), -torch.inf)
        weights = plain(scores, -1)
        factors = torch.ones(scores.shape[1])
        factors[self.head] = self.factor
        return weights * factors[:, None, None]

    def _in_windows(self, plain: Any, scores: Tensor) -> Tensor:
        """Likewise where each token has the scores of the keys around it alone."""
        offsets = torch.arange(scores.shape[-1]) - self.beside
        scores = (scores - scores.amax(dim=-1, keepdim=True)) / self.temperature
        if self.reach is not None:
            scores = scores.masked_fill(offsets.abs() > self.reach, -torch.inf)
        factors = torch.ones(scores.shape[2])
        factors[self.head] = self.factor
        return plain(scores, -1) * factors[:, None]


@contextmanager
def changed(change: Change, outside: Sequence[nn.Module] = ()) -> Iterator[list[int]]:
    """Every softmax over (B, H, T, S) computes with the change, but not in some modules; gives what counts them."""
    functional, module, method = F.softmax, torch.softmax, Tensor.softmax
    calls: list[int] = []
    within: list[nn.Module] = []  # of the modules outside, those that run now
    hooks = [module.register_forward_pre_hook(lambda module, _: within.append(module)) for module in outside]
    hooks += [module.register_forward_hook(lambda *_: within.pop() and None) for module in outside]

    def instead(original: Any) -> Any:
        def softmax(x: Tensor, dim: Any = None, *more: Any, **named: Any) -> Tensor:
            heads_first = x.dim() == 3 and x.shape[0] > 1  # (H, T, S), of one text
            if within or not (x.dim() == 4 or heads_first) or dim not in (-1, x.dim() - 1):
                return original(x, dim, *more, **named)
            calls.append(1)
            return (
                change.softmax(module, x[None] if heads_first else x).reshape(x.shape).to(named.get("dtype") or x.dtype)
            )

        return softmax

    F.softmax, torch.softmax, Tensor.softmax = instead(functional), instead(module), instead(method)  # type: ignore
    try:
        yield calls
    finally:
        F.softmax, torch.softmax, Tensor.softmax = functional, module, method  # type: ignore
        for hook in hooks:
            hook.remove()
