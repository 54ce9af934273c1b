"""The page "Attention and cause": which parts of the model wrote the logit, and what it would say if it stopped."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from attnviz.analysis import attribution, predictions
from attnviz.analysis.attribution import LogitParts
from attnviz.errors import InvalidParameterError
from attnviz.formatting import percent
from attnviz.web import cache, shell, store
from attnviz.web.components.part_table import open_head, part_table
from attnviz.web.components.table import table
from attnviz.web.evidence import text, work
from attnviz.web.evidence.shown import Asked, Shown
from attnviz.web.evidence.state import Settings, name_of
from attnviz.web.lesson import Lesson

NAMED = 8  # parts


@dataclass(frozen=True, eq=False)
class Readout:
    """What a prediction's logit is made of, and what the model would say if it stopped earlier."""

    parts: LogitParts
    said: tuple[tuple[str, float], ...]  # before each layer, and at the end: the likeliest, and its probability
    asked: tuple[float, ...]  # the probability of what is asked about


@store.kept()
def readout(asked: Asked) -> Readout:
    """Of one prediction. Errors: as `attribution.logit_parts` and `attribution.logit_lens`."""
    model, trace = cache.model(asked.model), work.trace_of(asked)
    prediction = predictions.predicted(trace, asked.target, position=asked.hidden)
    assert prediction.target is not None
    row = prediction.rows[0]
    parts = attribution.logit_parts(model.transformer, trace, row, prediction.target)
    shares = attribution.logit_lens(model.transformer, trace, row).double().softmax(dim=-1)
    best = shares.max(dim=-1)
    said = [
        (name_of(model, prediction, i), p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    return Readout(parts, tuple(said), tuple(shares[:, prediction.target].tolist()))


def readouts(lesson: Lesson[Settings], shown: Shown) -> None:
    """The section; nothing of an embedding, which is no logit."""
    if shown.asked is None:
        return
    lesson.section("Which part of the model wrote it?")
    try:
        found = readout(shown.of)
    except InvalidParameterError as error:
        st.text(text.not_split(str(error)))
        return
    lesson.sentence(text.wrote(shown, found.parts), part="wrote")
    lesson.sentence(text.on_the_way(shown.asked.name, [name for name, _ in found.said]), part="lens")
    left, right = st.columns(2, gap="large")
    with left:
        terms = list(zip(found.parts.parts, found.parts.terms.tolist(), strict=True))
        head = part_table("Who wrote it", terms, "logit", n=NAMED, key="evidence-wrote")
        if head is not None:
            note = ", nothing hidden" if shown.of.hidden is not None else ""
            open_head(head, shown.of.model, shown.of.text, shown.prediction.rows[0], note=note)
            query = {"model": shown.of.model, "layer": str(head.layer), "head": str(head.head)}
            whole = {"text": shown.of.text} if shell.fits_link(shown.of.text) else {}
            st.page_link("pages/heads.py", label=f"What is {head} for?", query_params=query | whole)
    with right:
        columns = (("Stopped", ""), ("says", ""), ("of it", "number"), (f"of “{shown.asked.name}”", "number"))
        stops = [
            (str(n), ((text.stop(n),), (name,), (percent(best),), (percent(share),)))
            for n, ((name, best), share) in enumerate(zip(found.said, found.asked, strict=True))
        ]
        table("What the model would say if it stopped earlier", columns, stops, key="evidence-lens")
    st.caption(text.READOUT)
