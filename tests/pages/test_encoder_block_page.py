"""The encoder block through AppTest: what is on screen is what the library computes; bad input gets a sentence."""

import base64
from typing import Any

import numpy as np
import pytest
from plotly.graph_objects import Figure

import attnviz
from attnviz.analysis import residual
from attnviz.formatting import percent
from tests.pages.driver import SENTENCE, Page, chart_titles, charts, opened
from tests.support.hostile_texts import HOSTILE

PICTURES = ["block-post", "block-pre", "layernorm", "hidden-units", "branches", "drift", "gradients", "stream"]


@pytest.fixture
def app() -> Page:
    """The page as a new visitor finds it."""
    return opened("encoder_block")


def plain(value: Any) -> Any:
    """A figure's JSON with its packed arrays as lists."""
    if isinstance(value, dict) and "bdata" in value:
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def pictures(app: Page) -> dict[str, Figure]:
    found = charts(app)
    assert len(found) == len(PICTURES)
    return {name: Figure(plain(spec)) for name, spec in zip(PICTURES, found, strict=True)}


def notes(figure: Figure) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def check(app: Page, name: str, text: str, token: int, layer: int, second: bool = False) -> None:
    """Every number of the token on screen against the library."""
    assert not app.exception
    model = attnviz.load(name)
    trace = model.run(text)
    label = trace.encodings[0].labels[token]
    own = model.transformer.config.norm_first
    shown, words = pictures(app), app.prose
    for first, picture in ((False, "block-post"), (True, "block-pre")):
        lengths = residual.block(model.transformer, trace, layer, norm_first=first).lengths(token)
        for stage in ("before", "middle", "after"):
            assert f"<b>{number(lengths[stage])}</b>" in notes(shown[picture])
        assert f"adds {number(lengths['attention'])}" in notes(shown[picture])
        assert f"adds {number(lengths['feed_forward'])}" in notes(shown[picture])
        if first == own:
            assert f"“{label}” enters layer {layer} as a vector of length {number(lengths['before'])}." in words
            assert number(lengths["attention"]) in words and number(lengths["feed_forward"]) in words
            assert words.count(number(lengths["after"])) >= 1
    step = residual.normed(model.transformer, trace, layer, token, second=second)
    assert f"subtracts their mean {number(step.before.mean())} and divides by" in words
    assert f"deviation {number(step.after.std())}" in notes(shown["layernorm"])
    hidden = residual.block(model.transformer, trace, layer).hidden_in[token]
    off = percent(float((hidden < 0).mean()))
    assert f"Of the {len(hidden):,} hidden units of this feed-forward network, {off} receive a negative" in words
    assert sum(shown["hidden-units"].data[2].y) == len(hidden)
    found = residual.branches(model.transformer, trace)
    bars = shown["branches"].data
    np.testing.assert_allclose(bars[0].y, 100 * found.attention_share.mean(axis=1))
    np.testing.assert_allclose(bars[1].y, 100 * found.feed_forward_share.mean(axis=1))
    np.testing.assert_allclose(bars[2].y, 100 * found.attention_share[:, token])
    drift = residual.drift(residual.stream(trace))
    np.testing.assert_allclose(shown["drift"].data[2].x, drift.points[:, token, 0], atol=1e-9)
    assert f"{percent(float(drift.shares.sum()))} of the variance" in words


def test_opens_on_the_words_it_in_a_trained_model(app: Page) -> None:
    check(app, "minilm", SENTENCE, 10, 3)
    assert app.title[0].value == "What does one block do to a word?"
    assert "(as in MiniLM)" in chart_titles(app)[0]
    assert "the same weights, norms moved" in chart_titles(app)[1]
    assert app.link == {}


@pytest.mark.parametrize("name", ["scratch:gpt?seed=2", "scratch:tiny", "scratch:bert"])
def test_untrained_models_of_every_kind(name: str) -> None:
    app = opened("encoder_block", model=name, token="2", layer="1", norm="feed-forward")
    check(app, name, SENTENCE, 2, 1, second=True)
    assert "nobody has trained them" in app.prose


def test_token_layer_and_norm_change_what_is_shown(app: Page) -> None:
    app.selectbox(key="encoder_block.token").select(2).run()
    app.session_state["encoder_block.layer"] = 5
    app.session_state["encoder_block.norm"] = "feed-forward"
    app.run()
    check(app, "minilm", SENTENCE, 2, 5, second=True)
    assert app.link == {"token": "2", "layer": "5", "norm": "feed-forward"}


@pytest.mark.parametrize(("depth", "seed"), [(12, 0), (1, 0), (5, 7)])
def test_depth_and_seed(app: Page, depth: int, seed: int) -> None:
    app.session_state["encoder_block.depth"] = depth
    app.number_input(key="encoder_block.seed").set_value(seed).run()
    shown, words = pictures(app), app.prose
    post, pre = (residual.depth_sizes(residual.untrained(depth, first, seed)) for first in (False, True))
    for trace, found in zip(shown["gradients"].data, (post, pre), strict=True):
        np.testing.assert_allclose(trace.y, found.gradients, rtol=1e-4)
    for trace, found in zip(shown["stream"].data, (post, pre), strict=True):
        np.testing.assert_allclose(trace.y, found.stream, rtol=1e-5)
    assert number(post.gradients[-1]) in words and number(pre.gradients[-1]) in words
    assert ("One untrained layer" if depth == 1 else f"{depth} untrained layers") in words
    assert ("The deeper the stack" in words) == (depth > 1)


@pytest.mark.parametrize("guess", ["Attention", "Feed-forward", "About the same"])
def test_the_prediction_is_judged_by_the_numbers(app: Page, guess: str) -> None:
    model = attnviz.load("minilm")
    found = residual.branches(model.transformer, model.run(SENTENCE))
    a, f = found.attention_share.mean(), found.feed_forward_share.mean()
    assert f > 1.1 * a  # else "Feed-forward" would not be the truth
    app.session_state["encoder_block.guess"] = guess
    app.run()
    because = f"attention adds {percent(a)} of the stream’s length, the feed-forward network {percent(f)}"
    assert because in app.prose
    assert ("✓" in app.prose) == (guess == "Feed-forward")


@pytest.mark.parametrize(("depth", "truth"), [(12, "Post-norm"), (1, "About the same")])
def test_the_prediction_about_depth(depth: int, truth: str) -> None:
    app = opened("encoder_block", depth=str(depth), guess_depth=truth)
    assert "✓" in app.prose


def test_things_to_try_set_the_page_up(app: Page) -> None:
    buttons = {button.label.replace("\\", ""): button for button in app.button}
    buttons["Two layers only: the difference is small"].click().run()
    assert "2 untrained layers" in app.prose and app.link["depth"] == "2"
    buttons["A trained pre-norm model: Austen"].click().run()
    assert app.link["model"] == "austen"
    check(app, "austen", SENTENCE, 10, 3)


def test_a_shorter_text_takes_its_last_word_and_a_smaller_model_its_last_layer(app: Page) -> None:
    app.text_area(key="text").set_value("Hi there").run()
    check(app, "minilm", "Hi there", 2, 3)
    app.selectbox(key="model").select("scratch:tiny").run()
    check(app, "scratch:tiny", "Hi there", 2, 1)


@pytest.mark.parametrize("text", ["a", "☃", *HOSTILE[16:19], "$x$ **b** :smile: `c` [l](http://e.com)"])
def test_one_token_and_hostile_texts(text: str) -> None:
    app = opened("encoder_block", text=text)
    assert not app.exception
    if text.strip():
        pictures(app)


def test_a_model_that_reads_two_texts_is_refused_in_words() -> None:
    app = opened("encoder_block", model="scratch:base")
    assert not app.exception and not charts(app)
    assert "reads two texts" in app.prose


@pytest.mark.parametrize(
    "query",
    [
        {"token": "-1"},
        {"token": "x"},
        {"layer": "99"},
        {"norm": "both"},
        {"depth": "0"},
        {"depth": "13"},
        {"seed": "-3"},
        {"seed": "12345678"},
        {"guess": "<b>"},
        {"token": "9999999999"},
    ],
)
def test_a_link_out_of_range_stays_within(query: dict[str, Any]) -> None:
    app = opened("encoder_block", **query)
    assert not app.exception
    pictures(app)
    assert app.link in ({}, {"layer": "5"}, {"token": "14"}, {"guess": "<b>"})


def test_the_code_that_ran_is_shown_when_opened(app: Page) -> None:
    app.session_state["encoder_block-code"] = True
    app.run()
    shown = " ".join(code.value for code in app.code)
    for name in ("def trace(", "def feed_forward(", "def encoder_layer(", "def block(", "def depth_sizes("):
        assert name in shown
