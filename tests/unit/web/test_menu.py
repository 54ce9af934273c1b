"""The pages of the menu: made once, and each run has its own."""

from streamlit.testing.v1 import AppTest


def program() -> None:
    import streamlit as st

    from attnviz.inputs.assets import APP
    from attnviz.web import menu

    made = st.session_state.setdefault("made", [])

    def make():
        made.append(1)
        return {"Learn": [st.Page(APP.parent / "pages" / "masks.py", title="Masks", default=True)]}

    sections = menu.sections(make)
    st.session_state.setdefault("pages", []).append(sections["Learn"][0])
    st.text(st.navigation(sections).title)


def test_a_run_has_pages_of_its_own_and_only_the_first_looks_for_their_files():
    app = AppTest.from_function(program).run().run()
    assert not app.exception and app.text[0].value == "Masks"
    first, second = app.session_state["pages"]
    assert first is not second and first.url_path == second.url_path
    assert app.session_state["made"] == [1]
    other = AppTest.from_function(program).run()  # another session
    assert other.session_state["made"] == [] and other.session_state["pages"][0] is not second
