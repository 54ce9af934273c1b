"""A place on a page that a click elsewhere brings into view, as a Streamlit component."""

from __future__ import annotations

from attnviz.web.components import bridge

_mount = bridge.component(
    "attnviz_in_view",
    "widgets/in-view.js",
    '<div class="av-in-view"></div>',
    ".av-in-view { scroll-margin-top: 72px; }",  # the page's header
)


def in_view(number: int, *, key: str) -> None:
    """Marks the place, which takes no room; it is brought into view whenever `number` is another than before."""
    _mount(data={"number": number}, key=key)
