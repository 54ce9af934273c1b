"""A signal is heard once before the server hears it, and at once when it comes again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from attnviz.web import farewell

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no signal to try this with")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What happened, in order; `slow` lets the farewell last."""
    happened: list[str] = []
    slow = threading.Event()
    monkeypatch.setattr(farewell, "say_goodbye", lambda: (happened.append("told"), slow.wait(0.2)))
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, farewell._heard_first(lambda number, frame: happened.append("server")))
    yield happened
    for thread in threading.enumerate():
        if thread.name == "attnviz farewell":  # it hands the signal on at its end
            thread.join()
    until(lambda: "server" in happened)
    signal.signal(signal.SIGUSR1, before)


def until(holds: Any) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_readers_first_then_the_server(heard: list[str]) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    until(lambda: "server" in heard)
    assert heard == ["told", "server"]


def test_a_second_signal_does_not_wait(heard: list[str]) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    until(lambda: "told" in heard)
    os.kill(os.getpid(), signal.SIGUSR1)
    until(lambda: "server" in heard)
    assert heard == ["told", "server"]  # the first one is still being told to the readers


def test_without_a_server_nobody_is_told() -> None:
    assert farewell.tell() == 0
    farewell.end_work()
