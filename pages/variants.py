"""What does attention cost, and what can it save?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("What does attention cost, and what can it save?", anchor=False)
