"""How trainings give way to the pages, counted by a clock that only they move."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from attnviz.web.jobs import priority
from attnviz.web.jobs.priority import DRAWING, MOST, Turns

STEP = 0.04  # seconds of a training's step
READER = threading.Thread()


class World:
    """A clock, and who runs a page at which time."""

    def __init__(self, *pages: tuple[threading.Thread, float, float]) -> None:
        """Each page's thread, from when and until when it runs."""
        self.now, self.pages = 0.0, pages
        self.turns = Turns(lambda: self.now, self.sleep, self.readers)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def readers(self) -> list[threading.Thread]:
        return [thread for thread, begin, end in self.pages if begin <= self.now < end]

    def steps(self, n: int) -> list[float]:
        """The seconds for which a training waited after each of n steps, without the breath."""
        waits = []
        for _ in range(n):
            with self.turns.turn():
                self.now += STEP
            before = self.now
            self.turns.give_way()
            waits.append(self.now - before - priority.YIELD)
        return waits


def test_a_training_waits_for_nobody() -> None:
    assert World().steps(100) == pytest.approx([0.0] * 100)


def test_a_training_waits_until_a_reader_s_page_is_drawn() -> None:
    world = World((READER, 1.0, 1.15))
    waits = world.steps(60)
    [after] = [n for n, wait in enumerate(waits) if wait > 1e-9]
    begun, ended = sum(waits[:after]) + (after + 1) * (STEP + priority.YIELD), 1.15 + DRAWING
    assert 1.0 <= begun < 1.0 + STEP + priority.YIELD  # after the step that was under way
    assert ended - priority.POLL <= begun + waits[after] <= ended + priority.POLL


def test_pages_that_are_always_busy_take_half_of_the_time_at_most() -> None:
    world = World((READER, 0.0, 1e9))
    waits = world.steps(200)
    assert sum(waits) <= 200 * STEP and sum(waits) > 0.9 * 200 * STEP


def test_a_training_never_waits_long_at_a_time() -> None:
    world = World((READER, 100.0, 1e9))
    waits = world.steps(5000)
    assert MOST - priority.POLL <= max(waits) <= MOST and sum(wait > 0.1 for wait in waits) == 1


def test_trainings_take_turns_at_all_cores_but_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three threads of 40 turns on a machine of three cores: two are in theirs at a time, and each comes to its own."""
    monkeypatch.setattr(priority, "_cores", threading.BoundedSemaphore(2))
    inside, most, counted = [0], [0], threading.Lock()
    finished: list[int] = []

    def train(number: int) -> None:
        turns = Turns(readers=list)
        for _ in range(40):
            with turns.turn():
                with counted:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                with counted:
                    inside[0] -= 1
            turns.give_way()
        finished.append(number)

    threads = [threading.Thread(target=train, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [2] and sorted(finished) == [0, 1, 2]


def test_a_core_stays_free_where_there_is_more_than_one() -> None:
    assert priority._cores._initial_value == max(1, priority.cores() - 1)  # type: ignore[attr-defined]


def test_waiting_for_a_turn_gives_no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that waited ten seconds for its turn and worked none gives way for none."""
    world = World((READER, 0.0, 1e9))
    monkeypatch.setattr(priority, "_cores", Late(world, 10.0))
    with world.turns.turn():
        pass
    before = world.now
    world.turns.give_way()
    assert world.now - before == pytest.approx(priority.YIELD)


class Late:
    """Turns that come only after some seconds of a world's clock."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world, self.seconds = world, seconds

    def __enter__(self) -> None:
        self.world.now += self.seconds

    def __exit__(self, *_: object) -> None:
        pass


def test_a_training_waits_for_no_page_that_only_its_clock_runs() -> None:
    clock = threading.Thread(target=lambda: priority.set_foreground(asked=False))
    clock.start()
    clock.join()
    assert World((clock, 1.0, 1.5)).steps(60) == pytest.approx([0.0] * 60)
    touched = threading.Thread(target=lambda: [priority.set_foreground(asked=asked) for asked in (False, True)])
    touched.start()
    touched.join()
    assert sum(World((touched, 1.0, 1.5)).steps(60)) > 0.5


def test_a_training_that_is_to_end_waits_no_longer() -> None:
    world = World((READER, 0.0, 1e9))
    world.steps(100)
    before = world.now
    world.turns.give_way(lambda: False)
    assert world.now - before == pytest.approx(priority.YIELD)


def test_a_page_s_run_is_seen_and_nothing_else() -> None:
    def page() -> None:
        import streamlit as st

        from attnviz.web.jobs import priority

        st.session_state["seen"] = priority.page_threads()

    app = AppTest.from_function(page).run()
    [seen] = app.session_state["seen"]
    assert not seen.is_alive() and priority.page_threads() == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_app_comes_first() -> None:
    seen: list[int] = []

    def work() -> None:
        priority.lower()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [max(priority.NICE, os.getpriority(os.PRIO_PROCESS, 0))]
