"""Which head does what: the share of its attention that goes where a head of that kind would look.

    previous-token      from each token to the one before it
    duplicate-token     from each token to the same tokens before it
    induction           from each token to those that followed the same tokens before it

A score is the attention on such cells over all attention of the head, as TransformerLens's `detect_head` computes it:
Σ A_ij P_ij / Σ A_ij, P being 1 where the pattern holds. `previous_token`, `duplicate_token` and `induction` score a
trace, `scores` by all three, `detect` straight from tokens; `probe` a model, on random tokens said twice, of which
nothing but their order can be known.
Source: Olsson et al. 2022, "In-context Learning and Induction Heads", appendix; TransformerLens, head_detector.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.models.model import Model
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

Kind = Literal["previous-token", "duplicate-token", "induction"]
Measure = Literal["mul", "abs"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def previous_token(
    trace: Trace,
    *,
    ids: Sequence[Sequence[int]] | None = None,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """Each head's share of attention on the token just before the query: (L, H). Arguments as for `score`."""
    return score(trace, "previous-token", ids=ids, first=first, itself=itself, measure=measure)


def duplicate_token(
    trace: Trace,
    *,
    ids: Sequence[Sequence[int]] | None = None,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """Each head's share of attention on earlier tokens with the query's id: (L, H). Arguments as for `score`."""
    return score(trace, "duplicate-token", ids=ids, first=first, itself=itself, measure=measure)


def induction(
    trace: Trace,
    *,
    ids: Sequence[Sequence[int]] | None = None,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """Each head's share of attention on what followed earlier tokens with the query's id: (L, H). See `score`."""
    return score(trace, "induction", ids=ids, first=first, itself=itself, measure=measure)


def score(
    trace: Trace,
    kind: Kind | Tensor,
    *,
    ids: Sequence[Sequence[int]] | None = None,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """How well each head's attention fits a pattern, the mean over the texts of a batch: (L, H), NaN without attention.

    Arguments
        kind: a name, or a pattern (T, T) of your own, query by key.
        ids: the tokens of each text, where the trace was run on bare ids; by default those of its encodings.
        first, itself: whether attention to a text's first token, and to the query's own, counts.
        measure: "mul": the share of attention that the pattern holds, 0 … 1. "abs": 1 less the mean distance of a row
            of attention from its row of the pattern, −1 … 1, which also tells how evenly a pattern is met.

    Errors: InvalidParameterError for a trace of no known tokens, ShapeError for a pattern of another size.
    """
    return scores(trace, (kind,), ids=ids, first=first, itself=itself, measure=measure)[0]


def scores(
    trace: Trace,
    kinds: Sequence[Kind | Tensor] = KINDS,
    *,
    ids: Sequence[Sequence[int]] | None = None,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """`score` of several kinds (K, L, H), for which the attention is taken from the trace once.

    Arguments and errors: as for `score`; InvalidParameterError for no kind.
    """
    if measure not in ("mul", "abs"):
        raise InvalidParameterError(f"measure={measure!r} is neither 'mul' nor 'abs'")
    check_sizes(kinds=len(kinds))
    texts = [encoding.ids for encoding in trace.encodings] if ids is None else [tuple(one) for one in ids]
    if len(texts) != trace.final.shape[0]:
        raise InvalidParameterError(
            f"the trace has {trace.final.shape[0]} texts, but tokens of {len(texts)}: give ids=…"
        )
    n_layers, n_heads = len(trace.layers), trace.config.n_heads
    found = torch.full((len(texts), len(kinds), n_layers, n_heads), torch.nan, dtype=torch.float64)
    lengths = [trace.lengths[b] if trace.lengths else len(text) for b, text in enumerate(texts)]
    wanted = [_wanted(kinds, text, n).to(trace.final.device) for text, n in zip(texts, lengths, strict=True)]
    masks = [_masks(one, first, itself) for one in wanted]
    for i, layer in enumerate(trace.layers):
        if layer.attention is not None:
            weights = layer.attention.weights
            for b, n in enumerate(lengths):
                fit = _fit(weights[b, :, :n, :n].float(), masks[b], wanted[b] if measure == "abs" else None)
                found[b, :, i] = fit.cpu()
    return found.mean(dim=0).float()


def detect(
    transformer: Transformer,
    ids: Tensor,
    kinds: Sequence[Kind | Tensor] = KINDS,
    *,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """`scores` straight from tokens, ids (B, T): one run, without its logits. Other arguments, errors: as `scores`."""
    with torch.inference_mode():
        trace = without_logits(transformer)(ids)
    return scores(trace, kinds, ids=ids.tolist(), first=first, itself=itself, measure=measure)


def without_logits(transformer: Transformer) -> Transformer:
    """The same model, its runs up to the final vectors: no attention depends on logits, a third of GPT-2's run."""
    if transformer._modules.get("head") is None:  # another library's model, which has no head of ours, runs as it is
        return transformer
    silent = copy.copy(transformer)
    silent._modules = {**transformer._modules, "head": None}
    return silent


def _wanted(kinds: Sequence[Kind | Tensor], text: Sequence[int], n: int) -> Tensor:
    """The patterns of a text of n tokens: (K, T, T). Errors: ShapeError for one of another size."""
    same = _same(text[:n]) if any(isinstance(kind, str) for kind in kinds) else None  # which kinds share
    patterns = [pattern(kind, text[:n], same) if isinstance(kind, str) else kind for kind in kinds]
    for one in patterns:
        if one.shape != (n, n):
            raise ShapeError(f"the pattern is {tuple(one.shape)}, but the text has {n} tokens")
    return torch.stack([one.float() for one in patterns])


def pattern(kind: Kind, ids: Sequence[int], same: Tensor | None = None) -> Tensor:
    """Where a head of a kind looks, as (T, T): 1 for a pair of query and key, else 0.

    `same`: where the query's token stood before, if that is known. Errors: InvalidParameterError.
    """
    found = torch.zeros(len(ids), len(ids))
    if kind == "previous-token":
        found.diagonal(-1).fill_(1)
        return found
    same = _same(ids) if same is None else same
    if kind == "duplicate-token":
        return same
    if kind == "induction":
        found[:, 1:] = same[:, :-1]
        return found
    raise InvalidParameterError(f"kind={kind!r} is not one of previous-token, duplicate-token, induction")


def _same(ids: Sequence[int]) -> Tensor:
    """Where the query's token stood before: (T, T)."""
    tokens = torch.tensor(tuple(ids))
    return (tokens[:, None] == tokens[None, :]).float().tril_(-1)


def _masks(wanted: Tensor, first: bool, itself: bool) -> Tensor:
    """Where a pattern holds, of the cells that count; and those cells, last: (K + 1, T, T)."""
    counts = torch.ones_like(wanted[0])
    if not first:
        counts[:, 0] = 0
    if not itself:
        counts.fill_diagonal_(0)
    return torch.cat((wanted * counts, counts[None]))


def _fit(weights: Tensor, masks: Tensor, wanted: Tensor | None = None) -> Tensor:
    """(H, T, T) and (K + 1, T, T) → (K, H): the share, or by the distance from patterns that are given, (K, T, T)."""
    if wanted is not None:
        distance = (weights - wanted[:, None]).abs() * masks[-1]
        return 1 - distance.sum((2, 3), dtype=torch.float64) / masks.shape[1]
    by_query = weights.transpose(0, 1) @ masks.permute(1, 2, 0)  # (T, H, K + 1)
    sums = by_query.sum(dim=0, dtype=torch.float64).T  # single precision within a row, double over rows
    return sums[:-1] / sums[-1]


def probe(
    model: Model,
    kind: Kind,
    *,
    length: int = 25,
    n_texts: int = 4,
    seed: int = 0,
    first: bool = True,
    itself: bool = True,
    measure: Measure = "mul",
) -> Tensor:
    """A model's heads on `repeated` sequences: (L, H). Arguments as for `repeated` and `score`.

    In an encoder-decoder model both read the same tokens, and the heads are the decoder's.
    Errors: InvalidParameterError for a model of images or sounds, and as `repeated`.
    """
    ids = repeated(model, length, n_texts, seed)
    inputs = model.brought(ids)
    with torch.inference_mode():
        target = inputs if model.transformer.config.kind == "encoder-decoder" else None
        trace = without_logits(model.transformer)(inputs, target)
    return score(trace, kind, ids=ids.tolist(), first=first, itself=itself, measure=measure)


def repeated(model: Model, length: int = 25, n_texts: int = 4, seed: int = 0) -> Tensor:
    """Token ids (n_texts, 1 + 2 · length): a first token, then random ones, and the same once more.

    The first is the one that a text of this model begins with, else a random one. Errors: InvalidParameterError where
    they are more than the model reads, or a model that reads no text or knows special tokens alone.
    """
    check_sizes(length=length, n_texts=n_texts)
    tokenizer, config = model.tokenizer, model.transformer.config
    if 1 + 2 * length > config.max_len:
        raise InvalidParameterError(f"1 + 2 · {length} tokens are more than the model's {config.max_len}")
    special = set(tokenizer.special_ids.values())
    plain = torch.tensor([i for i in range(min(tokenizer.vocab_size, config.vocab_size)) if i not in special])
    if not len(plain):
        raise InvalidParameterError(f"{model.info.title} has no tokens but special ones: there is nothing to repeat")
    generator = torch.Generator().manual_seed(seed)
    drawn = plain[torch.randint(len(plain), (n_texts, length + 1), generator=generator)]
    begins = tokenizer.encode("a")
    if begins.special[0]:
        drawn[:, 0] = begins.ids[0]
    return torch.cat((drawn, drawn[:, 1:]), dim=1)
