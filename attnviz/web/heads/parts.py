"""What the page "Heads" draws, in the order of the page."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from attnviz import figures
from attnviz.analysis import attribution, cards, cards_text, known_answers, roles
from attnviz.analysis.attribution import Part
from attnviz.analysis.cards import Example
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import percent
from attnviz.inputs.sample import sample
from attnviz.web import cache, shell
from attnviz.web.compare import text as compare
from attnviz.web.components.chart import Table, clicked, of_rows
from attnviz.web.components.part_table import open_head, part_table
from attnviz.web.components.table import choice, table
from attnviz.web.heads import answers, state, text, work
from attnviz.web.heads.state import Settings, Shown
from attnviz.web.heads.work import Asked
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson, Try

FORMULA = r"""\begin{aligned}
\text{share}&=\frac{\sum A_{ij}\,[\,ij \text{ is such a cell}\,]}{\sum A_{ij}}\\
\text{chance}&=\text{the same, } A \text{ even}
\end{aligned}"""
EXAMPLES, MEASURES = "heads-examples", "heads-measures"
TICK = 0.1  # seconds between two slices of judging
NAMED = 6  # parts of a score


def judged_on(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """On what the heads are judged; and where that was not done yet, the way to do it."""
    names = {"sample": "Many texts", "text": "Your text"}
    st.segmented_control(
        "Judge the heads on", state.JUDGED_ON, key=lesson.key("on"), format_func=names.__getitem__, required=True
    )
    if lesson.settings().on == "text" or state.judged(inputs.model) is not None:
        return
    timed = state.is_judging(inputs.model)
    shell.fragment(_judging, run_every=TICK if timed else None)(inputs.model, timed)


def _judging(model: str, timed: bool) -> None:
    """The way to have them judged on many texts: a part that runs again by itself (`timed`) until that is done."""
    n_texts, running = len(sample()), state.is_judging(model)
    if running != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    st.text(text.NOT_JUDGED)
    if not running:
        start, key = state.start_judging, "heads-judge"
        st.button(f"Judge them on {n_texts} texts", on_click=start, args=(model,), key=key)
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    done = state.texts_judged()
    left.progress(done / n_texts, f"Text {done} of {n_texts} …")
    right.button("Cancel", on_click=slices.cancel, args=(state.JOB,), key="heads-judge-cancel")
    try:
        state.judge_on(model)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
    if not slices.running(state.JOB):
        st.rerun()


def overview(lesson: Lesson[Settings], shown: Shown) -> None:
    """The map of all heads, and any two of their measures."""
    names = shown.cards.roles.names
    left, right = st.columns([3, 2], gap="large")
    chosen = shown.layer, shown.head
    with left:
        lesson.picture(
            figures.role_map(names, chosen, shell.palette()),
            title="What each head is for",
            alt=cards_text.summary(shown.title, names, shown.where),
            data=lambda: _everything(shown),
            file="heads",
            points=True,
        )
        st.caption(cards_text.LEGEND)
        if (n_words := int(shown.cards.roles.queries[-1])) < roles.LEAST_QUERIES:
            st.caption(cards_text.too_few(n_words))
    with right:
        across, up = lesson.settings().across, lesson.settings().up
        titles = cards_text.MEASURES[across], cards_text.MEASURES[up]
        lesson.picture(
            figures.head_scatter(_array(shown, across), _array(shown, up), names, titles, chosen, shell.palette()),
            title=f"{titles[0][0].upper()}{titles[0][1:]} against {titles[1]}",
            alt=f"All heads: the share on “{titles[0]}” across, on “{titles[1]}” up. A ring marks the chosen head.",
            data=lambda: _everything(shown),
            file="two-measures",
            points=True,
        )
        for column, field, title in zip(st.columns(2), ("across", "up"), ("Across", "Up"), strict=True):
            column.selectbox(title, roles.MEASURES, key=lesson.key(field), format_func=cards_text.MEASURES.__getitem__)


def _array(shown: Shown, measure: str) -> np.ndarray:
    found: np.ndarray = shown.cards.roles.of(measure).numpy()
    return found


def _everything(shown: Shown) -> Table:
    """Every measure of every head: a row each."""
    found = shown.cards.roles
    rows = [
        {
            "layer": layer,
            "head": head,
            "role": name,
            "measure": measure,
            **{one: float(getattr(found, one)[number, layer, head]) for one in ("score", "low", "high", "chance")},
        }
        for layer, row in enumerate(found.names)
        for head, name in enumerate(row)
        for number, measure in enumerate(roles.MEASURES)
    ]
    return of_rows(rows)


def take_click(lesson: Lesson[Settings]) -> None:
    """The head that the reader clicked on the map or among the dots; to be called before anything is drawn."""
    cell, dot = clicked("lesson-picture-heads"), clicked("lesson-picture-two-measures")
    about = dot.get("about")
    place = [cell.get("y"), cell.get("x")] if cell else about[:2] if isinstance(about, list) else []
    if len(place) == 2 and all(type(one) is int and 0 <= one <= 512 for one in place):
        lesson.choose(layer=place[0], head=place[1], example=0)
    answered = known_answers.of_model(st.session_state["model"])
    if (row := choice(answers.KNOWN, map(str, range(len(answered))))) is not None:
        lesson.choose(layer=answered[int(row)].layer, head=answered[int(row)].head, example=0)


def chooser(lesson: Lesson[Settings], shown: Shown) -> None:
    """Which head the card is of."""
    n_layers, n_heads = shown.cards.roles.score.shape[1:]
    for column, title, count in zip(st.columns([1, 1, 4]), ("Layer", "Head"), (n_layers, n_heads), strict=False):
        column.selectbox(title, range(count), key=lesson.key(title.lower()))


def card(lesson: Lesson[Settings], shown: Shown) -> None:
    """What the head does, how sure that is, its examples, and what is lost without it."""
    found = shown.cards.roles
    lesson.section(f"Layer {shown.layer}, head {shown.head}")
    lesson.sentence(cards_text.card(found, shown.layer, shown.head, shown.where), part="card")
    left, right = st.columns([3, 2], gap="large")
    with left:
        _examples(lesson, shown)
    with right:
        rows = [(measure, _measured(shown, number)) for number, measure in enumerate(roles.MEASURES)]
        table("All measures of this head", _COLUMNS, rows, key=MEASURES)
        st.caption(cards_text.SHARES if len(shown.texts) > 1 else cards_text.SHARES_HERE)
    lost = shown.cards.lost
    cost = cards_text.CANNOT_LOSE if lost is None else cards_text.lost(lost, shown.layer, shown.head, shown.where)
    lesson.sentence(cost, part="lost")
    inputs = shown.inputs
    query = {"model": inputs.model, "how": "zero", "layer": str(shown.layer), "head": str(shown.head)}
    whole = {"text": inputs.text} if shell.fits_link(inputs.text) else {}
    st.page_link("pages/what_if.py", label="Switch it off on your text: What if?", query_params=query | whole)
    if lost is not None and lost.cost is not None:
        lesson.sentence(cards_text.cost(lost, shown.layer, shown.head, shown.where), part="cost")
    if (copied := state.copying_scores(shown.inputs.model)) is not None:
        score, width = (
            float(copied[shown.layer, shown.head]),
            cache.model(shown.inputs.model).transformer.config.head_dim,
        )
        st.text(cards_text.copies(score, width))
    _wakes(shown)


_COLUMNS = (("Looks at", ""), ("share", "number"), (text.INTERVAL, "number"), ("chance", "number"))


def _measured(shown: Shown, number: int) -> list[tuple[str]]:
    found = shown.cards.roles
    place = number, shown.layer, shown.head
    score, low, high, chance = (float(one[place]) for one in (found.score, found.low, found.high, found.chance))
    name = cards_text.MEASURES[roles.MEASURES[number]]
    if score != score:
        return [(name,), ("–",), ("",), ("",)]
    return [
        (name,),
        (percent(score),),
        (cards_text.interval(low, high),),
        ("" if chance != chance else percent(chance),),
    ]


def _examples(lesson: Lesson[Settings], shown: Shown) -> None:
    """The best and the typical ones: one of them is chosen, and opens in Explore."""
    examples = shown.examples
    if not examples:
        st.text(cards_text.NO_EXAMPLE)
        return
    if lesson.settings().example >= len(examples):
        lesson.choose(example=0)
    offered = [str(number) for number in range(len(examples))]
    if (chosen := choice(EXAMPLES, offered)) is not None:
        lesson.choose(example=int(chosen))
    now = lesson.settings().example
    columns = (("Example", ""), ("share", "number"), ("strongest", ""), ("weight", "number"))
    rows = [(offered[number], _row(shown, one)) for number, one in enumerate(examples)]
    table("Examples, the best first", columns, rows, key=EXAMPLES, chosen=str(now))
    _opens(shown, examples[now], "Open this example in Explore")


def _row(shown: Shown, one: Example) -> list[tuple[str, ...]]:
    source = shown.texts[one.text]
    labels = state.encoding(shown.inputs.model, source).labels
    by_query = len(shown.texts) == 1
    start = labels[one.query] if by_query else source if len(source) <= 70 else source[:69] + "…"
    cell = f"{labels[one.query]} → {labels[one.key]}"
    return [(start, cards_text.rank(one, by_query=by_query)), (percent(one.share),), (cell,), (percent(one.weight),)]


def _wakes(shown: Shown) -> None:
    """A text that wakes the head, where many were tried, and the way to it."""
    wakes = shown.cards.wakes
    one = wakes[shown.layer][shown.head] if wakes and len(shown.texts) > 1 else None
    if one is None:
        return
    source = shown.texts[one.text]
    labels = state.encoding(shown.inputs.model, source).labels
    name = shown.cards.roles.names[shown.layer][shown.head]
    st.text(cards_text.wakes(one, labels[one.query], labels[one.key], name))
    st.text(f"“{source}”")
    _opens(shown, one, "Open this text in Explore")


def _opens(shown: Shown, one: Example, label: str) -> None:
    query = {"model": shown.inputs.model, "text": shown.texts[one.text]}
    place = {"layer": shown.layer, "head": shown.head, "q": one.query, "k": one.key}
    st.page_link("pages/explore.py", label=label, query_params=query | {k: str(v) for k, v in place.items()})


def reads_from(lesson: Lesson[Settings], shown: Shown) -> None:
    """Which earlier heads and networks the chosen example's score comes from."""
    if not shown.examples:
        return
    lesson.section("Which earlier heads does it read from?")
    one = shown.examples[min(lesson.settings().example, len(shown.examples) - 1)]
    source = shown.texts[one.text]
    try:
        found = state.score_parts(shown.inputs.model, source, shown.layer, shown.head, one.query, one.key)
    except (InvalidParameterError, ModelError) as error:
        st.text(f"{cards_text.NOT_SPLIT}{error}.")
        return
    by_key, by_query = (_parts(found.parts, terms.tolist()) for terms in (found.by_key, found.by_query))
    labels = state.encoding(shown.inputs.model, source).labels
    query, key = labels[one.query], labels[one.key]
    lesson.sentence(cards_text.reads(query, key, found.score, one.weight, by_key), part="reads")
    sides = (f"the key “{key}”", by_key, one.key), (f"the query “{query}”", by_query, one.query)
    more = [("", (("what positions add to scores",), (cards_text.signed(found.added),)))] if found.added else []
    for number, (column, (side, parts, token)) in enumerate(zip(st.columns(2, gap="large"), sides, strict=True)):
        with column:
            head = part_table(f"Written into {side}", parts, "score", n=NAMED, key=f"heads-reads-{number}", more=more)
            if head is not None:
                open_head(head, shown.inputs.model, source, token)
                place = {"layer": head.layer, "head": head.head, "example": 0}
                st.button(f"What is {head} for?", on_click=lesson.choose, kwargs=place, key=f"heads-from-{number}")
    st.caption(cards_text.SPLIT)


def _parts(parts: tuple[Part, ...], terms: list[float]) -> list[tuple[Part, float]]:
    return list(zip(parts, terms, strict=True))


def keep(shown: Shown) -> None:
    """The page to keep: this head's card first, and all else that is asked of the model on the reader's text."""
    asked, left_out = work.asked(shown)
    if work.FILE.running and not work.FILE.began(asked):
        work.FILE.cancel()  # it was of another head or text
    timed = work.FILE.running
    shell.fragment(_keeping, run_every=TICK if timed else None)(asked, timed)
    if asked.beside is not None and left_out:
        b = asked.beside[1]
        st.caption(compare.left_out(left_out, len(state.encoding(b.model, b.text))))


def _keeping(asked: Asked, timed: bool) -> None:
    """The way to the file, and then the file: a part that runs again by itself (`timed`) until that is written."""
    if work.FILE.running != timed:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    made = work.FILE.made(asked)
    if made is not None:
        file = "attnviz-investigation.html"
        st.download_button("Save as one page (.html)", made, file, "text/html", on_click="ignore", key="heads-save")
    elif not work.FILE.began(asked):
        start = work.FILE.again
        st.button("Write one page to keep", on_click=start, args=(asked,), key="heads-keep", help=text.KEEP)
    else:
        done = work.FILE.done
        said = text.writing(work.PARTS[done]), text.NOT_WRITTEN
        slices.bar(work.FILE.name, done / len(work.PARTS), *said, partial(work.FILE.again, asked))
    if timed:
        work.FILE.run_on()
        if not work.FILE.running:
            st.rerun()


def tries(lesson: Lesson[Settings]) -> None:
    """Heads worth a look."""
    lesson.tries(
        Try("An induction head", {"layer": 2, "head": 1, "across": "induction", "up": "previous"}, model="austen"),
        Try("The heads that rest", {"across": "sink", "up": "uniform"}, model="minilm"),
        Try("Judged on your text", {"on": "text"}),
    )


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(FORMULA, text.SOURCE, roles.Text.cells, roles.summed, cards._ranked, attribution.score_parts)
