"""What the page "Translate" says, written from its numbers."""

from __future__ import annotations

import pandas as pd

from attnviz.beams import Beam
from attnviz.web.translate import ALIGNING, MONOTONE, MOST_SAID, REORDERED, Answer


def sentence(found: Answer) -> str:
    """The source and the answer."""
    assert found.run.source is not None
    return f"“{found.run.source.encodings[0].text.strip()}” becomes “{found.text}”"


def order(found: Answer, layer: int, head: int) -> tuple[str, str, str]:
    """Whether the head reads the source from left to right: the question, the true answer, and why.

    The end of a text counts on neither side; a step back of one source token is a step back.
    """
    assert found.run.source is not None
    source = found.run.source.encodings[0]
    encoding = found.model.tokenizer.encoding(found.said)
    places = [int(found.row(layer, head, i + 1).argmax()) for i, special in enumerate(encoding.special) if not special]
    back = [i for i in range(1, len(places)) if places[i] < places[i - 1] and not source.special[places[i]]]
    truth = REORDERED if back else MONOTONE
    if back:
        at = back[0]
        because = (
            f"After “{found.labels[at - 1]}”, which looks at “{found.sources[places[at - 1]]}”, it says "
            f"“{found.labels[at]}” and goes back to “{found.sources[places[at]]}”. "
            f"It goes back {_times(len(back))} in {len(places)} tokens."
        )
    else:
        because = f"In {len(places)} tokens it never goes back: this answer has the order of its source."
    return f"In which order does layer {layer}, head {head} read the source?", truth, because


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def heading(found: Answer, focus: int) -> str:
    """Above what could be said."""
    return f"What could stand in the place of “{found.labels[focus - 1]}”: click one, and the model goes on from there"


def note(found: Answer, name: str) -> str:
    """What is special about this model or this answer."""
    parts = []
    if name in ALIGNING:
        layer, head = ALIGNING[name]
        parts.append(f"Layer {layer}, head {head} of this translator was trained to align words.")
    if not found.has_self:
        parts.append("Its decoder has no attention to itself: a recurrence (SSRU) remembers what was said.")
    if not found.ended:
        longest = min(MOST_SAID, found.begin.longest)
        parts.append(f"The answer did not end within {longest} tokens and is cut there.")
    return " ".join(parts)


def beams_sentence(greedy: Answer, found: list[Beam], n: int) -> str:
    """Whether beam search finds a better answer than greedy decoding."""
    best = found[0]
    if n == 1:
        return f"One beam: {percent_of(best)}."
    if best.text == greedy.text:
        return f"{n} beams find the same answer as greedy decoding: {percent_of(best)}."
    return f"{n} beams find another answer, “{best.text}”: {percent_of(best)}. Greedy decoding says “{greedy.text}”."


def percent_of(one: Beam) -> str:
    """A beam's score in words."""
    return f"{one.score:.2f} nats per token".replace("-", "−")


def beams_table(found: list[Beam]) -> pd.DataFrame:
    """Score and text of every beam, best first."""
    return pd.DataFrame(
        {
            "mean log p": [f"{one.score:.3f}".replace("-", "−") for one in found],
            "tokens": [len(one.ids) for one in found],
            "answer": [one.text + ("" if one.ended else " …") for one in found],
        }
    )
