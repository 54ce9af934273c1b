"""The app's own components on a page, as AppTest sees them."""

import json
from typing import Any

import plotly.graph_objects as go
from streamlit.testing.v1 import AppTest

DRAWN = {"scatter", "bar", "heatmap"}


def mounted(app: AppTest, name: str) -> list[Any]:
    """The components registered under a name, from top to bottom."""
    return [part for part in app.get("bidi_component") if part.proto.component_name == name]


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures from top to bottom, each as plotly's JSON; plotly checks every name and value in them."""
    found = [json.loads(sent["figure"]) for sent in _charts(app)]
    for figure in found:
        go.Figure(figure)
        assert {trace["type"] for trace in figure["data"]} <= DRAWN  # what the build in assets/plotly can draw
    return found


def chart_titles(app: AppTest) -> list[str]:
    """What stands above each of them."""
    return [sent["title"] for sent in _charts(app)]


def _charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(part.proto.json) for part in mounted(app, "attnviz_chart")]
