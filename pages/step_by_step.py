"""What happens to one word, number by number?"""

import streamlit as st

from attnviz.web import shell

shell.ensure()
st.title("What happens to one word, number by number?", anchor=False)
