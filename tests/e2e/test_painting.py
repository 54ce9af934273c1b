"""Painting a mask by hand, and the compact form of the view, in Chromium."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from attnviz import Intervention, Model, Trace, attend
from attnviz.browser.attention_message import pack
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent
from tests.e2e.driver import SENTENCE, Open, serious, settle, state_of

IT, ANIMAL, N = 10, 2, 16
HEAD = {"layer": 3, "head": 1}
PAINTING = {**HEAD, "mask": "painted"}
PHONE = {"size": (390, 844), "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def message(trace: Trace) -> bytes:
    return pack(trace, title="MiniLM", name="minilm")


def matrix(page: Page) -> Locator:
    return page.locator(".av-matrix canvas.over").first


def place(page: Page, query: int, key: int) -> tuple[float, float]:
    """The middle of a cell, on the page."""
    x, y = page.evaluate(
        """([q, k]) => {
          const l = view.screen.lay.matrix, r = view.screen.node.matrixOver.getBoundingClientRect();
          return [r.left + l.x(k) + l.c / 2, r.top + l.y(q) + l.c / 2];
        }""",
        [query, key],
    )
    return x, y


def drag(page: Page, *cells: tuple[int, int]) -> None:
    page.mouse.move(*place(page, *cells[0]))
    page.mouse.down()
    for cell in cells[1:]:
        page.mouse.move(*place(page, *cell))
    page.mouse.up()
    settle(page)


def leave(page: Page) -> None:
    """Takes the pointer off the matrix: what told of its cell goes, and the buttons find their place before a click.

    Else they move by more than their height once it is on its way, and between press and release on a busy machine.
    """
    page.mouse.move(5, 5)
    settle(page)


def painted(page: Page) -> list[tuple[int, int]]:
    return [(q, k) for q, k in state_of(page)["painted"]]


def say(page: Page) -> str:
    return page.locator(".av-say").inner_text().replace("\u202f", " ")


def shown(page: Page) -> np.ndarray:
    """The weights that the matrix shows."""
    shape = page.evaluate("[view.shown.scene.nq, view.shown.scene.nk]")
    return np.array(page.evaluate("[...view.shown.scene.a]")).reshape(shape)


def masked(trace: Trace, cells: list[tuple[int, int]], layer: int = 3, head: int = 1) -> np.ndarray:
    """What torch gives with these cells blocked."""
    a, keep = trace.layers[layer].attention, torch.ones(N, N, dtype=torch.bool)
    for q, k in cells:
        keep[q, k] = False
    return attend(a.q, a.k, a.v, keep=keep).weights[0, head].numpy()


# ---- painting ------------------------------------------------------------------------------------


def test_a_drag_blocks_what_it_crosses_and_torch_agrees(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=HEAD)
    assert page.get_by_role("button", name="Undo").count() == 0
    page.get_by_role("radio", name="Painted").click()
    drag(page, (IT, 1), (IT, 5))
    cells = [(IT, k) for k in range(1, 6)]
    assert painted(page) == cells
    assert np.abs(shown(page) - masked(trace, cells)).max() < 1e-5
    assert say(page) == "In layer 3, head 1, it cannot see t: the cell is blocked by hand."
    assert page.locator(".av-tip").inner_text().endswith("blocked")
    assert page.locator(".av-controls .av-gloss").inner_text() == "painted: 5 cells blocked"
    drag(page, (IT, 2), (IT, 3), (IT - 1, 3))  # the first cell is blocked: this stroke allows
    assert painted(page) == [(IT, 1), (IT, 4), (IT, 5)]
    page.mouse.click(*place(page, 6, 8))
    settle(page)
    assert (6, 8) in painted(page) and state_of(page)["queries"] == []  # a click paints, and locks nothing
    assert np.abs(shown(page) - masked(trace, painted(page))).max() < 1e-5


def test_a_fast_stroke_has_no_gaps_and_stops_at_the_edge(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=PAINTING)
    drag(page, (0, 0), (15, 15))
    assert painted(page) == [(i, i) for i in range(N)]
    leave(page)
    page.get_by_role("button", name="Clear").click()
    settle(page)  # what stands beside the matrix changes, and so may its place
    x, y = place(page, 4, 12)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 400, y)
    page.mouse.up()
    settle(page)
    assert painted(page) == [(4, k) for k in range(12, N)]


def test_undo_and_clear(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=PAINTING)
    undo, clear = page.get_by_role("button", name="Undo"), page.get_by_role("button", name="Clear")
    expect(undo).to_be_disabled()
    expect(clear).to_be_disabled()
    drag(page, (2, 2), (2, 6))
    drag(page, (5, 1), (7, 1))
    both = painted(page)
    assert len(both) == 8
    leave(page)
    undo.click()  # a whole stroke, not a cell
    assert painted(page) == [(2, k) for k in range(2, 7)]
    undo.click()
    assert painted(page) == []
    expect(undo).to_be_disabled()
    settle(page)
    assert np.abs(shown(page) - masked(trace, [])).max() < 1e-5
    drag(page, (2, 2), (2, 6))
    leave(page)
    clear.click()
    assert painted(page) == []
    page.keyboard.press("Control+z")  # on the button that was pressed
    assert len(painted(page)) == 5
    page.get_by_role("radio", name="Causal").click()
    expect(undo).to_have_count(0)
    page.get_by_role("radio", name="Painted").click()
    assert len(painted(page)) == 5
    page.get_by_role("button", name="Reset").click()
    assert painted(page) == [] and state_of(page)["mask"] == "model"


def test_the_keyboard_paints(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**PAINTING, "queries": [IT], "key": ANIMAL})
    assert "Space blocks or allows the cell" in str(matrix(page).get_attribute("aria-label"))
    matrix(page).focus()
    for key in ("ArrowDown", "Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    settle(page)
    assert painted(page) == [(IT + 1, ANIMAL), (IT + 1, ANIMAL + 1)]
    assert np.abs(shown(page) - masked(trace, painted(page))).max() < 1e-5
    live = page.locator(".av-sr[role=status]")
    expect(live).to_have_text("layer 3, head 1: 'was' attends to 'didn' not at all, masked")
    page.keyboard.press("Space")
    assert painted(page) == [(IT + 1, ANIMAL)]
    page.keyboard.press("z")
    page.keyboard.press("Control+z")
    assert painted(page) == [(IT + 1, ANIMAL)]
    page.keyboard.press("z")
    page.keyboard.press("z")
    assert painted(page) == []
    page.keyboard.press("Enter")
    assert (state_of(page)["queries"], state_of(page)["key"]) == ([IT + 1], ANIMAL + 1)


def test_a_row_with_nothing_left_is_said(open_view: Open, message: bytes) -> None:
    cells = [[IT, k] for k in range(N)]
    page = open_view(message, state={**PAINTING, "queries": [IT], "painted": cells})
    assert (
        say(page)
        == "In layer 3, head 1, it may attend to nothing: the mask leaves it no key, so all its weights are 0."
    )
    assert (shown(page)[IT] == 0).all() and np.isfinite(shown(page)).all()
    assert "it\tmay attend to nothing" in page.locator(".av-entropy").inner_text()
    expect(page.locator(".av-sum .res b")).to_have_text("masked")
    page.get_by_text("More settings").click()
    page.get_by_role("button", name="Read this head as a list").click()
    expect(page.locator(".av-list")).to_contain_text("it → nothing")
    matrix(page).focus()
    page.keyboard.press("Home")
    expect(page.locator(".av-sr[role=status]")).to_have_text(
        "layer 3, head 1: 'it' attends to '[CLS]' not at all, its whole row is masked"
    )


def test_a_blocked_cell_looks_different_from_one_that_gets_nothing(open_view: Open, message: bytes) -> None:
    colours = """([q, k]) => {
      const c = view.screen.node.matrixBase, r = c.width / c.offsetWidth, l = view.screen.lay.matrix;
      const side = Math.floor((l.c - 6) * r), seen = new Set();
      const { data } = c.getContext('2d').getImageData((l.x(k) + 2) * r, (l.y(q) + 2) * r, side, side);
      for (let i = 0; i < data.length; i += 4) seen.add(data[i]);
      return seen.size;
    }"""
    for dark in (False, True):  # from 100 % on nothing else is drawn: both cells are paper, and one has its stroke
        page = open_view(message, state={**PAINTING, "threshold": 1, "painted": [[6, 6]]}, dark=dark)
        assert page.evaluate(colours, [6, 9]) == 1
        assert page.evaluate(colours, [6, 6]) > 3


def test_touch_paints_and_two_fingers_do_not(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=PAINTING, **PHONE)
    matrix(page).scroll_into_view_if_needed()
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *cells: tuple[int, int]) -> None:
        points = [dict(zip("xy", place(page, *cell), strict=True), id=i) for i, cell in enumerate(cells)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        settle(page)

    scrolled, undo = page.evaluate("scrollY"), page.get_by_role("button", name="Undo").bounding_box()
    touch("touchStart", (3, 3))
    touch("touchMove", (5, 3))
    touch("touchMove", (7, 3))
    touch("touchEnd")
    assert painted(page) == [(q, 3) for q in range(3, 8)]
    assert page.evaluate("scrollY") == scrolled
    assert page.get_by_role("button", name="Undo").bounding_box() == undo
    assert say(page).endswith("the cell is blocked by hand.")  # nothing points, so the last cell stays in view
    touch("touchStart", (10, 4))
    touch("touchStart", (10, 4), (12, 12))  # a second finger: the first was no stroke
    touch("touchEnd", (10, 4))
    touch("touchEnd")
    assert painted(page) == [(q, 3) for q in range(3, 8)]
    for name in ("Undo", "Clear"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box is not None and box["height"] >= 32
    page.get_by_role("button", name="Undo").tap()
    assert painted(page) == []


def test_joined_words_and_hidden_tokens(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state={**PAINTING, "join": True, "hide": True})
    words = page.evaluate("view.shown.scene.keys.map((item) => item.label)")
    didnt, it = words.index("didn't"), words.index("it")
    page.mouse.click(*place(page, it, didnt))
    page.mouse.click(*place(page, didnt, it))
    settle(page)
    pieces = page.evaluate("(k) => view.shown.scene.keys[k].toks", didnt)
    assert len(pieces) == 3
    cells = sorted([*((IT, t) for t in pieces), *((t, IT) for t in pieces)])
    assert painted(page) == cells
    true = masked(trace, cells)
    found = shown(page)
    assert found[it, didnt] == 0 and found[didnt, it] == 0
    assert found[it, words.index("animal")] == pytest.approx(true[IT, ANIMAL], abs=1e-5)
    page.mouse.click(*place(page, it, didnt))
    settle(page)
    assert painted(page) == [(t, IT) for t in pieces]


def test_cells_that_the_models_own_mask_forbids_cannot_be_painted(open_view: Open, minilm: Model) -> None:
    causal = pack(minilm.run(SENTENCE, intervention=Intervention(mask="causal")))
    page = open_view(causal, state=PAINTING)
    drag(page, (4, 2), (4, 9))
    assert painted(page) == [(4, 2), (4, 3), (4, 4)]
    drag(page, (2, 9), (9, 9))  # begins where nothing can be changed
    assert painted(page) == [(4, 2), (4, 3), (4, 4)]


def test_a_link_restores_the_painting(open_view: Open, message: bytes, trace: Trace) -> None:
    page = open_view(message, state=PAINTING)
    drag(page, (IT, 0), (IT, 4))
    drag(page, (6, 8), (8, 8))
    cells = painted(page)
    link = ViewState.from_dict(json.loads(json.dumps(state_of(page)))).to_query()
    assert link["cells"] == "6-8.8_10.0-4"
    again = open_view(message, state=ViewState.from_query(link).clamp(6, 12, N).to_dict())
    assert painted(again) == cells
    assert np.abs(shown(again) - masked(trace, cells)).max() < 1e-5


def test_a_stroke_is_reported_once_and_after_it_ends(open_view: Open, message: bytes) -> None:
    page = open_view(message, state=PAINTING, live=True)
    page.get_by_role("radio", name="Rerun the model").click()
    page.wait_for_function("states.length === 1")
    page.mouse.move(*place(page, 3, 3))
    page.mouse.down()
    for key in (4, 5, 6):
        page.mouse.move(*place(page, 3, key))
        page.wait_for_timeout(100)
    assert page.evaluate("states.length") == 1
    page.mouse.up()
    page.wait_for_function("states.length === 2")
    assert page.evaluate("states[1].painted") == [[3, 3], [3, 4], [3, 5], [3, 6]]


def test_the_whole_model_with_a_painted_mask(open_view: Open, minilm: Model, trace: Trace, message: bytes) -> None:
    """The answer of a run does not move the first layer, and what is painted over it shows before the next answer."""
    cells = ((IT, 1), (IT, 2), (7, 7))
    state = ViewState(layer=0, head=1, mask="painted", painted=cells, whole=True)
    run = minilm.run(SENTENCE, intervention=state.to_intervention())
    page = open_view(message, pack(run, before=trace), state=state.to_dict(), live=True)
    alone = shown(page)
    page.evaluate("async () => mounted.update({message: await load(1)})")
    settle(page)
    assert np.abs(shown(page) - alone).max() < 1e-5
    page.evaluate("view.store.change({layer: 3})")
    settle(page)
    true = run.layers[3].attention.weights[0, 1].numpy()
    assert np.abs(shown(page) - true).max() < 1e-5
    assert np.abs(true - masked(trace, list(cells))).max() > 1e-3
    drag(page, (5, 5), (5, 6))
    assert (shown(page)[5, 5:7] == 0).all() and shown(page)[5].sum() == pytest.approx(1, abs=1e-5)
    assert page.evaluate("view.store.pending")


# ---- the compact form ----------------------------------------------------------------------------

MOUNT = """async ({widths, options, state}) => {
  const {mount} = await import("/attention/view.js");
  mounted.destroy();
  const root = document.getElementById("root"), row = document.createElement("div");
  row.style.cssText = "display:flex;gap:24px;flex-wrap:wrap";
  root.replaceWith(row);
  window.all = [];
  for (const width of widths) {
    const one = document.createElement("div");
    one.style.width = width + "px";
    row.append(one);
    const compact = {title: null, height: null, ...options};
    window.all.push(mount(one, {message: await load(0), state, compact, onState: (s) => states.push(s)}));
  }
  window.view = all[0].view;
}"""


def compact(page: Page, *widths: int, state: dict[str, Any] | None = None, **options: Any) -> Page:
    page.evaluate(MOUNT, {"widths": widths, "options": options, "state": state})
    settle(page)
    return page


def test_compact_shows_the_matrix_and_its_sentence_only(open_view: Open, message: bytes) -> None:
    page = compact(open_view(message), 420, state={**HEAD, "queries": [IT]})
    assert page.locator("h1, .av-chips, .av-heads, .av-lines, .av-why, .av-controls, .av-tools").count() == 0
    assert page.locator("h2").inner_text() == "Layer 3, head 1"
    assert say(page) == "In layer 3, head 1, it gives 68 % of its attention to animal."
    assert page.evaluate("getComputedStyle(document.querySelector('.av-say')).fontSize") == "15px"
    page.get_by_text("Read as text").click()
    settle(page)
    assert "it → animal 68 %, " in page.locator(".av-list").inner_text().replace("\u202f", " ")
    page.mouse.move(*place(page, 8, 1))
    settle(page)
    assert "street gives" in say(page)
    page.mouse.click(*place(page, 8, 1))
    page.wait_for_function("states.length === 1")
    assert (state_of(page)["queries"], state_of(page)["key"]) == ([8], 1)
    matrix(page).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".av-sr[role=status]")).to_have_text("layer 3, head 1: 'because' attends to 'the' 11\u202f%")
    for key in ("Escape", "+", "+"):
        page.keyboard.press(key)
    settle(page)
    assert state_of(page)["queries"] == [] and page.evaluate("view.zoom.zoomed()")


@pytest.mark.nightly
@pytest.mark.parametrize("widths", [(300, 300, 300), (420, 640), (900,)])
def test_compact_fits_its_column(open_view: Open, message: bytes, widths: tuple[int, ...]) -> None:
    page = compact(open_view(message), *widths, state={**PAINTING, "queries": [IT]})
    out = page.evaluate(
        """() => all.flatMap(({view: {screen: v}}, n) => {
          const r = v.root.getBoundingClientRect();
          return [...v.root.querySelectorAll('h2, canvas, .av-say, summary, button')].filter((e) => {
            const b = e.getBoundingClientRect();
            return b.right > r.right + 0.5 || b.left < r.left - 0.5;
          }).map((e) => `${n} ${e.className}`);
        })"""
    )
    assert out == []
    for width, (w, h, tall, c) in zip(
        widths,
        page.evaluate(
            "all.map(({view: {screen: {lay, node}}}) => [lay.matrix, node.matrix.offsetHeight])"
            ".map(([l, tall]) => [l.width, l.height, tall, l.c])"
        ),
        strict=True,
    ):
        assert w == h and w <= width and tall <= 460 and c >= 12


def test_compact_takes_a_title_and_a_height_and_follows_the_page(open_view: Open, message: bytes, trace: Trace) -> None:
    other = pack(trace, before=trace)
    page = compact(open_view(message, other), 500, 500, state=HEAD, title="As <b>trained</b>", height=300)
    assert page.locator("h2").first.inner_text() == "As <b>trained</b>"
    assert page.evaluate("view.screen.node.matrix.offsetHeight") <= 300
    page.evaluate("state => all[0].update({state, compact: {title: 'Another', height: 400}})", {**HEAD, "head": 4})
    settle(page)
    assert page.locator("h2").first.inner_text() == "Another"
    assert page.evaluate("view.screen.node.matrix.offsetHeight") > 300
    assert np.abs(shown(page) - trace.layers[3].attention.weights[0, 4].numpy()).max() < 1e-5
    assert page.evaluate("all[1].view.store.state.head") == 1


def test_compact_shows_the_change_of_a_run(open_view: Open, minilm: Model, trace: Trace) -> None:
    run = minilm.run(SENTENCE, intervention=Intervention(mask="causal"))
    state = {**HEAD, "queries": [IT], "key": ANIMAL, "diff": True}
    page = compact(open_view(pack(run, before=trace)), 420, state=state)
    now, was = (float(t.layers[3].attention.weights[0, 1, IT, ANIMAL]) for t in (run, trace))
    way = "more" if now > was else "less"
    assert f"{abs(now - was) * 100:.0f} points {way} than in the trained model" in say(page)
    assert "change in percentage points" in page.locator("h2").inner_text()


def test_compact_paints(open_view: Open, message: bytes, trace: Trace) -> None:
    page = compact(open_view(message, **PHONE), 358, state=PAINTING)
    assert "drag over cells to block them" in page.locator("h2").inner_text()
    drag(page, (IT, 1), (IT, 4))
    cells = [(IT, k) for k in range(1, 5)]
    assert painted(page) == cells
    assert "4 cells blocked" in page.locator("h2").inner_text()
    assert np.abs(shown(page) - masked(trace, cells)).max() < 1e-5
    for name in ("Undo", "Clear"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box is not None and box["height"] >= 32
    leave(page)
    page.get_by_role("button", name="Undo").click()
    assert painted(page) == []


@pytest.mark.nightly
def test_axe_finds_nothing_serious(open_view: Open, message: bytes) -> None:
    page = open_view(message)
    page.evaluate("view.store.change({mask: 'painted', painted: [[3, 3]]})")
    settle(page)
    for painting in (False, True):
        if painting:
            compact(page, 400, 400, state={**PAINTING, "painted": [[3, 3]], "queries": [IT]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("[data-theme]").first).to_have_attribute("data-theme", scheme)
            assert serious(page, "'.av'") == [], (painting, scheme)


# ---- in the app ----------------------------------------------------------------------------------


def test_explore_runs_the_whole_model_with_the_painted_mask(open_app: Open, minilm: Model, trace: Trace) -> None:
    page = open_app("?layer=3&head=1&q=10&k=0&mask=painted&cells=10.1-3&whole=1")
    expect(page.locator(".av-gloss", has_text="3 cells blocked")).to_be_visible()
    told = page.locator(".av-say")

    def truth(cells: list[tuple[int, int]], key: int) -> str:
        run = minilm.run(SENTENCE, intervention=Intervention(blocked=cells))
        return percent(float(run.layers[3].attention.weights[0, 1, IT, key]))

    cells = [(IT, 1), (IT, 2), (IT, 3)]
    alone = masked(trace, cells)[IT, 0]
    assert percent(float(alone)) != truth(cells, 0)  # the head alone would say another number
    expect(told).to_have_text(f"In layer 3, head 1, it gives {truth(cells, 0)} of its attention to [CLS].")
    matrix(page).focus()
    page.keyboard.press("Space")
    cells.append((IT, 0))
    page.wait_for_url(re.compile(r"cells=10\.0-3"))
    expect(page.locator(".av-main")).to_have_attribute("aria-busy", "false")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(told).to_have_text(f"In layer 3, head 1, it gives {truth(cells, 8)} of its attention to street.")
