"""A plotly figure that changes in place: Streamlit's own chart is taken down and made anew for every change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import streamlit as st

from attnviz.browser import bundle
from attnviz.inputs.assets import ASSETS

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    Numbers: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]

# plotly.js's own build for flat charts: a third of the one in plotly's package, so that the first chart of a visit
# stands a second earlier. Declaring a component is how Streamlit serves a folder.
_served = st.components.v1.declare_component("plotly", path=ASSETS / "plotly")
_LIBRARY = f"component/{_served.name}/plotly-cartesian.min.js"

_mount = st.components.v2.component(
    "attnviz_chart",
    html=(
        '<figure class="av-chart"><figcaption></figcaption><div class="av-chart-plot" role="img"></div>'
        '<button type="button">Data (CSV)</button></figure>'
    ),
    css=(bundle.FOLDER / "widgets/chart.css").read_text("utf-8"),
    js=bundle.javascript("widgets/chart.js"),
    isolate_styles=False,  # plotly.js puts its style sheet into the document
)


def chart(
    figure: go.Figure, *, alt: str, key: str, title: str = "", data: Numbers | None = None, file: str = "data"
) -> None:
    """Draws a figure of `attnviz.figures` as wide as its column.

    Arguments
        alt: its text alternative. title: above it, plain text; "" for none.
        data: its numbers, or what makes them, which the reader may save as attnviz-`file`.csv; None for none.
    """
    about: dict[str, Any] = {
        "figure": figure.to_json(validate=False),
        "title": title,
        "alt": alt,
        "height": figure.layout.height,
        "saves": data is not None,
        "library": _LIBRARY,
    }
    if data is not None and _asked(key):
        number = st.session_state[f"{key}:files"] = st.session_state.get(f"{key}:files", 0) + 1
        table = data() if callable(data) else data
        about["file"] = {"name": f"attnviz-{file}.csv", "text": table.to_csv(index=False), "number": number}
    _mount(data=about, key=key, on_csv_change=lambda: None)


def _asked(key: str) -> bool:
    """Whether the reader asked for the data, in the one run that answers."""
    try:
        return bool(st.session_state[key]["csv"])
    except (KeyError, TypeError):
        return False
