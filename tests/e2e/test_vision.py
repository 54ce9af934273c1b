"""Vision in a real Chromium: drawing by mouse and keyboard, the sentence that follows the pointer, links, a phone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from attnviz import Intervention, load
from attnviz.formatting import percent
from attnviz.web.components import drawing_pad
from attnviz.web.vision import state
from attnviz.web.vision.text import token_name
from tests.e2e.driver import QUIET, Open, at_widths, query_of, sentence, sideways, still, visiting

CELLS = ".ad-grid [role=gridcell]"
FIRST = (drawing_pad.read(state.FIRST) / 8.0 - 1)[None]


def ready(page: Page) -> None:
    expect(page.locator(CELLS)).to_have_count(64)
    page.wait_for_selector(QUIET)
    still(page)


visit = visiting("vision", ready)


def ink(page: Page) -> np.ndarray:
    """The drawing on screen, as its cells say it."""
    labels = page.locator(CELLS).evaluate_all("cells => cells.map(cell => cell.getAttribute('aria-label'))")
    return np.array([int(label.split("ink ")[1].split(" ")[0]) for label in labels]).reshape(8, 8)


def patch(page: Page, row: int, column: int) -> Locator:
    return page.locator(f".ap-over [data-token='{1 + 4 * row + column}']")


def covered(points: list[tuple[float, float]], radius: float) -> np.ndarray:
    """What a round pen covers of each cell's 4 × 4 squares, in NumPy; points in squares."""
    y, x = np.mgrid[0:32, 0:32] + 0.5
    marks = np.zeros((32, 32), bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        for t in np.linspace(0, 1, 400):
            marks |= (x - x0 - t * (x1 - x0)) ** 2 + (y - y0 - t * (y1 - y0)) ** 2 <= radius**2
    return marks.reshape(8, 4, 8, 4).sum(axis=(1, 3))


def test_a_stroke_of_the_mouse_is_inked_as_the_data_were_and_answered(visit: Open) -> None:
    """From an empty square: the page changes all around while the pen is down, and the stroke goes on."""
    page = visit(f"?drawing={drawing_pad.EMPTY}")
    expect(sentence(page)).to_contain_text("The drawing is empty")
    points = [(9.0, 5.0), (23.0, 5.0), (13.0, 29.0)]
    box = page.locator(".ad-grid").bounding_box()
    assert box is not None
    places = [(box["x"] + x / 32 * box["width"], box["y"] + y / 32 * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    expect(sentence(page)).to_contain_text("The model’s answer is")  # already
    page.mouse.move(*places[2], steps=8)
    page.mouse.up()
    found = ink(page)
    assert np.abs(found - covered(points, 2)).max() <= 2  # the mouse goes by whole pixels
    logits = load("digits").run(torch.from_numpy(found / 8.0 - 1).float()[None]).logits
    assert logits is not None
    best = int(logits[0].argmax())
    expect(sentence(page)).to_contain_text(
        f"“{best}” with {percent(float(logits[0].softmax(-1)[best]))}", use_inner_text=True
    )
    page.wait_for_url(f"**drawing={drawing_pad.write(torch.from_numpy(found))}**")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(sentence(page)).to_contain_text("The drawing is empty")
    assert ink(page).sum() == 0
    _the_keyboard_draws_erases_and_takes_back(page)


def _the_keyboard_draws_erases_and_takes_back(page: Page) -> None:
    page.get_by_role("radio", name="Draw").press("Tab")
    expect(page.locator(CELLS).first).to_be_focused()
    for key in ("ArrowRight", "ArrowDown", "Space", "Space", "ArrowDown", "Space", "ArrowUp", "Home"):
        page.keyboard.press(key)
    expect(page.locator(CELLS).nth(8)).to_be_focused()
    found = ink(page)
    assert (found[1, 1], found[2, 1], found.sum()) == (16, 8, 24)
    expect(sentence(page)).to_contain_text("The model’s answer is")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Backspace")
    assert ink(page).sum() == 8
    page.keyboard.press("Control+z")
    assert ink(page).sum() == 24
    page.get_by_role("button", name="A handwritten 0").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(sentence(page)).to_contain_text("The writer meant a 7")
    page.get_by_role("button", name="Clear", exact=True).press("Enter")
    expect(sentence(page)).to_contain_text("The drawing is empty")


@pytest.mark.nightly
def test_the_sentence_follows_the_pointer_and_a_patch_can_look(visit: Open) -> None:
    page, trace = visit(), load("digits").run(FIRST)
    say = page.locator(".ap .av-say")

    def expected(layer: int, head: int, query: int, key: int) -> str:
        share = percent(float(trace.attentions[layer][0, head, query, key]))
        seen = "itself" if key == query else token_name(key, trace.config)
        who = token_name(query, trace.config)
        return f"In layer {layer}, head {head}, {who} gives {share} of its attention to {seen}."

    strongest = int(trace.attentions[2][0, 0, 0].argmax())
    expect(say).to_have_text(expected(2, 0, 0, strongest), use_inner_text=True)
    patch(page, 1, 2).hover()
    expect(say).to_have_text(expected(2, 0, 0, 7), use_inner_text=True)
    patch(page, 3, 0).click()
    expect(say).to_have_text(expected(2, 0, 13, 13), use_inner_text=True)
    page.wait_for_url("**query=13**")
    page.locator(".ap-tiles [data-layer='0'][data-head='2']").hover()
    expect(say).to_contain_text("In layer 0, head 2, ")  # a look at another head, and back
    say.hover()
    expect(say).to_contain_text("In layer 2, head 0, ")
    page.locator(".ap-tiles [data-layer='1'][data-head='3']").click()
    page.wait_for_url("**head=3**")
    patch(page, 0, 1).hover()
    expect(say).to_have_text(expected(1, 3, 13, 2), use_inner_text=True)
    again = visit(query_of(page))
    expect(again.locator(".ap-big h2")).to_contain_text("Layer 1, head 3")
    patch(again, 0, 1).hover()
    expect(again.locator(".ap .av-say")).to_have_text(expected(1, 3, 13, 2), use_inner_text=True)


@pytest.mark.nightly
def test_keys_choose_patches_and_heads(visit: Open) -> None:
    page, trace = visit("?layer=2&head=3"), load("digits").run(FIRST)
    say = page.locator(".ap .av-say")
    page.locator(".ap-tiles [aria-selected=true]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".ap-big h2")).to_contain_text("Rollout to layer 1")
    expect(say).to_contain_text("Rolled out from the input to layer 1")
    page.keyboard.press("Home")
    expect(page.locator(".ap-big h2")).to_contain_text("Layer 1, head 0")
    patch(page, 0, 0).focus()
    for key in ("ArrowRight", "ArrowDown", "Enter", "ArrowRight"):
        page.keyboard.press(key)
    share = percent(float(trace.attentions[1][0, 0, 6, 7]))
    here, there = token_name(6, trace.config), token_name(7, trace.config)
    said = f"In layer 1, head 0, {here} gives {share} of its attention to {there}."
    expect(say).to_have_text(said, use_inner_text=True)
    page.keyboard.press("Escape")
    expect(say).to_contain_text("the class token gives")


def test_a_row_is_a_layer_and_a_column_a_head_as_in_explore(visit: Open) -> None:
    page = visit()
    expect(page.locator(".ap h2").first).to_contain_text("heads → layers ↓")
    named = "Heads: a row per layer, a column per head, the last column is rollout"
    expect(page.locator(".ap-tiles")).to_have_attribute("aria-label", named)
    at = {
        (layer, head): page.locator(f".ap-tiles [data-layer='{layer}'][data-head='{head}']").bounding_box()
        for layer in range(3)
        for head in (0, 1, 2, 3, -1)
    }
    boxes = {place: box for place, box in at.items() if box is not None}
    assert len(boxes) == 15
    for layer in range(3):
        row = [boxes[layer, head] for head in (0, 1, 2, 3, -1)]
        assert len({box["y"] for box in row}) == 1
        assert all(left["x"] + left["width"] < right["x"] for left, right in pairwise(row))
    for head in (0, 1, 2, 3, -1):
        column = [boxes[layer, head] for layer in range(3)]
        assert len({box["x"] for box in column}) == 1
        assert all(above["y"] + above["height"] < below["y"] for above, below in pairwise(column))
    names = page.locator(".ap-tiles .ap-name").all_inner_texts()
    assert names == ["", "0", "1", "2", "3", "rollout", "0", "1", "2"]
    page.locator(".ap-tiles").evaluate("grid => grid.style.setProperty('--tile', '13px')")  # as with 16 heads
    rollout, last = (page.locator(".ap-tiles .ap-name").nth(place).bounding_box() for place in (5, 4))
    assert rollout and last and last["x"] + last["width"] <= rollout["x"]


@pytest.mark.nightly
def test_a_head_is_switched_off_and_on_again(visit: Open) -> None:
    page = visit("?layer=0&head=1")
    page.get_by_role("button", name="Switch this head off").click()
    expect(sentence(page)).to_contain_text("With layer 0, head 1 switched off")
    logits = load("digits").run(FIRST, intervention=Intervention(head_scale={(0, 1): 0.0})).logits
    assert logits is not None
    share = percent(float(logits[0].softmax(-1)[3]))
    expect(page.locator(".ap-answer li").nth(3).locator(".share")).to_have_text(share, use_inner_text=True)
    expect(page.locator(".ap-tiles .off")).to_have_count(1)
    page.get_by_role("button", name="Switch this head on again").click()
    expect(sentence(page)).to_contain_text("The model’s answer is")


@pytest.mark.nightly
def test_a_file_is_brought_and_inverted(visit: Open, tmp_path: Path) -> None:
    values = (255 - 255 * drawing_pad.read(state.FIRST) / 16).round().to(torch.uint8).numpy()
    Image.fromarray(values).resize((80, 80), Image.Resampling.NEAREST).save(tmp_path / "three.png")
    page = visit()
    page.get_by_role("radio", name="Upload").click()
    expect(sentence(page)).to_contain_text("Choose a PNG or JPEG file")
    (tmp_path / "notes.png").write_bytes(b"no picture")
    page.set_input_files("input[type=file]", tmp_path / "notes.png")
    expect(page.get_by_text("This is no whole PNG or JPEG image")).to_be_visible()
    page.set_input_files("input[type=file]", tmp_path / "three.png")
    expect(page.get_by_text("The picture is dark on white")).to_be_visible()
    page.locator(".st-key-vision-invert label").click()
    expect(sentence(page)).to_contain_text("The model’s answer is “3”")


@pytest.mark.nightly
def test_a_finger_draws_and_chooses(visit: Open) -> None:
    page = visit(f"?drawing={drawing_pad.EMPTY}", size=(390, 844), has_touch=True)
    page.locator(CELLS).nth(27).tap()
    expect(sentence(page)).to_contain_text("The model’s answer is")
    found = ink(page)
    assert found[3, 3] > 8 and found.sum() == found[2:5, 2:5].sum()
    patch(page, 1, 1).tap()
    expect(page.locator(".ap .av-say")).to_contain_text("the patch in row 1, column 1 gives")


@pytest.mark.nightly
def test_nothing_scrolls_sideways(visit: Open) -> None:
    page = visit()
    for width in at_widths(page):
        assert sideways(page) == 0, width
        assert page.locator(".ap").evaluate("e => e.scrollWidth - e.clientWidth") == 0, width
