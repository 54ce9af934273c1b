"""The app as `python -m attnviz serve` runs it: with security headers, its health, and a farewell to its readers.

`streamlit run app.py` runs it without them.
"""

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

from attnviz.inputs.assets import APP
from attnviz.web.farewell import lifespan
from attnviz.web.headers import Headers
from attnviz.web.health import healthz

app = st.App(APP, lifespan=lifespan, routes=[Route("/healthz", healthz)], middleware=[Middleware(Headers)])
