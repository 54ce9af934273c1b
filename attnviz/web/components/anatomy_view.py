"""The parts of transformers as diagrams, side by side, as a Streamlit component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from attnviz.browser import bundle

_mount = st.components.v2.component(
    "attnviz_anatomy",
    html='<div class="av-anatomy"></div>',
    css=(bundle.FOLDER / "widgets/anatomy.css").read_text("utf-8"),
    js=bundle.javascript("widgets/anatomy.js"),
)


def anatomy_view(models: Sequence[dict[str, Any]], *, key: str) -> None:
    """Draws the parts of one model, or of several; each as `attnviz.web.models.text.diagram` makes it."""
    _mount(data={"models": models}, key=key)
