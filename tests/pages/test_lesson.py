"""What every lesson shares: settings, their address, pages that keep what was chosen, plain text."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from attnviz.errors import InvalidParameterError
from attnviz.models import catalogue, hf_download
from attnviz.web import cache, lesson, pacing, shell
from attnviz.web.jobs import model_downloads
from tests.pages.driver import opened
from tests.support.hostile_texts import EVERY_FOURTH, MANY
from tests.support.models import loaded


@dataclass(frozen=True)
class Settings:
    temperature: float = 1.0
    layer: int = 3
    scaled: bool = True
    mask: str = "none"
    cells: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0.05 <= self.temperature <= 20:
            raise InvalidParameterError(f"temperature={self.temperature} is not within 0.05 … 20")
        if self.mask not in ("none", "causal"):
            raise InvalidParameterError(f"mask={self.mask!r} is neither none nor causal")
        if not all(isinstance(cell, int) for cell in self.cells):
            raise InvalidParameterError("cells are whole numbers")


FIRST = Settings()
SETTINGS = st.builds(
    Settings,
    temperature=st.floats(0.05, 20).map(lambda x: float(f"{x:.12g}")).filter(lambda x: 0.05 <= x <= 20),
    layer=st.integers(),
    scaled=st.booleans(),
    mask=st.sampled_from(["none", "causal"]),
    cells=st.lists(st.integers()).map(tuple),
)


@given(SETTINGS)
def test_an_address_restores_the_settings(chosen: Settings) -> None:
    query = lesson.to_query(FIRST, chosen)
    assert all(isinstance(value, str) for value in query.values())
    assert lesson.from_query(FIRST, query) == chosen


def test_what_stands_at_its_first_value_leaves_the_address() -> None:
    assert lesson.to_query(FIRST, FIRST) == {}
    assert lesson.to_query(FIRST, replace(FIRST, scaled=False, cells=(1, 2))) == {"scaled": "0", "cells": "1,2"}


@given(st.dictionaries(st.sampled_from(["temperature", "layer", "scaled", "mask", "cells", "other"]), st.text()))
def test_what_an_address_cannot_ask_for_stays(query: dict[str, str]) -> None:
    found = lesson.from_query(FIRST, query)
    assert 0.05 <= found.temperature <= 20 and found.mask in ("none", "causal")


@pytest.mark.parametrize("value", ["nan", "inf", "1e9", "-1", "", "1,2", "<script>", "None"])
def test_numbers_out_of_range_are_ignored_one_by_one(value: str) -> None:
    assert lesson.from_query(FIRST, {"temperature": value, "layer": "5"}) == replace(FIRST, layer=5)


def test_values_of_another_type_are_ignored() -> None:
    """A browser may send anything as a widget's value."""
    sent = {"temperature": "hot", "layer": 2.5, "scaled": 1, "mask": ["causal"], "cells": "1"}
    assert lesson.accept(FIRST, sent) == FIRST
    assert lesson.accept(FIRST, {"temperature": 2, "cells": [1, 2]}) == replace(FIRST, temperature=2, cells=(1, 2))


@pytest.mark.parametrize("text", MANY)
def test_escaped_text_has_no_sign_that_markdown_reads(text: str) -> None:
    marked = shell.escaped(text)
    plain, i = [], 0
    while i < len(marked):  # what Markdown makes of it: a backslash and a sign are that sign
        i += marked[i] == "\\"
        plain.append(marked[i])
        i += 1
    assert "".join(plain) == text


@pytest.mark.parametrize("n_tokens", [3, 4, 8, 64])
@pytest.mark.parametrize(
    "text", ["a " * 300, "unbelievably " * 40, "x" * 5000, "短いテキスト" * 30, "one", *EVERY_FOURTH[:12]]
)
def test_a_shortened_text_fits_and_says_what_is_left_out(text: str, n_tokens: int) -> None:
    model = loaded("minilm")
    whole = len(model.tokenizer.encode(text))
    short, left_out = cache.shortened("minilm", text, n_tokens)
    assert text.startswith(short)
    assert len(model.encode(short)) <= n_tokens
    if whole <= n_tokens:
        assert (short, left_out) == (text, 0)
    else:
        assert left_out > 0


def test_a_page_that_is_left_and_opened_again_is_as_it_was() -> None:
    app = opened()
    app.session_state["explore"] = {"view": {"layer": 5, "head": 2, "temperature": 0.5}}
    app.run()
    assert app.query_params["layer"] in ("5", ["5"])
    app.query_params.clear()
    app.switch_page("pages/softmax.py").run()
    assert not app.exception
    assert "explore" not in app.session_state  # Streamlit forgets what is not drawn
    app.query_params.clear()
    app.switch_page("pages/explore.py").run()
    assert app.query_params["layer"] in ("5", ["5"]) and app.query_params["head"] in ("2", ["2"])


@pytest.mark.parametrize("page", ["explore", "softmax", "masks", "positions", "variants"])
def test_a_model_that_reads_two_texts_is_refused_in_words(page: str) -> None:
    app = opened(page, model="scratch:base")
    assert not app.exception and any("reads two texts" in sentence for sentence in app.sentences)


@pytest.mark.parametrize("name", ["digits", "hf:org/vit"])
@pytest.mark.parametrize("page", ["explore", "softmax", "encoder_block"])
def test_a_model_that_reads_images_is_refused_in_words(page: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_download, "fetch", lambda *_, **__: catalogue.BUNDLED / "digits")
    monkeypatch.setattr(model_downloads, "SOON", 60)
    app = opened(page, model=name)
    assert not app.exception and any("reads images" in sentence for sentence in app.sentences)


def test_a_breath_is_taken_only_when_the_picture_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    clock = iter(range(1000))
    time = SimpleNamespace(sleep=waits.append, monotonic=lambda: next(clock) * pacing.BREATH / 4)
    monkeypatch.setattr(pacing, "time", time)

    def page() -> None:
        import streamlit as st

        from attnviz.web.pacing import breathe

        breathe("here", st.session_state.get("shown"))
        st.text("what follows")

    app = AppTest.from_function(page)
    app.session_state["shown"] = (1, 2)
    assert app.run().text[0].value == "what follows" and not waits  # the first look waits for nothing
    app.run()
    assert not waits
    app.session_state["shown"] = (1, 3)
    assert app.run().text[0].value == "what follows"
    assert waits and set(waits) == {pacing.SLICE} and len(waits) <= 4


@pytest.mark.parametrize("page", ["softmax", "masks", "positions", "encoder_block", "variants", "generate"])
def test_the_link_keeps_the_text_that_a_lesson_shows_in_part(page: str) -> None:
    text = "Birds sing at dawn and dogs bark at night. " * 20
    app = opened(page, text=text, seed=3)
    assert not app.exception and app.link["text"] == text
    app.session_state["text"] = text + "The end."
    app.run()
    assert app.link["text"] == text + "The end."


# ---- where a reader begins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "field"),
    [
        ("softmax", "query"),
        ("step_by_step", "query"),
        ("masks", "token"),
        ("encoder_block", "token"),
        ("positions", "word"),
    ],
)
def test_who_opens_a_page_under_another_model_begins_at_the_same_word(page: str, field: str) -> None:
    """Token 10 is “it” in MiniLM and “ross” in Austen: what nobody has chosen is the word, not its number."""
    of = {"of": "text"} if page == "step_by_step" else {}
    app = opened(page, model="austen", **of)
    assert app.session_state[f"{page}.{field}"] == 15 and field not in app.link
    app.session_state["model"] = "minilm"
    app.run()
    assert app.session_state[f"{page}.{field}"] == 10 and field not in app.link


def test_a_link_to_the_token_where_nobody_begins_keeps_it() -> None:
    app = opened("softmax", model="austen", query=10)
    assert app.session_state["softmax.query"] == 10 and app.link["query"] == "10"
    assert opened("softmax", **app.link).session_state["softmax.query"] == 10
