"""The page "Space": what the reader has set, and the points it shows, by names only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, get_args

import streamlit as st
import torch

from attnviz.analysis import space
from attnviz.analysis.space import How, Places
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import token_name
from attnviz.nn.encoding import Encoding
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.jobs import placings
from attnviz.web.jobs.placings import Placing
from attnviz.web.lesson import Lesson
from attnviz.web.space.shown import Asked, Colour, Neighbour, Point, Shown, What

WHATS: tuple[What, ...] = get_args(What)
COLOURS: tuple[Colour, ...] = get_args(Colour)
SAMPLE = 300  # rows of the embedding table beside the text's own and the chosen one's neighbours
NEAR = 8
SEEDS = 10_000
TURNS = tuple(range(0, 360, 15))
BENT, JOB = "space.state.bent", "space:placing"  # what the store has of all sessions, and what this one waits for
AT_ONCE = 0.4  # seconds that a page waits before it draws a bar


@dataclass(frozen=True)
class Settings:
    """What the reader has set."""

    what: What = "tokens"
    how: How = "pca"
    dims: int = 2
    turn: int = 30  # degrees, in three dimensions
    seed: int = 0
    by: Colour = "token"
    layer: int = 3
    head: int = 0
    token: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("what", WHATS),
            ("how", space.HOWS),
            ("dims", (2, 3)),
            ("by", COLOURS),
            ("turn", TURNS),
        ):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is none of the choices")
        if not 0 <= self.seed < SEEDS or min(self.layer, self.head, self.token) < 0:
            raise InvalidParameterError(f"layer, head and token count from 0, and the seed to {SEEDS - 1}")
        if max(self.layer, self.head, self.token) > 10_000:
            raise InvalidParameterError("layer, head or token is out of range")


@store.kept()
def _near_in_table(name: str, row: int) -> tuple[tuple[int, float], ...]:
    """The nearest rows of the whole embedding table."""
    return tuple(space.nearest(space.embedding_table(cache.model(name)), row, NEAR))


@store.kept()
def table_rows(name: str, source: str, token: int, seed: int) -> tuple[int, ...]:
    """Which rows of the embedding table are shown: the text's, the neighbours of one of them, and a sample."""
    ids = tuple(dict.fromkeys(cache.trace(name, source).encodings[0].ids))
    near = [i for i, _ in _near_in_table(name, cache.trace(name, source).encodings[0].ids[token])]
    own = tuple(dict.fromkeys([*ids, *near]))
    return (*own, *space.sampled(cache.model(name), SAMPLE, seed=seed, besides=own))


def vectors(name: str, source: str, what: What, layer: int, head: int, token: int, seed: int) -> torch.Tensor:
    """The points, (N, D). Errors: as the functions of `analysis.space`."""
    match what:
        case "tokens":
            return space.stream(cache.trace(name, source), layer)
        case "heads":
            return space.queries_and_keys(cache.trace(name, source), layer, head)
    return space.embedding_table(cache.model(name))[list(table_rows(name, source, token, seed))]


@store.kept()
def straight(name: str, source: str, what: What, layer: int, head: int, token: int, seed: int, dims: int) -> Places:
    """PCA of the points."""
    return space.placed(vectors(name, source, what, layer, head, token, seed), "pca", dims)


def bent(place: tuple[Any, ...], dims: int, how: How) -> Places | None:
    """t-SNE or Isomap of the points `vectors(*place)`; None while they are being placed, beside the page.

    Errors: as `space.placed`.
    """
    key, state = (*place, dims, how), st.session_state
    if (known := store.STORE.peek(BENT, key)) is not None:
        return cast(Places, known)
    if state.get(f"{JOB}:of") != key:
        cancel()
        points = vectors(*place).detach().double().numpy()
        state[JOB], state[f"{JOB}:of"] = placings.begin(points, how, dims, seed=place[-1]), key
        state[JOB].wait(AT_ONCE)
    placing: Placing = state[JOB]
    if placing.places is not None:
        store.STORE.put(BENT, key, placing.places, placing.seconds)
    return placing.places


def mine() -> Placing:
    """The session's placing, under way or ended."""
    placing: Placing = st.session_state[JOB]
    return placing


def cancel() -> None:
    """Ends the session's placing, if one is under way."""
    if (placing := st.session_state.get(JOB)) is not None:
        placing.cancel()


def again() -> None:
    """Lets the next run place the points anew."""
    st.session_state.pop(f"{JOB}:of", None)


def is_placing() -> bool:
    """Whether the session's points are being placed now."""
    return JOB in st.session_state and st.session_state[JOB].active


def asked(lesson: Lesson[Settings], inputs: shell.Inputs) -> Asked:
    """What is asked for, brought to what there is; ends the page in a sentence where a text cannot be run."""
    try:
        trace = cache.trace(inputs.model, inputs.text)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    encoding = trace.encodings[0]
    lesson.follow_token("token", encoding.labels, encoding.special)
    settings = lesson.settings()
    n_layers, needs_head = len(trace.layers), settings.what == "heads" or settings.by == "weight"
    lesson.fit(layer=n_layers + (settings.what == "tokens" and not needs_head), head=trace.config.n_heads)
    settings = lesson.settings()
    return Asked(
        model=inputs.model,
        text=inputs.text,
        title=cache.model(inputs.model).info.title,
        what=settings.what,
        how=settings.how,
        dims=settings.dims,
        seed=settings.seed if settings.what == "table" or settings.how == "tsne" else 0,
        by=settings.by,
        layer=settings.layer,
        head=settings.head,
        n_layers=n_layers,
        n_heads=trace.config.n_heads,
        labels=encoding.labels,
        special=encoding.special,
        token=settings.token,
    )


def shown(ask: Asked) -> Shown:
    """The points; ends the page in a sentence where a model or a text has none of what is asked for."""
    try:
        return _shown(ask)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{str(error)[:1].upper()}{str(error)[1:]}. Choose another way above, or another model.")


def _shown(ask: Asked) -> Shown:
    trace = cache.trace(ask.model, ask.text)
    about = {"tokens": (ask.layer, 0, 0), "heads": (ask.layer, ask.head, 0), "table": (0, 0, ask.token)}[ask.what]
    place = (ask.model, ask.text, ask.what, *about, ask.seed)  # and nothing more: what stays need not be placed anew
    found = vectors(*place)
    if ask.how == "pca":
        cancel()
    places = straight(*place, ask.dims) if ask.how == "pca" else bent(place, ask.dims, ask.how)
    weights = None
    if ask.layer < ask.n_layers:
        weights = trace.layers[ask.layer].attention.weights[0, ask.head, ask.token, : len(ask.labels)]
    points = _points(ask, trace.encodings[0])
    return Shown(
        **vars(ask),
        points=points,
        vectors=found,
        placed=places,
        weights=weights,
        neighbours=_neighbours(trace, ask, found, points),
    )


def _points(ask: Asked, encoding: Encoding) -> tuple[Point, ...]:
    own = [Point(label, i, _kind(encoding, i)) for i, label in enumerate(encoding.labels)]
    if ask.what == "tokens":
        return tuple(own)
    if ask.what == "heads":
        return (*own, *(Point(one.name, one.position, one.kind, True) for one in own))
    first = {row: encoding.ids.index(row) for row in encoding.ids} | {encoding.ids[ask.token]: ask.token}
    tokenizer, points = cache.model(ask.model).tokenizer, []
    special = {*tokenizer.special_ids.values()}
    for row in table_rows(ask.model, ask.text, ask.token, ask.seed):
        label = tokenizer.encoding([row]).labels[0]
        kind = 3 if row in special else 1 if _goes_on(tokenizer.token(row), label) else _of_label(label)
        points.append(Point(label, first.get(row), kind))
    return tuple(points)


def _goes_on(token: str, label: str) -> bool:
    """Whether a token of the table goes on with a word, in a vocabulary that marks that: "##ing"."""
    return token.startswith("##") and token != label


def _kind(encoding: Encoding, i: int) -> int:
    if encoding.special[i]:
        return 3
    return 1 if encoding.continues[i] else _of_label(encoding.labels[i])


def _of_label(label: str) -> int:
    return 0 if any(map(str.isalnum, label)) else 2


def _neighbours(trace: Trace, ask: Asked, found: torch.Tensor, points: tuple[Point, ...]) -> tuple[Neighbour, ...]:
    """The points nearest to the chosen one; of a head, the keys that its query scores highest."""
    labels = trace.encodings[0].labels
    names = [one.name for one in points]  # a row of the table is one token, wherever it stands in the text
    if ask.what != "table":
        names = [token_name(labels, one.position) for one in points if one.position is not None]
    if ask.what != "heads":
        chosen = next(i for i, one in enumerate(points) if one.position == ask.token)
        near = space.nearest(found, chosen, NEAR) if len(points) > 1 else []
        return tuple(Neighbour(i, points[i].position, names[i], cosine) for i, cosine in near)
    n, record = len(points) // 2, trace.layers[ask.layer].attention
    scores, weights = (x[0, ask.head, ask.token, :n] for x in (record.scores, record.weights))
    query, made = found[ask.token].double(), []
    for key in scores.argsort(descending=True)[:NEAR].tolist():
        if bool(scores[key].isfinite()):  # the others are masked
            vector = found[n + key].double()
            cosine = float(torch.nn.functional.cosine_similarity(query, vector, dim=0))
            distance = float((query - vector).norm())
            numbers = float(scores[key]), float(weights[key]), distance
            made.append(Neighbour(n + key, key, names[key], cosine, *numbers))
    return tuple(made)
