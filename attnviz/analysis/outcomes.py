"""One number that a run comes to: what an experiment with heads is measured by.

    Probability     of a token (or class) at a place, 0 … 1
    Lead            the logit of a token, or by how much it is ahead of another one's
    Loss            −log p of given tokens, in nats per token
    Likeness        the cosine of the text's vector with another vector, −1 … 1

Each is a function of `Ends`, (B,) for its B versions, with gradients where torch keeps them. A difference of logits is
what circuits are mostly measured by: it is linear in what the heads write. Source: Wang et al. 2023, "Interpretability
in the Wild", section 2; Zhang and Nanda 2024, "Towards Best Practices of Activation Patching", section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.analysis.sites import Ends
from attnviz.errors import InvalidParameterError
from attnviz.models.model import Model
from attnviz.nn.trace import Trace


@dataclass(frozen=True)
class Probability:
    """Of a token at a place; of a classifier, of a class."""

    token: int
    position: int = -1  # of the token that says what comes (or what was hidden there); a classifier has no such

    def __call__(self, ends: Ends) -> Tensor:
        """(B,). Errors: InvalidParameterError for no logits, a token or a place that there is not."""
        return _row(ends, self.position, self.token).softmax(dim=-1)[:, self.token]


@dataclass(frozen=True)
class Lead:
    """A logit, or its lead over another one."""

    token: int
    versus: int | None = None
    position: int = -1

    def __call__(self, ends: Ends) -> Tensor:
        """(B,). Errors: as `Probability`."""
        row = _row(ends, self.position, self.token, self.versus)
        return row[:, self.token] - (0.0 if self.versus is None else row[:, self.versus])


@dataclass(frozen=True)
class Loss:
    """How wrong the model is about tokens that are given: cross-entropy in nats, the mean over them."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]  # where each is predicted

    def __call__(self, ends: Ends) -> Tensor:
        """(B,). Errors: as `Probability`."""
        for position in self.positions:
            _check_position(ends, position)
        rows = ends.logits(self.positions)  # (B, P, V)
        if rows.dim() != 3:
            raise InvalidParameterError("a classifier predicts no tokens: there is no loss on a text")
        goal = torch.tensor(self.ids, device=rows.device).expand(len(rows), -1)
        return F.cross_entropy(rows.mT, goal, reduction="none").mean(dim=1)


@dataclass(frozen=True, eq=False)
class Likeness:
    """How near the text's vector, the mean over its tokens, is to another one: what sentence encoders are used for."""

    toward: Tensor  # (C,)

    def __call__(self, ends: Ends) -> Tensor:
        """(B,)."""
        return F.cosine_similarity(ends.final.mean(dim=1), self.toward[None], dim=-1)


Outcome: TypeAlias = Probability | Lead | Loss | Likeness


def text_loss(trace: Trace, *, batch: int = 0) -> Loss:
    """The loss of a decoder on the text that it read. Errors: InvalidParameterError for one token, or no decoder."""
    if trace.config.kind == "encoder" or not trace.encodings:
        raise InvalidParameterError("only a model that predicts the next token has a loss on the text it reads")
    ids = trace.encodings[batch].ids[: trace.lengths[batch]]
    if len(ids) < 2:
        raise InvalidParameterError("a text of one token has no next token to predict")
    return Loss(tuple(ids[1:]), tuple(range(len(ids) - 1)))


def hidden_loss(ids: Sequence[int], positions: Sequence[int]) -> Loss:
    """The loss on tokens that were hidden: `ids` of the text as it was, `positions` of what was hidden in it.

    Errors: InvalidParameterError for no position, or one beyond the text.
    """
    if not positions or not all(0 <= position < len(ids) for position in positions):
        raise InvalidParameterError(f"positions={list(positions)} are not in a text of {len(ids)} tokens")
    return Loss(tuple(ids[position] for position in positions), tuple(positions))


def usual(here: Trace, other: Trace) -> Lead | Likeness:
    """What two runs are compared by where nothing is chosen.

    Of a model that writes: the lead of what it finds likeliest after this text over what it finds likeliest after the
    other (the second of that where they agree); of one that reads two texts, at the end of the answer so far. Of a
    classifier likewise. Of any other: the likeness to the other text.
    """
    logits = here.logits
    if logits is None or other.logits is None or (logits.dim() == 3 and here.config.kind == "encoder"):
        return Likeness(vector(other))
    position = here.lengths[0] - 1 - (here.source is not None)
    rows = [one[0] if one.dim() == 2 else one[0, position] for one in (logits, other.logits)]
    token = int(rows[0].argmax())
    return Lead(token, next(one for one in rows[1].topk(2).indices.tolist() if one != token), position)


def one_token(model: Model, written: str) -> int:
    """The id of the one token that a text is, as it stands or after a space. Errors: InvalidParameterError for more."""
    for text in (written, f" {written}"):
        encoding = model.encode(text)
        ids = [i for i, special in zip(encoding.ids, encoding.special, strict=True) if not special]
        if len(ids) == 1 and model.tokenizer.decode(ids).strip() == written.strip():
            return ids[0]
    raise InvalidParameterError(f"“{written}” is not one token of this model, and a prediction is of one")


def vector(trace: Trace, *, batch: int = 0) -> Tensor:
    """A text's vector, the mean of its tokens' final ones: (C,)."""
    return trace.final[batch, : trace.lengths[batch]].mean(dim=0)


def _row(ends: Ends, position: int, *tokens: int | None) -> Tensor:
    """The logits at a place, (B, V), or of a classifier."""
    _check_position(ends, position)
    found = ends.logits((position,))
    row = found[:, 0] if found.dim() == 3 else found
    for token in tokens:
        if token is not None and not 0 <= token < row.shape[-1]:
            raise InvalidParameterError(f"token {token} is outside 0…{row.shape[-1] - 1}")
    return row


def _check_position(ends: Ends, position: int) -> None:
    n = ends.final.shape[1]
    if not -n <= position < n:
        raise InvalidParameterError(f"position {position} of {n} (counted from 0)")
