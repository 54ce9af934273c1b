"""One cell of attention removed, in two ways that are not the same.

    blocked     before softmax: the query may not look there, and its weight goes to the other keys in proportion
    cut         after softmax: the weight is taken away, and nothing is put in its place

Who blocks a cell and sees little happen has not shown that the cell is unimportant: where the other keys say the same,
they take over within the same head. Source: Geva et al. 2023, "Dissecting Recall" (attention knockout blocks).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from attnviz.analysis import patching, patching_gradient, reruns, sites
from attnviz.analysis.outcomes import Outcome
from attnviz.analysis.sites import Site
from attnviz.errors import InvalidParameterError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer


@dataclass(frozen=True)
class Removed:
    """One cell, what it holds, and the outcome's change when it goes."""

    query: int
    key: int
    weight: float
    blocked: float  # the outcome's change
    cut: float
    heir: int | None  # the key that gains most when the cell is blocked; None where no other is left
    gain: float  # by how much

    @property
    def underestimates(self) -> bool:
        """Whether blocking shows less than cutting does."""
        return abs(self.blocked) < abs(self.cut)


def of_head(
    model: Transformer,
    trace: Trace,
    outcome: Outcome,
    site: Site,
    head: int,
    *,
    most: int = 5,
    batch: int = 0,
) -> tuple[Removed, ...]:
    """A head's cells, each removed alone in both ways: those that a gradient names, that which does most first.

    Errors: InvalidParameterError for a place or a head that is not there, and as `patching.heads`.
    """
    return reruns.finished(of_head_in_steps(model, trace, outcome, site, head, most=most, batch=batch))


def of_head_in_steps(
    model: Transformer,
    trace: Trace,
    outcome: Outcome,
    site: Site,
    head: int,
    *,
    most: int = 5,
    batch: int = 0,
) -> Generator[int, None, tuple[Removed, ...]]:
    """The same in steps, each the number of removals that were run, two of every cell. Errors: as `of_head`."""
    sites.check(model, trace, batch)
    if site not in sites.sites(trace) or not 0 <= head < model.config.n_heads:
        raise InvalidParameterError(f"{site.place} layer {site.layer}, head {head} is not there (counted from 0)")
    record, (n, m) = sites.record(trace, site), sites.lengths(trace, site, batch)
    unchanged = patching.base(model, trace, outcome, batch=batch)
    slope = patching_gradient.slopes(model, trace, outcome, batch=batch)[site][head]  # (T, D)
    with torch.inference_mode():
        weights, values = record.weights[batch, head, :n, :m], record.v[batch, head, :m]
        factor = 1.0 if record.head_scale is None else float(record.head_scale[head])
        z = record.z[batch, head, :n]
        near = _largest((weights * (slope @ values.T)).abs(), most)
        if not near:
            return ()
        cut, blocked = z.repeat(len(near), 1, 1), z.repeat(len(near), 1, 1)
        for version, (query, key) in enumerate(near):
            weight = weights[query, key]
            cut[version, query] -= factor * weight * values[key]
            rest = weights[query].clone()
            rest[key] = 0
            total = rest.sum()
            blocked[version, query] = factor * (rest / total if total > 0 else rest) @ values
        both = torch.cat([cut, blocked])
        out = record.out
        assert out is not None
        changed = out[batch, :n] + (both - z) @ patching.head_weights(model, site)[head]
    outcomes: list[torch.Tensor] = []
    for some in changed.split(max(1, patching.MOST_TOKENS // n)):
        yield sum(map(len, outcomes))
        with torch.inference_mode():
            outcomes.append(outcome(sites.after_attention(model, trace, site, some, batch=batch)) - unchanged)
    effects = torch.cat(outcomes)
    found = [
        _removed(weights, query, key, float(effects[len(near) + i]), float(effects[i]))
        for i, (query, key) in enumerate(near)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.cut)))


def _largest(effects: torch.Tensor, most: int) -> list[tuple[int, int]]:
    """The cells (query, key) with the largest effects; none without any."""
    n_keys = effects.shape[1]
    top = effects.flatten().topk(min(most, int((effects > 0).sum())))
    return [(int(place) // n_keys, int(place) % n_keys) for place in top.indices]


def _removed(weights: torch.Tensor, query: int, key: int, blocked: float, cut: float) -> Removed:
    row = weights[query]
    weight, rest = float(row[key]), row.clone()
    rest[key] = 0
    if float(rest.sum()) <= 0:
        return Removed(query, key, weight, blocked, cut, None, 0.0)
    heir = int(rest.argmax())
    gain = float(row[heir]) / float(rest.sum()) - float(row[heir])
    return Removed(query, key, weight, blocked, cut, heir, gain)
