"""Step by step in a real Chromium: every step by keyboard alone, any number traced, weights edited, links restored."""

import re
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from attnviz import Model
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.analysis.provenance.worked_example import by_hand
from tests.e2e.driver import QUIET, SENTENCE, Open, at_widths, query_of, seen, visiting

ROOT = "[...document.querySelectorAll('*')].map((e) => e.shadowRoot).find((s) => s?.querySelector('.aw'))"
FROM_THE_TOP = "e => e.getBoundingClientRect().top + document.querySelector('.stMain').scrollTop"
ATTENTION = ("x", "q", "k", "v", "split", "scores", "scaled", "mask", "softmax", "values", "concat", "out")
STEPS = (*ATTENTION, "r", "m", "h", "a", "f", "s", "y")  # of the example, and of MiniLM after its first layer


def ready(page: Page) -> None:
    page.wait_for_selector(".aw-m [data-cell]")


visit = visiting("step_by_step", ready)
# Two pages on which tests walk from step to step; what they look at is all that they change.
hand = seen("step_by_step", ready)
dark = seen("step_by_step", ready, query="?of=text&step=scores&layer=2", dark=True)


def go(page: Page, step: str) -> Page:
    """The page at a step."""
    page.locator(f'[data-step="{step}"]').click()
    expect(page.locator(f'[data-step="{step}"]')).to_have_attribute("aria-selected", "true")
    return page


def cell(page: Page, name: str) -> Any:
    return page.locator(f'.aw-stage [data-cell="{name}"]')


def crumbs(page: Page) -> list[str]:
    return page.locator(".aw-crumbs li").all_inner_texts()


def result(page: Page) -> str:
    return page.locator(".aw-cell output").inner_text()


def shown(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    return text if value >= 0 or float(text) == 0 else f"−{text}"


def held(page: Page) -> str:
    """The key of the cell, or the text of the element, under the keyboard."""
    return page.evaluate(f"((e) => e?.dataset.cell ?? e?.textContent ?? '')({ROOT}.activeElement)")


def scrolls_sideways(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_every_number_of_the_example_is_the_librarys(hand: Page) -> None:
    page, one, names = hand, by_hand(), set()
    for step in STEPS:
        go(page, step)
        for key, text in page.eval_on_selector_all(
            ".aw-stage [data-cell]", "cells => cells.map((c) => [c.dataset.cell, c.textContent])"
        ):
            name, row, col = key.split(":")
            values = one[name].values
            whole = (values[np.isfinite(values)] % 1 == 0).all()
            value = one[name].at(int(row), int(col))
            assert text == ("−∞" if value == -np.inf else shown(value, 0 if whole else 2)), key
            names.add(name)
        for number, of in page.eval_on_selector_all(
            ".aw-trace .aw-f", "all => all.map((f) => [f.textContent, f.dataset.factor])"
        ):
            assert number == brief(one, of)
    assert names == set(one.matrices) - {f"{kind}.1" for kind in ("scores", "scaled", "mask", "masked", "weights")}


def brief(one: Any, key: str) -> str:
    """A number in the panel: four digits, or all where they are not more."""
    name, row, col = key.split(":")
    value = one[name].at(int(row), int(col))
    return "−∞" if value == -np.inf else f"{float(f'{value:.4g}'):g}".replace("-", "−")


def test_from_an_output_down_to_the_embedding_and_back(hand: Page) -> None:
    page = go(hand, "out")
    cell(page, "out:1:0").click()
    for factor in ("concat:1:0", "z.0:1:0", "V:0:0", "x:0:2", "E:0:2"):
        page.locator(f'.aw-trace [data-factor="{factor}"]').click()
        name = factor.split(":")[0]
        expect(cell(page, factor)).to_have_class(re.compile(r"\bon\b"))
        assert crumbs(page)[-1].startswith(name.split(".")[0])
    expect(page.locator(".aw-what")).to_contain_text("table of 3 token embeddings")
    assert crumbs(page) == ["out[1,0]", "concat[1,0]", "z0[1,0]", "V[0,0]", "x[0,2]", "E[0,2]"]
    page.locator(".aw-up").click()
    assert len(crumbs(page)) == 5 and page.locator('[aria-selected="true"]').get_attribute("data-step") == "x"
    page.locator(".aw-crumbs button").first.click()
    assert crumbs(page) == ["out[1,0]"] and result(page) == shown(by_hand()["out"].at(1, 0), 2)


def test_by_keyboard_alone_through_all_steps(visit: Open) -> None:
    page = visit()
    page.locator('[data-step="x"]').focus()
    for step in STEPS[1:]:
        page.keyboard.press("ArrowRight")
        assert page.evaluate(f"{ROOT}.activeElement.dataset.step") == step
    page.keyboard.press("Home")
    page.keyboard.press("End")
    assert page.evaluate(f"{ROOT}.activeElement.dataset.step") == "y"
    for _ in STEPS[STEPS.index("out") + 1 :]:
        page.keyboard.press("ArrowLeft")
    assert page.evaluate(f"{ROOT}.activeElement.dataset.step") == "out"
    page.keyboard.press("Tab")
    assert held(page) == "‹ Back"
    page.keyboard.press("Enter")
    expect(page.locator('[data-step="concat"]')).to_have_attribute("aria-selected", "true")
    page.keyboard.press("PageDown")
    page.keyboard.press("Tab")  # Next
    page.keyboard.press("Tab")
    assert held(page).startswith("concat:")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert held(page).startswith("out:")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert held(page) == "out:2:1" and crumbs(page) == ["out[2,1]"]
    expect(page.locator("[aria-live=polite]", has_text="out")).to_have_text(re.compile("the sum of 4 terms"))
    page.keyboard.press("Tab")  # the crumbs
    while page.evaluate(f"{ROOT}.activeElement.dataset.factor") is None:
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert crumbs(page) == ["out[2,1]", "concat[2,1]"]
    page.keyboard.press("Enter")
    assert len(crumbs(page)) == 3
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    assert crumbs(page) == ["out[2,1]"]


def test_hover_previews_and_leaves(hand: Page) -> None:
    page = go(hand, "scores")
    before = result(page)
    cell(page, "scores.0:2:2").hover()
    assert result(page) == "−1" and "hz" in cell(page, "Q:2:0").get_attribute("class")
    assert "vt" in cell(page, "K:2:1").get_attribute("class")
    page.mouse.move(5, 5)
    assert result(page) == before


@pytest.mark.nightly
def test_what_stands_below_keeps_its_place(hand: Page) -> None:
    tops = []
    for step in ("m", "concat", "x"):  # the highest of them first
        go(hand, step)
        hand.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
        tops.append(hand.locator(".st-key-lesson-tries").evaluate(FROM_THE_TOP))
    assert tops == tops[:1] * 3


def test_a_far_higher_step_leaves_no_empty_stretch_and_the_page_stays(dark: Page) -> None:
    go(dark, "scores")
    view = dark.locator(".aw")
    high = view.evaluate("e => e.offsetHeight")
    dark.locator("[data-testid=stMain]").evaluate("e => (e.scrollTop = 300)")
    place = "e => [e.getBoundingClientRect().top, document.querySelector('.stMain').scrollTop]"
    before = view.evaluate(place)
    dark.locator('[data-step="x"]').evaluate("e => e.click()")
    expect(dark.locator('[data-step="x"]')).to_have_attribute("aria-selected", "true")
    assert view.evaluate("e => e.offsetHeight") <= high - 400
    assert view.evaluate(place) == before
    go(dark, "scores")


def test_a_weight_is_changed_and_everything_after_it(visit: Open) -> None:
    page = visit("?step=q")
    cell(page, "W_Q:1:0").click()
    field = page.locator(".aw-edit input")
    field.fill("−1/2")
    field.press("Enter")
    one = by_hand("W_Q.1.0:-1/2")
    expect(cell(page, "Q:1:0")).to_have_text("−0.50")
    expect(page.locator(".aw-foot")).to_contain_text("1 weight changed")
    page.locator('[data-step="out"]').click()
    expect(cell(page, "out:1:0")).to_have_text(shown(one["out"].at(1, 0), 2))
    page.wait_for_url(re.compile("step=out.*edits=W_Q.1.0"))
    other = visit(query_of(page))
    expect(cell(other, "out:1:0")).to_have_text(shown(one["out"].at(1, 0), 2))
    other.locator(".aw-foot button").click()
    expect(cell(other, "out:1:0")).to_have_text(shown(by_hand()["out"].at(1, 0), 2))


def test_what_is_no_weight_gets_a_sentence_and_stays(visit: Open) -> None:
    page = visit("?step=q")
    field, note = page.locator(".aw-edit input"), page.locator(".aw-edit p")
    refused = {
        "abc": "is not a number",
        "1e30": "is outside −1000 … 1000",
        "1/0": "is not a number",
        "<b>x</b>": "is not a number",
    }
    for typed, says in refused.items():
        cell(page, "W_Q:1:0").click()
        field.fill(typed)
        field.press("Enter")
        expect(note).to_contain_text(says)
        expect(note).to_contain_text("stays 2")
        assert field.get_attribute("aria-invalid") == "true" and field.input_value() == typed
        cell(page, "Q:1:0").click()
        assert result(page) == "2"
        cell(page, "W_Q:1:0").click()
        assert field.input_value() == typed
        expect(note).to_contain_text(says)


def test_a_finger_sees_the_sum_under_the_matrices(visit: Open) -> None:
    page = visit("?step=q", size=(390, 844))
    cell(page, "x:1:0").scroll_into_view_if_needed()
    page.mouse.wheel(0, 200)
    cell(page, "x:0:2").click()
    expect(page.locator(".aw-cell output")).to_be_in_viewport()
    expect(cell(page, "x:0:2")).to_be_in_viewport()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_traced_number_is_in_the_window_on_arrival_and_a_level_down(visit: Open, size: tuple[int, int]) -> None:
    page = visit("?of=text&layer=3&head=1&path=scores.1:9:7&step=scores", size=size)
    heading = page.locator(".aw-trace .aw-cell")
    expect(heading).to_be_in_viewport(ratio=1)
    for factor in ("Q:9:", "x:9:"):
        last = page.locator(f'.aw-trace .aw-f[data-factor^="{factor}"]').last
        last.scroll_into_view_if_needed()
        last.click()
        expect(heading).to_be_in_viewport(ratio=1)
        if size[0] < 900:  # the panel stands over the tables
            expect(page.locator(".aw-stage td.on")).to_be_in_viewport(ratio=1)


@pytest.mark.nightly
def test_another_head_keeps_the_place(visit: Open) -> None:
    page = visit("?step=scores&path=scores.0:2:0")
    choose(page, "Head", "1")
    expect(cell(page, "scores.1:2:0")).to_have_class(re.compile(r"\bon\b"))
    page.locator('[data-step="q"]').click()
    assert crumbs(page) == ["Q[2,2]"]
    choose(page, "Head", "0")
    expect(page.locator(".aw-crumbs li")).to_have_text("Q[2,0]")


def test_minilm_is_elided_and_any_cell_is_reached(visit: Open, minilm: Model) -> None:
    page = visit("?of=text&layer=0&head=3&step=q")
    one = layer_provenance(minilm.transformer, minilm.run(SENTENCE), 0)
    assert page.locator(".aw-stage [data-cell]").count() < 300
    for key, text in page.eval_on_selector_all(
        ".aw-stage [data-cell]", "cells => cells.map((c) => [c.dataset.cell, c.textContent])"
    ):
        name, row, col = key.split(":")
        assert text == shown(one[name].at(int(row), int(col)), len(text.partition(".")[2])), key
    cell(page, "Q:0:96").focus()
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert held(page) == "Q:9:107" and result(page) == shown(one["Q"].at(9, 107), 2)
    expect(page.locator(".aw-terms")).to_contain_text("+ 376 smaller terms")
    numbers = [float(t.replace("−", "-")) for t in page.locator(".aw-terms td.num").all_inner_texts()]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.06)
    page.locator(".aw-terms .av-link").click()
    expect(page.locator(".aw-terms tbody tr")).to_have_count(385)


def rows(page: Page, name: str) -> set[int]:
    """The rows of a matrix that are shown."""
    return {
        int(key.split(":")[1])
        for key in page.eval_on_selector_all(
            f'.aw-stage [data-cell^="{name}:"]', "cells => cells.map((c) => c.dataset.cell)"
        )
    }


@pytest.mark.nightly
@pytest.mark.parametrize("touch", [False, True])
def test_every_row_and_column_is_reached_by_pointer(visit: Open, touch: bool) -> None:
    page = visit("?of=text&layer=3&head=1&step=softmax", **({"size": (390, 844)} if touch else {}))
    reached = rows(page, "weights.1")
    for _ in range(12):
        gaps = page.locator(".aw-stage tr.gap td").all()
        spans = [list(map(int, re.findall(r"\d+", gap.get_attribute("title")))) for gap in gaps]
        hidden = [gap for gap, (a, b) in zip(gaps, spans, strict=True) if not reached >= set(range(a, b + 1))]
        if not hidden:
            break
        hidden[-1].click()
        reached |= rows(page, "weights.1")
    assert reached == set(range(16))
    page.locator('[data-step="x"]').click()
    column = page.locator('.aw-stage th.gap[data-gap^="model:"]').first
    middle = column.get_attribute("data-gap").partition(":")[2]
    column.click()
    expect(cell(page, f"x:0:{middle}")).to_be_visible()


@pytest.mark.nightly
def test_a_layer_down_opens_at_the_same_number(visit: Open, minilm: Model) -> None:
    page = visit("?of=text&layer=3&path=x:10:6")
    number = page.locator(".aw-full b").inner_text()
    page.get_by_role("button", name="Go to layer 2").click()
    expect(page.locator(".aw-crumbs li")).to_have_text("y[10,6]")
    expect(page.locator(".st-key-lesson-sentence-main")).to_contain_text("In layer 2")
    assert page.locator(".aw-full b").inner_text() == number
    assert float(np.float32(number.replace("−", "-"))) == minilm.run(SENTENCE).layers[3].resid_pre[0, 10, 6].item()
    expect(page.get_by_role("combobox", name=re.compile("Word")).first).to_have_value("10 it")
    page.get_by_role("button", name="Go to layer 3").click()
    expect(page.locator(".aw-crumbs li")).to_have_text("x[10,6]")


@pytest.mark.nightly
def test_all_digits_agree_with_a_calculator(visit: Open, minilm: Model) -> None:
    page = visit("?of=text&layer=3&path=m:10:6")
    expect(page.locator(".aw-note")).to_have_text("Computed with all digits, shown with 4.")
    page.get_by_role("button", name="All digits").click()
    factors = [float(t.replace("−", "-")) for t in page.locator(".aw-f").all_inner_texts()]
    x, mean, variance, gamma, beta = factors
    (shown_result,) = page.locator(".aw-terms tr.total td.num").all_inner_texts()
    worked = (x - mean) / (variance + 1e-12) ** 0.5 * gamma + beta
    assert float(shown_result.replace("−", "-")) == pytest.approx(worked, abs=1e-6)
    assert minilm.run(SENTENCE).layers[3].resid_mid[0, 10, 6].item() == pytest.approx(worked, abs=1e-6)
    assert page.locator(".aw-note").count() == 0


def test_full_digits_of_what_is_pointed_at(hand: Page) -> None:
    page = go(hand, "softmax")
    one = by_hand()
    cell(page, "weights.0:1:0").hover()
    assert float(page.locator(".aw-full b").inner_text()) == one["weights.0"].at(1, 0)
    cell(page, "weights.0:1:0").click()
    in_full = page.locator(".aw-full")
    page.locator(".aw-terms td.num").first.hover()
    expect(in_full).to_contain_text("In full: the power for masked[1,0] = 1")
    page.locator(".aw-trace .aw-f").nth(1).hover()
    expect(in_full).to_contain_text("In full: masked[1,1] = ")
    page.locator(".aw-terms tr.part td.num").hover()
    full = one.terms("weights.0", 1, 0)
    expect(in_full).to_contain_text(f"In full: sum = {sum(term.value for term in full.terms):.15g}")
    page.locator(".aw-what").hover()
    expect(in_full).to_contain_text("In full: A[1,0] = ")


def test_a_product_names_its_factors_and_the_dimension_of_the_head(hand: Page) -> None:
    page = go(hand, "scores")
    cell(page, "scores.0:1:2").click()
    page.locator(".aw-terms td.num").nth(1).hover()
    expect(page.locator(".aw-full")).to_contain_text("In full: Q[1,1] × K[2,1] = ")
    choose(page, "Head", "1")
    expect(page.locator(".aw-what")).to_contain_text("Dimension 0 of the head is column 2 of Q and K.")
    assert page.locator(".aw-terms th.lab").all_inner_texts() == ["0", "1"]
    choose(page, "Head", "0")


@pytest.mark.nightly
def test_the_hidden_numbers_bring_their_weights(visit: Open, minilm: Model) -> None:
    page = visit("?of=text&layer=3&path=f:10:6")
    one = layer_provenance(minilm.transformer, minilm.run(SENTENCE), 3)
    factor = page.locator('.aw-trace [data-factor^="a:10:"]').first
    unit = int(factor.get_attribute("data-factor").split(":")[2])
    factor.click()
    page.locator(f'.aw-trace [data-factor="h:10:{unit}"]').click()
    expect(page.locator(".aw-terms")).to_contain_text("+ 376 smaller terms")
    assert result(page) == shown(one["h"].at(10, unit), 2)
    assert crumbs(page) == ["f[10,6]", f"a[10,{unit}]", f"h[10,{unit}]"]


@pytest.mark.nightly
def test_tracing_into_another_head_brings_its_numbers(visit: Open, minilm: Model) -> None:
    page = visit("?of=text&layer=2&head=0&step=concat&path=concat:4:200")
    one = layer_provenance(minilm.transformer, minilm.run(SENTENCE), 2)
    page.locator('.aw-trace [data-factor="z.6:4:200"]').click()
    expect(page.locator(".aw-terms tbody tr").first).to_be_visible()
    expect(page.locator(".aw-what")).to_contain_text("Every word’s value")
    assert result(page) == shown(one["z.6"].at(4, 200), 2) and crumbs(page)[0] == "concat[4,200]"
    page.wait_for_url(re.compile("head=6"))


@pytest.mark.nightly
def test_controls_and_the_link(visit: Open) -> None:
    page = visit("?of=text&layer=1&head=2&step=softmax")
    choose(page, "Layer", "4")
    expect(page.locator(".st-key-lesson-sentence-main")).to_contain_text("In layer 4, head 2")
    choose(page, "Head", "7")
    expect(page.locator(".st-key-lesson-sentence-main")).to_contain_text("In layer 4, head 7")
    expect(cell(page, "weights.7:0:0")).to_be_visible()
    choose(page, "Mask", "causal (only the past)")
    page.locator('[data-step="mask"]').click()
    expect(cell(page, "mask.7:0:1")).to_have_text("−∞")
    page.locator('[data-step="softmax"]').click()
    cell(page, "weights.7:12:0").click()
    page.wait_for_url(re.compile(r"path=weights.7%3A12%3A0"))
    expect(page.get_by_role("combobox", name=re.compile("Word")).first).to_have_value("12 too")
    other = visit(query_of(page))
    expect(cell(other, "weights.7:12:0")).to_have_class(re.compile(r"\bon\b"))
    assert result(other) == result(page)
    other.get_by_role("radio", name="By hand").or_(other.get_by_text("By hand: 4 numbers a word")).first.click()
    expect(other.locator(".aw-stage th.tok").first).to_have_text("cats")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(label)).first.click()
    page.get_by_role("option", name=option, exact=True).click()
    page.wait_for_selector(QUIET)


@pytest.mark.nightly
def test_every_try(visit: Open) -> None:
    page = visit()
    shows = [
        ("E:0:2", "2"),
        ("weights.0:1:1", "0.94"),
        ("weights.1:0:2", "0.40"),
        ("m:0:1", "−0.17"),
        ("weights.1:10:2", "0.68"),
        ("Qr:15:48", "−2.81"),
    ]
    for number, (key, text) in enumerate(shows):
        page.locator(f".st-key-step_by_step-try-{number} button").click()
        expect(cell(page, key)).to_have_text(text)
        expect(page.locator(".aw-crumbs li")).to_have_count(6 if number == 0 else 1)
    expect(page.locator(".st-key-lesson-sentence-main")).to_contain_text("In layer 3, head 1, “it”")  # kept in Austen
    expect(page).to_have_url(re.compile("of=text.*step=turn.*model=austen"))


@pytest.mark.nightly
def test_hostile_words_are_only_text(visit: Open) -> None:
    text = "%3Cimg src=x onerror=alert(1)%3E **b** `c` $x$ [l](http://a.b)"
    page = visit(f"?of=text&step=scores&query=1&text={text}")
    assert page.locator(".aw-stage img, .aw-trace img, .aw-stage a").count() == 0
    assert "<" in page.locator(".aw-stage th.tok").all_inner_texts()
    for step in ("embnorm", *STEPS):
        page.locator(f'[data-step="{step}"]').click()


@pytest.mark.nightly
def test_one_token(visit: Open) -> None:
    page = visit("?of=text&model=scratch:gpt&text=a&step=softmax")
    for step in page.eval_on_selector_all("[data-step]", "all => all.map((b) => b.dataset.step)"):
        page.locator(f'[data-step="{step}"]').click()
        expect(page.locator(".aw-terms, .aw-what").first).to_be_visible()


def in_its_place(page: Page) -> None:
    """At every step, nothing scrolls sideways or stands beyond the edge."""
    for step in STEPS:
        go(page, step)
        assert not scrolls_sideways(page), step
        inside = "(e) => e.getBoundingClientRect().right <= innerWidth + 1"
        assert page.evaluate(f"[...{ROOT}.querySelectorAll('figure, table, button')].every({inside})"), step


@pytest.mark.nightly
def test_nothing_scrolls_sideways(hand: Page, dark: Page) -> None:
    for page, sizes in ((hand, [(900, 844)]), (dark, [(390, 844), (1440, 844)])):
        for _ in at_widths(page, *sizes):
            in_its_place(page)


def accessible(page: Page) -> None:
    """axe finds nothing serious in the component."""
    page.locator(".aw").evaluate("(e) => { e.getRootNode().host.id = 'walk-host'; }")
    context = {"include": [{"fromShadowDom": ["#walk-host", ".aw"]}]}
    found = Axe().run(page, context=context, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
    bad = [v for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert not bad, [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in bad]


@pytest.mark.nightly
def test_axe_finds_nothing_serious(hand: Page, dark: Page) -> None:
    go(hand, "q")
    cell(hand, "W_Q:1:0").click()
    expect(hand.locator(".aw-edit input")).to_be_visible()
    accessible(hand)
    accessible(go(hand, "mask"))
    accessible(go(dark, "scores"))
