"""The app's components as Streamlit calls them, on pages of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from attnviz.browser import bundle

STEPS = {"label": "Step", "texts": list("abcdefgh"), "index": 0, "marks": [], "number": 0, "play": True}
DRAWING = {"drawing": "8" + "0" * 63, "number": 0, "page": 10, "examples": []}
DIAL = (
    '<div class="av-dial"><label></label><button></button><output></output><input type="range">'
    '<div class="av-dial-marks"></div></div>'
)
CALLS = """async ([source, css, html, script]) => {
  const component = (await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})))).default;
  const parent = document.createElement("div"), style = document.createElement("style"), told = [];
  style.textContent = css;
  parent.innerHTML = html;
  document.body.append(style, parent);
  const tell = (name, value) => told.push(value);
  const call = (data) => component({data, parentElement: parent, setStateValue: tell, setTriggerValue: tell});
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));
  return await new Function("parent", "told", "call", "wait", `return (async () => { ${script} })()`)(
    parent, told, call, wait);
}"""


@pytest.fixture
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def run(page: Page, entry: str, css: str, html: str, script: str) -> Any:
    """What a script returns that calls a component by `call(data)`, with the element and what it `told`."""
    return page.evaluate(CALLS, [bundle.javascript(entry), bundle.css(css), html, script])


def test_a_drawing_keeps_what_can_be_taken_back_when_newer_data_overtake_a_call(blank: Page) -> None:
    """Streamlit then cleans up after the first call, while the component stands."""
    script = f"""const first = {json.dumps(DRAWING)}, early = call(first);
      call({{...first, drawing: "88" + "0".repeat(62)}});
      early();
      const last = call({{...first, drawing: "888" + "0".repeat(61)}});
      const undo = [...parent.querySelectorAll("button")].find((button) => button.textContent === "Undo");
      const before = undo.getAttribute("aria-disabled");
      undo.click();
      parent.remove();
      last();
      return [before, told[0].drawing];"""
    assert run(blank, "widgets/draw.js", "widgets/draw.css", '<div class="ad-root"></div>', script) == [
        "false",
        "88" + "0" * 62,
    ]


def test_a_number_is_typed_into_a_dial(blank: Page) -> None:
    """The nearest step is taken and shown; what is no number changes nothing."""
    steps = {**STEPS, "texts": ["0.1", "0.25", "0.5", "1", "2"], "play": False, "typed": True}
    script = f"""call({json.dumps(steps)});
      const field = parent.querySelector(".av-dial-typed"), shown = [];
      for (const text of ["0.5", "0,25", "1.4", "warm", "", "1000"]) {{
        field.value = text;
        field.dispatchEvent(new Event("change"));
        shown.push(field.value);
        await wait(60);
      }}
      const named = field.getAttribute("aria-label");
      call({{...{json.dumps(steps)}, texts: ["8 of 9", "9 of 9"], typed: false}});
      return [shown, told.map((report) => report.index), named, field.hidden];"""
    shown = ["0.5", "0.25", "1", "1", "1", "2"]
    found = run(blank, "widgets/dial.js", "widgets/dial.css", DIAL, script)
    assert found == [shown, [2, 1, 3, 4], "Step, typed", True]


def test_a_dial_plays_on_when_newer_data_overtake_a_call_and_stops_when_it_is_gone(blank: Page) -> None:
    script = f"""const first = {json.dumps(STEPS)}, early = call(first);
      parent.querySelector("button").click();
      early();
      for (let i = 0; i < 200 && !told.length; i++) await wait(50);
      const last = call({{...first, ...told[0]}}); // the page has followed, so it would go on
      parent.remove();
      last();
      await wait(1500);
      return told;"""
    assert run(blank, "widgets/dial.js", "widgets/dial.css", DIAL, script) == [{"index": 1, "number": 1}]


def test_no_component_cleans_up_without_having_left_the_page() -> None:
    """One that did would lose what it keeps whenever Streamlit is in a hurry."""
    components = {str(path): path.read_text("utf-8") for path in bundle.FOLDER.rglob("*.js")}
    components = {name: source for name, source in components.items() if "export default" in source}
    assert len(components) >= 9
    for name, source in components.items():
        assert "return () =>" not in source[source.index("export default") :], name
