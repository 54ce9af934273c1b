"""How does the model know the order of words?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("How does the model know the order of words?", anchor=False)
