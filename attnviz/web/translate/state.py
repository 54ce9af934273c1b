"""The page "Translate": what the reader chose, the answer, and the run on source and answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st
import torch
from torch import Tensor

from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.generation.beam_search import Beam, beam
from attnviz.generation.sampling import Prompt, named, prompt, tokens
from attnviz.models.catalogue import catalogue
from attnviz.models.model import Model
from attnviz.nn.trace import Trace
from attnviz.web import cache
from attnviz.web.components import attention_view
from attnviz.web.components.generation_view import Candidate, Chip, writer, written
from attnviz.web.lesson import Lesson

MOST_SAID = 64
LONGEST_TEXT = 400  # characters
LONGEST_LOOK = 6_000  # characters: a mask painted by hand, and all else
N_CANDIDATES = 6
BEAMS = (1, 2, 4, 8)
STACKS = {"cross": "answer on source", "self": "answer on itself", "encoder": "source on itself"}
MONOTONE, REORDERED = "In the order of the source", "In another order"
GUESSES = (MONOTONE, REORDERED)
VIEW, WRITER = "translate-view", "translate-answer"
EXAMPLES = {  # by model: texts to begin with
    "dates": ("the 3rd of March 2021", "Friday, 11 September 1998", "7/4/1776"),
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
ALIGNING = {"bergamot-en-pt": (1, 0), "bergamot-pt-en": (1, 0)}  # trained to align


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; `focus` is the token of the answer that is asked for, counted from 1."""

    translator: str = "dates"
    source: str = EXAMPLES["dates"][0]
    forced: tuple[int, ...] = ()  # what the answer begins with, by the reader's choice
    focus: int = 7  # the month's second digit, which is read off its letters
    layer: int = 0
    head: int = 0
    stack: str = "cross"
    look: str = ""  # what else is set in the view, as `ViewState` writes it into an address
    beams: int = 4
    guess: str = ""

    def __post_init__(self) -> None:
        if len(self.look) > LONGEST_LOOK:
            raise InvalidParameterError(f"settings of {len(self.look)} characters; {LONGEST_LOOK} are read")
        if not 0 < len(self.translator) <= 200 or len(self.source) > LONGEST_TEXT:
            raise InvalidParameterError(f"a text of {len(self.source)} characters; {LONGEST_TEXT} are read")
        if min(self.forced, default=0) < 0 or len(self.forced) > MOST_SAID:
            raise InvalidParameterError(f"{len(self.forced)} ids are forced; at most {MOST_SAID} from 0 on are")
        if min(self.focus - 1, self.layer, self.head) < 0:
            raise InvalidParameterError("layer and head count from 0, tokens of the answer from 1")
        if self.stack not in STACKS or self.beams not in BEAMS or self.guess not in ("", *GUESSES):
            raise InvalidParameterError(f"{self.stack!r}, {self.beams} or {self.guess!r} is none of the choices")


@dataclass(frozen=True, eq=False)
class Answer:
    """A source, what the model answers to it, and the run on both."""

    model: Model
    begin: Prompt
    said: tuple[int, ...]  # the answer's tokens, with the one that ends it if it ended
    chances: tuple[float, ...]  # p of each, given those before it
    run: Trace

    @property
    def ended(self) -> bool:
        """Whether the model ended it."""
        return bool(self.said) and self.said[-1] == self.begin.end

    @property
    def text(self) -> str:
        """The answer as a text."""
        return self.model.tokenizer.encoding(self.said).text

    @property
    def labels(self) -> tuple[str, ...]:
        """The answer's tokens as a person should read them."""
        return self.model.tokenizer.encoding(self.said).labels

    @property
    def sources(self) -> tuple[str, ...]:
        """The source's."""
        assert self.run.source is not None
        return self.run.source.encodings[0].labels

    @property
    def has_self(self) -> bool:
        """Whether the decoder has self-attention, and no recurrence in its place."""
        return any(layer.attention is not None for layer in self.run.layers)

    def row(self, layer: int, head: int, focus: int) -> Tensor:
        """(S,): what the decoder looks at in the source when it says token `focus` of the answer."""
        crossed = self.run.layers[layer].cross_attention
        assert crossed is not None
        return crossed.weights[0, head, focus - 1]

    def probabilities(self, focus: int) -> Tensor:
        """(V,): of each token to be the one at `focus`."""
        assert self.run.logits is not None
        return self.run.logits[0, focus - 1].softmax(dim=-1)


def models() -> dict[str, str]:
    """The models that answer a text, this session's own first: name → title."""
    own = [one.info for one in cache.own_models().values() if _answers(one)]
    found = [info for info in catalogue() if info.family == "Encoder-decoder" and info.trained]
    return {info.name: f"{info.title} ({info.n_layers} × {info.n_heads} heads)" for info in (*own, *found)}


def _answers(model: Model) -> bool:
    config = model.transformer.config
    return config.kind == "encoder-decoder" and config.head == "lm" and not config.channels


def load(name: str) -> Model:
    """A model that answers a text. Errors: ModelError, or InvalidParameterError for one that does not."""
    model = cache.model(name)
    if not _answers(model):
        raise InvalidParameterError(
            f"{model.info.title} answers no text: it is no encoder-decoder model. Pick another."
        )
    return model


@st.cache_resource(max_entries=32, show_spinner=False)
def answer(name: str, source: str, forced: tuple[int, ...]) -> Answer:
    """The greedy answer after what is forced, and the run on it. Errors: those of the model."""
    model = load(name)
    begin = prompt(model, source)
    vocabulary = model.transformer.config.vocab_size
    said = [i for i in forced if i < vocabulary][: begin.longest - len(begin.start) - 1]
    while len(said) < MOST_SAID and (not said or said[-1] != begin.end):
        more = len(said)
        for token in tokens(model, begin, answer=said):
            said.append(token.id)
            if len(said) >= MOST_SAID:
                break
        if len(said) == more:
            break
    run = named(model, begin, said[:-1], begin.run(model, said[:-1]))
    assert run.logits is not None
    p = run.logits[0].softmax(dim=-1)
    start = len(begin.start) - 1
    chances = tuple(float(p[start + i, token]) for i, token in enumerate(said))
    return Answer(model, begin, tuple(said), chances, run)


@st.cache_resource(max_entries=16, show_spinner=False)
def beams(name: str, source: str, n: int) -> list[Beam]:
    """The best answers that n beams find."""
    return beam(load(name), source, n, MOST_SAID)


@st.cache_resource(max_entries=32, show_spinner=False)
def message(name: str, source: str, forced: tuple[int, ...], stack: str) -> bytes:
    """What the view is sent. In the attention to the source a row is named by the token that it says."""
    found = answer(name, source, forced)
    run = found.run
    if stack == "cross":
        run = replace(run, encodings=(found.model.tokenizer.encoding(found.said),))
    return attention_message.pack(run, name=name, stack=stack)


def fitted(lesson: Lesson[Settings], found: Answer) -> Settings:
    """The settings, on a layer, a head and a token that there are."""
    chosen, config = lesson.chosen(), found.run.config
    if chosen.stack == "self" and not found.has_self:
        lesson.choose(stack="cross")
        chosen = lesson.chosen()
    assert found.run.source is not None
    layers = found.run.source.layers if chosen.stack == "encoder" else found.run.layers
    limits: dict[str, int] = {
        "layer": len(layers) - 1,
        "head": config.n_heads - 1,
        "focus": max(1, len(found.said)),
    }
    for field, most in limits.items():
        if getattr(chosen, field) > most:
            lesson.choose(**{field: most})
    return lesson.chosen()


def view(lesson: Lesson[Settings], found: Answer, question: str) -> None:
    """All heads of the chosen stack; `heed` takes what the reader picks in it."""
    chosen = lesson.chosen()
    attention_view.attention_view(
        message(chosen.translator, chosen.source, chosen.forced, chosen.stack),
        _state(chosen),
        key=f"{VIEW}-{chosen.stack}",
        question=question,
        live=False,
    )


def heed(lesson: Lesson[Settings]) -> None:
    """Makes what the reader has picked in the view since the last run the settings; for the start of a run."""
    chosen, memory = lesson.chosen(), st.session_state
    key = f"{VIEW}-{chosen.stack}"
    reported = attention_view.current_state(key, _state(chosen))
    if reported == memory.get(f"{key}:heeded"):  # the page may have chosen something else since
        return
    memory[f"{key}:heeded"] = reported
    picked: dict[str, Any] = {"layer": reported.layer, "head": reported.head}
    if chosen.stack == "cross" and reported.queries:
        picked["focus"] = reported.queries[-1] + 1
        reported = replace(reported, queries=reported.queries if len(reported.queries) > 1 else ())
    picked["look"] = urlencode(replace(reported, layer=0, head=0).to_query())
    if any(getattr(chosen, field) != value for field, value in picked.items()):
        lesson.choose(**picked)


def _state(chosen: Settings) -> ViewState:
    """What the view shows under the settings."""
    state = replace(ViewState.from_query(dict(parse_qsl(chosen.look))), layer=chosen.layer, head=chosen.head)
    if chosen.stack == "cross" and state.queries[-1:] != (chosen.focus - 1,):  # several tokens: the last has the focus
        state = replace(state, queries=(chosen.focus - 1,))
    return state


def answer_view(lesson: Lesson[Settings], found: Answer, heading: str) -> None:
    """The answer token by token, and what could be said in the place of one."""
    chosen = lesson.chosen()
    encoding = found.model.tokenizer.encoding(found.said)
    chips = [
        Chip(label, special, more, chance)
        for label, special, more, chance in zip(
            encoding.labels, encoding.special, encoding.continues, found.chances, strict=True
        )
    ]
    start = found.run.encodings[0].labels[: len(found.begin.start)]
    p = found.probabilities(chosen.focus)
    here = found.said[chosen.focus - 1]
    best = p.topk(N_CANDIDATES).indices.tolist()
    ids = best if here in best else [*best, here]
    candidates = [Candidate(i, found.model.tokenizer.encoding([i]).labels[0], float(p[i]), i == here) for i in ids]
    writer(
        [*(Chip(label, special=True) for label in start), *chips],
        candidates,
        start=len(start),
        focus=chosen.focus,
        tints=(),
        heading=heading,
        ended=True,
        key=WRITER,
        on_write=lambda: take(lesson, found),
    )


def take(lesson: Lesson[Settings], found: Answer) -> None:
    """Asks for a token of the answer, or says another one there, after which the model goes on."""
    done = written(WRITER)
    if done is None or not 1 <= done[0] <= len(found.said):
        return
    at, token = done
    if token is None:
        lesson.choose(focus=at)
    elif 0 <= token < found.model.transformer.config.vocab_size:
        forced = (*found.said[: at - 1], token)
        lesson.choose(forced=forced[:MOST_SAID], focus=at)


def other_tokens(lesson: Lesson[Settings]) -> None:
    """Other tokens in the view: those chosen in it are gone, what was set stays."""
    seen = ViewState.from_query(dict(parse_qsl(lesson.chosen().look)))
    seen = replace(seen, queries=(), key=None, painted=(), sentences=None, zoom=None)
    lesson.choose(look=urlencode(seen.to_query()))


def restart(lesson: Lesson[Settings]) -> None:
    """Another source: the answer begins anew."""
    other_tokens(lesson)
    lesson.choose(forced=(), focus=1)


def another(lesson: Lesson[Settings]) -> None:
    """Another model: its own first example, and the head that is known to align, if one is."""
    name = lesson.chosen().translator
    layer, head = ALIGNING.get(name, (0, 0))
    restart(lesson)
    lesson.choose(source=EXAMPLES.get(name, OTHER_EXAMPLES)[0], layer=layer, head=head)


def first_model(lesson: Lesson[Settings]) -> None:
    """The model that a new visitor finds, with its first example."""
    lesson.choose(translator=lesson.first.translator)
    another(lesson)
    lesson.chosen()  # remembers it for a page that is drawn anew


def sharpness(found: Answer) -> Tensor:
    """(L, H): the mean of each row's largest weight on the source, over the tokens of the answer."""
    crossed = [layer.cross_attention for layer in found.run.layers]
    return torch.stack([one.weights[0].amax(dim=-1).mean(dim=-1) for one in crossed if one is not None])
