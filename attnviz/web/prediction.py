"""Predict, then look: a question that hides what would answer it until the reader has guessed or asked to be shown.

The one mechanism of every quiz. A guess is the session's own: it is no setting and never stands in an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from attnviz.web import page_style, shell
from attnviz.web.components import course_view

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


class _AsWide(dict[int, str]):
    """For a character another that is about as wide; a space stays what it is."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character.isspace() or code > _IDEOGRAPHS:
            self[code] = character if character.isspace() else "一"
        else:
            self[code] = next((wide for wide, group in _WIDTHS.items() if character in group), "a")
        return self[code]


_IDEOGRAPHS = 0x2E80  # from here on characters are as wide as high, and lines break between them
_WIDTHS = {
    "i": "ijl.,:;!|’'()[]I",
    "t": 'ftr“”"-–',
    "m": "mwMW%—@",
    "n": "nuopqbdhg=<>×+ABCDEFGHKLNOPQRSTUVXYZ",
}
_AS_WIDE = _AsWide()


@dataclass(frozen=True)
class Question:
    """What is asked, and its answer, both worked out from the numbers of the page."""

    asks: str
    options: tuple[str, ...]
    truth: str
    because: str  # why, with the numbers


@dataclass(frozen=True)
class Answered:
    """A question as it stood when it was answered."""

    question: Question
    guess: str  # "" where the reader asked to be shown


def is_revealed(page: str, name: str) -> bool:
    """Whether a page may show what answers its question `name`."""
    return name in _answers(page) or name not in st.session_state.get(_hidden(page), {name})


def is_answered(page: str) -> bool:
    """Whether the reader has guessed an answer to a question of a page; to be shown it is no guess."""
    return any(answered.guess for answered in _answers(page).values())


def reveal_all(page: str) -> None:
    """Shows every answer of a page: a link asked for it."""
    st.session_state[_hidden(page)] = set()


def ask(page: str, name: str, question: Question, *, everywhere: bool = False) -> bool:
    """Draws the question; whether its answer may be shown.

    Once revealed, the page stays so while its numbers change. The verdict on a guess stands as long as the question is
    the one that was guessed; after that the line says what holds now.

    Arguments
        name: of the question among those of its page.
        everywhere: the answer also shows in other fragments of the page.
    """
    asks, options = question.asks, question.options
    revealed = is_revealed(page, name)
    answered = _answers(page).get(name)
    guess = answered.guess if answered is not None and answered.question == question else ""
    key = f"{page}.quiz.{name}"
    with st.container(key=page_style.key("lesson-predict", name)):
        st.session_state[key] = guess or None
        st.pills(
            shell.escaped(asks),
            options,
            key=key,
            format_func=shell.escaped,
            disabled=revealed,
            on_change=_take_guess,
            args=(page, name, question, everywhere),
        )
        with st.container(key=page_style.key("lesson-place", name)):
            with st.container(key=page_style.key("lesson-verdict", name), horizontal=True, vertical_alignment="center"):
                st.text(_verdict(question, guess) if revealed else "Guess, and the answer shows.")
                st.button(
                    "Ask me again" if revealed else "Show me",
                    key=f"{key}.show",
                    type="tertiary",
                    on_click=_hide if revealed else _take_guess,
                    args=(page, name, question, everywhere),
                )
                if is_answered(page):
                    course_view.mark_done(page, key=page_style.key("lesson-done", name))
            hold_open(max((_verdict(question, option) for option in options), key=len), "Ask me again")
    return revealed


def veil(name: str) -> None:
    """Fills the room of what is hidden."""
    with st.container(key=page_style.key("lesson-veil", name), height="stretch", border=False):
        st.text("Hidden until you have guessed.")


def room(name: str, height: int, up_to: Mapping[int, int] | None = None, *, for_view: bool = False) -> DeltaGenerator:
    """A place at least so high (px), for the veil and for what stands there after the guess: then nothing moves.

    A picture takes a moment to come: without room what stands below it would jump up, and down again.

    `up_to`: by the width (px) of a window up to which its height is another, that height: there words take more lines,
    and pictures stand under each other. `for_view`: for the attention view, which grows with a large window.
    """
    key = f"lesson-room-{name}"
    place = st.container(key=key)
    rules = [f".st-key-{key} {{ min-height: {height}px }}"]
    for width, px in sorted((up_to or {}).items(), reverse=True):
        rules.append(f"@media (max-width: {width}px) {{ .st-key-{key} {{ min-height: {px}px }} }}")
    if for_view:  # as in frontend/attention/screen.js, with the page's margins
        grown = f"min({height} / 1400 * (100vw - 80px), {height} / 900 * 100vh)"
        rules.append(
            f"@media (min-width: 1580px) and (min-height: 900px) {{ .st-key-{key} {{ min-height: calc({grown}) }} }}"
        )
    place.html(f"<style>{' '.join(rules)}</style>")
    return place


def hold_open(*texts: str) -> None:
    """Unseen, as much text as will stand in a place, so that nothing moves when it comes.

    Its letters stand for others as wide as they: it breaks into the same lines at any width, and says nothing.
    """
    parts = "".join(f"<span>{text.translate(_AS_WIDE)}</span>" for text in texts)
    st.html(f'<div class="av-room" aria-hidden="true">{parts}</div>')


def _verdict(question: Question, guess: str) -> str:
    if not guess:
        return question.because
    if guess == question.truth:
        return f"✓ Right. {question.because}"
    return f"Not quite: you said “{guess}”, it is “{question.truth}”. {question.because}"


def _take_guess(page: str, name: str, question: Question, everywhere: bool) -> None:
    guess = st.session_state.get(f"{page}.quiz.{name}") or ""
    _answers(page)[name] = Answered(question, guess if guess in question.options else "")
    _tell(everywhere)


def _hide(page: str, name: str, question: Question, everywhere: bool) -> None:
    _answers(page).pop(name, None)
    if _hidden(page) in st.session_state:
        st.session_state[_hidden(page)].add(name)
    _tell(everywhere)


def _tell(everywhere: bool) -> None:
    if everywhere:
        st.session_state["whole_page"] = True


def _answers(page: str) -> dict[str, Answered]:
    answers: dict[str, Answered] = st.session_state.setdefault(f"{page}:answers", {})
    return answers


def _hidden(page: str) -> str:
    """Where the questions are kept that hide their answers although a link showed them all."""
    return f"{page}:hidden"
