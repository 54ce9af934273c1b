"""The one store of all sessions: bounded in bytes, what is worth most stays, what many ask for is made once."""

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz.web.store import STORE, Store, kept, n_bytes


@dataclass(frozen=True)
class Result:
    values: torch.Tensor
    same: torch.Tensor


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_tensors_count_once_and_views_as_what_they_are_of() -> None:
    x = torch.zeros(1000)
    assert 4000 <= n_bytes(Result(x, x.view(10, 100))) < 4000 + 1000
    assert 4000 <= n_bytes(x[:2]) < 5000  # the whole memory stays as long as a view of it does
    assert 8000 <= n_bytes({"a": np.zeros(1000)[:1]}) < 9000
    assert 4000 <= n_bytes(np.zeros(1000, np.float32)) < 5000


def test_texts_lists_and_models_count() -> None:
    assert n_bytes(b"x" * 5000) >= 5000
    assert n_bytes([float(i) for i in range(1000)]) >= 24_000 + 8_000
    assert n_bytes(torch.nn.Linear(100, 100)) >= 40_400


def test_a_result_is_made_once() -> None:
    store, made = Store(1_000_000), []
    for _ in range(3):
        assert store.get("f", (1, "a"), lambda: made.append(1) or b"x") == b"x"  # type: ignore[func-returns-value]
    assert len(made) == 1
    assert [(use.name, use.entries, use.hits, use.made) for use in store.uses()] == [("f", 1, 2, 1)]


def test_what_many_ask_for_at_once_is_made_once() -> None:
    store, made, go = Store(1_000_000), [], threading.Event()

    def make() -> str:
        made.append(1)
        go.wait(5)
        return "done"

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(store.get("f", 1, make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert answers == ["done"] * 8 and len(made) == 1


def test_where_the_work_fails_the_next_one_works_again() -> None:
    store, attempts = Store(1_000_000), []

    def make() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyboardInterrupt  # no Exception, as Streamlit's end of a run is none
        return "done"

    with pytest.raises(KeyboardInterrupt):
        store.get("f", 1, make)
    assert store.get("f", 1, make) == "done" and store.n_bytes > 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 400)), max_size=60))
def test_it_never_holds_more_than_it_may(asked: list[tuple[int, int]]) -> None:
    store = Store(1000)
    for key, size in asked:
        assert len(store.get("f", (key, size), lambda size=size: bytes(size))) == size
        assert store.n_bytes <= 1000
        assert store.n_bytes == sum(use.n_bytes for use in store.uses())


class Counted:
    """A key that counts how often all of its kind were looked at."""

    looked = 0

    def __init__(self, n: int) -> None:
        self.n = n

    def __hash__(self) -> int:
        Counted.looked += 1
        return self.n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and self.n == other.n


def test_to_make_room_few_of_what_it_holds_are_looked_at() -> None:
    store = Store(1000 * 1033)
    for n in range(1000):
        store.get("f", Counted(n), lambda: bytes(1000))
    assert store.uses()[0].entries == 1000
    Counted.looked = 0
    store.get("f", Counted(1000), lambda: bytes(1000))
    assert store.uses()[0].evicted == 1 and Counted.looked < 100


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=80))
def test_what_is_worth_least_goes_first(asked: list[tuple[int, int]]) -> None:
    """As by a look at all that it holds, however often each was asked for since."""
    store = Store(4 * 133)
    for n, seconds in asked:
        if store.peek("f", n) is None:
            held = dict(store._entries)
            store.put("f", n, bytes(100), seconds)
            gone = [held[key].worth for key in held if key not in store._entries]
            assert all(worth <= min(entry.worth for entry in held.values()) for worth in gone)
    assert len(store._heap) == len(store._entries) <= 4


def test_what_two_put_at_once_counts_once() -> None:
    store = Store(1000)

    def make() -> bytes:
        store.put("f", 1, bytes(100), 1)
        return bytes(100)

    store.get("f", 1, make)
    assert store.n_bytes == store.uses()[0].n_bytes


def test_a_result_larger_than_the_store_is_given_and_not_kept() -> None:
    store = Store(1000)
    assert len(store.get("f", 1, lambda: bytes(2000))) == 2000
    assert store.n_bytes == 0


def test_what_costs_most_to_make_stays() -> None:
    store, made = Store(5000), []

    def dear() -> bytes:
        made.append(1)
        busy(0.05)
        return bytes(1000)

    store.get("dear", 1, dear)
    for n in range(50):
        store.get("cheap", n, lambda: bytes(1000))
    store.get("dear", 1, dear)
    assert len(made) == 1


def test_what_is_asked_for_often_stays_before_what_is_not() -> None:
    store, made = Store(5000), []
    for n in range(30):
        store.get("often", 1, lambda: made.append(1) or bytes(1000))  # type: ignore[func-returns-value]
        store.get("once", n, lambda: bytes(1000))
    assert len(made) == 1


def test_what_nobody_asks_for_any_more_goes_in_the_end() -> None:
    store = Store(5000)

    def dear() -> bytes:
        busy(0.003)
        return bytes(1000)

    store.get("dear", 1, dear)
    for n in range(2000):
        store.get("cheap", n, lambda: bytes(1000))
        store.get("cheap", n, lambda: bytes(1000))
        if not any(use.name == "dear" and use.entries for use in store.uses()):
            break
    else:
        raise AssertionError("it stayed for ever")


def test_a_function_says_its_arguments_apart_and_forgets() -> None:
    made = []

    @kept()
    def summed(a: int, b: int = 0) -> int:
        made.append((a, b))
        return a + b

    assert [summed(1), summed(1, b=2), summed(1), summed(1, 2)] == [1, 3, 1, 3]
    assert [summed(1, 0), summed(a=1), summed(b=0, a=1), summed(b=2, a=1)] == [1, 1, 1, 3]
    assert made == [(1, 0), (1, 2)]
    summed.clear()
    assert summed(1) == 1 and len(made) == 3
    STORE.clear("test_store.test_a_function_says_its_arguments_apart_and_forgets.<locals>.summed")


def test_numbers_that_equal_each_other_are_the_same_argument() -> None:
    @kept()
    def doubled(x: float) -> float:
        return 2 * x

    assert doubled(1) == doubled(1.0) == 2
