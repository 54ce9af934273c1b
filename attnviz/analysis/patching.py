"""What if one part of a run were another? A head changed, or taken from the run of another text: exactly.

    zero      the head adds nothing
    mean      it adds, at every token, what it adds on average over the text: what it says of this token is gone
    uniform   it looks at all tokens that it may look at alike
    a number  what it adds, times that
    patch     it adds what it adds in the other run
    freeze    it looks where it looks in the other run, at this text's values

A change needs only what comes after it: all heads of a place are one batch, which begins there. What a change leaves as
it was is not run again: its outcome is the run's own, bit for bit. The two texts have equally many tokens, or a
position of one is none of the other. Source: Vig et al. 2020; Meng et al. 2022 (causal tracing); Wang et al. 2023,
section 2; Zhang and Nanda 2024.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from attnviz.analysis import sites
from attnviz.analysis.outcomes import Loss, Outcome
from attnviz.analysis.sites import Ends, Place, Site
from attnviz.errors import InvalidParameterError
from attnviz.models.hf_model import HFModel
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

How: TypeAlias = Literal["zero", "mean", "uniform", "patch", "freeze"] | float
NEEDS_OTHER = ("patch", "freeze")
NAMES = ("zero", "mean", "uniform", *NEEDS_OTHER)
CLOSE = 1e-2  # of its norm that a final vector may be off where a stream is exchanged whole: half precision rounds
MOST = 1 << 24  # numbers of the final vectors of one batch: more versions than that run one batch after another
MOST_TOKENS = 2048  # of one batch: no faster with more, and between two batches one can stop


@dataclass(frozen=True, eq=False)
class HeadRow:
    """What the outcome was with each head of one place changed, one at a time."""

    site: Site
    values: Tensor  # (H,)


@dataclass(frozen=True, eq=False)
class StreamRow:
    """What the outcome was with the residual stream into one layer taken from the other run, a token at a time."""

    layer: int
    values: Tensor  # (T,)


def check(model: Transformer, trace: Trace, how: How, other: Trace | None, batch: int = 0) -> None:
    """Errors: InvalidParameterError for a `how` that there is not, for models that cannot be run from a layer on, and
    for a pair of runs of different models or lengths, with both numbers."""
    if isinstance(how, str) and how not in NAMES:
        raise InvalidParameterError(f"how={how!r} is not one of {', '.join(NAMES)}, nor a number")
    if not isinstance(how, str) and not (torch.tensor(float(how)).isfinite()):
        raise InvalidParameterError(f"how={how} is not finite")
    sites.check(model, trace, batch, elsewhere=True)
    if isinstance(how, str) and how in NEEDS_OTHER and other is None:
        raise InvalidParameterError(f"how={how!r} needs the run of another text")
    if other is not None:
        sites.check(model, other, batch, elsewhere=True)
        _check_pair(trace, other, batch)


def _check_pair(trace: Trace, other: Trace, batch: int) -> None:
    for which, a, b in (("texts", trace.source or trace, other.source or other), ("answers", trace, other)):
        if a.lengths[batch] != b.lengths[batch]:
            raise InvalidParameterError(
                f"the two {which} have {a.lengths[batch]} and {b.lengths[batch]} tokens: a patch needs equally many"
            )


def base(model: Transformer, trace: Trace, outcome: Outcome, *, batch: int = 0) -> float:
    """The outcome of a run as it is. Errors: as `check`, and as the outcome."""
    sites.check(model, trace, batch, elsewhere=True)
    with torch.inference_mode():
        return float(outcome(Ends.of(model, trace, batch))[0])


def heads(
    model: Transformer,
    trace: Trace,
    outcome: Outcome,
    how: How = "patch",
    *,
    other: Trace | None = None,
    at: Sequence[int] | None = None,
    batch: int = 0,
) -> Iterator[HeadRow]:
    """The outcome with each head changed, a place at a time, so that one can show progress and stop.

    Arguments
        trace: a run of this model; its intervention stays.
        how: see the top of this module. other: the other run, for "patch" and "freeze".
        at: the positions (of queries) at which the head is changed; all by default.
        batch: which text of the run, and of the other one.

    Errors: as `check`, as the outcome, and InvalidParameterError for a position that is not there.
    """
    steps = heads_in_steps(model, trace, outcome, how, other=other, at=at, batch=batch)
    yield from (step for step in steps if not isinstance(step, int))


def heads_in_steps(
    model: Transformer,
    trace: Trace,
    outcome: Outcome,
    how: How = "patch",
    *,
    other: Trace | None = None,
    at: Sequence[int] | None = None,
    batch: int = 0,
) -> Generator[HeadRow | int, None, None]:
    """The same in smaller steps: after each batch of a place's heads, their number. Arguments, errors: as `heads`."""
    check(model, trace, how, other, batch)
    unchanged = base(model, trace, outcome, batch=batch)
    for site in sites.sites(trace):
        with torch.inference_mode():
            z, new = _z(trace, site, batch), changed_z(trace, site, how, other=other, at=at, batch=batch)
            moved = (new != z).flatten(1).any(dim=1)
            values = torch.full((len(z),), unchanged, dtype=z.dtype, device=z.device)
        for some in _some(moved, z.shape[1], _width(model, outcome)):
            with torch.inference_mode():
                values[some] = outcome(_heads_changed(model, trace, site, some, new, batch))
            yield len(some)
        yield HeadRow(site, values)


def stream(
    model: Transformer,
    trace: Trace,
    other: Trace,
    outcome: Outcome,
    *,
    place: Place | None = None,
    batch: int = 0,
) -> Iterator[StreamRow]:
    """The outcome with the residual stream into each layer taken from the other run, at one token at a time.

    `place`: the stack, "encoder" or "decoder", of a model that reads two texts; the encoder by default.
    Errors: as `heads`.
    """
    steps = stream_in_steps(model, trace, other, outcome, place=place, batch=batch)
    yield from (step for step in steps if not isinstance(step, int))


def stream_in_steps(
    model: Transformer,
    trace: Trace,
    other: Trace,
    outcome: Outcome,
    *,
    place: Place | None = None,
    batch: int = 0,
) -> Generator[StreamRow | int, None, None]:
    """The same in smaller steps: after each batch of a layer's tokens, their number. Errors: as `heads`."""
    check(model, trace, "patch", other, batch)
    unchanged = base(model, trace, outcome, batch=batch)
    where: Place = place or sites.sites(trace)[0].place
    here, there = sites.side(trace, where), sites.side(other, where)
    n = here.lengths[batch]
    for layer in range(len(here.layers)):
        if isinstance(model, HFModel):
            _check_enters(model, trace, other, where, layer, batch)
        with torch.inference_mode():
            x, new = here.layers[layer].resid_pre[batch, :n], there.layers[layer].resid_pre[batch, :n]
            moved = (x != new).any(dim=1)
            values = torch.full((n,), unchanged, dtype=x.dtype, device=x.device)
        for some in _some(moved, n, _width(model, outcome)):
            with torch.inference_mode():
                versions = x.repeat(len(some), 1, 1)
                versions[torch.arange(len(some)), some] = new[some]
                values[some] = outcome(sites.after_layer(model, trace, where, layer, versions, batch=batch))
            yield len(some)
        yield StreamRow(layer, values)


def _check_enters(model: HFModel, trace: Trace, other: Trace, place: Place, layer: int, batch: int) -> None:
    """Errors: InvalidParameterError unless a stream that is exchanged whole leads to where the other run came."""
    there = sites.side(other, place)
    with torch.inference_mode():
        x = there.layers[layer].resid_pre[batch : batch + 1, : there.lengths[batch]]
        found = sites.after_layer(model, trace, place, layer, x, batch=batch).final
        wanted = Ends.of(model, other, batch).final
    if float((found - wanted).norm()) > CLOSE * float(wanted.norm()):
        raise InvalidParameterError(f"the stream of {trace.title or 'this model'} has other ways into layer {layer}")


def everything(model: Transformer, trace: Trace, other: Trace, *, layer: int = 0, batch: int = 0) -> Ends:
    """The run whose residual stream into a layer is the other run's at every token: from there on it is that run.

    Of a model that reads two texts, the encoder's stream. Errors: as `check`.
    """
    check(model, trace, "patch", other, batch)
    place = sites.sites(trace)[0].place
    there = sites.side(other, place)
    with torch.inference_mode():
        x = there.layers[layer].resid_pre[batch : batch + 1, : there.lengths[batch]]
        return sites.after_layer(model, trace, place, layer, x, batch=batch)


def changed_z(
    trace: Trace,
    site: Site,
    how: How,
    *,
    other: Trace | None = None,
    at: Sequence[int] | None = None,
    batch: int = 0,
) -> Tensor:
    """What the heads of a place give out under a change, before W_O: (H, T, D)."""
    z, (n, m) = _z(trace, site, batch), sites.lengths(trace, site, batch)
    match how:
        case "zero":
            new = torch.zeros_like(z)
        case "mean":
            new = z.mean(dim=1, keepdim=True).expand_as(z)
        case "uniform":
            new = _looked(trace, site, _even(trace, site, batch), batch)
        case "patch":
            assert other is not None
            new = _z(other, site, batch)
        case "freeze":
            assert other is not None
            new = _looked(trace, site, sites.record(other, site).weights[batch, :, :n, :m], batch)
        case _:
            new = z * float(how)
    if at is None:
        return new
    wrong = [position for position in at if not 0 <= position < n]
    if wrong:
        raise InvalidParameterError(f"position {wrong[0]} of {n} (counted from 0)")
    mixed = z.clone()
    mixed[:, list(at)] = new[:, list(at)]
    return mixed


def versions(model: Transformer, trace: Trace, site: Site, new: Tensor, *, batch: int = 0) -> Tensor:
    """The output of one attention with one of its heads changed in each version: `new` (H, T, D) → (H, T, C)."""
    out = sites.record(trace, site).out
    assert out is not None
    z = _z(trace, site, batch)
    return out[batch, : z.shape[1]] + (new - z) @ head_weights(model, site)


def head_weights(model: Transformer, site: Site) -> Tensor:
    """What takes each head's z into the stream, W_O cut by heads: (H, D, C)."""
    module = sites.attention(model, site)
    weight: Tensor = module.out_proj.weight
    return weight.unflatten(1, (module.num_heads, module.head_dim)).permute(1, 2, 0)


def _heads_changed(model: Transformer, trace: Trace, site: Site, some: Tensor, new: Tensor, batch: int) -> Ends:
    """The run's ends for some heads (h,), each with its own of `new` (H, T, D), alone."""
    z, out = _z(trace, site, batch), sites.record(trace, site).out
    if isinstance(model, HFModel):
        versions = z.repeat(len(some), 1, 1, 1)
        versions[torch.arange(len(some)), some] = new[some]
        return sites.elsewhere(model, trace, z={site: versions}, batch=batch)
    assert out is not None
    changed = out[batch, : z.shape[1]] + (new - z)[some] @ head_weights(model, site)[some]
    return sites.after_attention(model, trace, site, changed, batch=batch)


def _some(moved: Tensor, n_tokens: int, width: int) -> list[Tensor]:
    """The numbers of what is to be run, in batches of versions that hold so many tokens of so many numbers each."""
    which = moved.nonzero()[:, 0]
    most = max(1, min(MOST_TOKENS // n_tokens, MOST // (n_tokens * width)))
    return list(which.split(most)) if len(which) else []


def _width(model: Transformer, outcome: Outcome) -> int:
    """How many numbers a token of a version takes: of a loss, logits, which another library computes in any case."""
    writes = model.config.vocab_size if isinstance(outcome, Loss) or isinstance(model, HFModel) else 0
    return max(model.config.d_model, writes)


def _z(trace: Trace, site: Site, batch: int) -> Tensor:
    return sites.record(trace, site).z[batch, :, : sites.lengths(trace, site, batch)[0]]


def _even(trace: Trace, site: Site, batch: int) -> Tensor:
    """Weights that are the same on all keys that a query may look at, and 0 where it may look at none: (H, T, S)."""
    record, (n, m) = sites.record(trace, site), sites.lengths(trace, site, batch)
    keep = torch.ones(1, 1, n, m, dtype=torch.bool, device=record.q.device) if record.keep is None else record.keep
    may = keep.expand(*record.q.shape[:2], *keep.shape[-2:])[batch, :, :n, :m].to(record.v.dtype)
    return may / may.sum(dim=-1, keepdim=True).clamp_min(1)


def _looked(trace: Trace, site: Site, weights: Tensor, batch: int) -> Tensor:
    """z of a place's heads under other weights (H, T, S), times what their factor is."""
    record, m = sites.record(trace, site), sites.lengths(trace, site, batch)[1]
    z = weights @ record.v[batch, :, :m]
    return z if record.head_scale is None else z * record.head_scale[:, None, None]
