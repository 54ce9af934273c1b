"""Attention sinks: how much every head gives the first token, and what a model does when nobody may look there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model


@dataclass(frozen=True, eq=False)
class Sink:
    """A text's run as it is, and with the first token forbidden to all others."""

    shares: Tensor  # (L, H) mean weight on the first token, over the queries after it
    even: float  # what a head that looks at all its tokens alike would give it
    losses: Tensor  # (2, T − 2) nats of each token from the third on, without the change and with it
    same: float  # share of these places at which the likeliest token stays the same


def without_first(n_tokens: int) -> Intervention:
    """No query but the first may look at the first token. Errors: InvalidParameterError below two tokens."""
    if n_tokens < 2:
        raise InvalidParameterError(f"of {n_tokens} tokens none stands after the first")
    return Intervention(blocked=tuple((None, None, query, 0) for query in range(1, n_tokens)))


def first_shares(trace: Trace) -> Tensor:
    """Each head's mean weight on the first token, over the queries after it: (L, H).

    Source: Xiao et al. 2024, "Efficient Streaming Language Models with Attention Sinks", section 3.1.
    """
    return torch.stack([layer.attention.weights[0, :, 1:, 0].mean(dim=-1) for layer in trace.layers])


def measure_sink(model: Model, plain: Trace, ids: tuple[int, ...]) -> Sink:
    """The sink of a decoder's run on a text of at least three tokens, and the run without it.

    Errors: InvalidParameterError for a shorter text.
    """
    n = len(ids)
    if n < 3 or plain.logits is None:
        raise InvalidParameterError(f"{n} tokens are too few: the loss is taken from the third token on")
    with torch.inference_mode():
        changed = model.transformer(torch.tensor([ids]), intervention=without_first(n))
    assert changed.logits is not None
    # The second token's query keeps nothing but itself; its prediction, of the third, is the first one that counts.
    goal = torch.tensor(ids[2:])
    answers = [run.logits[0, 1:-1] for run in (plain, changed) if run.logits is not None]
    losses = torch.stack([F.cross_entropy(one, goal, reduction="none") for one in answers])
    same = (answers[0].argmax(dim=-1) == answers[1].argmax(dim=-1)).float().mean()
    even = sum(1 / (query + 1) for query in range(1, n)) / (n - 1)
    return Sink(first_shares(plain), even, losses, float(same))
