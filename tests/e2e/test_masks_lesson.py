"""The page "Masks" in a real Chromium: every control, every try, painting by pointer and keyboard, the link."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from attnviz import Intervention, Model
from attnviz.analysis import causality
from attnviz.analysis.measures import relative_change
from attnviz.browser.painted_cells import read_cells
from attnviz.formatting import percent, points
from tests.e2e.driver import (
    QUIET,
    SENTENCE,
    Open,
    at_widths,
    query_of,
    seen,
    sentence,
    sideways,
    still,
    visiting,
    write,
)


def ready(page: Page) -> None:
    page.wait_for_selector(".st-key-masks-pad-with .av-say")


visit = visiting("masks", ready, still=True)
first_look = seen("masks", ready, query="?mask=painted", still=True)


def matrix(page: Page, which: str) -> Locator:
    return page.locator(f".st-key-masks-{which} canvas.over")


def press(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()


def moved(minilm: Model, change: Intervention) -> tuple[str, str]:
    """What “it” and the average token move under a change, as the page writes it."""
    found = relative_change(minilm.run(SENTENCE), minilm.run(SENTENCE, intervention=change))[-1, 0]
    return percent(float(found[10])), percent(float(found.mean()))


@pytest.mark.nightly
def test_every_mask_and_every_control(visit: Open, minilm: Model) -> None:
    page = visit()
    expect(page.locator("h1")).to_have_text("Who may look at whom?")
    it, mean = moved(minilm, Intervention(mask="causal"))
    expect(sentence(page)).to_contain_text(f"“it” has changed by {it} of its norm")
    expect(sentence(page)).to_contain_text(f"the average token’s by {mean}")
    for name, words in {
        "As trained": "As trained = none",
        "None": "Without a mask",
        "Blocks": "In blocks of 2",
        "Strided": "every 2nd token",
        "Prefix": "the first 2 tokens",
        "Painted by hand": "Drag over the matrix",
        "Causal": "itself and the past",
        "Local window": "at most 2 away",
    }.items():
        press(page, name)
        expect(sentence(page)).to_contain_text(words)
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(sentence(page)).to_contain_text("at most 3 away")
    near = Intervention(mask=("window", 3))
    it, _ = moved(minilm, near)
    expect(sentence(page)).to_contain_text(f"“it” has changed by {it}")
    for label, value in (("Layer", "5"), ("Head", "7")):
        page.get_by_role("combobox", name=label).click()
        page.get_by_role("option", name=value, exact=True).click()
    expect(page.locator(".st-key-masks-before .av-say")).to_contain_text("In layer 5, head 7")
    before, after = (
        float(minilm.run(SENTENCE, intervention=change).layers[5].attention.weights[0, 7, 10, 10])
        for change in (None, near)
    )
    expect(page.locator(".st-key-masks-change .av-say")).to_have_text(
        f"In layer 5, head 7, it gives {percent(after)} of its attention to it, "
        f"{points(after - before).removeprefix('+')} points more than in the trained model."
    )
    page.wait_for_url("**head=7**")
    words = sentence(page).inner_text()
    again = visit(query_of(page))
    assert sentence(again).inner_text() == words
    expect(again.locator(".st-key-masks-after .av-say")).to_contain_text("In layer 5, head 7")


def test_the_predictions_the_leak_test_and_the_padded_batch(visit: Open, minilm: Model) -> None:
    page = visit("?revealed=0")
    for name in ("outputs", "leak"):
        expect(page.locator(f".st-key-lesson-veil-{name}")).to_contain_text("Hidden until you have guessed")
    press(page, "Tokens in the last third of the text")
    expect(page.locator(".st-key-lesson-predict-thirds")).to_contain_text(
        "you said “Tokens in the last third of the text”, it is"
    )
    press(page, "only its own and later ones")
    expect(page.locator(".st-key-lesson-predict-leak")).to_contain_text("✓ Right. Under the causal mask no token")
    expect(page.locator("[class*=st-key-lesson-veil]")).to_have_count(0)

    expect(sentence(page, "leak")).to_contain_text("“tired” at position 13 becomes “banana”")
    where = page.get_by_role("combobox", name="Exchange")
    where.click()
    where.press_sequentially("street")  # its list is drawn in part
    page.get_by_role("option", name="8 street").click()
    expect(sentence(page, "leak")).to_contain_text("With the causal mask 8 do. The 8 outputs before it are unchanged")
    field = page.get_by_role("textbox", name="for", exact=True)
    field.fill("river")
    field.press("Enter")
    expect(sentence(page, "leak")).to_contain_text("becomes “river”")
    river = causality.word_id(minilm.tokenizer, "river")
    found = causality.exchange_token(minilm, SENTENCE, 8, river, Intervention(mask="causal"))
    assert found.noticed == tuple(range(8, 16))
    page.wait_for_url("**word=river**")
    field.fill("zzgrmpf")
    field.press("Enter")
    expect(page.get_by_text("“zzgrmpf” is not one token of this model’s vocabulary")).to_be_visible()

    expect(sentence(page, "padding")).to_contain_text("of text 2’s attention")
    press(page, "Text 1")
    expect(sentence(page, "padding")).to_contain_text("of text 1’s attention")
    press(page, "Text 0")
    expect(sentence(page, "padding")).to_contain_text("is the longest and needs none")
    page.wait_for_url("**row=0**")


def test_painting_with_the_pointer_undo_clear_and_the_link(visit: Open, minilm: Model) -> None:
    page = visit("?mask=painted", size=(1440, 1300))
    box = matrix(page, "after").bounding_box()
    assert box is not None
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"]
    undo = page.get_by_role("button", name="Undo").bounding_box()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 70, y + 1, steps=7)
    page.mouse.up()
    page.wait_for_url("**painted=**")
    link = query_of(page)
    expect(sentence(page)).to_contain_text("“it” has changed by")
    still(page)
    assert page.get_by_role("button", name="Undo").bounding_box() == undo  # it stood 28 px higher, and further right
    words = sentence(page).inner_text()
    painted = link.split("painted=")[-1].split("&")[0]
    it, mean = moved(minilm, Intervention(blocked=read_cells(painted, 256)))
    assert f"changed by {it}" in words and f"the average token’s by {mean}" in words
    again = visit(link)
    assert sentence(again).inner_text() == words
    page.mouse.move(5, 5)  # what tells of the cell pointed at goes, and the buttons find their place
    still(page)
    page.get_by_role("button", name="Undo").click()
    expect(sentence(page)).to_contain_text("256 of 256 pairs")
    page.get_by_role("button", name="Let “it” look at nothing").click()
    expect(sentence(page)).to_contain_text("240 of 256 pairs")
    page.get_by_role("button", name="Clear").click()
    expect(sentence(page)).to_contain_text("256 of 256 pairs")


@pytest.mark.nightly
def test_painting_from_the_keyboard(visit: Open) -> None:
    page = visit("?mask=painted&token=-1", size=(1440, 1300))
    expect(sentence(page)).to_contain_text("arrow keys and Space")
    matrix(page, "after").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(sentence(page)).to_contain_text("255 of 256 pairs")


@pytest.mark.nightly
def test_each_try(visit: Open) -> None:
    page = visit()
    for name, words in {
        "Hide “it” from all others": "241 of 256 pairs",
        "Let “it” look at nothing": "240 of 256 pairs",
        "Hide everything from everyone": "; 0 of 256 pairs",
        "See only the neighbours": "46 of 256 pairs",
    }.items():
        page.get_by_role("button", name=name).click()
        expect(sentence(page)).to_contain_text(words)
        if "nothing" in name or "everything" in name:
            expect(sentence(page, "starved")).to_contain_text("not NaN, and not 1/16")
    page.wait_for_url("**mask=**")
    page.wait_for_selector(QUIET)
    again = visit(query_of(page))
    assert sentence(again).inner_text() == sentence(page).inner_text()


@pytest.mark.nightly
def test_boxes_display_the_tokens_of_the_sentences(visit: Open) -> None:
    """After new texts and a thing to try; the browser's side of a list is what is read."""
    page = visit()
    box = page.get_by_role("combobox", name="Exchange")
    for text, shown in (
        ("The animal didn't cross the street because it was too wide.", "13 wide"),
        ("One two three four five six seven eight nine ten eleven twelve yes no", "14 no"),
        ("no", "1 no"),
    ):
        write(page, text)
        expect(sentence(page, "leak")).to_contain_text(f"“{shown.split()[1]}” at position {shown.split()[0]} becomes")
        expect(box).to_have_value(shown)
    page.get_by_role("button", name="See only the neighbours").click()
    expect(sentence(page)).to_contain_text("In a local window")
    expect(box).to_have_value("1 no")


def test_a_word_locked_in_one_matrix_is_locked_in_all(visit: Open) -> None:
    page = visit("?token=-1", size=(1440, 1300))
    box = matrix(page, "before").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.62 * box["height"])
    page.wait_for_url("**key=**")
    said = [page.locator(f".st-key-masks-{which} .av-say").inner_text() for which in ("before", "after")]
    assert said[0].split(" gives ")[0] == said[1].replace(" cannot see ", " gives ").split(" gives ")[0]


@pytest.mark.nightly
def test_nothing_scrolls_sideways(first_look: Page) -> None:
    for width in at_widths(first_look):
        assert sideways(first_look) <= 0, width
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert first_look.evaluate(beyond) <= 0, width


@pytest.mark.nightly
def test_the_code_that_ran(first_look: Page) -> None:
    first_look.get_by_text("The code that ran").click()
    expect(first_look.get_by_text("def attend(").first).to_be_visible()
