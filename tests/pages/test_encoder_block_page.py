"""The encoder block through AppTest: what is on screen is what the library computes; bad input gets a sentence."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from plotly.graph_objects import Figure

import attnviz
from attnviz.analysis import residual
from attnviz.formatting import percent
from attnviz.web import cache, shell
from tests.pages.driver import SENTENCE, Page, beginning, chart_titles, charts, opened
from tests.support.hostile_texts import EVERY_FOURTH
from tests.support.models import loaded

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


def pictures(app: Page, names: Sequence[str] = PICTURES) -> dict[str, Figure]:
    found = charts(app)
    assert len(found) == len(names)
    return {name: Figure(plain(spec)) for name, spec in zip(names, found, strict=True)}


def notes(figure: Figure) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def check(app: Page, name: str, text: str, token: int, layer: int, second: bool = False) -> None:
    """Every number of the token on screen against the library."""
    assert not app.exception
    model = loaded(name)
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
            assert f"“{label}” enters layer {layer} with norm {number(lengths['before'])}." in words
            assert number(lengths["attention"]) in words and number(lengths["feed_forward"]) in words
            assert words.count(number(lengths["after"])) >= 1
    step = residual.normed(model.transformer, trace, layer, token, second=second)
    assert f"subtracts their mean {number(step.before.mean())} and divides by" in words
    assert f"deviation {number(step.after.std())}" in notes(shown["layernorm"])
    into = residual.block(model.transformer, trace, layer).hidden_in
    assert into is not None
    hidden = into[token]
    off = percent(float((hidden < 0).mean()))
    assert f"Of the {len(hidden):,} hidden units of this feed-forward network, {off} receive a negative" in words
    assert sum(shown["hidden-units"].data[2].y) == len(hidden)
    found = residual.branches(model.transformer, trace)
    bars = shown["branches"].data
    np.testing.assert_allclose(bars[0].y, 100 * found.attention_share.mean(axis=1))
    assert found.feed_forward_share is not None
    np.testing.assert_allclose(bars[1].y, 100 * found.feed_forward_share.mean(axis=1))
    np.testing.assert_allclose(bars[2].y, 100 * found.attention_share[:, token])
    drift = residual.drift(residual.stream(trace))
    np.testing.assert_allclose(shown["drift"].data[2].x, drift.points[:, token, 0], atol=1e-9)
    assert f"most of the variance: {percent(float(drift.shares.sum()))}." in words


def test_opens_on_the_words_it_in_a_trained_model(app: Page) -> None:
    check(app, "minilm", SENTENCE, 10, 3)
    assert app.title[0].value == "What does one block do to a word?"
    assert "(as in MiniLM)" in chart_titles(app)[0]
    assert "same weights" in chart_titles(app)[1]
    assert app.link == {}


@pytest.mark.parametrize("name", ["scratch:gpt?seed=2", "scratch:tiny", "scratch:bert"])
def test_untrained_models_of_every_kind(name: str) -> None:
    app = opened("encoder_block", model=name, token="2", layer="1", norm="feed-forward")
    check(app, name, SENTENCE, 2, 1, second=True)
    assert "nobody has trained them" in app.prose


def test_a_new_text_runs_each_feed_forward_network_once_and_the_shown_one_turned_too(app: Page) -> None:
    app.choose(layer=2)
    layers: Any = cache.model("minilm").transformer.encoder["layers"]
    runs: list[int] = []
    hooks = [layer.linear1.register_forward_hook(lambda *_, i=i: runs.append(i)) for i, layer in enumerate(layers)]
    app.text_area(key="text").set_value("Whoever measures twice saws once.").run()
    for hook in hooks:
        hook.remove()
    assert sorted(runs) == sorted([*range(6), 2, 2])


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
    assert "The deeper" not in words  # one run shows one depth
    ends = f"{number(post.stream[-1])} after the last layer with post-norm, {number(pre.stream[-1])} with pre-norm"
    assert ends in chart_titles(app)[-1]


@pytest.mark.parametrize("option", ["Attention", "Feed-forward", "Within 10\u202f% of each other"])
def test_the_prediction_is_judged_by_the_numbers(option: str) -> None:
    app = opened("encoder_block", revealed=0)
    assert not any("mean of all" in title for title in chart_titles(app))
    model = loaded("minilm")
    found = residual.branches(model.transformer, model.run(SENTENCE))
    assert found.feed_forward_share is not None
    a, f = found.attention_share.mean(), found.feed_forward_share.mean()
    assert f > 1.1 * a  # else "Feed-forward" would not be the truth
    because = f"attention adds {100 * a:.1f}\u202f% of the stream’s norm, the feed-forward network {100 * f:.1f}\u202f%"
    assert because not in app.prose
    app.guess("branches", option)
    assert because in app.prose and "adds more than attention" in app.prose
    assert ("✓ Right." in app.prose) == (option == "Feed-forward")


@pytest.mark.parametrize(
    ("depth", "truth"), [(12, "Post-norm"), (2, "Post-norm"), (1, "Within 10\u202f% of each other")]
)
def test_the_prediction_about_depth(depth: int, truth: str) -> None:
    app = opened("encoder_block", depth=str(depth), revealed=0)
    post, pre = (residual.depth_sizes(residual.untrained(depth, first, 0)) for first in (False, True))
    assert number(post.gradients[-1]) not in app.prose and "untrained layer" not in app.prose
    app.guess("depth", truth)
    assert "✓ Right." in app.prose
    grown = f"grown to norm {number(pre.stream[-1])}, while post-norm’s own LayerNorms hold it at √64 = 8."
    assert post.stream[-1] == pytest.approx(8, rel=1e-3)
    assert grown in app.prose
    assert ("warm-up" in app.prose) == (truth == "Post-norm")


def test_the_reason_given_for_the_gradients_is_the_one_measured() -> None:
    """The last LayerNorm divides the gradient by as much as the stream has grown."""
    for depth, seed in [(1, 0), (4, 1), (8, 0), (12, 7)]:
        post, pre = (residual.depth_sizes(residual.untrained(depth, first, seed)) for first in (False, True))
        grown = pre.stream[-1] / post.stream[-1]
        assert post.stream_gradients[-1] / pre.stream_gradients[-1] == pytest.approx(grown, rel=0.03)


@pytest.mark.parametrize("second", ["attention", "feed-forward"])
def test_attention_alone_is_drawn_alone(second: str) -> None:
    """Layers without a feed-forward network, as in the trained induction model."""
    app = opened("encoder_block", model="induction", norm=second, layer=5)
    model = loaded("induction")
    trace = model.run(SENTENCE)
    block = residual.block(model.transformer, trace, 1, norm_first=True)
    token = app.session_state["encoder_block.token"]
    assert f"Attention adds a vector of norm {number(block.lengths(token)['attention'])}; it leaves" in app.prose
    assert "attention only: there is no feed-forward network" in app.prose
    shown = pictures(app, [name for name in PICTURES if name != "hidden-units"])
    assert "Feed-forward" not in notes(shown["block-post"]) + notes(shown["block-pre"])
    found = residual.branches(model.transformer, trace)
    np.testing.assert_allclose(shown["branches"].data[0].y, 100 * found.attention_share.mean(axis=1))
    assert len(shown["branches"].data) == 2
    assert app.link == {"model": "induction", "layer": "1"}  # the only norm is attention's


@pytest.mark.parametrize("name", [info.name for info in attnviz.catalogue()])
def test_every_bundled_model_is_drawn_or_refused_in_a_sentence(name: str) -> None:
    app = opened("encoder_block", model=name)
    assert len(charts(app)) >= 7 or "ick another model" in app.sentence


@pytest.mark.parametrize("preset", [None, "Two layers only", "A trained pre-norm model: Austen"])
def test_box_sentence_and_link_agree_after_a_new_text(app: Page, preset: str | None) -> None:
    text = "In every park the old birds often sing at dawn when nobody listens to them at all."
    app.text_area(key="text").set_value(text).run()
    if preset:
        app.press(shell.escaped(preset))
    for page in (app, opened("encoder_block", **app.link)):
        box = page.selectbox(key="encoder_block.token")
        label = box.options[box.value].split(" ", 1)[1]
        assert page.sentence.startswith(f"“{label}” enters layer {page.session_state['encoder_block.layer']} ")
        assert page.link.get("token", beginning(page)) == str(box.value)


def test_a_chosen_word_stays_chosen_and_tokens_are_not_interpreted(app: Page) -> None:
    box = app.selectbox(key="encoder_block.token")
    assert box.options[0] == "0 [CLS]" and box.options[14] == "14 ."
    app.text_area(key="text").set_value("The street was wide, so it stayed.").run()
    assert app.sentence.startswith("“it” enters") and app.session_state["encoder_block.token"] == 7
    app.selectbox(key="encoder_block.token").select(4).run()
    app.text_area(key="text").set_value("The street is wide.").run()
    assert app.sentence.startswith("“wide” enters")


def test_a_layer_that_a_model_does_not_have_is_remembered_for_one_that_has(app: Page) -> None:
    app.choose(layer=5)
    app.selectbox(key="model").select("scratch:tiny").run()
    assert app.link["layer"] == "1"
    app.selectbox(key="model").select("minilm").run()
    app.query_params.clear()  # as the navigation does
    app.switch_page("pages/variants.py").run()
    assert app.selectbox(key="variants.layer").value == 5


def test_things_to_try_set_the_page_up(app: Page) -> None:
    app.press("Two layers only")
    assert "2 untrained layers" in app.prose and app.link == {"depth": "2"}
    app.press("A trained pre\\-norm model\\: Austen")
    assert app.link == {"model": "austen"}  # the second one takes the first one back, and “it” stays
    check(app, "austen", SENTENCE, 15, 3)
    app.press("Twelve layers, other weights")
    assert app.link == {"model": "austen", "seed": "1"}


def test_a_shorter_text_takes_its_last_word_and_a_smaller_model_its_last_layer(app: Page) -> None:
    app.text_area(key="text").set_value("Hi there").run()
    check(app, "minilm", "Hi there", 2, 3)
    app.selectbox(key="model").select("scratch:tiny").run()
    check(app, "scratch:tiny", "Hi there", 2, 1)


@pytest.mark.parametrize("text", ["a", "☃", *EVERY_FOURTH[16:19], "$x$ **b** :smile: `c` [l](http://e.com)"])
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
        {"guess": "Attention"},
        {"token": "9999999999"},
    ],
)
def test_a_link_out_of_range_stays_within(query: dict[str, Any]) -> None:
    app = opened("encoder_block", **query)
    assert not app.exception
    pictures(app)
    assert app.link in ({}, {"layer": "5"}, {"token": "13"})


def test_the_code_that_ran_is_shown_when_opened(app: Page) -> None:
    app.session_state["encoder_block-code"] = True
    app.run()
    shown = " ".join(code.value for code in app.code)
    for name in ("def trace(", "def feed_forward(", "def encoder_layer(", "def block(", "def depth_sizes("):
        assert name in shown
