"""Explore's whole model in the browser: with the server out of reach, the same numbers as the server's."""

import csv
import io
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from attnviz import Intervention, Model, load
from tests.e2e.driver import QUIET, Open, visiting, write

TEXT = "It is a truth universally acknowledged, that a single man is in want of a wife."
OTHER = "The man was in want of a wife and said so."
QUERY = f"?model=austen&layer=2&head=1&whole=1&temp=0.5&text={quote(TEXT)}"
CARRIES = "How far the change carries"
NO_WORKER = "window.Worker = class { constructor() { throw new Error('no worker'); } };"


def ready(page: Page) -> None:
    page.wait_for_selector(".av-say")
    expect(page.get_by_text(CARRIES)).to_be_visible()


visit = visiting("", ready)


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


class Line:
    """The line to the server; while it is cut, what the page says is kept back."""

    def __init__(self) -> None:
        self.cut = False
        self.kept: list[Callable[[], None]] = []

    def __call__(self, page: Page) -> None:
        page.route_web_socket("**/_stcore/stream", self.pass_on)

    def pass_on(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def hear(message: str | bytes) -> None:
            if self.cut:
                self.kept.append(lambda: server.send(message))
            else:
                server.send(message)

        socket.on_message(hear)

    def mend(self) -> None:
        self.cut = False
        while self.kept:
            self.kept.pop(0)()


def weights(page: Page) -> np.ndarray:
    """Of the head in view, from the file that the browser makes."""
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as waiting:
        page.get_by_role("menuitem", name="Weights, CSV").click()
    rows = list(csv.reader(io.StringIO(waiting.value.path().read_bytes().decode("utf-8-sig"))))
    return np.array([[float(x) for x in row[1:]] for row in rows[1:]])


def expected(model: Model, change: Intervention, text: str = TEXT) -> np.ndarray:
    return model.run(text, intervention=change).layers[2].attention.weights[0, 1].numpy()


def set_temperature(page: Page, value: str) -> None:
    field = page.get_by_label("Temperature, typed")
    field.fill(value)
    field.press("Enter")


def at_rest(page: Page) -> None:
    """No run of the whole model is waited for."""
    page.wait_for_selector(".av-main:not(.av-busy)")


def test_without_the_server_the_model_runs_here_with_the_same_numbers(visit: Open, austen: Model) -> None:
    line = Line()
    page = visit(QUERY, prepare=line)
    if not page.workers:
        page.wait_for_event("worker")
    page.workers[0].evaluate("new Promise(done => setInterval(() => session.model && done(), 10))")
    np.testing.assert_allclose(
        weights(page), expected(austen, Intervention(temperature=0.5)), atol=1e-4
    )  # the server's

    line.cut = True
    set_temperature(page, "2")
    at_rest(page)
    np.testing.assert_allclose(weights(page), expected(austen, Intervention(temperature=2.0)), atol=1e-4)
    page.get_by_role("radio", name="Window").click()
    at_rest(page)
    both = Intervention(temperature=2.0, mask=("window", 4))
    np.testing.assert_allclose(weights(page), expected(austen, both), atol=1e-4)
    page.wait_for_timeout(400)
    assert line.kept  # once the reader rests, the server is told, for the link and how far the change carries
    assert "temp=0.5" in page.url

    line.mend()
    page.wait_for_url("**mask=window**")
    page.wait_for_selector(QUIET)
    assert "temp=2" in page.url and "whole=1" in page.url
    np.testing.assert_allclose(weights(page), expected(austen, both), atol=1e-4)
    write(page, OTHER)  # of which the server sends the run as trained: this view makes the change
    expect(page.locator(".av-chips")).to_contain_text("said")
    page.wait_for_selector(QUIET)
    at_rest(page)
    np.testing.assert_allclose(weights(page), expected(austen, both, OTHER), atol=1e-4)
    again = visit(page.url)  # the link, in a page whose server runs it
    np.testing.assert_allclose(weights(again), weights(page), atol=1e-4)


def test_without_a_worker_the_server_runs_the_model(visit: Open, austen: Model) -> None:
    page = visit(QUERY, prepare=lambda page: page.add_init_script(NO_WORKER))
    set_temperature(page, "2")
    page.wait_for_url("**temp=2**")
    page.wait_for_selector(QUIET)
    at_rest(page)
    np.testing.assert_allclose(weights(page), expected(austen, Intervention(temperature=2.0)), atol=1e-4)
