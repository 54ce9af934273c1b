"""The thread from page to page: the layer, head and words that the reader last chose, on whatever page that was.

Words and not positions: a chosen word stays chosen in another text, or under another model, where it stands there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

_PLACE = "thread"


@dataclass(frozen=True)
class Word:
    """A token by what it reads, and the number of its occurrence among equal ones, from 0."""

    label: str
    occurrence: int = 0


@dataclass(frozen=True)
class Thread:
    """What was chosen so far; None where nothing was."""

    layer: int | None = None
    head: int | None = None
    query: Word | None = None
    key: Word | None = None


def current() -> Thread:
    """What this session's reader looks at."""
    thread: Thread = st.session_state.get(_PLACE, Thread())
    return thread


def choose(**chosen: Any) -> None:
    """Notes what the reader chose, by the fields of `Thread`."""
    st.session_state[_PLACE] = replace(current(), **chosen)


def word_at(labels: Sequence[str], position: int) -> Word:
    """The token at a position of a text."""
    return Word(labels[position], list(labels[:position]).count(labels[position]))


def position_of(labels: Sequence[str], word: Word) -> int | None:
    """Where a word stands in a text: the same occurrence, or else its last; None where it does not stand."""
    places = [position for position, label in enumerate(labels) if label == word.label]
    return places[min(word.occurrence, len(places) - 1)] if places else None


def last_word(special: Sequence[bool]) -> int:
    """The last token that is no special one; the last of all where there is none. 0 for no tokens."""
    words = [position for position, one in enumerate(special) if not one]
    return words[-1] if words else max(0, len(special) - 1)
