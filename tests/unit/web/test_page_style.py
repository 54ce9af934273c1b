"""The style sheet of the pages: what it calls by kind becomes whole classes, and no selector looks into a class."""

import ast
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from attnviz.web import page_style

ROOT = Path(__file__).parents[3]


def test_a_kind_of_place_becomes_the_classes_of_all_of_them():
    sheet = page_style.style_sheet()
    assert not re.search(r"[.]any-[a-z]", sheet)
    assert ".stHorizontalBlock:is(.st-key-lesson-tries, .st-key-lesson-tries-1, .st-key-lesson-tries-2)" in sheet
    assert ".st-key-lesson-sentence-main" in sheet and ".st-key-lesson-picture-row" in sheet


def test_a_browser_is_sent_no_comments():
    sheet = page_style.style_sheet()
    assert "/*" not in sheet and "\n" not in sheet and 'content: "Tap outside to apply"' in sheet


def test_on_screen_no_selector_looks_for_a_part_of_a_class():
    """The browser would ask it of every element whose class changes: half of what it works out about styles."""
    on_screen = page_style.style_sheet().partition("@media print")[0]
    assert not re.findall(r"\[class[*^$|~]=[^]]*\]", on_screen)


def test_a_name_without_a_form_is_told_at_once():
    assert page_style.key("lesson-sentence", "main") == "lesson-sentence-main"
    assert page_style.key("lesson-tries") == "lesson-tries"
    with pytest.raises(AssertionError, match="lesson-sentence nowhere: add the name in"):
        page_style.key("lesson-sentence", "nowhere")


def test_every_place_that_a_page_names_is_listed():
    kinds = {"sentence": ("lesson-sentence", "part"), "picture": ("lesson-picture", "file")}
    kinds |= {name: (f"lesson-{name}", "") for name in ("predict", "veil")}
    found = set()
    for file in (ROOT / "attnviz" / "web").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in kinds):
                continue
            kind, keyword = kinds[call.func.attr]
            named = [one.value for one in call.keywords if one.arg == keyword] if keyword else call.args[:1]
            found |= {(kind, one.value) for one in named if isinstance(one, ast.Constant)}
    assert len(found) > 60
    for kind, name in found:
        page_style.key(kind, name)


def test_the_sheet_is_sent_as_it_is():
    """Without a search for its indentation: in every run that took longer than all else of the page's frame."""
    app = AppTest.from_function(_with_the_sheet).run()
    assert not app.exception and app.session_state["sent"] == [page_style.style_sheet()]
    assert app.session_state["searched"] == []


def _with_the_sheet() -> None:
    from unittest.mock import patch

    import streamlit as st
    from streamlit.elements import html

    from attnviz.web import page_style

    searched, sent = [], []
    only_style = html._html_only_style_tags
    with (
        patch.object(html, "clean_text", lambda text: searched.append(text) or str(text)),
        patch.object(html, "_html_only_style_tags", lambda body: sent.append(body) or only_style(body)),
    ):
        st.html(page_style.style_sheet())
    st.session_state.update({"sent": sent, "searched": searched})
