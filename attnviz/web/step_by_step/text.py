"""What "Step by step" says about a layer's numbers."""

from __future__ import annotations

from attnviz.analysis.provenance.terms import Walk
from attnviz.formatting import percent


def in_short(walk: Walk, head: int, row: int) -> str:
    """What the head does with one word, in a sentence."""
    shares = walk[f"weights.{head}"].values[row]
    where = f"In head {head}" if walk.n_layers == 1 else f"In layer {walk.layer}, head {head}"
    if not shares.any():
        return f"{where}, “{walk.labels[row]}” may look at nothing: all its shares, and its result, are 0."
    top = int(shares.argmax())
    whom = "itself" if top == row else f"“{walk.labels[top]}”"
    return f"{where}, “{walk.labels[row]}” gives {percent(shares[top])} of its attention to {whom}."


def products_of_a_score(walk: Walk) -> str:
    """Why a score is as many products as a head is wide."""
    return (
        f"A query and a key of one head have {walk.width} numbers each, so a score is {walk.width} products, added "
        f"up. The model is {walk['concat'].width} wide, and the text has {len(walk.labels)} words."
    )


def share_of_two_programs(walk: Walk, row: int, key: int) -> str:
    """Which weight both programs compute."""
    return f"The share that “{walk.labels[row]}” gives to “{walk.labels[key]}”:"
