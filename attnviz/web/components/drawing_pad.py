"""A square to draw a digit in: 8 × 8 cells of ink from 0 to 16, by pen, finger or keyboard."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from attnviz.browser import bundle
from attnviz.browser.drawings import CHARACTERS as CHARACTERS
from attnviz.browser.drawings import EMPTY as EMPTY
from attnviz.browser.drawings import INK as INK
from attnviz.browser.drawings import SIDE as SIDE
from attnviz.browser.drawings import read as read
from attnviz.browser.drawings import write as write
from attnviz.errors import InvalidParameterError
from attnviz.web.components import bridge

_mount = bridge.component(
    "attnviz_drawing",
    "widgets/draw.js",
    '<div class="ad-root"></div>\n<noscript>Drawing needs JavaScript.</noscript>',
    bundle.css("widgets/draw.css"),
)


def drawing_pad(*, key: str, examples: Sequence[tuple[str, str]], page: int = 10) -> None:
    """Draws the square with its tools, and examples to start from.

    Arguments
        key: `st.session_state[key]` is the drawing, as `read` takes it; the page may set it before this call.
        examples: name and drawing of each; `page` of them are shown at once.

    Every stroke reruns the fragment around it, also while it is drawn.
    """
    own = f"{key}:pad"
    _mount(
        data={
            "drawing": st.session_state[key],
            "number": bridge.reported_fields(own, "drawn").get("number", 0),
            "page": page,
            "examples": [list(one) for one in examples],
        },
        key=own,
        on_drawn_change=lambda: _take(own, key),
    )


def _take(own: str, key: str) -> None:
    """What the browser reports becomes the value; it may report anything."""
    drawing = bridge.reported_fields(own, "drawn").get("drawing")
    if isinstance(drawing, str):
        try:
            read(drawing)
        except InvalidParameterError:
            return
        st.session_state[key] = drawing
