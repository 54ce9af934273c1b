"""The page "Compare" through AppTest: its numbers are the library's, what is locked is locked in both, links reopen."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from attnviz import Model, load
from attnviz.analysis import comparison
from attnviz.analysis.comparison import Comparison
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent, points, shares
from attnviz.nn.intervention import Intervention
from attnviz.web import shell
from tests.pages.driver import SENTENCE, Page, charts, header, numbers, opened, values, views

WIDE = SENTENCE.replace("tired", "wide")
KEYS = " bird moon ship salt tree bird moon ship"
IT, ANIMAL, WIDE_AT = 10, 2, 13


@pytest.fixture(scope="module")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="module")
def induction() -> Model:
    return load("induction")


@pytest.fixture(scope="module")
def tired_and_wide(minilm: Model) -> Comparison:
    return comparison.compare(minilm.run(SENTENCE), (3, 1), minilm.run(WIDE), (3, 1))


@pytest.fixture
def page() -> Page:
    return opened("compare")


def rows(app: Page) -> list[list[str]]:
    (found,) = values(app, "attnviz_table")
    return [[cell[0] for cell in row["cells"]] for row in found["rows"]]


def locked(app: Page) -> list[tuple[list[int], int | None]]:
    """The queries and the key that each matrix was told to lock."""
    return [(about["state"]["queries"], about["state"]["key"]) for about, _ in views(app)]


def links(app: Page) -> list[dict[str, str]]:
    return [dict(parse_qsl(link.proto.query_string)) for link in app.get("page_link")]


def test_opens_on_a_pair_whose_it_looks_elsewhere(page: Page, tired_and_wide: Comparison, minilm: Model) -> None:
    labels = minilm.encode(SENTENCE).labels
    first = comparison.strongest(tired_and_wide)[0]
    moved = percent(float(tired_and_wide.moved.mean()))
    in_a, in_b, _ = shares(first.a, first.b)
    assert page.sentence == (
        f"“{labels[first.query[0]]}” gives “{labels[first.key[0]]}” {in_a} in A and "
        f"{in_b} in B, the largest difference. "
        f"On average {moved} of a token’s attention goes to other tokens in B than in A."
    )
    a, b = (float(x[IT, ANIMAL]) for x in (tired_and_wide.a, tired_and_wide.b))
    assert a > 0.6 and b < 0.3
    assert f"“it” looks most at “animal” in A ({percent(a)}) and at “[CLS]” in B" in page.prose
    assert ["“it” (10) looks less at “animal” (2)", *shares(a, b)] in rows(page)
    assert [header(message)["tokens"]["labels"][WIDE_AT] for _, message in views(page)] == ["tired", "wide"]
    assert locked(page) == [([IT], None), ([IT], None)]
    (chart,) = charts(page)
    drawn = numbers(chart["data"][0]["z"]).astype(float)
    assert (np.sign(drawn) == tired_and_wide.difference.sign().numpy()).all() and np.abs(drawn).max() == 1
    assert any(shell.escaped("Only in A: “tired”. Only in B: “wide”.") in one.value for one in page.caption)
    assert [(one["q"], one["text"][-6:]) for one in links(page)] == [("10", "tired."), ("10", " wide.")]


def test_what_is_locked_in_one_is_locked_in_the_other(page: Page) -> None:
    page.session_state["compare-a"] = {"view": ViewState(3, 1, queries=(12,), key=ANIMAL).to_dict()}
    assert locked(page.run())[1] == ([12], ANIMAL)  # the one that reported it is not sent it back
    assert "“too” gives “animal”" in page.prose
    page.session_state["compare-b"] = {"view": ViewState(3, 1, queries=(WIDE_AT,), key=IT).to_dict()}
    assert locked(page.run())[0] == ([], IT)
    assert "“wide” looks most at" in page.prose and "in B" in page.prose and "stands only in B" in page.prose
    again = opened("compare", **page.link)
    assert locked(again) == [([], IT), ([WIDE_AT], IT)] and again.sentences == page.sentences
    page.session_state["compare-a"] = {"view": ViewState(3, 1, queries=(WIDE_AT,)).to_dict()}
    assert "“tired” looks most at “[CLS]” in A" in page.run().prose and "stands only in A" in page.prose
    page.choose(token=IT)  # a field or a link has the last word
    assert [queries for queries, _ in locked(page)] == [[IT], [IT]]


def test_a_click_chooses_a_cell_that_opens_in_explore(page: Page, tired_and_wide: Comparison) -> None:
    first = comparison.strongest(tired_and_wide)[0]
    page.session_state["compare-changes"] = {"chosen": {"key": f"{first.query[0]}.{first.key[0]}", "number": 1}}
    page.run()
    assert locked(page) == [([first.query[0]], first.key[0]), ([first.query[1]], first.key[1])]
    assert values(page, "attnviz_table")[0]["chosen"] == f"{first.query[0]}.{first.key[0]}"
    assert [(one["layer"], one["head"], one["q"], one["k"]) for one in links(page)] == [
        ("3", "1", str(first.query[side]), str(first.key[side])) for side in (0, 1)
    ]
    page.session_state["lesson-picture-compare"] = {"point": {"x": ANIMAL, "y": IT}}
    page.run()
    change = float(tired_and_wide.difference[IT, ANIMAL])
    assert f"“it” gives “animal” 68\u202f% in A and 28\u202f% in B: {points(change)} points." in page.prose
    assert charts(page)[0]["layout"]["shapes"][0]["type"] == "rect"
    page.session_state["lesson-picture-compare"] = {"point": {"x": "no", "y": 99}}
    assert locked(page.run())[0] == ([IT], ANIMAL)


@pytest.mark.parametrize(
    ("fields", "change", "head_b"),
    [
        ({"kind": "head", "layer_b": 0, "head_b": 4}, None, (0, 4)),
        ({"kind": "change"}, Intervention(mask="none"), (1, 3)),
        ({"kind": "change", "change": "temperature", "temperature": 4}, Intervention(temperature=4), (1, 3)),
        (
            {"kind": "change", "change": "off", "off_layer": 0, "off_head": 4},
            Intervention(head_scale={(0, 4): 0.0}),
            (1, 3),
        ),
    ],
)
def test_one_text_under_another_head_or_change(
    fields: dict[str, Any], change: Intervention | None, head_b: tuple[int, int], induction: Model
) -> None:
    app = opened("compare", model="induction", text=KEYS, layer=1, head=3, **fields)
    found = comparison.compare(induction.run(KEYS), (1, 3), induction.run(KEYS, intervention=change), head_b)
    first = comparison.strongest(found)[0]
    in_a, in_b, _ = shares(first.a, first.b)
    assert f"{in_a} in A and {in_b} in B" in app.sentence
    assert len(links(app)) == 2 - (change is not None and bool(change.head_scale))
    if change is not None and change.mask:
        assert (links(app)[1]["mask"], links(app)[1]["whole"]) == ("none", "1")
    again = opened("compare", **app.link)
    assert again.sentences == app.sentences and charts(again) == charts(app)


def test_one_text_under_two_changes(induction: Model) -> None:
    """Each run has a change of its own; either may be the run as trained."""
    sharp = {"change_a": "temperature", "temperature_a": 0.5}
    off = {"change_a": "off", "off_layer_a": 0, "off_head_a": 4}
    half, without, gone = Intervention(temperature=0.5), Intervention(head_scale={(0, 4): 0.0}), "layer 0, head 4 off"
    for fields, before, after, titles in (
        (sharp | {"change": "mask"}, half, Intervention(mask="none"), ["temperature 0.5", "no mask"]),
        (off | {"change": "none"}, without, None, [gone, "as trained"]),
        (
            off | {"change": "temperature", "temperature": 0.5},
            without,
            half,
            [gone, "temperature 0.5"],
        ),
    ):
        app = opened("compare", model="induction", text=KEYS, layer=1, head=3, kind="change", **fields)
        runs = [induction.run(KEYS, intervention=change) for change in (before, after)]
        found = comparison.compare(runs[0], (1, 3), runs[1], (1, 3))
        first = comparison.strongest(found)[0]
        in_a, in_b, _ = shares(first.a, first.b)
        assert f"{in_a} in A and {in_b} in B" in app.sentence
        shown = [about["compact"]["title"] for about, _ in views(app)]
        assert shown == [f"{letter}: layer 1, head 3: {title}" for letter, title in zip("AB", titles, strict=True)]
        assert len(links(app)) == 2 - [before, after].count(without)  # Explore has no run without a head
        assert opened("compare", **app.link).sentences == app.sentences
    in_explore = links(opened("compare", model="induction", text=KEYS, layer=1, head=3, kind="change", **sharp))
    assert [(one.get("temp"), one.get("mask"), one.get("whole")) for one in in_explore] == [
        ("0.5", None, "1"),
        (None, "none", "1"),
    ]


def test_another_model_with_the_same_tokens(minilm: Model) -> None:
    app = opened("compare", kind="model", model_b="scratch:bert", layer_b=2, head_b=1)
    (box,) = (one for one in app.selectbox if one.label == "Model of B")
    assert [one.split(" (")[0] for one in box.options] == ["Untrained tiny", "Untrained bert", "Untrained gpt"]
    other = load("scratch:bert")
    assert other.tokenizer.to_json() == minilm.tokenizer.to_json()  # as the page takes it for granted
    found = comparison.compare(minilm.run(SENTENCE), (3, 1), other.run(SENTENCE), (2, 1))
    first = comparison.strongest(found)[0]
    in_a, in_b, _ = shares(first.a, first.b)
    assert f"{in_a} in A and {in_b} in B" in app.sentence
    assert links(app)[1]["model"] == "scratch:bert"
    assert opened("compare", kind="model", model_b="austen").session_state["compare.model_b"] == "scratch:tiny"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "digits"}, "Digits reads images"),
        ({"model": "dates"}, "reads two texts"),
        ({"model": "austen", "kind": "model"}, "No other model in the list reads text in the tokens of Austen."),
        ({"model": "austen"}, "Type another text above"),
        ({"model": "austen", "other": "xyz", "text": "abc"}, "No word stands in both texts. A and B look alike"),
        ({"text": "a", "other": "a"}, "A and B look alike: none of the 9 cells"),
        ({"model": "austen", "text": "a", "other": "b"}, "A and B look alike: not even the one cell that both have"),
        ({"text": "a", "other": WIDE, "layer": 99, "head": 99}, "No word stands in both texts. “"),
        ({"kind": "change", "change": "off", "off_layer": 3}, "is first read by the layer after it"),
        ({"kind": "change", "change": "none", "change_a": "off", "off_layer_a": 3}, "What a head of layer 3 writes"),
        ({"kind": "change", "change": "none"}, "Both run the same: change one of them above."),
    ],
)
def test_what_cannot_be_compared_is_said(fields: dict[str, Any], said: str) -> None:
    app = opened("compare", **fields)
    assert said in app.prose and "NaN" not in app.prose
    if "kind" in fields or "other" in fields:
        assert app.get("button_group")  # another B can be chosen


def test_what_of_the_other_text_is_left_out_is_said() -> None:
    app = opened("compare", model="induction", text=KEYS, other=KEYS * 12, layer=1)
    (said,) = (one.value for one in app.caption if one.value.startswith("B shows"))
    labels = header(views(app)[1][1])["tokens"]["labels"]
    left = len(load("induction").tokenizer.encode(KEYS * 12)) - len(labels)
    assert said == f"B shows the first {len(labels)} tokens of its text; {left} more are left out."


def test_a_thing_to_try_brings_its_model_and_text() -> None:
    app = opened("compare", model="tales", text="The dog licks the ball.")
    assert "Type another text above" in app.prose  # the page ends there, and what it kept is no later word
    app.press("Induction without the head before")
    assert (app.session_state["model"], app.session_state["text"]) == ("induction", KEYS)
    assert any("layer 0, head 4 off" in about["compact"]["title"] for about, _ in views(app))
    assert (app.link["off_layer"], app.link["layer"], app.link["head"]) == ("0", "1", "3")


def test_another_text_that_is_too_long_is_said_and_stays() -> None:
    app = opened("compare")
    app.session_state["compare.other"] = typed = "a" * 100_001
    app.run()
    assert "The other text has 100,001 characters; at most 100,000 can be read. It stays in its field" in app.prose
    assert app.session_state["compare.other"] == typed
