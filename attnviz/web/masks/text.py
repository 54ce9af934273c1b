"""What the page "Masks" says: sentences written from the numbers of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from attnviz.analysis import causality
from attnviz.formatting import ordinal, percent, scientific
from attnviz.nn.trace import Trace
from attnviz.web.masks.patterns import allowed

if TYPE_CHECKING:
    from attnviz.web.masks.state import Effect, Exchange, Padding, Settings

KINDS = {
    "trained": "As trained",
    "none": "None",
    "causal": "Causal",
    "window": "Local window",
    "block": "Blocks",
    "strided": "Strided",
    "prefix": "Prefix",
    "painted": "Painted by hand",
}
FIRST, LAST, ALIKE = "those of the first third", "those of the last third", "both about alike"
LATER, ALL, NOBODY = "its own and those after it", "all of them", "none"


# ---- the mask and what it does -----------------------------------------------------------------------


def rule(kind: str, n: int, causal: bool) -> str:
    """What a mask of size n says in a model that is causal by itself, or is not."""
    tokens = "token" if n == 1 else f"{n} tokens"
    past = ", if they are not later" if causal else ""
    trained = (
        "As trained = causal: in this model each token sees itself and the past anyway"
        if causal
        else "As trained = none: in this model each token sees every token"
    )
    every = "every token" if n == 1 else f"every {ordinal(n)} token"
    return {
        "trained": trained,
        "none": "Without a mask each token sees every token",
        "causal": "Under the causal mask each token sees itself and the past",
        "window": f"In a local window each token sees those at most {n} away{past}",
        "block": f"In blocks of {n} each token sees those in its own block{past}",
        "strided": f"In a strided mask each token sees its neighbours, and {every} from it{past}",
        "prefix": f"Under a prefix mask all tokens see the first {tokens}, and their own past",
        "painted": "Under your own mask, painted by hand, the tokens see what it leaves",
    }[kind]


def summary(settings: Settings, effect: Effect) -> str:
    """The sentence under the question: the mask's rule, and how far the final vectors moved."""
    keep, moved = effect.keep, effect.moved
    start = f"{rule(settings.mask, settings.n, effect.causal)}; {int(keep.sum()):,} of {keep.numel():,} pairs are left."
    if max(moved) <= causality.ROUNDING:
        if settings.mask == "painted" and not settings.painted:
            return (
                f"{start} Drag over the matrix in the middle, or use the arrow keys and Space in it: what you paint is "
                "hidden, in every layer and head."
            )
        return f"{start} That is how this model runs anyway, so no output changes."
    average, token = percent(sum(moved) / len(moved)), min(settings.token, len(moved) - 1)
    if token < 0:
        return f"{start} Run through every layer, the average token ends {average} of its length away."
    return (
        f"{start} Run through every layer, “{effect.labels[token]}” ends {percent(moved[token])} of its length away "
        f"from where it was, the average token {average}."
    )


def outputs_title(moved: Sequence[float], labels: Sequence[str]) -> str:
    """The point of the bars of what each final vector moved."""
    most = max(range(len(moved)), key=moved.__getitem__)
    if moved[most] <= causality.ROUNDING:
        return "No output changes"
    return f"How far each output moves: “{labels[most]}” at {most} furthest, {percent(moved[most])} of its length"


def depth(keep: Tensor, token: int, label: str, n_layers: int) -> str:
    """How far a token hears through layers that all have the mask keep (T, T)."""
    one, all_ = (int(causality.reach(keep, layers)[token].sum()) for layers in (1, n_layers))
    return (
        f"One layer shows “{label}” {one} of {len(keep)} tokens. Each layer passes on what the one before had seen: "
        f"after {n_layers} layers something of {all_} of {len(keep)} tokens can have reached it."
    )


def starved(effect: Effect, layer: int) -> str:
    """What became of the queries that may attend to nothing; "" if there is none."""
    rows = list(causality.starved(effect.keep))
    if not rows:
        return ""
    plain, attention, n = effect.plain.layers[layer].attention, effect.trace.layers[layer].attention, len(effect.keep)
    start = f"{len(rows)} of {n} tokens may look at nothing; their"
    if len(rows) == n:
        start = "No token may look at anything; all"
    elif len(rows) == 1:
        start = f"“{effect.labels[rows[0]]}” may look at nothing; its"
    return (
        f"{start} weights add up to {float(attention.weights[0][:, rows].sum()):g}: not NaN, and not 1/{n} for each "
        f"token. In layer {layer} attention then {_added(plain.out, attention.out, rows)}, and the token goes on with "
        "what the residual stream holds."
    )


def _added(before: Tensor | None, after: Tensor | None, rows: list[int]) -> str:
    """What attention adds to queries without keys; another library's model does not tell the lengths."""
    if before is None or after is None:
        return "adds at most its output bias"
    was, now = (float(out[0, rows].norm(dim=-1).mean()) for out in (before, after))
    return "adds nothing" if now == 0 else f"adds only its output bias (length {now:.2f}; before, {was:.2f})"


def thirds(plain: Trace, changed: Trace, mask: str) -> tuple[str, list[str], str, str]:
    """Question, options, truth and reason: which end of the text changes more under another mask?"""
    moved = causality.final_change(plain, changed)[0]
    size = max(1, len(moved) // 3)
    first, last = float(moved[:size].mean()), float(moved[-size:].mean())
    truth = ALIKE if max(first, last) <= 1.2 * min(first, last) else FIRST if first > last else LAST
    seen, before = (allowed(run).sum(dim=-1).float() for run in (changed, plain))
    does = "Forbid the future (causal)" if mask == "causal" else "Take the causal mask away"
    because = (
        f"The first third of the tokens ends {percent(first)} of its length away on average, the last third "
        f"{percent(last)}. A token of the first third sees {float(seen[:size].mean()):.1f} tokens instead of "
        f"{float(before[:size].mean()):.1f}, one of the last {float(seen[-size:].mean()):.1f} instead of "
        f"{float(before[-size:].mean()):.1f}."
    )
    return f"{does}: whose outputs change more?", [FIRST, LAST, ALIKE], truth, because


# ---- the exchange of a word --------------------------------------------------------------------------


def no_token(word: str, stand_in: str) -> str:
    """That the reader's word is not in the vocabulary."""
    return f"− “{word}” is not one token of this model’s vocabulary; “{stand_in}” stands in its place."


def same_token(word: str, stand_in: str) -> str:
    """That the reader's word is the one to be exchanged."""
    return f"− “{word}” is the word that stands there; “{stand_in}” takes its place."


def who_notices(exchange: Exchange) -> tuple[str, list[str], str, str]:
    """Question, options, truth and reason: who notices the exchange under the causal mask?"""
    closed, at = exchange.closed, exchange.position
    noticed = closed.noticed
    truth = ALL if noticed and noticed[0] < at else LATER if noticed else NOBODY
    because = (
        f"{len(noticed)} of {len(exchange.labels)} outputs change; those at positions before {at} change by "
        f"{_size(_earlier(closed))} at most, in any layer."
    )
    question = f"“{closed.old}” at position {at} becomes “{closed.new}”. With the causal mask, whose outputs change?"
    return question, [LATER, ALL, NOBODY], truth, because


def leak(exchange: Exchange) -> str:
    """Who noticed the exchange, without a mask and under the causal one."""
    open_, closed, at = exchange.open, exchange.closed, exchange.position
    worst = _size(_earlier(closed))
    earlier = f"the {at} before it change by {worst}" if at > 1 else f"the one before it changes by {worst}"
    return (
        f"“{open_.old}” at position {at} becomes “{open_.new}”. Without a mask {len(open_.noticed)} of "
        f"{len(exchange.labels)} outputs notice. With the causal mask {len(closed.noticed)} do; "
        f"{earlier if at else 'there is none before it'}."
    )


def leak_title(closed: causality.ExchangedToken) -> str:
    """What the picture of the leak test shows."""
    early = [i for i in closed.noticed if i < closed.position]
    if early:
        return f"It leaks: {len(early)} earlier outputs change"
    return f"With the causal mask nothing before position {closed.position} changes"


def _earlier(closed: causality.ExchangedToken) -> float:
    """The largest change before the exchanged word, in any layer."""
    return float(closed.change[:, : closed.position].max()) if closed.position else 0.0


# ---- padding -----------------------------------------------------------------------------------------


def padding(padding: Padding) -> str:
    """What [PAD] does to the real tokens of one text."""
    row, length, longest = padding.row, len(padding.labels), padding.masked.layers[0].resid_post.shape[1]
    start = f"A batch is one rectangle: shorter texts are filled up to {longest} tokens with [PAD]."
    if length == longest:
        return f"{start} Text {row} is the longest and needs none."
    layer, head = padding.head
    taken, hidden = (float(causality.padding_share(run, row)[layer, head]) for run in (padding.bare, padding.masked))
    bare, masked = padding.changes
    middle = (
        f"Without a padding mask it takes {percent(taken)} of text {row}’s attention in layer {layer}, head {head}, "
        f"and the outputs end {percent(sum(bare) / length)} away on average from those of the text alone."
    )
    if padding.alone.config.kind == "decoder" and taken == 0:
        middle = "[PAD] comes after the text, so the causal mask hides it already: with or without a padding mask."
    return (
        f"{start} {middle} With the mask the columns of [PAD] hold {percent(hidden)} and the outputs are those of the "
        f"text alone, within {_size(max(masked))}. Its rows still look at the text, but nobody reads their outputs."
    )


def _size(share: float) -> str:
    """Exactly 0, or 3 × 10⁻⁷, or 12 %."""
    if share == 0:
        return "exactly 0"
    return percent(share) if share >= 1e-4 else scientific(share, 1)
