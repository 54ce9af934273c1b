"""A square to draw a digit in: 8 × 8 cells of ink from 0 to 16, by pen, finger or keyboard."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
import torch
from torch import Tensor

from attnviz.browser import bundle
from attnviz.errors import InvalidParameterError
from attnviz.web.components import bridge

SIDE, INK = 8, 16  # as the data that the bundled model was trained on: attnviz.training.tasks.digits
DIGITS = "0123456789abcdefg"  # a cell's ink as one character
EMPTY = "0" * SIDE**2

_mount = bridge.component(
    "attnviz_drawing",
    "widgets/draw.js",
    '<div class="ad-root"></div>\n<noscript>Drawing needs JavaScript.</noscript>',
    bundle.css("widgets/draw.css"),
)


def read(text: str) -> Tensor:
    """A drawing's ink, int64 (8, 8) from 0 to 16, row by row. Errors: InvalidParameterError."""
    if len(text) != SIDE**2 or not set(text) <= set(DIGITS):
        raise InvalidParameterError(f"a drawing is {SIDE**2} characters from {DIGITS[0]} to {DIGITS[-1]}")
    return torch.tensor([DIGITS.index(character) for character in text]).reshape(SIDE, SIDE)


def write(ink: Tensor) -> str:
    """What `read` reads: (8, 8) of whole numbers from 0 to 16."""
    return "".join(DIGITS[int(value)] for value in ink.flatten())


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
