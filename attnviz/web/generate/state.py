"""The page "Generate": what the reader has set, and the runs behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from attnviz.analysis import sinks
from attnviz.browser import attention_message
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation import sampling
from attnviz.generation.sampling import Sampling
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.components.generation_view import written
from attnviz.web.generate import text
from attnviz.web.generate.scene import MAX_NEW_TOKENS, Scene
from attnviz.web.lesson import Lesson
from attnviz.web.temperatures import TEMPERATURES

FALLBACK = "austen"  # where the sidebar's model predicts no next token
ROOM = 20  # tokens that a text leaves the model to go on with
MOST = 512  # tokens that are shown, where a model reads more
TOP_K = (0, 1, 2, 3, 5, 10, 20, 50, 100)
TOP_P = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
SEEDS = 10_000
HOW = ("greedy", "sampled")


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

    def __post_init__(self) -> None:
        if len(self.said) > MAX_NEW_TOKENS or min(self.said, default=0) < 0:
            raise InvalidParameterError(f"said has {len(self.said)} ids; at most {MAX_NEW_TOKENS} from 0 on are read")
        if self.focus < -1 or min(self.layer, self.head, self.seed) < 0 or self.seed >= SEEDS:
            raise InvalidParameterError(f"layer, head and seed count from 0, the seed to {SEEDS - 1}")
        for name, allowed in (
            ("inside", TEMPERATURES),
            ("outside", TEMPERATURES),
            ("top_k", TOP_K),
            ("top_p", TOP_P),
            ("how", HOW),
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


@dataclass(frozen=True)
class Opening:
    """What a model goes on with."""

    inputs: shell.Inputs  # of the sidebar
    model: str  # the sidebar's, or one that predicts next tokens
    text: str  # the sidebar's, or its end
    instead: str  # why it is another than the sidebar's; "" where it is that one
    left_out: str  # what of the text it does not get; "" where it gets all


def opening(lesson: Lesson[Settings]) -> Opening:
    """The sidebar's model and text, as far as the model can go on; ends the page in a sentence if nothing runs."""
    inputs = shell.inputs()
    _forget_continuation(lesson, inputs)
    try:
        shell.one_text(inputs.model)
        model, instead = decoder(inputs.model)
        context = min(MOST, cache.model(model).longest)
        start, left_out = ending(model, inputs.text, max(2, context - ROOM))
        scene(model, start, lesson.settings())
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    return Opening(inputs, model, start, instead, text.left_out(left_out, context, ROOM) if left_out else "")


def _forget_continuation(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """Another text or model: what came after the old one goes."""
    seen = st.session_state.get("generate:inputs")
    if seen is not None and seen != inputs:
        lesson.choose(said=(), focus=-1)
    st.session_state["generate:inputs"] = inputs


def decoder(name: str) -> tuple[str, str]:
    """The sidebar's model if it goes on with a text, else one that does; and a sentence why it is another."""
    model = cache.model(name)
    config = model.transformer.config
    if config.kind == "decoder" and config.head == "lm":
        return name, ""
    return FALLBACK, text.instead(model.info.title, config.kind, cache.model(FALLBACK).info.title)


@store.kept()
def ending(name: str, text: str, n_tokens: int) -> tuple[str, int]:
    """The end of a text that makes at most so many tokens, special ones counted, and how many are left out before it.

    It begins with a whole word, unless the end has none.
    """
    tokenizer = cache.model(name).tokenizer
    encoding = tokenizer.encode(text)
    if len(encoding) <= n_tokens:
        return text, 0
    places = [
        (start, continues)
        for (start, _), continues, special in zip(encoding.offsets, encoding.continues, encoding.special, strict=True)
        if not special
    ]
    first = len(places) - max(1, n_tokens - sum(encoding.special))
    words = [i for i in range(first, len(places)) if not places[i][1]]
    for left_out in (*words, *range(first, len(places))):  # cut in the middle of a word, it may become other pieces
        end = text[places[left_out][0] :]
        if len(tokenizer.encode(end)) <= n_tokens:
            return end, left_out
    return text[-1:], len(places) - 1


def fitted(lesson: Lesson[Settings], opening: Opening) -> Settings:
    """The settings, on a layer and a head that the model has."""
    config = cache.model(opening.model).transformer.config
    lesson.fit(layer=config.n_layers, head=config.n_heads)
    return lesson.settings()


# ---- runs ------------------------------------------------------------------------------------------------


def scene(name: str, start: str, settings: Settings) -> Scene:
    """The runs on a text and its continuation. Errors: those of the model."""
    model = cache.model(name)
    prompt, vocabulary = sampling.prompt(model, start), model.transformer.config.vocab_size
    room = max(0, prompt.longest - len(prompt.start))
    continuation = tuple(i for i in settings.said if i < vocabulary)[:room]
    n_tokens = len(prompt.start) + len(continuation)
    focus = settings.focus if 1 <= settings.focus < n_tokens else n_tokens
    plain = run(name, start, continuation, None)
    changed = plain if settings.change.changes_nothing else run(name, start, continuation, settings.change)
    now = Scene(model, prompt, continuation, focus, changed, plain, settings.sampling)
    return now if not now.ended or focus < n_tokens else replace(now, focus=n_tokens - 1)


@store.kept()
def run(name: str, start: str, continuation: tuple[int, ...], change: Intervention | None) -> Trace:
    """The model's run on a text and what comes after it. Errors: those of the model."""
    model = cache.model(name)
    return sampling.whole(model, sampling.prompt(model, start), continuation, change)


@store.kept()
def message(name: str, start: str, continuation: tuple[int, ...], change: Intervention | None, layer: int) -> bytes:
    """One layer of such a run, for the browser."""
    return attention_message.pack(attention_message.one_layer(run(name, start, continuation, change), layer), name=name)


@store.kept()
def sink(name: str, start: str, continuation: tuple[int, ...]) -> sinks.Sink:
    """The first token's share and the run without it."""
    now = scene(name, start, Settings(said=continuation))
    return sinks.measure_sink(now.model, now.plain, now.plain.encodings[0].ids)


# ---- what the reader does --------------------------------------------------------------------------------


def extend(lesson: Lesson[Settings], opening: Opening, n: int) -> None:
    """Up to n tokens more, at the end of the text: what the two buttons do."""
    settings = lesson.settings()
    now = scene(opening.model, opening.text, settings)
    if now.ended:
        return
    drawn = settings.sampling if settings.how == "sampled" else None
    ids = list(now.continuation)
    seed = settings.seed * MAX_NEW_TOKENS + len(ids)  # another place draws anew; the same link draws the same
    for token in sampling.tokens(now.model, now.prompt, drawn, answer=ids, seed=seed, intervention=settings.change):
        ids.append(token.id)
        if now.prompt.ended(ids) or len(ids) >= min(MAX_NEW_TOKENS, len(now.continuation) + n):
            break
    keep(lesson, tuple(ids))


def keep(lesson: Lesson[Settings], continuation: tuple[int, ...]) -> None:
    """Another text: all parts of the page show it."""
    lesson.choose(said=continuation, focus=-1)
    st.session_state["whole_page"] = True


def take(lesson: Lesson[Settings], opening: Opening, key: str) -> None:
    """Does what the reader did in the text: asks for a token, or puts another one there and forgets what followed."""
    action = written(key)
    if action is None:
        return
    at, token = action
    now = scene(opening.model, opening.text, lesson.settings())
    if token is None:
        lesson.choose(focus=at if 1 <= at < now.n_tokens else -1)
        return
    start = len(now.prompt.start)
    if start <= at <= now.n_tokens and 0 <= token < now.model.transformer.config.vocab_size:
        keep(lesson, (*now.continuation[: at - start], token)[:MAX_NEW_TOKENS])
