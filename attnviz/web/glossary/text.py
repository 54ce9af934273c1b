"""What the glossary says about itself."""

from __future__ import annotations


def summary(n_terms: int) -> str:
    """How many terms there are, and where else they are explained."""
    return (
        f"{n_terms} terms, one sentence each. On every page, point at a dotted word or tap it to read its sentence; "
        "for the keyboard, the foot of the page lists its words."
    )
