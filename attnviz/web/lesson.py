"""What every lesson shares: its settings and their link, and the parts it is made of.

A lesson is a page with one rhythm: a question to predict, the mechanism with real numbers, one or two controls, what
changed in a sentence, the formula, the code that ran, and things to try. Its settings are one frozen dataclass; each
field is the value of one widget and one parameter of the address.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import shortened
from attnviz.web import cache, page_style, prediction, reloads, shell, thread
from attnviz.web.components.chart import chart
from attnviz.web.components.in_view import in_view
from attnviz.web.settings_link import accept, from_query, to_query
from attnviz.web.settings_text import settings_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

    from attnviz.web.components.chart import Numbers, Written

T = TypeVar("T")
LONGEST = 64  # tokens that a lesson shows: more would be too small to read from the last row


@dataclass(frozen=True)
class Try:
    """Something to try: one click sets the page up."""

    label: str
    set: Mapping[str, Any]  # settings by field; the others go back to the first ones, but for where the reader looks
    text: str | None = None  # another text, if it needs one
    model: str | None = None


class Lesson(Generic[T]):
    """One lesson's settings, kept in the session and in the address.

    Arguments
        name: of the page, as in its address.
        first: the settings that a new visitor finds. Its `__post_init__` raises InvalidParameterError for values
            out of range: what a link asks for beyond them is ignored, field by field.
        follows: the fields that follow the thread from page to page, those that hold a layer or a head. Fields that
            hold a token follow it through `follow_token`.
        typed: the fields that hold a text; the link leaves out one over `shell.LONGEST_LINK` characters.
        unnamed: what a link means that names settings, but not these fields, where that is not what a new visitor
            finds: links of before went without. Links name them always.
    """

    def __init__(
        self,
        name: str,
        first: T,
        *,
        follows: Sequence[str] = (),
        typed: Sequence[str] = (),
        unnamed: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.first, self.follows, self._typed = name, first, follows, typed
        self._named = tuple(unnamed or ())
        state = st.session_state
        linked = state.get("linked")
        if linked is not None:
            linked |= {name: text for name in typed if (text := reloads.in_browser(self.key(name))) is not None}
        self._arrives = state.get("arrived", False) and linked is None
        self._reads = ("", "")  # the model's title and the text, where the page reads the sidebar
        self._given = f"{name}:given"  # where it is kept which fields the last link or thing to try named
        self._followed: set[str] = set()  # the fields of tokens that the thread has led here
        self._openings: dict[str, int] = {}  # of such fields: the position that the link leaves out in this text
        if linked is not None:
            state[self._given] = frozenset(linked)
        if state.get("revealed", False):
            prediction.reveal_all(name)
        meant = replace(first, **unnamed) if linked and unnamed else first  # type: ignore[type-var]
        kept = from_query(meant, linked) if linked is not None else state.get(self.kept, first)
        undrawn = state.get("undrawn", False)  # the browser has forgotten the widgets, and is told their values anew
        ended_early = state.get("drawn") is False  # what the last run told the browser may have got lost with it
        state["drawn"] = False
        for field in fields(first):  # type: ignore[arg-type]
            if linked is not None or undrawn or self.key(field.name) not in state:
                state[self.key(field.name)] = getattr(kept, field.name)
            elif ended_early:
                state[self.key(field.name)] = state[self.key(field.name)]
            if linked is not None:  # a link's token is one of the link's own text: no older word is followed into it
                state.pop(f"{self.key(field.name)}:on", None)
        self.tell_anew()
        for one in follows:
            if self._arrives and (chosen := getattr(thread.current(), one)) is not None:
                state[self.key(one)] = chosen
            elif linked is not None and one in linked:
                thread.choose(**{one: getattr(kept, one)})
        for taken in ("arrived", "revealed", "undrawn", "linked"):  # last: a run that was ended before begins anew
            state.pop(taken, None)

    def key(self, field: str) -> str:
        """The key of the widget that holds a field."""
        assert hasattr(self.first, field), field
        return f"{self.name}.{field}"

    @property
    def kept(self) -> str:
        """Where the session keeps the settings while the page is another."""
        return f"{self.name}:kept"

    def settings(self) -> T:
        """The settings now; a value that no widget offers (a browser may send anything) is the first one."""
        state = st.session_state
        if state.pop("whole_page", False):  # a thing to try has changed more than this fragment
            st.rerun()
        kept = state.get(self.kept, self.first)  # Streamlit forgets a widget as soon as it is not drawn
        names = [field.name for field in fields(self.first)]  # type: ignore[arg-type]
        values = {name: state.setdefault(self.key(name), getattr(kept, name)) for name in names}
        settings = accept(self.first, values)
        for name in self.follows:
            if self.kept in state and getattr(settings, name) != getattr(kept, name):
                thread.choose(**{name: getattr(settings, name)})
        state[self.kept] = settings
        return settings

    def tell_anew(self) -> None:
        """Tells the browser the values of widgets that it has not drawn yet; to be called before they are drawn.

        For a part that runs again by itself, perhaps before a busy browser has drawn what the first run sent.
        """
        reloads.tell_anew(self.key(field.name) for field in fields(self.first))  # type: ignore[arg-type]

    def fit(self, **counts: int) -> None:
        """Brings fields that count from 0 under the numbers given, as a model has layers and heads.

        To be called before their widgets are drawn. The thread keeps what the reader chose: another model may have it.
        """
        settings = self.settings()
        fitted = {field: count - 1 for field, count in counts.items() if getattr(settings, field) >= count}
        if fitted:
            self.choose(**fitted)
            st.session_state[self.kept] = replace(settings, **fitted)  # type: ignore[type-var]

    def follow_token(self, field: str, labels: Sequence[str], special: Sequence[bool], noun: str = "query") -> int:
        """The position in a field, kept on its word in another text, under another model and from another page.

        To be called before the field's widget is drawn: the widget, the sentence and the link then say the same. Where
        the word does not stand in the text, it is the last word. A negative position is no token, and stays. Nobody has
        chosen the first position of `Settings`: it stands for the word where a text is begun.

        Arguments
            labels: the tokens of the text as a person reads them.
            special: which of them are special tokens.
            noun: what the token is to the thread: a "query" or a "key"; "" where it is the page's own.
        """
        state, key = st.session_state, self.key(field)
        position = state.setdefault(key, getattr(state.get(self.kept, self.first), field))
        place = f"{key}:on"
        before: tuple[tuple[str, ...], int] | None = state.get(place)
        if type(position) is not int:
            # a run that ended early drew the new list: the browser reports the old one's text
            position = getattr(self.first, field) if before is None else before[1]
        led = getattr(thread.current(), noun) if noun and self._arrives and field not in self._followed else None
        self._followed.add(field)
        first = getattr(self.first, field)
        if first >= 0:
            self._openings[field] = (thread.opening if noun else thread.last_word)(labels, special)
        if before is None and position == first and field not in state.get(self._given, ()):
            position = self._openings.get(field, position)
        if led is None and before is not None and before[0] != tuple(labels) and 0 <= position < len(before[0]):
            led = thread.word_at(before[0], position)
        if led is not None:
            position = thread.position_of(labels, led)
        if position is None or position >= len(labels):
            position = thread.last_word(labels, special)
        if noun and position >= 0 and before is not None and before[0] == tuple(labels) and before[1] != position:
            thread.choose(**{noun: thread.word_at(labels, position)})
        state[key], state[place] = position, (tuple(labels), position)
        return position

    def token_box(self, title: str, field: str, labels: Sequence[str], **options: Any) -> None:
        """A list of the text's tokens, each with its position. What it shows is not interpreted."""
        names = [f"{position} {shortened(label)}" for position, label in enumerate(labels)]
        st.selectbox(title, range(len(names)), key=self.key(field), format_func=names.__getitem__, **options)

    def choose(self, **values: Any) -> None:
        """Sets fields, from a callback or before their widgets are drawn."""
        for field, value in values.items():
            st.session_state[self.key(field)] = value

    def inputs(self, *, pairs: bool = False) -> shell.Inputs:
        """Model (with `pairs`, also one of two texts) and text, cut to what a lesson shows; errors end the page."""
        given = shell.inputs()
        try:
            shell.one_text(given.model, pairs=pairs)
            text, left_out = cache.shortened(given.model, given.text, LONGEST)
        except (InvalidParameterError, ModelError) as error:
            shell.refuse(str(error))
        if left_out:
            shown = min(LONGEST, cache.model(given.model).longest)
            st.caption(
                f"This page shows the first {shown} tokens of your text; {left_out:,} more are left out here, "
                "not in the sidebar."
            )
        self._reads = cache.title(given.model), text
        return shell.Inputs(given.model, text)

    # ---- the parts of a lesson ---------------------------------------------------------------

    def question(self, question: str) -> None:
        """The page's one question, its heading."""
        st.title(question, anchor=False)

    def sentence(self, text: str, part: str = "main", *, instead: str = "") -> None:
        """What the numbers say now, under the question or a section's title. Not interpreted; `part` names it.

        `instead`: what stands there before or after a guess; the place is as high as the longer one.
        """
        with st.container(key=page_style.key("lesson-sentence", part)):
            st.text(text)
            if instead:
                prediction.hold_open(max(text, instead, key=len))

    def section(self, title: str) -> None:
        """A further question of the lesson."""
        st.header(shell.escaped(title), anchor=False)

    def slide(self, name: str) -> DeltaGenerator:
        """A place that begins a screen of its own in the presenter form, under the section's sentence."""
        return st.container(key=page_style.key("lesson-slide", name))

    def predict(
        self, name: str, question: str, options: Sequence[str], truth: str, because: str, *, everywhere: bool = False
    ) -> bool:
        """A question to answer before looking; whether the page may show what answers it.

        Before that the page draws none of it, neither a sentence nor a title nor a picture: `veil` keeps the place.

        Arguments
            name: of the question among those of the page.
            truth: the right one among the options, worked out from the numbers on the page.
            because: why it is so, the mechanism with the numbers.
            everywhere: the answer also shows in other fragments of the page.
        """
        assert truth in options, (truth, options)
        asked = prediction.Question(question, tuple(options), truth, because)
        return prediction.ask(self.name, name, asked, everywhere=everywhere)

    def revealed(self, name: str) -> bool:
        """Whether the page may show what answers its question `name`: for what stands above the question."""
        return prediction.is_revealed(self.name, name)

    def room(
        self, name: str, height: int, up_to: Mapping[int, int] | None = None, *, for_view: bool = False
    ) -> DeltaGenerator:
        """The place of what is hidden until the guess, as high (px) as it will be, so that nothing moves.

        `up_to`: by the width (px) of a window up to which it is another, that height. `for_view`: for the attention
        view, which grows with a large window.
        """
        return prediction.room(name, height, up_to, for_view=for_view)

    def veil(self, name: str) -> None:
        """Fills the room of what is hidden; to be called in it."""
        prediction.veil(name)

    def picture(
        self,
        figure: go.Figure | Written,
        *,
        title: str,
        alt: str,
        data: Numbers,
        file: str,
        key: str = "",
        points: bool = False,
    ) -> None:
        """A figure under a title that states its point, with its data as CSV; kept, it tells model, text, settings."""
        says = settings_text(st.session_state.get(self.kept, self.first), *self._reads)
        place = page_style.key("lesson-picture", key or file)
        chart(figure, title=title, alt=alt, says=says, data=data, file=file, key=place, points=points)

    def in_view(self, place: str = "") -> None:
        """Marks the place above what things to try change: choosing one of them brings it into view."""
        name = f"{self.name}-{place}" if place else self.name
        in_view(st.session_state.get(self._tried(place), 0), key=page_style.key("in-view", name))

    def _tried(self, place: str) -> str:
        """Where it is kept how often things to try were chosen that change what stands below a place."""
        return f"{self.name}:tried{place}"

    def tries(
        self, *tries: Try, everywhere: bool = False, first: int = 0, keeps: Sequence[str] = (), place: str = ""
    ) -> None:
        """Things to try, each a click that sets the whole page up, below what they change.

        Arguments
            everywhere: they change other fragments too.
            first: numbers the buttons of a page's second row on from its first.
            keeps: fields that stay as the reader set them where a thing to try does not name them; the layer, the head
                and the tokens that follow the thread always do.
            place: of what they change, as for `in_view`, where a page has several.
        """
        kept = {*keeps, *self.follows, *self._followed}
        with st.container(key=page_style.key("lesson-tries", str(first) if first else ""), horizontal=True):
            st.text("Try")
            for number, one in enumerate(tries, first):
                st.button(
                    shell.escaped(one.label),
                    key=f"{self.name}-try-{number}",
                    on_click=self._take,
                    args=(one, everywhere, kept, place),
                )

    def _take(self, one: Try, everywhere: bool, kept: Set[str], place: str) -> None:
        first = {field.name: getattr(self.first, field.name) for field in fields(self.first)}  # type: ignore[arg-type]
        self.choose(**{name: value for name, value in first.items() if name not in kept} | dict(one.set))
        for name in one.set:  # a token that it names is one of its own text
            st.session_state.pop(f"{self.key(name)}:on", None)
        st.session_state[self._given] = frozenset(one.set)
        if st.session_state.pop("undrawn", False):  # of a page that ended early: what it kept is older than this
            st.session_state["drawn"] = False
        st.session_state[self._tried(place)] = st.session_state.get(self._tried(place), 0) + 1
        if everywhere:
            st.session_state["whole_page"] = True
        for name, value in (("text", one.text), ("model", one.model)):
            if value is not None and st.session_state.get(name) != value:
                st.session_state[name] = value
                st.session_state["whole_page"] = True

    def behind(self, formula: str, source: str, *functions: Callable[..., Any]) -> None:
        """The formula with where it comes from, and the source of the functions that ran, sent when opened."""
        st.latex(formula)
        st.caption(source)
        more = st.expander("The code that ran", key=f"{self.name}-code", on_change="rerun")
        if more.open:  # its highlighter costs half a second
            for function in functions:
                more.code(inspect.getsource(function), language="python")

    def write_link(self, inputs: shell.Inputs, view: Mapping[str, str] | None = None) -> None:
        """Puts the settings (and `view`: further parameters) into the address, with the whole text of the sidebar."""
        whole = replace(inputs, text=st.session_state["text"])  # a lesson may show the beginning only
        query = to_query(replace(self.first, **self._openings), self.settings(), self._named)  # type: ignore[type-var]
        short = {name: value for name, value in query.items() if name not in self._typed or shell.fits_link(value)}
        shell.write_link(whole, {**short, **(view or {})})
