"""The glossary as two Streamlit components: the words of the page around it, and the list of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnviz.browser import bundle
from attnviz.web.components import bridge

_CSS = (bundle.FOLDER / "widgets/glossary.css").read_text("utf-8")
_words = bridge.component("attnviz_words", "widgets/words.js", '<div class="aw-words"></div>', _CSS)
_glossary = bridge.component("attnviz_glossary", "widgets/glossary.js", '<div class="aw-glossary"></div>', _CSS)


def words_view(entries: Sequence[dict[str, Any]], *, key: str) -> None:
    """Marks the terms that stand on the page and explains them, and lists them where it is drawn.

    Arguments
        entries: of each term its text, also (other spellings), pattern, says, page, query (of its link) and title (of
            that page).
    """
    _words(data={"entries": list(entries)}, key=key, on_go_change=lambda: None)


def glossary_view(entries: Sequence[dict[str, Any]], *, key: str) -> None:
    """Draws the list of all terms with a field to search it; `entries` as for `words_view`."""
    _glossary(data={"entries": list(entries)}, key=key, on_go_change=lambda: None)
