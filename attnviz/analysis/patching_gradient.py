"""Attribution patching: what patching every head would do, as one gradient says, beside what it does.

    effect of a head ≈ Σ (z′ − z) · ∂outcome/∂z               at the run as it is

One run forward and one back instead of a run for each head. It is exact where the outcome is linear in what the head
writes, and goes wrong where softmaxes, norms and activations bend in between; `correlation` says how far.
Source: Nanda 2023, "Attribution Patching: Activation Patching At Industrial Scale"; Kramár et al. 2024, "AtP*".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnviz.analysis import patching, sites
from attnviz.analysis.outcomes import Outcome
from attnviz.analysis.patching import How
from attnviz.analysis.sites import Site
from attnviz.models.hf_model import HFModel
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer


@dataclass(frozen=True)
class Correlation:
    """How well an approximation goes with the exact effects of n heads; NaN where either does not vary."""

    pearson: float
    spearman: float
    n: int


def heads(
    model: Transformer,
    trace: Trace,
    outcome: Outcome,
    how: How = "patch",
    *,
    other: Trace | None = None,
    at: Sequence[int] | None = None,
    batch: int = 0,
) -> Tensor:
    """By how much the outcome would change with each head changed, by its gradient: (places, H).

    Arguments and errors as for `patching.heads`, in whose order the places stand.
    """
    patching.check(model, trace, how, other, batch)
    gradients = slopes(model, trace, outcome, batch=batch)
    with torch.inference_mode():
        rows = []
        for site, slope in gradients.items():
            n = sites.lengths(trace, site, batch)[0]
            z = sites.record(trace, site).z[batch, :, :n]
            new = patching.changed_z(trace, site, how, other=other, at=at, batch=batch)
            rows.append(((new - z) * slope).sum(dim=(1, 2)))
        return torch.stack(rows)


def slopes(model: Transformer, trace: Trace, outcome: Outcome, *, batch: int = 0) -> dict[Site, Tensor]:
    """∂outcome/∂z of every place, (H, T, D) each, at the run as it is: one run forward and one back.

    Errors: as `sites.check`, and as the outcome.
    """
    sites.check(model, trace, batch, elsewhere=True)
    wanted = sites.sites(trace)
    records: dict[Site, AttentionTrace] = {}
    with torch.inference_mode(mode=False), torch.enable_grad():
        places = dict.fromkeys(site.place for site in wanted if site.place != "cross")
        begins = {Site(place, 0): _begin(sites.side(trace, place), batch) for place in places}
        if isinstance(model, HFModel):
            ends = sites.elsewhere(model, trace, streams=begins, batch=batch, records=records)
        else:
            (first, x), *_ = begins.items()
            ends = sites.after_layer(model, _plain(trace), first.place, 0, x, batch=batch, records=records)
        found = torch.autograd.grad(outcome(ends).sum(), [records[site].z for site in wanted])
    return {site: slope[0].detach() for site, slope in zip(wanted, found, strict=True)}


def _begin(trace: Trace, batch: int) -> Tensor:
    """What goes into the first layer, as the root of a graph: (1, T, C)."""
    return trace.layers[0].resid_pre[batch : batch + 1, : trace.lengths[batch]].clone().requires_grad_()


def _plain(trace: Trace) -> Trace:
    """A trace whose decoder begins a graph of its own, beside the encoder's: its first layer does not read that one."""
    if trace.source is None:
        return trace
    first = replace(trace.layers[0], resid_pre=trace.layers[0].resid_pre.clone().requires_grad_())
    return replace(trace, layers=(first, *trace.layers[1:]))


def correlation(exact: Tensor, approximate: Tensor) -> Correlation:
    """Of two tensors of effects: Pearson's, and Spearman's, which asks for the order alone (ties share a rank)."""
    a, b = (x.flatten().double() for x in (exact, approximate))
    return Correlation(_pearson(a, b), _pearson(_ranks(a), _ranks(b)), len(a))


def _pearson(a: Tensor, b: Tensor) -> float:
    if len(a) < 2 or float(a.std()) == 0 or float(b.std()) == 0:
        return float("nan")
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def _ranks(x: Tensor) -> Tensor:
    """(n,): from 0; equal values share the mean of their ranks."""
    _, which, counts = x.unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0)
    return (ends - (counts + 1) / 2)[which].double()
