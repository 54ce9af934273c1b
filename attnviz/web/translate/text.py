"""The sentences of the page "Translate", written from its numbers."""

from __future__ import annotations

import itertools

import pandas as pd

from attnviz.generation.beam_search import Beam
from attnviz.web.translate.answer import ALIGNING, Answer

STACKS = {"cross": "answer on source", "self": "answer on itself", "encoder": "source on itself"}
MONOTONE, REORDERED = "In the order of the source", "In another order"
GUESSES = (MONOTONE, REORDERED)
UNKNOWN = {"[UNK]", "<unk>"}
LONGEST_QUOTED = 160  # characters of a text in a sentence


def sentence(answer: Answer) -> str:
    """The source and the answer."""
    assert answer.run.source is not None
    source, target = _quoted(answer.run.source.encodings[0].text), _quoted(answer.text)
    return _ended(f"{source or 'An empty source'} becomes {target or 'an empty answer'}")


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
    """Whether the head reads the source from left to right: the question, the true answer, and why.

    The end of a text counts on neither side; a step back of one source token is a step back. None where fewer than
    two tokens look at words of the source: these have no order.
    """
    assert answer.run.source is not None
    source = answer.run.source.encodings[0]
    special = answer.model.tokenizer.encoding(answer.ids).special
    looks = [(i, int(answer.row(layer, head, i + 1).argmax())) for i in range(len(special)) if not special[i]]
    looks = [(i, place) for i, place in looks if not source.special[place]]
    if len(looks) < 2:
        return None
    back = [pair for pair in itertools.pairwise(looks) if pair[1][1] < pair[0][1]]
    truth = REORDERED if back else MONOTONE
    if back:
        (before, there), (at, place) = back[0]
        because = (
            f"After “{answer.labels[before]}”, which looks at “{answer.sources[there]}”, it says "
            f"“{answer.labels[at]}” and goes back to “{answer.sources[place]}”. "
            f"It goes back {_times(len(back))} in {len(looks)} tokens."
        )
    else:
        because = f"In {len(looks)} tokens it never goes back: this head reads the source in its order."
    return f"In which order does layer {layer}, head {head} read the source?", truth, because


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def heading(answer: Answer, focus: int) -> str:
    """Above what could be said."""
    return f"What could stand in the place of “{answer.labels[focus - 1]}”: click one, and the model goes on from there"


def note(answer: Answer, name: str, given: str) -> str:
    """What is special about this model, this source or this answer."""
    assert answer.run.source is not None
    parts, source = [], answer.run.source.encodings[0]
    if cut := answer.model.encode(given).cut:
        tokens = "token is" if cut == 1 else "tokens are"
        parts.append(f"The model reads {len(source)} tokens of a source; the last {cut} {tokens} left out.")
    for unknown in UNKNOWN & set(source.labels):
        parts.append(f"“{unknown}” stands for characters that this model does not know.")
    if name in ALIGNING:
        layer, head = ALIGNING[name]
        parts.append(f"Layer {layer}, head {head} of this translator was trained to align words.")
    if not answer.has_self:
        parts.append("Its decoder has no attention to itself: a recurrence (SSRU) remembers what was said.")
    if not answer.ended:
        parts.append(f"The answer has not ended after {len(answer.ids)} tokens, and is cut there.")
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


def beams_table(beams: list[Beam]) -> pd.DataFrame:
    """Score and text of every beam, best first."""
    return pd.DataFrame(
        {
            "mean log p": [score(beam) for beam in beams],
            "tokens": [str(len(beam.ids)) for beam in beams],
            "answer": [beam.text + ("" if beam.ended else " …") for beam in beams],
        }
    )
