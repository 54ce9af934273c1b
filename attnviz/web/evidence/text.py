"""What the page "Attention and cause" says about its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis import agreement
from attnviz.analysis.agreement import Correlation
from attnviz.analysis.attribution import LogitParts
from attnviz.analysis.evidence import Method
from attnviz.analysis.gradients import Integrated
from attnviz.formatting import HARD, number, percent, token_name
from attnviz.web.evidence.shown import CANCELLED, WAITS, Offer, Shown

NAMES: dict[Method, str] = {
    "attention": "attention",
    "rollout": "rollout",
    "flow": "attention flow",
    "norm": "‖αv‖",
    "gradient": "gradient × attention",
    "integrated": "integrated gradients",
    "erasure": "erasure",
}
HEADINGS: dict[Method, str] = NAMES | {
    "flow": "flow",
    "gradient": "gradient",
    "integrated": "integrated",
    "erasure": "erasure",
}
CAVEAT = (
    "Attention is where a model looks, which is not why it answers as it does. Of these measures only erasure changes "
    "the text and looks what happens; and a text with a word erased may be one that the model never learnt to read."
)
COLOURS = (
    "The stronger the colour, the larger the number, measured by the largest in its column (square-root scale). Blue: "
    "shares, or for the prediction; red: against it. Special tokens are shown and not compared."
)
ORDERS = (
    "Each measure’s order of the tokens, by size, against that of the erasures. The intervals assume "
    "that tokens are independent; those of one text are not quite."
)
READOUT = (
    "The last norm is taken as this run computed it, so that the parts add up. Stopped: what the same norm and readout "
    "make of the vector as it then stands, though a model is trained to be read at its end alone (logit lens)."
)
MISSING = (
    "An erased token is missing in every head and every layer, and in all that other tokens made of it; "
    "an attention weight is one step of that."
)
FEW = "no rank correlation of fewer than four is meaningful."


def asked(shown: Shown) -> str:
    """What is explained, as part of a sentence."""
    offer = shown.asked
    if offer is None:
        return f"{shown.title}’s embedding of the text"
    if shown.prediction.kind == "class":
        return f"the class “{offer.name}” ({percent(offer.probability)})"
    if shown.of.hidden is not None:
        return f"“{offer.name}” in the hidden place {shown.of.hidden} ({percent(offer.probability)})"
    return f"“{offer.name}” as the next token ({percent(offer.probability)})"


def offered(offer: Offer) -> str:
    """A choice in the list of predictions."""
    return f"{offer.name}  {percent(offer.probability)}"


def before(shown: Shown) -> str:
    """The page's sentence until the guess."""
    where = "how much attention its tokens get" if shown.prediction.kind == "embedding" else "where the model looks"
    return f"What matters to {asked(shown)}? Below you see {where}. Are these also the tokens that matter?"


def verdict(shown: Shown) -> str:
    """What matters most, where the model looks most, and whether the two orders agree."""
    if "erasure" not in shown.found.values:
        why = shown.found.missing["erasure"]
        known = "is not known yet" if why in (WAITS, CANCELLED) else "cannot be tried"
        return f"What matters to {asked(shown)} {known}: {why}."
    if not shown.found.own:
        return "The text has no token of its own to compare."
    made = shown.found.erased
    assert made is not None
    cause, seen = shown.strongest("erasure"), shown.strongest("attention")
    if not shown.moves:
        what = asked(shown) if shown.prediction.kind == "embedding" else f"the logit of {asked(shown)}"
        return (
            f"Erasing any one of the text’s own tokens changes {what} by nothing that shows: it stays "
            f"{number(made.before)}. Attention gives most to {token(shown, seen)}."
        )
    before, after = number(made.before), number(float(made.after[cause]))
    most = "the same one" if cause == seen else token(shown, seen)
    changed = f"the logit of {asked(shown)} most, from {before} to {after}"
    if shown.prediction.kind == "embedding":
        changed = f"{asked(shown)} most: along its own direction it then reaches {after}, not {before}"
    return (
        f"Of the text’s own tokens, erasing {token(shown, cause)} changes {changed}. "
        f"Attention gives most to {most}. {orders(shown)}"
    )


def orders(shown: Shown) -> str:
    """Whether attention's order agrees with the erasures'."""
    n = len(shown.found.own)
    if n < agreement.LEAST:
        return f"Here {'is 1 token' if n == 1 else f'are {n} tokens'} to compare: {FEW}"
    compared = shown.found.compared("attention")
    assert compared is not None
    rho = compared[0]
    spearman = f"Spearman’s ρ{HARD}={HARD}{number(rho.value)}"
    if not rho.is_there:
        return "One of the two is the same everywhere, so that there is no order to compare."
    if rho.low != rho.low:
        return f"Over {n} tokens the two orders have {spearman}, without an interval."
    says = {
        1: "agree more than chance would have it",
        0: "show no agreement that could not be chance",
        -1: "run against each other",
    }[rho.says]
    return f"Over {n} tokens the two orders {says}: {spearman} ({interval(rho)})."


def question(shown: Shown) -> str:
    """What the reader guesses."""
    what = asked(shown) if shown.prediction.kind == "embedding" else "the prediction"
    return f"Erase one token: which changes {what} most?"


def because(shown: Shown) -> str:
    """Why the answer to the page's question is what it is."""
    made = shown.found.erased
    assert made is not None
    after = float(made.after[shown.strongest("erasure")])
    becomes = f"the logit is {number(after)} instead of {number(made.before)}"
    if shown.prediction.kind == "embedding":
        becomes = f"the embedding reaches {number(after)} along its own direction instead of {number(made.before)}"
    return f"Without it {becomes}: no other of the text’s tokens changes it as much. {MISSING}"


def token(shown: Shown, position: int) -> str:
    """A token by name, with its position where others read the same."""
    return f"“{token_name(shown.labels, position)}”"


def written(method: Method, value: float) -> str:
    """A measure's number: a share, or signed in the prediction's unit."""
    return percent(value) if method in ("attention", "rollout", "flow", "norm") else signed(value)


def signed(value: float) -> str:
    """A change, with its sign."""
    text = number(value)
    return text if text.startswith("−") else f"+{text}"


def interval(one: Correlation) -> str:
    """95 % interval −0.10 to 0.50; "" where there is none."""
    return "" if one.low != one.low else f"95\u202f% interval {number(one.low)} to {number(one.high)}"


def correlation(one: Correlation) -> tuple[str, str]:
    """A correlation and its interval for the table."""
    if not one.is_there:
        return "–", "no order"
    return number(one.value), "" if one.low != one.low else f"{number(one.low)} to {number(one.high)}"


def alternative(shown: Shown, methods: Sequence[Method]) -> str:
    """The picture for who cannot see it: one measure whole; of several the token that has most of each."""
    if len(methods) == 1:  # so it is before the guess, too: to name one token would be to name one of the options
        (only,) = methods
        shares = [written(only, x) for x in shown.found.values[only].tolist()]
        told = [f"{token_name(shown.labels, place)} {share}" for place, share in enumerate(shares)]
        return f"{NAMES[only][0].upper()}{NAMES[only][1:]} on {len(shown.labels)} tokens: {', '.join(told)}."
    said = [f"{NAMES[one]}: {token(shown, shown.strongest(one))}" for one in methods if shown.found.own]
    return f"{len(shown.labels)} tokens by {len(methods)} measures. Most, by measure: {'; '.join(said)}."


def erased(shown: Shown) -> str:
    """What an erased token is replaced by, and in what unit its effect is."""
    made = shown.found.erased
    if made is None:
        return ""
    instead = "the mask token’s" if made.how == "mask" else "the mean of the embedding table"
    what = (
        f"embedding along its own direction, {number(made.before)}: the mean of the final vectors, projected on it"
        if shown.prediction.kind == "embedding"
        else f"logit, {number(made.before)}"
    )
    signs = "Gradient, integrated and erasure have signs, and the unit of the"
    return f"An erased token keeps its place; its vector becomes {instead}. {signs} {what}."


def complete(found: Integrated) -> str:
    """How far integrated gradients add up."""
    difference = found.before - found.baseline
    missed = percent(abs(found.gap / difference)) if difference else "none"
    right = "" if found.is_complete else " That is more than the 1\u202f% that they should miss at most."
    return (
        f"Integrated gradients add up to {signed(float(found.values.sum()))} of {signed(difference)}, the "
        f"difference to the text with every token erased ({found.steps} points; {missed} missed).{right}"
    )


def progress(method: Method, done: int, n: int) -> str:
    """Beside a bar."""
    if method == "integrated":
        return f"{done} points of the integral …"
    return f"{done} of {n} tokens erased …" if method == "erasure" else f"The flow to {done} of {n} tokens …"


def cancelled(method: Method) -> str:
    """After Cancel."""
    return f"{NAMES[method][:1].upper()}{NAMES[method][1:]}: cancelled, so it is not compared."


def pieces(shown: Shown) -> str:
    """That what was typed is more than one token."""
    listed = ", ".join(f"“{piece}”" for piece in shown.typed_pieces)
    return f"What you typed is {len(shown.typed_pieces)} tokens here: {listed}. Asked is the first."


def too_long(length: int, most: int) -> str:
    """That what was typed is no token."""
    return f"What you typed has {length:,} characters; a token of at most {most} is read. Until then it is left out."


def wrote(shown: Shown, parts: LogitParts) -> str:
    """Of how many parts the logit is the sum, and which is the largest."""
    terms = parts.terms.tolist()
    largest = max(range(len(terms)), key=lambda i: abs(terms[i]))
    return (
        f"{len(terms)} parts of the model add up to the logit of {asked(shown)}, {number(parts.logit)}. "
        f"Most comes from {parts.parts[largest]}: {signed(terms[largest])}."
    )


def on_the_way(name: str, said: Sequence[str]) -> str:
    """From where on the model would say what is asked about; `said`: before each layer, and at its end."""
    if said[-1] != name:
        return f"At its end the model says “{said[-1]}”."
    since = len(said) - 1
    while since and said[since - 1] == name:
        since -= 1
    if since == len(said) - 1:
        return f"Only its last layer makes “{name}” the likeliest."
    return f"Stopped {stop(since)}, it would say “{name}” too."


def stop(state: int) -> str:
    """Where the model is read, counted from before its first layer."""
    return f"after layer {state - 1}" if state else "before layer 0"


def not_split(why: str) -> str:
    """Where the logit is not told as a sum."""
    return f"Its logit is not split into parts here: {why}."
