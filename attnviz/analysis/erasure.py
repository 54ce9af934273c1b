"""What becomes of a prediction when a token is taken away: the real effect of each, one run of the model per token.

The token's place stays, with its position; its vector becomes that of an encoder's mask token, or else the mean of the
embedding table. Source: Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through
Representation Erasure"; leave-one-out in Jain and Wallace 2019, "Attention is not Explanation", section 4.1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnviz.analysis import predictions, reruns
from attnviz.analysis.attribution import check_split
from attnviz.analysis.predictions import Prediction
from attnviz.analysis.reruns import Nothing
from attnviz.errors import InvalidParameterError
from attnviz.models.model import Model
from attnviz.nn.trace import Trace


@dataclass(frozen=True, eq=False)
class Erasure:
    """A prediction as it was, and without each token in turn."""

    how: Nothing  # what stood in a token's place
    before: float
    after: Tensor  # (n,) float64

    @property
    def effect(self) -> Tensor:
        """(n,): what each token added to the prediction; negative where it stood in its way."""
        return self.before - self.after


def erased(
    model: Model, trace: Trace, prediction: Prediction, how: Nothing | None = None, *, batch: int = 0
) -> Erasure:
    """A prediction of a run without each of the text's tokens, as one batch (in parts of `reruns.MOST_TOKENS`).

    Arguments
        how: "mask" or "mean", see `reruns.nothing`. A model of another library is given the mask token itself.

    Errors: InvalidParameterError for a model that reads two texts; of another library also without a mask token.
    """
    return reruns.finished(erasing(model, trace, prediction, how, batch=batch))


def erasing(
    model: Model, trace: Trace, prediction: Prediction, how: Nothing | None = None, *, batch: int = 0
) -> Generator[int, None, Erasure]:
    """The same in steps, each the number of tokens that have been erased. Arguments, errors: as for `erased`."""
    before = predictions.of_run(prediction, trace, batch=batch)
    try:
        check_split(model.transformer, trace, 0, batch)
    except InvalidParameterError:
        return Erasure("mask", before, (yield from _by_ids(model, trace, prediction, how, batch)))
    how, vector = reruns.nothing(model, trace, how, batch=batch)
    rows = reruns.token_vectors(model.transformer, trace, batch=batch)  # (n, C)
    n, after = len(rows), []
    at_once = max(1, reruns.MOST_TOKENS // n)
    for start in range(0, n, at_once):
        which = torch.arange(start, min(n, start + at_once))
        with torch.inference_mode():
            versions = rows.repeat(len(which), 1, 1)  # (B, n, C)
            versions[torch.arange(len(which)), which] = vector
            final = reruns.run(model.transformer, trace, versions, batch=batch).final
            after.append(predictions.values(prediction, model.transformer, trace, final, batch=batch).double())
        yield start + len(which)
    return Erasure(how, before, torch.cat(after))


def _by_ids(
    model: Model, trace: Trace, prediction: Prediction, how: Nothing | None, batch: int
) -> Generator[int, None, Tensor]:
    """The same of a model whose vectors cannot be exchanged: each token's id is."""
    if model.reads != "text" or not trace.encodings or trace.source is not None:
        raise InvalidParameterError(f"{model.info.title} reads no one text whose tokens can be taken away")
    mask = model.tokenizer.mask_id
    if how == "mean" or mask is None:
        raise InvalidParameterError(
            f"another library runs {model.info.title}, which has no mask token to put in a token’s place"
        )
    ids, along = torch.tensor(trace.encodings[batch].ids), predictions.direction(trace, batch=batch)
    n, after = len(ids), []
    at_once = max(1, reruns.MOST_TOKENS // n)
    for start in range(0, n, at_once):
        which = torch.arange(start, min(n, start + at_once))
        versions = ids.repeat(len(which), 1)
        versions[torch.arange(len(which)), which] = mask
        with torch.inference_mode():
            run = model.transformer(model.brought(versions), intervention=trace.intervention)
        after += [predictions.of_run(prediction, run, batch=i, along=along) for i in range(len(which))]
        yield len(after)
    return torch.tensor(after, dtype=torch.float64)
