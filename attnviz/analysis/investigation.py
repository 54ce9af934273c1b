"""All that is asked of a model and a text at once, for a file to keep: what each head is for, and why it says so.

    cards      every head's role, over many texts where they were judged on such, else on this one
    chosen     the most telling heads, and what the score of each one's best example was written by
    sweep      what becomes of the prediction without each head
    logits     which part of the model wrote the prediction's logit
    evidence   attention and cause: seven measures of every token
    compared   where each head looks otherwise in another run, if there is one

What a model does not allow is in `missing`, by name, with the reason in words; all the rest is there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from attnviz.analysis import (
    ablation,
    attribution,
    cards,
    cards_text,
    comparison,
    copying,
    evidence,
    outcomes,
    patching,
    predictions,
    reruns,
    roles,
    sites,
)
from attnviz.analysis.attribution import LogitParts, ScoreParts
from attnviz.analysis.cards import Cards, Example
from attnviz.analysis.cards_file import Stored
from attnviz.analysis.comparison import Change, Comparison, Sides
from attnviz.analysis.evidence import Evidence, Method
from attnviz.analysis.outcomes import Lead
from attnviz.analysis.predictions import Prediction
from attnviz.analysis.sites import Site
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model

T = TypeVar("T")
CHOSEN = 6  # heads that have a card where none is asked for
METHODS: Mapping[str, tuple[Method, ...]] = {  # of attention and cause, by the part in which they are worked out
    "attention and cause": ("attention", "rollout", "norm", "gradient"),
    "the flow of attention": ("flow",),
    "integrated gradients": ("integrated",),
    "each token erased": ("erasure",),
}
PARTS = (
    "the heads’ roles",
    "each head switched off",
    "what heads read from",
    "who wrote the prediction",
    *METHODS,
    "what it is compared with",
)
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True, eq=False)
class Sweep:
    """What became of one number without each head."""

    sites: tuple[Site, ...]
    values: Tensor  # (P, H): the outcome, or how far the final vectors moved
    base: float | None  # the outcome of the run as it was; None where `values` are distances
    outcome: Lead | None

    @property
    def effects(self) -> Tensor:
        """(P, H): by how much the outcome changed."""
        return self.values if self.base is None else self.values - self.base


@dataclass(frozen=True, eq=False)
class Reading:
    """A head's best example, and what its score was written by."""

    example: Example
    labels: tuple[str, ...]  # of the example's text
    parts: ScoreParts


@dataclass(frozen=True, eq=False)
class Compared:
    """Every head beside another, with the tokens of both aligned."""

    sides: Sides
    moved: Tensor  # (L, H): how much of its attention a token of A spends elsewhere in B, on average
    largest: Mapping[Head, Change | None]  # the cell of each head that differs most
    head: Head  # the one that is shown in full: the first that was asked for, or that which moves most
    shown: Comparison


@dataclass(frozen=True, eq=False)
class Investigation:
    """What is known; see the top of this module."""

    title: str  # of the model
    trace: Trace
    asked: Trace  # the same, with a token hidden where the model fills such in
    hidden: int | None
    prediction: Prediction | None
    predicted: str  # its name: a token's or a class's, "" of an embedding
    cards: Cards | None
    texts: tuple[str, ...]  # that the heads were judged on
    where: str
    chosen: tuple[Head, ...]
    readings: Mapping[Head, Reading]
    sweep: Sweep | None
    logits: LogitParts | None
    evidence: Evidence | None
    compared: Compared | None
    copying: Tensor | None  # (L, H): how far each head copies
    missing: Mapping[str, str]


def investigate(
    model: Model,
    trace: Trace,
    *,
    stored: Stored | None = None,
    chosen: Sequence[Head] = (),
    beside: Callable[[], Sides] | None = None,
    each: Callable[[str], None] = lambda part: None,
) -> Investigation:
    """All that a model allows of one run of it.

    Arguments
        stored: its cards over many texts; without them, and in a run that was changed, heads are judged on its text.
        chosen: the heads whose cards are wanted, before those that tell most; those that are not there are left out.
        beside: makes the run, and what is laid beside it: of another text or model, under a change, or another head.
        each: told what is worked out next.

    Errors: none for what a model does not allow: that is in `missing`.
    """
    steps = investigating(model, trace, stored=stored, chosen=chosen, beside=beside)
    return reruns.finished(steps, lambda part: each(PARTS[part]))


def investigating(
    model: Model,
    trace: Trace,
    *,
    stored: Stored | None = None,
    chosen: Sequence[Head] = (),
    beside: Callable[[], Sides] | None = None,
) -> Generator[int, None, Investigation]:
    """The same in steps, each the number in `PARTS` of what is worked out next. Arguments, errors: as `investigate`."""
    missing: dict[str, str] = {}
    changed = trace.intervention is not None and not trace.intervention.changes_nothing

    def tried(name: str, part: str, work: Generator[object, None, T]) -> Generator[int, None, T | None]:
        yield PARTS.index(part)
        try:
            while True:
                next(work)
                yield PARTS.index(part)
        except StopIteration as end:
            result: T = end.value
            return result
        except (InvalidParameterError, ModelError) as error:
            missing[name] = str(error)
            return None

    kept = None if changed else stored
    found = kept.cards if kept else None
    if kept is None:
        found = yield from tried("cards", "the heads’ roles", _in_one(lambda: _cards(model, trace)))
    texts = kept.texts if kept else (trace.encodings[0].text,) if trace.encodings else ()
    asked, hidden = trace, None
    if predictions.fills_in(model, trace):
        asked, hidden = _hiding_one(model, trace)
    swept = yield from tried("sweep", "each head switched off", _sweeping(model, asked, hidden))
    heads = _chosen(found, swept, chosen)
    readings = {}
    for head in heads:
        assert found is not None  # or no head would be chosen
        reading = _in_one(partial(_reading, model, trace, found, texts, head))
        if (read := (yield from tried("readings", "what heads read from", reading))) is not None:
            readings[head] = read
    about = _in_one(lambda: predictions.predicted(asked, position=hidden))
    prediction = yield from tried("prediction", "who wrote the prediction", about)
    parts = measured = None
    if prediction is None:
        missing["logits"] = missing["evidence"] = missing["prediction"]
    else:
        written = _in_one(partial(_logits, model, asked, prediction))
        parts = yield from tried("logits", "who wrote the prediction", written)
        every = []
        for part, methods in METHODS.items():
            one = yield from tried("evidence", part, evidence.gathering(model, asked, prediction, methods=methods))
            every += [] if one is None else [one]
        measured = evidence.joined(every) if every else None
    compared = None
    if beside is not None:
        compared = yield from tried("compared", "what it is compared with", _comparing(beside, chosen))
    return Investigation(
        model.info.title,
        trace,
        asked,
        hidden,
        prediction,
        _name(model, prediction),
        found,
        texts,
        cards_text.judged_on(len(texts), kept is not None and kept.is_sample),
        heads,
        readings,
        swept,
        parts,
        measured,
        compared,
        copying.scores_if_read(model.transformer),
        missing,
    )


def _in_one(make: Callable[[], T]) -> Generator[object, None, T]:
    """Work of one step."""
    yield from ()
    return make()


def heads_in(written: str) -> tuple[Head, ...]:
    """Heads as a command line names them, "1.9,3.2": layer and head, from 0. Errors: InvalidParameterError."""
    return tuple(map(comparison.head_in, filter(None, map(str.strip, written.split(",")))))


def _cards(model: Model, trace: Trace) -> Cards:
    roles.check_reads(model)
    return cards.of_trace(model, trace)


def _hiding_one(model: Model, trace: Trace) -> tuple[Trace, int | None]:
    """The run with the last word of the text hidden, and where that stands; the run itself where it has no word."""
    encoding = trace.encodings[0]
    words = [
        i for i, special in enumerate(encoding.special) if not special and any(map(str.isalnum, encoding.labels[i]))
    ]
    if not words:
        return trace, None
    ids = list(encoding.ids)
    assert model.tokenizer.mask_id is not None  # as `predictions.fills_in` has seen to
    ids[words[-1]] = model.tokenizer.mask_id
    return model.run(ids, intervention=trace.intervention), words[-1]


def _comparing(beside: Callable[[], Sides], wanted: Sequence[Head]) -> Generator[object, None, Compared]:
    sides = beside()
    for one in (sides.a, sides.b):
        if one.source is not None or not one.encodings:
            raise InvalidParameterError(f"{one.title} reads no single text to lay beside another")
    moved = torch.zeros(len(sides.a.layers), sides.a.config.n_heads, dtype=torch.float64)
    largest = {}
    for head, found in comparison.each_head(sides):
        moved[head] = found.moved.mean()
        largest[head] = next(iter(comparison.strongest(found, 1)), None)
        yield None
    most = divmod(int(moved.argmax()), moved.shape[1])
    shown = next((head for head in wanted if head in largest), most)
    found = comparison.compare(sides.a, shown, sides.b, sides.head_b or shown)
    return Compared(sides, moved, largest, shown, found)


def _sweeping(model: Model, trace: Trace, hidden: int | None) -> Generator[object, None, Sweep]:
    places, rows = sites.sites(trace), []
    if trace.logits is None:
        for one in ablation.each_head(model.transformer, trace):
            rows.append(ablation.moved(trace.final[0], one.final))
            yield None
        return Sweep(places, torch.stack(rows).double(), None, None)
    if trace.source is not None:
        usual = outcomes.usual(trace, trace)
        assert isinstance(usual, Lead)  # it has logits
        outcome = usual
    else:
        about = predictions.predicted(trace, position=hidden)
        assert about.target is not None
        outcome = Lead(about.target, None, about.rows[0])
    patching.check(model.transformer, trace, "zero", None)
    for step in patching.heads_in_steps(model.transformer, trace, outcome, "zero"):
        if isinstance(step, int):
            yield None
        else:
            rows.append(step.values)
    return Sweep(places, torch.stack(rows).double(), patching.base(model.transformer, trace, outcome), outcome)


def _logits(model: Model, trace: Trace, prediction: Prediction) -> LogitParts:
    if prediction.target is None:
        raise InvalidParameterError(f"{model.info.title} predicts nothing: it has no logits to split")
    return attribution.logit_parts(model.transformer, trace, prediction.rows[0], prediction.target)


def _chosen(found: Cards | None, swept: Sweep | None, wanted: Sequence[Head]) -> tuple[Head, ...]:
    """The heads asked for; then of each role the one with most evidence for it, and those that are missed most."""
    if found is None:
        return ()
    n_layers, n_heads = found.roles.score.shape[1:]
    there = tuple(dict.fromkeys((y, x) for y, x in wanted if 0 <= y < n_layers and 0 <= x < n_heads))
    best: dict[str, tuple[float, Head]] = {}
    for layer, row in enumerate(found.roles.names):
        for head, name in enumerate(row):
            if name:
                number = roles.MEASURES.index(name)
                proof = found.roles.low if name == "uniform" else found.roles.evidence
                one = float(proof[number, layer, head]), (layer, head)
                best[name] = max(best.get(name, one), one)
    order = [name for name in roles.MEASURES if name in best and name not in ("sink", "uniform")]
    telling = [best[name][1] for name in order]
    if swept is not None and swept.values.shape == (n_layers, n_heads):
        costly = swept.effects.abs().nan_to_num(0.0).flatten().argsort(descending=True).tolist()
    elif found.lost is not None:
        costly = found.lost.moved.flatten().argsort(descending=True).tolist()
    else:
        costly = list(range(n_layers * n_heads))
    more = [divmod(place, n_heads) for place in costly[:CHOSEN]]
    return tuple(dict.fromkeys((*there, *telling, *more)))[:CHOSEN]


def _reading(model: Model, trace: Trace, found: Cards, texts: Sequence[str], head: Head) -> Reading | None:
    examples = found.examples[head[0]][head[1]]
    if not examples:
        return None
    best = examples[0]
    run = trace if len(texts) == 1 else model.run(texts[best.text])
    parts = attribution.score_parts(model.transformer, run, *head, best.query, best.key)
    return Reading(best, run.encodings[0].labels, parts)


def _name(model: Model, prediction: Prediction | None) -> str:
    if prediction is None or prediction.target is None:
        return ""
    if prediction.kind == "class":
        known = prediction.target < len(model.classes)
        return model.classes[prediction.target] if known else f"class {prediction.target}"
    return model.tokenizer.encoding([prediction.target]).labels[0]
