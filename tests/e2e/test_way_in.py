"""The way in, in a real Chromium: the first minute, the words explained where they stand, the order of the lessons."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from attnviz.web.course import CHAPTERS
from attnviz.web.glossary import entries
from tests.e2e.driver import QUIET, Open, serious, still, visiting

STEPS = ("Tokens", "Layers and heads", "A query looks at keys", "The weight", "What changes it")
PHONE = (390, 844)
HEADER = 60  # px of the window that the page's header takes


def ready(page: Page) -> None:
    page.wait_for_selector(".av-say")


def read(page: Page) -> None:
    """Until the words of the page are listed."""
    page.wait_for_selector(".aw-words button")


visit = visiting("", ready)
visit_softmax = visiting("softmax", read)
visit_glossary = visiting("glossary", lambda page: page.wait_for_selector(".aw-glossary .entry"))


def card(page: Page, step: int) -> None:
    expect(page.get_by_role("dialog", name=STEPS[step])).to_be_visible()


def covers(page: Page, selector: str) -> bool:
    """Whether the card lies over one of the elements."""
    return bool(
        page.locator(selector).evaluate_all(
            """(all, card) => all.map((e) => e.getBoundingClientRect()).some(({left, top, right, bottom}) =>
              card.x < right && left < card.x + card.width && card.y < bottom && top < card.y + card.height)""",
            page.locator(".as-card").bounding_box(),
        )
    )


def covers_the_cell(page: Page) -> bool:
    """Whether the card lies over the marked cell of the matrix."""
    box = page.locator(".as-card").bounding_box()
    x, y, size = page.locator("[data-cell]").evaluate(
        """canvas => {
          const {left, top} = canvas.getBoundingClientRect(), [x, y, size] = canvas.dataset.cell.split(" ").map(Number);
          return [left + x, top + y, size];
        }"""
    )
    assert box is not None and size > 10
    across, down = box["x"] - size < x < box["x"] + box["width"], box["y"] - size < y < box["y"] + box["height"]
    return bool(across and down)


def answer_opens_in_its_room(page: Page) -> None:
    """The card of the last step stays as it is when its answer opens."""
    before, answer = page.locator(".as-card").bounding_box(), page.locator("#as-answer")
    expect(answer).to_be_hidden()
    page.get_by_text("What is a head? Say it in your own words").click()
    expect(answer).to_be_visible()
    expect(answer).to_contain_text("One way of looking")
    page.wait_for_timeout(300)  # its place is looked after every 200 ms
    assert page.locator(".as-card").bounding_box() == before


def remembered(page: Page, name: str) -> str | None:
    told: str | None = page.evaluate(f"localStorage.getItem('attnviz.{name}')")
    return told


# ---- the first minute ------------------------------------------------------------------------------


def test_the_start_by_mouse_points_at_the_picture_and_is_remembered(visit: Open) -> None:
    page = visit("", (1280, 720))
    page.get_by_role("button", name="New here? 60 seconds").click()
    says = page.locator(".as-says")
    parts = (".av-chips", ".av-heads", ".av-matrix", ".av-why", ".av-controls")
    for step, part in enumerate(parts):
        card(page, step)
        ring, box = page.locator(".as-ring").bounding_box(), page.locator(part).bounding_box()
        assert ring is not None and box is not None
        assert abs(ring["x"] + 6 - box["x"]) < 2 and abs(ring["y"] + 6 - box["y"]) < 2, part
        assert not covers_the_cell(page), part
        assert not covers(page, ".av-entropy td" if step == 2 else part), part
        if step == 0:
            expect(says).to_contain_text("16 tokens")
        if step == 1:  # the picture stays usable, and the card follows it
            expect(says).to_contain_text("6 layers with 12 heads each")
            expect(says).to_contain_text("layer 3, head 1")
            page.locator(".av-heads canvas.over").press("ArrowDown")
            expect(says).not_to_contain_text("layer 3, head 1")
            page.locator(".av-heads canvas.over").press("ArrowUp")
        if step == 3:
            expect(says).to_contain_text("it gives animal 68\u202f%")
        if step < 4:
            page.get_by_role("button", name="Next").click()
    page.get_by_role("radio", name="Causal").click()
    page.locator(".av-controls input[type=range]").first.press("ArrowLeft")
    expect(says).to_contain_text("it was 68\u202f%")
    answer_opens_in_its_room(page)
    assert not covers(page, ".av-controls") and not covers(page, ".av-entropy td")
    assert serious(page) == []
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".as-card")).to_be_hidden()
    expect(page.locator(".as-ring")).to_be_hidden()
    assert remembered(page, "start") == "done" and remembered(page, "done") == "explore"
    expect(page.get_by_role("button", name="New here?")).to_be_hidden()
    expect(page.locator(".aw-course")).to_contain_text("✓ This lesson is done")
    page.goto(page.url.partition("?")[0])
    ready(page)
    read(page)
    expect(page.get_by_role("button", name="New here?")).to_be_hidden()
    # and again from the list of lessons
    page.get_by_role("link", name="All lessons").click()
    expect(page.locator(".aw-course li").first).to_contain_text("✓ done")
    page.get_by_role("link", name="The 60-second start").click()
    card(page, 0)


@pytest.mark.nightly
def test_the_start_by_keyboard_and_escape_skips_it(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="New here? 60 seconds").focus()
    page.keyboard.press("Enter")
    card(page, 0)
    expect(page.locator("#as-title")).to_be_focused()
    page.keyboard.press("Enter")
    card(page, 1)
    page.keyboard.press("ArrowLeft")
    card(page, 0)
    for _ in range(2):  # Skip, Next
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card(page, 1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    card(page, 0)
    before = page.locator(".av-say").inner_text()
    page.keyboard.press("Escape")
    expect(page.locator(".as-card")).to_be_hidden()
    assert page.locator(".av-say").inner_text() == before  # Escape did not reach the view
    assert remembered(page, "start") == "skipped" and remembered(page, "done") is None
    page.get_by_role("button", name="The 60-second start").click()
    card(page, 0)


@pytest.mark.nightly
def test_the_start_survives_a_new_text_and_another_model(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="New here? 60 seconds").click()
    field = page.locator(".st-key-text textarea")
    field.fill("Birds sing at dawn.")
    field.press("Control+Enter")
    expect(page.locator(".as-says")).to_contain_text("7 tokens")
    page.get_by_role("button", name="Next").click()
    page.locator(".st-key-model input").click()
    page.get_by_role("option", name="Untrained tiny").click()
    expect(page.locator(".as-says")).to_contain_text("2 layers with 4 heads each")
    field.fill(" ")
    field.press("Control+Enter")
    expect(page.get_by_text("Type a sentence into the field")).to_be_visible()
    field.fill("Back again")
    field.press("Control+Enter")
    expect(page.locator(".av-chips")).to_contain_text("again")
    expect(page.locator(".as-card, .as-begin")).to_have_count(2)  # mounted again with the view


def test_the_start_on_a_phone_leaves_the_part_in_view(visit: Open) -> None:
    page = visit("", PHONE, has_touch=True, is_mobile=True)
    invitation = page.get_by_role("button", name="New here? 60 seconds")
    room, title = invitation.bounding_box(), page.locator("h1").bounding_box()
    assert room is not None and title is not None and 56 < room["y"] < room["y"] + room["height"] < title["y"]
    invitation.tap()
    for step, part in enumerate((".av-chips", ".av-heads", ".av-matrix", ".av-why", ".av-controls")):
        card(page, step)
        box, sheet = page.locator(part).bounding_box(), page.locator(".as-card").bounding_box()
        assert box is not None and sheet is not None
        assert HEADER <= box["y"] < sheet["y"], part  # its beginning at least
        assert sheet["x"] >= 0 and sheet["x"] + sheet["width"] <= 390 and sheet["y"] + sheet["height"] <= 844
        if step < 4:
            page.get_by_role("button", name="Next").tap()
    answer_opens_in_its_room(page)
    assert serious(page, "'[data-testid=stMain]'") == []


@pytest.mark.parametrize("query", [pytest.param("?mask=causal", marks=pytest.mark.nightly), "?text=Hi"])
def test_a_link_with_settings_is_shown_without_an_invitation(visit: Open, query: str) -> None:
    page = visit(query)
    read(page)
    expect(page.get_by_role("button", name="New here?")).to_be_hidden()


@pytest.mark.nightly
def test_where_the_browser_may_keep_nothing_the_start_works_all_the_same(visit: Open) -> None:
    refuse = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})"
    page = visit(prepare=lambda page: page.add_init_script(refuse))
    page.get_by_role("button", name="No, thank you").click()
    expect(page.get_by_role("button", name="New here?")).to_be_hidden()


# ---- the words --------------------------------------------------------------------------------------


def test_a_finger_gets_a_special_token_explained(visit: Open) -> None:
    page = visit("", PHONE, has_touch=True, is_mobile=True)
    read(page)
    page.locator(".av-chip.sp").first.tap()
    expect(page.locator(".aw-words .aw-card")).to_contain_text("The special token that models like BERT put first")
    expect(page.locator(".aw-words .aw-card")).not_to_contain_text("null")
    menu = page.get_by_test_id("stExpandSidebarButton")
    assert menu.evaluate("e => getComputedStyle(e, '::after').content") == '"Menu"'
    # the menu is as short as a screen: all pages, the lessons first, and where the text is typed
    menu.tap()
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "false")
    still(page)
    links = page.get_by_test_id("stSidebarNavLink")
    places = {link.inner_text(): (link.bounding_box() or {})["y"] for link in links.all()}
    assert max(places["Start here"], places["Masks"]) < places["All models"] < max(places.values()) < 560
    field = page.locator(".st-key-text textarea").bounding_box()
    assert field is not None and max(places.values()) < field["y"] < field["y"] + field["height"] < PHONE[1]


def point_at(page: Page, word: str, holder: str) -> dict[str, float]:
    """The middle of a word's first place in an element."""
    place: dict[str, float] = page.locator(holder).first.evaluate(
        """(element, word) => {
          const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
          for (let node; (node = walker.nextNode()); ) {
            const at = node.data.indexOf(word);
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            const {x, y, width, height} = range.getBoundingClientRect();
            return {x: x + width / 2, y: y + height / 2};
          }
        }""",
        word,
    )
    return place


def explained(page: Page, term: str) -> None:
    says = next(entry.says for entry in entries() if entry.term == term)
    expect(page.locator(".aw-words .aw-card")).to_be_visible()
    expect(page.locator(".aw-words .aw-card")).to_contain_text(says)


def test_a_word_is_explained_on_hover_on_focus_and_on_tap(visit_softmax: Open) -> None:
    page = visit_softmax()
    explanation = page.locator(".aw-card")
    page.mouse.move(**point_at(page, "attention", ".st-key-lesson-sentence-main"))
    explained(page, "attention")
    page.mouse.move(5, 400, steps=3)
    expect(explanation).to_be_hidden()
    # Escape leaves a word alone that the pointer has just come to: it came later, where the page no longer was
    page.mouse.move(**point_at(page, "attention", ".st-key-lesson-sentence-main"))
    page.keyboard.press("Escape")
    page.wait_for_timeout(600)
    expect(explanation).to_be_hidden()
    # by keyboard: the list at the foot is one stop, and arrows go through it
    page.locator(".aw-words button[tabindex='0']").focus()
    first = page.locator(".aw-words button").first.inner_text()
    explained(page, first)
    page.keyboard.press("ArrowRight")
    explained(page, page.locator(".aw-words button").nth(1).inner_text())
    described = page.locator(".aw-words button").nth(1).get_attribute("aria-describedby")
    assert page.locator(f"#{described}").inner_text()
    page.keyboard.press("Escape")
    expect(explanation).to_be_hidden()
    assert serious(page) == []
    # the words of the reader are not explained
    page.mouse.move(**point_at(page, "animal", ".st-key-lesson-sentence-main"))
    page.wait_for_timeout(600)
    expect(explanation).to_be_hidden()


@pytest.mark.nightly
def test_a_word_is_explained_on_a_tap_and_leads_to_the_page_that_shows_it(visit_softmax: Open) -> None:
    page = visit_softmax("?text=Two+birds+sing.", PHONE, has_touch=True, is_mobile=True)
    place = point_at(page, "attention", ".st-key-lesson-sentence-main")
    page.touchscreen.tap(**place)
    explained(page, "attention")
    page.get_by_role("link", name="See it on “Explore”").tap()
    ready(page)
    expect(page.locator(".av-chips")).to_contain_text("birds")  # the session went on


@pytest.mark.nightly
def test_every_term_stands_on_the_page_that_the_glossary_leads_to(open_app: Open) -> None:
    """“logit” led to Generate, where it stood in a formula only."""
    places: dict[tuple[str, str], set[str]] = {}
    for entry in entries():
        path = "" if entry.page == "explore" else entry.page
        places.setdefault((path, urlencode({**entry.query, "revealed": "1"})), set()).add(entry.term)
    for (path, query), terms in places.items():
        page = open_app(f"{path}?{query}", size=(1440, 4000))
        page.wait_for_selector(QUIET)
        for term in terms:
            word = page.locator(".aw-words .list button").filter(has_text=re.compile(f"^{re.escape(term)}$"))
            expect(word, f"{term} on {path}").to_have_count(1)


def test_a_card_leads_to_no_page_on_which_it_stands(visit: Open) -> None:
    """“[UNK]” led to another text on the page that showed it already."""
    page = visit("?text=I+like+%F0%9F%98%80.")
    read(page)
    for term in ("[CLS]", "[UNK]"):
        page.locator(".aw-words button", has_text=term).focus()
        explained(page, term)
        expect(page.locator(".aw-words .aw-card a")).to_have_count(0)


def test_nothing_of_the_page_is_changed_and_words_in_fields_are_left_alone(visit: Open) -> None:
    page = visit("?text=The+head+of+the+query")
    read(page)
    page.locator(".st-key-text textarea").hover()
    page.wait_for_timeout(600)
    expect(page.locator(".aw-card")).to_be_hidden()
    marked = page.evaluate(
        """[...CSS.highlights.get('attnviz-term')].map(({startContainer, startOffset, endOffset}) =>
          startContainer.data.slice(startOffset, endOffset))"""
    )
    chips = page.evaluate(
        """[...CSS.highlights.get('attnviz-term')].some((range) =>
          range.startContainer.parentElement.closest('.av-chips'))"""
    )
    assert {"layer", "layers"} & {word.lower() for word in marked} and not chips  # where it stands first


def test_words_are_marked_where_one_looks(visit_softmax: Open) -> None:
    """The browser paints whatever is marked at every change of the page: what is far from the window is not."""
    page = visit_softmax("?text=Two+birds+sing.")
    read(page)
    marks = """[...CSS.highlights.get('attnviz-term') ?? []].map(({startContainer}) => {
      const {top, bottom} = startContainer.parentElement.getBoundingClientRect();
      return bottom > -250 && top < innerHeight + 250;
    })"""
    near = f"() => {{ const marks = {marks}; return marks.length && marks.every(Boolean); }}"
    page.wait_for_function(near)
    above = page.evaluate(f"{marks}.length")
    page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, main.scrollHeight / 2)")
    page.wait_for_function(near)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop > 500")
    page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_function(f"{marks}.length === {above}")


# ---- the glossary and the lessons -----------------------------------------------------------------------


@pytest.mark.nightly
def test_the_glossary_is_searched(visit_glossary: Open) -> None:
    page = visit_glossary()
    rows = page.locator(".aw-glossary .entry:visible")
    expect(rows).to_have_count(len(entries()))
    page.get_by_role("searchbox", name="Search").fill("rotary")
    expect(rows).to_have_count(1)
    expect(page.locator(".count")).to_have_text(f"1 of {len(entries())} terms")
    page.get_by_role("searchbox", name="Search").fill("zebra")
    expect(page.locator(".count")).to_contain_text("No term")
    page.get_by_role("searchbox", name="Search").fill("[PAD]")
    assert serious(page) == []
    page.get_by_role("link", name="Masks").last.click()
    page.wait_for_url("**/masks**")
    page.wait_for_selector(QUIET)
    expect(page.get_by_text("[PAD]").first).to_be_visible()


LINKS = sorted({json.dumps(dict(entry.query)) for entry in entries() if entry.page == "explore"})


@pytest.mark.nightly
@pytest.mark.parametrize("query", LINKS)
def test_explore_shows_the_terms_whose_links_lead_there(visit_glossary: Open, query: str) -> None:
    shown = [entry for entry in entries() if entry.page == "explore" and entry.query == json.loads(query)]
    page = visit_glossary()
    page.locator(".aw-glossary .entry", has=page.get_by_text(shown[0].term, exact=True)).get_by_role("link").click()
    ready(page)
    read(page)
    text = page.locator(".st-key-explore .av").inner_text() + page.locator(".av-sr").first.inner_text()
    for entry in shown:
        ways = [re.escape(spelling) for spelling in entry.spellings] + ([entry.pattern] if entry.pattern else [])
        assert any(re.search(way, text, re.IGNORECASE) for way in ways), entry.term


@pytest.mark.nightly
def test_a_guess_ticks_the_lesson_for_later_visits(visit_softmax: Open) -> None:
    page = visit_softmax("?revealed=0")
    page.locator("[class*=st-key-lesson-predict] button").first.click()
    expect(page.locator(".aw-course")).to_contain_text("✓ This lesson is done")
    expect(page.locator(".aw-course .next")).to_contain_text("Next Masks Who may look at whom? 6 min, after Softmax")
    page.reload()
    read(page)
    page.get_by_role("link", name="All lessons").click()
    lessons = page.locator(".aw-course li")
    expect(lessons.filter(has_text="✓ done")).to_have_count(1)
    expect(lessons.filter(has_text="✓ done")).to_contain_text("Softmax and temperature")
    expect(page.locator(".aw-words")).to_be_hidden()  # no term stands on this page
    expect(page.locator(".aw-course")).to_contain_text(f"1 of {len(CHAPTERS)} done; go on with Explore.")
    assert serious(page) == []
    page.get_by_role("link", name="Masks", exact=True).click()
    page.wait_for_url("**/masks**")


def test_the_next_lesson_begins_at_its_top(visit_softmax: Open) -> None:
    page = visit_softmax()
    onward = page.locator(".aw-course .next a")
    onward.scroll_into_view_if_needed()
    read(page)
    top = page.get_by_test_id("stMain")
    assert top.evaluate("e => e.scrollTop") > 500
    onward.click()
    page.wait_for_url("**/masks**")
    expect(page.locator(".aw-course .next")).to_contain_text("Next Positions")
    read(page)
    assert top.evaluate("e => e.scrollTop") == 0
    expect(page.locator("h1")).to_be_in_viewport()


# ---- the guesses ------------------------------------------------------------------------------------

QUIZZES = [
    "masks",
    *(
        pytest.param(page, marks=pytest.mark.nightly)
        for page in (
            *("softmax", "positions", "encoder_block", "variants", "generate", "step_by_step"),
            *("replay", "translate", "vision", "evidence", "program"),
        )
    ),
]


@pytest.mark.parametrize("lesson", QUIZZES)
def test_on_a_phone_a_guess_moves_nothing_of_what_stands_below(open_app: Open, lesson: str) -> None:
    """The verdict of a quiz pushed it down by 118 to 221 px, and the pictures that came by up to 1,400 more."""
    page = open_app(f"{lesson}?revealed=0", size=PHONE, has_touch=True, is_mobile=True, still=True)
    page.wait_for_selector(QUIET)
    end = page.get_by_text(re.compile("^The code that ran")).last
    end.wait_for()
    place = "e => e.getBoundingClientRect().top + document.querySelector('[data-testid=stMain]').scrollTop"
    still(page)
    before = end.evaluate(place)
    quizzes = page.locator(".stVerticalBlock[class*=st-key-lesson-predict]")
    assert quizzes.count()
    for number in range(quizzes.count()):
        quiz = quizzes.nth(number)
        quiz.locator(".stButtonGroup button").last.tap()
        expect(quiz.get_by_role("button", name="Ask me again")).to_be_visible()
        page.wait_for_selector(QUIET)
        still(page)
        assert abs(end.evaluate(place) - before) < 1, quiz.inner_text()[:60]
    cut = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.value ?? e.textContent)"
    assert page.locator(".katex-display, .stCode pre, .stMain .stSelectbox input").evaluate_all(cut) == []
