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


FIRST_WORD = Word("it")  # of the text that the app opens with: what it looks at is worth a look


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


def opening(labels: Sequence[str], special: Sequence[bool]) -> int:
    """Where somebody begins who has chosen nothing: at the first text's “it”, or else at the last word."""
    place = position_of(labels, FIRST_WORD)
    return last_word(labels, special) if place is None else place


def last_word(labels: Sequence[str], special: Sequence[bool]) -> int:
    """The last token with a letter or a digit that is no special one.

    The last that is no special one where there is none, the last of all where there is none either. 0 for no tokens.
    """
    tokens = [position for position, one in enumerate(special) if not one]
    words = [position for position in tokens if any(map(str.isalnum, labels[position]))]
    return (words or tokens or [max(0, len(special) - 1)])[-1]
