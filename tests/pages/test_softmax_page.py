"""Softmax and temperature through AppTest: what is on screen is what the library computes."""

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import attnviz
from attnviz import figures
from attnviz.analysis import measures, scaling
from attnviz.formatting import percent, significant
from attnviz.web.softmax.text import ANSWERS
from attnviz.web.temperatures import TEMPERATURES
from tests.pages.driver import SENTENCE, Page, beginning, charts, numbers, opened
from tests.support.hostile_texts import HOSTILE
from tests.support.models import loaded

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@pytest.fixture
def app() -> Page:
    """The page as a new visitor finds it."""
    return opened("softmax")


@pytest.mark.parametrize("tau", [0.05, 0.5, 1.0, 20.0])
def test_the_bars_are_attends_weights(app: Page, tau: float) -> None:
    app.choose(temperature=tau)
    ran = loaded("minilm").run(SENTENCE).layers[3].attention
    before = attnviz.attend(ran.q, ran.k, ran.v).weights[0, 1, 10]
    after = attnviz.attend(ran.q, ran.k, ran.v, temperature=tau).weights[0, 1, 10]
    pale, blue, ends = charts(app)[0]["data"]
    best = int(after.argmax())
    was = "" if tau == 1 else f"{percent(float(before[best]))} → "  # both: the longer bar may be the pale one
    assert ends["text"][best].strip() == was + percent(float(after[best]))
    assert all(one.strip() for one in ends["text"])  # the least too
    assert numbers(pale["x"]) == pytest.approx((100 * before).tolist(), abs=1e-3)
    assert numbers(blue["x"]) == pytest.approx((100 * after).tolist(), abs=1e-3)
    assert percent(float(after.max())) in app.prose
    assert f"Effective number of tokens: {2 ** float(measures.entropy(after)):.1f} of 16" in app.prose


def test_under_a_causal_mask_the_tokens_are_those_that_the_row_may_see() -> None:
    app = opened("softmax", model="austen", query=5, layer=0, head=0, temperature=0.5)
    spread = 2 ** float(measures.entropy(attnviz.attend(*row_of("austen"), temperature=0.5).weights[0, 0, 5]))
    assert f"Effective number of tokens: {spread:.1f} of the 6 that it may see, instead of" in app.prose


def row_of(model: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ran = loaded(model).run(SENTENCE).layers[0].attention
    return ran.q[..., :6, :], ran.k[..., :6, :], ran.v[..., :6, :]


def test_the_curves_and_their_point_are_the_rows(app: Page) -> None:
    app.choose(temperature=4.0)
    scores = loaded("minilm").run(SENTENCE).layers[3].attention.scores[0, 1, 10]
    weights = scaling.tempered(scores, TEMPERATURES)
    spread, point, tops, top = charts(app)[1]["data"]
    assert numbers(spread["y"]) == pytest.approx((2 ** measures.entropy(weights)).tolist())
    assert numbers(tops["y"]) == pytest.approx((100 * weights.amax(dim=1)).tolist())
    at = TEMPERATURES.index(4.0)
    assert numbers(point["y"]).tolist() == [pytest.approx(numbers(spread["y"])[at])]
    assert numbers(top["y"]).tolist() == [pytest.approx(numbers(tops["y"])[at])]
    notes = [note["text"] for note in charts(app)[1]["layout"]["annotations"]]
    assert {"τ → ∞: 16", "τ → 0: 1", "τ → 0: 100\u202f%", "τ → ∞: 6.25\u202f%"} <= set(notes)


def test_one_token_more_changes_with_the_reader(app: Page) -> None:
    app.choose(query=2, layer=0, head=5, temperature=0.5)
    scores = loaded("minilm").run(SENTENCE).layers[0].attention.scores[0, 5, 2]
    expected = scaling.tempered(scores, [0.5])[0]
    assert numbers(charts(app)[0]["data"][1]["x"]) == pytest.approx((100 * expected).tolist())


def test_an_encoder_shows_how_far_its_vectors_move(app: Page) -> None:
    app.choose(temperature=0.5)
    model = loaded("minilm")
    plain, changed = model.run(SENTENCE), model.run(SENTENCE, intervention=attnviz.Intervention(temperature=0.5))
    moved = measures.relative_change(plain, changed)[:, 0].mean(dim=1)
    inside, outside = charts(app)[2]["data"]
    assert numbers(inside["y"]) == pytest.approx((100 * moved).tolist(), rel=1e-4)
    assert set(numbers(outside["y"])) == {0.0}
    assert percent(float(moved[-1])) in app.prose and "no logits" in app.prose


@pytest.mark.parametrize("name", ["austen", "scratch:gpt"])
def test_a_language_model_shows_its_next_token(app: Page, name: str) -> None:
    app.session_state["model"] = name
    app.run().choose(temperature=0.1, query=7)
    model = loaded(name)
    plain, changed = model.run(SENTENCE), model.run(SENTENCE, intervention=attnviz.Intervention(temperature=0.1))
    assert plain.logits is not None and changed.logits is not None
    ids = plain.logits[0, 7].topk(8).indices
    dots = {one["name"]: numbers(one["x"]) for one in charts(app)[2]["data"]}
    for series, logits in (
        ("τ = 1", plain.logits[0, 7]),
        ("τ in attention", changed.logits[0, 7]),
        ("τ on the output", plain.logits[0, 7] / 0.1),
    ):
        assert dots[series] == pytest.approx((100 * logits.double().softmax(dim=-1)[ids]).tolist(), rel=1e-4), series
    assert ("untrained" in app.prose) == (name == "scratch:gpt")


def test_the_variances_are_measured_and_drawn_anew_with_the_seed(app: Page) -> None:
    for seed in (0, 1):
        app.choose(seed=seed)
        measured = scaling.measure_variance(pairs=1_000, seed=seed)
        shown = {one["name"]: one for one in charts(app)[3]["data"] if "error_y" in one}
        products, scaled = shown["q·k"], shown["q·k / √dₖ"]
        assert numbers(products["y"]) == pytest.approx([one.variance for one in measured])
        assert numbers(scaled["y"]) == pytest.approx([one.scaled[0] for one in measured])
        assert numbers(scaled["error_y"]["array"]) == pytest.approx([one.scaled[2] - one.scaled[0] for one in measured])
        saturated = scaling.measure_saturation(keys=16, queries=64, seed=seed)
        assert numbers(charts(app)[4]["data"][0]["y"]) == pytest.approx([100 * one.top for one in saturated])
        assert numbers(charts(app)[5]["data"][1]["y"]) == pytest.approx([one.gradient_scaled for one in saturated])
    next(one for one in app.button if one.label == "New random vectors").click().run()
    assert app.session_state["softmax.seed"] == 2 and app.query_params["seed"] in ("2", ["2"])


def test_what_no_text_changes_is_drawn_once(app: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = charts(app)[-2:]
    monkeypatch.setattr(figures, "saturation_lines", None)  # nobody asks for it again
    app.sidebar.text_area[0].set_value("Another text has the same random vectors.").run()
    assert not app.exception and charts(app)[-2:] == drawn


def test_the_heads_own_variances_are_the_models(app: Page) -> None:
    trace = loaded("minilm").run(SENTENCE)
    own = torch.stack([scaling.product_variance(layer.attention) for layer in trace.layers])
    rings = [value for one in charts(app)[3]["data"] if one.get("name") == "heads" for value in numbers(one["y"])]
    assert sorted(rings) == pytest.approx(sorted(own.flatten().tolist()))
    caption = next(one.value for one in app.caption if "This head" in one.value)
    assert significant(float(own[3, 1])) in caption


# ---- the prediction --------------------------------------------------------------------------------


def guess(app: Page, answer: str) -> Page:
    """Answers the page's only quiz."""
    (quiz,) = (one for one in app.get("button_group") if "softmax.quiz.sharper" in one.proto.id)
    return quiz.set_value(answer).run()


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_answer_is_worked_out(answer: str) -> None:
    app = guess(opened("softmax", revealed=0), answer)
    weights = loaded("minilm").run(SENTENCE).layers[3].attention.weights[0, 1, 10].double()
    second, squares = weights.sort(descending=True).values[1].item(), weights.square().sum().item()
    assert second < squares  # what is below the sum of the squares shrinks
    assert f"{second:.4f}² ÷ {squares:.4f} ≈ {second**2 / squares:.4g}" in app.prose
    assert ("✓" in app.prose) == (answer == "It loses")
    assert app.link == {}


def test_a_sharper_row_is_hidden_until_the_guess() -> None:
    app = opened("softmax", revealed=0)
    assert len(charts(app)) == 5 and "At τ = 2," in app.sentence  # a flatter one answers nothing
    app.choose(temperature=0.5)
    assert len(charts(app)) == 4 and "hidden" in app.sentence
    guess(app, "It gains")
    assert len(charts(app)) == 6 and "At τ = 0.5," in app.sentence


def test_what_has_no_clear_answer_is_not_asked() -> None:
    """Where all weights are about the same, sharpening changes none that a reader could be asked about."""
    app = opened("softmax", revealed=0, text="a a a a a a a a a a a a", model="scratch:tiny", layer=0, head=0)
    assert "Sharpen" not in str(app.get("button_group")) and len(charts(app)) == 6


def test_the_second_largest_weight_is_called_so() -> None:
    app = opened("softmax", revealed=0)
    (quiz,) = (one for one in app.get("button_group") if "softmax.quiz.sharper" in one.proto.id)
    assert "what happens to the second\\-largest weight, that of “\\[CLS\\]”" in quiz.proto.label


def test_how_much_larger_the_gradient_gets_is_said_of_all_seeds_and_as_a_power_of_ten() -> None:
    """One seed's own figure, such as 18,900 times, is another with every seed: 23,800, 48,300, 125,000."""
    gains = []
    for seed in range(11):  # each a row of 16 random products of 1,024 numbers, 64 times, as the sentence says
        generator = torch.Generator().manual_seed(4_096 * seed + 1_024)
        queries, keys = (torch.randn(64, n, 1_024, generator=generator) for n in (1, 16))
        products = (queries * keys).sum(-1).double().numpy()
        medians = []
        for scores in (products, products / 32):  # √1,024
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            jacobians = [np.diag(row) - np.outer(row, row) for row in weights]
            medians.append(sorted(np.linalg.norm(jacobian) for jacobian in jacobians)[31])
        gains.append(medians[1] / medians[0])
    said = [f"10{str(round(np.log10(gain))).translate(RAISED)}" for gain in (np.median(gains), *sorted(gains))]
    app = opened("softmax")
    for seed in (0, 3):
        app.choose(seed=seed)
        assert f"about {said[0]} times as large (median of 11 seeds; from {said[1]} to {said[-1]})." in app.prose


# ---- what follows the reader -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("In every park the old birds often sing at dawn when nobody listens to them at all.", "minilm"),
        ("The trophy doesn't fit in the suitcase because it's too big.", "minilm"),
        (SENTENCE, "austen"),
        (SENTENCE, "scratch:gpt"),
        ("short", "minilm"),
        ("**bold** `code` [CLS] .", "minilm"),
    ],
)
def test_box_sentence_and_link_name_the_same_token(app: Page, text: str, model: str) -> None:
    """The list, the sentence and the address agree after a new text, a new model and a thing to try."""

    def agree() -> int:
        position = app.session_state["softmax.query"]
        label = app.sentence.split("“")[1].split("”")[0]
        box = app.selectbox(key="softmax.query")
        assert box.options[position] == f"{position} {label}" and box.value == position
        assert app.link.get("query", beginning(app)) == str(position)
        return int(position)

    assert agree() == 10
    app.session_state["model"] = model
    app.text_area(key="text").set_value(text).run()
    position, labels = agree(), loaded(model).encode(text).labels
    if "it" in labels:
        assert labels[position] == "it"  # the chosen word stays chosen where it still stands
    for number in range(3):
        app.button(key=f"softmax-try-{number}").click().run()
        agree()
    assert agree() == opened("softmax", **app.link).session_state["softmax.query"]


def test_a_step_back_to_another_text_brings_its_own_token(app: Page) -> None:
    app.text_area(key="text").set_value("The trophy doesn't fit in the suitcase because it's too big.").run()
    app.choose(query=2)
    app.step_back(query=5)
    assert app.session_state["softmax.query"] == 5 and "“·t” gives" in app.sentence


def test_a_list_that_reports_an_older_texts_token_changes_nothing() -> None:
    """A run that is interrupted has drawn the new list, and the browser still sends what it showed of the old one."""

    def page() -> None:
        import streamlit as st

        from attnviz.web.lesson import Lesson
        from attnviz.web.softmax.state import Settings

        lesson: Lesson[Settings] = Lesson("softmax", Settings())
        if "reported" in st.session_state:
            st.session_state["softmax.query"] = st.session_state["reported"]
        st.text(str(lesson.follow_token("query", ["it", "is", "wide"], [False] * 3)))

    app = AppTest.from_function(page).run()
    assert app.text[0].value == "0"
    for reported in ("10 it", None, 1.5):
        app.session_state["reported"] = reported
        assert app.run().text[0].value == "0" and not app.exception


def test_a_list_of_tokens_shows_them_as_they_are(app: Page) -> None:
    options = app.selectbox(key="softmax.query").options
    assert options[0] == "0 [CLS]" and options[14] == "14 ."


def test_a_second_thing_to_try_does_not_keep_what_the_first_set(app: Page) -> None:
    app.choose(seed=3)
    app.button(key="softmax-try-0").click().run()
    app.button(key="softmax-try-1").click().run()
    assert app.link == {"temperature": "20", "seed": "3"}


# ---- things to try, links, other models --------------------------------------------------------------


def test_things_to_try_set_the_page_up(app: Page) -> None:
    for number, expected in ((0, 0.05), (1, 20.0)):
        app.button(key=f"softmax-try-{number}").click().run()
        assert app.session_state["softmax.temperature"] == expected and f"τ = {expected:g}" in app.prose
    app.button(key="softmax-try-2").click().run()
    assert not app.exception and app.session_state["model"] == "austen" and "untrained" not in app.prose


def test_a_link_restores_the_page() -> None:
    app = opened("softmax", temperature="0.1", layer="2", head="7", query="4", seed="9")
    state = app.session_state
    assert [state[f"softmax.{field}"] for field in ("temperature", "layer", "head", "query", "seed")] == [
        *(0.1, 2, 7, 4, 9)
    ]
    assert not app.exception


@pytest.mark.parametrize("query", [{"temperature": "nan"}, {"temperature": "-1"}, {"layer": "99"}, {"seed": "1e9"}])
def test_a_link_out_of_range_is_answered_with_a_page(query: dict[str, str]) -> None:
    app = opened("softmax", **query)
    assert not app.exception and "attention" in app.prose


@pytest.mark.parametrize("model", ["scratch:tiny", "scratch:bert", "scratch:gpt"])
def test_other_models_and_short_texts(app: Page, model: str) -> None:
    app.session_state["model"] = model
    for text, query in (("word " * 100, 63), ("a a", 2), ("a", 2)):
        app.session_state["text"] = text
        app.run()
        assert not app.exception and len(charts(app)) == 6
        assert app.session_state["softmax.query"] < len(loaded(model).encode(text))
        app.choose(query=query, temperature=0.05)
        assert not app.exception and len(charts(app)) == 6


def test_strangers_text_is_text(app: Page) -> None:
    texts = [text for text in HOSTILE if text.isprintable() and text.strip()]
    app.session_state["text"] = " ".join(texts)[:300]
    for query in range(1, 12):
        app.choose(temperature=0.5, query=query)
        assert not app.exception


def test_a_browser_may_report_anything(app: Page) -> None:
    for moved in ({"index": 999, "number": 1}, {"index": "x", "number": "y"}, [], {"index": True, "number": 2}):
        app.session_state["softmax.temperature:dial"] = {"moved": moved}
        app.run()
        assert not app.exception
    assert app.session_state["softmax.temperature"] in TEMPERATURES
