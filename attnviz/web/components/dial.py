"""A slider that recomputes while it moves: Streamlit's own tells the page nothing before it is let go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import streamlit as st

from attnviz.browser import bundle
from attnviz.web.components import bridge

T = TypeVar("T")
_NUMBER = re.compile(r"\d{1,3}(,\d{3})+|\d+(\.\d+)?", re.ASCII)

_mount = bridge.component(
    "attnviz_dial",
    "widgets/dial.js",
    (
        '<div class="av-dial"><div class="av-dial-head"><label for="av-dial-input"></label>'
        '<button type="button" hidden></button>'
        "<output></output></div>"
        '<input id="av-dial-input" type="range" min="0" step="1">'
        '<div class="av-dial-marks" aria-hidden="true"></div></div>'
    ),
    (bundle.FOLDER / "widgets/dial.css").read_text("utf-8"),
)


def dial(
    label: str,
    options: Sequence[T],
    *,
    key: str,
    format_func: Callable[[T], str] = str,
    marks: Mapping[T, str] | None = None,
    at: str = "",
    play: bool = False,
    to_scale: bool = False,
) -> T:
    """Draws a slider over `options` and returns the chosen one.

    Arguments
        label: plain text, as are the texts of `format_func` and `marks`.
        key: `st.session_state[key]` is the value, as with `st.select_slider`; the page may set it before this call.
            A number that is no option stands at the nearest one, anything else at the first.
        marks: words under the track, by option.
        at: names this dial where several on a page hold the same value; they move together.
        to_scale: the options are whole numbers in ascending order, and stand along the track as they do on an axis.
        play: offers to go through the options by itself, each step when the page has shown the one before.

    Every step of a drag, and every key, reruns the fragment around it. Where all texts are numbers, one may also be
    typed: the nearest option is taken, and shown.
    """
    own = f"{key}:dial{at}"
    texts = [format_func(option) for option in options]
    index = nearest(options, st.session_state.get(key))
    _mount(
        data={
            "label": label,
            "texts": texts,
            "index": index,
            "marks": [[options.index(option), text] for option, text in (marks or {}).items()],
            "number": bridge.reported_fields(own, "moved").get("number", 0),
            "play": play,
            "places": list(options) if to_scale else None,
            "typed": all(map(_is_number_text, texts)),
        },
        key=own,
        on_moved_change=lambda: _take(own, key, options),
    )
    return options[index]


def nearest(options: Sequence[Any], value: Any) -> int:
    """The index of a value among the options; of the nearest number if it is none of them; else 0."""
    if value in options:
        return options.index(value)
    if not _number(value) or not all(map(_number, options)):
        return 0
    return min(range(len(options)), key=lambda i: abs(options[i] - value))


def _take(own: str, key: str, options: Sequence[Any]) -> None:
    """What the browser reports becomes the value; it may report anything."""
    index = bridge.reported_fields(own, "moved").get("index")
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(options):
        st.session_state[key] = options[index]


def _is_number_text(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
