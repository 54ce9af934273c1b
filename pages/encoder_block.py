"""What does one block do to a word?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("What does one block do to a word?", anchor=False)
