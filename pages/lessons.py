"""Start here: the lessons in their order, what each asks, needs and takes, and which are done."""

import streamlit as st

from attnviz.web import course, page_style, shell

shell.ensure()
st.title("Where do I begin?", anchor=False)
with st.container(key=page_style.key("lesson-sentence", "main")):
    st.text(course.summary())
course.table()
