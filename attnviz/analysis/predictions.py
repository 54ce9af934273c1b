"""The one number that an explanation is of: a next token's logit, a class's, or a length along a text's embedding.

    token      the logit of one token of the vocabulary, read at one position
    class      the logit of one class, read where the classifier reads
    embedding  e · e₀/‖e₀‖: the mean of the final vectors, along the direction that it has in the run as it was

The last is for encoders without a head, whose output has no one number: Crabbé and van der Schaar 2022, "Label-Free
Explainability for Unsupervised Models", section 2.1. At the run itself it is ‖e₀‖.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

if TYPE_CHECKING:
    from attnviz.models.model import Model

Kind = Literal["token", "class", "embedding"]


@dataclass(frozen=True)
class Prediction:
    """What is predicted, and the positions whose final vectors it is read from, averaged."""

    kind: Kind
    rows: tuple[int, ...]
    target: int | None = None  # a token's id or a class; None of an embedding


def predicted(trace: Trace, target: int | None = None, *, position: int | None = None, batch: int = 0) -> Prediction:
    """What a run predicts of one text: its likeliest token or class, unless a `target` is given.

    Arguments
        target: an id of the vocabulary, or a class.
        position: of a language model: whose final vector is read; the last token's by default, as for a next token.

    Errors: InvalidParameterError for a target, a position or a text that is not there, and for a model that reads two.
    """
    if trace.source is not None:
        raise InvalidParameterError("a model that reads two texts has no one row of tokens to explain")
    if not 0 <= batch < len(trace.lengths):
        raise InvalidParameterError(f"batch={batch}, but the trace holds {len(trace.lengths)} texts (from 0)")
    n, logits = trace.lengths[batch], trace.logits
    if position is not None and not 0 <= position < n:
        raise InvalidParameterError(f"position {position} of {n} (counted from 0)")
    if logits is None:
        if target is not None:
            raise InvalidParameterError(f"{trace.title or 'this model'} predicts nothing: it has no logits")
        return Prediction("embedding", tuple(range(n)))
    is_class = logits.dim() == 2
    rows = _read_by_classifier(trace, n) if is_class else (n - 1 if position is None else position,)
    row = logits[batch] if is_class else logits[batch, rows[0]]
    if target is not None and not 0 <= target < len(row):
        raise InvalidParameterError(f"target={target} is outside 0…{len(row) - 1}")
    return Prediction("class" if is_class else "token", rows, int(row.argmax()) if target is None else target)


def _read_by_classifier(trace: Trace, n: int) -> tuple[int, ...]:
    if getattr(trace.config, "head", None) == "distillation":
        return 0, 1
    return (0,) if trace.config.kind == "encoder" else (n - 1,)


def fills_in(model: Model, trace: Trace) -> bool:
    """Whether a model predicts hidden tokens instead of next ones."""
    has_tokens = trace.logits is not None and trace.logits.dim() == 3
    return (
        has_tokens and trace.source is None and trace.config.kind == "encoder" and model.tokenizer.mask_id is not None
    )


def of_run(prediction: Prediction, trace: Trace, *, batch: int = 0, along: Tensor | None = None) -> float:
    """The number in a run; of an embedding, `along` a unit vector (C,), by default its own `direction`."""
    n = trace.lengths[batch]
    if prediction.kind == "embedding":
        mean = trace.final[batch, :n].double().mean(dim=0)
        return float(mean @ (direction(trace, batch=batch) if along is None else along).double())
    assert trace.logits is not None
    row = trace.logits[batch] if prediction.kind == "class" else trace.logits[batch, prediction.rows[0]]
    return float(row[cast(int, prediction.target)])


def direction(trace: Trace, *, batch: int = 0) -> Tensor:
    """(C,): the unit vector of a text's embedding, the mean of its final vectors."""
    mean = trace.final[batch, : trace.lengths[batch]].mean(dim=0)
    return mean / mean.norm().clamp_min(torch.finfo(mean.dtype).tiny)


def values(prediction: Prediction, model: Transformer, trace: Trace, final: Tensor, *, batch: int = 0) -> Tensor:
    """The number in each of B versions of a text, from their final vectors (B, n, C): (B,). Has derivatives.

    trace: the run that they are versions of.
    """
    if prediction.kind == "embedding":
        return final.mean(dim=1) @ direction(trace, batch=batch).clone()
    head = cast(Any, model.head)
    if prediction.kind == "class":
        return cast(Tensor, head(final, (final.shape[1],) * len(final))[:, prediction.target])
    row = prediction.rows[0]
    return cast(Tensor, head(final[:, row : row + 1], (1,) * len(final))[:, 0, prediction.target])
