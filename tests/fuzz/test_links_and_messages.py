"""What an address says and what a browser reports: any of it gives settings that the page allows, or its first ones."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as some

from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.web.components import (
    attention_view,
    bridge,
    dial,
    drawing_pad,
    generation_view,
    patch_view,
    provenance_view,
    table,
)
from attnviz.web.settings_link import accept, from_query, to_query
from tests.support.fuzzing import changed_json, corpus, foreseen, fuzz, rounds, texts, values

WEB = Path(bridge.__file__).parents[1]
FIRST = {
    path.parent.name: module.Settings()
    for path in sorted(WEB.glob("*/state.py"))
    if hasattr(module := importlib.import_module(f"attnviz.web.{path.parent.name}.state"), "Settings")
}
LINKS = [json.loads(path.read_text("utf-8")) for path in corpus("links")]
KEY = "view"


@some.composite
def settings_of_a_page(draw: some.DrawFn, given: some.SearchStrategy[Any]) -> tuple[Any, dict[str, Any]]:
    """A page's first settings, and values for some of its fields."""
    first = FIRST[draw(some.sampled_from(sorted(FIRST)))]
    names = [field.name for field in dataclasses.fields(first)]
    return first, draw(some.dictionaries(some.sampled_from(names), given))


@rounds
def test_links_of_pages(seconds: float) -> None:
    def check(asked: tuple[Any, dict[str, str]]) -> None:
        first, query = asked
        settings = from_query(first, query)
        assert from_query(first, to_query(first, settings)) == settings
        assert dataclasses.replace(settings) == settings  # what they allow

    kept = some.tuples(some.sampled_from(list(FIRST.values())), some.sampled_from(LINKS))
    fuzz(settings_of_a_page(texts) | kept, check, seconds, examples=300)


def test_a_number_of_many_digits_comes_back() -> None:
    first = FIRST["train"]
    settings = dataclasses.replace(first, learning_rate=100000000.0001)
    assert from_query(first, to_query(first, settings)) == settings


@rounds
def test_values_that_no_widget_offers(seconds: float) -> None:
    def check(asked: tuple[Any, dict[str, Any]]) -> None:
        first, given = asked
        settings = accept(first, given)
        assert from_query(first, to_query(first, settings)) is not None  # they can be written as a link
        hash(settings)  # and be kept by what caches

    check((FIRST["generate"], {"said": ["a", 1]}))  # found: lists of what the field does not hold
    check((FIRST["masks"], {"zoom": [1, 2, "3", None]}))
    fuzz(settings_of_a_page(values | some.lists(some.integers(), max_size=4)), check, seconds, examples=300)


@rounds
def test_links_of_the_view(seconds: float) -> None:
    names = [field.metadata["link"] for field in dataclasses.fields(ViewState)]

    def check(query: dict[str, str]) -> None:
        view = ViewState.from_query(query)
        assert ViewState.from_query(view.to_query()) == view
        view.clamp(2, 2, 5)
        foreseen(view.to_intervention)

    fuzz(some.dictionaries(some.sampled_from(names), texts), check, seconds)


@rounds
def test_views_that_a_browser_reports(seconds: float) -> None:
    def check(report: Any) -> None:
        view = ViewState.from_dict(report)
        assert ViewState.from_dict(view.to_dict()) == view

    fuzz(changed_json([ViewState().to_dict(), ViewState(painted=((0, 1),), heads=((1, 1),)).to_dict()]), check, seconds)


REPORTS = [
    {"view": ViewState().to_dict() | {"here": "austen"}, "number": 1, "model": True},
    {"ask": dataclasses.asdict(attention_view.Question())},
    {"walk": dataclasses.asdict(provenance_view.ProvenanceState()), "layer": {"layer": 1, "cell": "x:0:0"}},
    {"look": dataclasses.asdict(patch_view.Look())},
    {"write": {"act": "take", "at": 1, "id": 2, "number": 1}},
    {"moved": {"index": 1, "number": 1}, "chosen": {"key": "a", "number": 2}, "drawn": {"drawing": "", "number": 1}},
    {"export": "npz"},
]


@rounds
def test_messages_of_components(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: dict[str, Any] = {}
    for module in (bridge, dial, drawing_pad, table):
        monkeypatch.setattr(module, "st", SimpleNamespace(session_state=memory))

    def check(report: Any) -> None:
        memory.clear()
        memory.update({KEY: report, f"{KEY}:pad": report, f"{KEY}:dial": report})
        assert isinstance(attention_view.current_state(KEY, ViewState()), ViewState)
        assert isinstance(attention_view.asked(KEY), attention_view.Question | None)
        assert isinstance(attention_view.requested_file(KEY), str | None)
        assert attention_view.wants_model(KEY) in (True, False)
        assert attention_view.runs(KEY, "austen") in (True, False)
        assert isinstance(patch_view.reported(KEY), patch_view.Look | None)
        provenance_view.reported(KEY)
        provenance_view.wanted_layer(KEY)
        generation_view.written(KEY)
        assert table.choice(KEY, ["a", "b"]) in (None, "a", "b")
        dial._take(f"{KEY}:dial", "value", [1, 2, 3])
        assert memory.get("value", 1) in (1, 2, 3)
        drawing_pad._take(f"{KEY}:pad", "drawing")
        bridge.to_send(KEY, "view", ViewState(), attention_view._shown(KEY), insist=True)

    fuzz(changed_json(REPORTS) | values, check, seconds)


@rounds
def test_drawings(seconds: float) -> None:
    def check(text: str) -> None:
        ink = None
        try:
            ink = drawing_pad.read(text)
        except InvalidParameterError:
            return
        assert drawing_pad.write(ink) == text

    fuzz(some.text(alphabet=drawing_pad.CHARACTERS + "xé", min_size=62, max_size=66) | texts, check, seconds)
