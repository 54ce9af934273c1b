"""What is this head for? Shares of attention with their chance level, and a role only where the numbers carry one.

    previous, next   the token just before, just after the query
    local            at most two tokens away
    same             the query itself
    duplicate        other places of the query's token
    induction        what follows other places of the query's token
    punctuation      signs that are no words
    sink             the first token and special ones, where heads rest (Clark et al. 2019, section 3.2)
    uniform          all tokens alike

A share is Σ attention on such cells / Σ attention, over the queries that have such a cell, without what rests on sinks
(and, but for "same", on the query itself). Chance is the share that even attention would have there. What holds of a
head is worked out over texts: a head's behaviour on one text rarely matches the whole.
Source: Olsson et al. 2022, appendix, for previous, duplicate and induction; Clark et al. 2019, section 3, for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.analysis import heads
from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model

SHARES = ("previous", "next", "local", "same", "duplicate", "induction", "punctuation", "sink")
MEASURES = (*SHARES, "uniform")
PROBED = ("duplicate", "induction")  # taken from random words said twice
NEAR = 2  # tokens away, for "local"
LEAST_SHARE = 0.5  # of its attention that a head must give to what its role says, at the low end of the interval
LEAST_AT_WORK = 0.25  # of its attention that a head must not rest on sinks or on the query, to be at work at all
LEAST_QUERIES = 20  # that a share must be taken over
EVEN = 0.95  # of the largest entropy there could be: then a head looks at all alike
RESAMPLED, SURE = 200, 0.95  # bootstrap samples, and the share of them that an interval holds
PROBES = (11, 14, 17, 20, 23)  # tokens that probe sequences say twice: no fixed distance fits all


@dataclass(frozen=True, eq=False)
class Roles:
    """Every head's measures, in the order of `MEASURES`; 95 % intervals over texts, or over queries of few texts."""

    score: Tensor  # (M, L, H) 0 … 1; NaN where no query has such a cell
    low: Tensor  # (M, L, H)
    high: Tensor
    chance: Tensor  # (M, L, H) what even attention would have; NaN for "uniform"
    at_work: Tensor  # (M, L, H) attention that does not rest, on the queries in question
    queries: Tensor  # (M,) queries that the measure was taken over
    n_texts: int

    def of(self, measure: str) -> Tensor:
        """One measure of all heads: (L, H)."""
        return self.score[MEASURES.index(measure)]

    @cached_property
    def evidence(self) -> Tensor:
        """(M, L, H) bits by which each share speaks against chance: KL(low ‖ chance), 0 where it is not above it."""
        low, chance = self.low.clamp(1e-6, 1 - 1e-6), self.chance.clamp(1e-6, 1 - 1e-6)
        bits = low * (low / chance).log2() + (1 - low) * ((1 - low) / (1 - chance)).log2()
        return torch.where(low > chance, bits, 0.0).nan_to_num(0.0)

    @cached_property  # a page asks for each head's, with every run
    def names(self) -> list[list[str]]:
        """Each head's role, "" where the numbers carry none: the one with most evidence, sinks and evenness last."""
        shares = slice(0, SHARES.index("sink"))
        carried = (self.low >= LEAST_SHARE) & (self.at_work >= LEAST_AT_WORK)
        carried &= (self.queries >= LEAST_QUERIES)[:, None, None]
        evidence = torch.where(carried, self.evidence, 0.0)[shares]
        best = evidence.max(dim=0)
        sink = self.low[SHARES.index("sink")] >= LEAST_SHARE
        even = self.low[-1] >= EVEN
        return [
            [
                SHARES[best.indices[layer, head]]
                if best.values[layer, head] > 0
                else ("uniform" if even[layer, head] else "sink" if sink[layer, head] else "")
                for head in range(self.score.shape[2])
            ]
            for layer in range(self.score.shape[1])
        ]


@dataclass(frozen=True, eq=False)
class Counts:
    """Of each measure (M) and query (U) of some texts: sums over cells, for every head (L·H), and whose text it is."""

    hit: Tensor  # (M, U, LH) attention on the cells of the measure
    all: Tensor  # (M, U, LH) attention that counts
    even: Tensor  # (M, U) the share that even attention would have
    counts: Tensor  # (M, U) whether the query has such a cell
    text: Tensor  # (U,)
    shape: tuple[int, int]  # L, H


def of_trace(trace: Trace, *, ids: Sequence[Sequence[int]] | None = None, seed: int = 0) -> Roles:
    """The measures of all heads on the texts of a run; `ids` where it was run on bare ids. Errors: as `of_model`."""
    return summed([counted(trace, ids)], seed)


def of_model(
    model: Model, texts: Sequence[str], *, probes: bool = True, seed: int = 0, each: Callable[[], None] | None = None
) -> Roles:
    """The measures of all heads over texts, each run by itself.

    Arguments
        texts: what the heads are judged on; longer ones are cut to what the model reads.
        probes: takes "duplicate" and "induction" from random words said twice, in which nothing else can be known.
        seed: of the probes, and of the resampling.
        each: called after each text, to show progress; what it raises ends the work.

    Errors: InvalidParameterError for no text, a model that reads two texts or none, and layers without attention.
    """
    check_sizes(texts=len(texts))
    check_reads(model)
    found = []
    for text in texts:
        found.append(counted(model.run(text)))
        if each is not None:
            each()
    natural = summed(found, seed)
    return with_probes(model, natural, seed) if probes else natural


def check_reads(model: Model) -> None:
    """Errors: InvalidParameterError for a model that reads no text: patches and sounds are no words."""
    if model.reads != "text":
        raise InvalidParameterError(
            f"{model.info.title} reads {model.reads}s: roles are told by the order and the kind of words, which "
            f"{model.reads}s do not have"
        )


def with_probes(model: Model, natural: Roles, seed: int = 0) -> Roles:
    """Roles over texts with "duplicate" and "induction" as random words said twice show them."""
    apart = summed(list(_probed(model, seed)), seed)
    chosen = torch.tensor([measure in PROBED for measure in MEASURES])

    def taken(name: str) -> Tensor:
        one, other = getattr(natural, name), getattr(apart, name)
        return torch.where(chosen.view(-1, *(1,) * (one.dim() - 1)), other, one)

    names = ("score", "low", "high", "chance", "at_work", "queries")
    return Roles(**{name: taken(name) for name in names}, n_texts=natural.n_texts)


def _probed(model: Model, seed: int) -> Iterator[Counts]:
    """Runs on tokens drawn at random and said twice: on words, of which the vocabulary has enough, else on any token.

    Single letters and bytes are what a model may never have met.
    """
    words = torch.tensor(_words(model))
    room = (model.transformer.config.max_len - 1) // 2
    generator = torch.Generator().manual_seed(seed)
    run = heads.without_logits(model.transformer)
    for number, length in enumerate(min(length, room) for length in PROBES):
        drawn = heads.repeated(model, length, 4, seed + number)
        if len(words) >= 2 * length:
            once = torch.stack([words[torch.randperm(len(words), generator=generator)[:length]] for _ in range(4)])
            drawn[:, 1:] = torch.cat((once, once), dim=1)
        with torch.inference_mode():
            yield counted(run(model.brought(drawn)), drawn.tolist())


def _words(model: Model) -> list[int]:
    """Ids of tokens of two letters or more."""
    tokenizer, size = model.tokenizer, model.transformer.config.vocab_size
    special = set(tokenizer.special_ids.values())
    ids = [i for i in range(min(tokenizer.vocab_size, size)) if i not in special]
    texts = map(str.strip, tokenizer.decode_each(ids))
    return [i for i, text in zip(ids, texts, strict=True) if len(text) > 1 and text.isalpha()]


# ---- one run -----------------------------------------------------------------------------------------------


def counted(trace: Trace, ids: Sequence[Sequence[int]] | None = None) -> Counts:
    """What one run has to say, query by query. Errors: InvalidParameterError for what is no text read alone."""
    return counts_of(Text.of(trace, text, ids) for text in range(trace.final.shape[0]))


def counts_of(texts: Iterable[Text]) -> Counts:
    """What some texts have to say, query by query."""
    parts, units = [], []
    for number, text in enumerate(texts):
        parts.append(_of_text(text))
        units.append(torch.full((len(text.tokens),), number))
        shape = text.weights.shape[:2]
    hit, whole, even, counts = (torch.cat([part[field] for part in parts], dim=1) for field in range(4))
    return Counts(hit, whole, even, counts, torch.cat(units), (shape[0], shape[1]))


@dataclass(frozen=True, eq=False)
class Text:
    """Which cells of one text are of which kind, and what every head gives them."""

    weights: Tensor  # (L, H, T, T) float32
    tokens: Tensor  # (T,) ids
    asks: Tensor  # (T,) bool: the queries that are judged, all but special ones and the first
    visible: Tensor  # (T, T) bool: what some head may see
    rests: Tensor  # (T, T) bool: the first token and special ones, but for the query itself
    signs: Tensor  # (T,) bool: what is no word

    @classmethod
    def of(cls, trace: Trace, text: int, ids: Sequence[Sequence[int]] | None = None) -> Text:
        """One text of a run. Errors: InvalidParameterError for what is no text read alone."""
        if trace.source is not None or any(layer.attention is None for layer in trace.layers):
            raise InvalidParameterError("roles are of models that read one text, with attention in every layer")
        if ids is None and not trace.encodings:
            raise InvalidParameterError("the trace does not say which tokens it read: give ids=…")
        n = trace.lengths[text]
        tokens = torch.tensor((ids[text] if ids is not None else trace.encodings[text].ids)[:n])
        special, signs = torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
        if trace.encodings:
            encoding = trace.encodings[text]
            special = torch.tensor(encoding.special[:n])
            signs = torch.tensor([not any(ch.isalnum() for ch in label) for label in encoding.labels[:n]]) & ~special
        visible = torch.ones(n, n, dtype=torch.bool)
        keep = trace.layers[0].attention.keep
        if keep is not None:
            keep = keep[..., :n, :n].expand(trace.final.shape[0], trace.config.n_heads, n, n)
            visible = keep[text].any(dim=0)
        first = torch.arange(n) == 0
        rests = (special | first)[None, :] & ~torch.eye(n, dtype=torch.bool)
        weights = torch.stack([layer.attention.weights[text, :, :n, :n].float() for layer in trace.layers])
        return cls(weights, tokens, ~special & ~first, visible, rests, signs)

    def cells(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Of each of `SHARES` the cells where such a head looks, and those that its share is of: bool (T, T)."""
        itself = torch.eye(len(self.tokens), dtype=torch.bool)
        patterns = _patterns(self.tokens, self.signs, itself)
        for measure in SHARES:
            wanted = self.rests if measure == "sink" else patterns[measure] & ~self.rests
            at_work = self.visible & ~self.rests & (~itself if measure != "same" else self.visible)
            among = self.visible if measure == "sink" else at_work
            yield measure, wanted & among, among


def _of_text(text: Text) -> tuple[Tensor, ...]:
    """The four sums of `Counts` for one text."""
    weights = text.weights
    hits, whole, even, counts = [], [], [], []
    for _, wanted, among in text.cells():
        hits.append((weights * wanted).sum(dim=-1).flatten(0, 1).T)  # (T, LH)
        whole.append((weights * among).sum(dim=-1).flatten(0, 1).T)
        even.append(wanted.sum(dim=-1) / among.sum(dim=-1).clamp_min(1))
        counts.append(wanted.any(dim=-1) & text.asks & (among.sum(dim=-1) > 1))
    most = text.visible.sum(dim=-1).float().log()
    hits.append(torch.special.entr(weights).sum(dim=-1).flatten(0, 1).T)
    whole.append(most[:, None].expand_as(hits[0]))
    even.append(torch.full((len(text.tokens),), torch.nan))
    counts.append(text.asks & (most > 0))
    return torch.stack(hits), torch.stack(whole), torch.stack(even), torch.stack(counts)


def _patterns(tokens: Tensor, signs: Tensor, itself: Tensor) -> dict[str, Tensor]:
    """Where heads of each kind look: bool (T, T), query by key."""
    n = len(tokens)
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    duplicate = (tokens[:, None] == tokens[None, :]) & ~itself
    follows = torch.zeros_like(duplicate)
    follows[:, 1:] = duplicate[:, :-1]
    return {
        "previous": distance == 1,
        "next": distance == -1,
        "local": (distance.abs() <= NEAR) & ~itself,
        "same": itself,
        "duplicate": duplicate,
        "induction": follows & ~itself,
        "punctuation": signs[None, :].expand(n, n) & ~itself,
    }


# ---- over texts --------------------------------------------------------------------------------------------


def summed(runs: Sequence[Counts], seed: int = 0) -> Roles:
    """Shares over all queries, with intervals by resampling texts, or queries where there are fewer than ten texts."""
    layers, n_heads = runs[0].shape
    texts, offset = [], 0
    for run in runs:
        texts.append(run.text + offset)
        offset += int(run.text.max()) + 1
    hit, whole = (torch.cat([getattr(run, name) for run in runs], dim=1) for name in ("hit", "all"))  # (M, U, LH)
    even, counts = (torch.cat([getattr(run, name) for run in runs], dim=1) for name in ("even", "counts"))  # (M, U)
    used = counts[:, :, None]
    sums = torch.stack([hit * used, whole * used, (whole * even[:, :, None]).nan_to_num(0.0) * used])  # (3, M, U, LH)
    unit = torch.cat(texts)
    if offset < 10:
        unit = torch.arange(sums.shape[2])
    n_units = int(unit.max()) + 1
    grouped = torch.zeros(3, sums.shape[1], n_units, sums.shape[3]).index_add_(2, unit, sums)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(n_units, (RESAMPLED, n_units), generator=generator)
    times = torch.zeros(RESAMPLED, n_units).scatter_add_(1, drawn, torch.ones(drawn.shape))
    again = times @ grouped[:2]  # (2, M, RESAMPLED, LH)
    share = again[0] / again[1].clamp_min(1e-12)
    low, high = (share.quantile(q, dim=1) for q in ((1 - SURE) / 2, (1 + SURE) / 2))
    total, queries = grouped.sum(dim=2), counts.sum(dim=1)  # (3, M, LH), (M,)
    nothing = (queries == 0)[:, None]
    measured = [total[0] / total[1].clamp_min(1e-12), low, high, total[2] / total[1].clamp_min(1e-12)]
    measured.append(total[1] / queries.clamp_min(1)[:, None])
    score, low, high, chance, at_work = (
        x.masked_fill(nothing, torch.nan).unflatten(-1, (layers, n_heads)) for x in measured
    )
    chance[-1] = torch.nan
    return Roles(score, low, high, chance, at_work, queries, offset)
