"""What the page "What if?" draws, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st

from attnviz import figures
from attnviz.analysis import cell_removal, outcomes, patching, patching_gradient, self_repair
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import percent
from attnviz.web import shell
from attnviz.web.components.chart import Table, of_rows
from attnviz.web.components.table import table
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson
from attnviz.web.what_if import state, sweep, text
from attnviz.web.what_if.shown import Shown
from attnviz.web.what_if.state import Settings
from attnviz.web.what_if.sweep import JOB

FORMULA = r"""\begin{aligned}
\text{effect}&=m(z_h\leftarrow z_h')-m\\
&\approx\textstyle\sum (z_h'-z_h)\cdot\partial m/\partial z_h
\end{aligned}"""
SOURCE = (
    "z′: what the head writes under the change, m: what is measured. Vig et al. 2020; Meng et al. 2022; Zhang and "
    "Nanda 2024. By its gradient: Nanda 2023. Self-repair: McGrath et al. 2023; Rushing and Nanda 2024."
)
STRONGEST = 5  # heads in the table
TICK = 0.3  # seconds


def shown(lesson: Lesson[Settings], inputs: shell.Inputs) -> Shown:
    """The experiment as far as it is; ends the page in a sentence where there is none."""
    try:
        exp = state.experiment(lesson, inputs)
        found = sweep.found(exp)
        labels = state.encoding(exp.model, exp.text).labels
    except (InvalidParameterError, ModelError) as error:
        sentence = str(error)
        shell.refuse(f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}.")
    alone = not state.is_pair_model(exp.model)
    rows = tuple(text.row(site, alone=alone) for site in found.sites)
    point = st.session_state.pop("what-if:clicked", None)
    if point is not None and point[0] < len(found.sites):
        site = found.sites[point[0]]
        lesson.choose(place="" if alone else site.place, layer=site.layer, head=point[1])
    row = sweep.chosen(lesson, found)
    token, versus = (state.label(exp.model, one) if one >= 0 else "" for one in (exp.token, exp.versus))
    hidden = labels[exp.hidden] if exp.hidden >= 0 else ""
    name = text.outcome(exp.measure, token, versus, hidden=hidden, pair=not alone, other=bool(exp.other))
    return Shown(exp, found, row, lesson.settings().head, rows, name, labels, alone)


def summary(lesson: Lesson[Settings], shown: Shown) -> None:
    """What the two runs come to, and which head does most."""
    found, exp = shown.found, shown.exp
    if exp.other or exp.measure != "likeness":  # a text is like itself
        lesson.sentence(text.measured(exp.measure, shown.name, found.base, found.other))
    if np.isfinite(found.heads).any():
        y, x = map(int, np.unravel_index(int(np.nanargmax(np.abs(found.effects))), found.heads.shape))
        where, n_heads = text.head(found.sites[y], x, alone=shown.alone), int(np.isfinite(found.heads).sum())
        sizes = exp.measure, shown.name, exp.how, exp.factor, where, n_heads
        lesson.sentence(
            text.summary(*sizes, found.base, float(found.heads[y, x]), found.other, at=shown.at), part="most"
        )
        own = float(found.heads[shown.row, shown.head])
        if (shown.row, shown.head) != (y, x) and np.isfinite(own):
            st.text(text.chosen(exp.measure, shown.where, found.base, own, shown.rank, n_heads))


def run_on(timed: bool) -> None:
    """The next slice of long work, last, so that Cancel is on screen before it."""
    running = sweep.running()
    if running != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    if running:
        sweep.run_on()
        if not sweep.running():
            st.rerun()


def bar(shown: Shown) -> None:
    """How far the sweep is."""
    found = shown.found
    if slices.running(JOB) or found.done < found.steps:
        said = text.progress(found.done, found.steps), text.CANCELLED
        slices.bar(JOB, found.done / found.steps, *said, partial(sweep.again, shown.exp))


def maps(lesson: Lesson[Settings], shown: Shown) -> None:
    """All heads, and the stream at every layer and token."""
    found = shown.found
    left, right = st.columns(2, gap="large")
    unit = "share of the way to the other text" if shown.in_shares else f"change of {shown.name}"
    drawn, full = (found.effects / shown.whole, 1.0) if shown.in_shares else (found.effects, 0.0)
    with left:
        written = [[shown.written(float(one)) for one in row] for row in found.effects]
        lesson.picture(
            figures.effect_map(
                drawn, written, shell.palette(), rows=shown.rows, full=full, chosen=(shown.row, shown.head)
            ),
            title=f"Every head: {unit}",
            alt=f"Layers by heads: {_strongest_words(shown)}",
            data=lambda: _heads(shown),
            file="what-if-heads",
            points=True,
        )
        st.caption(text.IN_SHARES if shown.in_shares else text.COLOURS)
    with right:
        if found.stream is None:
            st.text(text.NO_STREAM)
            return
        effects = found.stream - found.base
        way = "share of the way to the other text" if shown.is_way else f"change of {shown.name}"
        written = [[_way(shown, float(one)) for one in row] for row in effects]
        names = [f"layer {layer}" for layer in range(len(effects))]
        lesson.picture(
            figures.effect_map(
                effects / shown.whole if shown.is_way else effects,
                written,
                shell.palette(),
                rows=names,
                columns=shown.labels,
                across="token",
                full=1.0 if shown.is_way else 0.0,
            ),
            title=f"The stream, a layer and a token at a time: {way}",
            alt=f"Layers by tokens: {_stream_words(shown, effects)}",
            data=lambda: _stream(shown, effects),
            file="what-if-stream",
        )
        scale = text.IN_SHARES if shown.is_way else text.COLOURS
        st.caption(text.STREAM if shown.is_way == shown.in_shares else f"{text.STREAM} {scale}")


def _way(shown: Shown, effect: float) -> str:
    if np.isnan(effect):
        return "not run yet"
    return text.share(effect, shown.whole) if shown.is_way else shown.changed(effect)


def _strongest(shown: Shown) -> list[tuple[int, int]]:
    """The heads with the largest effects, as cells of the map."""
    sizes = np.nan_to_num(np.abs(shown.found.effects)).flatten()
    n_heads = shown.found.heads.shape[1]
    return [divmod(int(place), n_heads) for place in np.argsort(-sizes, kind="stable")[:STRONGEST]]


def _strongest_words(shown: Shown) -> str:
    return "; ".join(
        f"{text.head(shown.found.sites[y], x, alone=shown.alone)}: {shown.written(float(shown.found.effects[y, x]))}"
        for y, x in _strongest(shown)
    )


def _stream_words(shown: Shown, effects: np.ndarray) -> str:
    rows = [row for row in range(len(effects)) if np.isfinite(effects[row]).any()]
    tops = [(row, int(np.nanargmax(np.abs(effects[row])))) for row in rows]
    return "; ".join(
        f"layer {row}, most at “{shown.labels[place]}”: {_way(shown, float(effects[row, place]))}"
        for row, place in tops
    )


def _heads(shown: Shown) -> Table:
    found = shown.found
    rows = [
        {
            "place": site.place,
            "layer": site.layer,
            "head": head,
            "outcome": found.heads[y, head],
            "effect": found.effects[y, head],
            "base": found.base,
            "other_text": found.other,
        }
        for y, site in enumerate(found.sites)
        for head in range(found.heads.shape[1])
    ]
    return of_rows(rows)


def _stream(shown: Shown, effects: np.ndarray) -> Table:
    rows = [
        {"layer": layer, "position": place, "token": label, "effect": effects[layer, place]}
        for layer in range(len(effects))
        for place, label in enumerate(shown.labels)
    ]
    return of_rows(rows)


def chooser(lesson: Lesson[Settings], shown: Shown) -> None:
    """Which head the rest is about."""
    places = tuple(dict.fromkeys(site.place for site in shown.found.sites))
    columns = st.columns([1, 1, 1, 3])
    if not shown.alone:
        st.session_state[lesson.key("place")] = shown.found.sites[shown.row].place
        columns[2].selectbox("Attention", places, key=lesson.key("place"))
    n_layers = sum(site.place == shown.found.sites[shown.row].place for site in shown.found.sites)
    for column, title, count in zip(columns, ("Layer", "Head"), (n_layers, shown.found.heads.shape[1]), strict=False):
        column.selectbox(title, range(count), key=lesson.key(title.lower()))


def one_head(lesson: Lesson[Settings], shown: Shown) -> None:
    """The chosen head, beside those that do most; and its strongest cells, each removed in two ways."""
    found, exp = shown.found, shown.exp
    lesson.section(f"{shown.where[:1].upper()}{shown.where[1:]}")
    after = float(found.heads[shown.row, shown.head])
    values = exp.measure, shown.name, exp.how, exp.factor, found.base, after, shown.rank, int(found.heads.size)
    lesson.sentence(text.one_head(*values, at=shown.at), part="head")
    left, right = st.columns(2, gap="large")
    with left:
        rows = [
            (str(n), ((text.head(found.sites[y], x, alone=shown.alone),), *_cells_of(shown, y, x)))
            for n, (y, x) in enumerate(_strongest(shown))
        ]
        columns = (("The strongest", ""), ("outcome", "number"), ("change", "number"))
        table("The heads whose change does most", columns, rows, key="what-if-strongest")
    with right:
        _removed(lesson, shown)


def _cells_of(shown: Shown, y: int, x: int) -> Sequence[tuple[str]]:
    value = float(shown.found.heads[y, x])
    if np.isnan(value):
        return (("–",), ("–",))
    _, after, effect = text.compared(shown.exp.measure, shown.found.base, value)
    return ((after,), (effect,))


def _removed(lesson: Lesson[Settings], shown: Shown) -> None:
    """The chosen head's cells: blocked before softmax, and cut after it."""
    exp, site = shown.exp, shown.found.sites[shown.row]
    if not state.runs_on(exp.model):
        st.text(text.WHOLE_RUNS)
        return
    asked = sweep.Cells(exp, site, shown.head)
    removed = sweep.CELL_WORK.found(asked)
    if removed is None:
        done, n = sweep.CELL_WORK.done, 2 * sweep.CELLS
        said = text.removed(done, n), text.NOT_REMOVED
        slices.bar(sweep.CELL_WORK.name, done / n, *said, partial(sweep.CELL_WORK.again, asked))
        return
    queries, keys = sweep.cell_names(exp, site)
    rows = [
        (
            str(n),
            (
                (f"{queries[one.query]} → {keys[one.key]}",),
                (percent(one.weight),),
                (text.change(exp.measure, one.cut),),
                (text.change(exp.measure, one.blocked),),
            ),
        )
        for n, one in enumerate(removed)
    ]
    if rows:
        columns = (("One cell removed", ""), ("weight", "number"), ("cut", "number"), ("blocked", "number"))
        table("Cells of this head, each removed alone", columns, rows, key="what-if-cells")
    lesson.sentence(text.cells(removed, queries, keys, exp.measure), part="cells")
    st.caption(text.CELLS)


def agreement(lesson: Lesson[Settings], shown: Shown) -> None:
    """Exact effects beside what one gradient says, and self-repair."""
    left, right = st.columns(2, gap="large")
    found = shown.found
    with left:
        st.header("Does one gradient say the same?", anchor=False)
        if not np.isfinite(found.heads).all():
            st.text("The sweep has not come to its end.")
        else:
            approximate = sweep.by_gradient(shown.exp)
            how_well = sweep.correlation(found.effects, approximate)
            lesson.sentence(text.agreement(how_well), part="agreement")
            lesson.picture(
                figures.agreement_dots(
                    found.effects, approximate, shown.rows, (shown.row, shown.head), shell.palette()
                ),
                title="Each head: exact, and by its gradient",
                alt=text.agreement(how_well),
                data=lambda: {**_heads(shown), "by_gradient": approximate.flatten()},
                file="what-if-agreement",
                points=True,
            )
    with right:
        st.header("Does the model repair itself?", anchor=False)
        if not sweep.has_repair(shown.exp):
            st.text(text.NEEDS_LEAD if state.runs_on(shown.exp.model) else text.NOT_SPLIT)
            return
        repair = sweep.REPAIR.found(shown.exp)
        if repair is None:
            done, n = sweep.REPAIR.done, int(found.heads.size)
            said = text.switched_off(done, n), text.NOT_SWITCHED_OFF
            slices.bar(sweep.REPAIR.name, done / n, *said, partial(sweep.REPAIR.again, shown.exp))
            return
        lesson.sentence(text.repaired(repair, found.sites[shown.row].layer, shown.head), part="repair")
        st.text(text.most_repaired(repair))


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    ran: tuple[Callable[..., object], ...] = (
        patching.heads,
        patching.changed_z,
        patching_gradient.heads,
        self_repair.of_heads,
        cell_removal.of_head,
        outcomes.Lead,
    )
    lesson.behind(FORMULA, SOURCE, *ran)
