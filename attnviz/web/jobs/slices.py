"""Long work in slices: a generator that a page takes a few steps of at a time, so that no reader is kept waiting.

A fragment that calls `advance` and runs again by its own clock (`run_every`) goes through the steps; between two slices
every other control answers, and `cancel` stops. Steps and generator are the session's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import streamlit as st

SECONDS = 0.3  # of work between two looks at what the reader does
AT_ONCE = 1.0  # seconds that work may take before it goes on in slices


def start(name: str, steps: Generator[Any, None, None]) -> None:
    """Begins the work `name`, in the place of what was under way or done under that name."""
    cancel(name)
    st.session_state[f"{name}:steps"] = []
    st.session_state[f"{name}:running"] = steps


def cancel(name: str) -> None:
    """Stops between two steps; what was done stays."""
    steps = st.session_state.pop(f"{name}:running", None)
    if steps is not None:
        steps.close()


def running(name: str) -> bool:
    """Whether there is more to do."""
    return f"{name}:running" in st.session_state


def done(name: str) -> list[Any] | None:
    """The steps so far; None if the work was never begun in this session."""
    steps: list[Any] | None = st.session_state.get(f"{name}:steps")
    return steps


def advance(name: str, seconds: float | None = None) -> None:
    """Takes one step, and more until `seconds` (SECONDS) are over; the one then under way is taken to its end."""
    until = time.perf_counter() + (SECONDS if seconds is None else seconds)
    while running(name):
        step = next(st.session_state[f"{name}:running"], None)
        if step is None:
            cancel(name)
        else:
            st.session_state[f"{name}:steps"].append(step)
        if time.perf_counter() > until:
            return


def bar(name: str, share: float, progress: str, cancelled: str, again: Callable[[], None]) -> None:
    """How far the work is, with the way to end it; of what was cancelled a sentence, and the way to begin `again`."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    key = name.replace(":", "-")
    if running(name):
        left.progress(min(1.0, share), progress)
        right.button("Cancel", on_click=cancel, args=(name,), key=f"{key}-cancel")
    else:
        left.text(cancelled)
        right.button("Run it again", on_click=again, key=f"{key}-again")
