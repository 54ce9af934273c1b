"""The sentences of the page "Translate", written from its numbers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from attnviz.formatting import percent
from attnviz.generation.beam_search import Beam
from attnviz.nn.encoding import UNKNOWN
from attnviz.web.translate.answer import ALIGNING, Answer

STACKS = {
    "cross": "Cross-attention: answer on source",
    "self": "Self-attention: answer on itself",
    "encoder": "Self-attention: source on itself",
}
MONOTONE, REORDERED = "Only from left to right", "It also goes back"
GUESSES = (MONOTONE, REORDERED)
CLEAR = 0.5  # of its attention that a token gives to one token of the source, from which it rests on that one
LONGEST_QUOTED = 160  # characters of a text in a sentence


def sentence(answer: Answer) -> str:
    """The source and the answer."""
    assert answer.run.source is not None
    source, target = _quoted(answer.run.source.encodings[0].text), _quoted(answer.text)
    return _ended(f"{source or 'An empty source'} becomes {target or 'an empty answer'}")


def too_long(length: int, most: int) -> str:
    """The source is longer than what is read."""
    return f"The source has {length:,} characters; at most {most} are read. What you typed stays for you to shorten."


def _ended(sentence: str) -> str:
    """The sentence with a full stop, unless a quotation ends with one."""
    return sentence if sentence.endswith((".”", "!”", "?”", "…”")) else f"{sentence}."


def _quoted(text: str) -> str:
    """“The text”, its middle left out if it is long; "" for nothing but blanks."""
    short = " ".join(text.split())
    if len(short) > LONGEST_QUOTED:
        first, last = short[: LONGEST_QUOTED // 2], short[-LONGEST_QUOTED // 2 :]
        short = f"{first.rpartition(' ')[0] or first} … {last.partition(' ')[2] or last}"
    return short and f"“{short}”"


def order(answer: Answer, layer: int, head: int) -> tuple[str, str, str] | None:
    """Whether the head goes through the source from left to right: the question, the true answer, and why.

    Only tokens count that give more than half of their attention to one token of the source; the end of a text counts
    on neither side, and a step back of one source token is a step back. None where these say nothing clear: there is
    no step back, and they are fewer than two or fewer than half of the answer.
    """
    rests = resting(answer, layer, head)
    back = [pair for pair in itertools.pairwise(rests) if pair[1].place < pair[0].place]
    n_words = sum(not special for special in answer.tokenizer.encoding(answer.ids).special)
    if not back and len(rests) < max(2, n_words / 2):
        return None
    basis = f"Only tokens that give more than half to one source token count: {len(rests)} of {n_words}."
    if back:
        before, now = max(back, key=lambda pair: min(pair[0].weight, pair[1].weight))
        because = (
            "Cross-attention sees the whole source at every step, so it can follow the order of the answer: "
            f"“{answer.labels[before.at]}” gives {percent(before.weight)} of its attention to "
            f"“{answer.sources[before.place]}”, and “{answer.labels[now.at]}” after it {percent(now.weight)} to "
            f"“{answer.sources[now.place]}”, further left. It goes back {_times(len(back))}. {basis}"
        )
    else:
        because = (
            "Cross-attention sees the whole source at every step and could go back, but here source and answer have "
            f"the same order: no token rests on one that stands further left than that of the token before. {basis}"
        )
    truth = REORDERED if back else MONOTONE
    return f"How does layer {layer}, head {head} go through the source as it answers?", truth, because


@dataclass(frozen=True)
class Rest:
    """A token of the answer that gives more than half of its attention to one token of the source."""

    at: int  # in the answer
    place: int  # in the source
    weight: float


def resting(answer: Answer, layer: int, head: int) -> list[Rest]:
    """The answer's tokens that rest on one of the source's, special tokens on neither side."""
    assert answer.run.source is not None
    source = answer.run.source.encodings[0]
    special = answer.tokenizer.encoding(answer.ids).special
    strongest = [(at, *answer.row(layer, head, at + 1).max(dim=0)) for at in range(len(special)) if not special[at]]
    rests = [Rest(at, int(place), float(weight)) for at, weight, place in strongest]
    return [rest for rest in rests if rest.weight > CLEAR and not source.special[rest.place]]


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def heading(answer: Answer, focus: int) -> str:
    """Above what could be said."""
    return f"Instead of “{answer.labels[focus - 1]}”: choose a token, and the model goes on from there"


def naming(stack: str) -> str:
    """What rows and columns of the picture are named by."""
    if stack == "encoder":
        return "Rows and columns are the tokens of the source."
    seen = (
        "of the source that it looks at" if stack == "cross" else "that it has read by then: the last is the one before"
    )
    return f"A row is named by the token that the model says there, a column by a token {seen}."


def note(answer: Answer, name: str, given: str, stack: str) -> str:
    """How to read the picture, and what is special about this model, this source or this answer."""
    assert answer.run.source is not None
    parts, source = [naming(stack)], answer.run.source.encodings[0]
    if cut := answer.tokenizer.encode(given, answer.run.config.max_len).cut:
        tokens = "token is" if cut == 1 else "tokens are"
        parts.append(f"The model reads {len(source)} tokens of a source; the last {cut} {tokens} left out.")
    for unknown in UNKNOWN & set(source.labels):
        parts.append(f"“{unknown}” stands for characters that this model does not know.")
    if name in ALIGNING:
        layer, head = ALIGNING[name]
        parts.append(f"Layer {layer}, head {head} of this translator was trained to align words.")
    if not answer.has_self:
        parts.append("Its decoder has no self-attention: a recurrence (SSRU) carries on what was said before.")
    if not answer.ended:
        parts.append(f"The answer has not ended after {len(answer.ids)} tokens; it is cut there.")
    return " ".join(parts)


def beams_sentence(greedy: Answer, beams: list[Beam], n: int) -> str:
    """Whether beam search finds a better answer than greedy decoding."""
    best = beams[0]
    mean = f"a mean log p of {score(best).replace('> ', 'more than ')} per token"
    if n == 1:
        return f"One beam is greedy decoding: it finds {_quoted(best.text) or 'an empty answer'}, with {mean}."
    if best.text == greedy.text:
        return f"{n} beams find the same answer as greedy decoding, with {mean}."
    other = f"{n} beams find {_quoted(best.text) or 'an empty answer'}, with {mean}"
    return _ended(f"{other}; greedy decoding says {_quoted(greedy.text) or 'nothing'}")


def score(beam: Beam) -> str:
    """A beam's score, which is below 0 however sure the model is."""
    return f"−{-beam.score:.3f}" if beam.score < -0.0005 else "> −0.001"


def beams_rows(beams: list[Beam]) -> list[tuple[str, tuple[tuple[str], ...]]]:
    """Score, number of tokens and text of every beam, best first, as a table's rows."""
    cells = [(score(beam), str(len(beam.ids)), beam.text + ("" if beam.ended else " …")) for beam in beams]
    return [(str(place), tuple((one,) for one in row)) for place, row in enumerate(cells)]
