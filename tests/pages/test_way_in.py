"""The way in: the glossary and what it links to, the order of the lessons, and what counts as done."""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from attnviz.browser.view_state import ViewState
from attnviz.web import course
from attnviz.web.components.attention_view import QUESTION
from attnviz.web.explore.state import FIRST_LOOK
from attnviz.web.glossary import Entry, entries
from tests.pages.driver import Page, opened, values, views, written


def _place(entry: Entry) -> tuple[str, tuple[tuple[str, str], ...]]:
    return entry.page, tuple(sorted(entry.query.items()))


# What Explore shows is drawn in the browser: tests/e2e/test_way_in.py.
LINKS = [(place, list(group)) for place, group in groupby(sorted(entries(), key=_place), key=_place)]
LINKS = [(place, group) for place, group in LINKS if place[0] != "explore"]


@pytest.mark.parametrize(("place", "shown"), LINKS, ids=lambda given: given[0] if isinstance(given, tuple) else "")
def test_every_link_of_the_glossary_opens_a_page_that_shows_its_terms(
    place: tuple[str, tuple[tuple[str, str], ...]], shown: list[Entry]
) -> None:
    page = opened(place[0], **dict(place[1]))
    assert not page.notices, "the page refuses"
    prose = "\n".join(written(page))
    for entry in shown:
        ways = [entry.pattern] if entry.pattern else []
        ways += [rf"(?<!\w){re.escape(spelling)}" for spelling in entry.spellings]
        assert any(re.search(way, prose, re.IGNORECASE) for way in ways), entry.term


@pytest.mark.parametrize("chapter", course.CHAPTERS[1:], ids=lambda chapter: chapter.page)
def test_the_course_asks_what_the_page_asks(chapter: course.Chapter) -> None:
    assert chapter.asks == opened(chapter.page).title[0].value


def test_explore_asks_it_too() -> None:
    assert course.CHAPTERS[0].asks == QUESTION


def test_the_glossary_and_the_lessons_are_pages() -> None:
    (sent,) = values(opened("glossary"), "attnviz_glossary")
    assert [entry["term"] for entry in sent["entries"]] == [entry.term for entry in entries()]
    (sent,) = values(opened("lessons"), "attnviz_course")
    assert [chapter["page"] for chapter in sent["chapters"]] == [chapter.page for chapter in course.CHAPTERS]
    assert sent["here"] is None and sent["done"] == []


def answer(app: Page, option: int = 0) -> Page:
    """Guesses the page's first question."""
    quiz = next(one for one in app.get("button_group") if ".quiz." in one.proto.id)
    quiz.set_value(quiz.proto.options[option].content).run()
    return app


def test_a_lesson_is_done_when_its_question_was_answered_right_or_wrong() -> None:
    app = opened("softmax", revealed=0)
    assert values(app, "attnviz_course")[0]["done"] == [] and values(app, "attnviz_done") == []
    app.press("Show me")
    assert values(app, "attnviz_done") == []  # to be shown it is no answer
    app.press("Ask me again")
    answer(app)
    assert values(app, "attnviz_done") == [{"page": "softmax"}]
    app.switch_page("pages/masks.py").run()
    (sent,) = values(app, "attnviz_course")
    assert sent["done"] == ["softmax"] and sent["here"] == "masks" and sent["following"] == "positions"


def test_a_link_in_the_glossary_opens_its_page_and_keeps_the_session() -> None:
    app = opened(text="Two birds sing.")
    app.switch_page("pages/glossary.py").run()
    app.session_state["glossary"] = {"go": {"term": "learning rate"}}
    app.run()
    assert app.session_state["page"] == "train"
    app.session_state["words"] = {"go": {"page": "softmax"}}
    app.run()
    assert app.session_state["page"] == "softmax" and app.session_state["text"] == "Two birds sing."


def test_the_start_is_offered_to_who_comes_without_a_link() -> None:
    for query, offered in (
        ({}, True),
        (FIRST_LOOK.to_query(), True),
        ({"mask": "causal"}, False),
        ({"text": "Hi"}, False),
    ):
        (sent,) = values(opened(**query), "attnviz_start")
        assert (sent["offered"], sent["asked"], sent["layers"], sent["heads"]) == (offered, False, 6, 12)


def test_the_start_can_be_asked_for_and_begins_once_on_the_first_look() -> None:
    app = opened(start=1)
    assert values(app, "attnviz_start")[0]["asked"]
    assert ViewState.from_dict(views(app)[0][0]["state"]) == FIRST_LOOK
    app.run()
    assert not values(app, "attnviz_start")[0]["asked"]
