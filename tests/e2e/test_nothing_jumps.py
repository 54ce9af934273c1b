"""What stands below a quiz stays where it is when the answer opens, and a thing to try where it was pressed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import QUIET, Open, still

QUIZZES = {
    "softmax": ("sharper",),
    "masks": ("thirds", "leak"),
    "positions": ("shuffled",),
    "encoder_block": ("branches", "depth"),
    "variants": ("pairs", "cache"),
    "generate": ("sink",),
    "step_by_step": ("hidden",),
    "evidence": ("matters",),
    "translate": ("order",),
    "vision": ("ink",),
    "replay": ("form", "off"),
    "program": ("off",),
}
SIZES = ((360, 740), (768, 1024), (1280, 800), (1920, 1080))
# Where everything below a quiz stands on its page, by its key; not what the answer itself brings.
BELOW = """(name) => {
  const main = document.querySelector("[data-testid=stMain]");
  const quiz = document.querySelector(`.st-key-lesson-predict-${name}`);
  const rooms = [...main.querySelectorAll("[class*=st-key-lesson-room]")];
  const places = {};
  for (const one of main.querySelectorAll(".stElementContainer, h2")) {
    const key = one.matches("h2") ? one.textContent : [...one.classList].find((name) => name.startsWith("st-key-"));
    if (!key || key.includes("lesson-done") || !one.getClientRects().length) continue;
    if (!(quiz.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING) || quiz.contains(one)) continue;
    if (!rooms.some((room) => room.contains(one))) places[key] ??= one.getBoundingClientRect().top + main.scrollTop;
  }
  return places;
}"""


def settled(page: Page) -> None:
    page.wait_for_selector(QUIET)
    still(page)


@pytest.mark.nightly
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("name", QUIZZES)
def test_nothing_below_a_quiz_moves_when_its_answer_opens(open_app: Open, name: str, size: tuple[int, int]) -> None:
    page = open_app(f"{name}?revealed=0", size, still=True)
    for quiz in QUIZZES[name]:
        asked = page.locator(f".st-key-lesson-predict-{quiz}")
        asked.wait_for()
        settled(page)
        before = page.evaluate(BELOW, quiz)
        asked.get_by_role("button", name="Show me").click()
        asked.get_by_role("button", name="Ask me again").wait_for()
        settled(page)
        after = page.evaluate(BELOW, quiz)
        both = before.keys() & after.keys()
        assert both and {key: after[key] - before[key] for key in both} == pytest.approx(dict.fromkeys(both, 0), abs=1)


BUTTONS = "[class*=st-key-lesson-tries] button"
WITHOUT_A_PLACE = ("masks", "softmax", "positions", "step_by_step", "replay", "train")  # that the page scrolls to
TOP = "element => element.getBoundingClientRect().top"


@pytest.mark.parametrize(
    ("name", "size", "n_pressed"),
    [
        ("masks", (1280, 800), 1),
        *(
            pytest.param(name, size, 99, marks=pytest.mark.nightly)
            for name in WITHOUT_A_PLACE
            for size in ((1280, 800), (390, 844))
        ),
    ],
)
def test_a_thing_to_try_stays_where_it_was_pressed(
    open_app: Open, name: str, size: tuple[int, int], n_pressed: int
) -> None:
    """On the other pages the picture that it changes is brought into view."""
    page = open_app(name, size, still=True)
    page.locator(BUTTONS).first.wait_for()
    settled(page)
    for number in range(min(n_pressed, page.locator(BUTTONS).count())):
        button = page.locator(BUTTONS).nth(number)
        button.evaluate("element => element.scrollIntoView({block: 'center'})")
        settled(page)
        stood, link = button.evaluate(TOP), page.url
        button.click()
        expect(page).not_to_have_url(link)
        settled(page)
        assert page.locator(BUTTONS).nth(number).evaluate(TOP) == pytest.approx(stood, abs=1), number
