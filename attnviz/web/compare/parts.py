"""What the page "Compare" draws, in the order of the page."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from attnviz import figures
from attnviz.analysis import comparison
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import shares
from attnviz.web import cache, shell
from attnviz.web.compare import state, text
from attnviz.web.compare.shown import Shown
from attnviz.web.compare.state import Settings
from attnviz.web.components import attention_view
from attnviz.web.components.chart import Table, clicked, of_rows
from attnviz.web.components.table import choice, table
from attnviz.web.lesson import Lesson, Try

FORMULA = r"""\begin{aligned}
&\Delta_{ij}=B_{\pi(i)\pi(j)}-A_{ij}\\
&\text{elsewhere}_i=\tfrac12\textstyle\sum_j|\Delta_{ij}|
\end{aligned}"""
SOURCE = (
    "π lays the tokens side by side: Ratcliff and Metzener 1988. A token that one text has alone counts as 0 in the "
    "other’s row. What goes elsewhere of a row is the total variation of two distributions."
)
TABLE = "compare-changes"
TIRED = "The animal didn't cross the street because it was too tired."
KEYS = " bird moon ship salt tree bird moon ship"


def fields(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """The head of A, and what B has of its own or what each run changes; ends the page where no model is like it."""
    try:
        state.begin(lesson, inputs)
    except (InvalidParameterError, ModelError) as error:
        refuse(error)
    settings, config = lesson.settings(), cache.model(inputs.model).transformer.config
    kind, layer, head = st.columns([5, 2, 2], gap="medium")
    kind.segmented_control(
        "B is", state.KINDS, key=lesson.key("kind"), format_func=text.KINDS.__getitem__, required=True
    )
    layer.selectbox("Layer", range(config.n_layers), key=lesson.key("layer"))
    head.selectbox("Head", range(config.n_heads), key=lesson.key("head"))
    match settings.kind:
        case "text":
            st.text_input("The other text", key=lesson.key("other"), placeholder="Yours with one word exchanged")
            shell.tell_too_long(lesson.key("other"), "The other text")
        case "change":
            for letter, field in zip("AB", state.FIELDS, strict=True):
                _change(lesson, settings, inputs.model, letter, field)
        case _:
            _head_of_b(lesson, settings, inputs.model)


def _change(lesson: Lesson[Settings], settings: Settings, name: str, letter: str, field: str) -> None:
    """What is changed in A's run, or in B's; `field` as in `state.FIELDS`."""
    what, first, second = st.columns([5, 1, 1], gap="medium")
    offers = text.changes(state.is_causal(name))
    what.segmented_control(
        f"{letter} runs", state.CHANGES, key=lesson.key(f"change{field}"), format_func=offers.__getitem__, required=True
    )
    config = cache.model(name).transformer.config
    change = getattr(settings, f"change{field}")
    if change == "temperature":
        key = lesson.key(f"temperature{field}")
        first.selectbox(f"Temperature of {letter}", state.TEMPERATURES, key=key, format_func="{:g}".format)
    elif change == "off":
        first.selectbox(f"Layer off in {letter}", range(config.n_layers), key=lesson.key(f"off_layer{field}"))
        second.selectbox(f"Head off in {letter}", range(config.n_heads), key=lesson.key(f"off_head{field}"))


def _head_of_b(lesson: Lesson[Settings], settings: Settings, name: str) -> None:
    """The head of B, and its model if that is another."""
    columns = st.columns([5, 2, 2], gap="medium")
    if settings.kind == "model":
        offered = state.alike(name)
        if not offered:
            shell.say(text.none_alike(cache.model(name).info.title))
        columns[0].selectbox("Model of B", list(offered), key=lesson.key("model_b"), format_func=offered.__getitem__)
        name = settings.model_b
    config = cache.model(name).transformer.config
    columns[1].selectbox("Layer of B", range(config.n_layers), key=lesson.key("layer_b"))
    columns[2].selectbox("Head of B", range(config.n_heads), key=lesson.key("head_b"))
    if settings.kind == "model":
        st.caption(text.TOKENIZER)


def shown(lesson: Lesson[Settings], inputs: shell.Inputs) -> Shown:
    """The two heads; ends the page in a sentence where they cannot be laid side by side."""
    settings = lesson.settings()
    if settings.kind == "text" and not settings.other.strip():
        shell.say(text.ONLY_TEXT)
    try:
        a, b, left_out = state.sides(settings, inputs)
        _take_click(lesson, state.compared(a, b))
        found = state.shown(lesson, a, b)
    except (InvalidParameterError, ModelError) as error:
        refuse(error)
    if left_out:
        st.caption(text.left_out(left_out, len(found.labels[1])))
    return found


def _take_click(lesson: Lesson[Settings], found: comparison.Comparison) -> None:
    """The cell that the reader clicked, in the map or among the strongest changes."""
    point, pairs = clicked("lesson-picture-compare"), found.pairs
    places = [point.get("y"), point.get("x")]
    if all(type(one) is int and 0 <= one < len(pairs) for one in places):
        state.choose(lesson, found, pairs[places[0]][0], pairs[places[1]][0])  # type: ignore[index]
    cells = {_row(one): one for one in comparison.strongest(found, state.STRONGEST, least=state.LEAST)}
    if (row := choice(TABLE, cells)) is not None:
        state.choose(lesson, found, cells[row].query[0], cells[row].key[0])


def _row(one: comparison.Change) -> str:
    return f"{one.query[0]}.{one.key[0]}"


def refuse(error: Exception) -> NoReturn:
    """Why there is nothing to see, and what to do."""
    sentence = str(error).rstrip(".")
    shell.refuse(f"{sentence[:1].upper()}{sentence[1:]}. Choose another B above, or another model.")


def sentences(lesson: Lesson[Settings], shown: Shown) -> None:
    """What differs most, and what the locked token looks at."""
    lesson.sentence(text.main(shown))
    if about := " ".join(filter(None, (text.chosen(shown), text.cell(shown)))):
        lesson.sentence(about, part="chosen")


def matrices(shown: Shown) -> None:
    """Both heads, side by side; what is locked in one is locked in the other."""
    looks = st.session_state[state.PASSED] = shown.looks()
    sides = zip(st.columns(2, gap="medium"), state.VIEWS, (shown.a, shown.b), looks, strict=True)
    for column, name, side, look in sides:
        title = text.side(side, shown.kind, cache.model(side.model).info.title)
        with column:
            attention_view.attention_view(
                state.message(side), look, key=f"compare-{name}", compact=True, title=f"{name.upper()}: {title}"
            )


def difference(lesson: Lesson[Settings], shown: Shown) -> None:
    """Where B gives more or less, on the tokens that both have."""
    found, labels = shown.found, [shown.labels[0][i] for i, _ in shown.found.pairs]
    lesson.picture(
        figures.difference_map(found.a.numpy(), found.b.numpy(), labels, shell.palette(), chosen=shown.cell),
        title="B less A, on the tokens that both have",
        alt=text.alternative(shown),
        data=lambda: _numbers(shown),
        file="compare",
        points=True,
    )
    st.caption(" ".join(filter(None, (shell.escaped(text.only(shown)), text.COLOURS))))


def _numbers(shown: Shown) -> Table:
    found, (in_a, in_b) = shown.found, shown.labels
    return of_rows(
        {
            "query": in_a[query[0]],
            "query_a": query[0],
            "query_b": query[1],
            "key": in_b[key[1]],
            "key_a": key[0],
            "key_b": key[1],
            "a": float(found.a[y, x]),
            "b": float(found.b[y, x]),
            "difference": float(found.difference[y, x]),
        }
        for y, query in enumerate(found.pairs)
        for x, key in enumerate(found.pairs)
    )


def changes(shown: Shown) -> None:
    """The cells that differ most, in words, and the ways to Explore."""
    if shown.changes:
        columns = [("In B", ""), ("A", "number"), ("B", "number"), ("points", "number")]
        rows = [
            (_row(one), [(text.change(shown, one),), *((written,) for written in shares(one.a, one.b))])
            for one in shown.changes
        ]
        table("Largest differences", columns, rows, key=TABLE, chosen=f"{shown.query[0]}.{shown.key[0]}")
    for letter, side, look in zip("AB", (shown.a, shown.b), shown.looks(), strict=True):
        query = state.in_explore(side, look, of_sidebar=letter == "A" or shown.kind != "text")
        if query is not None:
            st.page_link("pages/explore.py", label=f"Open {letter} in Explore", query_params=query)


def tries(lesson: Lesson[Settings]) -> None:
    """Comparisons worth a look."""
    at_it = {"layer": 3, "head": 1, "token": 10, "key": -1}
    wide = {"other": TIRED.replace("tired", "wide"), **at_it}
    lesson.tries(
        Try("tired → wide: what does “it” look at now?", wide, text=TIRED, model="minilm"),
        Try("MiniLM with a causal mask", {"kind": "change", **at_it}, text=TIRED, model="minilm"),
        Try(
            "Sharp beside even",
            {"kind": "change", "change_a": "temperature", "temperature_a": 0.5, "change": "temperature"}
            | {"temperature": 2.0, **at_it},
            text=TIRED,
            model="minilm",
        ),
        Try("Beside an untrained model", {"kind": "model", "layer_b": 0, "head_b": 0}, text=TIRED, model="minilm"),
        Try(
            "Induction without the head before",
            {"kind": "change", "change": "off", "off_layer": 0, "off_head": 4, "layer": 1, "head": 3},
            text=KEYS,
            model="induction",
        ),
        keeps=("token", "key"),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(
        FORMULA,
        SOURCE,
        comparison.aligned,
        comparison.compare,
        comparison.Comparison.difference.fget,  # type: ignore[attr-defined]
        comparison.Comparison.moved.fget,  # type: ignore[attr-defined]
    )
