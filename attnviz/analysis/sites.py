"""The places of a run where heads write, and the rest of the run from there on, for many versions at once.

A model that reads one text has one place per layer. One that reads two has its encoder's layers, and two places in
each layer of its decoder: attention to its own words, and to the encoder's ("cross"). Our own models are run on from
a place; of one that another library computes the whole runs again, with that place exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import Tensor, nn

from attnviz.analysis.provenance.steps import schemes
from attnviz.errors import InvalidParameterError
from attnviz.models import hf_exchange
from attnviz.models.hf_attention import Seat
from attnviz.models.hf_model import HFModel
from attnviz.nn import positions
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.layers import TransformerDecoderLayer, TransformerEncoderLayer
from attnviz.nn.masks import Mask
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

Place = Literal["encoder", "decoder", "cross"]


@dataclass(frozen=True)
class Site:
    """One attention of a model; layers count from 0."""

    place: Place
    layer: int


@dataclass(frozen=True, eq=False)
class Ends:
    """What B versions of one text came to: the final vectors, and the logits for whom wants them."""

    model: Transformer
    final: Tensor  # (B, T, C)
    computed: Tensor | None = None  # the logits of all tokens, of a model that another library computes

    @classmethod
    def of(cls, model: Transformer, trace: Trace, batch: int = 0) -> Ends:
        """What one text of a run came to, as one version."""
        final = trace.final[batch : batch + 1, : trace.lengths[batch]]
        if not isinstance(model, HFModel) or trace.logits is None:
            return cls(model, final)
        rows = trace.logits[batch : batch + 1]
        return cls(model, final, rows[:, : trace.lengths[batch]] if rows.dim() == 3 else rows)

    def logits(self, at: Sequence[int] | None = None) -> Tensor:
        """(B, P, V) at some tokens, all by default; of a classifier (B, n_classes), whatever is asked for.

        Errors: InvalidParameterError for a model without logits.
        """
        if self.computed is not None:
            return self.computed if at is None or self.computed.dim() < 3 else self.computed[:, list(at)]
        if isinstance(self.model, HFModel) or self.model.head is None:
            raise InvalidParameterError("this model has no logits: measure what becomes of its final vectors")
        final = self.final if at is None or self.model.config.head != "lm" else self.final[:, list(at)]
        found: Tensor = cast(Any, self.model.head)(final, (final.shape[1],) * len(final))
        return found


def check(model: Transformer, trace: Trace, batch: int, *, elsewhere: bool = False) -> None:
    """Errors: InvalidParameterError unless a text of a trace can be run on from any of its layers.

    `elsewhere`: a model that another library computes will do, where its whole run can be repeated with an exchange.
    """
    title = trace.title or "this model"
    if not elsewhere if isinstance(model, HFModel) else not hasattr(model, "embed"):
        raise InvalidParameterError(f"{title} is not made of our layers: none can be run alone")
    if isinstance(model, HFModel) and (reason := hf_exchange.why_not(model, trace)):
        raise InvalidParameterError(f"{title} {reason}")
    if not 0 <= batch < len(trace.lengths):
        raise InvalidParameterError(f"batch={batch}, but the trace holds {len(trace.lengths)} texts (from 0)")
    if trace.n_so_far != trace.final.shape[1]:
        raise InvalidParameterError(
            f"here are {trace.final.shape[1]} of {trace.n_so_far} tokens: a whole run is needed"
        )
    for site in () if isinstance(model, HFModel) else sites(trace):
        reads = trace.source is not None and site.place != "encoder"
        kind: type = TransformerDecoderLayer if reads else TransformerEncoderLayer
        if type(block(model, site)) is not kind:
            raise InvalidParameterError(f"{site.place} layer {site.layer} is not made of our layers")


def sites(trace: Trace) -> tuple[Site, ...]:
    """All of a run's, in the order in which it comes to them."""
    n = len(trace.layers)
    if trace.source is None:
        alone: Place = "decoder" if trace.config.kind == "decoder" else "encoder"
        return tuple(Site(alone, layer) for layer in range(n))
    first = tuple(Site("encoder", layer) for layer in range(len(trace.source.layers)))
    places: tuple[Place, ...] = ("decoder", "cross")
    return first + tuple(Site(place, layer) for layer in range(n) for place in places)


def side(trace: Trace, place: Place) -> Trace:
    """The run of the stack that a place is in."""
    return trace.source if place == "encoder" and trace.source is not None else trace


def record(trace: Trace, site: Site) -> AttentionTrace:
    """What an attention computed."""
    layer = side(trace, site.place).layers[site.layer]
    return cast(AttentionTrace, layer.cross_attention if site.place == "cross" else layer.attention)


def lengths(trace: Trace, site: Site, batch: int) -> tuple[int, int]:
    """How many queries and keys a text has there, padding left out."""
    n = side(trace, site.place).lengths[batch]
    return n, side(trace, "encoder").lengths[batch] if site.place == "cross" else n


def block(model: Transformer, site: Site) -> Any:
    """The layer that a site is in."""
    held = cast(Any, model.encoder if site.place == "encoder" else model.decoder)
    return held["layers"][site.layer]


def attention(model: Transformer, site: Site) -> Any:
    """The module of a site."""
    found = block(model, site)
    return found.multihead_attn if site.place == "cross" else found.self_attn


def after_attention(model: Transformer, trace: Trace, site: Site, out: Tensor, *, batch: int = 0) -> Ends:
    """The rest of the run with other output of one attention: `out` is (B, T, C), B versions of it.

    All else is as in the trace: masks, positions, intervention. With gradients where torch keeps them.
    """
    run, n, layer = side(trace, site.place).layers[site.layer], lengths(trace, site, batch)[0], block(model, site)
    crosses, decodes = site.place == "cross", isinstance(layer, TransformerDecoderLayer)
    before = cast(Tensor, run.resid_mid if crosses else run.resid_pre)
    x = before[batch, :n] + out
    if not layer.norm_first:
        x = (layer.norm2 if crosses else layer.norm1)(x)
    if decodes and not crosses:
        query = layer.norm2(x) if layer.norm_first else x
        memory = _memory(trace, batch, len(x))
        x = x + layer.multihead_attn.trace_batch_first(query, memory, **_cross_options(trace, site.layer)).out
        x = x if layer.norm_first else layer.norm2(x)
    if not layer.attention_only:
        last = layer.norm3 if decodes else layer.norm2
        x = x + layer.feed_forward(last(x)) if layer.norm_first else last(x + layer.feed_forward(x))
    return after_layer(model, trace, "decoder" if crosses else site.place, site.layer + 1, x, batch=batch)


def after_layer(
    model: Transformer,
    trace: Trace,
    place: Place,
    layer: int,
    x: Tensor,
    *,
    batch: int = 0,
    records: dict[Site, AttentionTrace] | None = None,
) -> Ends:
    """The rest of the run with another residual stream: x, (B, T, C), goes into a layer of a stack.

    `records`: where the attentions of this run are put, by site. A layer beyond the last: only the norm is left, and
    of an encoder what its decoder makes of it. Errors: InvalidParameterError for x of another length.
    """
    own = side(trace, place)
    n, width = own.lengths[batch], own.config.d_model
    if x.dim() != 3 or x.shape[1:] != (n, width):
        raise InvalidParameterError(f"x is (B, {n}, {width}) for this text, not {tuple(x.shape)}")
    if isinstance(model, HFModel):
        return elsewhere(model, trace, streams={Site(place, layer): x}, batch=batch, records=records)
    reads = place == "decoder" and trace.source is not None
    final = _stack(model, trace, place, layer, x, _memory(trace, batch, len(x)) if reads else None, records)
    if place == "encoder" and trace.source is not None:
        start = trace.layers[0].resid_pre[batch : batch + 1, : trace.lengths[batch]].expand(len(x), -1, -1)
        final = _stack(model, trace, "decoder", 0, start, final, records)
    return Ends(model, final)


def elsewhere(
    model: HFModel,
    trace: Trace,
    *,
    z: Mapping[Site, Tensor] | None = None,
    streams: Mapping[Site, Tensor] | None = None,
    batch: int = 0,
    records: dict[Site, AttentionTrace] | None = None,
) -> Ends:
    """The whole run again of a model that another library computes, with an exchange.

    Arguments
        z: what the heads of some sites put out instead, (B, H, T, D).
        streams: what goes into the layers of some sites instead, (B, T, C).

    Errors: as `hf_exchange.exchanged`.
    """
    heads, layers = ({Seat(site.place, site.layer): x for site, x in (given or {}).items()} for given in (z, streams))
    found = hf_exchange.exchanged(model, trace, z=heads, streams=layers, batch=batch)
    if records is not None:
        records |= {Site(cast(Place, seat.place), seat.layer): record for seat, record in found.records.items()}
    return Ends(model, found.final, found.logits)


def _stack(
    model: Transformer,
    trace: Trace,
    place: Place,
    first: int,
    x: Tensor,
    memory: Tensor | None,
    records: dict[Site, AttentionTrace] | None,
) -> Tensor:
    """The layers of one stack from one on, and its norm: (B, T, C)."""
    own, config = side(trace, place), trace.config
    options: dict[str, Any] = {"mask": Mask(causal=place == "decoder")}
    for number in range(first, len(own.layers)):
        scheme = positions.described(schemes(own, number, place)[1])
        options |= scheme.in_attention(config.n_heads, config.head_dim, x, 0)
        options["intervention"] = None if trace.intervention is None else trace.intervention.at(number, place)
        layer = block(model, Site(place, number))
        if memory is None:
            run = layer.trace(x, **options)
        else:
            run = layer.trace(x, memory, options, _cross_options(trace, number))
        if records is not None:
            records[Site(place, number)] = run.attention
            if memory is not None:
                records[Site("cross", number)] = run.cross_attention
        x = run.resid_post
    norm: nn.Module = cast(Any, model.encoder if place == "encoder" else model.decoder)["norm"]
    found: Tensor = norm(x)
    return found


def _memory(trace: Trace, batch: int, n_versions: int) -> Tensor:
    assert trace.source is not None
    return trace.source.final[batch : batch + 1, : trace.source.lengths[batch]].expand(n_versions, -1, -1)


def _cross_options(trace: Trace, layer: int) -> dict[str, Any]:
    change = None if trace.intervention is None else trace.intervention.at(layer, "cross")
    return {"mask": Mask(), "intervention": change}
