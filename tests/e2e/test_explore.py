"""Explore in a real Chromium: what a visitor does, from the first look to a link opened elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from attnviz import Intervention, Model
from tests.e2e.driver import QUIET, SENTENCE, Open, at_widths, query_of, seen, sideways, visiting

WIDE = SENTENCE.replace("tired", "wide")


def ready(page: Page) -> None:
    page.wait_for_selector(".av-say")


visit = visiting("", ready)
first_look = seen("", ready)


def told(page: Page) -> str:
    return page.locator(".av-say").inner_text().replace("\u202f", " ")


def type_text(page: Page, text: str) -> None:
    field = page.locator(".st-key-text textarea")
    field.fill(text)
    field.press("Control+Enter")


def test_opens_on_it_and_the_animal(first_look: Page, minilm: Model) -> None:
    weight = minilm.run(SENTENCE).layers[3].attention.weights[0, 1, 10, 2]
    assert told(first_look) == f"In layer 3, head 1, it gives {weight * 100:.0f} % of its attention to animal."
    expect(first_look.locator("h1")).to_have_text("Where does each word look?")


@pytest.mark.nightly
def test_texts_and_models(visit: Open, minilm: Model) -> None:
    page = visit()
    type_text(page, "Birds sing at dawn.")
    expect(page.locator(".av-chips")).to_contain_text("dawn")
    page.locator(".av-chips button", has_text="dawn").click()
    trace = minilm.run("Birds sing at dawn.")
    token = trace.encodings[0].labels.index("dawn")
    row = trace.layers[3].attention.weights[0, 1, token]
    best = trace.encodings[0].labels[int(row.argmax())]
    expect(page.locator(".av-say")).to_contain_text(f"attention to {best}")
    assert f"{float(row.max()) * 100:.0f} %" in told(page)
    # no text gets one sentence, and the next text works
    type_text(page, "  ")
    expect(page.get_by_text("Type a sentence into the field")).to_be_visible()
    type_text(page, "Back again")
    expect(page.locator(".av-chips")).to_contain_text("again")
    # markup stays text
    text = "<img src=x onerror=alert(1)> <script>alert(2)</script> <b>bold</b>"
    type_text(page, text)
    expect(page.locator(".av-chips")).to_contain_text("script")
    assert page.locator(".av-chips img, .av-chips b, .av-chips script").count() == 0
    # an example, and another model
    page.locator(".st-key-example input").click()
    page.get_by_role("option", name="The wide street").click()
    expect(page.locator(".av-chips")).to_contain_text("wide")
    page.locator(".st-key-model input").click()
    page.get_by_role("option", name="Untrained tiny").click()
    page.wait_for_url("**model=scratch**")
    expect(page.locator(".av-say")).to_be_visible()
    # back in the browser: the same text, and the model before
    page.go_back()
    expect(page.locator(".st-key-model input")).to_have_value("MiniLM (6 × 12 heads)")
    expect(page.locator(".av-chips")).to_contain_text("wide")


def test_controls_run_the_model_and_the_link_restores_it_all(visit: Open, minilm: Model) -> None:
    page = visit()
    page.get_by_role("radio", name="Rerun the model").click()
    page.get_by_role("radio", name="Causal").click()
    expect(page.get_by_text("How far the change carries")).to_be_visible()
    page.wait_for_url("**mask=causal**")
    change = Intervention(mask="causal")
    plain, changed = minilm.run(SENTENCE), minilm.run(SENTENCE, intervention=change)
    moved = (changed.final - plain.final).norm(dim=-1)[0] / plain.final.norm(dim=-1)[0]
    expect(page.get_by_text(f"the average over all tokens is {moved.mean() * 100:.0f}\u202f%")).to_be_visible()
    row = changed.layers[3].attention.weights[0, 1, 10]
    best = changed.encodings[0].labels[int(row.argmax())]
    expect(page.locator(".av-say")).to_contain_text(f"attention to {best}")
    before = told(page)
    assert f"{float(row.max()) * 100:.0f} %" in before

    again = visit(query_of(page))
    expect(again.get_by_text("How far the change carries")).to_be_visible()
    assert told(again) == before
    expect(again.get_by_role("radio", name="Causal")).to_be_checked()


def test_a_number_is_traced_and_back_shows_the_same(visit: Open, minilm: Model) -> None:
    page = visit()
    type_text(page, WIDE)
    expect(page.locator(".av-chips")).to_contain_text("wide")
    expect(page.locator(".av-say")).to_contain_text("it gives")  # the word stays chosen
    page.locator(".av-chips button", has_text="street").click()
    expect(page.locator(".av-say")).to_contain_text("street gives")
    before = told(page)
    page.get_by_role("button", name="Trace this number").click()
    page.wait_for_url("**/step_by_step?**")
    weight = minilm.run(WIDE).layers[3].attention.weights[0, 1, 8].max()
    expect(page.get_by_text(f"“street” gives {weight * 100:.0f}\u202f% of its attention").first).to_be_visible()
    page.go_back()
    expect(page.locator(".av-say")).to_be_visible()
    page.wait_for_selector(QUIET)
    assert told(page) == before
    page.get_by_role("button", name="Temperature on this row").click()
    page.wait_for_url("**/softmax?**")
    expect(page.locator(".st-key-lesson-sentence-main")).to_contain_text("street")


@pytest.mark.nightly
def test_files_that_the_server_writes(first_look: Page, minilm: Model, tmp_path: Path) -> None:
    page = first_look
    saved = {}
    for entry in ("Whole trace, NPZ", "Interactive page, HTML"):
        page.get_by_role("button", name="Save …").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=entry).click()
        saved[entry] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[entry])
    arrays = np.load(saved["Whole trace, NPZ"], allow_pickle=False)
    q = minilm.run(SENTENCE).layers[3].attention.q[0].numpy()
    assert any(np.array_equal(np.squeeze(arrays[name]), q) for name in arrays.files)
    assert saved["Interactive page, HTML"].read_text("utf-8").startswith("<!doctype html>")


def test_nothing_scrolls_sideways(first_look: Page) -> None:
    page = first_look
    for width in at_widths(page, (1440, 900), (720, 844), (390, 844)):
        assert sideways(page) <= 0, width
        assert page.locator(".av-root").evaluate("e => e.scrollWidth - e.clientWidth") <= 0, width


def test_a_dropped_connection_leaves_the_view_and_comes_back(visit: Open, minilm: Model) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page = visit(prepare=lambda page: page.route_web_socket("**/_stcore/stream", pass_on))
    before = told(page)
    assert len(sockets) == 1
    sockets[0].close()
    assert told(page) == before  # the picture needs no server
    page.locator(".av-chips button", has_text="street").click()
    expect(page.locator(".av-say")).to_contain_text("street")
    for _ in range(200):
        page.wait_for_timeout(100)
        if len(sockets) == 2:
            break
    assert len(sockets) == 2
    page.wait_for_selector(QUIET)
    expect(page.locator(".av-say")).to_contain_text("street")
    type_text(page, "Birds sing at dawn.")
    expect(page.locator(".av-chips")).to_contain_text("dawn")
