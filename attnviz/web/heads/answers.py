"""What the page "Heads" says of models without roles, and of heads whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from attnviz.analysis import cards_text, known_answers, roles
from attnviz.analysis.known_answers import Known
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import percent
from attnviz.web import cache, shell
from attnviz.web.components.table import table
from attnviz.web.heads import text
from attnviz.web.heads.state import Settings, Shown
from attnviz.web.lesson import Lesson

KNOWN = "heads-known"  # the table


def of_no_roles(lesson: Lesson[Settings]) -> None:
    """Of a model that reads two texts, or none, which has no roles: why, and its heads whose answers are known.

    Ends the page.
    """
    inputs = shell.inputs()
    try:
        roles.check_reads(cache.model(inputs.model))
    except ModelError as error:
        shell.refuse(str(error))
    except InvalidParameterError as error:
        shell.refuse(f"{error}. {text.ELSEWHERE}")
    if (
        not (found := known_answers.of_model(inputs.model))
        or cache.model(inputs.model).transformer.config.kind != "encoder-decoder"
    ):
        return
    title, settings = cache.title(inputs.model), lesson.settings()
    lesson.sentence(text.two_texts(title))
    _known(found, (settings.layer, settings.head))
    one = next((one for one in found if (one.layer, one.head) == (settings.layer, settings.head)), found[0])
    query = {"model": inputs.model, "how": "zero", "place": "cross", "layer": str(one.layer), "head": str(one.head)}
    st.page_link("pages/what_if.py", label=text.without(one.layer, one.head), query_params=query)
    lesson.write_link(inputs)
    shell.say(text.OTHERS)


def known(shown: Shown) -> None:
    """The best heads of a model whose task knows the answers; nothing of others."""
    if found := known_answers.of_model(shown.inputs.model):
        _known(found, (shown.layer, shown.head))


def _known(found: Sequence[Known], place: tuple[int, int]) -> None:
    chosen = next((str(n) for n, one in enumerate(found) if (one.layer, one.head) == place), "")
    st.header("Where the answers are known", anchor=False)
    columns = (
        ("From → to", ""),
        ("head", ""),
        *((title, "number") for title in ("right", text.INTERVAL, "by place", "chance")),
    )
    rows = [
        (
            str(number),
            [
                (one.what,),
                (f"layer {one.layer}, head {one.head}",),
                (percent(one.score),),
                (cards_text.interval(*one.interval),),
                (percent(one.by_place),),
                (percent(one.by_chance),),
            ],
        )
        for number, one in enumerate(found)
    ]
    table("The best head for each question whose answer is known", columns, rows, key=KNOWN, chosen=chosen)
    st.caption(cards_text.KNOWN)
