"""The first minute over the attention view as a Streamlit component: an invitation, and five steps that point."""

from __future__ import annotations

from typing import Any

from attnviz.browser import bundle
from attnviz.web.components import bridge

_CSS = "\n".join((bundle.FOLDER / name).read_text("utf-8") for name in ("core/palette.css", "widgets/start.css"))
_mount = bridge.component("attnviz_start", "widgets/start.js", '<div class="as-root" data-plain></div>', _CSS)


def start_view(
    view: str, *, layers: int, heads: int, following: dict[str, Any], offered: bool, asked: bool, key: str
) -> None:
    """Offers the start over the attention view with the key `view`; it takes its numbers from what is on screen there.

    Arguments
        layers, heads: of the model, heads in each layer.
        following: page, title and minutes of the lesson after it.
        offered: whether to invite a reader whose browser does not remember having been invited.
        asked: to begin at once.
    """
    data = {"view": view, "layers": layers, "heads": heads, "next": [following], "offered": offered, "asked": asked}
    _mount(data=data, key=key, on_go_change=lambda: None)
