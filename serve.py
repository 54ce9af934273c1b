"""The app with security headers, for `python -m attnviz serve`; `streamlit run app.py` runs it without them."""

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

from attnviz.inputs.assets import APP
from attnviz.web.headers import Headers
from attnviz.web.health import healthz

app = st.App(APP, routes=[Route("/healthz", healthz)], middleware=[Middleware(Headers)])
