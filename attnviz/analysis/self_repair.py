"""Self-repair: a head is removed, and later parts of the model put back what it did.

    direct      what the head itself writes into the logit, the norms as this run computed them
    total       by how much the logit falls when the head is switched off and all after it is run again
    repaired    1 − total / direct, where the total loss is the smaller of the two and points the same way

What later parts do (and that norms scale what is left anew) is the difference of the two.
Source: McGrath et al. 2023, "The Hydra Effect"; Rushing and Nanda 2024, "Explorations of Self-Repair".
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnviz.analysis import attribution, patching, reruns
from attnviz.analysis.outcomes import Lead
from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

LEAST = 0.05  # of the largest direct effect: less is too little to speak of a share of it


@dataclass(frozen=True, eq=False)
class Repair:
    """What a logit (or a lead) owes to every head, and what it loses without it."""

    direct: Tensor  # (L, H)
    total: Tensor  # (L, H)

    @property
    def repaired(self) -> Tensor:
        """(L, H): the share of the direct effect that does not get lost, 0 … 1; NaN where it is too small to say.

        Below 0: more is lost than the head itself had written, for later parts had built on it. Above 1: later parts
        put back more than it had written.
        """
        share = 1 - self.total / self.direct
        return share.where(self.direct.abs() >= LEAST * self.direct.abs().max(), torch.nan)

    @property
    def most(self) -> tuple[int, int] | None:
        """The head (layer, head) of which most is put back, in logits; None where nothing is."""
        back = (self.direct - self.total).abs().where((self.repaired > 0) & (self.repaired <= 1), 0.0)
        if float(back.max()) == 0:
            return None
        n_heads = back.shape[1]
        place = int(back.argmax())
        return place // n_heads, place % n_heads


def of_heads(model: Transformer, trace: Trace, outcome: Lead, *, batch: int = 0) -> Repair:
    """The direct and the total effect of every head's removal on a logit or a lead.

    Errors: InvalidParameterError as `attribution.logit_parts` (two texts, no logits, a head that is not linear) and
    as `patching.heads`.
    """
    return reruns.finished(of_heads_in_steps(model, trace, outcome, batch=batch))


def of_heads_in_steps(
    model: Transformer, trace: Trace, outcome: Lead, *, batch: int = 0
) -> Generator[int, None, Repair]:
    """The same in steps, each the number of heads that were switched off. Errors: as `of_heads`."""
    n, n_layers, n_heads = trace.lengths[batch], len(trace.layers), model.config.n_heads
    if not -n <= outcome.position < n:
        raise InvalidParameterError(f"position {outcome.position} of {n} (counted from 0)")
    parts = attribution.logit_parts(
        model, trace, outcome.position % n, outcome.token, versus=outcome.versus, batch=batch
    )
    direct = torch.zeros(n_layers, n_heads, dtype=torch.float64)
    for part, term in zip(parts.parts, parts.terms.tolist(), strict=True):
        if part.kind == "head":
            direct[part.layer, part.head] = term
    unchanged = patching.base(model, trace, outcome, batch=batch)
    rows: list[Tensor] = []
    done = 0
    for step in patching.heads_in_steps(model, trace, outcome, "zero", batch=batch):
        if isinstance(step, int):
            done += step
        else:
            rows.append(unchanged - step.values.double())
            done = len(rows) * n_heads  # with those that change nothing, which are not run
        yield done
    return Repair(direct, torch.stack(rows))
