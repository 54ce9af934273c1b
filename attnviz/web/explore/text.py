"""What Explore says about the numbers of a run."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.browser.intervention_text import intervention_text
from attnviz.formatting import listed, percent
from attnviz.nn.intervention import Intervention
from attnviz.web.settings_text import shortened

MOST_NAMED = 3  # pieces of a text that a sentence names
CAVEAT = "Attention shows where a head looks, not why the model answers as it does."


def left_out(n_tokens: int, cut: int, longest: int, could_read: int) -> str:
    """That a model read the first `n_tokens` of a text and not the last `cut`: it, or this server, reads no more."""
    reads = f"the model reads {longest:,}"
    if longest < could_read:
        reads = f"this server reads {longest:,} of them, though the model could read {could_read:,}"
    return (
        f"The text has {n_tokens + cut:,} tokens; {reads}. "
        f"The last {cut:,} were left out; the sidebar keeps your whole text."
    )


def unknown(pieces: Sequence[str], token: str) -> str:
    """That a model's vocabulary lacks something that stands in the text, so that it reads `token` there."""
    named = [f"“{shortened(piece)}”" for piece in pieces[:MOST_NAMED]]
    if more := len(pieces) - len(named):
        named.append(f"{more:,} more")
    where = "in its place" if len(pieces) == 1 else "in the place of each"
    return f"The model’s vocabulary has no token for {listed(named)}: it reads {token} {where}."


def downstream(moved: Sequence[float], labels: Sequence[str], token: int | None) -> str:
    """How far a change moved the final vectors; `moved` (T,) relative to their norm, `token` the one looked at."""
    average = percent(sum(moved) / len(moved))
    if token is None:
        return f"After the last layer, a token's vector has changed by {average} of its norm on average."
    return (
        f"After the last layer, the vector of “{labels[token]}” has changed by {percent(moved[token])} of its norm; "
        f"the average over all tokens is {average}."
    )


def picture_line(model: str, source: str, change: Intervention | None) -> str:
    """What a picture that leaves the page is of."""
    line = f"Model {model} · text “{shortened(source)}”"
    return line if change is None else f"{line} · changed: {intervention_text(change)}"
