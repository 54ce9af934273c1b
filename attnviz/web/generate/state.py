"""The page "Generate": what the reader chose, and the runs behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
import torch
from torch import Tensor

from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.generation.sampling import Prompt, Sampling, prompt, tokens, whole
from attnviz.models.model import Model
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell
from attnviz.web.components import attention_view
from attnviz.web.components.generation_view import Candidate, Chip, writer, written
from attnviz.web.lesson import LONGEST, Lesson
from attnviz.web.softmax.text import TEMPERATURES

FALLBACK = "austen"  # where the sidebar's model predicts no next token
MOST_SAID = 60
ROOM = 20  # tokens that a text leaves the model to go on with
AT_ONCE = 20
N_CANDIDATES = 10
TOP_K = (0, 1, 2, 3, 5, 10, 20, 50, 100)
TOP_P = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
SEEDS = 10_000
BETTER, WORSE, SAME = "It predicts better", "It predicts worse", "Nothing changes"
GUESSES = (BETTER, WORSE, SAME)
HOW = ("greedy", "sampled")
TWICE = "Mr Dursley met Mrs Potts in Paris. A year later, Mr D"  # Austen's induction head knows how it goes on
SAID_TWICE: dict[str, Any] = {"said": (), "focus": -1, "layer": 2, "head": 1, "inside": 1.0, "how": HOW[0]}


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; `said` are the ids after the prompt, `focus` the position asked for, −1 the next."""

    said: tuple[int, ...] = ()
    focus: int = -1
    layer: int = 3
    head: int = 2
    inside: float = 1.0  # temperature of attention
    outside: float = 1.0  # of sampling
    how: str = HOW[0]
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    guess: str = ""

    def __post_init__(self) -> None:
        if len(self.said) > MOST_SAID or min(self.said, default=0) < 0:
            raise InvalidParameterError(f"said has {len(self.said)} ids; at most {MOST_SAID} from 0 on are read")
        if self.focus < -1 or min(self.layer, self.head, self.seed) < 0 or self.seed >= SEEDS:
            raise InvalidParameterError(f"layer, head and seed count from 0, the seed to {SEEDS - 1}")
        for name, allowed in (
            ("inside", TEMPERATURES),
            ("outside", TEMPERATURES),
            ("top_k", TOP_K),
            ("top_p", TOP_P),
            ("how", HOW),
            ("guess", ("", *GUESSES)),
        ):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is none of the choices")

    @property
    def sampling(self) -> Sampling:
        """How the output is read."""
        return Sampling(self.outside, self.top_k, self.top_p)

    @property
    def change(self) -> Intervention:
        """What is different inside the model."""
        return Intervention(temperature=self.inside)


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is on screen follows from this: the text, and what the model says at every place of it."""

    model: Model
    begin: Prompt
    said: tuple[int, ...]
    focus: int  # the position asked for
    run: Trace  # with the change inside
    plain: Trace  # without
    sampling: Sampling

    @property
    def n_tokens(self) -> int:
        """Tokens that stand already."""
        return len(self.begin.start) + len(self.said)

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        full = self.n_tokens >= self.begin.longest or len(self.said) >= MOST_SAID
        return full or (bool(self.said) and self.said[-1] == self.begin.end)

    def logits(self, run: Trace, position: int | None = None) -> Tensor:
        """(V,): what a run says should stand at a position, by default the one asked for."""
        assert run.logits is not None
        return run.logits[0, (self.focus if position is None else position) - 1]

    def probabilities(self, position: int | None = None) -> Tensor:
        """(V,): as the next token is drawn, temperature, top-k and top-p applied."""
        return self.sampling.probabilities(self.logits(self.run, position))

    def row(self, layer: int, head: int) -> Tensor:
        """(focus,): what the token before the focus gives to itself and to those before it."""
        return self.run.layers[layer].attention.weights[0, head, self.focus - 1, : self.focus]

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens as a person should read them."""
        return self.run.encodings[0].labels

    def label(self, token: int) -> str:
        """A token of the vocabulary, as a person should read it."""
        return self.model.tokenizer.encoding([token]).labels[0]


def decoder(name: str) -> tuple[str, str]:
    """The sidebar's model if it goes on with a text, else one that does; and a sentence why it is another."""
    info = cache.model(name)
    config = info.transformer.config
    if config.kind == "decoder" and config.head == "lm":
        return name, ""
    what = "reads a text in both directions" if config.kind == "encoder" else "answers a text instead of going on"
    return FALLBACK, f"{info.info.title} {what}; this page uses {cache.model(FALLBACK).info.title}."


def beginning(name: str, text: str) -> tuple[str, str]:
    """The start of a text that leaves the model room to go on; and a sentence about what is left out."""
    text, left_out = cache.shortened(name, text, min(LONGEST, max(2, cache.model(name).info.max_len - ROOM)))
    if not left_out:
        return text, ""
    tokens = "token is" if left_out == 1 else "tokens are"
    return text, f"The last {left_out:,} {tokens} left out here, so that the model has room to go on."


@st.cache_resource(max_entries=32, show_spinner=False)
def _run(name: str, text: str, said: tuple[int, ...], change: Intervention | None) -> Trace:
    model = cache.model(name)
    return whole(model, prompt(model, text), said, change)


def scene(name: str, text: str, chosen: Settings) -> Scene:
    """The runs on a text and what was said after it. Errors: those of the model."""
    model = cache.model(name)
    begin = prompt(model, text)
    vocabulary = model.transformer.config.vocab_size
    said = tuple(i for i in chosen.said if i < vocabulary)[: max(0, begin.longest - len(begin.start))]
    n_tokens = len(begin.start) + len(said)
    focus = chosen.focus if 1 <= chosen.focus < n_tokens else n_tokens
    plain = _run(name, text, said, None)
    run = plain if chosen.change.changes_nothing else _run(name, text, said, chosen.change)
    found = Scene(model, begin, said, focus, run, plain, chosen.sampling)
    return found if not found.ended or focus < n_tokens else replace(found, focus=n_tokens - 1)


def say(lesson: Lesson[Settings], name: str, text: str, n: int) -> None:
    """Says up to n tokens more, at the end of the text: what the two buttons do."""
    chosen = lesson.chosen()
    now = scene(name, text, chosen)
    sampling = chosen.sampling if chosen.how == "sampled" else None
    said = list(now.said)
    if now.ended:
        return
    seed = chosen.seed * MOST_SAID + len(said)  # another place draws anew; the same link draws the same
    for token in tokens(now.model, now.begin, sampling, said=said, seed=seed, intervention=chosen.change):
        said.append(token.id)
        if token.id == now.begin.end or len(said) >= MOST_SAID or len(said) >= len(now.said) + n:
            break
    keep(lesson, tuple(said))


def keep(lesson: Lesson[Settings], said: tuple[int, ...]) -> None:
    """Another text: all parts of the page show it."""
    lesson.choose(said=said, focus=-1)
    st.session_state["whole_page"] = True


def take(lesson: Lesson[Settings], name: str, text: str, key: str) -> None:
    """Does what the reader did in the text: asks for a token, or says another one there and forgets what followed."""
    done = written(key)
    if done is None:
        return
    at, token = done
    now = scene(name, text, lesson.chosen())
    if token is None:
        lesson.choose(focus=at if 1 <= at < now.n_tokens else -1)
        return
    start = len(now.begin.start)
    if start <= at <= now.n_tokens and 0 <= token < now.model.transformer.config.vocab_size:
        keep(lesson, (*now.said[: at - start], token)[:MOST_SAID])


def text_view(lesson: Lesson[Settings], now: Scene, chosen: Settings, name: str, text: str, heading: str) -> None:
    """The text and the candidates."""
    p = now.probabilities()
    best = p.topk(min(N_CANDIDATES, int((p > 0).sum())))
    here = now.run.encodings[0].ids[now.focus] if now.focus < now.n_tokens else None
    candidates = [
        Candidate(token, now.label(token), value, token == here)
        for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    if here is not None and not any(one.here for one in candidates):
        candidates.append(Candidate(here, now.label(here), float(p[here]), here=True))
    writer(
        _chips(now),
        candidates,
        start=len(now.begin.start),
        focus=now.focus,
        ended=now.ended,
        heading=heading,
        tints=now.row(chosen.layer, chosen.head).tolist(),
        key="generate-text",
        on_write=lambda: take(lesson, name, text, "generate-text"),
    )


def _chips(now: Scene) -> list[Chip]:
    encoding, start = now.run.encodings[0], len(now.begin.start)
    assert now.run.logits is not None
    p = now.sampling.probabilities(now.run.logits[0, start - 1 : now.n_tokens - 1]) if now.said else torch.zeros(0, 1)
    chances = [0.0] * start + [float(row[token]) for row, token in zip(p, now.said, strict=True)]
    return [
        Chip(label, special, more, chance)
        for label, special, more, chance in zip(
            encoding.labels, encoding.special, encoding.continues, chances, strict=True
        )
    ]


@st.cache_resource(max_entries=32, show_spinner=False)
def _message(name: str, text: str, said: tuple[int, ...], change: Intervention | None, layer: int) -> bytes:
    return attention_message.pack(attention_message.one_layer(_run(name, text, said, change), layer), name=name)


def matrix(now: Scene, chosen: Settings, name: str, text: str) -> None:
    """The chosen head on the whole text, with the token that says the one in focus."""
    change = None if chosen.change.changes_nothing else chosen.change
    attention_view.attention_view(
        _message(name, text, now.said, change, chosen.layer),
        ViewState(layer=chosen.layer, head=chosen.head, queries=(now.focus - 1,)),
        key="generate-matrix",
        compact=True,
        height=420,
    )


def reset_for(inputs: shell.Inputs, lesson: Lesson[Settings]) -> None:
    """Another text or model: what was said after the old one is forgotten."""
    seen = st.session_state.get("generate:inputs")
    if seen is not None and seen != inputs:
        lesson.choose(said=(), focus=-1)
    st.session_state["generate:inputs"] = inputs
