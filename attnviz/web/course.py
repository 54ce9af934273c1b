"""The order of the lessons: what each asks, needs and takes, and where the reader goes from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import streamlit as st

from attnviz.web import glossary, prediction
from attnviz.web.components import bridge, course_view


@dataclass(frozen=True)
class Chapter:
    """One lesson of the course."""

    page: str  # as in its address
    title: str  # as in the menu
    asks: str
    minutes: int
    needs: tuple[str, ...] = ()  # pages that it builds on


CHAPTERS = (
    Chapter("explore", "Explore", "Where does each word look?", 2),
    Chapter("step_by_step", "Step by step", "What happens to one word, number by number?", 8, ("explore",)),
    Chapter("softmax", "Softmax and temperature", "What does temperature do to attention?", 6, ("explore",)),
    Chapter("masks", "Masks", "Who may look at whom?", 6, ("softmax",)),
    Chapter("positions", "Positions", "How does the model know the order of words?", 8, ("masks",)),
    Chapter("encoder_block", "The encoder block", "What does one block do to a word?", 8, ("step_by_step",)),
    Chapter("generate", "Generate", "What comes next, and where does the model look?", 6, ("softmax", "masks")),
    Chapter("translate", "Translate", "Where does the model look as it answers?", 6, ("generate",)),
    Chapter("vision", "Vision", "What does a vision transformer look at?", 6, ("explore",)),
    Chapter("variants", "Variants and their cost", "What does attention cost, and what can it save?", 8, ("masks",)),
    Chapter("program", "Program a transformer", "Can attention run a program?", 8, ("step_by_step", "masks")),
    Chapter("replay", "Replay: an induction head", "When does the induction head form?", 6, ("positions",)),
    Chapter("train", "Watch attention form", "How does attention form?", 8, ("replay",)),
)
BY_PAGE = {chapter.page: chapter for chapter in CHAPTERS}
# that a link of the course or the glossary leads to
PAGES = (*BY_PAGE, "models", "heads", "what_if", "compare", "evidence", "space", "lessons", "glossary")
MOVERS = ("course", "lessons", "words", "glossary", "start")  # the components that may ask for another page


def title(page: str) -> str:
    """A page as the menu calls it."""
    others = {
        "models": "All models",
        "heads": "Heads",
        "what_if": "What if?",
        "compare": "Compare",
        "evidence": "Attention and cause",
        "space": "Space",
        "lessons": "Start here",
        "glossary": "Glossary",
    }
    return BY_PAGE[page].title if page in BY_PAGE else others[page]


def after(page: str) -> Chapter | None:
    """The lesson after a page's; None after the last, and for what is no lesson."""
    places = [chapter.page for chapter in CHAPTERS]
    following = places.index(page) + 1 if page in places else len(places)
    return CHAPTERS[following] if following < len(CHAPTERS) else None


def done() -> list[str]:
    """The lessons that this session's reader has done, in their order: a question answered, or a model trained."""
    run = st.session_state.get("training")  # not by its module, which brings all of training along
    trained = run is not None and run.status == "done"
    return [page for page in BY_PAGE if prediction.is_answered(page) or (page == "train" and trained)]


def summary() -> str:
    """What the reader is told above the list."""
    return (
        "Most lessons begin with a question to guess before you look. What you have done is ticked, and your browser "
        "remembers it."
    )


def table() -> None:
    """All lessons in their order."""
    course_view.course_view(_rows(), done(), key="lessons")


def foot(page: str) -> None:
    """Under a lesson: whether it is done, the next one, and the way to all of them."""
    if page in BY_PAGE:
        following = after(page)
        course_view.course_view(
            _rows(), done(), key="course", here=page, following=None if following is None else following.page
        )


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    return tuple(asdict(chapter) | {"needs": [title(page) for page in chapter.needs]} for chapter in CHAPTERS)


def go_on() -> None:
    """Opens the page that the reader asked for in a list of lessons or of words; to be called before a page runs."""
    for key in MOVERS:
        place = destination(bridge.reported(key, "go"))
        if place is not None:
            page, query = place
            state = st.session_state
            state.update({key: state[key] for key in ("text", "model") if key in state})  # this run draws no fields
            st.switch_page(f"pages/{page}.py", query_params=dict(query))


def destination(report: object) -> tuple[str, Mapping[str, str]] | None:
    """The page and the parameters that a report asks for; None for none, and for what nobody offered.

    A report is {"page": …}, {"page": …, "start": true} for the minute's start, or {"term": …} for the page that shows
    a term.
    """
    if not isinstance(report, Mapping):
        return None
    for entry in glossary.entries():
        if entry.term == report.get("term"):
            return entry.page, entry.query
    page = report.get("page")
    if page not in PAGES:
        return None
    return str(page), {"start": "1"} if report.get("start") is True else {}
