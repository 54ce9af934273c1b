"""The parts of transformers as diagrams, side by side, as a Streamlit component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnviz.browser import bundle
from attnviz.web.components import bridge

_mount = bridge.component(
    "attnviz_anatomy",
    "widgets/anatomy.js",
    '<div class="av-anatomy"></div>',
    (bundle.FOLDER / "widgets/anatomy.css").read_text("utf-8"),
)


def anatomy_view(models: Sequence[dict[str, Any]], *, key: str) -> None:
    """Draws the parts of one model, or of several; each as `attnviz.web.models.text.diagram` makes it."""
    _mount(data={"models": models}, key=key)
