"""ViewState: its link and its JSON read back what was written, and nothing a stranger sends breaks them."""

import json
import math
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError
from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.browser.view_state import COLOURS, DEFAULT, MASKS, SIDES, ViewState
from attnviz.browser.view_values import LARGEST_INDEX, LONGEST_LIST, LONGEST_PAINTING, MOST_PAINTED
from tests.support.hostile_texts import HOSTILE

index = st.integers(0, LARGEST_INDEX)


def ranges() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(index, index).filter(lambda ends: ends[0] < ends[1])


def rectangle(q: int, k: int, rows: int, columns: int) -> set[tuple[int, int]]:
    return {(q + i, k + j) for i in range(rows) for j in range(columns)}


side = st.integers(1, 6)
rectangles = st.builds(rectangle, st.integers(0, 60), st.integers(0, 60), side, side)
shapes = st.lists(rectangles, max_size=6).map(lambda some: set[tuple[int, int]]().union(*some))
paintings = (
    shapes | st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9))) | st.sets(st.tuples(index, index), max_size=40)
)

states = st.builds(
    ViewState,
    layer=index,
    head=index,
    queries=st.lists(index, max_size=LONGEST_LIST, unique=True).map(tuple),
    key=st.none() | index,
    side=st.sampled_from(SIDES),
    temperature=st.floats(0.01, 100),
    scaled=st.booleans(),
    mask=st.sampled_from(MASKS),
    window=index,
    painted=paintings.map(lambda cells: tuple(sorted(cells))),
    threshold=st.floats(0, 1),
    join=st.booleans(),
    hide=st.booleans(),
    renormalise=st.booleans(),
    colour=st.sampled_from(COLOURS),
    diff=st.booleans(),
    whole=st.booleans(),
    sort=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    tint=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    heads=st.lists(st.tuples(index, index), max_size=LONGEST_LIST, unique=True).map(tuple),
    horizontal=st.none() | st.booleans(),
    sentences=st.none() | st.tuples(index, index),
    zoom=st.none() | st.tuples(ranges(), ranges()).map(lambda both: both[0] + both[1]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(states)
def test_link_round_trip(state: ViewState) -> None:
    query = state.to_query()
    assert ViewState.from_query(query) == state
    assert ViewState.from_query(parse_qs(urlencode(query), keep_blank_values=True)) == state


@given(states)
def test_json_round_trip(state: ViewState) -> None:
    assert ViewState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_defaults_leave_no_trace_in_the_link() -> None:
    assert DEFAULT.to_query() == {}
    assert ViewState(layer=3, head=5, queries=(4, 9), temperature=0.5, heads=((0, 1), (2, 3))).to_query() == {
        "layer": "3",
        "head": "5",
        "q": "4_9",
        "temp": "0.5",
        "heads": "0.1_2.3",
    }


def test_link_values_need_no_escaping() -> None:
    state = ViewState(queries=(1, 2), heads=((0, 1),), zoom=(0, 3, 1, 4), temperature=1e-2, threshold=1e-7)
    query = state.to_query()
    assert urlencode(query) == "&".join(f"{key}={value}" for key, value in query.items())


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *ViewState(layer=1).to_query(),
                "head",
                "q",
                "k",
                "temp",
                "mask",
                "zoom",
                "heads",
                "from",
                "flat",
                "min",
                "join",
                "sort",
                "window",
                "cells",
            ]
        ),
        st.text() | st.lists(st.text(), max_size=2),
    )
)
def test_any_link_gives_a_state(query: dict[str, str]) -> None:
    state = ViewState.from_query(query)
    assert ViewState.from_query(state.to_query()) == state


@given(st.dictionaries(st.sampled_from(list(DEFAULT.to_dict())), json_values))
def test_any_json_gives_a_state(value: dict[str, object]) -> None:
    state = ViewState.from_dict(value)
    assert ViewState.from_dict(state.to_dict()) == state


@pytest.mark.parametrize("value", [None, 3, "x", [], [1], {"layer": {}}, {1: 2}])
def test_json_that_is_no_state(value: object) -> None:
    assert ViewState.from_dict(value) == DEFAULT


def test_bad_values_fall_back_one_by_one() -> None:
    bad = {
        "layer": -1,
        "head": 2.0,
        "temperature": math.nan,
        "queries": [1, "2"],
        "scaled": 0,
        "mask": "causal",
    }
    assert ViewState.from_dict(bad) == ViewState(head=2, mask="causal")
    link = {
        "layer": "+1",
        "head": "2",
        "temp": "1e400",
        "q": "1_x",
        "zoom": "5_5_0_1",
        "mask": "causal",
        "key": "1",
    }
    assert ViewState.from_query(link) == ViewState(head=2, mask="causal")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_link_values(text: str) -> None:
    for key in ("layer", "q", "temp", "mask", "sort", "heads", "zoom", "join", "cells"):
        state = ViewState.from_query({key: text})
        assert state == DEFAULT or (key == "sort" and state.sort == text)


@pytest.mark.parametrize(
    "change",
    [
        {"layer": -1},
        {"head": 1.5},
        {"layer": True},
        {"temperature": 0},
        {"temperature": math.inf},
        {"mask": "x"},
        {"queries": range(65)},
        {"threshold": 1.1},
        {"zoom": (1, 1, 0, 2)},
        {"heads": ((1,),)},
        {"painted": ((1,),)},
        {"painted": ((0, -1),)},
        {"painted": 3},
        {"painted": tuple((0, j) for j in range(MOST_PAINTED + 1))},
        {"sort": "No Word"},
    ],
)
def test_a_wrong_value_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError):
        ViewState(**change)  # type: ignore[arg-type]


def test_clamp_keeps_what_the_trace_has() -> None:
    state = ViewState(layer=9, head=9, queries=(2, 30), key=7, heads=((0, 1), (6, 0)), zoom=(0, 5, 0, 8))
    assert state.clamp(6, 8, 10) == ViewState(layer=5, head=7, queries=(2,), key=7, heads=((0, 1),), zoom=(0, 5, 0, 8))
    assert state.clamp(6, 8, 10, 6) == ViewState(layer=5, head=7, queries=(2,), heads=((0, 1),))


def test_clamp_drops_a_part_that_reaches_beyond_the_trace() -> None:
    state = ViewState(zoom=(0, 5, 0, 8))
    assert state.clamp(1, 1, 5, 8) == state
    assert state.clamp(1, 1, 4, 8).zoom is None
    assert state.clamp(1, 1, 5, 7).zoom is None


def test_a_token_is_chosen_once() -> None:
    assert ViewState(queries=(3, 1, 3)).queries == (3, 1)
    assert ViewState.from_query({"heads": "0.1_0.1"}).heads == ((0, 1),)


def test_settings_as_an_intervention() -> None:
    assert DEFAULT.to_intervention() == Intervention()
    state = ViewState(temperature=0.5, scaled=False, mask="window", window=3)
    assert state.to_intervention() == Intervention(temperature=0.5, scaled=False, mask=("window", 3))


# ---- a mask painted by hand ----------------------------------------------------------------------


@given(paintings)
def test_painted_cells_are_written_and_read(cells: set[tuple[int, int]]) -> None:
    assert read_cells(write_cells(cells), MOST_PAINTED) == tuple(sorted(cells))


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ([], ""),
        ([(2, 5)], "2.5"),
        ([(2, 0), (2, 1), (3, 0), (3, 1)], "2-3.0-1"),
        ([(i, 4) for i in range(64)], "0-63.4"),
        ([(0, 1), (1, 1), (3, 1), (1, 7)], "0-1.1_1.7_3.1"),
        ([(i, j) for i in range(4) for j in range(4) if j > i], "0.1-3_1.2-3_2.3"),
    ],
)
def test_shapes_have_short_links(cells: list[tuple[int, int]], text: str) -> None:
    assert write_cells(cells) == text
    assert ViewState.from_query({"mask": "painted", "cells": text}).painted == tuple(sorted(cells))


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.",
        "1.2_",
        "3-1.0",
        "3-1.3-1",
        "0.1-99999999",
        "0-64.0-64",
        "1.2.3",
        "-1.2",
        "1.2_x",
        "٣.1",
        "0.0_" * 1001,
    ],
)
def test_cells_that_are_none_are_ignored(text: str) -> None:
    assert ViewState.from_query({"mask": "painted", "cells": text, "layer": "2"}) == ViewState(mask="painted", layer=2)


def test_the_largest_painting_fits_its_link_and_a_scattered_one_is_left_out() -> None:
    full = ViewState(mask="painted", painted=tuple((i, j) for i in range(64) for j in range(64)))
    assert full.to_query() == {"mask": "painted", "cells": "0-63.0-63"}
    scattered = ViewState(mask="painted", painted=tuple((i, j) for i in range(64) for j in range(i % 2, 64, 2)))
    assert len(write_cells(scattered.painted)) > LONGEST_PAINTING
    assert scattered.to_query() == {"mask": "painted"}


def test_painted_cells_are_an_intervention_while_they_are_the_mask() -> None:
    state = ViewState(mask="painted", painted=((3, 1), (0, 2), (3, 1)), temperature=2)
    assert state.painted == ((0, 2), (3, 1))
    assert state.to_intervention() == Intervention(temperature=2, blocked=[(0, 2), (3, 1)])
    assert ViewState(mask="causal", painted=state.painted).to_intervention() == Intervention(mask="causal")


def test_clamp_drops_painted_cells_beyond_the_trace() -> None:
    state = ViewState(painted=((0, 4), (2, 1), (5, 0)))
    assert state.clamp(1, 1, 5).painted == ((0, 4), (2, 1))
    assert state.clamp(1, 1, 6, 4).painted == ((2, 1), (5, 0))
