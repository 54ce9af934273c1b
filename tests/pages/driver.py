"""One page of the app under AppTest: opened as a link opens it, driven by its fields, read as a reader reads it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, ButtonGroup

from attnviz.browser.framing import read_frame
from attnviz.web import shell, thread
from tests.support.models import loaded

st.set_option("client.showErrorDetails", "full")  # an error of a page is one of the test
ROOT = Path(__file__).parents[2]
SENTENCE = "The animal didn't cross the street because it was too tired."  # what the app opens with
# Components whose texts are not about what the page shows: values to choose from, the glossary, the list of lessons.
OFFERS = ("attnviz_dial", "attnviz_words", "attnviz_course")
DRAWN = {"scatter", "bar", "heatmap"}  # the traces that the build of plotly.js in assets/plotly can draw


class Page(AppTest):
    """A page in a session of its own, not yet run; `opened` gives it as a reader finds it."""

    def __init__(self, name: str, query: dict[str, Any]) -> None:
        super().__init__(ROOT / "app.py", default_timeout=120)
        self.name = name
        if name:
            self.switch_page(f"pages/{name}.py")
        self.query_params.update({field: str(value) for field, value in query.items()})

    def choose(self, **values: object) -> Page:
        """Sets what the page's controls hold, by field, and runs it."""
        for field, value in values.items():
            self.session_state[f"{self.name}.{field}"] = value
        return self.run()

    def press(self, label: str) -> Page:
        """Clicks the first button with this label, and runs the page."""
        return next(button for button in self.button if button.label == label).click().run()

    def guess(self, name: str, option: str) -> Page:
        """Answers the page's question `name`, and runs the page."""
        (quiz,) = (one for one in self.get("button_group") if f"{self.name}.quiz.{name}" in one.proto.id)
        assert isinstance(quiz, ButtonGroup)
        quiz.set_value(option)
        return self.run()

    def step_back(self, **query: object) -> Page:
        """Goes back or forward in the browser, to an address with these parameters."""
        self.query_params.clear()
        self.query_params.update({field: str(value) for field, value in query.items()})
        with mock.patch.object(shell, "_is_history_step", return_value=True):
            return self.run()

    def run(self, *, timeout: float | None = None) -> Page:
        super().run(timeout=timeout)
        return self

    @property
    def sentences(self) -> list[str]:
        """What the page says, from top to bottom; nothing has gone wrong on it."""
        assert not self.exception
        return [text.value for text in self.text]

    @property
    def sentence(self) -> str:
        """The first one: what the page is about."""
        return self.sentences[0]

    @property
    def prose(self) -> str:
        """All of it as one text."""
        return " ".join(self.sentences)

    @property
    def notices(self) -> list[str]:
        """What went wrong, as the page says it."""
        assert not self.exception
        return list(_notices(self.main, inside=False))

    @property
    def address(self) -> dict[str, str]:
        """The address's parameters; AppTest gives what the script wrote as str and what the test wrote as a list."""
        return {k: v[-1] if isinstance(v, list) else v for k, v in self.query_params.items()}

    @property
    def link(self) -> dict[str, str]:
        """What the address says of the page, whether or not it also shows what quizzes hide, as `opened` asks for."""
        return {name: value for name, value in self.address.items() if name != "revealed"}


def _notices(block: Any, inside: bool) -> Iterator[str]:
    for child in block.children.values():
        if isinstance(child, Block):
            yield from _notices(child, inside or "shell-notice" in getattr(child.proto, "id", ""))
        elif inside and child.type == "text":
            yield child.value


def opened(name: str = "", /, **query: object) -> Page:
    """The page (by default the app's first, Explore) as a link with these parameters opens it in a new session.

    Quizzes are answered, as for a link that shows what was revealed; `revealed=0` opens it with what they hide hidden.
    """
    app = Page(name, ({"revealed": 1} if name else {}) | query).run()
    assert not app.exception
    return app


def beginning(app: Page) -> str:
    """The position that a link leaves out in the page's text: where a reader begins who has chosen nothing."""
    encoding = loaded(app.session_state["model"]).encode(app.session_state["text"])
    return str(thread.opening(encoding.labels, encoding.special))


def elements(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        if isinstance(child, Block):
            yield from elements(child)
        else:
            yield child


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in ("id", "javascriptContent", "css", "jsContent", "cssContent", "htmlContent"):
                yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str) and value.startswith("{"):  # a figure, or what a component was sent
        yield from _strings(json.loads(value))
    elif isinstance(value, str):
        yield value


def written(page: Page) -> list[str]:
    """Every string that the browser is sent in the main part, but for what is the same whatever the page shows."""
    strings = []
    for element in elements(page.main):
        proto = element.proto
        if ".quiz." in getattr(proto, "id", "") or getattr(proto, "component_name", "") in OFFERS:
            continue
        if element.type == "bidi_component" and proto.bytes:
            about, payload = read_frame(proto.bytes)
            strings += _strings(about)
            if proto.component_name == "attnviz_chart":
                strings += _strings(json.loads(bytes(payload[: about["figure"]])))
            continue
        strings += _strings(MessageToDict(proto))
    return strings


def components(app: AppTest, name: str) -> list[Any]:
    """The components registered under a name, from top to bottom."""
    return [part for part in app.get("bidi_component") if part.proto.component_name == name]


def values(app: AppTest, name: str) -> list[dict[str, Any]]:
    """What each of them was sent, where that is JSON."""
    return [json.loads(part.proto.json) for part in components(app, name)]


def frames(app: AppTest, name: str) -> list[tuple[dict[str, Any], bytes]]:
    """What each of them was sent, where that is bytes: the header, and what follows it."""
    read = [read_frame(part.proto.bytes) for part in components(app, name)]
    return [(header, bytes(payload)) for header, payload in read]


def views(app: AppTest) -> list[tuple[dict[str, Any], bytes]]:
    """What each attention view was sent: its settings, and the message of the run."""
    return [(about, payload[: about["message"]]) for about, payload in frames(app, "attnviz_view")]


def writer(app: AppTest) -> dict[str, Any]:
    """What the only text whose tokens can be chosen was sent."""
    (sent,) = values(app, "attnviz_writer")
    return sent


def header(message: bytes) -> dict[str, Any]:
    """The header of a message, in JSON."""
    return read_frame(message)[0]


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures from top to bottom, each as plotly's JSON; plotly checks every name and value in them."""
    figures = [json.loads(payload[: about["figure"]]) for about, payload in frames(app, "attnviz_chart")]
    for figure in figures:
        go.Figure(figure)
        assert {trace["type"] for trace in figure["data"]} <= DRAWN
    return figures


def chart_titles(app: AppTest) -> list[str]:
    """What stands above each of them."""
    return [about["title"] for about, _ in frames(app, "attnviz_chart")]


def numbers(column: Any) -> np.ndarray:
    """A list of a figure, whose long ones plotly packs, as an array."""
    if not isinstance(column, dict):
        return np.asarray(column)
    flat = np.frombuffer(base64.b64decode(column["bdata"]), dtype=column["dtype"])
    return flat.reshape([int(n) for n in str(column["shape"]).split(",")]) if "shape" in column else flat
