"""Positions through AppTest: what is on screen is what the library computes, and bad input gets a sentence."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import attnviz
from attnviz import figures
from attnviz.analysis import word_order
from attnviz.browser import attention_message
from attnviz.formatting import number, percent, scientific
from attnviz.nn import positions
from attnviz.nn.transformer import Transformer
from attnviz.web.components import bridge
from attnviz.web.lesson import Lesson
from attnviz.web.positions.text import GUESSES
from tests.pages.driver import SENTENCE, Page, beginning, chart_titles, charts, frames, numbers, opened, values, views
from tests.support.models import loaded

MINILM = loaded("minilm")
IDS = MINILM.encode(SENTENCE).ids
FIRST = ("none", "learned")  # what the sentence is about: nothing, and what the model was made with
OTHERS = tuple(scheme for scheme in positions.SCHEMES if scheme not in FIRST)


@pytest.fixture(scope="module")
def first() -> Page:
    """The page as a new visitor finds it; not to be changed."""
    return opened("positions")


# ---- the numbers ------------------------------------------------------------------------------------


def test_the_bars_are_the_shuffle_test(first: Page) -> None:
    drawn = word_order.word_order(MINILM.encode(SENTENCE).words, 0)
    for picture, schemes in enumerate([FIRST, OTHERS]):
        (bars,) = charts(first)[picture]["data"]
        shown = np.array([float(moved) for _, moved in bars["customdata"]]).reshape(len(schemes), len(IDS))
        heights, bases = numbers(bars["y"]).reshape(shown.shape), numbers(bars["base"]).reshape(shown.shape)
        for i, scheme in enumerate(schemes):
            test = word_order.shuffle_test(MINILM.transformer, IDS, drawn, scheme)
            assert shown[i] == pytest.approx((100 * test.moved).numpy(), rel=1e-3, abs=1e-2)
            assert set(bases[i]) == {len(schemes) - 1 - i}
        assert heights / heights.max() == pytest.approx(shown / shown.max())  # drawn in proportion
    none = word_order.shuffle_test(MINILM.transformer, IDS, drawn, "none")
    assert f"the largest difference is {scientific(none.largest)} (" in first.prose
    assert " ".join(MINILM.encode(SENTENCE).labels[i] for i in drawn) in first.prose


def test_a_new_text_runs_what_the_sentence_is_about_before_the_rest() -> None:
    app = opened("positions")
    seen: list[str | int] = []  # how many texts each run had, and what was drawn
    forward, begin_run, draw = Transformer.forward, Transformer.first_layers, Lesson.picture

    def run(model: Transformer, ids: torch.Tensor, *args: object, **options: object) -> object:
        seen.append(len(ids))
        return forward(model, ids, *args, **options)

    def first(model: Transformer, ids: torch.Tensor, n_layers: int, *args: object) -> object:
        seen.append(f"{n_layers} of {model.config.n_layers} layers")
        return begin_run(model, ids, n_layers, *args)

    def picture(lesson: Lesson, *args: object, **options: str) -> None:
        seen.append(options["file"])
        draw(lesson, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transformer, "forward", run)
        patch.setattr(Transformer, "first_layers", first)
        patch.setattr(Lesson, "picture", picture)
        app.text_area(key="text").set_value("A text that nobody has run so far on this very page.").run()
    # the text and its shuffle together: without positions and with the own ones, then the others; then the matrices,
    # each run no further than the layer on screen; nothing below runs the text again
    begin = [*[2] * len(FIRST), "positions-shuffle", *[2] * len(OTHERS), "positions-shuffle-others"]
    begin += ["1 of 6 layers", "1 of 6 layers"]
    assert seen[: len(begin)] == begin
    assert all(str(one).startswith("positions-") for one in seen[len(begin) :])


def test_a_new_text_computes_nothing_anew_of_what_it_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("positions")
    before, made = charts(app), []

    def note(module: Any, name: str) -> None:
        make = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **options: made.append(name) or make(*args, **options))

    for name in ("positional_encoding", "by_offset"):
        note(word_order, name)
    for name in ("encoding_heatmap", "similarity_heatmap", "offset_band"):
        note(figures, name)
    app.text_area(key="text").set_value("She saw the first one, and then he saw the second.").run()
    assert made == []
    assert charts(app)[2:6] == before[2:6]  # between the bars of the shuffle and the scores of copies of a word


def test_a_look_at_what_components_reported_makes_no_class() -> None:
    app = opened("positions")
    for key in ("positions-before", "positions.layer:dial", "lesson-picture-positions-waves"):
        assert type(app.session_state[key]) is dict
    app.session_state["positions.layer:dial"] = {"moved": {"index": 2, "number": 1}}
    assert app.run().session_state["positions.layer:dial"] == {"moved": {"index": 2, "number": 1}}


def test_another_seed_is_another_shuffle() -> None:
    app = opened("positions", seed="4")
    labels = MINILM.encode(SENTENCE).labels
    assert " ".join(labels[i] for i in word_order.word_order(MINILM.encode(SENTENCE).words, 4)) in app.prose
    app.button(key="positions-again").click().run()
    assert app.number_input(key="positions.seed").value == 5
    assert " ".join(labels[i] for i in word_order.word_order(MINILM.encode(SENTENCE).words, 5)) in app.prose
    assert app.query_params["seed"] in ("5", ["5"])


def test_in_float64_the_rest_is_seen_to_be_rounding() -> None:
    app = opened("positions", exact="1")
    drawn = word_order.word_order(MINILM.encode(SENTENCE).words, 0)
    test = word_order.shuffle_test(word_order.exact(MINILM.transformer), IDS, drawn, "none")
    assert test.largest < 1e-12
    assert "(in float64)" in app.prose and f"×\u00a010⁻¹{scientific(test.largest)[-1]}" in app.prose


@pytest.mark.parametrize(("answer", "verdict"), [(GUESSES[0], "✓ Right."), (GUESSES[2], "Not quite: you said")])
def test_a_guess_is_answered_with_the_numbers(answer: str, verdict: str) -> None:
    app = opened("positions", revealed=0)
    assert len(charts(app)) == 6 and "Without positions it cannot tell" not in app.prose
    (quiz,) = (one for one in app.get("button_group") if "positions.quiz.shuffled" in one.proto.id)
    quiz.set_value(answer).run()
    (reply,) = [text.value for text in app.text if text.value.startswith(verdict)]
    drawn = word_order.word_order(MINILM.encode(SENTENCE).words, 0)
    none = word_order.shuffle_test(MINILM.transformer, IDS, drawn, "none")
    assert "finds the same tokens, gives them the same weights" in reply
    assert f"(largest difference {scientific(none.largest)}: rounding)" in reply
    assert len(charts(app)) == 8 and "Without positions it cannot tell" in app.prose and app.link == {}


def test_a_causal_model_is_asked_with_its_own_reason() -> None:
    app = opened("positions", model="scratch:gpt")
    assert "The causal mask lets a word see only what stands before it" in app.prose
    assert GUESSES[2] in app.prose or "even without positions" in app.prose


def test_a_shuffle_that_changes_nothing_is_not_asked_about() -> None:
    app = opened("positions", text="a a a a a a", revealed=0)
    assert "Type at least two different ones" in app.prose and not app.exception


def test_the_matrices_are_the_runs(first: Page) -> None:
    plain, changed = MINILM.run(SENTENCE), MINILM.run(SENTENCE, intervention=attnviz.Intervention(positions="none"))
    for (_, message), run in zip(views(first), (plain, changed), strict=True):  # each ends with the layer that is shown
        assert message == attention_message.pack(replace(run, layers=run.layers[:1]), name="minilm")
    before, after = (run.layers[0].attention.weights[0, 2] for run in (plain, changed))
    assert f"gives {percent(word_order.at_offset(before, -1))} of its attention to the token before" in first.prose
    there = round(100 * word_order.at_offset(after, -1))
    assert f"it gives {there}\u202f% there and {100 - there}\u202f% elsewhere." in first.prose


def test_the_heatmap_is_the_encoding(first: Page) -> None:
    table = positions.sinusoidal(128, 384).T.numpy()
    heat, waves = charts(first)[2:4]
    assert np.array_equal(numbers(heat["data"][0]["z"]), np.concatenate((table[0::2], table[1::2])))
    assert numbers(waves["data"][0]["y"]) == pytest.approx(table[48])
    assert numbers(waves["data"][1]["y"]) == pytest.approx(table[49])
    assert f"Dimensions 48 and 49 repeat every {2 * np.pi * 10_000 ** (48 / 384):.1f} tokens" in chart_titles(first)


def test_the_learned_table_is_the_models() -> None:
    app = opened("positions", encoding="learned", pair="3")
    table = MINILM.transformer.state_dict()["embed.positions.weight"][:128]
    heat, waves, matrix, band = charts(app)[2:6]
    assert np.array_equal(numbers(heat["data"][0]["z"])[:192], table.T[0::2].numpy())
    assert numbers(waves["data"][1]["y"]) == pytest.approx(table[:, 7].numpy())
    cosine = torch.nn.functional.cosine_similarity(table[:, None].double(), table[None].double(), dim=-1)
    assert numbers(matrix["data"][0]["z"]) == pytest.approx(cosine.float().numpy(), abs=1e-6)
    spread = word_order.by_offset(cosine)
    top, bottom, mean = (numbers(line["y"]) for line in band["data"])
    for line, expected in ((top, spread.high), (bottom, spread.low), (mean, spread.mean)):
        assert line == pytest.approx(expected.numpy(), abs=1e-9)
    assert f"a band up to {spread.largest:.2f} wide" in " ".join(chart_titles(app))
    assert f"Neighbours average {float(spread.mean[1]):.2f}" in app.prose


def test_alibis_head_changes_what_follows() -> None:
    app = opened("positions", encoding="alibi", slope="5")
    slope = float(positions.alibi_slopes(12)[5])
    assert f"Head 5 takes {slope:.4g} from the score" in " ".join(chart_titles(app))
    matrix, band = charts(app)[4:6]
    far = np.abs(np.arange(128)[:, None] - np.arange(128)[None])
    assert numbers(matrix["data"][0]["customdata"]) == pytest.approx(-slope * far, rel=1e-5)
    assert numbers(band["data"][2]["y"]) == pytest.approx(-slope * np.arange(128), rel=1e-5)


def test_the_curves_go_on_beyond_the_model(first: Page) -> None:
    rows = charts(first)[7]["data"]
    for row, scheme in zip(rows, positions.SCHEMES[1:], strict=True):
        n = 511 if scheme == "learned" else 2048
        curve = word_order.scores_by_distance(MINILM.transformer, IDS[10], scheme, n)[2].numpy()
        assert numbers(row["customdata"]) == pytest.approx(curve, abs=1e-4)
        drawn = numbers(row["y"])
        assert np.corrcoef(drawn, curve)[0, 1] == pytest.approx(1, abs=1e-5)
    assert "“2,049 positions asked of a learned table that has 512”" in first.prose


# ---- other models, texts, links ----------------------------------------------------------------------


def test_a_causal_model_gets_its_own_sentence() -> None:
    app = opened("positions", model="scratch:gpt")
    assert "A causal model can tell without positions" in app.prose
    assert len(charts(app)[0]["data"][0]["y"]) and "No mask either" in str(charts(app)[0]["layout"]["annotations"])
    gpt = loaded("scratch:gpt")
    encoding = gpt.encode(SENTENCE)
    drawn = word_order.word_order(encoding.words, 0)
    test = word_order.shuffle_test(gpt.transformer, encoding.ids, drawn, "none", mask="none")
    assert f"largest difference {scientific(test.largest)}" in app.prose
    assert test.largest <= 1e-6 * test.scale


@pytest.mark.parametrize("name", ["scratch:tiny", "scratch:bert", "scratch:test"])
@pytest.mark.parametrize("scheme", ["rope", "alibi"])
def test_every_model_runs(name: str, scheme: str) -> None:
    app = opened(
        "positions", model=name, scheme=scheme, encoding=scheme, layer="9", head="11", turn="15", slope="11", word="60"
    )
    assert not app.exception and len(charts(app)) == 8


@pytest.mark.parametrize(
    "text", ["x", "<script>alert(1)</script>", "\u202eabc", "[CLS]", "$x$ *y* `z`", "東京", "\x00a"]
)
def test_any_text_runs(text: str) -> None:
    app = opened("positions", text=text)
    assert app.prose
    assert app.title[0].value == "How does the model know the order of words?"


def test_one_word_has_no_order() -> None:
    app = opened("positions", text="tired")
    assert "One word has no order" in app.prose
    assert len(charts(app)) == 6  # all but the bars


def test_a_text_longer_than_the_page_shows_is_cut() -> None:
    app = opened("positions", text="word and " * 400)
    assert not app.exception and len(charts(app)) == 8
    assert any("first 64 tokens" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    "bad",
    [
        {"scheme": "rotary", "encoding": "", "seed": "-1", "layer": "1e9", "pair": "x", "exact": "yes"},
        {"head": "99", "layer": "99", "pair": "9999", "turn": "9999", "slope": "9999", "word": "9999"},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = opened("positions", **bad)
    assert not app.exception and len(charts(app)) == 8


@pytest.mark.parametrize("head", [0, 2])
def test_a_heads_score_depends_on_the_place_but_with_rope_and_alibi(head: int) -> None:
    """Cosines of sinusoidal positions depend on the offset only; a score, which mixes words and positions, does not."""
    app = opened("positions", first_head=head)
    transformer = MINILM.transformer
    x = {s: transformer.embed(torch.full((1, 128), IDS[10]), None, s) for s in ("sinusoidal", "learned")}
    attention = transformer.encoder["layers"][0].self_attn
    drawn = charts(app)[6]["data"]
    assert [line["name"] for line in drawn] == [positions.described(key).name for key in positions.SCHEMES[1:]]
    lines = dict(zip(positions.SCHEMES[1:], drawn, strict=True))
    with torch.inference_mode():
        for scheme in ("sinusoidal", "learned"):
            line = lines[scheme]
            run = attention.trace_batch_first(x[scheme])
            scores = (run.q[0, head] @ run.k[0, head].T) / 32**0.5
            expected = [float(scores[p, p - 1] - scores[p, p - 3]) for p in range(3, 128)]
            assert numbers(line["x"]).tolist() == list(range(3, 128))
            assert numbers(line["y"]) == pytest.approx(expected, abs=1e-3)
            assert f"({number(min(expected))} to {number(max(expected))})" in app.prose
    spread = {scheme: np.ptp(numbers(line["y"])) for scheme, line in lines.items()}
    assert max(spread["sinusoidal"], spread["learned"]) > 1 > 1e-4 > spread["rope"]
    assert spread["alibi"] == 0
    assert numbers(lines["alibi"]["y"])[0] == pytest.approx(2 * float(positions.alibi_slopes(12)[head]))
    assert "It is the same at every place with RoPE" in app.prose and "Yes: wherever they stand" in app.prose


@pytest.mark.parametrize("model", ["minilm", "austen", "scratch:gpt"])
def test_dial_sentence_and_link_name_the_same_word(model: str) -> None:
    app = opened("positions", model=model)
    for text in (SENTENCE, "It was tired, so it slept. Then it was not tired.", "short one"):
        app.text_area(key="text").set_value(text).run()
        word, labels = app.session_state["positions.word"], loaded(model).encode(text).labels
        dials = [sent for sent in values(app, "attnviz_dial") if sent["label"] == "Word"]
        assert [sent["texts"][sent["index"]] for sent in dials] == [f"{word} {labels[word]}"] * 2
        assert f"“{labels[word]}” looks at copies" in app.prose and app.link.get("word", beginning(app)) == str(word)


def test_a_second_thing_to_try_does_not_keep_what_the_first_set() -> None:
    app = opened("positions", seed=3)
    app.button(key="positions-try-3").click().run()
    app.button(key="positions-try-1").click().run()
    assert app.link == {"seed": "3", "scheme": "learned", "encoding": "learned", "pair": "0"}


def test_no_control_says_before_the_guess_that_nothing_but_rounding_is_left() -> None:
    app = opened("positions", revealed=0)
    labels = [one.label for one in (*app.button, *app.toggle)]
    assert "A causal model" in labels and not any("float" in label for label in labels)
    app.guess("shuffled", "It changes a lot")
    assert "Compute in float64" in [one.label for one in app.toggle]
    assert "The same shuffle in float64" in [one.label for one in app.button]


def test_each_thing_to_try_sets_the_page_up() -> None:
    app = opened("positions")
    for i, told in enumerate(["Run with RoPE", "the model’s own table", "A causal model", "in float64"]):
        app.button(key=f"positions-try-{i}").click().run()
        app.run()
        assert told in app.prose + " ".join(chart_titles(app)), i
    again = opened("positions", **app.link)
    assert again.prose == app.prose and chart_titles(again) == chart_titles(app)


def test_the_pictures_can_be_saved_as_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "reported", lambda key, name: True if name == "csv" else None)
    sent = [about["file"] for about, _ in frames(opened("positions"), "attnviz_chart")]
    files = {name: list(csv.reader(io.StringIO(text, newline=""))) for name, text, _ in sent}
    names, *rows = files["attnviz-positions-encoding.csv"]
    assert names == ["position", *map(str, range(384))] and [row[0] for row in rows] == [
        str(i) for i in range(len(rows))
    ]
    assert rows[0][1:5] == ["0.0", "1.0", "0.0", "1.0"]  # sin 0, cos 0
    assert all(len(row) == len(table[0]) > 1 for table in files.values() for row in table)


def test_the_link_restores_everything() -> None:
    chosen = {"seed": "3", "scheme": "alibi", "layer": "4", "head": "7", "encoding": "rope", "turn": "5", "word": "2"}
    app = opened("positions", **chosen)
    assert app.link == chosen
    assert "In layer 4, head 7" in app.prose and "“animal” looks at copies" in app.prose


def test_the_code_that_ran_is_shown_when_asked_for(first: Page) -> None:
    assert not first.code
    app = opened("positions")
    app.session_state["positions-code"] = True
    app.run()
    shown = "\n".join(code.value for code in app.code)
    for name in ("def shuffle_test", "def sinusoidal", "def learned", "def rope", "def alibi_bias", "def rotary"):
        assert name in shown
