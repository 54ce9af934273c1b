"""The app with security headers, for `python -m attnviz serve`; `streamlit run app.py` runs it without them."""

import streamlit as st
from starlette.middleware import Middleware

from attnviz.inputs.assets import APP
from attnviz.web.headers import Headers

app = st.App(APP, middleware=[Middleware(Headers)])
