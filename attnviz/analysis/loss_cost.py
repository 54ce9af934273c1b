"""What a head's removal costs: by how many nats per token the model gets worse at what it was trained to predict.

A model that writes predicts each next token of the text. Of one that fills in hidden tokens every seventh of the text's
own is hidden at once, about as many as in its training, and predicted from the others. No other model has a loss here.
Source: Michel et al. 2019; of hidden tokens: Devlin et al. 2019, section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.analysis import ablation, predictions
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model

EVERY, FIRST = 7, 3  # own tokens from one that is hidden to the next, and the first one


def of_text(model: Model, trace: Trace) -> tuple[float, Tensor] | None:
    """The loss on a text, and by how much it grows without each head (L, H); None where there is no such loss.

    `trace`: the model's run of that text alone. Errors: InvalidParameterError where layers cannot be run one by one.
    """
    found = _predicted(model, trace)
    if found is None:
        return None
    run, rows, goals = found

    def loss(logits: Tensor) -> Tensor:
        """(B, T, V) → (B,)."""
        wanted = torch.tensor(goals).expand(len(logits), -1)
        return F.cross_entropy(logits[:, rows].mT.double(), wanted, reduction="none").mean(dim=1)

    assert run.logits is not None
    base = float(loss(run.logits[:1])[0])
    changed = [loss(one.logits) - base for one in ablation.each_head(model.transformer, run) if one.logits is not None]
    return base, torch.stack(changed)


def _predicted(model: Model, trace: Trace) -> tuple[Trace, list[int], list[int]] | None:
    """The run, the rows that predict, and the tokens that come there; None where nothing is predicted."""
    if trace.logits is None or trace.logits.dim() != 3 or trace.source is not None or not trace.encodings:
        return None
    encoding = trace.encodings[0]
    ids = list(encoding.ids)
    if trace.config.kind == "decoder":
        return None if len(ids) < 2 else (trace, list(range(len(ids) - 1)), ids[1:])
    if not predictions.fills_in(model, trace) or model.tokenizer.mask_id is None:
        return None
    own = [i for i, special in enumerate(encoding.special) if not special]
    hidden = own[FIRST::EVERY] or own[-1:]
    if len(own) < 2:
        return None
    asked = [model.tokenizer.mask_id if i in hidden else one for i, one in enumerate(ids)]
    return model.run(asked, intervention=trace.intervention), hidden, [ids[i] for i in hidden]
