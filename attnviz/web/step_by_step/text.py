"""What "Step by step" says about a layer's numbers."""

from __future__ import annotations

from attnviz.analysis.provenance.terms import Provenance
from attnviz.formatting import percent


def in_short(provenance: Provenance, head: int, row: int) -> str:
    """What the head does with one word, in a sentence."""
    shares = provenance[f"weights.{head}"].values[row]
    where = f"In head {head}" if provenance.n_layers == 1 else f"In layer {provenance.layer}, head {head}"
    if not shares.any():
        return f"{where}, “{provenance.labels[row]}” may look at nothing: all its shares, and its result, are 0."
    top = int(shares.argmax())
    whom = "itself" if top == row else f"“{provenance.labels[top]}”"
    return f"{where}, “{provenance.labels[row]}” gives {percent(shares[top])} of its attention to {whom}."


def products_of_a_score(provenance: Provenance) -> str:
    """Why a score is as many products as a head is wide."""
    width, n_words = provenance.width, len(provenance.labels)
    return (
        f"A query and a key of one head have {width} numbers each, so a score is {width} products, added up. The model "
        f"is {provenance['concat'].width} wide, and the text has {n_words} tokens."
    )


def share_of_two_programs(provenance: Provenance, row: int, key: int) -> str:
    """Which weight both programs compute."""
    return f"The share that “{provenance.labels[row]}” gives to “{provenance.labels[key]}”:"
