"""A plotly figure that changes in place: Streamlit's own chart is taken down and made anew for every change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import plotly
import streamlit as st

from attnviz import frontend

if TYPE_CHECKING:
    import plotly.graph_objects as go

# plotly.js lies in plotly's own package; declaring a component is how Streamlit serves a folder.
_served = st.components.v1.declare_component("plotly", path=Path(plotly.__file__).parent / "package_data")
_LIBRARY = f"component/{_served.name}/plotly.min.js"

_mount = st.components.v2.component(
    "attnviz_chart",
    html='<div class="av-chart" role="figure"></div>',
    js=frontend.javascript("chart.js"),
    isolate_styles=False,  # plotly.js puts its style sheet into the document
)


def chart(figure: go.Figure, *, alt: str, key: str) -> None:
    """Draws a figure of `attnviz.figures` as wide as its column, `alt` being its text alternative."""
    _mount(
        data={
            "figure": figure.to_json(validate=False),
            "alt": alt,
            "height": figure.layout.height,
            "library": _LIBRARY,
        },
        key=key,
    )
