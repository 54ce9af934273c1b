"""What each head is worth to a training's own measure: the held-out loss of the model without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from attnviz.nn.intervention import Intervention, Place
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks import IGNORED, Batch, Task

EXAMPLES = 64  # held-out examples that each head is switched off for


@dataclass(frozen=True, eq=False)
class HeadLosses:
    """A model's loss on held-out examples, nats per label, with and without each head."""

    whole: float
    without: np.ndarray  # (L, H)

    @property
    def most(self) -> tuple[int, int] | None:
        """Layer and head whose absence costs most; None if the loss rises without none."""
        layer, head = np.unravel_index(int(self.without.argmax()), self.without.shape)
        return (int(layer), int(head)) if self.without[layer, head] > self.whole else None


def head_losses(model: Transformer, task: Task) -> HeadLosses:
    """The loss on some examples of the validation split, then with each head's output set to 0, one at a time.

    Of an encoder-decoder model the heads that look from target to source.
    """
    batch = first(next(iter(task.held_out("val"))), EXAMPLES)
    shape = model.config.n_layers, model.config.n_heads
    where: Place = "cross" if model.config.kind == "encoder-decoder" else "all"
    model.eval()
    with torch.inference_mode():
        without = np.empty(shape)
        for head in np.ndindex(*shape):
            without[head] = _loss(
                partial(model, intervention=Intervention(head_scale=((*head, 0.0),), where=where)), batch
            )
        return HeadLosses(_loss(model, batch), without)


def first(batch: Batch, n: int) -> Batch:
    """The first n examples of a batch."""
    lengths, target_lengths = (None if given is None else given[:n] for given in (batch.lengths, batch.target_lengths))
    target = None if batch.target is None else batch.target[:n]
    return replace(
        batch, ids=batch.ids[:n], labels=batch.labels[:n], lengths=lengths, target=target, target_lengths=target_lengths
    )


def _loss(model: Any, batch: Batch) -> float:
    logits = batch.run(model).logits
    assert logits is not None
    asked = batch.labels != IGNORED
    return float(torch.nn.functional.cross_entropy(logits[asked], batch.labels[asked]))
