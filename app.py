"""attnviz: entry of the app. Run it with `streamlit run app.py` or `python -m attnviz serve`."""

import streamlit as st

from attnviz.inputs.assets import APP, ASSETS
from attnviz.web import first_paint, menu

st.set_page_config(
    page_title="attnviz",
    page_icon=str(ASSETS / "images" / "icon.png"),
    layout="wide",
    initial_sidebar_state=264,
    menu_items={"About": "attnviz: an interactive laboratory for transformer attention."},  # also: light or dark
)
pages = APP.parent / "pages"
sections = menu.sections(
    lambda: {
        "": [st.Page(pages / "explore.py", title="Explore", default=True)],
        "Models": [
            st.Page(pages / "models.py", title="All models"),
            st.Page(pages / "generate.py", title="Generate"),
            st.Page(pages / "translate.py", title="Translate"),
            st.Page(pages / "vision.py", title="Vision"),
        ],
        "Investigate": [
            st.Page(pages / "heads.py", title="Heads"),
            st.Page(pages / "what_if.py", title="What if?"),
            st.Page(pages / "compare.py", title="Compare"),
            st.Page(pages / "evidence.py", title="Attention and cause"),
            st.Page(pages / "space.py", title="Space"),
        ],
        "Learn": [
            st.Page(pages / "lessons.py", title="Start here"),
            st.Page(pages / "step_by_step.py", title="Step by step"),
            st.Page(pages / "softmax.py", title="Softmax and temperature"),
            st.Page(pages / "masks.py", title="Masks"),
            st.Page(pages / "positions.py", title="Positions"),
            st.Page(pages / "encoder_block.py", title="The encoder block"),
            st.Page(pages / "variants.py", title="Variants and their cost"),
            st.Page(pages / "program.py", title="Program a transformer"),
            st.Page(pages / "glossary.py", title="Glossary"),
        ],
        "Train": [
            st.Page(pages / "replay.py", title="Replay: an induction head"),
            st.Page(pages / "train.py", title="Watch attention form"),
        ],
    }
)
page = st.navigation(sections, position="top", expanded=True)  # on a phone all of it stands in the sidebar
first_paint.until_loaded(page)

from attnviz.web import callbacks, course, line, page_end, page_style, server, shell  # noqa: E402  with torch
from attnviz.web.glossary import parts as glossary  # noqa: E402

with line.place():  # all of a run: sixty at once, each up to its page, would hold up those who have a place
    shell.mark_ready()
    server.harden()
    callbacks.guard()
    section = next(name for name, pages_in_it in sections.items() if page in pages_in_it)
    if mark := page_style.section_mark(section, list(sections)):
        st.html(mark)
    course.go_on()
    shell.restore_link(page.url_path)
    shell.sidebar(page.url_path)
    shell.page_tools(page.url_path, [one.url_path for section in sections.values() for one in section])
    callbacks.say_what_failed()
    server.say_what_was_not_heard()
    shell.guarded(page.run)
    course.foot(page.url_path or "explore")
    glossary.words(page.url_path or "explore")
    page_end.mark_drawn()
