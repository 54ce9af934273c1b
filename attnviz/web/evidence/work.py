"""The page "Attention and cause": the measures that run a model many times, in slices between which Cancel is heard."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Literal

import streamlit as st

from attnviz.analysis import evidence, predictions
from attnviz.analysis.evidence import Evidence
from attnviz.nn.trace import Trace
from attnviz.web import cache, store
from attnviz.web.evidence.shown import Asked
from attnviz.web.jobs.work import Work

Long = Literal["erasure", "flow", "integrated"]
LONG: tuple[Long, ...] = ("erasure", "flow", "integrated")


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


def _gathering(method: Long, asked: Asked) -> Generator[int, None, Evidence]:
    """Tokens erased, tokens whose flow is known, or points of the integral; in the end the measure."""
    trace = trace_of(asked)
    prediction = predictions.predicted(trace, asked.target, position=asked.hidden)
    return evidence.gathering(cache.model(asked.model), trace, prediction, methods=(method,))


WORK: dict[Long, Work[Asked, Evidence]] = {
    method: Work(f"evidence:{method}", partial(_gathering, method)) for method in LONG
}


def running() -> bool:
    """Whether there is more to do."""
    return any(work.running for work in WORK.values())


def run_on(timed: bool) -> None:
    """The next slice, last on the page, so that Cancel is on screen before it; `timed`: whether there is a clock."""
    if running() != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    for work in WORK.values():
        if work.running:
            work.run_on()
            return None if running() else st.rerun()
