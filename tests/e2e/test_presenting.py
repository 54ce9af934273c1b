"""The presenter form, paper, and charts as pictures, in a real Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.driver import Open, sentence, sideways, still, visiting

# What stands beyond the right edge of the page; neither plotly's handles nor what roots clip are seen.
BEYOND = """() => {
  const width = document.documentElement.clientWidth, found = [];
  const look = (root) => {
    for (const e of root.querySelectorAll("*")) {
      const { width: w, height: h, right } = e.getBoundingClientRect();
      const seen = w && h && getComputedStyle(e).visibility !== "hidden";
      if (e.shadowRoot) look(e.shadowRoot);
      if (!seen || right <= width + 1 || e.closest(".js-plotly-plot, .katex svg")) continue;
      found.push(`${e.tagName} ${e.className} ${right}`);
    }
  };
  look(document.querySelector("[data-testid=stMain]"));
  return found;
}"""
# Sentences of lessons that a sheet may end with although their picture follows: between the box around one and that
# around the next, down to the picture, a break has to be avoided.
PARTED = """() => {
  const all = [...document.querySelectorAll("[data-testid=stMain] .stElementContainer")];
  const parts = all.filter(part => part.checkVisibility());
  const keeps = box => {
    for (let last = box; last; last = last.lastElementChild)
      if (getComputedStyle(last).breakAfter === "avoid" || !last.checkVisibility()) return true;
    return false;
  };
  const avoids = (box, other) => {
    while (!box.parentElement.contains(other)) box = box.parentElement;
    if (getComputedStyle(box.parentElement).display === "flex") return true;  // beside each other
    while (keeps(box) && !box.contains(other)) box = box.nextElementSibling;
    return box.contains(other);
  };
  const isPicture = part => part.matches("[class*=st-key-lesson-picture]") || part.querySelector("[data-av-matrix]");
  const isBetween = part => part.querySelector("[data-testid=stCaptionContainer]") || !part.offsetHeight;
  return parts.flatMap((part, i) => {
    if (!part.closest("[class*=st-key-lesson-sentence]") || !part.offsetHeight) return [];
    let at = i + 1;
    while (parts[at] && isBetween(parts[at]) && !isPicture(parts[at])) at++;
    if (!parts[at] || !isPicture(parts[at])) return [];
    const steps = parts.slice(i, at).every((one, k) => avoids(one, parts[i + k + 1]));
    return steps ? [] : [part.textContent];
  });
}"""
# What is printed too pale for paper, or on a ground as dark as a screen; not digits in a picture's own cells.
PALE = """() => {
  const light = ([r, g, b]) => 0.2126 * (r / 255) ** 2.2 + 0.7152 * (g / 255) ** 2.2 + 0.0722 * (b / 255) ** 2.2;
  const parts = colour => colour.startsWith("rgb") ? colour.match(/[\\d.]+/g).map(Number) : [0, 0, 0, 0];
  const found = [];
  const look = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) look(e.shadowRoot);
      if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true}) || e.closest("svg, style")) continue;
      const { color, backgroundColor, height } = getComputedStyle(e), ground = parts(backgroundColor);
      const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join("");
      if ((ground[3] ?? 1) > 0.5 && light(ground) < 0.02 && parseFloat(height) > 12) found.push(`dark ${e.className}`);
      if (text && (ground[3] ?? 1) < 0.5 && light(parts(color)) > 0.3 && !e.closest("[style*='--c']")) found.push(text);
    }
  };
  look(document.body);
  return found;
}"""
# Of the pictures that are shown: the smallest type in px, and the part of the screen above the first.
PRESENTED = """() => {
  const main = document.querySelector("[data-testid=stMain]"), sizes = [], tops = [];
  const look = (root) => {
    for (const e of root.querySelectorAll(".js-plotly-plot, .js-plotly-plot text, canvas.base")) {
      const { top, height } = e.getBoundingClientRect();
      if (!height || !e.checkVisibility()) continue;
      if (e.matches("text")) sizes.push(parseFloat(getComputedStyle(e).fontSize));
      else if (height > 100) tops.push((top + main.scrollTop) / main.clientHeight);
    }
    for (const e of root.querySelectorAll("*")) if (e.shadowRoot) look(e.shadowRoot);
  };
  look(main);
  return [Math.min(99, ...sizes), Math.min(1, ...tops), main.scrollHeight / main.clientHeight];
}"""
SHEET = (703, 1032)  # an A4 page within margins of 12 mm, in CSS pixels
UNFINISHED = "getComputedStyle(document.querySelector('.stMainBlockContainer'), '::before').content"


def ready(page: Page) -> None:
    page.wait_for_selector("h1")
    page.get_by_role("button", name="Copy link").wait_for()


lesson = visiting("softmax", ready)
masks = visiting("masks", ready)
page_of = visiting("", ready)


def presented(page: Page) -> Page:
    page.get_by_role("button", name="Present").click()
    page.get_by_role("group", name="Presenting").wait_for()
    still(page)
    return page


def place_of(page: Page) -> Locator:
    """Which section is shown, of how many."""
    return page.get_by_role("group", name="Presenting").get_by_role("status")


def on_paper(page: Page) -> None:
    """Lays a page out as for its print."""
    still(page)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.set_viewport_size({"width": SHEET[0], "height": SHEET[1]})
    page.emulate_media(media="print")
    still(page)


# ---- the presenter form --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1280, 720), pytest.param((1920, 1080), marks=pytest.mark.nightly)])
def test_one_section_fills_the_screen_in_large_type(lesson: Open, size: tuple[int, int]) -> None:
    page = presented(lesson(size=size))
    for gone in ("stHeader", "stSidebar"):
        expect(page.get_by_test_id(gone)).to_be_hidden()
    root = float(page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)"))
    assert root >= 20 and root / size[1] >= 1 / 40  # read from the back of a room
    assert sideways(page) <= 0
    bar, main = (
        page.get_by_role("group", name="Presenting").bounding_box(),
        page.get_by_test_id("stMain").bounding_box(),
    )
    assert bar is not None and main is not None and bar["y"] >= main["y"] + main["height"]  # it covers nothing
    expect(place_of(page)).to_have_text("1 of 6")
    expect(page.locator("h1")).to_be_visible()
    for later in (page.get_by_role("heading", name="Why divide by"), page.locator(".js-plotly-plot").first):
        expect(later).to_be_hidden()
    page.get_by_role("button", name="The next section").click()
    expect(place_of(page)).to_have_text("2 of 6")
    expect(page.locator("h1")).to_be_hidden()
    expect(sentence(page)).to_be_in_viewport()  # what the picture shows stays above it
    still(page)
    axis = page.locator(".js-plotly-plot .ytick text").first
    assert float(axis.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 0.75 * root
    page.evaluate("document.activeElement.blur()")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Why divide by")).to_be_visible()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(place_of(page)).to_have_text("1 of 6")


def test_the_keys_and_that_the_tab_remembers(lesson: Open) -> None:
    page = lesson()
    field = page.locator(".st-key-text textarea")
    field.focus()
    page.keyboard.press("p")  # is typed
    page.keyboard.press("Backspace")
    expect(page.get_by_role("group", name="Presenting")).to_be_hidden()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("p")
    expect(page.get_by_role("group", name="Presenting")).to_be_visible()
    for _ in range(12):  # to the end of the section, and on to the next
        page.keyboard.press("PageDown")
    expect(place_of(page)).to_have_text("6 of 6")
    page.reload()
    expect(page.get_by_role("group", name="Presenting")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stHeader")).to_be_visible()
    expect(page.get_by_role("heading", name="Why divide by")).to_be_visible()
    assert page.evaluate("document.documentElement.style.getPropertyValue('--av-scale')") == ""


@pytest.mark.nightly
def test_a_chart_fills_the_screen(lesson: Open) -> None:
    page = lesson()
    chart = page.locator(".js-plotly-plot").first
    chart.wait_for()
    before = chart.evaluate("e => e.offsetHeight")
    chart.hover()
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement?.querySelector('.js-plotly-plot')")
    page.wait_for_function(f"document.querySelector('.js-plotly-plot').offsetHeight > {before}")
    still(page)
    assert chart.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight")
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")


@pytest.mark.parametrize("name", ["", "masks"])
def test_a_matrix_fills_the_screen_and_escape_leads_back(page_of: Open, name: str) -> None:
    page = page_of(name, size=(1280, 720), dark=True)
    matrix = page.locator(".av-matrix canvas.over").first
    matrix.hover()
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement")
    page.locator("[data-whole]").wait_for()
    still(page)
    box = matrix.bounding_box()
    assert box is not None and box["height"] >= 500 and box["y"] + box["height"] <= 720
    assert page.locator("[data-whole] :is(.av-heads, .av-more, .av-chips)").locator("visible=true").count() == 0
    colours = "[document.fullscreenElement, document.querySelector('[data-testid=stApp]')]"
    assert len(set(page.evaluate(f"{colours}.map(e => getComputedStyle(e).backgroundColor)"))) == 1
    matrix.click(position={"x": box["height"] / 2, "y": box["height"] / 2})  # chooses a cell: no reason to stay
    page.keyboard.press("Escape")
    page.wait_for_function("!document.fullscreenElement")
    expect(page.get_by_test_id("stHeader")).to_be_visible()
    expect(page.locator(".av-tip").first).to_be_hidden()
    if not name:  # another panel shows alone, too
        why = page.locator(".av-main > .av-why")
        why.scroll_into_view_if_needed()
        why.hover()
        page.keyboard.press("f")
        page.locator("[data-whole=av-why]").wait_for()
        expect(why).to_be_visible()
        expect(matrix).to_be_hidden()


def test_the_picture_of_a_section_is_in_view_as_it_is_shown(masks: Open) -> None:
    page = presented(masks("?revealed=0", size=(1280, 720)))
    page.evaluate("document.activeElement.blur()")
    main = page.get_by_test_id("stMain")
    expect(place_of(page)).to_have_text("1 of 8")  # the question and what it is about, then the matrices
    expect(page.get_by_role("button", name="Show me").first).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    still(page)
    assert main.evaluate("e => e.scrollTop") == 0
    matrix = page.locator(".av-matrix canvas.over").first.bounding_box()
    assert matrix is not None and matrix["y"] <= 0.47 * 720
    expect(page.get_by_role("radiogroup", name="Mask")).to_be_in_viewport()  # what changes it stands above it


def test_matrices_grow_with_the_type_and_no_frame_runs_through_the_title(masks: Open) -> None:
    page = masks(size=(1280, 720))
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("p")
    page.get_by_role("group", name="Presenting").wait_for()
    page.get_by_test_id("stMain").focus()
    frames = "e => ['', '::before', '::after'].map(part => getComputedStyle(e, part).boxShadow)"
    assert set(page.get_by_test_id("stMain").evaluate(frames)) == {"none"}
    assert page.get_by_test_id("stMain").evaluate("e => getComputedStyle(e).outlineStyle") == "none"
    page.get_by_role("button", name="The next section").click()
    still(page)
    view = page.locator(".av-compact").first
    assert float(view.evaluate("e => getComputedStyle(e).zoom")) == pytest.approx(1.25)
    cells = [box["width"] for one in page.locator(".av-compact canvas.over").all() if (box := one.bounding_box())]
    assert min(cells[:3]) >= 0.4 * 1280
    for name, key in (("The next section", "Page Down"), ("Full screen", "f"), ("Leave", "Esc")):
        title = page.get_by_role("button", name=name, exact=True).get_attribute("title")
        assert title is not None and key in title


EVERY_PAGE = (
    *("", "lessons", "models", "generate", "translate", "vision", "heads", "what_if", "compare", "evidence", "space"),
    *("step_by_step", "softmax", "masks", "positions", "encoder_block", "variants", "program", "glossary", "replay"),
    "train",
)
IN_COLUMNS = ("vision", "program")  # what stands above their pictures is beside others: they are scrolled to


@pytest.mark.nightly
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("name", EVERY_PAGE)
def test_pictures_stand_on_the_screen_of_their_section(page_of: Open, name: str, size: tuple[int, int]) -> None:
    page = presented(page_of(f"{name}?revealed=1" if name else "", size=size))
    following = page.get_by_role("button", name="The next section")
    while True:
        still(page)
        smallest, top, height = page.evaluate(PRESENTED)
        assert smallest >= 14 * size[1] / 720, (name, place_of(page).text_content())
        assert top < 0.8 or top == 1 or name in IN_COLUMNS, (name, place_of(page).text_content(), top)
        assert height <= 2.8 or name == "glossary", (name, place_of(page).text_content(), height)
        if not following.is_visible() or following.is_disabled():
            break
        following.click()


# ---- paper ---------------------------------------------------------------------------------------


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["", "masks", "models", "softmax", "heads"])
def test_nothing_is_cut_on_paper(page_of: Open, name: str) -> None:
    page = page_of(f"{name}?revealed=1" if name else "", size=(1280, 720))
    on_paper(page)
    assert page.evaluate(BEYOND) == []
    for gone in ("stSidebar", "stHeader", "stButton", "stSelectbox", "stSlider"):
        assert page.get_by_test_id(gone).locator("visible=true").count() == 0, gone
    boxes = "[data-testid=stHorizontalBlock]:has([class*=st-key-lesson-picture])"  # on sheets flexible ones overlap
    assert {box.evaluate("e => getComputedStyle(e).display") for box in page.locator(boxes).all()} <= {"block"}
    expect(page.locator(".av-print-about")).to_contain_text("The animal didn't cross the street")
    for chart in page.locator(".js-plotly-plot").all():
        assert chart.evaluate("e => e.querySelector('.main-svg').getBoundingClientRect().right") <= SHEET[0] + 1
    page.emulate_media(media="null")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert "av-printing" not in page.evaluate("document.documentElement.className")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_paper_cuts_no_code_and_leaves_no_room_for_what_is_hidden(page_of: Open) -> None:
    page = page_of("program?revealed=0", size=(1280, 720), dark=True)
    page.locator(".stCode code").first.wait_for()
    on_paper(page)
    assert page.evaluate(PALE) == []  # paper is light, whatever the theme
    code = page.locator(".stCode pre").first
    assert code.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    hidden = page.get_by_text("Hidden until you have guessed.").first
    room = hidden.locator("xpath=ancestor::*[contains(@class, 'st-key-lesson-veil')]").bounding_box()
    assert room is not None and room["height"] < 80
    blocks = page.locator("[data-testid=stMain] [data-testid=stVerticalBlock]")  # flexible ones part from what follows
    assert set(blocks.evaluate_all("all => all.map(e => getComputedStyle(e).display)")) <= {"block", "none"}


@pytest.mark.nightly
@pytest.mark.parametrize("name", EVERY_PAGE)
def test_the_dark_theme_prints_light_and_comes_back(page_of: Open, name: str) -> None:
    page = page_of(f"{name}?revealed=1" if name else "", size=(1280, 720), dark=True)
    ground = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    before = page.evaluate(ground)
    on_paper(page)
    assert page.evaluate(PALE) == []
    inks = ".js-plotly-plot .ytick text"
    for chart in page.locator(inks).all()[:1]:
        assert chart.evaluate("e => getComputedStyle(e).fill") in ("rgb(89, 97, 110)", "rgb(42, 49, 60)")
    page.emulate_media(media="null", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ground) == before
    for chart in page.locator(inks).all()[:1]:
        assert chart.evaluate("e => getComputedStyle(e).fill") in ("rgb(163, 171, 184)", "rgb(214, 219, 227)")


def test_a_print_by_the_browser_draws_what_waits_for_an_idle_moment(page_of: Open) -> None:
    never_idle = "window.requestIdleCallback = () => 1"
    page = page_of("softmax?revealed=1", size=(1280, 720), prepare=lambda page: page.add_init_script(never_idle))
    page.locator(".js-plotly-plot").first.wait_for()
    charts = page.locator(".av-chart-plot")
    undrawn = "all => all.filter(e => e.offsetWidth && !e.querySelector('.main-svg')).length"
    still(page)
    assert charts.evaluate_all(undrawn) > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert charts.evaluate_all(undrawn) == 0


def test_a_page_that_is_printed_too_soon_says_so(page_of: Open) -> None:
    held: list[Route] = []
    hold = lambda page: page.route("**/*plotly*", lambda route: held.append(route))  # noqa: E731
    page = page_of("softmax?revealed=1", prepare=hold)
    while not held:  # the chart's own JavaScript asks for it
        page.wait_for_timeout(20)
    page.emulate_media(media="print")
    assert "Printed before all of this page was there" in page.evaluate(UNFINISHED)
    held.pop(0).continue_()
    page.emulate_media(media="screen")
    page.locator(".js-plotly-plot").first.wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate(UNFINISHED) == "none"


@pytest.mark.parametrize("name", ["encoder_block", pytest.param("positions", marks=pytest.mark.nightly)])
def test_no_sentence_parts_from_its_picture_on_paper(page_of: Open, name: str) -> None:
    page = page_of(f"{name}?revealed=1", size=(1280, 720))
    page.locator(".js-plotly-plot").first.wait_for()
    on_paper(page)
    assert page.evaluate(PARTED) == []


@pytest.mark.nightly
def test_nothing_to_press_is_on_paper(page_of: Open) -> None:
    pressed = {
        "step_by_step": ".aw-move, .aw-full .av-link",
        "vision": ".ad-tools, .ad-examples, .ap-tools",
        "positions": ".stRadio",
        "glossary": ".search",
        "models": ".av-table input, .av-anatomy summary",
    }
    for name, parts in pressed.items():
        page = page_of(f"{name}?revealed=1", size=(1280, 720))
        page.locator(parts).first.wait_for(state="attached")
        page.emulate_media(media="print")
        assert page.locator(parts).locator("visible=true").count() == 0, name


@pytest.mark.nightly
def test_explore_has_room_on_one_sheet_and_a_diagram_beside_its_title(page_of: Open) -> None:
    page = page_of("", size=(1280, 800))
    page.locator(".av-matrix canvas.over").first.wait_for()
    still(page)
    assert len(re.findall(rb"/Type /Page\b", page.pdf(prefer_css_page_size=True))) == 1
    page.goto(page.url.split("?")[0] + "models?revealed=1")
    page.locator(".av-anatomy svg").wait_for()
    on_paper(page)
    title = page.get_by_role("heading", name="What is MiniLM made of?").bounding_box()
    diagram = page.locator(".av-anatomy figure").bounding_box()
    assert title is not None and diagram is not None
    assert diagram["y"] + diagram["height"] - title["y"] <= 0.9 * SHEET[1]


# ---- pictures ------------------------------------------------------------------------------------


def test_a_chart_is_kept_as_a_picture_that_says_what_it_is_of(lesson: Open, tmp_path: Path) -> None:
    page = lesson("?revealed=1&temperature=0.5")
    page.locator(".js-plotly-plot").first.wait_for()
    saved = {}
    for kind, button in (("svg", "Picture (SVG)"), ("png", "PNG")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).first.click()
        saved[kind] = tmp_path / download.value.suggested_filename
        assert saved[kind].name == f"attnviz-row.{kind}"
        download.value.save_as(saved[kind])
    picture = ElementTree.parse(saved["svg"]).getroot()
    said = " ".join("".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert "MiniLM" in said and "The animal didn't cross the street" in said
    assert "temperature 0.5 · layer 3 · head 1" in said and "animal" in said
    width = float(picture.attrib["width"])
    assert Image.open(saved["png"]).size[0] == 2 * width
    page.set_content(saved["svg"].read_text("utf-8"))
    edges = page.locator("svg text").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    left = page.locator("svg").first.evaluate("e => e.getBoundingClientRect().left")
    assert max(edges) <= left + width
