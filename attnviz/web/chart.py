"""Plotly charts that change in place.

Streamlit makes a chart's identity from its whole figure, even if it has a key: the browser throws the old chart away
and builds a new one, which shows as a flash while a control is being dragged. With the key alone as its identity the
chart stays and plotly repaints what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.elements import plotly_chart as _plotly

if TYPE_CHECKING:
    import plotly.graph_objects as go

_OURS = "-steady"  # ends the keys whose charts stay
_identity = getattr(_plotly, "compute_and_register_element_id", None)


def steady_chart(figure: go.Figure, *, key: str, alt: str) -> None:
    """A figure as wide as its column, with a text alternative; `key` is unique on the page."""
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, alt=alt, key=key + _OURS)


def _by_key(element_type: str, *, user_key: str | None, **others: Any) -> str:
    if user_key is not None and user_key.endswith(_OURS):
        others["key_as_main_identity"] = True
    assert _identity is not None
    found: str = _identity(element_type, user_key=user_key, **others)
    return found


if _identity is not None and _identity is not _by_key:  # a Streamlit without it builds charts anew, and works
    _plotly.compute_and_register_element_id = _by_key  # type: ignore[attr-defined]
