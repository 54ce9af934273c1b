"""The live page in Chromium, from disk and without a network: what is on screen equals what the library computes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from attnviz import Intervention, InvalidParameterError, ModelError, Trace, load
from attnviz.__main__ import main
from attnviz.browser import live
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent
from attnviz.generation.sampling import Sampling
from attnviz.inputs.images import Preprocessing
from tests.e2e.driver import serious
from tests.support.hostile_texts import HOSTILE, MANY
from tests.support.node import run_node

TEXT = "The old fox that lived by the river saw a bird."


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, as the command line writes it."""
    path = tmp_path_factory.mktemp("live") / "live.html"
    assert main(["live", "--single", str(path), "--model", "tales", "induction", "dates"]) == 0
    return path


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without a network; anything it complains about or asks for fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page, trouble = context.new_page(), []
    page.on("console", lambda message: message.type in ("error", "warning") and trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and trouble.append(request.url))
    yield page
    assert page.evaluate("window.hacked") is None
    context.close()
    assert trouble == []


def go(page: Page, file: Path, **query: str) -> None:
    page.goto(file.as_uri() + ("#" + urlencode(query) if query else ""))
    page.wait_for_selector("#attnviz-live[data-ready]")


def paints(page: Page) -> int:
    return int(page.get_attribute("#attnviz-live", "data-ready") or 0)


def settled(page: Page, before: int) -> None:
    more = "n => Number(document.getElementById('attnviz-live').dataset.ready) > n"
    page.wait_for_function(more, arg=before, polling=50)  # a tab in the background has no frames to look in
    page.wait_for_timeout(400)  # the view tells its choices a moment after the last one


def address(page: Page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(page.url.partition("#")[2]).items()}


def table(page: Page) -> np.ndarray:
    """The weights of the head in view, as the view saves them."""
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Weights, CSV").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    return np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])


def weights(trace: Trace, layer: int, head: int) -> np.ndarray:
    return trace.layers[layer].attention.weights[0, head].numpy()


def test_a_text_is_typed_a_head_switched_off_a_mask_painted_and_the_numbers_are_the_librarys(
    page: Page, file: Path
) -> None:
    model = load("tales")
    go(page, file)
    assert page.get_attribute("#attnviz-live", "data-fast") == "true"  # WebAssembly is not kept out by the policy
    before = paints(page)
    page.get_by_role("textbox", name="Text").fill("The small dog that the boy had seen ran home.")
    settled(page, before)
    text = "The small dog that the boy had seen ran home."
    plain = model.run(text)
    assert page.locator(".av-chip").all_inner_texts() == list(plain.encodings[0].labels)
    assert address(page)["text"] == text

    before = paints(page)
    page.get_by_role("button", name="Switch off layer 0, head 0").click()
    settled(page, before)
    assert address(page)["off"] == "0.0"

    page.get_by_role("radio", name="Painted").click()
    matrix = page.locator(".av-matrix canvas.over").first
    matrix.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    before = paints(page)
    page.keyboard.press("Space")
    settled(page, before)
    cells = ViewState.from_query(address(page)).painted
    assert len(cells) == 1

    page.evaluate("location.hash = location.hash + '&layer=2&head=1&q=4&k=3'")
    settled(page, before + 1)
    changed = model.run(text, intervention=Intervention(blocked=cells, head_scale={(0, 0): 0.0}))
    expected = weights(changed, 2, 1)
    assert np.abs(expected - weights(plain, 2, 1)).max() > 0.01  # the change reaches the last layer
    assert np.abs(table(page) - expected).max() <= 1e-4
    sentence = page.locator(".av-say")
    expect(sentence).to_contain_text(percent(float(expected[4, 3])), use_inner_text=True)
    expect(sentence).to_contain_text("layer 2, head 1", use_inner_text=True)
    about = page.locator(".av-about")  # pictures that are saved carry these words
    for part in ("the model rerun with it", "layer 0, head 0 off", "1 cell blocked by hand"):
        expect(about).to_contain_text(part)


def test_typing_writes_the_address_once_it_rests(page: Page, file: Path) -> None:
    """Browsers refuse pages that write it at every key."""
    go(page, file)
    page.wait_for_timeout(400)
    page.evaluate(
        """async () => {
          const area = document.getElementById("live-text"), write = history.replaceState.bind(history);
          window.written = 0;
          history.replaceState = (...given) => { window.written += 1; write(...given); };
          for (let n = 1; n <= 12; n++) {
            area.value = "The old fox saw a bird.".slice(0, n + 8);
            area.dispatchEvent(new Event("input"));
            await new Promise((done) => setTimeout(done, 20));
          }
        }"""
    )
    page.wait_for_function("() => location.hash.includes('The+old+fox+saw+a+bi')")
    assert page.evaluate("written") <= 3


def test_what_comes_next_and_what_is_said(page: Page, file: Path) -> None:
    model, text = load("induction"), "Mr Dursley met Mrs Potts. Mr Dursley met"
    go(page, file, model="induction", text=text)
    p = Sampling().probabilities(model.run(text).logits[0, -1])  # type: ignore[index]
    shown = page.locator(".live-next b").all_inner_texts()
    assert shown == [percent(float(one)) for one in p.topk(12).values]
    page.get_by_role("button", name="Say the likeliest 20").click()
    from attnviz import generate

    answer = generate.greedy(model, text, 20)  # type: ignore[attr-defined]
    expect(page.locator(".live-said b")).to_have_text(answer.text.strip(), use_inner_text=True)
    expect(page.locator(".av-chip")).to_have_count(len(model.encode(text)) + 20)
    page.get_by_role("button", name="Take back what was said").click()
    expect(page.locator(".av-chip")).to_have_count(len(model.encode(text)))


def test_a_date_is_answered_and_each_attention_shown(page: Page, file: Path) -> None:
    go(page, file, model="dates", text="May 3rd, 1997", stack="cross")
    expect(page.locator("#live-said")).to_have_text("1997-05-03")
    expect(page.locator(".av-chip")).to_have_count(11 + len(load("dates").encode("May 3rd, 1997")))
    before = paints(page)
    page.get_by_label("Attention of").select_option("the encoder")
    settled(page, before)
    expect(page.locator(".av-chip")).to_have_count(len(load("dates").encode("May 3rd, 1997")))
    assert address(page)["stack"] == "encoder"
    examples = page.get_by_label("Examples")
    examples.select_option("The tired animal")  # not a date
    expect(page.locator("#live-said")).not_to_have_text("1997-05-03")
    examples.select_option("For Dates")
    expect(page.locator("#live-said")).to_have_text("1997-05-03")
    expect(examples).to_have_value("0")


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}, {"viewport": {"width": 320, "height": 640}}], ids=str)
def test_axe_finds_nothing_serious_and_nothing_runs_over(browser: Browser, file: Path, options: dict[str, Any]) -> None:
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    go(page, file, model="induction", text="Mr Dursley met", off="0.1", q="2", k="1", whole="1", temp="0.5")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_a_link_restores_what_was_chosen_and_bad_ones_do_no_harm(page: Page, file: Path) -> None:
    go(page, file, model="tales", text=TEXT, layer="1", head="1", q="3", off="0.1", temp="0.5", whole="1")
    expect(page.get_by_role("button", name="Switch on layer 0, head 1")).to_be_visible()
    change = Intervention(temperature=0.5, head_scale={(0, 1): 0.0})
    assert np.abs(table(page) - weights(load("tales").run(TEXT, intervention=change), 1, 1)).max() <= 1e-4
    for bad in ("model=<script>&layer=999&q=x&off=__&cells=9-1.2&zoom=1", "text=%00%ff&stack=x&temp=1e999"):
        before = paints(page)
        page.evaluate("hash => { location.hash = hash; }", bad)
        settled(page, before)
        assert page.locator("#live-trouble").is_hidden()


@pytest.mark.parametrize("texts", [HOSTILE[3::16], pytest.param(MANY, marks=pytest.mark.nightly)], ids=["some", "all"])
def test_hostile_texts_leave_a_page_that_works(page: Page, file: Path, texts: list[str]) -> None:
    go(page, file)
    for text in [*texts, "word " * 20_000]:
        before = paints(page)
        page.evaluate(
            """text => { const area = document.getElementById("live-text"); area.value = text;
                         area.dispatchEvent(new Event("input")); }""",
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text,
        )
        page.wait_for_function(
            "n => Number(document.getElementById('attnviz-live').dataset.ready) > n ||"
            " !document.getElementById('live-trouble').hidden",
            arg=before,
        )
    before = paints(page)
    page.get_by_role("textbox", name="Text").fill(TEXT)
    settled(page, before)
    assert page.locator(".av-chip").all_inner_texts() == list(load("tales").run(TEXT).encodings[0].labels)


def test_a_letter_with_more_marks_than_a_browser_draws_is_taken_without_them(page: Page, file: Path) -> None:
    """100,000 of them kept the tab busy for a minute, and so did every later key."""
    go(page, file)
    area = page.get_by_role("textbox", name="Text", exact=True)
    area.fill("The bird ")
    area.focus()
    page.keyboard.insert_text("e" + "\u0301" * 100_000 + " sat")
    expect(page.locator("#live-status")).to_contain_text("of the marks on one letter the first 1,000 are here")
    assert area.input_value() == "The bird e" + "\u0301" * 1000 + " sat"
    page.keyboard.press("Backspace")
    assert area.input_value().endswith(" sa")
    expect(page.locator("#live-status")).not_to_contain_text("marks")


def test_a_folder_has_large_models_beside_it(tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here `tales` is the large one; from disk it can only be chosen by hand."""
    monkeypatch.setattr(live, "LARGE", 200_000)
    live.write_folder(tmp_path, [load("induction"), load("tales")])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "index.html",
        "tales.attnviz",
    ]
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "index.html").as_uri() + "#model=tales&text=The+fox")
    expect(page.locator("#live-trouble")).to_contain_text("Choose the file below")
    wrong = tmp_path / "wrong.attnviz"
    data = (tmp_path / "models/tales.attnviz").read_bytes()
    wrong.write_bytes(data[:-2] + b"\x01\x02")
    page.get_by_label("The model’s file").set_input_files(wrong)
    expect(page.locator("#live-trouble")).to_contain_text("its SHA-256 is")
    wrong.write_bytes(data[:-2])
    page.get_by_label("The model’s file").set_input_files(wrong)
    expect(page.locator("#live-trouble")).to_contain_text("bytes of")
    page.get_by_label("The model’s file").set_input_files(tmp_path / "models/tales.attnviz")
    page.wait_for_selector("#attnviz-live[data-ready]")
    assert page.locator("#live-trouble").is_hidden()
    context.close()


def test_the_page_may_load_nothing_and_send_nothing() -> None:
    text = live.html([live.held(load("induction"))])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None and "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text.partition("<script")[0])


def test_positions_that_the_page_does_not_compute_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_node("give([...model_positions.SCHEMES])") == list(live.POSITIONS)
    monkeypatch.setattr(live, "POSITIONS", ("none", "rope"))
    assert live.why_not(load("austen")) == ""
    assert live.why_not(load("induction")).startswith("Induction has ALiBi, which the live page does not compute")
    with pytest.raises(ModelError, match="has ALiBi, which"):
        live.held(load("induction"))


def test_models_that_the_page_cannot_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--single", str(tmp_path / "x.html"), "--model", "scratch:bert-tiny", "minilm", "x"]) == 1
    assert capsys.readouterr().err and not list(tmp_path.iterdir())
    digits = load("digits")
    assert isinstance(digits.preprocessor, Preprocessing)
    with pytest.raises(ModelError, match="Digits reads images of 16 × 16 × 1: in the live page"):
        live.held(replace(digits, preprocessor=replace(digits.preprocessor, size=16)))
    one = live.held(load("induction"))
    with pytest.raises(InvalidParameterError, match="different names"):
        live.html([one, one])


def test_a_live_report_opens_as_asked_and_its_text_can_be_changed(
    page: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = tmp_path / "report.html", "The fox saw <b>me</b>."
    change = ["--temperature", "0.5", "--unscaled", "--mask", "causal"]
    assert main(["report", "--live", text, "--model", "tales", *change, "--out", str(path)]) == 0
    assert "opens without a network" in capsys.readouterr().out
    page.goto(path.as_uri())
    page.wait_for_selector("#attnviz-live[data-ready]")
    assert page.get_by_role("textbox", name="Text", exact=True).input_value() == text
    asked = Intervention(temperature=0.5, scaled=False, mask="causal")
    assert np.abs(table(page) - weights(load("tales").run(text, intervention=asked), 0, 0)).max() <= 1e-4
    before = paints(page)
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    settled(page, before)
    assert np.abs(table(page) - weights(load("tales").run(TEXT, intervention=asked), 0, 0)).max() <= 1e-4
    for more in (["--model", "digits"], ["--model", "dates", "--target", "1997"], ["--model", "bergamot-en-pt"]):
        assert main(["report", "--live", text, *more, "--out", str(tmp_path / "no.html")]) == 1
        assert "live" in capsys.readouterr().err and not (tmp_path / "no.html").exists()
    with pytest.raises(SystemExit):
        main(["report", "--live"])


BACKGROUND = """
  let away = false, number = 0;
  const frames = new Map(), ask = requestAnimationFrame.bind(window), cancel = cancelAnimationFrame.bind(window);
  const post = Worker.prototype.postMessage;
  window.asked = 0;
  Worker.prototype.postMessage = function (...given) { window.asked += 1; post.apply(this, given); };
  Object.defineProperty(document, "hidden", { get: () => away });
  Object.defineProperty(document, "visibilityState", { get: () => (away ? "hidden" : "visible") });
  window.requestAnimationFrame = (work) => (away ? (frames.set(--number, work), number) : ask(work));
  window.cancelAnimationFrame = (one) => (one < 0 ? frames.delete(one) : cancel(one));
  window.turn = (to) => {
    away = to;
    document.dispatchEvent(new Event("visibilitychange"));
    if (!away) frames.forEach((work) => ask(work)), frames.clear();
  };
"""
PICTURES = "() => [...document.querySelectorAll('#attnviz-view canvas.base')].map((one) => one.toDataURL())"


def test_a_tab_in_the_background_does_what_it_was_asked_and_no_more(page: Page, file: Path) -> None:
    """Browsers give such a tab no frames; it is up to date when it is looked at again."""
    model, text = load("induction"), "Mr Dursley met Mrs Potts. Mr Dursley met"
    page.add_init_script(BACKGROUND)
    go(page, file, model="induction", text=text)
    page.get_by_role("button", name="Say the likeliest 20").click()
    expect(page.locator(".av-chip")).to_have_count(len(model.encode(text)) + 20)
    page.wait_for_timeout(400)
    expected = page.evaluate(PICTURES)
    area = page.get_by_role("textbox", name="Text", exact=True)
    before = paints(page)
    area.fill("The fox")
    settled(page, before)
    page.evaluate("turn(true)")
    before = paints(page)
    area.fill(text)
    settled(page, before)
    assert page.locator(".av-chip").all_inner_texts() == list(model.encode(text).labels)
    page.get_by_role("button", name="Say the likeliest 20").click()
    expect(page.locator(".av-chip")).to_have_count(len(model.encode(text)) + 20)
    asked = page.evaluate("asked")
    page.wait_for_timeout(400)
    assert page.evaluate("asked") == asked
    page.evaluate("turn(false)")
    page.wait_for_timeout(400)
    assert page.evaluate("asked") == asked
    assert page.evaluate(PICTURES) == expected


LINK = """
const { viewQuery, viewFromQuery } = live_link;
give(inputs.map((state) => ({ query: viewQuery(state), back: viewFromQuery(viewQuery(state)) })));
"""


WORKERS = {
    "none": "delete window.Worker",
    "one that does not start": """window.Worker = class {
      constructor() { setTimeout(() => this.onerror(new Event("error"))); }
      postMessage() {}
    }""",
}


@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
def test_a_browser_that_gives_no_worker_is_told_of_in_a_sentence(page: Page, file: Path, worker: str) -> None:
    page.add_init_script(worker)
    page.goto(file.as_uri())
    trouble = page.locator("#live-trouble")
    expect(trouble).to_contain_text("worker")
    page.get_by_label("Model", exact=True).select_option("Induction")  # which must not take the sentence away
    expect(trouble).to_contain_text("worker")


def test_links_are_those_of_the_app() -> None:
    states = [
        ViewState(),
        ViewState(layer=3, head=1, queries=(10, 2), key=4, temperature=0.35, mask="window", window=7, whole=True),
        ViewState(mask="painted", painted=(*((q, k) for q in range(3) for k in (0, 1)), (5, 1), (6, 1), (6, 3))),
        ViewState(heads=((0, 1), (2, 3)), horizontal=False, sentences=(0, 1), zoom=(0, 4, 1, 3), threshold=0.05),
        ViewState(scaled=False, colour="log", diff=True, sort="entropy", tint="first", side="k", renormalise=True),
        ViewState(temperature=100.0, painted=tuple((q, 2 * k) for q in range(60) for k in range(60))),
    ]
    for state, found in zip(states, run_node(LINK, inputs=[one.to_dict() for one in states]), strict=True):
        assert found["query"] == state.to_query()
        assert ViewState.from_dict(found["back"]) == ViewState.from_query(state.to_query())
    bad = [
        {"layer": "-1"},
        {"q": "1_x"},
        {"temp": "0"},
        {"mask": "x"},
        {"cells": "1"},
        {"zoom": "3_2_0_1"},
        {"heads": "1"},
    ]
    script = "give(inputs.map((query) => live_link.viewFromQuery(query)))"
    assert run_node(script, inputs=bad) == json.loads(json.dumps([ViewState().to_dict()] * len(bad)))


def test_a_link_without_a_text_shows_one_that_its_model_reads() -> None:
    models = [{"name": name, "reads": "text", "text": live.FIRST[name]} for name in ("austen", "dates")]
    script = """give(inputs.texts.map((text) => live_link.readAddress(
      "#model=dates", { model: "austen", text, stack: "self" }, inputs.models).text))"""
    texts = [live.FIRST["austen"], "what a visitor wrote"]
    assert run_node(script, inputs={"models": models, "texts": texts}) == [live.FIRST["dates"], texts[1]]


@pytest.mark.nightly
def test_no_text_begins_or_ends_a_program() -> None:
    held = [live.held(load("induction"))]
    ours = [live.html(held, live.Start("a", ViewState())).lower().count(tag) for tag in ("<script", "</script", "<!--")]
    for text in MANY:
        page = live.html(held, live.Start(text, ViewState())).lower()
        assert [page.count(tag) for tag in ("<script", "</script", "<!--")] == ours, text
