"""What the page "Masks" says: sentences written from the numbers of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from attnviz.analysis import causality
from attnviz.formatting import counted, number, ordinal, percent, scientific, significant
from attnviz.nn.trace import Trace
from attnviz.web.masks.patterns import allowed

if TYPE_CHECKING:
    from attnviz.web.masks.state import Effect, Exchange, Padding, Settings

_KINDS = {
    "none": "None",
    "causal": "Causal",
    "window": "Local window",
    "block": "Blocks",
    "strided": "Strided",
    "prefix": "Prefix",
    "painted": "Painted by hand",
}
FIRST, LAST, ALIKE = (
    "Tokens in the first third of the text",
    "Tokens in the last third of the text",
    "Both about the same",
)
CLEARLY, HARDLY = 1.5, 1.1  # times as much: from the first on one changes more, up to the second both are alike
LATER, ALL, NOBODY = "only its own and later ones", "all of them", "none"


def kinds(trained: bool) -> dict[str, str]:
    """What the masks are called, by kind."""
    return {"trained": "As trained" if trained else "As built", **_KINDS}


# ---- the mask and what it does -----------------------------------------------------------------------


def rule(kind: str, n: int, causal: bool, own: str = "As trained") -> str:
    """What a mask of size n says in a model that is causal by itself, or is not; `own` is its own mask's name."""
    tokens = "token" if n == 1 else f"{n} tokens"
    past = ", if they are not later" if causal else ""
    trained = (
        f"{own} = causal: in this model each token sees itself and the past anyway"
        if causal
        else f"{own} = none: in this model each token sees every token"
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
        "painted": "Under the painted mask each token sees what is not painted over",
    }[kind]


PAINT = (
    "Drag over the matrix in the middle, or use the arrow keys and Space in it: what you paint is hidden, in every "
    "layer and head."
)


def summary(settings: Settings, effect: Effect, *, hides: bool) -> str:
    """The sentence under the question: the mask's rule, and, unless it `hides` that, how much the outputs changed."""
    keep, change = effect.keep, effect.change
    said = rule(settings.mask, settings.n, effect.causal, kinds(effect.trained)["trained"])
    start = f"{said}; {int(keep.sum()):,} of {keep.numel():,} pairs are left."
    if hides:
        return f"{start} What that does to the outputs is hidden until you have guessed."
    if max(change) <= causality.ROUNDING:
        if settings.mask == "painted" and not settings.painted:
            return f"{start} {PAINT}"
        return f"{start} That is how this model runs anyway, so no output changes."
    average, token = percent(sum(change) / len(change)), settings.token
    if token < 0:
        return f"{start} After all layers the average token’s output vector has changed by {average} of its norm."
    return (
        f"{start} After all layers the output vector of “{effect.labels[token]}” has changed by "
        f"{percent(change[token])} of its norm, the average token’s by {average}."
    )


def outputs_title(change: Sequence[float], labels: Sequence[str]) -> str:
    """The point of the bars of how much each final vector changed."""
    most = max(range(len(change)), key=change.__getitem__)
    if change[most] <= causality.ROUNDING:
        return "No output changes"
    return f"How much each output changes: most “{labels[most]}” at {most}, by {percent(change[most])} of its norm"


def depth(keep: Tensor, token: int, label: str, n_layers: int) -> str:
    """How far a token hears through layers that all have the mask keep (T, T)."""
    one, all_ = (int(causality.reach(keep, layers)[token].sum()) for layers in (1, n_layers))
    return (
        f"In one layer “{label}” sees {one} of {len(keep)} tokens. Each layer passes on what the one before gathered: "
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
        f"token. In layer {layer} attention then {_added(plain.out, attention.out, rows)}; all else comes from the "
        "residual stream."
    )


def _added(before: Tensor | None, after: Tensor | None, rows: list[int]) -> str:
    """What attention adds to queries without keys; another library's model does not tell the norms."""
    if before is None or after is None:
        return "adds at most its output bias"
    was, now = (float(out[0, rows].norm(dim=-1).mean()) for out in (before, after))
    return "adds nothing" if now == 0 else f"adds only its output bias (norm {now:.2f}; before, {was:.2f})"


def thirds(plain: Trace, changed: Trace, mask: str) -> tuple[str, list[str], str, str] | None:
    """Question, options, truth and reason: which end of the text changes more under another mask?

    None where the answer would not be clear.
    """
    change = causality.final_change(plain, changed)[0]
    size = len(change) // 3
    if size == 0:
        return None
    first, last = float(change[:size].mean()), float(change[-size:].mean())
    less, more = sorted((first, last))
    if HARDLY * less < more < CLEARLY * less:
        return None
    truth = ALIKE if more <= HARDLY * less else FIRST if first > last else LAST
    difference = (allowed(changed).int().sum(dim=-1) - allowed(plain).int().sum(dim=-1)).abs().float()
    at_first, at_last = (float(part.mean()) for part in (difference[:size], difference[-size:]))
    does, under, sees = "Forbid the future (causal)", "Under the causal mask", "fewer"
    if mask != "causal":
        does, under, sees = "Take the causal mask away", "Without the causal mask", "more"
    because = (
        f"An output is made of what its token sees. {under}, tokens in the first third of the text see "
        f"{_mean(at_first)} tokens {sees} on average, those in the last third {_mean(at_last)} {sees}. "
        f"The outputs change by {_exactly(first)} of their norm in the first third, "
        f"and by {_exactly(last)} in the last."
    )
    if (truth == FIRST) != (at_first > at_last):
        because += " How much a token had looked at them counts too, not only how many they are."
    return f"{does}: whose outputs change more?", [FIRST, LAST, ALIKE], truth, because


def _mean(count: float) -> str:
    """A mean number of tokens: 13, or 0.5, which is neither 0 nor 1."""
    return number(count, 0 if count == round(count) else 1)


def _exactly(share: float) -> str:
    """A share with three digits: 78.4 %, 2.01 %."""
    return f"{significant(100 * share)}\u202f%"


# ---- the exchange of a word --------------------------------------------------------------------------


def no_token(word: str, stand_in: str) -> str:
    """That the reader's word is not in the vocabulary."""
    return f"“{word}” is not one token of this model’s vocabulary; “{stand_in}” stands in its place."


def too_long(length: int, most: int, stand_in: str) -> str:
    """What was typed is longer than a word can be."""
    return (
        f"What you typed has {length:,} characters; a word of at most {most} is read. “{stand_in}” stands in its place."
    )


def same_token(word: str, stand_in: str) -> str:
    """That the reader's word is the one to be exchanged."""
    return f"“{word}” is the word that stands there; “{stand_in}” takes its place."


def who_notices(exchange: Exchange) -> tuple[str, list[str], str, str]:
    """Question, options, truth and reason: who notices the exchange under the causal mask? Not for the first token."""
    closed, at, n = exchange.closed, exchange.position, len(exchange.labels)
    noticed = closed.noticed
    truth = ALL if noticed and noticed[0] < at else LATER if noticed else NOBODY
    because = (
        "Under the causal mask no token looks at a later one, in any layer: whatever reaches a token comes from itself "
        f"and the past. {_earlier_outputs(closed)}. From position {at} on, {len(noticed)} of "
        f"{counted(n - at, 'output')} {'changes' if len(noticed) == 1 else 'change'}."
    )
    question = f"“{closed.old}” at position {at} becomes “{closed.new}”. With the causal mask, whose outputs change?"
    return question, [LATER, ALL, NOBODY], truth, because


def leak(exchange: Exchange) -> str:
    """Who noticed the exchange, without a mask and under the causal one."""
    open_, closed, at = exchange.open, exchange.closed, exchange.position
    return (
        f"“{open_.old}” at position {at} becomes “{open_.new}”. Without a mask {len(open_.noticed)} of "
        f"{len(exchange.labels)} outputs change. With the causal mask {len(closed.noticed)} "
        f"{'does' if len(closed.noticed) == 1 else 'do'}. {_earlier_outputs(closed)}."
    )


def _earlier_outputs(closed: causality.ExchangedToken) -> str:
    """What became of the outputs before the exchanged word, in any layer."""
    at, worst = closed.position, _earlier(closed)
    if at == 0:
        return "There is no output before it"
    outputs, are = ("The output", "is") if at == 1 else (f"The {at} outputs", "are")
    if worst == 0:
        return f"{outputs} before it {are} unchanged"
    return f"{outputs} before it {'changes' if at == 1 else 'change'} by {_size(worst)} at most"


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
    row, length, longest = padding.row, len(padding.labels), padding.longest
    start = f"A batch is one rectangle: shorter texts are filled up to {longest} tokens with [PAD]."
    if length == longest:
        return f"{start} Text {row} is the longest and needs none."
    (layer, head), (taken, hidden), (bare, masked) = padding.head, padding.shares, padding.changes
    middle = (
        f"Without a padding mask, [PAD] takes {percent(taken)} of text {row}’s attention in layer {layer}, head "
        f"{head}, and on average padding changes a token’s output by {percent(sum(bare) / length)} of its norm."
    )
    if padding.causal and taken == 0:
        middle = "[PAD] comes after the text, so the causal mask hides it already, with or without a padding mask."
    worst = max(masked)
    alike = "each output is exactly what it is without padding"
    if worst > 0:
        alike = f"each output is what it is without padding, to within {_size(worst)} of its norm"
    return (
        f"{start} {middle} With the mask [PAD] gets {percent(hidden)}, and {alike}. "
        "The rows of [PAD] still look at the text, but nobody reads their outputs."
    )


def _size(share: float) -> str:
    """3 × 10⁻⁷, or 12 %."""
    return percent(share) if share >= 1e-4 else scientific(share, 1)
