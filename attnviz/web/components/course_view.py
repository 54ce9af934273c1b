"""The lessons in their order as a Streamlit component, and the mark that one is done, which the browser keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnviz.browser import bundle
from attnviz.web.components import bridge

_mount = bridge.component(
    "attnviz_course",
    "widgets/course.js",
    '<div class="aw-course" data-plain></div>',
    (bundle.FOLDER / "widgets/course.css").read_text("utf-8"),
)
_mark = bridge.component("attnviz_done", "widgets/done.js", '<div class="aw-done" hidden></div>', "")


def course_view(
    chapters: Sequence[dict[str, Any]],
    done: Sequence[str],
    *,
    key: str,
    here: str | None = None,
    following: str | None = None,
) -> None:
    """Draws all lessons, or at the foot of the lesson `here` the one that follows it.

    Arguments
        chapters: page, title, asks, minutes and needs (titles) of each, in their order.
        done: pages of those that this session knows as done; the browser adds those that it remembers.
    """
    data = {"chapters": list(chapters), "done": list(done), "here": here, "following": following}
    _mount(data=data, key=key, on_go_change=lambda: None)


def mark_done(page: str, *, key: str) -> None:
    """Lets the browser remember that the lesson on a page is done. Draws nothing."""
    _mark(data={"page": page}, key=key)
