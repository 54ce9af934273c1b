"""What every page shares: the guard, the sidebar with model and text, and the link that restores a page."""

from __future__ import annotations

import json
import logging
import re
import runpy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as remember
from functools import wraps
from typing import Any, NoReturn, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attnviz import figures
from attnviz.errors import ModelError
from attnviz.inputs.assets import APP, ASSETS
from attnviz.web import cache, line, metrics, page_style, reloads
from attnviz.web.components import page_tools as tools
from attnviz.web.page_end import end_page, end_run
from attnviz.web.settings_text import shortened

T = TypeVar("T")
LONGEST_LINK = 2_000  # characters of text that a link carries: browsers and mail cut longer ones
TYPED = 100_000  # characters that a field of a lesson keeps; a sentence says what of it is too long
NOT_IN_LINK = f"Over {LONGEST_LINK:,} characters: the page’s link does not carry this text."
OWN_INPUTS = (
    "translate",
    "vision",
    "train",
    "replay",
    "program",
    "lessons",
    "glossary",
)  # pages that have fields of their own
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])")
RUNS_IT = "Leaving the field runs it; so does Ctrl+Enter"
TROUBLE = (
    "Something went wrong here, and the rest of the page is missing. Change something, or open the page anew; whoever "
    "runs this server finds the reason in its log."
)
_log = logging.getLogger(__name__)
_this_run = threading.local()  # a script run has a thread to itself


@dataclass(frozen=True)
class Inputs:
    """What the sidebar says."""

    model: str
    text: str


def mark_ready() -> None:
    """Called by app.py before it runs the page."""
    _this_run.began_in_app = True


def ensure() -> None:
    """First line of every page: a cold deep link makes Streamlit run the page alone; then app.py runs instead."""
    began_in_app = getattr(_this_run, "began_in_app", False)
    _this_run.began_in_app = False  # the thread may go on to another run
    if not began_in_app:
        runpy.run_path(str(APP), run_name="__main__")
        end_run()


@remember
def examples() -> dict[str, tuple[str, str]]:
    """Example texts by name, each with a sentence on what to look at."""
    listed = json.loads((ASSETS / "examples" / "texts.json").read_text(encoding="utf-8"))
    return {example["name"]: (example["text"], example["why"]) for example in listed}


def first_text() -> str:
    """The text that a new session opens on."""
    return next(iter(examples().values()))[0]


def restore_link(page: str) -> None:
    """Takes model and text from the address: in a session's first run, on another page, or a step back or forward.

    What is left of it waits under "linked" for the page. Another page chosen in the navigation comes without
    parameters: then it shows what this session last saw on it. Every other run brings what the browser had for an
    address when it was asked for, which may be older than what was typed meanwhile: it says nothing new.
    """
    given = st.query_params.to_dict()
    state = st.session_state
    state["runs"] = state.get("runs", 0) + 1  # of the whole page
    state["notices"] = 0
    asks_for_start = given.pop("start", "") == "1"
    first = "text" not in state
    own = given.pop(reloads.PARAMETER, "")
    if first:
        reloads.claim(own)
    moved = state.get("page") != page
    stepped = not first and not moved and _is_history_step()
    if moved and not first and _is_history_step():
        given = {}  # the browser gives the address of the page that was left: this one is as the session last saw it
    if first:
        state["opened with"] = dict(given)
    state["start asked"] = asks_for_start and moved
    if moved and not first:
        state.pop("linked", None)  # of a page that was left before it ran
        state["arrived"] = True  # for the page: it goes on with what the reader looked at on the one before
        state.update({key: state[key] for key in ("text", "model")})  # or their fields, drawn anew, come up empty
    if first or (moved and given) or stepped:
        _take_link(given, page, first, stepped)
    state["page"] = page  # last, for Streamlit may end a run at any line, and begin anew: then nothing is lost


def _take_link(given: dict[str, str], page: str, first: bool, stepped: bool) -> None:
    """Sets model and text as an address has them; what is left of it waits for the page."""
    state = st.session_state
    whole = first or (stepped and page not in OWN_INPUTS)  # an address that write_link wrote leaves defaults out
    state["revealed"] = given.pop("revealed", "") == "1"
    state["linked"] = {key: value for key, value in given.items() if key not in ("text", "model")}
    if "model" in given or whole:
        state["model"] = given.get("model", "minilm")
    if "text" in given or first or (whole and len(state["text"]) <= LONGEST_LINK):  # a longer text stands in none
        typed = reloads.in_browser("text") if first else None
        state["text"] = given.get("text", first_text()) if typed is None else typed


def _is_history_step() -> bool:
    """Whether the reader went back or forward in the browser, which alone changes an address within a session."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def guarded(draw: Callable[[], T], what: str = "page") -> T | None:
    """Draws a "page" or a "part" of it; whatever goes wrong is a sentence for the reader and a traceback in the log.

    With `client.showErrorDetails = "full"`, for whoever develops it, the traceback is on the page.
    """
    try:
        with metrics.run(what), line.place():
            return draw()
    except Exception:
        if st.get_option("client.showErrorDetails") != "none":
            raise
        _log.exception("a page ended unexpectedly")
        notice(TROUBLE)
        st.session_state["undrawn"] = True
        return None


def fragment(part: Callable[..., T], run_every: float | None = None) -> Callable[..., T | None]:
    """A part of a page that reruns alone, like `st.fragment`, as long as the page that it belongs to stands.

    What the browser reported just before a new text came reruns a fragment after the page of that text, with what the
    fragment was made with: it would draw the old text over the new page. Then the whole page runs again.
    """

    @st.fragment(run_every=run_every)
    @wraps(part)
    def alone(run: int, *inputs: Any) -> T | None:
        if st.session_state["runs"] != run:
            st.rerun()
        return guarded(lambda: part(*inputs), "part")

    @wraps(part)
    def drawn(*inputs: Any) -> T | None:
        return alone(st.session_state["runs"], *inputs)

    return drawn


def palette() -> figures.Palette:
    """The colours of the reader's theme."""
    return figures.DARK if st.context.theme.type == "dark" else figures.LIGHT


def write_link(inputs: Inputs, settings: Mapping[str, str]) -> None:
    """Puts what is on screen into the address.

    An address that also shows what quizzes hide stands until something changes: it says the same.
    """
    link = link_to(inputs, settings)
    standing = st.query_params.to_dict()
    standing.pop("revealed", None)
    if standing != link:
        st.query_params.from_dict(link)


def tell_too_long(key: str, what: str) -> None:
    """Under a field of a lesson: that it holds more than `TYPED` characters, so that the page is without it."""
    if (length := len(st.session_state.get(key) or "")) > TYPED:
        notice(
            f"{what} has {length:,} characters; at most {TYPED:,} can be read. It stays in its field for you to "
            "shorten. Until then this page is without it."
        )


def fits_link(text: str) -> bool:
    """Whether a link carries a text that was typed."""
    return len(text) <= LONGEST_LINK


def link_to(inputs: Inputs, settings: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page's address; what equals the default is left out.

    The address also says which training and models are this session's own, so that a reload finds them again: that
    parameter, `reloads.PARAMETER`, stands in no link for others.
    """
    link = {**settings, **reloads.address()}
    if inputs.model != "minilm":
        link["model"] = inputs.model
    if inputs.text != first_text() and len(inputs.text) <= LONGEST_LINK:
        link["text"] = inputs.text
    return link


def sidebar(page: str) -> None:
    """Model, text and examples, shared by all pages that read them; the others have no sidebar."""
    state = st.session_state
    st.html(page_style.style_sheet())
    if page in OWN_INPUTS:
        state.update({key: state[key] for key in ("text", "model")})  # or Streamlit forgets what it does not draw
        return
    reloads.tell_anew(("text", "model"))
    with st.sidebar:
        st.subheader("attnviz", anchor=False)
        st.text_area("Text", key="text", height=150, placeholder="Type a sentence", help=RUNS_IT)
        if len(state["text"]) > LONGEST_LINK:
            st.caption(NOT_IN_LINK)
        st.selectbox(
            "Examples",
            list(examples()),
            index=None,
            key="example",
            placeholder="Pick an example",
            on_change=_take_example,
        )
        for text, why in examples().values():
            if text == state["text"]:
                st.caption(why)
        options = list(cache.model_names())
        if state["model"] not in options:
            options.append(state["model"])
        titles = {name: cache.title(name) for name in options}
        st.selectbox(
            "Model",
            options,
            key="model",
            format_func=lambda name: titles.get(name, name),
            accept_new_options=True,
            help="Or type hf:org/name: a model of any architecture from the Hugging Face hub",
        )


def page_tools(page: str, pages: Sequence[str]) -> None:
    """The link of the page, its presenter form and print: above what the page draws, which may end early."""
    text, model = st.session_state["text"], st.session_state["model"] or "minilm"
    about, left_out = "", []
    if page not in OWN_INPUTS:
        about = f"{cache.title(model)} · “{shortened(text)}”"
        if len(text) > LONGEST_LINK:
            left_out.append(f"It does not carry your text: a link holds at most {LONGEST_LINK:,} characters.")
        if model.startswith(cache.OWN):
            left_out.append("It does not carry your model, which lives in this session only.")
    tools.page_tools(about, pages, [reloads.PARAMETER], left_out)


def _take_example() -> None:
    name = st.session_state["example"]
    if name is not None:
        st.session_state["text"] = examples()[name][0]
        st.session_state["example"] = None


def inputs() -> Inputs:
    """What the sidebar says; stops the page with one sentence where there is nothing to run."""
    text, model = st.session_state["text"], st.session_state["model"] or "minilm"
    if not text.strip():
        say("Type a sentence into the field in the sidebar, or pick an example there.")
    text = _readable(text)
    try:
        cache.check_name(model)
        if model.startswith("hf:"):
            from attnviz.web.jobs import model_downloads  # not when the app starts: most models are here

            model_downloads.arrive(model, _first_model, "The pages go back to MiniLM")
    except ModelError as error:
        refuse(str(error))
    return Inputs(model, text)


def _readable(text: str) -> str:
    """The text, or where it is too long the last one that was not: then a sentence above the page says so."""
    state = st.session_state
    if len(text) <= cache.MAX_CHARACTERS:
        state["read"] = text
        return text
    notice(
        f"Your text has {len(text):,} characters; at most {cache.MAX_CHARACTERS:,} can be read. It stays in the "
        "sidebar for you to shorten. Until then this page shows the text before it."
    )
    return str(state.setdefault("read", first_text()))


def _first_model() -> None:
    st.session_state["model"] = "minilm"


def one_text(name: str, *, pairs: bool = False) -> None:
    """Ends the page with a sentence if the model does not read one text, as pages do. Errors: those of the model.

    `pairs`: two texts will do too.
    """
    model = cache.model(name)
    if model.reads != "text":
        refuse(f"{model.info.title} reads {model.reads}s; this page shows a text. Pick another model.")
    if model.transformer.config.kind == "encoder-decoder" and not pairs:
        refuse(f"{model.info.title} reads two texts, one per stack; this page shows one. Pick another model.")


def escaped(text: str) -> str:
    """The text for a label or title that Streamlit would read as Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def notice(sentence: str) -> None:
    """Something went wrong: marked by a bar at its side, not by a colour. The text is not interpreted."""
    st.session_state["notices"] = number = st.session_state.get("notices", 0) + 1  # a page may have several
    key = f"shell-notice-{number}"
    with st.container(key=key):
        st.text(sentence)
        st.html(
            f"<style>.st-key-{key} {{ border-left: 3px solid currentColor; padding-left: 0.75rem }}"
            f".st-key-{key} .stText {{ max-width: 46em; white-space: pre-wrap }}</style>"
        )


def refuse(sentence: str) -> NoReturn:
    """What went wrong and what to do, and the end of the page."""
    notice(sentence)
    end_page()


def say(sentence: str) -> NoReturn:
    """One quiet sentence where the picture would be, and the end of the page. The text is not interpreted."""
    st.text(sentence)
    end_page()
