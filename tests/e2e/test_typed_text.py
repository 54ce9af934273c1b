"""The view while a text is typed: what stood stays, and all of it is as in a view that is opened on the new text."""

from typing import Any

import pytest
from playwright.sync_api import Page

from attnviz import Model
from attnviz.browser.attention_message import pack
from tests.e2e.driver import Open

FIRST = "The animal didn't cross the street."
# typed on, taken back, a word in the middle, the same word twice, nothing in common
TYPED = [FIRST[:-1] + " today.", "The animal", "The big animal didn't cross", "The the The animal", "Birds sing."]

CHIPS = """() => [...document.querySelectorAll(".av-chips > *")].map((word) => [...word.children].map((chip) =>
  [chip.textContent, chip.className, chip.title, {...chip.dataset}, chip.tabIndex, chip.getAttribute("aria-pressed"),
   chip.getAttribute("style")]))"""
LISTS = """() => [...document.querySelectorAll(".av-ask select")].map((list) =>
  [list.value, ...[...list.options].map((option) => [option.value, option.textContent])])"""
SETTLED = "view.frames.request === 0 && !view.heads.queue.length"


def seen(page: Page) -> list[Any]:
    page.wait_for_function(SETTLED)
    return [page.evaluate(CHIPS), page.evaluate(LISTS)]


@pytest.fixture(scope="module")
def messages(minilm: Model) -> list[bytes]:
    return [pack(minilm.run(text)) for text in (FIRST, *TYPED)]


def test_after_every_text_all_is_as_in_a_new_view(open_view: Open, messages: list[bytes]) -> None:
    fresh = []
    for message in messages:
        fresh.append(seen(open_view(message)))
    page = open_view(*messages)
    for n in (1, 2, 3, 4, 5, 0, 3):
        page.evaluate("async (n) => mounted.update({ message: await load(n) })", n)
        assert seen(page) == fresh[n], n


def test_a_new_run_is_painted_when_it_comes_and_keeps_the_words_that_stand(
    open_view: Open, messages: list[bytes], minilm: Model
) -> None:
    page = open_view(*messages)
    page.wait_for_function(SETTLED)
    kept, rows = page.evaluate(
        """async () => {
          const words = [...document.querySelectorAll(".av-chips > *")], message = await load(1);
          mounted.update({ message }); // and in the same task:
          const now = [...document.querySelectorAll(".av-chips > *")];
          return [words.filter((word, i) => now[i] === word).length, view.screen.lay.matrix.nq];
        }"""
    )
    # [CLS] and the words before the dot, which is another one now
    assert (kept, rows) == (1 + len(FIRST.split()), len(minilm.encode(TYPED[0])))
