"""What the glossary says about itself."""

from __future__ import annotations


def summary(n_terms: int) -> str:
    """How many terms there are, and where else they are explained."""
    return (
        f"{n_terms} terms, one sentence each. On every page a dotted word tells the same when you point at it or tap "
        "it, and the foot of the page lists its words for the keyboard."
    )
