"""The page "What if?": the sweep over all heads and the stream, in slices, and what is worked out beside it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from attnviz.analysis import cell_removal, patching, patching_gradient, self_repair, sites
from attnviz.analysis.outcomes import Lead
from attnviz.analysis.patching import HeadRow, StreamRow
from attnviz.analysis.patching_gradient import Correlation
from attnviz.analysis.sites import Site
from attnviz.formatting import token_name
from attnviz.web import cache, store
from attnviz.web.jobs import slices
from attnviz.web.jobs.work import Work
from attnviz.web.lesson import Lesson
from attnviz.web.what_if.state import Experiment, Settings, is_pair_model, outcome, pair, runs_on

JOB = "what-if"
CELLS = 5


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of an experiment so far; NaN where a run is still to come."""

    sites: tuple[Site, ...]
    base: float
    other: float  # NaN without another text
    heads: np.ndarray  # (places, H): the outcome with each head changed
    stream: np.ndarray | None  # (L, T): with the stream of the other text, a layer and a token each
    done: int  # changes that have been run, or known to change nothing
    steps: int

    @property
    def effects(self) -> np.ndarray:
        """(places, H): by how much the outcome changed."""
        changed: np.ndarray = self.heads - self.base
        return changed


def found(exp: Experiment) -> Found:
    """The experiment so far, begun where it was not: small ones are done at once."""
    state = st.session_state
    if state.get(f"{JOB}:of") != exp or slices.done(JOB) is None:
        slices.start(JOB, _steps(exp))
        state[f"{JOB}:of"] = exp
        slices.advance(JOB, slices.AT_ONCE)
    return _found(exp, slices.done(JOB) or ())


def again(exp: Experiment) -> None:
    """Begins anew: what the button does after Cancel."""
    slices.start(JOB, _steps(exp))
    st.session_state[f"{JOB}:of"] = exp


def running() -> bool:
    """Whether there is more to do, of the sweep or beside it."""
    return slices.running(JOB) or CELL_WORK.running or REPAIR.running


def run_on() -> None:
    """The next slice of what is under way."""
    if slices.running(JOB):
        slices.advance(JOB)
    elif CELL_WORK.running:
        CELL_WORK.run_on()
    else:
        REPAIR.run_on()


def _steps(exp: Experiment) -> Generator[HeadRow | StreamRow | int, None, None]:
    model, here, other = pair(exp)
    measured = outcome(exp)
    yield from patching.heads_in_steps(model.transformer, here, measured, exp.change, other=other, at=exp.tokens)
    if other is not None:
        yield from patching.stream_in_steps(model.transformer, here, other, measured)


def _found(exp: Experiment, steps: Sequence[HeadRow | StreamRow | int]) -> Found:
    model, here, other = pair(exp)
    places, n_heads = sites.sites(here), model.transformer.config.n_heads
    base, there = bases(exp)
    heads = np.full((len(places), n_heads), np.nan)
    stream = None
    side = here.source or here
    if other is not None:
        stream = np.full((len(side.layers), side.lengths[0]), np.nan)
    done = since = 0  # in whole rows, and since the last of them
    for row in steps:
        if isinstance(row, int):
            since += row
            continue
        done, since = done + len(row.values), 0
        if isinstance(row, HeadRow):
            heads[places.index(row.site)] = row.values.numpy()
        else:
            assert stream is not None
            stream[row.layer] = row.values.numpy()
    n_changes = heads.size + (0 if stream is None else stream.size)
    return Found(places, base, there, heads, stream, done + since, n_changes)


@store.kept()
def bases(exp: Experiment) -> tuple[float, float]:
    """The outcome of either run; NaN without another text. Errors: as the outcome."""
    model, here, other = pair(exp)
    measured = outcome(exp)
    there = float("nan") if other is None else patching.base(model.transformer, other, measured)
    return patching.base(model.transformer, here, measured), there


@store.kept("One run forward and one back …")
def by_gradient(exp: Experiment) -> np.ndarray:
    """Attribution patching of every head: (places, H)."""
    model, here, other = pair(exp)
    effects = patching_gradient.heads(model.transformer, here, outcome(exp), exp.change, other=other, at=exp.tokens)
    found: np.ndarray = effects.numpy()
    return found


def correlation(exact: np.ndarray, approximate: np.ndarray) -> Correlation:
    """How well the two go together."""
    return patching_gradient.correlation(torch.from_numpy(exact), torch.from_numpy(approximate))


def has_repair(exp: Experiment) -> bool:
    """Whether self-repair can be told: of a logit difference, in a model of ours that reads one text."""
    return exp.measure == "lead" and not is_pair_model(exp.model) and runs_on(exp.model)


def _repairing(exp: Experiment) -> Generator[int, None, self_repair.Repair]:
    model, here, _ = pair(exp)
    measured = outcome(exp)
    assert isinstance(measured, Lead)
    return self_repair.of_heads_in_steps(model.transformer, here, measured)


def _removing(cells: Cells) -> Generator[int, None, tuple[cell_removal.Removed, ...]]:
    exp = cells.exp
    model, here, _ = pair(exp)
    measured = outcome(exp)
    return cell_removal.of_head_in_steps(model.transformer, here, measured, cells.site, cells.head, most=CELLS)


@dataclass(frozen=True)
class Cells:
    """Those of one head, each to be removed."""

    exp: Experiment
    site: Site
    head: int


REPAIR: Work[Experiment, self_repair.Repair] = Work("what-if:repair", _repairing)
CELL_WORK: Work[Cells, tuple[cell_removal.Removed, ...]] = Work("what-if:cells", _removing)


def chosen(lesson: Lesson[Settings], found: Found) -> int:
    """The row of the map that the chosen head is in; brings layer, head and place under what there is."""
    settings = lesson.settings()
    places = tuple(dict.fromkeys(site.place for site in found.sites))
    place = settings.place if settings.place in places else places[-1]
    n_layers = sum(site.place == place for site in found.sites)
    lesson.fit(layer=n_layers, head=found.heads.shape[1])
    return found.sites.index(Site(place, lesson.settings().layer))


def cell_names(exp: Experiment, site: Site) -> tuple[Sequence[str], Sequence[str]]:
    """The tokens of the queries and of the keys of a place, those that read the same with their positions."""
    model = cache.model(exp.model)
    source = model.encode(exp.text).labels
    answer = model.encode(exp.answer).labels if is_pair_model(exp.model) else source
    queries, keys = (source if site.place == "encoder" else answer), (answer if site.place == "decoder" else source)
    return _names(queries), _names(keys)


def _names(labels: Sequence[str]) -> list[str]:
    return [token_name(labels, position) for position in range(len(labels))]
