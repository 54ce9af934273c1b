"""What Explore says about the numbers of a run."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.formatting import percent


def left_out(n_tokens: int, cut: int, max_len: int) -> str:
    """That a model read the first `n_tokens` of a text and not the last `cut`."""
    return (
        f"The text has {n_tokens + cut:,} tokens; the model reads {max_len:,}. "
        f"The last {cut:,} were left out; the sidebar keeps your whole text."
    )


def downstream(moved: Sequence[float], labels: Sequence[str], token: int | None) -> str:
    """How far a change moved the final vectors; `moved` (T,) relative to their length, `token` the one looked at."""
    average = percent(sum(moved) / len(moved))
    if token is None:
        return f"Run through every layer, the average token {average}."
    return (
        f"Run through every layer, “{labels[token]}” ends {percent(moved[token])} of its length away from where it "
        f"was, and the average token {average}."
    )
