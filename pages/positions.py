"""Positions: what order is to a model that has none, and what the five schemes give it."""

from dataclasses import dataclass

import streamlit as st

from attnviz.analysis import word_order
from attnviz.errors import InvalidParameterError
from attnviz.models.hf_model import HFModel
from attnviz.nn import positions, reference
from attnviz.web import cache, shell
from attnviz.web.lesson import Lesson, Try
from attnviz.web.positions import state as parts
from attnviz.web.positions import text as words

shell.ensure()


@dataclass(frozen=True)
class Settings:
    """Everything a reader can choose on this page."""

    guess: str = ""
    seed: int = 0
    exact: bool = False
    scheme: str = "none"
    layer: int = 0
    head: int = 2  # of MiniLM's first layer: it looks at the token before
    encoding: str = "sinusoidal"
    pair: int = 24
    turn: int = 3
    slope: int = 2
    first_head: int = 2
    word: int = 10

    def __post_init__(self) -> None:
        for name in ("scheme", "encoding"):
            if getattr(self, name) not in positions.SCHEMES:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {positions.SCHEMES}")
        for name in ("seed", "layer", "head", "pair", "turn", "slope", "first_head", "word"):
            if not 0 <= getattr(self, name) <= parts.LARGEST:
                raise InvalidParameterError(f"{name}={getattr(self, name)} is not within 0 … {parts.LARGEST}")


lesson = Lesson("positions", Settings())
inputs = lesson.inputs()
if isinstance(found := cache.model(inputs.model).transformer, HFModel):
    kind = found.config.architecture
    shell.refuse(f"A model of the type {kind} has its own positions, which cannot be changed. Pick another one.")


@st.fragment
def shuffling() -> None:
    """The question of the page: are the words in order, for the model?"""
    chosen = lesson.chosen()
    lesson.question("How does the model know the order of words?")
    parts.shuffle_part(lesson, inputs, chosen.seed, chosen.exact)
    lesson.write_link(inputs)


@st.fragment
def attention() -> None:
    """The same head with other positions."""
    chosen = lesson.chosen()
    lesson.section("What does the same head see without them, or with others?")
    parts.attention_part(lesson, inputs, chosen)
    lesson.write_link(inputs)


@st.fragment
def encoding() -> None:
    """A scheme's numbers, and how alike two positions are."""
    chosen = lesson.chosen()
    lesson.section("What does a position look like?")
    parts.encoding_part(lesson, inputs, chosen)
    lesson.write_link(inputs)


@st.fragment
def beyond() -> None:
    """Texts longer than the model was built for."""
    chosen = lesson.chosen()
    lesson.section("And in a text longer than the model was made for?")
    parts.beyond_part(lesson, inputs, chosen)
    lesson.write_link(inputs)


@st.fragment
def behind() -> None:
    """Formulas and code."""
    lesson.chosen()
    lesson.behind(
        words.FORMULAS,
        words.SOURCES,
        word_order.shuffle_test,
        positions.sinusoidal,
        positions.learned,
        positions.rope,
        positions.alibi_slopes,
        positions.alibi_bias,
        word_order.scores_by_distance,
        reference.sinusoidal,
        reference.rotary,
        reference.alibi_slopes,
        reference.alibi,
    )
    lesson.write_link(inputs)


shuffling()
lesson.tries(
    Try("A causal model, which counts without positions", {"guess": ""}, model="scratch:gpt"),
    Try("Is the rest only rounding? Compute in float64", {"exact": True}),
    first=2,
)
attention()
lesson.tries(
    Try("Turn queries and keys instead (RoPE)", {"scheme": "rope", "encoding": "rope", "turn": 3}),
    Try("The table that the model learned", {"scheme": "learned", "encoding": "learned", "pair": 0}),
)
encoding()
beyond()
behind()
