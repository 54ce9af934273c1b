"""The attention view in Chromium: pointer, keyboard, speech, themes, hostile texts, files, the app."""

import csv
import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from attnviz import Intervention, Model, Trace, attend
from attnviz.browser.attention_message import pack
from attnviz.browser.view_state import ViewState
from tests.e2e.driver import QUIET, SENTENCE, Open, relabelled, serious, settle, state_of, still
from tests.support.hostile_texts import HOSTILE

IT, ANIMAL = 10, 2
CHOSEN = {"layer": 3, "head": 1, "queries": [IT]}


@pytest.fixture(scope="module")
def message(trace: Trace) -> bytes:
    return pack(trace, title="MiniLM", name="minilm")


@pytest.fixture(scope="module")
def long_message(minilm: Model) -> bytes:
    return pack(minilm.run(" ".join([SENTENCE] * 9)), title="MiniLM", name="minilm")


def say(page: Page) -> str:
    return page.locator(".av-say").inner_text().replace("\u202f", " ")


def spoken(page: Page) -> Locator:
    """What a screen reader says; it comes a moment after the key."""
    return page.locator(".av-sr[role=status]")


def cell(page: Page, query: int, key: int) -> tuple[float, float]:
    """Where a cell of the matrix is, in pixels of its canvas."""
    x, y = page.evaluate(
        """([q, k]) => {
          const l = view.screen.lay.matrix;
          return [l.x(k) + l.c / 2, l.y(q) + l.c / 2];
        }""",
        [query, key],
    )
    return x, y


def percent(x: float) -> str:
    """A weight of 10 % or more as the view writes it."""
    return f"{x * 100:.0f} %"


def matrix(page: Page) -> Locator:
    return page.locator(".av-matrix canvas.over")


def point(page: Page, query: int, key: int, *, click: bool = False, **options: Any) -> None:
    x, y = cell(page, query, key)
    if click:
        matrix(page).click(position={"x": x, "y": y}, **options)
    else:
        matrix(page).hover(position={"x": x, "y": y}, **options)
    settle(page)


def weight(trace: Trace, layer: int, head: int, query: int, key: int) -> float:
    return float(trace.layers[layer].attention.weights[0, head, query, key])


# ---- what is shown -------------------------------------------------------------------------------


def test_the_sentence_says_the_models_number(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=CHOSEN)
    share = percent(weight(trace, 3, 1, IT, ANIMAL))
    assert say(page) == f"In layer 3, head 1, it gives {share} of its attention to animal."
    assert page.locator("h1").inner_text() == "Where does each word look?"
    assert page.locator(".av-matrix h2").inner_text().startswith("Layer 3, head 1")


def test_without_a_choice_it_says_what_to_do(open_view: Open, message: bytes) -> None:
    page = open_view(message)
    assert say(page) == "Choose a word to see where it looks."
    why = page.locator(".av-why").inner_text()
    assert why.endswith("Choose a cell to see the products behind its weight.")


def test_the_products_add_up_to_the_share(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "key": ANIMAL})
    a = trace.layers[3].attention
    total = float((a.q[0, 1, IT] * a.k[0, 1, ANIMAL]).sum())
    steps = page.locator(".av-sum").inner_text().replace("\u202f", " ").split()
    shown_sum = f"{total:.2f}"  # so many decimals that a calculator gets what follows
    assert shown_sum in steps and f"{total / 32**0.5:.2f}" == f"{float(shown_sum) / 32**0.5:.2f}" in steps
    share = page.locator(".av-sum .res b").inner_text().replace("\u202f", " ")
    assert share == percent(weight(trace, 3, 1, IT, ANIMAL))


def test_the_colours_on_the_canvas_follow_the_weights(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={"layer": 3, "head": 1})
    read = """(cells) => {
      const c = document.querySelector('.av-matrix canvas.base'), r = c.width / c.offsetWidth;
      const g = c.getContext('2d'), l = view.screen.lay.matrix;
      return cells.map(([q, k]) => {
        const [red, green, blue] = g.getImageData((l.x(k) + 3) * r, (l.y(q) + 3) * r, 1, 1).data;
        return red + green + blue;
      });
    }"""
    cells = [(i, j) for i in range(16) for j in range(16)]
    light = np.array(page.evaluate(read, cells))
    shown = trace.layers[3].attention.weights[0, 1].flatten().numpy()
    order = np.argsort(shown)
    assert light[order[0]] > light[order[-1]] + 300
    assert np.all(np.diff(light[order]) <= 3)  # darker with every larger weight, but for rounding


# ---- pointer -------------------------------------------------------------------------------------


def test_hover_previews_click_locks_escape_lets_go(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    point(page, 6, 8)
    assert "cross gives" in say(page) and say(page).endswith("to street.")
    assert page.locator(".av-tip").inner_text().replace("\u202f", " ") == "cross → street60 %"
    page.mouse.move(5, 5)
    settle(page)
    assert "it gives" in say(page)
    point(page, 6, 8, click=True)
    page.mouse.move(5, 5)
    settle(page)
    assert say(page).endswith("to street.")
    assert (state_of(page)["queries"], state_of(page)["key"]) == ([6], 8)
    page.keyboard.press("Escape")
    settle(page)
    assert state_of(page)["queries"] == [] and say(page).startswith("Choose a word")


def test_a_head_is_previewed_and_chosen_in_the_grid(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    x, y = page.evaluate("view.screen.lay.grid.at(2 * 12 + 5)")
    x, y = x + 8, y + 8
    grid = page.locator(".av-heads canvas.over")
    grid.hover(position={"x": x, "y": y})
    settle(page)
    assert page.locator(".av-tip").inner_text() == "Layer 2, head 5" and "layer 2, head 5" in say(page)
    page.mouse.move(5, 5)
    settle(page)
    assert "layer 3, head 1" in say(page)
    grid.click(position={"x": x, "y": y})
    settle(page)
    assert (state_of(page)["layer"], state_of(page)["head"]) == (2, 5)


def test_several_tokens_are_summed(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=CHOSEN)
    page.locator(".av-chip", has_text="was").click(modifiers=["Control"])
    settle(page)
    assert state_of(page)["queries"] == [IT, 11]
    rows = trace.layers[3].attention.weights[0, 1, [IT, 11]].sum(0)
    best = int(rows.argmax())
    assert f"it and was together give {float(rows[best]):.2f} of 2" in say(page)


def test_a_key_shows_who_looks_at_it(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={"layer": 3, "head": 1})
    x, y = page.evaluate(f"(() => {{ const [x, y] = view.screen.lay.lines.k({ANIMAL}); return [x + 14, y]; }})()")
    page.locator(".av-lines canvas.over").click(position={"x": x, "y": y})
    settle(page)
    state = state_of(page)
    assert (state["side"], state["key"], state["queries"]) == ("k", ANIMAL, [])
    best = int(trace.layers[3].attention.weights[0, 1, :, ANIMAL].argmax())
    assert f"{trace.encodings[0].labels[best]} gives" in say(page)


def test_heads_can_be_compared_in_the_curves(open_view: Open, message: bytes) -> None:
    page = open_view(message, state={**CHOSEN, "heads": [[2, 3]]})
    names = page.locator(".av-legend button")
    expect(names).to_have_count(2)
    assert names.all_inner_texts() == ["layer 3, head 1", "layer 2, head 3"]
    names.nth(1).click()
    settle(page)
    assert state_of(page)["heads"] == [] and page.locator(".av-legend").is_hidden()


# ---- which head links "it" to "trophy" most? ------------------------------------------------------

TROPHY = "The trophy does not fit in the suitcase because it is too big."


@pytest.fixture(scope="module")
def trophy(minilm: Model) -> Trace:
    return minilm.run(TROPHY)


def linked(page: Page, trophy: Trace) -> None:
    """The answer names the heads with most weight in the cell, its numbers are torch's, and it leads there."""
    query, key = (trophy.encodings[0].labels.index(label) for label in ("it", "trophy"))
    links = torch.stack([layer.attention.weights[0, :, query, key] for layer in trophy.layers]).flatten()
    (first, second), (most, next_most) = links.topk(2).indices.tolist(), links.topk(2).values.tolist()
    answer = page.locator(".av-answer")
    expect(answer).to_contain_text("it looks at trophy most in")
    name, next_name = (f"layer {head // 12}, head {head % 12}" for head in (first, second))
    said = answer.inner_text().replace("\u202f", " ")
    start = f"it looks at trophy most in {name} ({percent(most)}), then {next_name} ({percent(next_most)})"
    assert said.startswith(start), said
    assert said.endswith("; even attention would give 6.3 %."), said  # a sixteenth
    answer.get_by_role("button").first.press("Enter")
    settle(page)
    assert say(page) == f"In {name}, it gives {percent(most)} of its attention to trophy."


def test_a_click_on_the_cell_asks_every_head(open_view: Open, trophy: Trace) -> None:
    page = open_view(pack(trophy))
    labels = trophy.encodings[0].labels
    point(page, labels.index("it"), labels.index("trophy"), click=True)
    page.locator(".av-ask label", has_text="Colour").click()
    settle(page)
    tint = page.evaluate("view.page.overview.tintOf(view.heads.score('asked'), view.asking.value(37))")
    share = weight(trophy, 3, 1, labels.index("it"), labels.index("trophy"))
    assert tint["text"] == f"{share * 100:.0f}"  # what stands in the grid
    linked(page, trophy)
    assert state_of(page)["tint"] == "asked"
    page.keyboard.press("Escape")
    expect(page.locator(".av-answer")).to_have_text(re.compile("^Choose a word"))
    expect(page.get_by_label("Colour of the heads", exact=True)).to_have_value("weights")
    kept = "async () => { view.cards = [['a']]; mounted.update({message: await load(0)}); return view.cards; }"
    assert page.evaluate(kept) == [["a"]]  # a new run of the model leaves what its heads are for


def test_the_keyboard_asks_every_head(open_view: Open, trophy: Trace) -> None:
    page = open_view(pack(trophy))
    page.get_by_label("About the query").focus()
    page.keyboard.type("it")
    page.keyboard.press("Tab")
    page.keyboard.type("trophy")
    linked(page, trophy)


def test_two_taps_on_a_phone_ask_every_head(open_view: Open, trophy: Trace) -> None:
    page = open_view(pack(trophy), size=(390, 844), has_touch=True, is_mobile=True)
    page.locator(".av-chip", has_text=re.compile("^it$")).tap()
    expect(page.locator(".av-answer")).to_contain_text("Other tokens look at it most in")
    page.get_by_label("Looking at the key", exact=True).select_option("trophy")
    linked(page, trophy)


# ---- keyboard and speech -------------------------------------------------------------------------


def test_the_keyboard_reaches_everything(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=CHOSEN)
    seen = torch.stack([layer.attention.weights[0, :, :, IT] for layer in trace.layers])  # (L, H, T)
    most = ((seen.sum(dim=2) - seen[:, :, IT]) / 15).flatten().topk(4).indices.tolist()
    stops = []
    page.mouse.click(720, 3)
    for _ in range(30):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => {
              const e = document.activeElement;
              const label = e.getAttribute('aria-label') || e.closest('label')?.innerText;
              return e === document.body ? '' : (label || e.innerText).trim();
            }"""
        )
        if not name:
            break
        stops.append(name)
    expected = [
        "Join pieces into words",
        "Hide special tokens",
        "Save …",
        "it",
        "About the query",
        "Looking at the key",
        "Colour the heads by it",
        *(f"Layer {k // 12}, head {k % 12}" for k in most),
        "Order of the heads",
        "Colour of the heads",
        "All heads",
        "Attention matrix",
        "Curves",
        "The products",
        "Mask it",
        "Temperature, typed",
        "Temperature",
        "As trained",
        "Divide by",
        "More settings",
    ]
    found = [next((e for e in expected if stop.startswith(e)), stop) for stop in stops]
    assert found == expected


def test_arrows_move_the_cell_and_it_is_read_aloud(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "key": ANIMAL})
    matrix(page).focus()
    page.keyboard.press("ArrowLeft")
    share = f"{weight(trace, 3, 1, IT, 1) * 100:.1f}\u202f%"
    expect(spoken(page)).to_have_text(f"layer 3, head 1: 'it' attends to 'the' {share}")
    assert state_of(page)["key"] == ANIMAL  # moved, not yet locked
    page.keyboard.press("Enter")
    settle(page)
    assert state_of(page)["key"] == 1
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert state_of(page)["queries"] == [IT - 1]
    page.keyboard.press("Escape")
    assert state_of(page)["queries"] == []


def test_arrows_move_through_heads(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    page.locator(".av-heads canvas.over").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    settle(page)
    assert (state_of(page)["layer"], state_of(page)["head"]) == (4, 2)
    expect(spoken(page)).to_have_text(re.compile("^layer 4, head 2: 'it' attends to"))
    for _ in range(20):
        page.keyboard.press("ArrowUp")  # a row per layer, as on every other page
    assert state_of(page)["layer"] == 0


def test_arrows_in_curves_and_chips(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    page.locator(".av-lines canvas.over").focus()
    page.keyboard.press("ArrowDown")
    assert "was gives" in say_after(page)
    page.keyboard.press("Enter")
    assert state_of(page)["queries"] == [11]
    page.locator(".av-chip", has_text="was").focus()
    page.keyboard.press("ArrowRight")
    assert "too gives" in say_after(page)
    page.keyboard.press("Enter")
    assert state_of(page)["queries"] == [12]


def say_after(page: Page) -> str:
    settle(page)
    return say(page)


def test_roles_names_and_the_text_alternative(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    for name in ("All heads", "Attention matrix", "Who looks at whom", "Why this weight", "What if"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    expect(page.get_by_role("slider", name="Temperature")).to_have_attribute("aria-valuetext", "1")
    expect(page.get_by_role("radio", name="As trained")).to_be_checked()
    expect(page.get_by_role("switch", name="Divide by")).to_be_checked()
    summary = page.locator(f"#{matrix(page).get_attribute('aria-describedby')}").inner_text()
    assert summary.startswith("Layer 3, head 1, 16 queries by 16 keys. Largest weight: '[CLS]' to '[CLS]'")
    page.get_by_text("More settings").click()
    page.get_by_role("button", name="Read this head as a list").click()
    rows = page.locator(".av-list li")
    expect(rows).to_have_count(16)
    assert rows.nth(IT).inner_text().replace("\u202f", " ").startswith("it → animal 68 %")


def test_axe_finds_nothing_serious(open_view: Open, message: bytes) -> None:
    state = {**CHOSEN, "mask": "causal", "diff": True, "heads": [[2, 3]]}
    page = open_view(message, state=state, live=True)
    page.get_by_text("More settings").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("#root")).to_have_attribute("data-theme", scheme)
        assert serious(page) == [], scheme


# ---- controls ------------------------------------------------------------------------------------


def test_temperature_and_mask_recompute(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "key": ANIMAL})
    slider = page.get_by_role("slider", name="Temperature")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    settle(page)
    tau = state_of(page)["temperature"]
    assert tau == 0.5
    assert page.get_by_label("Temperature, typed").input_value() == "0.5"  # what divides the score
    own = trace.layers[3].attention
    sharp = (own.scores[0, 1] / tau).softmax(-1)
    assert f"gives {percent(float(sharp[IT, ANIMAL]))}" in say(page)
    bits = float(-(sharp[IT] * sharp[IT].log2()).sum())
    plain = own.weights[0, 1, IT]
    change = bits - float(-(plain * plain.log2()).sum())
    row = page.locator(".av-entropy tbody tr").first.inner_text().split("\t")
    assert row == ["it", f"{2**bits:.1f} of 16", f"{bits:.2f}\u202fbits (−{abs(change):.2f})"]
    page.get_by_role("radio", name="Causal").click()
    settle(page)
    point(page, 3, 9)
    assert page.locator(".av-tip").inner_text().endswith("masked")
    assert "cannot see" in say(page)
    page.get_by_role("button", name="Reset").click()
    settle(page)
    assert state_of(page)["temperature"] == 1 and state_of(page)["mask"] == "model"


def test_round_temperatures_can_be_reached_and_any_typed(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    slider = page.get_by_role("slider", name="Temperature")
    box = slider.bounding_box()
    assert box is not None
    dragged = set()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for x in range(-40, 45):
        page.mouse.move(box["x"] + box["width"] / 2 + x * 2.6, box["y"] + box["height"] / 2)
        settle(page)
        dragged.add(state_of(page)["temperature"])
    page.mouse.up()
    assert {0.1, 0.2, 0.25, 0.5, 1, 2, 4, 5, 10} <= dragged and len(dragged) < 45
    typed = page.get_by_label("Temperature, typed")
    for text, value in (("0.333", 0.333), ("2,5", 2.5), ("1000", 100), ("0", 0.01)):
        typed.fill(text)
        typed.press("Enter")
        assert state_of(page)["temperature"] == value
    typed.fill("warm")
    typed.press("Enter")
    assert (state_of(page)["temperature"], typed.input_value()) == (0.01, "0.01")
    typed.fill("0.22")
    typed.press("Enter")
    slider.focus()
    page.keyboard.press("ArrowRight")  # from between two steps to the next
    assert state_of(page)["temperature"] == 0.25


def test_a_cell_is_masked_and_unmasked_by_a_button(open_view: Open, message: bytes) -> None:
    page = open_view(message, state={**CHOSEN, "painted": [[3, 3]]})  # painted once, under another mask
    page.get_by_role("button", name="Mask it").focus()
    page.keyboard.press("Enter")
    settle(page)
    state = state_of(page)
    assert (state["mask"], state["painted"], state["key"]) == ("painted", [[IT, ANIMAL]], ANIMAL)
    assert say(page).endswith("the cell is blocked by hand.")
    page.get_by_role("button", name="Unmask it").click()
    settle(page)
    assert state_of(page)["painted"] == []
    assert page.get_by_role("button", name="Trace this number").count() == 0  # no page around that could show it
    page.get_by_role("radio", name="Causal").click()
    point(page, 2, 9, click=True)
    expect(page.get_by_role("button", name="Mask it")).to_have_attribute("aria-disabled", "true")


def test_the_entropy_is_that_of_the_row_that_shows(open_view: Open, message: bytes, trace: Trace) -> None:
    """Hidden tokens keep what they take: the weights are those of the whole row, and so is its entropy."""
    row = trace.layers[3].attention.weights[0, 1, IT]
    entropy = page_entropy(open_view(message, state={**CHOSEN, "hide": True}))
    assert entropy == ["it", f"{spread(row):.1f} of 16", f"{bits(row):.2f}\u202fbits"]
    rest = row[1:-1] / row[1:-1].sum()  # without [CLS] and [SEP]
    entropy = page_entropy(open_view(message, state={**CHOSEN, "hide": True, "renormalise": True}))
    assert entropy == ["it", f"{spread(rest):.1f} of 14", f"{bits(rest):.2f}\u202fbits"]


def page_entropy(page: Page) -> list[str]:
    return page.locator(".av-entropy tbody tr").first.inner_text().split("\t")


def bits(row: torch.Tensor) -> float:
    return float(-(row * row.log2()).sum())


def spread(row: torch.Tensor) -> float:
    return float(2 ** bits(row))


def test_two_numbers_for_joined_words_are_explained(open_view: Open, minilm: Model) -> None:
    run = minilm.run("The trophy doesn't fit in the suitcase because it's too big.")
    labels = run.encodings[0].labels
    state = {"layer": 3, "head": 1, "queries": [labels.index("it")], "join": True}
    page = open_view(pack(run, name="minilm"), state=state)
    why = page.locator(".av-why")
    pair = why.locator("h2 bdi").all_inner_texts()
    assert pair[0] in ("it", "'", "s")  # the piece, not the word: the steps below are its own
    query = next(i for i in range(labels.index("it"), labels.index("it") + 3) if labels[i] == pair[0])
    share = percent(float(run.layers[3].attention.weights[0, 1, query, labels.index(pair[1])]))
    assert why.locator(".res b").inner_text().replace("\u202f", " ") == share
    told = re.search(r"gives (\S+ %)", say(page))
    assert told and told[1] != share
    note = why.locator(".av-detail.note").inner_text().replace("\u202f", " ")
    assert note == f"This is the strongest pair of pieces; the matrix shows {told[1]}: 3 query pieces average."
    alone = open_view(pack(run, name="minilm"), state={**state, "join": False})
    assert alone.locator(".av-detail.note").inner_text() == ""


def test_the_first_heads_of_an_order_have_names_and_numbers(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "sort": "previous"})
    weights = torch.stack([layer.attention.weights[0] for layer in trace.layers])  # (L, H, T, S)
    shares = weights.diagonal(-1, 2, 3).mean(-1)
    best = shares.flatten().argsort(descending=True)[:4].tolist()
    named = [f"{k // 12}.{k % 12}{percent(float(shares.flatten()[k]))}" for k in best]
    buttons = page.locator(".av-best button")
    assert [text.replace("\u202f", " ") for text in buttons.all_inner_texts()] == named
    buttons.nth(1).click()
    settle(page)
    assert [state_of(page)[part] for part in ("layer", "head")] == [best[1] // 12, best[1] % 12]
    before = page.evaluate("JSON.stringify(view.screen.box)")
    page.wait_for_timeout(500)  # nothing moves any more
    assert page.evaluate("JSON.stringify(view.screen.box)") == before


@pytest.mark.nightly
@pytest.mark.parametrize("width", [1440, 1280, 900, 390])
def test_no_text_of_the_page_is_cut(open_view: Open, message: bytes, width: int) -> None:
    state = {**CHOSEN, "diff": True, "mask": "causal", "temperature": 0.333, "join": True, "scaled": False}
    page = open_view(message, state=state, size=(width, 900), live=True)
    page.get_by_text("More settings").click()
    page.locator(".av-why canvas").first.hover(position={"x": 30, "y": 40})
    settle(page)
    assert re.match(r"dimension \d+ \(column \d+ of Q\): ", page.locator(".av-detail").first.inner_text())
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.av *')]
          .filter((e) => e.offsetParent && !e.closest('.av-sr, .av-long, .av-list') && e.tagName !== 'CANVAS')
          .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth && e.tagName !== 'SELECT')
          .filter((e) => getComputedStyle(e).display !== 'inline')
          .map((e) => `${e.className || e.tagName}: ${e.innerText}`)"""
    )
    assert cut == []


def test_as_trained_is_said_in_words(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message)
    assert page.locator(".av-gloss").inner_text() == "as trained = none: each word sees all"
    expect(page.get_by_role("switch", name="Show the change")).to_be_hidden()
    page.get_by_role("radio", name="None", exact=True).click()
    expect(page.get_by_role("switch", name="Show the change")).to_be_hidden()  # the same as trained
    page.get_by_role("radio", name="Window").click()
    expect(page.get_by_role("switch", name="Show the change")).to_be_attached()
    page.get_by_role("button", name="wider").click()
    assert state_of(page)["window"] == 5


def test_the_change_is_signed(open_view: Open, message: bytes, trace: Trace) -> None:
    state = {"layer": 3, "head": 1, "queries": [1], "key": ANIMAL, "mask": "causal", "diff": True}
    page = open_view(message, state=state)
    assert "the cannot see animal" in say(page)
    point(page, 6, 0)
    causal = trace.layers[3].attention.scores[0, 1, 6, :7].softmax(-1)[0]
    points = (float(causal) - weight(trace, 3, 1, 6, 0)) * 100
    assert page.locator(".av-tip").inner_text() == f"cross → [CLS]+{points:.0f} points"


def test_joined_and_hidden(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=CHOSEN)
    page.get_by_role("switch", name="Join pieces into words").click()
    page.get_by_role("switch", name="Hide special tokens").click()
    settle(page)
    texts = page.locator(".av-chip").all_inner_texts()
    assert texts == SENTENCE.lower().replace(".", " .").split()
    a = trace.layers[3].attention.weights[0, 1, IT]
    taken = float(a[0] + a[-1])
    note = page.locator(".av-matrix h2 small").inner_text().replace("\u202f", " ")
    assert note == f"hidden special tokens take {percent(taken)} of this row"


def test_the_whole_model_shows_before_and_after(open_view: Open, minilm: Model, trace: Trace, message: bytes) -> None:
    changed = minilm.run(SENTENCE, intervention=Intervention(temperature=0.4))
    state = {**CHOSEN, "temperature": 0.4, "key": ANIMAL}
    page = open_view(message, pack(changed, name="minilm", before=trace), state=state, live=True)
    alone = (trace.layers[3].attention.scores[0, 1, IT] / 0.4).softmax(-1)[ANIMAL]
    assert percent(float(alone)) in say(page)
    page.get_by_role("radio", name="Rerun the model").click()
    expect(page.locator(".av-main")).to_have_attribute("aria-busy", "true")
    page.evaluate("async () => mounted.update({message: await load(1), state: null})")
    settle(page)
    expect(page.locator(".av-main")).to_have_attribute("aria-busy", "false")
    after = weight(changed, 3, 1, IT, ANIMAL)
    assert percent(after) in say(page)
    page.get_by_role("switch", name="Show the change").click()
    settle(page)
    points = (after - weight(trace, 3, 1, IT, ANIMAL)) * 100
    size, way = f"{abs(points):.{0 if abs(points) >= 9.95 else 1}f}", "more" if points > 0 else "less"
    assert f"{size} points {way} than in the trained model" in say(page)


# ---- state ---------------------------------------------------------------------------------------


def test_choices_are_reported_once_after_a_pause(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    slider = page.get_by_role("slider", name="Temperature")
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("states.length") == 0
    page.wait_for_function("states.length > 0")
    reported = page.evaluate("states[0]")
    assert reported["temperature"] == state_of(page)["temperature"] != 1
    page.evaluate("(s) => mounted.update({message: view.bytes, state: s})", reported)
    page.wait_for_timeout(400)  # the echo changes nothing
    assert page.evaluate("states.length") == 1


def test_states_from_outside(open_view: Open, message: bytes) -> None:
    impossible = {
        "layer": 99,
        "head": 99,
        "queries": [500],
        "key": 77,
        "zoom": [0, 90, 0, 90],
        "heads": [[8, 8]],
    }
    page = open_view(message, state=impossible)
    possible = {"layer": 5, "head": 11, "queries": [], "key": None, "zoom": None, "heads": []}
    assert {name: state_of(page)[name] for name in impossible} == possible
    given = {"layer": 1, "head": 2, "queries": [3], "colour": "log"}
    page.evaluate("(state) => mounted.update({message: view.bytes, state})", given)
    settle(page)
    assert say(page).startswith("In layer 1, head 2, didn gives")


def test_nothing_is_drawn_while_nothing_moves(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    page.evaluate(
        """() => {
          const paint = view.page.paint.bind(view.page);
          window.paints = 0;
          view.page.paint = () => { window.paints++; paint(); };
        }"""
    )
    page.wait_for_timeout(500)
    assert page.evaluate("paints") == 0
    point(page, 3, 3)
    assert 1 <= page.evaluate("paints") <= 4


# ---- long texts ----------------------------------------------------------------------------------


def test_zoom_and_pan(open_view: Open, long_message: bytes) -> None:
    page = open_view(long_message, state={"layer": 3, "head": 1})
    tokens = page.evaluate("view.store.model.T")
    assert tokens > 100
    matrix(page).focus()
    page.keyboard.press("ArrowDown")
    for _ in range(5):
        page.keyboard.press("+")
    settle(page)
    zoom = state_of(page)["zoom"]
    assert zoom is not None and zoom[1] - zoom[0] < tokens / 4 and page.evaluate("view.screen.lay.matrix.c") > 14
    box = matrix(page).bounding_box()
    assert box is not None
    before = page.evaluate("view.zoom.visible().q0")
    page.mouse.move(box["x"] + 400, box["y"] + 400)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 300, steps=4)
    page.mouse.up()
    settle(page)
    assert page.evaluate("view.zoom.visible().q0") > before + 2
    assert state_of(page)["queries"] == []  # a drag is no click
    matrix(page).focus()
    page.keyboard.press("0")
    settle(page)
    assert state_of(page)["zoom"] is None


Finger = tuple[float, float]


def swipe(page: Page, *fingers: tuple[Finger, Finger], steps: int = 5) -> None:
    """Fingers that go down together, move each from one place of the matrix to another, and lift one by one."""
    session = page.context.new_cdp_session(page)
    box = matrix(page).bounding_box()
    assert box is not None

    def send(kind: str, part: float, count: int) -> None:
        points = [
            {"x": box["x"] + a[0] + part * (b[0] - a[0]), "y": box["y"] + a[1] + part * (b[1] - a[1]), "id": i}
            for i, (a, b) in enumerate(fingers[:count])
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for count in range(1, len(fingers) + 1):
        send("touchStart", 0, count)
    for step in range(1, steps + 1):
        send("touchMove", step / steps, len(fingers))
    settle(page)
    for count in range(len(fingers) - 1, -1, -1):
        send("touchEnd", 1, count)
    settle(page)


def test_two_fingers_zoom_the_matrix(open_view: Open, long_message: bytes) -> None:
    page = open_view(long_message, state={"layer": 3, "head": 1}, size=(390, 844), has_touch=True, is_mobile=True)
    matrix(page).scroll_into_view_if_needed()
    tokens, scrolled = page.evaluate("[view.store.model.T, scrollY]")
    for ax, ay, anchored in [(1.0, 0.0, False), (0.0, 1.0, False), (0.7, 0.7, True), (0.0, 1.0, True)]:

        def at(distance: float) -> Finger:
            return 220 + ax * distance, 240 + ay * distance  # noqa: B023

        swipe(page, (at(-30), at(-30) if anchored else at(-90)), (at(30), at(90)))
        seen = page.evaluate("(() => { const v = view.zoom.visible(); return v.q1 - v.q0; })()")
        wanted = 30 / (60 if anchored else 90) * tokens  # as much closer as the fingers went apart
        assert seen == pytest.approx(wanted, rel=0.25), (ax, ay, anchored)
        assert page.evaluate("[visualViewport.scale, scrollY]") == [1, scrolled]  # the page itself stayed
        assert state_of(page)["queries"] == [] and state_of(page)["zoom"] is not None
        swipe(page, (at(-90), at(-20)), (at(90), at(20)))
        assert state_of(page)["zoom"] is None and not page.evaluate("view.zoom.zoomed()")


def test_one_finger_scrolls_the_page_and_pans_the_zoomed_matrix(open_view: Open, long_message: bytes) -> None:
    page = open_view(long_message, state={"layer": 3, "head": 1}, size=(390, 844), has_touch=True, is_mobile=True)
    page.evaluate("view.zoom.by(4)")
    settle(page)
    before = page.evaluate("view.zoom.visible().q0")
    swipe(page, ((200, 250), (200, 150)))
    assert page.evaluate("view.zoom.visible().q0") > before + 3
    assert page.evaluate("scrollY") == 0 and state_of(page)["queries"] == []
    page.evaluate("view.zoom.by(0)")
    settle(page)
    swipe(page, ((200, 250), (200, 50)))
    page.wait_for_function("scrollY > 50")
    assert not page.evaluate("view.zoom.zoomed()")


def test_sentences_filter_the_curves(open_view: Open, long_message: bytes) -> None:
    page = open_view(long_message, state={"layer": 3, "head": 1, "sentences": [1, 0]})
    first, second = page.evaluate("view.store.model.sentences.slice(0, 2).map(([a, b]) => b - a)")
    assert page.evaluate("[view.shown.curves.nq, view.shown.curves.nk]") == [second, first]


# ---- scores of heads -----------------------------------------------------------------------------


def in_the_grid(page: Page) -> None:
    """Until every head has its score and is painted."""
    page.wait_for_function("view.heads.scored() && !view.heads.queue.length")
    settle(page)


def test_heads_in_order_of_entropy(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "sort": "entropy"})
    in_the_grid(page)
    order = page.evaluate("view.heads.order()")
    w = torch.stack([layer.attention.weights[0] for layer in trace.layers]).double()
    bits = -(w * w.clamp_min(1e-30).log2()).sum(-1).mean(-1).flatten()
    assert sorted(order) == list(range(72))
    assert torch.all(bits[order].diff() > -1e-4)


def test_order_and_colour_by_the_previous_token(open_view: Open, message: bytes, trace: Trace) -> None:
    w = torch.stack([layer.attention.weights[0] for layer in trace.layers])
    score = w.diagonal(-1, -2, -1).mean(-1).flatten()
    best = int(score.argmax())
    page = open_view(message, state=CHOSEN)
    page.get_by_role("combobox", name="Order of the heads").select_option("previous token")
    in_the_grid(page)
    order = page.evaluate("view.heads.order()")
    assert order[0] == best and torch.all(score[order].diff() < 1e-5)
    assert "Order: mean weight on the token before, largest first." in page.locator(".av-order").inner_text()
    page.get_by_role("combobox", name="Order of the heads").select_option("layer")
    page.get_by_role("combobox", name="Colour of the heads").select_option("previous token")
    in_the_grid(page)
    assert page.evaluate("view.heads.order()") is None
    light = np.array(
        page.evaluate(
            """() => {
              const canvas = document.querySelector('.av-heads canvas.base'), pen = canvas.getContext('2d');
              return [...view.heads.thumbs.keys()].map((k) => {
                const [x, y] = view.screen.lay.grid.at(k), [r, g, b] = pen.getImageData(x + 1, y + 1, 1, 1).data;
                return r + g + b;
              });
            }"""
        )
    )
    assert np.all(np.diff(light[np.argsort(score.numpy())]) <= 3)  # darker with every larger score
    assert light[best] < 250 and light.max() > 500
    assert (state_of(page)["sort"], state_of(page)["tint"]) == ("layer", "previous")
    page.locator(".av-heads canvas.over").focus()
    page.keyboard.press("ArrowRight")
    head = state_of(page)["layer"] * 12 + state_of(page)["head"]
    share = f"{float(score[head]) * 100:.{0 if score[head] >= 0.0995 else 1}f}\u202f%"
    expect(spoken(page)).to_contain_text(f"previous token {share}: 'it' attends")
    x, y = page.evaluate(f"view.screen.lay.grid.at({best})")
    page.locator(".av-heads canvas.over").hover(position={"x": x + 4, "y": y + 4})
    settle(page)
    tip = page.locator(".av-tip").inner_text().replace("\u202f", " ")
    assert tip == f"Layer {best // 12}, head {best % 12}: previous token {percent(float(score[best]))}"


def test_scores_follow_the_temperature(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**CHOSEN, "tint": "special"})
    page.evaluate("view.store.change({temperature: 0.3})")
    in_the_grid(page)
    sharp = (trace.layers[2].attention.scores[0, 5] / 0.3).softmax(-1)
    shown = page.evaluate("view.heads.scoreAt(view.heads.score('special'), 2 * 12 + 5)")
    assert shown == pytest.approx(float(sharp[:, [0, 15]].sum(-1).mean()), abs=1e-5)


def test_a_score_that_the_page_sent(open_view: Open, trace: Trace, message: bytes) -> None:
    values = torch.linspace(-2, 2, 72).reshape(6, 12)
    scored = pack(trace, name="minilm", scores={"ablation-effect": values})
    page = open_view(scored, message, state={**CHOSEN, "sort": "ablation-effect", "tint": "ablation-effect"})
    in_the_grid(page)
    assert page.evaluate("view.heads.order()") == list(range(71, -1, -1))
    assert "ablation effect; largest first, red −2.00 to blue 2.00" in page.locator(".av-order").inner_text()
    svg = saved(page, "SVG").decode()
    texts = [node.text for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")]
    assert "First: 5.11 2.00, 5.10 1.94," in " ".join(texts)  # the cells are too narrow for them
    page.evaluate("async () => mounted.update({message: await load(1), state: null})")  # a run that lacks it
    in_the_grid(page)
    assert page.evaluate("view.heads.order()") is None
    expect(page.get_by_role("combobox", name="Colour of the heads")).to_have_value("weights")


# ---- strangers' texts ----------------------------------------------------------------------------


def test_hostile_tokens_are_text(open_view: Open, minilm: Model) -> None:
    trace = minilm.run("a " * (len(HOSTILE) - 2))
    count = len(trace.encodings[0])
    assert count >= len(HOSTILE)
    labels = (HOSTILE + ["x"] * count)[:count]
    message = pack(relabelled(trace, labels), title="<b>MiniLM</b>")
    page = open_view(message, state={"layer": 1, "head": 1, "queries": [0]})
    expect(page.locator(".av-chip")).to_have_count(count)
    for i in range(0, len(HOSTILE), 7):
        page.locator(".av-chip").nth(i).hover()
        settle(page)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#root script, #root img, #root svg, #root iframe, #root a, #root style").count() == 0
    shown = page.locator(".av-chip").all_text_contents()
    assert "<script>window.hacked = 1</script>" in shown


def test_not_a_number_is_said(open_view: Open, minilm: Model) -> None:
    trace = minilm.run(SENTENCE)
    with torch.inference_mode():
        trace.layers[2].attention.q[0, 3, 4] = float("nan")
    page = open_view(pack(trace), state={"layer": 2, "head": 3, "queries": [4]})
    note = page.get_by_role("alert").inner_text()
    assert "head 2.3" in note and "not finite" in note
    assert "weights that are not numbers" in say(page)
    point(page, 6, 8)
    assert "cross gives" in say(page)


def test_cross_attention_has_two_sides(open_view: Open, trace: Trace, minilm: Model) -> None:
    source = minilm.run("Ein müdes Tier.")
    pairs = [(own.attention, other.attention) for own, other in zip(trace.layers, source.layers, strict=True)]
    crosses = [attend(own.q, other.k, other.v) for own, other in pairs]
    layers = tuple(replace(own, cross_attention=cross) for own, cross in zip(trace.layers, crosses, strict=True))
    crossed = replace(trace, layers=layers, source=source)
    page = open_view(pack(crossed, stack="cross"), state={"layer": 3, "head": 1, "queries": [IT]})
    expect(page.locator(".av-chip[data-side=q]")).to_have_count(16)
    expect(page.locator(".av-chip[data-side=k]")).to_have_count(len(source.encodings[0]))
    best = int(crosses[3].weights[0, 1, IT].argmax())
    assert say(page).endswith(f"to {source.encodings[0].labels[best]}.")


def test_right_to_left_text_lies_in_rows(open_view: Open, minilm: Model) -> None:
    page = open_view(pack(minilm.run("הילדה ראתה את החתול")), state={"layer": 3, "head": 1, "queries": [2]})
    assert page.evaluate("[view.screen.lay.lines.horizontal, view.screen.lay.lines.rtl]") == [True, True]
    first, last = page.locator(".av-chip").first.bounding_box(), page.locator(".av-chip").last.bounding_box()
    assert first is not None and last is not None and first["x"] > last["x"]
    assert page.evaluate("view.screen.lay.lines.q(0)[0] > view.screen.lay.lines.q(3)[0]")


LABELS_IN_ROWS = """() => { // per row of labels: [left, right, whether it is marked], from the left
  const proto = CanvasRenderingContext2D.prototype, fill = proto.fillText, rows = {}, over = view.screen.node.linesOver;
  proto.fillText = function (text, x, y) {
    if (this.canvas === over) {
      const m = this.getTransform(), left = m.e / m.a + x, hot = /^(600|bold)/.test(this.font);
      (rows[Math.round(m.f)] ||= []).push([left, left + this.measureText(text).width, hot]);
    }
    return fill.apply(this, arguments);
  };
  view.page.lines.paint();
  proto.fillText = fill;
  return [Object.values(rows).map((row) => row.sort((a, b) => a[0] - b[0])), view.screen.box.lines.w];
}"""


LYING = ("猫は昨日新しい魚を食べました。犬はそれを見ていた。", "هذا كتاب جديد عن اللغة العربية وتاريخها الطويل.")


@pytest.mark.nightly
@pytest.mark.parametrize("text", LYING, ids=["cjk", "rtl"])
@pytest.mark.parametrize("query", [0, 3])
def test_labels_in_rows_keep_apart_and_inside(open_view: Open, minilm: Model, text: str, query: int) -> None:
    page = open_view(pack(minilm.run(text)), state={"layer": 2, "head": 3, "queries": [query]})
    rows, width = page.evaluate(LABELS_IN_ROWS)
    assert len(rows) == 2
    for row in rows:
        boxes = [(left - 6 * hot, right + 6 * hot) for left, right, hot in row]
        assert any(hot for _, _, hot in row) and len(row) > 5
        assert boxes[0][0] >= 0 and boxes[-1][1] <= width
        assert all(after[0] - before[1] >= 4 for before, after in itertools.pairwise(boxes))


# ---- looks ---------------------------------------------------------------------------------------


def test_the_theme_follows_the_page(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    assert page.locator("#root").get_attribute("data-theme") == "light"
    page.emulate_media(color_scheme="dark")
    settle(page)
    assert page.locator("#root").get_attribute("data-theme") == "dark"
    corner = """() => {
      const c = document.querySelector('.av-matrix canvas.base'), l = view.screen.lay.matrix;
      return [...c.getContext('2d').getImageData(l.x(15) + 3, l.y(0) + 3, 1, 1).data].slice(0, 3);
    }"""
    assert max(page.evaluate(corner)) < 80
    page.evaluate(
        """() => {
          document.getElementById('root').style.setProperty('--st-background-color', '#FFFFFF');
          mounted.update({message: view.bytes, state: null});
        }"""
    )
    settle(page)
    assert page.locator("#root").get_attribute("data-theme") == "light"


SIZES = [(1440, 900), (1920, 1080), (1100, 800), (980, 900), (720, 450), (390, 844), (320, 640)]


def test_nothing_is_cut_off_or_overlaps(open_view: Open, message: bytes) -> None:
    page = open_view(message, state={**CHOSEN, "mask": "causal"}, live=True)
    for size in SIZES:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        still(page)
        settle(page)
        nothing_is_cut_off_or_overlaps(page, size)


def nothing_is_cut_off_or_overlaps(page: Page, size: tuple[int, int]) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    boxes = page.evaluate(
        """(parts) => [...document.querySelectorAll(parts)].map((e) => {
          const r = e.getBoundingClientRect();
          return [e.className, r.left, r.top, r.right, r.bottom];
        })""",
        ".av-head, .av-chips, .av-main section, .av-more",
    )
    for a, (name, left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and right <= size[0] + 0.5, name
        for other, l2, t2, r2, b2 in boxes[a + 1 :]:
            apart = r2 - 1 <= left or right - 1 <= l2 or b2 - 1 <= top or bottom - 1 <= t2
            assert apart, (name, other)
    sticking_out = page.evaluate(
        """() => [...document.querySelectorAll('.av-main section')].flatMap((section) => {
          const r = section.getBoundingClientRect();
          return [...section.querySelectorAll('canvas, .av-sum, .av-seg, h2, .av-entropy')].filter((e) => {
            const b = e.getBoundingClientRect();
            return b.width && (b.right > r.right + 2 || b.bottom > r.bottom + 4);
          }).map((e) => e.className);
        })"""
    )
    assert sticking_out == []


@pytest.mark.parametrize(
    ("size", "scale"), [((1280, 720), 1.25), pytest.param((1920, 1080), 1.8, marks=pytest.mark.nightly)]
)
def test_presented_it_grows_and_shows_the_matrix_on_one_screen(
    open_view: Open, message: bytes, size: tuple[int, int], scale: float
) -> None:
    page = open_view(message, state=CHOSEN, size=size, live=True)
    page.evaluate(
        """(scale) => {
          document.documentElement.style.setProperty("--av-scale", scale);
          dispatchEvent(new Event("av-scale"));
        }""",
        scale,
    )
    still(page)
    settle(page)
    nothing_is_cut_off_or_overlaps(page, size)
    digits = page.evaluate(
        """() => {
          const { lay: { matrix: { c, top, height } }, theme } = view.screen;
          const bottom = view.screen.node.matrix.getBoundingClientRect().top + (top + height) * theme.scale;
          return [c, Math.max(11, Math.round(c * 0.66)) * theme.scale, bottom];
        }"""
    )
    assert digits[0] >= 16 and digits[1] >= size[1] / 55 and digits[2] <= size[1]
    page.evaluate(
        """() => {
          document.documentElement.style.removeProperty("--av-scale");
          dispatchEvent(new Event("av-scale"));
        }"""
    )
    still(page)
    assert not page.locator(".av-presented").count()


def test_touch_targets_on_a_phone(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN, size=(390, 844), live=True, has_touch=True, is_mobile=True)
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, input, summary, select')]
          .filter((e) => e.offsetParent)
          .map((e) => [e.innerText || e.type, (e.closest('.av-switch') || e).getBoundingClientRect().height])
          .filter(([, height]) => height < 31.5)"""
    )
    assert small == []
    x, y = cell(page, 6, 8)
    box = matrix(page).bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + x, box["y"] + y)
    settle(page)
    assert state_of(page)["queries"] == [6]


# ---- files ---------------------------------------------------------------------------------------


def saved(page: Page, name: str) -> bytes:
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as waiting:
        page.get_by_role("menuitem", name=name).click()
    return waiting.value.path().read_bytes()


def test_files(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=CHOSEN)
    rows = list(csv.reader(io.StringIO(saved(page, "CSV").decode("utf-8-sig"))))
    values = np.array([[float(x) for x in row[1:]] for row in rows[1:]])
    np.testing.assert_allclose(values, trace.layers[3].attention.weights[0, 1].numpy(), atol=1e-5)
    assert rows[0][ANIMAL + 1] == "2 animal"
    svg = saved(page, "SVG").decode()
    texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")]
    assert "Layer 3, head 1" in texts and "animal" in texts and "68" in texts
    png = saved(page, "PNG")
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(png[16:20], "big") == 2720
    page.get_by_role("button", name="Save").click()
    page.get_by_role("menuitem", name="NPZ").click()
    assert page.evaluate("exports") == ["npz"]
    live = page.get_by_role("menuitem", name="A live page of this model")
    page.get_by_role("button", name="Save").click()
    expect(live).to_be_hidden()  # of a page that knows of none
    page.keyboard.press("Escape")
    for why, pressed in (("It is too large.", ["npz"]), ("", ["npz", "live"])):
        page.evaluate("why => mounted.update({ noLivePage: why })", why)
        page.get_by_role("button", name="Save").click()
        expect(live).to_contain_text(why or "one file")
        live.click(force=True)
        assert page.evaluate("exports") == pressed
        page.keyboard.press("Escape")


def svg_texts(page: Page) -> list[str]:
    document = ET.fromstring(saved(page, "SVG").decode())
    return ["".join(node.itertext()).replace("\u202f", " ") for node in document.iter() if node.tag.endswith("}text")]


def test_pictures_say_what_they_are_of(open_view: Open, message: bytes, trace: Trace) -> None:
    state = {**CHOSEN, "key": ANIMAL, "temperature": 0.5, "mask": "painted", "painted": [[3, 3], [3, 4]]}
    page = open_view(message, state=state, standalone=True)
    about = f"MiniLM · “{SENTENCE}”"
    settings = (
        "layer 3, head 1 · temperature 0.5 · mask: as trained (none), 2 cells blocked by hand · this softmax only"
    )
    texts = svg_texts(page)
    assert about in texts and settings in texts and "animal" in texts
    for name, title in {
        "All heads": "All heads",
        "This head": "Layer 3, head 1",
        "Curves": "Who looks at whom",
        "Why": "Why this weight",
    }.items():
        page.get_by_role("button", name="Save").click()
        page.get_by_role("menuitemradio", name=name).click()
        page.keyboard.press("Escape")
        texts = svg_texts(page)
        assert title in texts and len({"All heads", "Who looks at whom", "Why this weight"} & set(texts)) <= 1
        whole = " ".join(texts)
        assert about in whole and settings in whole
    own = (trace.layers[3].attention.scores[0, 1, IT] / 0.5).softmax(-1)
    assert percent(float(own[ANIMAL])) in whole  # the way to the share stands in the picture
    assert int.from_bytes(saved(page, "PNG")[16:20], "big") == 2 * (480 + 64)
    expect(page.locator(".av-about")).to_be_hidden()
    page.emulate_media(media="print")
    assert page.locator(".av-about").inner_text() == f"{about}\n{settings}"


def test_alone_it_offers_nothing_that_needs_a_server(open_view: Open, message: bytes) -> None:
    page = open_view(message, standalone=True)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("menuitem")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.get_by_role("menuitem")).to_have_count(0)
    assert page.get_by_text("Applies to").count() == 0


def test_destroyed_views_leave_nothing_behind(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    page.evaluate("() => mounted.destroy()")
    assert page.locator("#root *").count() == 0
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 900, "height": 700})
    settle(page)


# ---- in the app ----------------------------------------------------------------------------------


def test_the_app_keeps_the_choice_in_its_link(open_app: Open) -> None:
    received: list[int] = []

    def listen(page: Page) -> None:
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))

    page = open_app("?layer=3&head=1&q=10", prepare=listen)
    page.wait_for_selector(QUIET)
    expect(page.locator(".av-say")).to_contain_text("it gives")
    received.clear()
    page.locator(".av-chip", has_text="because").click()
    page.wait_for_url(re.compile("q=9"))
    assert sum(received) < 60_000  # the message is not sent again
    page.get_by_role("radio", name="Rerun the model").click()
    page.get_by_role("radio", name="Causal").click()
    page.wait_for_url(re.compile("whole=1"))
    expect(page.locator(".av-main")).to_have_attribute("aria-busy", "false")
    sentence = page.locator(".av-say").inner_text()
    other = open_app(page.url, dark=True)
    expect(other.locator(".av-say")).to_have_text(sentence)
    assert other.locator(".av-root").get_attribute("data-theme") == "dark"


def test_the_state_is_a_view_state(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=CHOSEN)
    assert ViewState.from_dict(json.loads(json.dumps(state_of(page)))).to_dict() == state_of(page)


def test_a_head_that_shares_its_keys_names_its_group(open_view: Open, trace: Trace) -> None:
    layers = [replace(layer, attention=replace(layer.attention, kv_heads=3)) for layer in trace.layers]
    page = open_view(pack(replace(trace, layers=tuple(layers))), state={"layer": 2, "head": 9})
    expect(page.locator(".av-matrix h2")).to_contain_text("Layer 2, head 9 in key group 2")
