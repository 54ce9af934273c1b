"""Who may look at whom?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("Who may look at whom?", anchor=False)
