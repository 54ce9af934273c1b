"""The sentences of the page "What if?", written from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.cell_removal import Removed
from attnviz.analysis.patching_gradient import Correlation
from attnviz.analysis.self_repair import Repair
from attnviz.analysis.sites import Site
from attnviz.formatting import MINUS, difference, number, percent, points, shares

HOWS = {
    "patch": "The other text’s output",
    "freeze": "The other text’s pattern",
    "zero": "Switch off",
    "mean": "Average",
    "uniform": "Make uniform",
    "scale": "Scale",
}
EXPLAINS = {
    "patch": "Activation patching: the head’s output is taken from the other text’s run; all after it runs again.",
    "freeze": "The head’s attention is taken from the other text’s run; its values are this text’s own.",
    "zero": "The head writes nothing.",
    "mean": "At every token, the head writes its average over the text.",
    "uniform": "The head gives the same weight to every token that it may look at.",
    "scale": "What the head writes, times this factor: 0 is off, 1 changes nothing.",
}
DOES = {
    "patch": "given its output on the other text",
    "freeze": "given its pattern on the other text",
    "zero": "switched off",
    "mean": "set to its average",
    "uniform": "made uniform",
}
MEASURES = {
    "lead": "Logit difference",
    "probability": "Probability",
    "loss": "Loss",
    "likeness": "Likeness of the texts",
}
MEANS = {
    "lead": "By how much the logit of one token is ahead of another’s.",
    "probability": "Of one token, among all that the model knows.",
    "loss": "How wrong the model is about the right tokens: less is better.",
    "likeness": "The cosine of the two texts’ vectors, means over tokens; without another text, with yours as it was.",
}
NOTHING = 0.02  # of what a head writes: less is not spoken of
NO_STREAM = "With another text of equally many tokens, this place shows where the two runs part, token by token."
NO_GRADIENT = "Nothing varies here, so there is no correlation to tell."
CANCELLED = "Cancelled: what was run stays on screen."
CELLS = (
    "Blocked: the query may not look there before softmax, so its weight goes to the other keys. Cut: the weight is "
    "taken away after softmax, and nothing is put in its place."
)
NOT_REMOVED = "Cancelled: no cell’s removal is told."
NOT_SWITCHED_OFF = "Cancelled: without all heads switched off, self-repair is not told."
NO_CELLS = "No cell of this head reaches what is measured."
NEEDS_LEAD = "Self-repair shows in a logit difference, and only in a model that reads one text."
WHOLE_RUNS = (
    "Another library’s model: its whole run is repeated for every change, and its single cells are not removed."
)
NOT_SPLIT = "To measure self-repair takes what each head itself writes into a logit: this model does not give that."
COSTS = "It costs one run forward and one back."
COLOURS = (
    "Blue: more. Red: less. A cell stands out the more, the larger it is beside the largest one (square-root scale)."
)
IN_SHARES = (
    "Blue: towards the other text. Red: away from it. A cell stands out the more, the larger its share is, on a "
    "square-root scale; the colour is full at 100\u202f%, unless one is larger."
)
STREAM = (
    "Each cell: the residual stream into that layer at that token is the other text’s, and all after it runs again. "
    "Tokens at which the two streams are the same are not run: they change nothing."
)


def left_out(field: str, n_read: int, n_left: int) -> str:
    """That of the other text, or of the answer, only the beginning is read."""
    which = {"other": "other text", "answer": "answer"}[field]
    return f"This page reads the first {n_read} tokens of the {which}; {n_left:,} more are left out."


def row(site: Site, *, alone: bool) -> str:
    """A row of the map."""
    return f"layer {site.layer}" if alone else f"{site.place} {site.layer}"


def head(site: Site, number_: int, *, alone: bool) -> str:
    """A head in a sentence."""
    place = "" if alone else {"cross": "cross-attention, "}.get(site.place, f"{site.place}, ")
    return f"{place}layer {site.layer}, head {number_}"


def outcome(measure: str, token: str, versus: str, *, hidden: str = "", pair: bool = False, other: bool = True) -> str:
    """What is measured, in a sentence."""
    where = f" where “{hidden}” is hidden" if hidden else ""
    match measure:
        case "lead":
            return f"the lead of “{token}” over “{versus}”{where}"
        case "probability":
            return f"the probability of “{token}”{where}"
        case "likeness":
            return "the cosine with the other text" if other else "the cosine with the text as it was"
    return f"the loss on the hidden “{hidden}”" if hidden else f"the loss on the {'answer' if pair else 'text'}"


def value(measure: str, x: float) -> str:
    """One outcome."""
    if measure == "probability":
        return percent(x)
    written = number(x, 3 if measure == "likeness" else 2)
    return f"{written}\u202fnats" if measure == "loss" else written


def change(measure: str, x: float) -> str:
    """A signed change of an outcome."""
    if measure == "probability":
        return points(x)
    digits = 3 if measure == "likeness" else 2
    if round(x, digits) == 0:
        return "0"
    written = number(x, digits)
    return written if written.startswith(MINUS) else f"+{written}"


def compared(measure: str, before: float, after: float) -> tuple[str, str, str]:
    """Two outcomes and their signed difference, which is that of the two as written."""
    if measure == "probability":
        return shares(before, after)
    digits = 3 if measure == "likeness" else 2
    return value(measure, before), value(measure, after), difference(before, after, digits)


def share(effect: float, whole: float) -> str:
    """How much of the way to the other text an effect goes: a signed share."""
    if not np.isfinite(effect / whole if whole else np.nan):
        return ""
    p = effect / whole
    return f"{MINUS}{percent(-p)}" if p < 0 and abs(p) >= 0.005 else percent(max(0.0, p))


def measured(measure: str, name: str, base: float, other: float) -> str:
    """What the two runs come to as they are."""
    start = f"With no head changed, {name} is {value(measure, base)}"
    if np.isnan(other):
        return f"{start} on your text."
    if measure == "likeness":
        return f"{start}; {value(measure, other)} would be the same vector."
    return f"{start} on your text and {value(measure, other)} on the other one."


def summary(
    measure: str,
    name: str,
    how: str,
    factor: float,
    where: str,
    n_heads: int,
    base: float,
    after: float,
    other: float,
    *,
    at: str = "",
) -> str:
    """Which head's change does most."""
    does = does_when(how, factor, at)
    if value(measure, after) == value(measure, base):
        return f"None of {n_heads} heads, when {does}, visibly changes {name}: it stays {value(measure, base)}."
    way = ""
    if not np.isnan(other) and how in ("patch", "freeze") and value(measure, base) != value(measure, other):
        way = f", {share(after - base, other - base)} of the way to the other text’s {value(measure, other)}"
    return (
        f"Of {n_heads} heads, {where} matters most when {does}: {name} goes from {value(measure, base)} to "
        f"{value(measure, after)}{way}."
    )


def does_when(how: str, factor: float, at: str = "") -> str:
    """What is done to a head."""
    return DOES.get(how, f"multiplied by {factor:g}") + (f" at “{at}”" if at else "")


def chosen(measure: str, where: str, base: float, after: float, rank: int, n_heads: int) -> str:
    """What the chosen head's change does, beside the one that does most."""
    was, now, by = compared(measure, base, after)
    if was == now:
        return f"The chosen head, {where}, does not visibly change it."
    return f"The chosen head, {where}, changes it by {by}: number {rank} of {n_heads} by size."


def one_head(
    measure: str, name: str, how: str, factor: float, base: float, after: float, rank: int, n: int, *, at: str = ""
) -> str:
    """What the chosen head's change does."""
    does = does_when(how, factor, at)
    if np.isnan(after):
        return f"The run with this head {does} is still to come."
    was, now, by = compared(measure, base, after)
    if was == now:
        return f"With this head {does}, {name} stays {now}."
    return (
        f"With this head {does}, {name} is {now} instead of {was} ({by}). By size that is number {rank} of {n} heads."
    )


def agreement(found: Correlation) -> str:
    """How well a gradient says what exact patching finds."""
    if np.isnan(found.pearson):
        return NO_GRADIENT
    return (
        f"Attribution patching, one gradient instead of {found.n} runs: over {found.n} heads it goes with the exact "
        f"effects at r = {number(found.pearson)} (Pearson), and {number(found.spearman)} in their order (Spearman). "
        f"{COSTS}"
    )


def repaired(found: Repair, layer: int, head_: int) -> str:
    """What a logit loses without the chosen head, and what of it comes back."""
    direct, total, back = (float(one[layer, head_]) for one in (found.direct, found.total, found.repaired))
    start = (
        f"Layer {layer}, head {head_} itself writes {change('lead', direct)} into the lead; switched off, the lead "
        f"loses {number(total)}."
    )
    if np.isnan(back):
        return f"{start} What it writes is too little to speak of repair."
    if back > 1:
        return f"{start} Later parts and norms put back more than it had written: self-repair."
    if back >= NOTHING:
        return f"{start} Later parts and norms put back {percent(back)} of it: self-repair."
    if back <= -NOTHING:
        return f"{start} More is lost than it wrote itself: later parts had built on it."
    return f"{start} Nothing is put back."


def most_repaired(found: Repair) -> str:
    """Where self-repair is largest."""
    if found.most is None:
        return "No head of this model is repaired here."
    layer, head_ = found.most
    return f"Most is put back for layer {layer}, head {head_}: {percent(float(found.repaired[layer, head_]))} of it."


def cells(found: Sequence[Removed], labels: Sequence[str], keys: Sequence[str], measure: str) -> str:
    """Whether blocking the chosen head's first cell shows less than there is."""
    if not found:
        return NO_CELLS
    one = found[0]
    query, key = labels[one.query], keys[one.key]
    if change(measure, one.cut) == change(measure, one.blocked) == "0":
        return f"“{query}” gives “{key}” {percent(one.weight)}. Cut or blocked, nothing changes that shows."
    start = (
        f"“{query}” gives “{key}” {percent(one.weight)}. Cut, that changes the outcome by {change(measure, one.cut)}; "
        f"blocked, by {change(measure, one.blocked)}"
    )
    if one.heir is None:
        return f"{start}: there is no other key that its weight could go to."
    heir = f"softmax gives its weight to the others, most to “{keys[one.heir]}” ({points(one.gain)} points)"
    if change(measure, one.cut) == change(measure, one.blocked):
        return f"{start}, as far as these digits show: {heir}."
    if one.underestimates and one.cut:
        missing = percent(1 - abs(one.blocked) / abs(one.cut))
        return f"{start}. Blocking underestimates it by {missing}: {heir}."
    return f"{start}. Here blocking shows no less: {heir}."


def progress(done: int, steps: int) -> str:
    """Beside the bar."""
    return f"{done:,} of {steps:,} changes have run …"


def removed(done: int, n: int) -> str:
    """Beside the bar of single cells."""
    return f"{done} of {n} removals of one cell have run …"


def switched_off(done: int, n: int) -> str:
    """Beside the bar of self-repair."""
    return f"{done} of {n} heads have been switched off …"
