"""What the page "Program a transformer" draws, in the order of the page."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from attnviz import figures
from attnviz.browser.view_state import ViewState
from attnviz.models.programs import compiler, library
from attnviz.web import shell
from attnviz.web.components import attention_view
from attnviz.web.components.dial import dial
from attnviz.web.lesson import Lesson, Try
from attnviz.web.program import state, text
from attnviz.web.program.state import OWN, Outcome, Settings
from attnviz.web.temperatures import MARKS, TEMPERATURES

FORMULA = r"""\begin{aligned}
&\text{score}(q,k)=s\cdot\big[\text{the condition holds}\big],\\
&\qquad s \text{ so large that softmax chooses}\\
&\text{count: weight of the start}=\frac{1}{1+n}\\
&\text{apply: } \mathrm{ReLU}\Big(\sum_{i=1}^{m} x_i-(m-1)\Big)=1\\
&\qquad\text{only if all } m \text{ values are there}
\end{aligned}"""
MOST_TABLES = 8  # of a head whose select has many conditions
SOURCE = (
    "The language: Weiss et al. 2021, “Thinking Like Transformers” (RASP). Into weights: Lindner et al. 2023, “Tracr”. "
    "Each value of each name is one direction of the residual stream. There are no LayerNorms. Of several keys a score "
    "that grows with the position chooses one."
)


def program(lesson: Lesson[Settings]) -> None:
    """Which program, and its text: to read, or to write."""
    titles = {listing.name: listing.title for listing in library.LISTINGS} | {OWN: "Your own"}
    st.selectbox("Program", state.CHOICES, key=lesson.key("program"), format_func=titles.__getitem__)
    settings = lesson.settings()
    listed = state.listing_of(settings)
    if listed is not None:
        st.text(listed.explains)
        st.code(listed.text.strip(), language="python")
        st.button("Change this program", key="program-change", on_click=state.adopt_program, args=(lesson,))
        return
    st.text_area(
        "Your program",
        key=lesson.key("code"),
        height=200,
        help=shell.RUNS_IT,
    )
    letters, causal = st.columns([3, 2], gap="small", vertical_alignment="bottom")
    letters.text_input("Letters of its texts", key=lesson.key("letters"))
    causal.toggle("Causal", key=lesson.key("causal"), help="Each letter may look only at itself and what stands before")


def phrase(lesson: Lesson[Settings]) -> None:
    """The text that it runs on."""
    listed = state.listing_of(lesson.settings())
    st.text_input(
        "Text",
        key=lesson.key("phrase"),
        placeholder=listed.example if listed else "",
        help=f"Up to {library.LONGEST} letters",
    )


def said(shown: Outcome) -> None:
    """Letter by letter: the text, what the program says, what its transformer says."""
    st.html(_rows(shown, shell.palette()))


def _rows(shown: Outcome, palette: figures.Palette) -> str:
    """The three lines as an HTML table; every letter is escaped."""
    cell = "text-align:center;min-width:1.625rem;padding:3px 5px;font:1rem ui-monospace,monospace"
    name = (
        f"text-align:left;padding-right:14px;white-space:nowrap;font-weight:400;color:{palette.ink2};font-size:0.875rem"
    )

    def line(title: str, letters: str, marks: list[bool]) -> str:
        cells = "".join(
            f'<td style="{cell};color:{palette.ink1 if right else palette.negative_ink}'
            f'{"" if right else ";text-decoration:underline"}">{html.escape(letter)}'
            f"{'' if right else '<span style=position:absolute;left:-9999px> wrong</span>'}</td>"
            for letter, right in zip(letters, marks, strict=True)
        )
        return f'<tr><th scope="row" style="{name}">{title}</th>{cells}</tr>'

    fine = [True] * len(shown.phrase)
    right = [one == other for one, other in zip(shown.meant, shown.said, strict=True)]
    lines = [
        line("The text", shown.phrase, fine),
        line("The program says", shown.meant, fine),
        line("Its transformer says", shown.said, right),
    ]
    return f'<div style="overflow-x:auto"><table style="border-collapse:collapse">{"".join(lines)}</table></div>'


def head(lesson: Lesson[Settings], shown: Outcome) -> None:
    """Which head, and its attention."""
    heads = sorted(shown.made.compiled.heads)
    names = {place: text.head_name(shown, place) for place in heads}
    st.session_state[state.HEAD] = shown.head  # a thing to try or a link may have chosen another one
    st.selectbox(
        "Attention head",
        heads,
        format_func=names.__getitem__,
        key=state.HEAD,
        on_change=state.take_head,
        args=(lesson,),
    )
    attention_view.attention_view(
        state.message(shown),
        ViewState(layer=shown.head[0], head=shown.head[1]),
        key="program-view",
        compact=True,
        title=names[shown.head],
        height=420,
    )


def in_explore(shown: Outcome) -> None:
    """The way to the page that runs a listed program on the same text."""
    if shown.listing is not None:
        query = {"model": shown.made.model.info.name, "text": shown.phrase}
        st.page_link("pages/explore.py", label="Open it in Explore", query_params=query)


def prediction(lesson: Lesson[Settings], shown: Outcome) -> bool:
    """What happens without the head; whether the page may show it."""
    truth, because = text.answer(shown, state.without(shown))
    return lesson.predict("off", text.question(shown), (text.ALL, text.SOME, text.NONE), truth, because)


def breaking(lesson: Lesson[Settings], shown: Outcome) -> None:
    """The head's switch and the temperature."""
    off, warm = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    off.toggle("Switch this head off", key=lesson.key("off"))
    with warm:
        dial(
            "Temperature τ in attention",
            TEMPERATURES,
            key=lesson.key("temperature"),
            format_func="{:g}".format,
            marks=MARKS,
        )
    lesson.sentence(text.sharpness(shown), part="sharpness")


def weights(lesson: Lesson[Settings], shown: Outcome) -> None:
    """What the chosen head's weights ask for, a picture for each condition."""
    lesson.sentence(text.about_head(shown), part="head")
    tables = state.asked(shown)
    drawn = tables[:MOST_TABLES]
    for number, (column, table) in enumerate(zip(st.columns(max(2, len(drawn))), drawn, strict=False)):
        title = text.table_title(table.query_name, table.key_name)
        data = {"query": table.queries, **dict(zip(map(str, table.keys), np.transpose(table.scores), strict=True))}
        with column:
            lesson.picture(
                figures.score_table(table.scores, table.queries, table.keys, shell.palette()),
                title=title,
                alt=f"{title}: a table of {len(table.queries)} by {len(table.keys)} scores.",
                data=data,
                file=f"program-{number}",
            )
    if len(tables) > MOST_TABLES:
        st.caption(f"The first {MOST_TABLES} of {len(tables)} conditions are drawn.")


def tries(lesson: Lesson[Settings]) -> None:
    """Programs, and ways to break them: to switch a head off would answer the question."""
    without = [Try("Induction without its first head", {"layer": 0, "off": True})] if lesson.revealed("off") else []
    with lesson.room("tries", 64, {1049: 120, 719: 176}):
        lesson.tries(
            Try("Sort letters", {"program": "sort"}),
            Try("Are the brackets balanced?", {"program": "balanced"}),
            Try("The same, too warm", {"program": "balanced", "temperature": 20.0}),
            *without,
        )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.sentence(text.HOW, part="how")
    lesson.behind(FORMULA, SOURCE, compiler._Writer._head, compiler._Writer._count, compiler._Writer._apply)
