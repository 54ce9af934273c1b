"""What "Step by step" says about a layer's numbers."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.provenance.terms import Provenance
from attnviz.formatting import percent, significant
from attnviz.web.step_by_step.weights import Hiding

OUTCOMES = ("grow by the same factor", "grow by the same amount", "stay as they are")


def in_short(provenance: Provenance, head: int, row: int, key: int | None = None) -> str:
    """What the head does with one word, in a sentence; and how much of that the word `key` gets, if one is traced."""
    shares = provenance[f"weights.{head}"].values[row]
    where = f"In head {head}" if provenance.n_layers == 1 else f"In layer {provenance.layer}, head {head}"
    if not shares.any():
        return f"{where}, “{provenance.labels[row]}” may look at nothing: all its shares, and its result, are 0."
    top = int(shares.argmax())

    def gets(key: int, what: str = "") -> str:
        return f"{percent(shares[key])}{what} to {'itself' if key == row else f'“{provenance.labels[key]}”'}"

    most = f"{where}, “{provenance.labels[row]}” gives {gets(top, ' of its attention')}"
    return f"{most}." if key is None or key == top else f"{most}, and {gets(key)}."


def hidden_word(provenance: Provenance, head: int, hiding: Hiding) -> str:
    """The question what becomes of the other shares of a row."""
    where = f"In head {head}" if provenance.n_layers == 1 else f"In layer {provenance.layer}, head {head}"
    whom = "itself" if hiding.key == hiding.row else f"“{provenance.labels[hiding.key]}”"
    share = percent(hiding.before[hiding.key])
    looks = f"{where}, “{provenance.labels[hiding.row]}” gives {share} of its attention to {whom}."
    return f"{looks} If a mask forbids that, its other shares …"


def outcome(hiding: Hiding) -> str:
    """Which of the outcomes is nearest to what the row became."""
    others, n = hiding.before[hiding.others], int(hiding.others.sum())
    free = hiding.before[hiding.key]
    expected = (others / (1 - free), others + free / n, others)
    errors = [np.abs(hiding.after[hiding.others] - row).sum() for row in expected]
    return OUTCOMES[int(np.argmin(errors))]


def hidden_share(provenance: Provenance, hiding: Hiding) -> str:
    """Why all grow by one factor."""
    largest = int(np.where(hiding.others, hiding.before, 0).argmax())
    factor = significant(float(hiding.after[largest] / hiding.before[largest]))
    return (
        "Softmax takes the exponential of every score and divides by their sum. Without the hidden word the sum is "
        f"smaller, the same for all, so each other share becomes {factor} times what it was."
    )


def hidden_title(provenance: Provenance, hiding: Hiding) -> str:
    """What the picture of the two rows shows."""
    return f"Where “{provenance.labels[hiding.row]}” looks, before and after"


def share_of_two_programs(provenance: Provenance, row: int, key: int) -> str:
    """Which weight both programs compute."""
    return f"The share that “{provenance.labels[row]}” gives to “{provenance.labels[key]}”:"
