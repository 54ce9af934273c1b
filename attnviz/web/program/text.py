"""What the page "Program a transformer" says: sentences written from a program and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnviz.models.programs.models import NOTHING

if TYPE_CHECKING:
    from attnviz.web.program.state import Outcome

ALL, SOME, NONE = "all of them", "some of them", "none of them"
NO_HEAD = "This program selects nothing, so it takes no attention head. Use select, aggregate or count in it."
HOW = (
    "A head computes a select: each query chooses the keys for which the condition on key and query holds. With "
    "aggregate the head fetches the chosen key’s value (of several, the last one’s); with count it says how many were "
    "chosen. The feed-forward network "
    "computes everything else, one hidden unit for each combination of values. Lines give names; the last line is "
    "what the transformer says at each letter."
)


def no_program(error: str) -> str:
    """Why there is nothing to run."""
    return f"This is not a program yet: {error.rstrip('.')}."


def no_text(phrase: str, alphabet: str) -> str:
    """Why a text cannot be read; "" if it can."""
    wrong = next((letter for letter in phrase if letter not in alphabet), None)
    if wrong is None:
        return ""
    return f"“{wrong}” is not one of the letters that this program reads: {' '.join(alphabet)}."


def too_long(what: str, length: int, most: int) -> str:
    """What was typed is longer than what is read."""
    return f"The {what} has {length:,} characters; at most {most:,} are read. What you typed stays for you to shorten."


def summary(shown: Outcome) -> str:
    """The sentence under the question."""
    config, n = shown.made.model.transformer.config, len(shown.phrase)
    start = f"“{shown.phrase}” becomes “{shown.meant}”"
    size = (
        f"{config.n_parameters:,} weights in {_n(config.n_layers, 'layer')}, written from the program: none was trained"
    )
    if shown.n_right == n:
        return f"{start}: the program says so, and so does its transformer, at every letter. It has {size}."
    return (
        f"{start}, says the program; its transformer now says “{shown.said}”: {shown.n_right} of {_n(n, 'letter')} "
        f"{'is' if shown.n_right == 1 else 'are'} right. It has {size}."
    )


def head_name(shown: Outcome, head: tuple[int, int]) -> str:
    """A head with what the program calls its select."""
    names = shown.made.program.names
    selector = shown.made.compiled.heads[head]
    name = next((name for one, name in names.items() if one is selector), "")
    return f"Layer {head[0]}, head {head[1]}" + (f": {name}" if name else "")


def about_head(shown: Outcome) -> str:
    """What the chosen head looks for."""
    layer, head = shown.head
    conditions = shown.selector.conditions
    said = " and ".join(
        f"{_side(shown, condition.keys)} of the key with {_side(shown, condition.queries)} of the query"
        for condition in conditions
    )
    of_several = shown.selector.prefer
    return (
        f"Layer {layer}, head {head} compares {said}. Of several keys that fit it takes the {of_several}, unless it "
        "counts them; where none fits it looks at [BOS], the start of the text."
    )


def _side(shown: Outcome, part: object) -> str:
    name = next((name for one, name in shown.made.program.names.items() if one is part), "")
    return f"“{name}”" if name else "a value"


def question(shown: Outcome) -> str:
    """What is asked before a head may be switched off."""
    layer, head = shown.head
    n = len(shown.phrase)
    return f"If layer {layer}, head {head} is switched off, how many of the {_n(n, 'letter')} does it still say right?"


def answer(shown: Outcome, without: str) -> tuple[str, str]:
    """The right answer, and why."""
    n = len(shown.phrase)
    right = sum(one == other for one, other in zip(shown.meant, without, strict=True))
    truth = ALL if right == n else NONE if right == 0 else SOME
    nothing = f" (“{NOTHING}” where it finds nothing)" if NOTHING in without else ""
    because = (
        f"Without what this head fetches it says “{without}”{nothing} instead of “{shown.meant}”: "
        f"{right} of {n} right. "
    )
    if truth == ALL:
        because += "On this text the rest of the program does not need the head."
    elif truth == SOME:
        because += "Letters at which the head had nothing to fetch, or where that made no difference, stay right."
    else:
        because += "Everything that the program says goes through this head."
    return truth, because


def table_title(query_name: str, key_name: str) -> str:
    """Of the picture of a condition's scores."""
    query, key = query_name or "the query’s value", key_name or "the key’s value"
    return f"The score that “{query}” of the query gives to “{key}” of the key"


def sharpness(shown: Outcome) -> str:
    """How the temperature breaks a program."""
    n = len(shown.phrase)
    return (
        f"At temperature {shown.settings.temperature:g}, {shown.n_right} of {_n(n, 'letter')} "
        f"{'is' if shown.n_right == 1 else 'are'} right. A program needs heads that choose: the warmer the softmax, "
        "the more of the keys that do not fit get in."
    )


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
