"""The pages of the menu: Streamlit is told them in every run; to make them, it looks for each as a file."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from types import CodeType

from streamlit.navigation.page import StreamlitPage

_made: dict[CodeType, dict[str, list[StreamlitPage]]] = {}  # by the program that made them: app.py may be edited


def sections(make: Callable[[], dict[str, list[StreamlitPage]]]) -> dict[str, list[StreamlitPage]]:
    """What `make` returns, pages by section, of an earlier run where there was one; to be called in a run.

    The pages are copies: Streamlit notes on a page that its run has begun, and runs of other sessions go on beside it.
    """
    if make.__code__ not in _made:
        _made[make.__code__] = make()
    return {section: [copy(page) for page in pages] for section, pages in _made[make.__code__].items()}
