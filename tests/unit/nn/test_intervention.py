"""Intervention as data: canonical, hashable, round-tripping, and narrowed rightly to one layer."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError

INDEX = st.integers(0, 9)
FACTOR = st.floats(-10, 10)
PLACES = ["all", "encoder", "decoder", "cross"]

interventions = st.builds(
    Intervention,
    temperature=st.floats(1e-3, 1e3),
    scaled=st.booleans(),
    mask=st.none() | st.sampled_from(["causal", "none"]) | st.tuples(st.just("window"), INDEX),
    blocked=st.lists(
        st.tuples(INDEX, INDEX) | st.tuples(st.none() | INDEX, st.none() | INDEX, INDEX, INDEX), max_size=4
    ),
    head_scale=st.dictionaries(INDEX | st.tuples(INDEX, INDEX), FACTOR, max_size=4),
    positions=st.none() | st.sampled_from(["none", "sinusoidal", "learned", "rope", "alibi"]),
    layers=st.none() | st.lists(INDEX, max_size=3) | INDEX,
    where=st.sampled_from(PLACES),
)


@given(interventions)
def test_round_trips_through_json_and_pickle(change: Intervention) -> None:
    for again in (
        Intervention(**change.to_dict()),
        Intervention(**json.loads(json.dumps(change.to_dict()))),
        pickle.loads(pickle.dumps(change)),
        replace(change),
    ):
        assert again == change
        assert hash(again) == hash(change)


@given(interventions, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_count(change: Intervention, random) -> None:
    blocked, layers, heads = list(change.blocked) * 2, change.layers, list(change.head_scale)
    random.shuffle(blocked)
    random.shuffle(heads)
    layers = None if layers is None else [*reversed(layers), *layers]
    again = replace(change, blocked=blocked, head_scale=heads, layers=layers)
    assert again == change
    assert hash(again) == hash(change)


def test_forms_of_the_same_change_are_equal() -> None:
    assert Intervention(temperature=2) == Intervention(temperature=2.0)
    assert Intervention(mask=["window", 3]) == Intervention(mask=("window", 3))
    assert Intervention(blocked=[[1, 2]]) == Intervention(blocked={(None, None, 1, 2)})
    assert Intervention(head_scale={3: 0}) == Intervention(head_scale=[(None, 3, 0.0)])
    assert Intervention(head_scale={(2, 3): 0}) == Intervention(head_scale=[[2, 3, 0.0]])
    assert Intervention(layers=2) == Intervention(layers=[2, 2])
    assert Intervention(head_scale={1: 1.0}) == Intervention()
    assert len({Intervention(), Intervention(temperature=1), Intervention(temperature=2)}) == 2


def test_different_changes_are_different() -> None:
    changes = [
        Intervention(),
        Intervention(temperature=2),
        Intervention(scaled=False),
        Intervention(mask="causal"),
        Intervention(mask="none"),
        Intervention(mask=("window", 1)),
        Intervention(mask=("window", 2)),
        Intervention(blocked=[(1, 2)]),
        Intervention(blocked=[(2, 1)]),
        Intervention(blocked=[(0, None, 1, 2)]),
        Intervention(head_scale={1: 0}),
        Intervention(head_scale={(1, 1): 0}),
        Intervention(head_scale={1: 2}),
        Intervention(positions="none"),
        Intervention(layers=[0]),
        Intervention(layers=[]),
        Intervention(where="cross"),
    ]
    assert len(set(changes)) == len(changes)


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Intervention().temperature = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "idle"),
    [
        (Intervention(), True),
        (Intervention(temperature=1), True),
        (Intervention(layers=[0, 1], where="cross"), True),
        (Intervention(temperature=2, layers=()), True),
        (Intervention(head_scale={0: 1.0}), True),
        (Intervention(temperature=2), False),
        (Intervention(scaled=False), False),
        (Intervention(mask="none"), False),
        (Intervention(mask="causal"), False),
        (Intervention(mask=("window", 0)), False),
        (Intervention(blocked=[(0, 0)]), False),
        (Intervention(head_scale={0: 0.0}), False),
        (Intervention(positions="none"), False),
        (Intervention(positions="none", layers=()), False),  # absolute positions act whatever layers says
    ],
)
def test_changes_nothing(change: Intervention, idle: bool) -> None:
    assert change.changes_nothing is idle


def test_to_dict_names_only_what_differs() -> None:
    assert Intervention().to_dict() == {}
    assert Intervention(temperature=0.5, layers=[1]).to_dict() == {"temperature": 0.5, "layers": (1,)}


@given(interventions, INDEX, st.sampled_from(["encoder", "decoder", "cross"]))
def test_at_is_what_acts_in_one_layer(change: Intervention, layer: int, place: str) -> None:
    here = change.at(layer, place)
    outside = change.where not in ("all", place) or (change.layers is not None and layer not in change.layers)
    if outside:
        assert here is None
        return
    blocked = {(head, q, k) for at, head, q, k in change.blocked if at in (None, layer)}
    factors = [(head, f) for at, head, f in change.head_scale if at in (None, layer)]
    mask = None if place == "cross" else change.mask
    expected = (change.temperature, change.scaled, mask, blocked, sorted(factors), change.positions)
    if expected == (1.0, True, None, set(), [], None):
        assert here is None
        return
    assert here is not None
    found = sorted((head, f) for _, head, f in here.head_scale)
    assert all(at is None for at, *_ in (*here.blocked, *here.head_scale))
    cells = {(head, q, k) for _, head, q, k in here.blocked}
    assert (here.temperature, here.scaled, here.mask, cells, found, here.positions) == expected
    assert here.at(0, place) == here  # narrowing twice changes nothing more


def test_factors_on_one_head_multiply() -> None:
    change = Intervention(head_scale={0: 0.5, (1, 0): 0.25})
    assert change.at(0, "encoder").head_scale == ((None, 0, 0.5),)
    product = math.prod(f for _, _, f in change.at(1, "encoder").head_scale)
    assert product == 0.125


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": 0}, ["temperature=0"]),
        ({"temperature": -1}, ["temperature=-1"]),
        ({"temperature": math.nan}, ["temperature=nan"]),
        ({"temperature": math.inf}, ["temperature=inf"]),
        ({"temperature": "1"}, ["temperature='1'"]),
        ({"temperature": None}, ["temperature=None"]),
        ({"temperature": True}, ["temperature=True"]),
        ({"scaled": "no"}, ["scaled='no'"]),
        ({"scaled": None}, ["scaled=None"]),
        ({"mask": "diagonal"}, ["'diagonal'", "causal"]),
        ({"mask": ("window", -1)}, ["window", "-1"]),
        ({"mask": ("window", 1.5)}, ["window", "1.5"]),
        ({"mask": ("window",)}, ["window"]),
        ({"mask": 3}, ["mask=3"]),
        ({"blocked": 5}, ["blocked=5"]),
        ({"blocked": [5]}, ["blocked cell=5"]),
        ({"blocked": "ab"}, ["blocked='ab'"]),
        ({"blocked": ["12"]}, ["'12'"]),
        ({"blocked": [(1, 2, 3)]}, ["(1, 2, 3)"]),
        ({"blocked": [(1, -2)]}, ["-2"]),
        ({"blocked": [(None, 3)]}, ["None"]),
        ({"blocked": [(0, 1.5, 0, 0)]}, ["1.5"]),
        ({"head_scale": 5}, ["head_scale=5"]),
        ({"head_scale": [(0, 1.0)]}, ["(0, 1.0)"]),
        ({"head_scale": {(0, 1, 2): 1.0}}, ["(0, 1, 2, 1.0)"]),
        ({"head_scale": {0: math.nan}}, ["head 0", "nan"]),
        ({"head_scale": {0: math.inf}}, ["head 0", "inf"]),
        ({"head_scale": {0: "off"}}, ["head 0", "'off'"]),
        ({"head_scale": {-1: 0.0}}, ["-1"]),
        ({"head_scale": {-1: 1.0}}, ["-1"]),
        ({"head_scale": {(1, -1): 0.0}}, ["-1"]),
        ({"head_scale": {"a": 0.0}}, ["'a'"]),
        ({"positions": "clock"}, ["'clock'", "alibi"]),
        ({"positions": ["none"]}, ["['none']"]),
        ({"layers": [-1]}, ["-1"]),
        ({"layers": "0"}, ["layers='0'"]),
        ({"layers": 1.5}, ["layers=1.5"]),
        ({"layers": [True]}, ["True"]),
        ({"where": "everywhere"}, ["'everywhere'", "cross"]),
        ({"where": None}, ["None"]),
    ],
)
def test_bad_fields_are_refused_with_their_value(fields, words) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        Intervention(**fields)
    for word in words:
        assert word in str(caught.value)
