"""The line of runs: a few at a time, in order, and slow ones keep nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from attnviz.web import line
from attnviz.web.line import Line, Ticket


def soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.001)


def comes(to: Line, entered: list[str], name: str, slow: bool = False) -> threading.Thread:
    """A run that waits in a thread, and notes when it is let in; returns once it stands in line or is in."""
    before = to.n_waiting + len(to._inside)
    thread = threading.Thread(target=lambda: (to.enter(slow), entered.append(name)), daemon=True)
    thread.start()
    soon(lambda: to.n_waiting + len(to._inside) > before)
    return thread


def test_no_more_are_in_than_there_are_places_and_the_first_comes_first() -> None:
    runs, entered = Line(2), []
    first, _ = runs.enter(False), runs.enter(False)
    for name in "abc":
        comes(runs, entered, name)
    assert runs.n_waiting == 3 and entered == []
    for number, ticket in enumerate([first, *[None] * 2], 1):
        runs.leave(ticket or runs._inside[-1])
        soon(lambda number=number: len(entered) == number)  # type: ignore[misc]
        assert len(runs._inside) == 2
    assert entered == ["a", "b", "c"]


def test_slow_ones_leave_a_place_to_the_others() -> None:
    runs, entered = Line(3), []
    slow = [runs.enter(True), runs.enter(True)]
    comes(runs, entered, "slow", slow=True)
    comes(runs, entered, "light")
    soon(lambda: entered == ["light"])
    runs.leave(slow[0])
    soon(lambda: entered == ["light", "slow"])


def test_one_place_is_for_all() -> None:
    runs = Line(1)
    runs.leave(runs.enter(True))
    assert runs.enter(False) and runs.n_waiting == 0


def test_who_moves_on_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LOOK", 0.001)
    runs, seen = Line(1), []
    inside = runs.enter(False)

    def moves_on(before: int) -> None:
        seen.append(before)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.enter(False, moves_on)
    assert seen == [0, 0, 0] and runs.n_waiting == 0
    runs.leave(inside)
    assert runs.enter(False)


def test_a_run_within_a_run_has_its_place_and_a_wait_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Line(1)
    monkeypatch.setattr(line, "LINE", runs)
    monkeypatch.setattr(line.st, "session_state", {})
    with line.place():
        with line.place(), line.aside():
            assert runs._inside == []
            other = runs.enter(False)
            threading.Timer(0.05, runs.leave, [other]).start()
        assert len(runs._inside) == 1
    assert runs._inside == [] and line.st.session_state["line:seconds"] < 0.04  # of work: it waited for 0.05


def test_a_file_that_is_asked_for_is_made_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, made = Line(1), []
    monkeypatch.setattr(line, "LINE", runs)
    inside = runs.enter(False)
    asked = threading.Thread(target=line.in_line(lambda: made.append(len(runs._inside))), daemon=True)
    asked.start()
    soon(lambda: runs.n_waiting == 1)
    assert made == []
    runs.leave(inside)
    asked.join(10)
    assert made == [1] and runs._inside == []


def test_work_makes_a_session_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line.st, "session_state", {})
    with line.place():
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
    assert line.st.session_state["line:seconds"] >= 0.05


def test_who_moves_on_while_a_run_waits_aside_is_not_kept_by_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Line(1)
    monkeypatch.setattr(line, "LINE", runs)
    monkeypatch.setattr(line.st, "session_state", {})
    with pytest.raises(KeyboardInterrupt), line.place(), line.aside():
        other = runs.enter(False)  # who stays: to wait for a place again would take for ever
        raise KeyboardInterrupt
    assert runs._inside == [other] and runs.n_waiting == 0


def test_an_error_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: Line = Line(1)
    monkeypatch.setattr(line, "LINE", runs)
    monkeypatch.setattr(line.st, "session_state", {line._SECONDS: 9.0})
    with pytest.raises(ZeroDivisionError), line.place():
        assert [one.slow for one in runs._inside] == [True]
        _ = 1 / 0
    assert isinstance(runs.enter(False), Ticket)
