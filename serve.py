"""The app as `python -m attnviz serve` runs it: seen at once, with security headers, its health, and a farewell.

`streamlit run app.py` runs it without them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

from attnviz.inputs.assets import APP
from attnviz.web import farewell, first_paint
from attnviz.web.empty_page import EmptyPage
from attnviz.web.headers import Headers
from attnviz.web.health import healthz


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any] | None]:
    """From the server's start to its end."""
    first_paint.begin()
    async with farewell.lifespan(app) as state:
        yield state


app = st.App(
    APP,
    lifespan=lifespan,
    routes=[Route("/healthz", healthz)],
    middleware=[Middleware(Headers), Middleware(EmptyPage)],
)
