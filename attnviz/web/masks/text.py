"""What the page "Masks" says: sentences written from the numbers of the runs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from attnviz.analysis import causality
from attnviz.formatting import ordinal, percent, scientific
from attnviz.nn.trace import Trace
from attnviz.web.masks.state import Settings, allowed

FIRST, LAST, ALIKE = "those of the first third", "those of the last third", "both about alike"
LATER, ALL, NOBODY = "its own and those after it", "all of them", "none"


def rule(chosen: Settings, causal: bool) -> str:
    """What the mask says."""
    n = chosen.n
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
    }[chosen.mask]


def in_words(chosen: Settings, keep: Tensor, moved: Sequence[float], labels: Sequence[str], causal: bool) -> str:
    """The sentence under the question. keep (T, T); moved (T,), the relative change of each final vector."""
    parts = [f"{rule(chosen, causal)}; {int(keep.sum()):,} of {keep.numel():,} pairs are left."]
    token = min(chosen.token, len(labels) - 1)
    if max(moved) <= causality.ROUNDING:
        parts.append(
            "Drag over the matrix in the middle, or use the arrow keys and Space in it: what you paint is hidden, in "
            "every layer and head."
            if chosen.mask == "painted" and not chosen.painted
            else "That is how this model runs anyway, so no output changes."
        )
    else:
        own, mean = "the average token ends", percent(sum(moved) / len(moved))
        if token >= 0:
            own = f"“{labels[token]}” ends {percent(moved[token])} of its length away from where it was, "
            own += "the average token"
        parts.append(f"Run through every layer, {own} {mean}{'' if token >= 0 else ' of its length away'}.")
    return " ".join(parts)


def depth_in_words(keep: Tensor, token: int, label: str, layers: int) -> str:
    """How far a token hears through layers that all have the mask keep (T, T)."""
    one, all_ = (int(causality.reach(keep, depth)[token].sum()) for depth in (1, layers))
    return (
        f"One layer shows “{label}” {one} of {len(keep)} tokens. Each layer passes on what the one before had seen: "
        f"after {layers} layers something of {all_} of {len(keep)} tokens can have reached it."
    )


def starving(plain: Trace, trace: Trace, keep: Tensor, layer: int) -> str:
    """What became of the queries that may attend to nothing; "" if there is none."""
    rows = list(causality.starved(keep))
    if not rows:
        return ""
    labels, n = trace.encodings[0].labels, len(keep)
    weights = trace.layers[layer].attention.weights[0][:, rows]
    start = f"{len(rows)} of {n} tokens may look at nothing; their"
    if len(rows) == n:
        start = "No token may look at anything; all"
    elif len(rows) == 1:
        start = f"“{labels[rows[0]]}” may look at nothing; its"
    adds = _added(plain.layers[layer].attention.out, trace.layers[layer].attention.out, rows)
    return (
        f"{start} weights add up to {float(weights.sum()):g}: not NaN, and not 1/{n} for each token. In layer {layer} "
        f"attention then {adds}, and the token goes on with what the residual stream holds."
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


def who_notices(closed: causality.Leak, n_tokens: int) -> tuple[str, list[str], str, str]:
    """The same for the exchange of a word under the causal mask."""
    noticed, at = closed.noticed, closed.position
    truth = ALL if noticed and noticed[0] < at else LATER if noticed else NOBODY
    because = (
        f"{len(noticed)} of {n_tokens} outputs change; those at positions before {at} change by "
        f"{_size(float(closed.change[:, :at].max()) if at else 0.0)} at most, in any layer."
    )
    question = f"“{closed.old}” at position {at} becomes “{closed.new}”. With the causal mask, whose outputs change?"
    return question, [LATER, ALL, NOBODY], truth, because


def leak_in_words(open_: causality.Leak, closed: causality.Leak, n_tokens: int) -> str:
    """Who noticed the exchange."""
    at, worst = closed.position, float(closed.change[:, : closed.position].max()) if closed.position else 0.0
    earlier = (
        f"the {at} before it change by {_size(worst)}"
        if at > 1
        else f"the one before it changes by {_size(worst)}"
        if at
        else "there is none before it"
    )
    return (
        f"“{open_.old}” at position {at} becomes “{open_.new}”. Without a mask {len(open_.noticed)} of {n_tokens} "
        f"outputs notice. With the causal mask {len(closed.noticed)} do; {earlier}."
    )


def leak_title(closed: causality.Leak, n_tokens: int) -> str:
    """What the picture of the leak test shows."""
    early = [i for i in closed.noticed if i < closed.position]
    if early:
        return f"It leaks: {len(early)} earlier outputs change"
    return f"With the causal mask nothing before position {closed.position} changes"


def padding_in_words(
    masked: Trace, bare: Trace, row: int, changes: Sequence[Sequence[float]], head: tuple[int, int], causal: bool
) -> str:
    """What [PAD] does to the real tokens. changes: against the text alone, without the padding mask and with it."""
    encoding, longest = masked.encodings[row], masked.layers[0].resid_post.shape[1]
    missing = longest - len(encoding)
    start = f"A batch is one rectangle: shorter texts are filled up to {longest} tokens with [PAD]."
    if not missing:
        return f"{start} Text {row} is the longest and needs none."
    layer, number = head
    taken, hidden = (float(causality.padding_share(run, row)[layer, number]) for run in (bare, masked))
    worst = max(changes[1])
    middle = (
        f"Without a padding mask it takes {percent(taken)} of text {row}’s attention in layer {layer}, head {number}, "
        f"and the outputs end {percent(sum(changes[0]) / len(encoding))} away on average from those of the text alone."
    )
    if causal and taken == 0:
        middle = "[PAD] comes after the text, so the causal mask hides it already: with or without a padding mask."
    return (
        f"{start} {middle} With the mask the columns of [PAD] hold {percent(hidden)} and the outputs are those of the "
        f"text alone, within {_size(worst)}. Its rows still look at the text, but nobody reads their outputs."
    )


def _size(share: float) -> str:
    """Exactly 0, or 3 × 10⁻⁷, or 12 %."""
    if share == 0:
        return "exactly 0"
    return percent(share) if share >= 1e-4 else scientific(share, 1)
