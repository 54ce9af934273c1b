"""What the glossary draws: the words of a page, and the list of all."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from attnviz.web import course, page_style
from attnviz.web.components import glossary_view
from attnviz.web.glossary import state, text


def words(page: str) -> None:
    """Explains the terms on a page, wherever they stand, and lists them at its foot."""
    if page != "glossary":
        glossary_view.words_view(_listed(), key="words")


def every_term() -> None:
    """The page: all terms, to be searched."""
    st.title("What does this word mean?", anchor=False)
    with st.container(key=page_style.key("lesson-sentence", "main")):
        st.text(text.summary(len(state.entries())))
    glossary_view.glossary_view(_listed(), key="glossary")


@cache
def _listed() -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "term": entry.term,
            "also": list(entry.also),
            "pattern": entry.pattern,
            "says": entry.says,
            "page": entry.page,
            "query": dict(entry.query),
            "title": course.title(entry.page),
        }
        for entry in state.entries()
    )
