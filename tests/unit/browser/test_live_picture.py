"""A digit drawn in the live page: the message, the answer and the sentences against the library and the app's page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from attnviz import Intervention, load
from attnviz.browser import drawings, live
from attnviz.browser.framing import read_frame
from attnviz.browser.live import PICTURE, model_file
from attnviz.formatting import percent
from attnviz.web.components import patch_view
from attnviz.web.components.patch_view import Look
from attnviz.web.vision import state, text
from tests.e2e.driver import serious
from tests.support.node import run_node

CLOSE = 1e-4
RUN = """
const made = new session.Session();
made.open(message);
const { message: packed, answers } = await made.runPicture(inputs.asked);
const { layers, heads } = inputs.asked.sizes;
const changed = live_picture.changesInWords(inputs.asked.off, inputs.asked.temperature, { layers, heads });
const { layer, head, query } = inputs.look;
const model = live_picture.readPatches(packed);
const row = live_picture.patchRow(model, layer, head, query);
give({
  message: [...packed],
  answers,
  said: live_picture.answerSentence(answers, changed, inputs.meant),
  alt: live_picture.patchesInWords(model, inputs.look, row),
});
"""


def seen(settings: state.Settings) -> Any:
    """What the app's page shows of the same drawing."""
    model = state.vision_model("digits")
    pixels = state.drawn(drawings.read(settings.drawing), state.reader_of(model))
    change = state.change(settings, model)
    plain = model.run(pixels)
    trace = plain if change is None else model.run(pixels, intervention=change)
    message = patch_view.pack(trace, state.reader_of(model).seen(pixels), 0)
    return state.Seen(model, pixels, plain, trace, message)


MEANT = drawings.held_out()


@pytest.mark.parametrize(
    ("off", "temperature", "look"),
    [
        ([], 1.0, Look(2, 0, 0)),
        ([(0, 1), (2, 3)], 0.5, Look(1, patch_view.ROLLOUT, 5)),
        ([(0, 0), (0, 1), (0, 2), (0, 3)], 20.0, Look(0, 3, 16)),
    ],
)
def test_a_drawing_gives_what_the_apps_page_shows(off: list[tuple[int, int]], temperature: float, look: Look) -> None:
    for drawing in [drawings.FIRST, *[one for _, one in drawings.examples(MEANT, 1)][7:9], "g" * 64, "0" * 63 + "8"]:
        settings = state.Settings(
            drawing=drawing, off=",".join(f"{layer}.{head}" for layer, head in off), temperature=temperature
        )
        expected = seen(settings)
        asked = {"drawing": drawing, "off": off, "temperature": temperature, "sizes": {"layers": 3, "heads": 4}}
        where = {"layer": look.layer, "head": look.head, "query": look.query}
        inputs = {"asked": asked, "look": where, "meant": MEANT.get(drawing)}
        found = run_node(RUN, model_file(expected.model), inputs)
        (header, payload), (other, numbers) = read_frame(bytes(found["message"])), read_frame(expected.message)
        assert header == other
        size = 4 * 3 * 5 * 17 * 17
        ours, theirs = (np.frombuffer(bytes(part)[:size], "<f4") for part in (payload, numbers))
        assert np.abs(ours - theirs).max() <= CLOSE
        below, theirs = (np.frombuffer(bytes(part)[size : size + 64], np.uint8) for part in (payload, numbers))
        assert np.abs(below.astype(int) - theirs).max() <= 1  # half ink is 127.5 of 255
        p = np.array([[before, now] for _, before, now in found["answers"]])
        assert np.abs(p - np.stack([expected.before.numpy(), expected.now.numpy()], 1)).max() <= CLOSE
        assert [name for name, *_ in found["answers"]] == list(expected.model.classes)
        assert found["said"] == text.answer(expected, settings, MEANT.get(drawing))
        assert found["alt"] == text.view(expected.row(look), look, expected.trace.config)


ADDRESS = """
const models = [{ name: "digits", reads: "image" }, { name: "tales", reads: "text" }];
const first = { ...inputs.first, state: contract.DEFAULTS };
give(inputs.hashes.map((hash) => {
  const shown = live_link.readAddress(hash, first, models);
  const { model, off, picture } = live_link.readAddress(live_link.writeAddress(shown, models), first, models);
  if (JSON.stringify(picture) !== JSON.stringify(shown.picture)) throw new Error("the link does not restore it");
  return { model, off, ...picture };
}));
"""


def test_a_link_is_read_as_the_apps_page_reads_it_and_what_is_wrong_stays_as_it_is() -> None:
    settings = state.Settings(drawing="8" * 64, layer=1, head=-1, query=7, off="2.0,1.3", temperature=2.5)
    query = {name: str(getattr(settings, name)) for name in ("drawing", "layer", "head", "query", "off", "temperature")}
    bad = "model=digits&drawing=x&layer=-1&head=-2&query=1e9&off=a,b&temperature=0"
    first = {"model": "tales", "text": "", "stack": "self", "off": [], "picture": PICTURE}
    hashes = ["#model=digits&" + urlencode(query), bad, "model=<b>&temperature=NaN"]
    good, untouched, unknown = run_node(ADDRESS, inputs={"first": first, "hashes": hashes})
    assert good == {
        "model": "digits",
        "off": [[2, 0], [1, 3]],
        "drawing": "8" * 64,
        "layer": 1,
        "head": -1,
        "query": 7,
        "temperature": 2.5,
    }
    assert untouched == {"model": "digits", "off": [], **PICTURE}
    assert unknown["model"] == "tales"


def test_the_page_begins_as_the_apps_page_does() -> None:
    first = state.Settings()
    assert {name: getattr(first, name) for name in PICTURE} == PICTURE


@pytest.fixture(scope="module")
def page_of_digits(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("live") / "live.html"
    live.write_file(path, [load("tales"), load("digits")])
    page = browser.new_context(offline=True, viewport={"width": 1440, "height": 900}).new_page()
    page.goto(path.as_uri() + "#model=digits")
    page.wait_for_selector("#attnviz-live[data-ready]")
    return page


def test_a_digit_is_drawn_in_the_page_and_a_head_switched_off(page_of_digits: Page) -> None:
    page, trouble = page_of_digits, []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    expect(page.locator("#live-answer")).to_contain_text("The writer meant a 3, so it is right")
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#live-answer")).to_contain_text("The drawing is empty")
    expect(page.locator("#live-patches")).to_be_hidden()
    box = page.locator(".ad-grid").bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] * 0.55, box["y"]
    page.mouse.move(across, down + 0.08 * box["height"])
    page.mouse.down()
    page.mouse.move(across, down + 0.93 * box["height"], steps=8)
    page.mouse.up()
    page.locator(".ad-grid [tabindex='0']").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Switch this head off").click()
    page.wait_for_function("() => location.hash.includes('off=2.0') && !location.hash.includes('drawing=0000')")
    drawing = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('drawing')")
    assert drawing.startswith("8")  # by keyboard
    expected = seen(state.Settings(drawing=drawing, off="2.0"))
    expect(page.locator("#live-answer")).to_have_text(text.answer(expected, state.Settings(off="2.0")))
    look = Look(2, 0, 0)
    alt = text.view(expected.row(look), look, expected.trace.config)
    expect(page.get_by_role("img", name=alt)).to_be_visible()
    shown = [one for one in page.locator(".ap-answer .share").all_inner_texts() if one]
    assert shown == [percent(float(p)) for p in expected.now if p >= 0.001]
    page.locator(".ap-over [tabindex='0']").focus()
    page.keyboard.press("Enter")  # the first patch looks
    look = Look(2, 0, 1)
    alt = text.view(expected.row(look), look, expected.trace.config)
    expect(page.get_by_role("img", name=alt)).to_be_visible()
    page.get_by_label("Model", exact=True).select_option("Tales")
    expect(page.locator(".av-matrix").first).to_be_visible()
    expect(page.locator("#live-patches")).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("Digits")
    expect(page.get_by_role("button", name="Switch this head off")).to_be_visible()
    page.wait_for_function("drawing => location.hash.includes(drawing)", arg=drawing)
    trace = load("digits").run(seen(state.Settings(drawing=drawing)).pixels, intervention=Intervention())
    expect(page.locator("#live-answer")).to_contain_text(percent(float(trace.logits.softmax(-1).max())))  # type: ignore[union-attr]
    assert serious(page) == [] and trouble == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")  # once it has been laid out anew
