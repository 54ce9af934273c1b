"""The style sheet of the pages, and the names of the places that it gives a form to.

Streamlit writes a place's key into its class, `st-key-lesson-sentence-main`. A selector for a part of a class would
find all sentences, and cost half of what a browser works out about styles: it asks it anew of every element whose class
changes, and Streamlit changes hundreds at every turn of a control. So `page.css` says `.any-lesson-sentence`, which
stands for the list of the whole classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from attnviz.figures.palette import LIGHT

_QUESTIONS = (  # and what hides an answer until the guess
    *("thirds", "leak", "outputs", "sharper", "row", "curves", "shuffled", "branches", "depth", "pairs", "cache"),
    *("sink", "form", "dial", "off", "order", "ink", "hidden", "matters"),
)
_NAMES: dict[str, tuple[str, ...]] = {
    "lesson-sentence": (
        *("main", "agreement", "attention", "beams", "beyond", "branches", "cache", "card", "cells", "chosen"),
        *("cost", "depth", "drift", "encoding", "first", "head", "hidden", "how", "kept", "leak", "lens", "lost"),
        *("measured", "most", "norm", "offset", "orders", "padding", "parts", "places", "programs", "reads"),
        *("repair", "sampling", "saturation", "sharpness", "sink", "start", "starved", "temperatures"),
        *("variance", "wakes", "wrote"),
    ),
    "lesson-picture": (
        *("row", "temperature", "sampling", "variance", "saturation", "gradient", "masks", "leak", "padding"),
        *("positions-shuffle", "positions-shuffle-others", "positions-encoding", "positions-waves"),
        *("positions-similarity", "positions-offset", "positions-places", "positions-beyond", "block-pre"),
        *("block-post", "layernorm", "hidden-units", "branches", "drift", "gradients", "stream", "variants"),
        *("variants-errors", "variants-seconds", "variants-bytes", "variants-cache", "temperatures", "sink"),
        *("sink-loss", "hidden-word", "replay", "training", "heads", "two-measures", "what-if-heads"),
        *("what-if-stream", "what-if-agreement", "compare", "evidence", "space"),
        *(f"program-{number}" for number in range(8)),
    ),
    "lesson-predict": _QUESTIONS,
    "lesson-place": _QUESTIONS,
    "lesson-verdict": _QUESTIONS,
    "lesson-veil": _QUESTIONS,
    "lesson-done": _QUESTIONS,
    "lesson-tries": ("", "1", "2"),
    "lesson-slide": ("masks", "padding", "replay", "what-if", "evidence", "compare", "depth"),
    "in-view": (
        *("compare", "encoder_block", "evidence", "generate", "generate-temperatures", "heads", "models", "program"),
        *("space", "translate", "variants", "vision", "what_if"),
    ),
    "positions-text": ("before", "after"),
}


def key(kind: str, name: str = "") -> str:
    """The key of a place of a kind; a name that `page.css` would not find is an AssertionError."""
    assert name in _NAMES[kind], f"{kind} {name}: add the name in {__name__}"
    return f"{kind}-{name}" if name else kind


class _Finished(str):
    """HTML that Streamlit takes as it is: a string's indentation it would look for, letter by letter in every run."""

    def _repr_html_(self) -> str:
        return self


@cache
def style_sheet() -> str:
    """`page.css` as an element of HTML, with the whole classes in it, and what holds before it comes."""
    rules = re.sub(r"[.]any-([a-z-]+)", lambda kind: _classes(kind[1]), _rules("page.css"))
    return _Finished(f"<style>{rules}{_paper_colours()}</style>{early_style_sheet()}")


def _paper_colours() -> str:
    """The light theme for what is printed, whatever the reader's is: Streamlit tells components its colours so."""
    colours = {
        "background": LIGHT.paper,
        "secondary-background": LIGHT.sunken,
        "text": LIGHT.ink1,
        "border": LIGHT.line,
        "link": LIGHT.accent,
        "primary": LIGHT.accent,
    }
    values = "".join(f"--st-{name}-color: {colour};" for name, colour in colours.items())
    return f".av-printing, .av-printing .stBidiComponent > div {{ {values} }}"


@cache
def early_style_sheet() -> str:
    """`unfinished.css` as an element of HTML: the server may send it with the empty page."""
    return f"<style>{_rules('unfinished.css')}</style>"


def _rules(name: str) -> str:
    """A style sheet on one line, without its comments: Streamlit reads it letter by letter in every run."""
    return re.sub(r"(?:/[*].*?[*]/|\s)+", " ", Path(__file__).with_name(name).read_text("utf-8"), flags=re.DOTALL)


def section_mark(section: str, sections: Sequence[str]) -> str:
    """Marks the section of the menu that the page is in: Streamlit marks the page only in the list that drops down.

    Arguments
        section: the page's, one of `sections`; "" for a page that has its own place in the menu, which needs no mark.
    """
    if not section:
        return ""
    return (
        f'<style>[data-testid="stTopNav"] > :nth-child({sections.index(section) + 1}) '
        '[data-testid="stTopNavSection"] { background: rgb(146 164 200 / 25%); font-weight: 600; }</style>'
    )


def _classes(kind: str) -> str:
    return f":is({', '.join(f'.st-key-{key(kind, name)}' for name in _NAMES[kind])})"
