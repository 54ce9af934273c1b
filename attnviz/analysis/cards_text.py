"""What the numbers of a model's heads say, in sentences: for pages, and for files to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attnviz.analysis import copying, roles
from attnviz.analysis.attribution import Part
from attnviz.analysis.cards import Example, Lost
from attnviz.formatting import number, percent

DOES = {
    "previous": "looks at the token just before",
    "next": "looks at the token just after",
    "local": "looks at most two tokens away",
    "same": "looks at the word itself",
    "duplicate": "looks at other places of the same token",
    "induction": "looks at what followed the same token elsewhere",
    "punctuation": "looks at punctuation",
    "sink": "rests on the first token and special ones",
    "uniform": "looks at all tokens alike",
}
MEASURES = {
    "previous": "token just before",
    "next": "token just after",
    "local": "at most two away",
    "same": "itself",
    "duplicate": "same token elsewhere",
    "induction": "what followed the same token",
    "punctuation": "punctuation",
    "sink": "first and special tokens",
    "uniform": "evenness (entropy)",
}
LEGEND = (
    "Blue: by place (previous, next, local, same). Amber: by content (duplicate, induction). Green: signs. Grey: at "
    "rest (sink, uniform). Empty: no clear role."
)
RESTS = "the first token, special tokens and the token itself"
_OF = (
    "Attention on the first token, on special tokens and on the token itself counts as rest. A share is of the other "
    "attention (“itself”: of all but the first and special tokens); chance is what even attention would give. "
)
SHARES = f"{_OF}Shares of “same token” and “what followed” come from random words said twice."
SHARES_HERE = f"{_OF}Intervals are over the words of this one text: another text may say something else."
CANNOT_LOSE = "What is lost without it cannot be told: the layers of this model do not run one by one here."
NOT_SPLIT = "What it reads from cannot be told apart here: "
KNOWN = (
    "Right: how often the largest of the head’s weights is on the token that is known to be meant. By place: the best "
    "rule that knows only positions. The head was chosen on other texts than it was measured on."
)
NO_EXAMPLE = "No word here has anything for this head to look at."
SPLIT = (
    "The score is q·k/√d before softmax, as the sum of what each part of the model wrote into the two words, the norms "
    "taken as this run computed them."
)


def judged_on(n_texts: int, is_sample: bool) -> str:
    """What heads were judged on."""
    if n_texts == 1:
        return "your text"
    return f"{n_texts} texts in ten languages" if is_sample else f"{n_texts} texts of its own kind"


def summary(title: str, names: Sequence[Sequence[str]], where: str) -> str:
    """How many heads have a role, and which."""
    named = Counter(name for row in names for name in row if name)
    total = sum(map(len, names))
    if not named:
        return (
            f"On {where} the numbers support a role for none of {title}’s {total} heads: what each gives, and how far "
            "that is from a role, stands below."
        )
    listed = ", ".join(f"{count} {name}" for name, count in named.most_common())
    n_named = sum(named.values())
    return f"On {where}, {n_named} of {title}’s {total} heads {'has' if n_named == 1 else 'have'} a role: {listed}."


def card(found: roles.Roles, layer: int, head: int, where: str) -> str:
    """What a head does, how sure that is, and what chance would give."""
    name = found.names[layer][head]
    start = f"Layer {layer}, head {head} "
    if not name:
        return _no_role(found, layer, head, where)
    place = (roles.MEASURES.index(name), layer, head)
    score, low, high, chance, at_work = (
        float(one[place]) for one in (found.score, found.low, found.high, found.chance, found.at_work)
    )
    between = f"95\u202f% interval {percent(low)} to {percent(high)}"
    if name == "uniform":
        return f"{start}{DOES[name]}: {percent(score)} of the largest entropy there could be ({between}), on {where}."
    share = f"{percent(score)} of {{}} goes there ({between}; even attention: {percent(chance)}), on {where}."
    if name == "sink":
        return f"{start}{DOES[name]}: {share.format('its attention')}"
    if name == "same":
        return f"{start}{DOES[name]}: {share.format('what does not rest on the first token and special ones')}"
    rest = f"{percent(1 - at_work)} of its attention rests on {RESTS}"
    return f"{start}{DOES[name]}. {rest}; {share.format('the other attention')}"


def short(found: roles.Roles, layer: int, head: int, where: str) -> str:
    """The same in half a line, for beside the head's picture."""
    name = found.names[layer][head]
    if not name:
        return f"On {where}, layer {layer}, head {head} has no clear role."
    place = (roles.MEASURES.index(name), layer, head)
    score, low, high, chance = (float(one[place]) for one in (found.score, found.low, found.high, found.chance))
    even = "" if name == "uniform" else f"; even attention: {percent(chance)}"
    of = "" if name in ("sink", "uniform") else " of the attention that does not rest"
    sure = f"{percent(score)}{of} ({percent(low)} to {percent(high)}{even})"
    return f"Layer {layer}, head {head} {DOES[name]}: {sure}, on {where}."


def _no_role(found: roles.Roles, layer: int, head: int, where: str) -> str:
    no_role = f"On {where}, layer {layer}, head {head} has no clear role"
    rest = float(found.score[roles.SHARES.index("sink"), layer, head])
    shares = slice(0, roles.SHARES.index("sink"))
    if int(found.queries[-1]) < roles.LEAST_QUERIES:
        return f"{no_role}. {too_few(int(found.queries[-1]))}"
    best = int(found.evidence[shares, layer, head].argmax())
    if float(found.evidence[best, layer, head]) == 0:
        return f"{no_role}: it gives nothing more than even attention would."
    score, chance = (float(one[best, layer, head]) for one in (found.score, found.chance))
    name = roles.SHARES[best]
    return (
        f"{no_role}. The closest is “{name}”: {percent(score)} of the attention that does not rest, where even "
        f"attention would give {percent(chance)}; a role takes {percent(roles.LEAST_SHARE)}."
        f"{f' The first and special tokens get {percent(rest)}.' if rest > 1 - roles.LEAST_AT_WORK else ''}"
    )


def too_few(n_words: int) -> str:
    """That a text is too short to judge heads on."""
    words = f"{n_words} token{'' if n_words == 1 else 's'}"
    return f"It has {words} to judge heads on: a role other than sink or uniform takes {roles.LEAST_QUERIES}."


def interval(low: float, high: float) -> str:
    """An interval in a table; one number where both ends are written alike."""
    ends = percent(low), percent(high)
    return ends[0] if ends[0] == ends[1] else " – ".join(ends)


def rank(one: Example, *, by_query: bool) -> str:
    """Where an example stands among all."""
    if one.rank == 1:
        return "best"
    if one.rank == 0.5:
        return "typical"
    return f"stronger {'at' if by_query else 'in'} {percent(1 - one.rank)} of the {'words' if by_query else 'texts'}"


def lost(without: Lost, layer: int, head: int, where: str) -> str:
    """What is lost without a head, beside all others."""
    moved = float(without.moved[layer, head])
    others = without.moved.flatten()
    less = int((others < moved).sum())
    low, high = (percent(float(one[layer, head])) for one in (without.low, without.high))
    over = f" (95\u202f% interval {low} to {high})"
    texts = where if without.n_texts == 1 else f"{without.n_texts} of these texts"
    return (
        f"Without this head the final vectors move by {percent(moved)} of their norm, on {texts}"
        f"{over if without.n_texts > 1 else ''}. Of the {len(others) - 1} other heads {less} matter less."
    )


def cost(without: Lost, layer: int, head: int, where: str) -> str:
    """What a head's removal costs in nats per token; "" where the model has no loss."""
    if without.cost is None:
        return ""
    more, low, high = (float(one[layer, head]) for one in (without.cost.more, without.cost.low, without.cost.high))
    texts = where if without.n_texts == 1 else f"{without.n_texts} of these texts"
    if without.n_texts > 1 and low <= 0 <= high:
        less = "no change that could not be chance"
    else:
        less = "better without it" if more < 0 else "worse without it"
    over = f" (95\u202f% interval {signed(low, 3)} to {signed(high, 3)})" if without.n_texts > 1 else ""
    return (
        f"What its removal costs: {signed(more, 3)}\u202fnats per predicted token{over}, {less}; with all heads the "
        f"loss is {number(without.cost.base)}, on {texts}."
    )


def copies(score: float, head_dim: int) -> str:
    """How far a head copies what it looks at, by its OV circuit."""
    chance = copying.by_chance(head_dim)
    if abs(score) <= chance:
        does = "it neither makes what it looks at likelier nor less likely, beyond chance"
    else:
        does = "what it looks at becomes likelier" if score > 0 else "what it looks at becomes less likely"
    within = f"random weights stay within ±{number(chance)} in 95\u202f% of cases"
    return f"Copying, by the eigenvalues of its OV circuit: {signed(score)} of at most ±1: {does} ({within})."


def wakes(one: Example, query: str, key: str, name: str) -> str:
    """The text on which a head does most: of one without a role, or that rests, the one where it rests least."""
    does = f"rests least: {percent(one.share)} of its attention does not rest"
    if name not in ("", "sink", "uniform"):
        does = f"follows its role most: {percent(one.share)} of the attention that does not rest goes there"
    return (
        f"Of the texts that it was judged on, on this one it {does}. “{query}” gives {percent(one.weight)} to “{key}”."
    )


def reads(query: str, key: str, score: float, weight: float, by_key: Sequence[tuple[Part, float]]) -> str:
    """Which part of the model the key owes most of a score to."""
    part, term = max(by_key, key=lambda one: one[1])
    return (
        f"In this example “{query}” gives {percent(weight)} to “{key}”, by a score of {number(score)}. What speaks "
        f"most for it in “{key}” was written by: {part}, {signed(term)}."
    )


def signed(value: float, digits: int = 2) -> str:
    """A term of a sum, or a change."""
    text = number(value, digits)
    return text if text.startswith("−") else f"+{text}"
