"""A card for every head: its role, its best and its typical examples, and what is lost without it.

Examples are spread over all there are: the best, and those at the deciles. Showing the best ones alone would make any
head look as if it did one thing only. Over many texts an example is a text; of one text it is a query.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from attnviz.analysis import ablation, loss_cost, roles
from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model

RANKS = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1)  # of examples: the best, and the share of all that show less
SWEPT = 20  # texts of many on which every head is switched off
KINDS = (*roles.SHARES, "")  # what examples are of; "": all that does not rest, of heads without another role


@dataclass(frozen=True)
class Example:
    """One place where a head does what it does, or does not."""

    text: int  # number of the text
    rank: float  # the share of all examples that show less of it; 1 for the best
    share: float  # of the head's attention there
    query: int  # its strongest cell of that kind
    key: int
    weight: float


@dataclass(frozen=True, eq=False)
class Lost:
    """What switching a head off changes: how far the final vectors move, relative to their norm."""

    moved: Tensor  # (L, H) mean over the texts
    low: Tensor  # (L, H) 95 % interval of the mean; as `moved` for one text
    high: Tensor
    n_texts: int
    cost: Cost | None = None  # None of a model that predicts no tokens


@dataclass(frozen=True, eq=False)
class Cost:
    """By how many nats per token a model's loss grows when a head is switched off, as `loss_cost` has it."""

    base: float  # its loss with all heads, the mean over the texts
    more: Tensor  # (L, H) mean over the texts
    low: Tensor  # (L, H) 95 % interval of the mean; as `more` for one text
    high: Tensor


@dataclass(frozen=True, eq=False)
class Cards:
    """What is known of every head of a model."""

    roles: roles.Roles
    examples: tuple[tuple[tuple[Example, ...], ...], ...]  # by layer and head, the best first
    lost: Lost | None  # None where layers cannot be run one by one
    wakes: tuple[tuple[Example | None, ...], ...] = ()  # where each head rests least, of those that rest


def of_model(model: Model, texts: Sequence[str], *, seed: int = 0) -> Cards:
    """The cards of a model over many texts, in one pass. Arguments and errors: as for `roles.of_model`."""
    *_, made = judging(model, texts, seed=seed)
    assert isinstance(made, Cards)
    return made


def judging(model: Model, texts: Sequence[str], *, seed: int = 0) -> Generator[int | Cards, None, None]:
    """The same a text at a time: yields the number of texts that were read, after each, and at last the cards."""
    check_sizes(texts=len(texts))
    roles.check_reads(model)
    counts, shares, cells, swept = [], [], [], []
    step = max(1, len(texts) // SWEPT)
    for number, text in enumerate(texts):
        trace = model.run(text)
        read = roles.Text.of(trace, 0)
        counts.append(roles.counts_of([read]))
        shares.append(_shares(counts[-1]).sum(dim=1))  # (2, K, LH)
        cells.append(_strongest(read))
        if number % step == 0 and (one := _swept(model, trace)) is not None:
            swept.append(one)
        yield number + 1
    found = roles.with_probes(model, roles.summed(counts, seed), seed)
    hit, whole = torch.stack(shares, dim=1)  # each (texts, K, LH)
    strongest = tuple(torch.stack(one) for one in zip(*cells, strict=True))
    units = torch.arange(len(texts))
    examples = _examples(found, hit, whole, units, strongest)
    wakes = _wakes(found, examples, hit, whole, units, strongest)
    yield Cards(found, examples, _lost(swept), wakes)


def of_trace(model: Model, trace: Trace) -> Cards:
    """The cards of a model on one text that it was run on: an example is a query. Errors: as for `roles.of_trace`."""
    read = roles.Text.of(trace, 0)
    counted = roles.counts_of([read])
    found = roles.summed([counted])
    hit, whole = _shares(counted)  # (T, K, LH)
    strongest = _strongest(read, by_query=True)
    swept = _swept(model, trace)
    units = torch.zeros(len(hit), dtype=torch.long)
    examples = _examples(found, hit, whole, units, strongest)
    wakes = _wakes(found, examples, hit, whole, units, strongest)
    return Cards(found, examples, _lost([] if swept is None else [swept]), wakes)


# ---- examples --------------------------------------------------------------------------------------------


def _shares(counted: roles.Counts) -> Tensor:
    """Attention on the cells of each kind, and all that counts, by query: (2, T, K, LH), 0 where a query has none."""
    used = counted.counts[:, :, None]
    hit, whole = counted.hit[:-1] * used[:-1], counted.all[:-1] * used[:-1]  # evenness is no share
    rest = roles.SHARES.index("sink")
    asked = counted.counts[-1][:, None]
    at_work = (counted.all[rest] - counted.hit[rest]) * asked, counted.all[rest] * asked
    parts = torch.stack([torch.cat([one, more[None]]) for one, more in zip((hit, whole), at_work, strict=True)])
    return parts.transpose(1, 2)


def _strongest(text: roles.Text, *, by_query: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The strongest cell of each kind, of the text or of every query: its query, key and weight.

    Each (K, LH), or (T, K, LH) by query.
    """
    weights, n = text.weights.flatten(0, 1), len(text.tokens)  # (LH, T, T)
    itself = torch.eye(n, dtype=torch.bool)
    masks = [wanted & text.asks[:, None] for _, wanted, _ in text.cells()]
    masks.append(text.visible & ~text.rests & ~itself & text.asks[:, None])
    queries, keys, values = [], [], []
    for mask in masks:
        kept = weights.masked_fill(~mask, -1.0)
        if by_query:
            value, key = kept.max(dim=-1)  # (LH, T)
            query = torch.arange(n).expand_as(key)
        else:
            value, place = kept.flatten(1).max(dim=-1)  # (LH,)
            query, key = place // n, place % n
        queries.append(query)
        keys.append(key)
        values.append(value)
    turned = (torch.stack(one) for one in (queries, keys, values))  # (K, LH) or (K, LH, T)
    query, key, value = (one.permute(2, 0, 1) if by_query else one for one in turned)
    return query, key, value


def _examples(
    found: roles.Roles, hit: Tensor, whole: Tensor, units: Tensor, strongest: tuple[Tensor, ...]
) -> tuple[tuple[tuple[Example, ...], ...], ...]:
    """Of every head those at `RANKS`; `units` (U,) is whose text each of U shares (U, K, LH) is."""
    n_heads = found.score.shape[2]
    return tuple(
        tuple(
            tuple(_ranked(_kind(name), layer * n_heads + head, hit, whole, units, strongest))
            for head, name in enumerate(row)
        )
        for layer, row in enumerate(found.names)
    )


def _wakes(
    found: roles.Roles,
    examples: Sequence[Sequence[Sequence[Example]]],
    hit: Tensor,
    whole: Tensor,
    units: Tensor,
    strongest: tuple[Tensor, ...],
) -> tuple[tuple[Example | None, ...], ...]:
    """Of a head that rests on sinks where it rests least, of another its best example. Arguments as for `_examples`."""
    n_heads, at_work = found.score.shape[2], KINDS.index("")
    return tuple(
        tuple(
            next(_ranked(at_work, layer * n_heads + head, hit, whole, units, strongest), None)
            if name == "sink"
            else next(iter(examples[layer][head]), None)
            for head, name in enumerate(row)
        )
        for layer, row in enumerate(found.names)
    )


def _kind(name: str) -> int:
    return KINDS.index("" if name == "uniform" else name)


def _ranked(
    kind: int, head: int, hit: Tensor, whole: Tensor, units: Tensor, strongest: tuple[Tensor, ...]
) -> Iterator[Example]:
    query, key, weight = (one[:, kind, head] for one in strongest)
    share = hit[:, kind, head] / whole[:, kind, head]
    known = torch.nonzero((whole[:, kind, head] > 0) & (weight >= 0))[:, 0]
    order = known[share[known].argsort(stable=True)].tolist()
    taken = set()
    for rank in RANKS:
        place = round(rank * (len(order) - 1))
        if not order or place in taken:
            continue
        taken.add(place)
        at = order[place]
        yield Example(int(units[at]), rank, float(share[at]), int(query[at]), int(key[at]), float(weight[at]))


# ---- without the head --------------------------------------------------------------------------------------


Swept: TypeAlias = tuple[Tensor, "tuple[float, Tensor] | None"]  # how far vectors move, and the loss with its growth


def _swept(model: Model, trace: Trace) -> Swept | None:
    """Of every head (L, H), or None where the layers cannot be run one by one."""
    try:
        moved = [ablation.moved(trace.final[0], one.final) for one in ablation.each_head(model.transformer, trace)]
        return torch.stack(moved), loss_cost.of_text(model, trace)
    except InvalidParameterError:  # a model that another library computes
        return None


def _lost(swept: Sequence[Swept]) -> Lost | None:
    if not swept:
        return None
    mean, half = _mean([moved for moved, _ in swept])
    costs = [cost for _, cost in swept if cost is not None]
    cost = None
    if costs:
        more, wide = _mean([one for _, one in costs])
        cost = Cost(sum(base for base, _ in costs) / len(costs), more, more - wide, more + wide)
    return Lost(mean, (mean - half).clamp_min(0), mean + half, len(swept), cost)


def _mean(each: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean over texts, and half of its 95 % interval: 0 of one text."""
    all_ = torch.stack(list(each)).double()
    mean = all_.mean(dim=0)
    return mean, 1.96 * all_.std(dim=0) / len(all_) ** 0.5 if len(all_) > 1 else torch.zeros_like(mean)
