"""A plotly figure that changes in place: Streamlit's own chart is taken down and made anew for every change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from attnviz import formatting
from attnviz.browser import bundle
from attnviz.browser.framing import Payload, frame
from attnviz.figures.plain import as_json, spec_of
from attnviz.inputs.assets import ASSETS
from attnviz.web.components import bridge

if TYPE_CHECKING:
    import plotly.graph_objects as go

Table: TypeAlias = Mapping[str, Iterable[Any]]  # columns of one length by name
Numbers: TypeAlias = Table | Callable[[], Table]

_mount = bridge.component(
    "attnviz_chart",
    "widgets/chart.js",
    (
        '<figure class="av-chart"><figcaption></figcaption><div class="av-chart-plot" role="img"></div>'
        '<div class="av-chart-files"><button type="button" data-kind="csv">Data (CSV)</button>'
        '<button type="button" data-kind="svg">Picture (SVG)</button>'
        '<button type="button" data-kind="png">PNG</button></div></figure>'
    ),
    (bundle.FOLDER / "widgets/chart.css").read_text("utf-8"),
    isolate_styles=False,  # plotly.js puts its style sheet into the document
)


def csv_text(table: Table) -> str:
    """A table as CSV in which no text begins a formula; a number that is not known is an empty cell.

    Without pandas, which would take a server 70 MB for it.
    """
    columns = [np.asarray(column) if hasattr(column, "__array__") else column for column in table.values()]
    return formatting.csv_text(table, zip(*columns, strict=True), end="\n")


def of_rows(rows: Iterable[Mapping[str, Any]]) -> Table:
    """A table of rows that have the same fields."""
    listed = list(rows)
    return {name: [row[name] for row in listed] for name in listed[0]} if listed else {}


@dataclass(frozen=True)
class Written:
    """A figure as it goes to the browser: to be kept where it is the same for many readers."""

    json: bytes
    height: int  # px


def written(figure: go.Figure) -> Written:
    """A figure of `attnviz.figures`, written once for all who are sent it."""
    spec = spec_of(figure)
    return Written(as_json(spec).encode("ascii"), spec["layout"]["height"])


def chart(
    figure: go.Figure | Written,
    *,
    alt: str,
    key: str,
    title: str = "",
    says: str = "",
    data: Numbers | None = None,
    file: str = "data",
    points: bool = False,
) -> None:
    """Draws a figure of `attnviz.figures` as wide as its column.

    Arguments
        alt: its text alternative. title: above it, plain text; "" for none.
        says: what it is of, in a picture that the reader keeps: model, text, settings.
        points: whether a click on a point is reported, which `clicked` then tells.
        data: its numbers, or what makes them, which the reader may save as attnviz-`file`.csv; None for none.
    """
    drawn, payload = figure if isinstance(figure, Written) else written(figure), Payload()
    payload.add(drawn.json)
    about: dict[str, Any] = {
        "figure": len(drawn.json),
        "title": title,
        "alt": alt,
        "says": says,
        "name": f"attnviz-{file}",
        "height": drawn.height,
        "saves": data is not None,
        "points": points,
        # plotly.js's own build for flat charts: a third of the one in plotly's package
        "library": f"{bridge.served('plotly', ASSETS / 'plotly')}/plotly-cartesian.min.js",
    }
    if data is not None and bridge.reported(key, "csv"):
        text = csv_text(data() if callable(data) else data)
        about["file"] = [f"attnviz-{file}.csv", text, bridge.next_file(key)]
    _mount(data=frame(about, payload), key=key, on_csv_change=lambda: None, on_point_change=lambda: None)


def clicked(key: str) -> Mapping[str, Any]:
    """The point that the reader clicked, in the run that hears of it: its x, its y, and what is told about it.

    What the browser sends may be anything.
    """
    point = bridge.reported(key, "point")
    return point if isinstance(point, dict) else {}
