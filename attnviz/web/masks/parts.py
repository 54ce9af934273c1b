"""What the page "Masks" draws, in the order of the page."""

from __future__ import annotations

import html
from dataclasses import replace

import streamlit as st

from attnviz import figures
from attnviz.analysis import causality
from attnviz.browser.view_state import ViewState
from attnviz.formatting import LONGEST_KEPT, shortened
from attnviz.nn import attention, mask_patterns, reference
from attnviz.nn.encoding import Encoding
from attnviz.nn.masks import Mask
from attnviz.web import shell, thread
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson, Try
from attnviz.web.masks import patterns, state, text
from attnviz.web.masks.state import Effect, Exchange, Padding, Settings

AROUND = 52  # px: title of a picture and the link to its data
OUTPUTS_HEIGHT, LEAK_HEIGHT = (figures.token_bars_height(rows) + AROUND for rows in (1, 2))
MOST_PADS = 16  # of [PAD] drawn one by one


# ---- the mask and what it does -----------------------------------------------------------------------


def prediction(lesson: Lesson[Settings], asked: state.Asked) -> bool:
    """Whose outputs a mask changes more; whether the page may show it."""
    return asked is None or lesson.predict("thirds", *asked)


def sentence(lesson: Lesson[Settings], settings: Settings, effect: Effect, *, hides: bool) -> None:
    """The mask's rule, and what it does to the outputs."""
    says, other = (text.summary(settings, effect, hides=one) for one in (hides, not hides))
    unpainted = f"{says.partition('.')[0]}. {text.PAINT}" if settings.mask == "painted" else ""
    lesson.sentence(says, instead=max(other, unpainted, key=len))


def controls(lesson: Lesson[Settings], settings: Settings, effect: Effect) -> None:
    """The mask and its size; the head to look at."""
    config, names = effect.plain.config, text.kinds(effect.trained)
    with lesson.slide("masks"):
        st.pills("Mask", patterns.KINDS, key=lesson.key("mask"), format_func=names.__getitem__, required=True)
    size, layer, head, _ = st.columns([4, 2, 2, 3], gap="medium")
    size.slider(
        "Size n of the pattern",
        1,
        patterns.LARGEST,
        key=lesson.key("n"),
        disabled=settings.mask not in patterns.SIZED,  # it would move nothing
    )
    layer.selectbox("Layer", range(config.n_layers), key=lesson.key("layer"))
    head.selectbox("Head", range(config.n_heads), key=lesson.key("head"))


def matrices(settings: Settings, inputs: shell.Inputs, effect: Effect) -> None:
    """One head before, after, and the difference; the one in the middle is where a mask is painted."""
    look = st.session_state[state.PASSED] = settings.look()
    painting, where = settings.mask == "painted", f"Layer {settings.layer}, head {settings.head}"
    names = text.kinds(effect.trained)
    titles = {
        "before": f"{where}, {names['trained'].lower()}",
        "after": names[settings.mask],
        "change": "The difference",
    }
    messages = state.messages(settings, inputs)
    for column, view in zip(st.columns(3, gap="medium"), state.VIEWS, strict=True):
        paint = painting and view == "after"
        with column:
            attention_view.attention_view(
                messages[view],
                replace(look, diff=view == "change", mask="painted" if paint else "model"),
                key=f"masks-{view}",
                compact=True,
                title="Paint here" if paint else titles[view],
                paint=paint,
            )


def starved_or_depth(lesson: Lesson[Settings], settings: Settings, effect: Effect) -> None:
    """What became of tokens that may look at nothing; else how far the chosen one hears through all layers."""
    token = min(settings.token, len(effect.labels) - 1)
    if starved := text.starved(effect, settings.layer):
        lesson.sentence(starved, part="starved")
    elif settings.mask in patterns.SIZED and token >= 0:
        n_layers = effect.plain.config.n_layers
        lesson.sentence(text.depth(effect.keep, token, effect.labels[token], n_layers), part="depth")


def outputs(lesson: Lesson[Settings], settings: Settings, effect: Effect, *, hides: bool) -> None:
    """How much each token's final vector changed."""
    with lesson.room("outputs", OUTPUTS_HEIGHT + 2, {1099: OUTPUTS_HEIGHT + 24}):
        if hides:
            lesson.veil("outputs")
        else:
            _changes(lesson, settings, effect)


def _changes(lesson: Lesson[Settings], settings: Settings, effect: Effect) -> None:
    change, labels = effect.change, effect.labels
    title = text.outputs_title(change, labels)
    figure = figures.token_bars([("", change)], labels, shell.palette(), marked=settings.token)
    data = {"position": range(len(change)), "token": labels, "relative_change": change}
    lesson.picture(figure, title=title, alt=f"{title}.", data=data, file="masks")


def tries(lesson: Lesson[Settings], settings: Settings, effect: Effect) -> None:
    """Four masks, each one click away; two of them on the reader's token, or on the last word."""
    labels, last = effect.labels, len(effect.labels) - 1
    special = effect.plain.encodings[0].special
    token = settings.token if settings.token >= 0 else thread.last_word(labels, special)
    hand = {"mask": "painted", "token": token, "key": -1}
    lesson.tries(
        Try("See only the neighbours", {"mask": "window", "n": 1}),
        Try(f"Hide “{labels[token]}” from all others", {**hand, "painted": patterns.hidden_column(token, len(labels))}),
        Try(f"Let “{labels[token]}” look at nothing", {**hand, "painted": f"{token}.0-{last}"}),
        Try("Hide everything from everyone", {**hand, "painted": f"0-{last}.0-{last}"}),
        keeps=("position", "word", "row"),  # of experiments further down
    )


# ---- the exchange of a word --------------------------------------------------------------------------


def leak_prediction(lesson: Lesson[Settings], exchange: Exchange) -> bool:
    """Who notices the exchange under the causal mask; whether the page may show it."""
    return exchange.position == 0 or lesson.predict("leak", *text.who_notices(exchange))


def exchange_controls(lesson: Lesson[Settings], exchange: Exchange) -> None:
    """Which word is exchanged for which, and why it is another one than the reader's."""
    where, word, _ = st.columns([2, 2, 4], gap="medium")
    with where:
        lesson.token_box("Exchange", "position", exchange.labels)
    word.text_input("for", key=lesson.key("word"))
    if exchange.note:
        st.text(exchange.note)


def leak(lesson: Lesson[Settings], exchange: Exchange, *, hides: bool) -> None:
    """Who notices, with the causal mask and without."""
    with lesson.room("leak", LEAK_HEIGHT + 80, {1099: LEAK_HEIGHT + 132, 719: LEAK_HEIGHT + 184}):
        if hides:
            lesson.veil("leak")
        else:
            _who_noticed(lesson, exchange)


def _who_noticed(lesson: Lesson[Settings], exchange: Exchange) -> None:
    lesson.sentence(text.leak(exchange), part="leak")
    labels, title = exchange.labels, text.leak_title(exchange.closed)
    open_, closed = (one.change[-1].tolist() for one in (exchange.open, exchange.closed))
    rows = [("Without a mask", open_), ("With the causal mask", closed)]
    figure = figures.token_bars(rows, labels, shell.palette(), marked=exchange.position, zero=causality.TOLERANCE)
    data = {"position": range(len(labels)), "token": labels, "without_mask": open_, "causal": closed}
    lesson.picture(figure, title=title, alt=f"Change of each output. {title}.", data=data, file="leak")


# ---- padding -----------------------------------------------------------------------------------------


def batch(lesson: Lesson[Settings], padding: Padding) -> None:
    """The three texts with their [PAD], and which one to look at."""
    st.html(_token_rows(padding.encodings, shell.palette()))
    rows = range(len(padding.encodings))
    st.pills("Look at", rows, key=lesson.key("row"), format_func=lambda row: f"Text {row}", required=True)


def padded_head(padding: Padding) -> None:
    """The head that looks at [PAD] most, without the padding mask and with it."""
    row, (layer, head) = padding.row, padding.head
    for column, name, message in zip(st.columns(2, gap="medium"), ("without", "with"), padding.messages, strict=True):
        with column:
            attention_view.attention_view(
                message,
                ViewState(layer=layer, head=head),
                key=f"masks-pad-{name}",
                compact=True,
                title=f"Text {row}, layer {layer}, head {head}, {name} the padding mask",
            )


def against_alone(lesson: Lesson[Settings], padding: Padding) -> None:
    """How much a padded text's outputs differ from those of the text alone."""
    labels, (bare, masked) = padding.labels, padding.changes
    if len(labels) == padding.longest:
        return
    rows = [("Without the padding mask", bare), ("With it", masked)]
    figure = figures.token_bars(rows, labels, shell.palette(), zero=causality.ROUNDING)
    data = {"position": range(len(labels)), "token": labels, "unmasked": bare, "masked": masked}
    title = "How much each output differs from the one without padding"
    lesson.picture(figure, title=title, alt=f"{title}.", data=data, file="padding")


def _token_rows(encodings: tuple[Encoding, ...], palette: figures.Palette) -> str:
    """The batch as HTML: a row of tokens per text, filled up with [PAD]; every token is escaped."""
    longest = max(map(len, encodings))
    chip = f"border:1px solid {palette.line};border-radius:6px;padding:1px 8px;color:{palette.ink1}"
    pad = f"border:1px dashed {palette.line};border-radius:6px;padding:3px 6px;color:{palette.ink2}"
    pad += ";font:0.8125rem monospace"
    rows = []
    for number, encoding in enumerate(encodings):
        missing = longest - len(encoding)
        chips = [
            f'<span style="{chip}"{_rest(one)}><bdi>{html.escape(shortened(one))}</bdi></span>'
            for one in encoding.labels
        ]
        many = missing > MOST_PADS
        chips += [f'<span style="{pad}">[PAD]{f" × {missing}" if many else ""}</span>'] * (1 if many else missing)
        rows.append(
            f'<div style="color:{palette.ink2};font-size:0.875rem;margin:12px 0 4px">Text {number}: {len(encoding)} '
            f"tokens{f' and {missing} [PAD]' if missing else ''}</div>"
            f'<div style="display:flex;flex-wrap:wrap;gap:4px">{"".join(chips)}</div>'
        )
    return "".join(rows)


def _rest(label: str) -> str:
    """What a box does not show of a label, as its title."""
    return "" if shortened(label) == label else f' title="{html.escape(shortened(label, LONGEST_KEPT))}"'


# ---- formula and code --------------------------------------------------------------------------------


def behind(lesson: Lesson[Settings]) -> None:
    """The formula and the code."""
    lesson.behind(
        r"\begin{aligned}&\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}+M\right)V\\ "
        r"&M_{ij}=\begin{cases}0&\text{query } i \text{ may see key } j\\-\infty&\text{otherwise}\end{cases}"
        r"\end{aligned}",
        "Vaswani et al. 2017, section 3.2.3. A row of nothing but −∞ would be 0/0: it gets weights 0 here.",
        mask_patterns.strided,
        mask_patterns.block,
        mask_patterns.prefix,
        Mask.keep,
        attention.attend,
        reference.attention,
        causality.exchange_token,
    )
