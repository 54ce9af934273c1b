"""The shuffle test of the page "Positions": its question, both texts, and how far each token's output moved.

What the sentence is about stands first; the other schemes run once that has been sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from attnviz import figures
from attnviz.analysis import word_order
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import Encoding
from attnviz.web import cache, page_style, prediction, shell
from attnviz.web.lesson import Lesson, Try
from attnviz.web.positions import state, text
from attnviz.web.positions.state import LARGEST, Settings

COLUMNS = [236, 900]  # px: controls and picture
AROUND = 54  # px: title of a picture and the link to its data
GAP = 16  # px between two pictures
TOGGLE = 24  # px
OTHER_EXPERIMENTS = ("seed", "first_head", "word")  # which no thing to try is about


def test(lesson: Lesson[Settings], inputs: shell.Inputs) -> bool:
    """Prediction, sentence, both texts and the bars. Returns whether the answer shows."""
    settings, model = lesson.settings(), cache.model(inputs.model)
    encoding, config = model.encode(inputs.text), model.transformer.config
    if not state.is_shuffled(encoding, settings.seed):
        lesson.sentence(text.ONE_WORD)
        return False
    revealed = lesson.revealed("shuffled")  # before that, only the run that the question is about
    without = state.shuffled(inputs, settings)["none"] if revealed else state.shuffled_without(inputs, settings)
    asked = text.prediction(without, causal=config.kind == "decoder")
    shows = asked is None or lesson.predict("shuffled", text.SHUFFLE_QUESTION, text.GUESSES, *asked)
    sentence = st.container()
    height = _height(config)
    controls, picture = st.columns(COLUMNS, gap="large")
    with controls:
        st.button("Shuffle again", on_click=_next_seed, args=(lesson, settings.seed), key="positions-again")
        st.number_input("Seed of the shuffle", 0, LARGEST, key=lesson.key("seed"))
        with lesson.room("exact", TOGGLE):
            if shows:  # more digits matter where nothing but rounding is left: that is the answer
                st.toggle("Compute in float64", key=lesson.key("exact"))
            else:
                prediction.hold_open("")
    with picture:
        _both_texts(encoding, word_order.word_order(encoding.words, settings.seed))
        bars = lesson.room("shuffled", height, {1099: height + 24})
    hidden = text.hidden_order(model.info.title, config.positions, causal=config.kind == "decoder")
    if not shows:
        with sentence:
            lesson.sentence(hidden, instead=hidden + text.LONGER)
        with bars:
            lesson.veil("shuffled")
        return False
    rows = state.shuffled(inputs, settings)
    says = text.order(rows, model.info.title, config.positions, settings.exact)
    with bars:
        _changes(lesson, encoding, rows, config.positions, says)
    with sentence:
        lesson.sentence(says, instead=hidden + text.LONGER)
    with bars:  # further down: it need not be there before the sentence and the first picture are
        _other_changes(lesson, encoding, state.shuffled_others(inputs, settings), config.positions)
    return True


def _height(config: ModelConfig) -> int:
    """How high (px) both pictures are, with what stands around them."""
    own, others = map(len, (state.own_runs(config), state.other_runs(config)))
    height = figures.moved_bars_height(own) + AROUND
    return height + (GAP + figures.moved_bars_height(others) + AROUND if others else 0)


def _changes(
    lesson: Lesson[Settings], encoding: Encoding, rows: Mapping[str, word_order.Shuffled], native: str, says: str
) -> None:
    """Bars per token, without positions and with the model's own."""
    title = "How much each token’s output changed when the words were shuffled, % of its norm"
    _bars(lesson, encoding, rows, native, title, "Bars per token. " + says, "positions-shuffle")


def _other_changes(
    lesson: Lesson[Settings], encoding: Encoding, rows: Mapping[str, word_order.Shuffled], native: str
) -> None:
    """The same bars with the schemes that the model was not made with."""
    if rows:
        says = "; ".join(text.row_title(name, row, native) for name, row in rows.items())
        title = "The same with the other schemes"
        _bars(lesson, encoding, rows, native, title, f"Bars per token and scheme. {says}.", "positions-shuffle-others")


def _bars(
    lesson: Lesson[Settings],
    encoding: Encoding,
    rows: Mapping[str, word_order.Shuffled],
    native: str,
    title: str,
    alt: str,
    file: str,
) -> None:
    change = {name: row.moved.numpy() for name, row in rows.items()}
    titles = {name: text.row_title(name, row, native) for name, row in rows.items()}
    lesson.picture(
        figures.moved_bars(change, titles, encoding.labels, shell.palette()),
        title=title,
        alt=alt,
        data={"position": range(len(encoding)), "token": encoding.labels, **change},
        file=file,
    )


def _next_seed(lesson: Lesson[Settings], seed: int) -> None:
    lesson.choose(seed=(seed + 1) % (LARGEST + 1))


def _both_texts(encoding: Encoding, order: Sequence[int]) -> None:
    texts = {"before": encoding.labels, "after": [encoding.labels[i] for i in order]}
    for name, labels in texts.items():
        with st.container(horizontal=True, gap="small", key=page_style.key("positions-text", name)):
            st.text(name, width="content")
            st.text(" ".join(labels), width="stretch")


def tries(lesson: Lesson[Settings], shows: bool) -> None:
    """What shows the shuffle test at its best; `shows`: also what would give its answer away."""
    with lesson.room("tries", 64, {389: 120}):
        lesson.tries(
            Try("A causal model", {}, model="scratch:gpt"),
            *([Try("The same shuffle in float64", {"exact": True})] if shows else []),
            first=2,
            keeps=OTHER_EXPERIMENTS,
        )
