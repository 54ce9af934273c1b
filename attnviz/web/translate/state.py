"""The page "Translate": what the reader has set, the models on offer, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.browser.view_values import LARGEST_INDEX
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation.beam_search import Beam, beam
from attnviz.models.catalogue import catalogue
from attnviz.models.model import Model
from attnviz.web import cache, shell, store, thread
from attnviz.web.components import attention_view
from attnviz.web.components.generation_view import written
from attnviz.web.jobs import model_downloads
from attnviz.web.lesson import Lesson
from attnviz.web.translate import text
from attnviz.web.translate.answer import ALIGNING, MAX_NEW_TOKENS, Answer, greedy

LONGEST_TEXT = 400  # characters that are read
LONGEST_LOOK = 6_000  # characters: a mask painted by hand, and all else
BEAMS = (1, 2, 4, 8)
SAYS = ("cross", "self")  # the decoder's attentions: their rows are the answer's tokens
VIEW, WRITER = "translate-view", "translate-answer"
EXAMPLES = {  # by model: texts to begin with
    "dates": ("the 3rd of March 2021", "Friday, 11 September 1998", "4.7.1776"),
    "bergamot-en-pt": (
        "The black cat sleeps on the red sofa.",
        "My sister bought three old books.",
        "The animal didn't cross the street because it was too tired.",
    ),
    "bergamot-pt-en": (
        "O gato preto dorme no sofá vermelho.",
        "Minha irmã comprou três livros antigos.",
        "Ninguém sabia de nada.",
    ),
}
OTHER_EXAMPLES = ("The black cat sleeps on the red sofa.",)
FIRST_LOOKS = {  # by model: layer, head and token of the answer to begin with
    "dates": (0, 2, 7),  # the month's second digit, which is read off its letters
    **{name: (*place, 2) for name, place in ALIGNING.items()},
}
UNNAMED = {"head": 0}  # what a link means that names no head: the page began with the first one when it was written


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; `focus` is the token of the answer that is asked for, counted from 1."""

    translator: str = "dates"
    source: str = EXAMPLES["dates"][0]
    forced: tuple[int, ...] = ()  # what the answer begins with, by the reader's choice
    focus: int = FIRST_LOOKS["dates"][2]
    layer: int = FIRST_LOOKS["dates"][0]
    head: int = FIRST_LOOKS["dates"][1]
    stack: str = "cross"
    look: str = ""  # what else is set in the view, as `ViewState` writes it into an address
    beams: int = 4

    def __post_init__(self) -> None:
        if len(self.look) > LONGEST_LOOK:
            raise InvalidParameterError(f"settings of {len(self.look)} characters; {LONGEST_LOOK} are read")
        if not 0 < len(self.translator) <= shell.TYPED or len(self.source) > shell.TYPED:
            raise InvalidParameterError(f"a text of {len(self.source):,} characters; {shell.TYPED:,} are kept")
        if min(self.forced, default=0) < 0 or len(self.forced) > MAX_NEW_TOKENS:
            raise InvalidParameterError(f"{len(self.forced)} ids are forced; at most {MAX_NEW_TOKENS} from 0 on are")
        if min(self.focus - 1, self.layer, self.head) < 0 or max(self.focus, self.layer, self.head) > LARGEST_INDEX:
            raise InvalidParameterError("layer and head count from 0, tokens of the answer from 1")
        if self.stack not in text.STACKS or self.beams not in BEAMS:
            raise InvalidParameterError(f"{self.stack!r} or {self.beams} is none of the choices")


# ---- models ----------------------------------------------------------------------------------------------


def models() -> dict[str, str]:
    """The models that answer a text, this session's own first: name → title."""
    own = [model.info for model in cache.own_models().values() if _answers(model)]
    bundled = [info for info in catalogue() if info.family == "Encoder-decoder" and info.trained]
    return {info.name: f"{info.title} ({info.n_layers} × {info.n_heads} heads)" for info in (*own, *bundled)}


def _answers(model: Model) -> bool:
    config = model.transformer.config
    return config.kind == "encoder-decoder" and config.head == "lm" and model.reads == "text"


def load(name: str) -> Model:
    """A model that answers a text. Errors: ModelError, or InvalidParameterError for one that does not."""
    model = cache.model(name)
    if not _answers(model):
        raise InvalidParameterError(
            f"{model.info.title} answers no text: it is no encoder-decoder model. Pick another."
        )
    return model


# ---- runs ------------------------------------------------------------------------------------------------


@store.kept()
def answered(name: str, source: str, forced: tuple[int, ...]) -> Answer:
    """The greedy answer after what is forced, and the run on it. Errors: those of the model."""
    return greedy(load(name), source, forced)


@store.kept()
def beams(name: str, source: str, n: int) -> list[Beam]:
    """The best answers that n beams find."""
    return beam(load(name), source, n, MAX_NEW_TOKENS)


@store.kept()
def message(name: str, source: str, forced: tuple[int, ...], stack: str) -> bytes:
    """What the view is sent. Rows of the decoder are named by the token that it says there, in both its attentions."""
    current = answered(name, source, forced)
    said = None if stack == "encoder" else current.tokenizer.encoding(current.ids)
    return attention_message.pack(current.run, name=name, stack=stack, rows=said)


def answer(lesson: Lesson[Settings]) -> Answer:
    """The answer to what is set, which is brought to what there is; ends the page in a sentence if there is none."""
    settings = lesson.settings()
    if len(settings.source) > LONGEST_TEXT:
        shell.refuse(text.too_long(len(settings.source), LONGEST_TEXT))
    try:
        cache.check_name(settings.translator)  # an answer in the cache is no other session's either
        back = "The page goes back to its first model"
        model_downloads.arrive(settings.translator, lambda: first_model(lesson), back)
        current = answered(settings.translator, settings.source, settings.forced)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    settings = fitted(lesson, current)
    if st.session_state.pop("undrawn", False):  # the browser has forgotten the widgets below
        lesson.choose(stack=settings.stack, beams=settings.beams)
    return current


def fitted(lesson: Lesson[Settings], answer: Answer) -> Settings:
    """The settings, on a layer, a head and a token that there are."""
    follow_word(lesson, answer.labels)
    settings, config = lesson.settings(), answer.run.config
    if settings.stack == "self" and not answer.has_self:
        lesson.choose(stack="cross")
        settings = lesson.settings()
    assert answer.run.source is not None
    layers = answer.run.source.layers if settings.stack == "encoder" else answer.run.layers
    limits: dict[str, int] = {
        "layer": len(layers) - 1,
        "head": config.n_heads - 1,
        "focus": max(1, len(answer.ids)),
    }
    for field, most in limits.items():
        if getattr(settings, field) > most:
            lesson.choose(**{field: most})
    return lesson.settings()


def follow_word(lesson: Lesson[Settings], labels: tuple[str, ...]) -> None:
    """Keeps the token that is asked for on its word in another answer; where that does not stand, in its place."""
    memory, focus = f"{lesson.key('focus')}:on", lesson.settings().focus
    before, asked = st.session_state.get(memory, (labels, focus))
    if before != labels and asked == focus <= len(before) and before[focus - 1 : focus] != labels[focus - 1 : focus]:
        place = thread.position_of(labels, thread.word_at(before, focus - 1))
        if place is not None:
            lesson.choose(focus=place + 1)
    st.session_state[memory] = (labels, lesson.settings().focus)


def forget_word(lesson: Lesson[Settings]) -> None:
    """The place that is asked for stays where it is, whatever word comes to stand there."""
    st.session_state.pop(f"{lesson.key('focus')}:on", None)


# ---- the view's state is part of the settings --------------------------------------------------------------


def view_state(settings: Settings) -> ViewState:
    """What the view shows under the settings."""
    view = replace(ViewState.from_query(dict(parse_qsl(settings.look))), layer=settings.layer, head=settings.head)
    if settings.stack in SAYS and view.queries[-1:] != (settings.focus - 1,):  # of several, the last has the focus
        view = replace(view, queries=(settings.focus - 1,))
    return view


def adopt_view(lesson: Lesson[Settings]) -> None:
    """Makes what the reader has picked in the view since the last run the settings; for the start of a run."""
    settings, memory = lesson.settings(), st.session_state
    key = f"{VIEW}-{settings.stack}"
    reported = attention_view.current_state(key, view_state(settings))
    if reported == memory.get(f"{key}:adopted"):  # the page may have chosen something else since
        return
    memory[f"{key}:adopted"] = reported
    picked: dict[str, Any] = {"layer": reported.layer, "head": reported.head}
    if settings.stack in SAYS and reported.queries:
        picked["focus"] = reported.queries[-1] + 1
        reported = replace(reported, queries=reported.queries if len(reported.queries) > 1 else ())
    picked["look"] = urlencode(replace(reported, layer=0, head=0).to_query())
    if any(getattr(settings, field) != value for field, value in picked.items()):
        lesson.choose(**picked)


# ---- what the reader does --------------------------------------------------------------------------------


def take(lesson: Lesson[Settings], answer: Answer) -> None:
    """Asks for a token of the answer, or puts another one there, after which the model goes on."""
    action = written(WRITER)
    if action is None or not 1 <= action[0] <= len(answer.ids):
        return
    at, token = action
    if token is None:
        lesson.choose(focus=at)
    elif 0 <= token < answer.run.config.vocab_size:
        forced = (*answer.ids[: at - 1], token)
        forget_word(lesson)
        lesson.choose(forced=forced[:MAX_NEW_TOKENS], focus=at)


def take_example(lesson: Lesson[Settings]) -> None:
    """The example becomes the source."""
    if example := st.session_state["translate-example"]:
        lesson.choose(source=example)
        restart(lesson)
        st.session_state["translate-example"] = None


def other_tokens(lesson: Lesson[Settings]) -> None:
    """Other tokens in the view: those chosen in it are gone, what was set stays."""
    view = ViewState.from_query(dict(parse_qsl(lesson.settings().look)))
    view = replace(view, queries=(), key=None, painted=(), sentences=None, zoom=None)
    lesson.choose(look=urlencode(view.to_query()))


def restart(lesson: Lesson[Settings]) -> None:
    """Another source: the answer begins anew."""
    other_tokens(lesson)
    lesson.choose(forced=())


def own_answer(lesson: Lesson[Settings]) -> None:
    """The answer without what the reader put into it; the place that is asked for stays."""
    restart(lesson)
    forget_word(lesson)


def other_model(lesson: Lesson[Settings]) -> None:
    """Another model: its own first example, and the head that shows most of it, where one is known."""
    name = lesson.settings().translator
    layer, head, focus = FIRST_LOOKS.get(name, (0, 0, 1))
    own_answer(lesson)
    lesson.choose(source=EXAMPLES.get(name, OTHER_EXAMPLES)[0], layer=layer, head=head, focus=focus)


def first_model(lesson: Lesson[Settings]) -> None:
    """The model that a new visitor finds, with its first example."""
    lesson.choose(translator=lesson.first.translator)
    other_model(lesson)
    lesson.settings()  # remembers it for a page that is drawn anew
