"""What does temperature do to attention?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("What does temperature do to attention?", anchor=False)
