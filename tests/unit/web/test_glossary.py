"""The one glossary: each term once, one plain sentence, a page that exists; and how its links are told from others."""

import re
from collections import Counter

import pytest

from attnviz.inputs.assets import APP
from attnviz.web import course
from attnviz.web.glossary import Entry, entries

LONGEST = 200  # characters of a sentence, so that it is read at a glance


def test_no_spelling_stands_for_two_terms() -> None:
    spellings = Counter(spelling.lower() for entry in entries() for spelling in entry.spellings)
    assert [spelling for spelling, times in spellings.items() if times > 1] == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.term)
def test_every_term_has_one_short_sentence(entry: Entry) -> None:
    assert len(entry.says) <= LONGEST
    assert entry.says.endswith(".") and entry.says[0].isupper()
    assert not re.search(r"[.!?] [A-Z]", entry.says), "more than one sentence"


def test_every_page_that_shows_a_term_is_a_page_of_the_app() -> None:
    assert {entry.page for entry in entries()} <= set(course.PAGES)
    assert all((APP.parent / "pages" / f"{page}.py").is_file() for page in course.PAGES)


def test_a_report_leads_only_where_a_link_does() -> None:
    assert course.destination({"page": "masks"}) == ("masks", {})
    assert course.destination({"page": "explore", "start": True}) == ("explore", {"start": "1"})
    page, query = course.destination({"term": "[UNK]"}) or ("", {})
    assert page == "explore" and query["text"]
    for report in (
        None,
        "masks",
        {},
        {"page": "../app"},
        {"page": 3},
        {"page": ["masks"]},
        {"term": {}},
        {"term": None},
    ):
        assert course.destination(report) is None, report
