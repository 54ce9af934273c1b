"""The page "Program a transformer": what the reader has set, the program's weights, and its runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from attnviz.browser import attention_message
from attnviz.errors import InvalidParameterError
from attnviz.models.programs import library, source
from attnviz.models.programs.language import Program, Selector, Value
from attnviz.models.programs.models import PREFIX, Programmed, programmed
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import shell, store
from attnviz.web.lesson import Lesson
from attnviz.web.program import text
from attnviz.web.temperatures import TEMPERATURES

OWN = "own"  # the reader's program, among the listed ones
CHOICES = (*(listing.name for listing in library.LISTINGS), OWN)
MOST_LETTERS = 16  # of an alphabet
HEAD = "program-head"  # the list of heads


@dataclass(frozen=True)
class Settings:
    """What the reader has set; `code`, `letters` and `causal` are of a program of their own."""

    program: str = "induction"
    code: str = ""
    letters: str = library.LETTERS
    causal: bool = False
    phrase: str = ""  # the text; "" is the program's example
    layer: int = 1
    head: int = 0
    temperature: float = 1.0
    off: bool = False

    def __post_init__(self) -> None:
        if self.program not in CHOICES or self.temperature not in TEMPERATURES:
            raise InvalidParameterError(f"program {self.program!r} or temperature {self.temperature} is not offered")
        if min(self.layer, self.head) < 0 or max(self.layer, self.head) > 512:
            raise InvalidParameterError(f"layer {self.layer} or head {self.head} is out of range")
        if max(map(len, (self.code, self.letters, self.phrase))) > shell.TYPED:
            raise InvalidParameterError("the program, its letters or the text is too long")


@dataclass(frozen=True, eq=False)
class Outcome:
    """A program, its transformer, and what both say of a text."""

    settings: Settings
    made: Programmed
    listing: library.Listing | None  # None for the reader's own
    phrase: str
    meant: str  # what the program says at each letter
    said: str  # what the transformer says, with the change if there is one
    trace: Trace
    head: tuple[int, int]

    @property
    def selector(self) -> Selector:
        """What the chosen head selects."""
        return self.made.compiled.heads[self.head]

    @property
    def n_right(self) -> int:
        """Letters at which the transformer says what the program says."""
        return sum(one == other for one, other in zip(self.meant, self.said, strict=True))


def listing_of(settings: Settings) -> library.Listing | None:
    """The listed program that is chosen; None for the reader's own."""
    return library.listing(settings.program)


def check_lengths(lesson: Lesson[Settings]) -> None:
    """Ends the page in a sentence where something typed is longer than what is read, and so than a link carries."""
    settings = lesson.settings()
    for what, typed, most in (
        ("text", settings.phrase, library.LONGEST),
        ("alphabet", settings.letters, MOST_LETTERS),
        ("program", settings.code, source.LONGEST_SOURCE),
    ):
        if len(typed) > most:
            shell.refuse(text.too_long(what, len(typed), most))


def take_head(lesson: Lesson[Settings]) -> None:
    """The head that the reader chose in the list becomes the setting."""
    layer, head = st.session_state[HEAD]
    lesson.choose(layer=layer, head=head)


def outcome(lesson: Lesson[Settings]) -> Outcome:
    """The program's run; ends the page in a sentence where it is no program, or its text is none of it."""
    settings = lesson.settings()
    try:
        made = _made(settings.program, *((settings.code, settings.letters, settings.causal) if _own(settings) else ()))
    except InvalidParameterError as error:
        shell.refuse(text.no_program(str(error)))
    listed = listing_of(settings)
    phrase = settings.phrase or (listed.example if listed else settings.letters[:6])
    if wrong := text.no_text(phrase, made.program.alphabet):
        shell.refuse(wrong)
    head = _head(lesson, settings, made)
    change = Intervention(
        temperature=settings.temperature, head_scale=(((*head, 0.0),) if settings.off and head else ())
    )
    said, trace = _said(made, phrase, change)
    return Outcome(settings, made, listed, phrase, made.meaning(phrase), said, trace, head)


def without(shown: Outcome) -> str:
    """What the transformer says with the chosen head switched off."""
    return _said(shown.made, shown.phrase, Intervention(head_scale=((*shown.head, 0.0),)))[0]


def _own(settings: Settings) -> bool:
    return settings.program == OWN


def _head(lesson: Lesson[Settings], settings: Settings, made: Programmed) -> tuple[int, int]:
    """The chosen head, or the program's last one where it has none there. Errors: ends the page if it has none."""
    heads = made.compiled.heads
    if not heads:
        shell.refuse(text.NO_HEAD)
    head = settings.layer, settings.head
    if head not in heads:
        head = max(heads)
        lesson.choose(layer=head[0], head=head[1])
    return head


@store.kept()
def _made(name: str, code: str = "", letters: str = "", causal: bool = False) -> Programmed:
    """The weights of a listed program, or of one that a reader wrote. Errors: InvalidParameterError in a sentence."""
    listed = library.listing(name)
    if listed is not None:
        return programmed(library.program(name), PREFIX + name, f"Program: {listed.title}")
    if not 1 <= len(letters) <= MOST_LETTERS:
        raise InvalidParameterError(f"the alphabet has {len(letters)} letters; a program has 1 to {MOST_LETTERS}")
    return programmed(source.read(code, letters, library.LONGEST, causal=causal), PREFIX + OWN, "Your program")


def _said(made: Programmed, phrase: str, change: Intervention) -> tuple[str, Trace]:
    """What the transformer says at each letter, and its run."""
    trace = made.model.run(phrase, intervention=change)
    assert trace.logits is not None
    best = trace.logits[0, 1:].argmax(dim=-1).tolist()
    return "".join(made.model.tokenizer.library.id_to_token(one) or "" for one in best), trace


def message(shown: Outcome) -> bytes:
    """The chosen head's layer for the browser."""
    layer = shown.head[0]
    return attention_message.pack(attention_message.one_layer(shown.trace, layer), name=shown.made.model.info.name)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a head's queries ask for: a score for each value of the query's side and the key's, from the weights."""

    queries: list[str]
    keys: list[str]
    scores: np.ndarray  # (query values, key values)
    query_name: str
    key_name: str


def asked(shown: Outcome) -> list[Asked]:
    """The tables of the chosen head, one for each condition of its select: W_Qᵀ W_K between directions, over √d."""
    made, (layer, head) = shown.made.compiled, shown.head
    transformer = made.transformer
    stack = transformer.decoder if transformer.encoder is None else transformer.encoder
    assert stack is not None
    attention = stack["layers"][layer].self_attn  # type: ignore[index]
    c, d = transformer.config.d_model, transformer.config.head_dim
    weight: torch.Tensor = attention.in_proj_weight
    query, key = (weight[part * c + head * d : part * c + (head + 1) * d] for part in (0, 1))
    tables = []
    for condition in shown.selector.conditions:
        rows, columns = (made.blocks[one] for one in (condition.queries, condition.keys))
        n_rows, n_columns = len(condition.queries.domain), len(condition.keys.domain)
        q, k = query[:, rows.start : rows.start + n_rows], key[:, columns.start : columns.start + n_columns]
        tables.append(
            Asked(
                names(condition.queries.domain),
                names(condition.keys.domain),
                (q.T @ k / d**0.5).numpy(),
                name_of(shown.made.program, condition.queries),
                name_of(shown.made.program, condition.keys),
            )
        )
    return tables


def names(domain: tuple[Value, ...]) -> list[str]:
    """The values of a domain as text."""
    return ["true" if one is True else "false" if one is False else str(one) for one in domain]


def name_of(program: Program, part: object) -> str:
    """What the program calls a part of it; "" where it has no name."""
    return next((name for one, name in program.names.items() if one is part), "")


def adopt_program(lesson: Lesson[Settings]) -> None:
    """The program on screen becomes the reader's own, to be changed."""
    settings = lesson.settings()
    listed = listing_of(settings)
    if listed is not None:
        lesson.choose(
            program=OWN,
            code=listed.text.strip(),
            letters=listed.alphabet,
            causal=listed.causal,
            phrase=settings.phrase or listed.example,
        )
