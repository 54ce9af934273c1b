"""What the page "Space" draws, in the order of the page."""

from __future__ import annotations

import streamlit as st

from attnviz import figures
from attnviz.analysis import space, space_child
from attnviz.figures.space import Dot
from attnviz.formatting import number, percent
from attnviz.web import shell
from attnviz.web.components.chart import Table, clicked
from attnviz.web.components.table import choice, table
from attnviz.web.jobs import text as job_text
from attnviz.web.jobs.placings import Placing
from attnviz.web.lesson import LONGEST, Lesson, Try
from attnviz.web.space import state, text
from attnviz.web.space.shown import KINDS, Asked, Shown
from attnviz.web.space.state import Settings

FORMULA = r"""\begin{aligned}
&X-\bar X=USV^\top\\
&\text{places}=US\ \text{(first columns)}\\
&\text{kept}_a=s_a^2\,/\,\textstyle\sum_b s_b^2\\
&\cos(x,y)=\frac{x\cdot y}{\lVert x\rVert\,\lVert y\rVert}\\
&\text{score}=\frac{q\cdot k}{\sqrt{d_k}}
\end{aligned}"""
SOURCE = (
    "PCA: Pearson 1901. t-SNE: van der Maaten and Hinton 2008. Isomap: Tenenbaum et al. 2000. What t-SNE shows and "
    "what it does not: Wattenberg et al. 2016, “How to Use t-SNE Effectively”."
)
MOST_NAMED = 40  # points that are all named
NEAREST = "space-nearest"
TICK = 0.4  # seconds


def take_click(lesson: Lesson[Settings]) -> None:
    """The token that the reader clicked, as a point or in the table; to be called before anything is drawn."""
    about = clicked("lesson-picture-space").get("about")
    point = about[0] if isinstance(about, list) and about else None
    row = choice(NEAREST, map(str, range(LONGEST)))
    for one in (point, None if row is None else int(row)):
        if type(one) is int and 0 <= one < LONGEST:
            lesson.choose(token=one)


def controls(lesson: Lesson[Settings], shown: Asked) -> None:
    """What is shown, and how."""
    left, middle, right = st.columns([3, 2, 2], gap="medium")
    left.segmented_control(
        "Show", state.WHATS, key=lesson.key("what"), format_func=text.WHATS.__getitem__, required=True
    )
    middle.segmented_control(
        "Placed by", space.HOWS, key=lesson.key("how"), format_func=space.NAMES.__getitem__, required=True
    )
    right.segmented_control(
        "In", (2, 3), key=lesson.key("dims"), format_func={2: "a plane", 3: "3-D"}.__getitem__, required=True
    )
    columns = iter(st.columns(5, gap="medium"))
    with next(columns):
        lesson.token_box("Token", "token", shown.labels)
    next(columns).selectbox("Colour", state.COLOURS, key=lesson.key("by"), format_func=text.COLOURS.__getitem__)
    if shown.what != "table" or shown.needs_head:
        last = shown.n_layers + (shown.what == "tokens" and not shown.needs_head)
        names = {shown.n_layers: "after the last"}
        next(columns).selectbox(
            "Layer", range(last), key=lesson.key("layer"), format_func=lambda i: names.get(i, str(i))
        )
    if shown.needs_head:
        next(columns).selectbox("Head", range(shown.n_heads), key=lesson.key("head"))
    if shown.how == "tsne" or shown.what == "table":
        next(columns).number_input("Seed", 0, state.SEEDS - 1, step=1, key=lesson.key("seed"))
    if shown.dims == 3:
        st.select_slider("Turn it", state.TURNS, key=lesson.key("turn"), format_func="{}°".format)


def run_on(timed: bool) -> None:
    """Sets the page's clock while points are placed, last on the page; `timed`: whether it has one."""
    if state.is_placing() != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set


def _bar(placing: Placing) -> None:
    """How far the placing is, where the picture will be."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    if placing.active:
        counted = placing.how == "tsne"
        said = job_text.placing(placing.number, placing.steps, space_child.STEPS, counted)
        left.progress((placing.steps or 0) / space_child.STEPS, said)
        right.button("Cancel", on_click=state.cancel, key="space-cancel")
    else:
        left.text(text.CANCELLED if placing.status == "cancelled" else placing.error)
        right.button("Place them", on_click=state.again, key="space-again")


def picture(lesson: Lesson[Settings], shown: Shown) -> None:
    """All points."""
    if shown.placed is None:
        _bar(state.mine())
        return
    turn = lesson.settings().turn
    lesson.picture(
        figures.dots(_dots(shown, turn), shown.chosen, text.axes(shown, turn), shell.palette()),
        title=text.title(shown),
        alt=text.alternative(shown),
        data=lambda: _numbers(shown),
        file="space",
        points=True,
    )
    st.caption(f"{text.legend(shown)} {text.POINTS}")
    st.caption(text.caption(shown))


def _dots(shown: Shown, turn: int) -> list[Dot]:
    places, near = shown.places.places, [None] * len(shown.points)
    if shown.dims == 3:
        places, depth = space.turned(places, turn)
        low, high = float(depth.min()), float(depth.max())
        near = [(float(one) - low) / ((high - low) or 1.0) for one in depth]  # type: ignore[misc]
    lit = {one.point for one in shown.neighbours} | {shown.chosen}
    own = {i for i, one in enumerate(shown.points) if one.position is not None}
    named = (own if len(own) <= MOST_NAMED else set()) | lit
    amounts = shown.amounts()
    return [
        Dot(
            float(places[i, 0]),
            float(places[i, 1]),
            one.name,
            text.about(shown, i),
            one.kind if shown.by == "token" else None,
            amounts[i],
            one.position if one.position is not None else -1,
            one.is_key,
            i in named,
            near[i],
            i in lit,
        )
        for i, one in enumerate(shown.points)
    ]


def _numbers(shown: Shown) -> Table:
    axes = {name: shown.places.places[:, i] for i, name in enumerate("xyz"[: shown.dims])}
    return {
        "token": [one.name for one in shown.points],
        "position": [one.position for one in shown.points],
        "part": ["key" if one.is_key else "query" if shown.what == "heads" else "vector" for one in shown.points],
        "kind": [KINDS[one.kind] for one in shown.points],
        **axes,
        "norm": shown.norms,
    }


def neighbours(shown: Shown) -> None:
    """The nearest points, or the keys that the query scores highest; and the way to Explore."""
    if shown.neighbours:
        is_head = shown.what == "heads"
        columns = (
            [
                ("Key", ""),
                ("score q·k/√d", "number"),
                ("weight", "number"),
                ("distance", "number"),
                ("cosine", "number"),
            ]
            if is_head
            else [("Token", ""), ("cosine", "number")]
        )
        rows = []
        for one in shown.neighbours:
            cells = [(one.name,)]
            if one.score is not None and one.weight is not None:
                cells += [(number(one.score),), (percent(one.weight),), (number(one.distance),)]
            key = f"row {one.point}" if one.position is None else str(one.position)
            rows.append((key, [*cells, (number(one.cosine),)]))
        label = "Keys by their score" if is_head else f"Nearest to {shown.labels[shown.token]}"
        table(label, columns, rows, key=NEAREST, chosen=None if shown.what == "table" else "")
    whole = st.session_state["text"]  # of which this page may show the beginning
    query = {"model": shown.model, "q": str(shown.token)} | ({"text": whole} if shell.fits_link(whole) else {})
    place = {"layer": str(min(shown.layer, shown.n_layers - 1)), "head": str(shown.head)}
    st.page_link(
        "pages/explore.py",
        label=f"Open “{shell.escaped(shown.labels[shown.token])}” in Explore",
        query_params=query | place,
    )


def tries(lesson: Lesson[Settings]) -> None:
    """Places worth a look."""
    lesson.tries(
        Try("Queries and keys of a head", {"what": "heads", "by": "weight"}),
        Try("The embedding table", {"what": "table"}),
        Try("t-SNE in 3-D", {"how": "tsne", "dims": 3, "by": "position"}),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(FORMULA, SOURCE, space.principal, space_child.tsne, space_child.isomap, space.nearest)
