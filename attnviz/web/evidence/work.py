"""The page "Attention and cause": the measures that run a model many times, in slices between which Cancel is heard."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Literal

import streamlit as st

from attnviz.analysis import evidence, predictions
from attnviz.analysis.evidence import Evidence
from attnviz.nn.trace import Trace
from attnviz.web import cache, store
from attnviz.web.evidence.shown import Asked
from attnviz.web.jobs import slices

Long = Literal["erasure", "integrated"]
LONG: tuple[Long, ...] = ("erasure", "integrated")
KEPT = "evidence.work.found"  # in the store, for all sessions
AT_ONCE = 1.0  # seconds that a measure may take before it goes on in slices


def job(method: Long) -> str:
    """The name of a measure's work among the session's."""
    return f"evidence:{method}"


def trace_of(asked: Asked) -> Trace:
    """The run that the prediction is of. Errors: as `Model.run`."""
    if asked.hidden is None:
        return cache.trace(asked.model, asked.text)
    return _hiding(asked.model, asked.text, asked.hidden)


@store.kept()
def _hiding(name: str, source: str, hidden: int) -> Trace:
    model = cache.model(name)
    ids = list(cache.trace(name, source).encodings[0].ids)
    assert model.tokenizer.mask_id is not None  # as `predictions.fills_in` has seen to
    ids[hidden] = model.tokenizer.mask_id
    return model.run(ids)


def found(method: Long, asked: Asked) -> Evidence | None:
    """A measure, begun where it was not: a short one is done at once. None while it is under way, or cancelled."""
    kept: Evidence | None = store.STORE.peek(KEPT, (method, asked))
    if kept is not None:
        return kept
    if st.session_state.get(f"{job(method)}:of") != asked or slices.done(job(method)) is None:
        again(method, asked)
        slices.advance(job(method), AT_ONCE)
    last = (slices.done(job(method)) or [None])[-1]
    return last if isinstance(last, Evidence) else None


def again(method: Long, asked: Asked) -> None:
    """Begins anew: what the button does after Cancel."""
    slices.start(job(method), _steps(method, asked))
    st.session_state[f"{job(method)}:of"] = asked


def _steps(method: Long, asked: Asked) -> Generator[int | Evidence, None, None]:
    """Tokens erased, or points of the integral; the measure itself is the last step."""
    trace = trace_of(asked)
    prediction = predictions.predicted(trace, asked.target, position=asked.hidden)
    work = evidence.gathering(cache.model(asked.model), trace, prediction, methods=(method,))
    seconds = 0.0
    while True:
        begin = time.perf_counter()
        try:
            step = next(work)
        except StopIteration as end:
            store.STORE.put(KEPT, (method, asked), end.value, seconds + time.perf_counter() - begin)
            yield end.value
            return
        seconds += time.perf_counter() - begin
        yield step


def done(method: Long) -> int:
    """The tokens or points so far."""
    return max((step for step in slices.done(job(method)) or () if isinstance(step, int)), default=0)


def running() -> bool:
    """Whether there is more to do."""
    return any(slices.running(job(method)) for method in LONG)


def run_on(timed: bool) -> None:
    """The next slice, last on the page, so that Cancel is on screen before it; `timed`: whether there is a clock."""
    if running() != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    for method in LONG:
        if slices.running(job(method)):
            slices.advance(job(method))
            return None if running() else st.rerun()
