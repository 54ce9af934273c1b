"""The page "Masks" through AppTest: what is on screen is what the library computes, and bad input gets a sentence."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from attnviz import Intervention
from attnviz.analysis import causality
from attnviz.analysis.measures import relative_change
from attnviz.browser import attention_message
from attnviz.browser.framing import read_frame
from attnviz.figures.palette import LIGHT
from attnviz.formatting import percent
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn import mask_patterns
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer
from attnviz.web import cache, thread
from attnviz.web.masks import first_runs, parts, state
from tests.pages.driver import SENTENCE, Page, beginning, charts, header, opened, views
from tests.support.models import loaded
from tests.support.traces import encoding_of

VIEWS = 5  # before, after, change; without and with the padding mask


@pytest.fixture
def app() -> Page:
    return opened("masks")


def bars(app: Page, chart: int) -> list[list[float]]:
    """The rows of a figure, as shares of 1."""
    figure = charts(app)[chart]
    return [[y / 100 for y in row["y"]] for row in figure["data"]]


CHANGES = {
    "trained": (None, 256),
    "none": (Intervention(mask="none"), 256),
    "causal": (Intervention(mask="causal"), 136),
    "window": (Intervention(mask=("window", 3)), None),
    "block": (mask_patterns.block(16, 3), None),
    "strided": (mask_patterns.strided(16, 1, 3), None),
    "prefix": (mask_patterns.prefix(16, 3), None),
}


@pytest.mark.parametrize("mask", CHANGES)
def test_the_outputs_are_those_of_the_model_under_the_mask(app: Page, mask: str) -> None:
    app.choose(mask=mask, n=3)
    assert not app.exception
    model, (change, pairs) = loaded("minilm"), CHANGES[mask]
    if isinstance(change, torch.Tensor):
        pairs = int(change.sum())
        change = Intervention(blocked=[tuple(cell) for cell in (~change).nonzero().tolist()])
    moved = relative_change(model.run(SENTENCE), model.run(SENTENCE, intervention=change))[-1, 0]
    assert bars(app, 0)[0] == pytest.approx(moved.tolist(), abs=1e-5)
    if pairs is not None:
        assert f"{pairs} of 256 pairs" in app.text[0].value
    if float(moved.max()) == 0:
        assert "no output changes" in app.text[0].value
    else:
        assert f"output vector of “it” has changed by {percent(float(moved[10]))} of its norm" in app.text[0].value
        assert f"the average token’s by {percent(float(moved.mean()))}" in app.text[0].value


def test_the_matrices_are_one_head_before_and_after(app: Page) -> None:
    app.choose(mask="causal", layer=2, head=5)
    model = loaded("minilm")
    plain, causal = model.run(SENTENCE), model.run(SENTENCE, intervention=Intervention(mask="causal"))
    (before, _), (after, _), (change, _) = views(app)[:3]
    assert len(views(app)) == VIEWS
    for about, diff in ((before, False), (after, False), (change, True)):
        assert (about["state"]["layer"], about["state"]["head"], about["state"]["diff"]) == (2, 5, diff)
        assert about["compact"]["title"]
    for number, trace in ((0, plain), (1, causal)):
        about, payload = read_frame(views(app)[number][1])
        at = about["layers"][2]["at"]
        q = trace.layers[2].attention.q[0].numpy()
        assert payload[at : at + q.nbytes] == q.tobytes()
    assert header(views(app)[2][1])["before"] is not None


def test_a_view_gets_only_what_it_draws(app: Page) -> None:
    whole = attention_message.pack(loaded("minilm").run(SENTENCE), name="minilm")
    assert len(views(app)[0][1]) < len(whole) / 4


@pytest.mark.parametrize("position", [1, 7, 15])
def test_the_leak_test_is_the_librarys(app: Page, position: int) -> None:
    app.choose(position=position, word="green")
    model = loaded("minilm")
    green = causality.word_id(model.tokenizer, "green")
    rows = bars(app, 1)
    for row, mask in zip(rows, ("none", "causal"), strict=True):
        expected = causality.exchange_token(model, SENTENCE, position, green, Intervention(mask=mask))
        assert row == pytest.approx(expected.change[-1].tolist(), abs=1e-6)
    assert max(rows[1][:position]) <= 1e-6 < min(rows[1][position:])
    assert min(rows[0]) > 1e-6
    assert f"With the causal mask {16 - position} do" in app.prose
    assert (
        "The output before it is unchanged" if position == 1 else f"The {position} outputs before it are"
    ) in app.prose


@pytest.mark.parametrize(
    ("word", "words"), [("tired", "is the word that stands there"), ("qzxv jk", "is not one token")]
)
def test_a_word_that_cannot_stand_there_gets_a_sentence(app: Page, word: str, words: str) -> None:
    app.choose(word=word)
    assert not app.exception and words in app.prose and "banana" in app.prose
    assert app.session_state["masks.word"] == word


def test_padding_is_a_real_batch(app: Page) -> None:
    model = loaded("minilm")
    masked, bare = (causality.padded(model, [SENTENCE, "Birds sing at dawn.", "Yes."], masked=m) for m in (True, False))
    alone = model.run("Yes.")
    for row, batch in zip(bars(app, 2), (bare, masked), strict=True):
        assert row == pytest.approx(causality.against_alone(batch, 2, alone).tolist(), abs=1e-5)
    share = causality.padding_share(bare, 2)
    layer, head = causality.padded_head(share)
    assert f"[PAD] takes {percent(float(share.max()))} of text 2’s attention in layer {layer}, head {head}" in app.prose
    (without, message), (with_, _) = views(app)[3:]
    assert (without["state"]["layer"], without["state"]["head"]) == (layer, head)
    assert header(message)["tokens"]["labels"] == ["[CLS]", "yes", ".", "[SEP]", *["[PAD]"] * 12]
    assert without["compact"]["title"] != with_["compact"]["title"]


def counted_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each pass of a model has run since."""
    texts: list[int] = []
    run = Transformer._run

    def counted(model: Transformer, stack: Any, place: str, ids: torch.Tensor, *others: Any, **options: Any) -> Trace:
        texts.append(len(ids))
        return run(model, stack, place, ids, *others, **options)

    monkeypatch.setattr(Transformer, "_run", counted)
    return texts


@pytest.mark.parametrize("model", ["minilm", "tales"])
def test_the_first_look_at_a_text_is_one_pass(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """As trained, under the mask asked about, a word exchanged under the causal one, and [PAD] seen and hidden."""
    for one in (cache.trace, state.padded):  # the batch's other texts, which tests before may have run
        one.clear()
    app = opened("masks", model=model, revealed=0)
    texts = counted_runs(monkeypatch)
    app.sidebar.text_area[0].set_value(f"He counts every run of {model} on this page.").run()
    assert not app.exception and texts == [5]
    app.choose(position=3)
    assert texts == [5, 1]  # the exchange of another word
    app.choose(row=1)
    assert texts == [5, 1, 2, 1]  # another text of the batch, with [PAD] seen and hidden, and alone


def test_a_text_is_read_into_tokens_once(app: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    read, encode = [], Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda self, *of, **more: read.append(of[0]) or encode(self, *of, **more))
    text = "He counts how often this text is read."
    app.sidebar.text_area[0].set_value(text).run()
    assert not app.exception and read.count(text) == 1


def test_one_pass_gives_the_numbers_of_a_pass_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message and each sentence; but for what says how far rounding goes, which may differ in its digit."""
    text = "One pass gives what a pass for each of them gives."
    together = opened("masks", text=text)
    for one in (cache.trace, state._effect, state._messages, state._prediction, state.exchanged, state.padded):
        one.clear()
    monkeypatch.setattr(first_runs, "can_run", lambda model: False)
    first_runs._prepared.clear()
    texts = counted_runs(monkeypatch)
    apart = opened("masks", text=text)
    assert len(texts) == 6 + 1  # and "Yes." alone
    prose, other_prose = (re.sub(r"to within \S+ \S+ \S+ of its norm", "", app.prose) for app in (together, apart))
    assert prose == other_prose
    for chart, other in zip(charts(together), charts(apart), strict=True):
        for row, other_row in zip(chart["data"], other["data"], strict=True):
            assert row["y"] == pytest.approx(other_row["y"], abs=1e-4)
    for (_, message), (_, other) in zip(views(together), views(apart), strict=True):
        (about, payload), (other_about, other_payload) = read_frame(message), read_frame(other)
        assert about == other_about
        n = about["layers"][3]["heads"] * len(about["tokens"]["labels"]) * about["d"]  # of a layer's queries
        numbers = [np.frombuffer(one, "<f4", n, about["layers"][3]["at"]) for one in (payload, other_payload)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)


def test_the_longest_text_needs_no_padding(app: Page) -> None:
    app.choose(row=0)
    assert not app.exception and "is the longest and needs none" in app.prose and len(charts(app)) == 2


def guess(app: Page, name: str, answer: str) -> Page:
    """Answers one of the page's quizzes."""
    (quiz,) = (one for one in app.get("button_group") if f"masks.quiz.{name}" in one.proto.id)
    return quiz.set_value(answer).run()


def test_the_predictions_are_judged_by_the_numbers() -> None:
    app = opened("masks", revealed=0)
    assert len(charts(app)) == 1 and "hidden until you have guessed" in app.sentence and "norm" not in app.sentence
    guess(app, "thirds", "Tokens in the first third of the text")
    assert len(charts(app)) == 2 and "of its norm" in app.sentence
    model = loaded("minilm")
    change = relative_change(model.run(SENTENCE), model.run(SENTENCE, intervention=Intervention(mask="causal")))[-1, 0]
    first, last = float(change[:5].mean()), float(change[-5:].mean())
    assert first > 1.5 * last and "✓ Right. An output is made of what its token sees." in app.prose
    sees = "tokens in the first third of the text see 13 tokens fewer on average, those in the last third 2 fewer."
    assert f"Under the causal mask, {sees}" in app.prose
    assert (
        f"{100 * first:.1f}\u202f% of their norm in the first third, and by {100 * last:.1f}\u202f% in the last"
        in app.prose
    )
    guess(app, "leak", "all of them")
    assert "Not quite: you said “all of them”, it is “only its own and later ones”." in app.prose
    assert "The 13 outputs before it are unchanged. From position 13 on, 3 of 3 outputs change." in app.prose
    assert len(charts(app)) == 3


def test_a_mean_number_of_tokens_keeps_its_half() -> None:
    """Of 8 tokens the first two lose 7 and 6, the last two 1 and none: 6.5 and 0.5, not 6 and 0."""
    app = opened("masks", text="A cat sat on the mat")
    told = [one.value for one in app.text if "An output is made of what its token sees" in one.value]
    assert "see 6.5 tokens fewer on average, those in the last third 0.5 fewer." in told[0]


def test_another_mask_than_the_asked_one_is_shown_before_the_guess() -> None:
    app = opened("masks", revealed=0, mask="window", n=1)
    assert len(charts(app)) == 2 and "of its norm" in app.sentence


def test_the_first_token_has_nobody_before_it_to_ask_about() -> None:
    app = opened("masks", revealed=0, position=0)
    assert "There is no output before it." in app.prose and len(charts(app)) == 2


def test_an_untrained_model_is_as_built() -> None:
    app = opened("masks", model="scratch:gpt", mask="trained")
    assert "As built = causal" in app.sentence and "trained" not in app.prose
    assert "As built" in str(app.get("button_group")) and views(app)[0][0]["compact"]["title"].endswith("as built")


# ---- a mask painted by hand ---------------------------------------------------------------------------


def paint(app: Page, cells: list[tuple[int, int]]) -> Page:
    """What the browser reports after a stroke."""
    shown = views(app)[1][0]["state"]
    app.session_state["masks-after"] = {"view": {**shown, "mask": "painted", "painted": [list(c) for c in cells]}}
    return app.run()


def test_painting_runs_the_model_and_is_in_the_link(app: Page) -> None:
    app.choose(mask="painted")
    assert "Drag over the matrix" in app.text[0].value
    cells = [(10, 2), (10, 3), (11, 2)]
    paint(app, cells)
    model = loaded("minilm")
    moved = relative_change(model.run(SENTENCE), model.run(SENTENCE, intervention=Intervention(blocked=cells)))[-1, 0]
    assert bars(app, 0)[0] == pytest.approx(moved.tolist(), abs=1e-6)
    assert "253 of 256 pairs" in app.text[0].value
    assert app.link == {"mask": "painted", "painted": "10.2-3_11.2"}
    again = opened("masks", **app.link)
    assert bars(again, 0) == bars(app, 0) and again.text[0].value == app.text[0].value
    paint(app, [])  # undone
    assert app.link == {"mask": "painted"} and max(bars(app, 0)[0]) == 0


def test_a_token_chosen_in_one_matrix_is_chosen_in_all(app: Page) -> None:
    shown = views(app)[0][0]["state"]
    app.session_state["masks-before"] = {"view": {**shown, "queries": [6], "key": 8}}
    app.run()
    others = [about["state"] for about, _ in views(app)[1:3]]  # what a view reported itself is not sent back to it
    assert [(state["queries"], state["key"]) for state in others] == [([6], 8)] * 2
    assert "output vector of “cross” has" in app.text[0].value
    assert app.link == {"token": "6", "key": "8"}


@pytest.mark.parametrize("name", ["minilm", "scratch:gpt", "scratch:tiny"])
def test_everything_hidden_gets_words(name: str) -> None:
    app = opened("masks", mask="painted", painted="0-15.0-15", model=name)
    assert not app.exception
    assert "0 of 256 pairs" in app.text[0].value
    assert "No token may look at anything; all weights add up to 0: not NaN, and not 1/16" in app.prose
    assert all(torch.isfinite(torch.tensor(bars(app, 0)[0])))


def test_one_row_that_sees_nothing_is_explained_with_its_numbers() -> None:
    app = opened("masks", mask="painted", painted="10.0-15")
    model = loaded("minilm")
    after = model.run(SENTENCE, intervention=Intervention(blocked=[(10, j) for j in range(16)])).layers[3].attention
    before = model.run(SENTENCE).layers[3].attention
    numbers = [float(one.out[0, 10].norm()) for one in (after, before)]
    assert "“it” may look at nothing; its weights add up to 0" in app.prose
    assert f"(norm {numbers[0]:.2f}; before, {numbers[1]:.2f})" in app.prose


@pytest.mark.parametrize("number", range(4))
def test_each_try_sets_the_page_up(app: Page, number: int) -> None:
    app.button(key=f"masks-try-{number}").click().run()
    assert not app.exception
    expected = ["46 of 256", "241 of 256", "240 of 256", "0 of 256"]
    assert f"{expected[number]} pairs" in app.text[0].value
    again = opened("masks", **app.link)
    assert again.text[0].value == app.text[0].value


# ---- other texts, other models, bad input ---------------------------------------------------------------


def test_a_causal_model_says_so() -> None:
    app = opened("masks", mask="trained", model="scratch:gpt")
    assert not app.exception and "As built = causal" in app.text[0].value
    assert "no output changes" in app.choose(mask="causal").text[0].value
    assert "Take the causal mask away" in app.get("button_group")[0].proto.label
    assert "the causal mask hides it already" in app.prose
    app.choose(mask="window", n=2)
    assert "if they are not later" in app.text[0].value and "45 of 256 pairs" in app.text[0].value
    assert "137 of 256" in app.choose(mask="prefix").text[0].value


@pytest.mark.parametrize(("model", "n"), [("minilm", 1), pytest.param("scratch:gpt", 16, marks=pytest.mark.nightly)])
def test_a_prefix_that_is_the_mask_in_question_hides_the_answer_too(model: str, n: int) -> None:
    """Of 1 token it is the causal mask, of 16 in a causal model none."""
    app = opened("masks", model=model, mask="prefix", n=n, revealed=0)
    assert "is hidden until you have guessed" in app.text[0].value
    shown = opened("masks", model=model, mask="prefix", n=n)
    same = opened("masks", model=model, mask="causal" if n == 1 else "none")
    assert shown.text[0].value.partition("After all layers")[2] == same.text[0].value.partition("After all layers")[2]
    assert "After all layers" in shown.text[0].value


def test_another_text_drops_what_was_painted_on_the_old_one_and_keeps_the_words(app: Page) -> None:
    app.choose(mask="painted", painted="3.1-4", token=10, zoom=(0, 3, 0, 3))
    app.text_area(key="text").set_value("Two words").run()
    assert not app.exception
    assert app.link == {"mask": "painted", "text": "Two words"}
    assert app.session_state["masks.token"] == app.session_state["masks.position"] == 2


@pytest.mark.parametrize("model", ["minilm", "austen", "scratch:gpt"])
def test_boxes_sentences_pictures_and_link_name_the_same_tokens(app: Page, model: str) -> None:
    def agree() -> None:
        position, labels = (
            app.session_state["masks.position"],
            loaded(model).encode(app.text_area(key="text").value),
        )
        box = app.selectbox(key="masks.position")
        assert box.options[position] == f"{position} {labels.labels[position]}" and box.value == position
        assert f"“{labels.labels[position]}” at position {position} becomes" in app.prose
        token = app.session_state["masks.token"]
        assert views(app)[0][0]["state"]["queries"] == [token]
        assert f"output vector of “{labels.labels[token]}” has" in app.sentence
        assert app.link.get("token", beginning(app)) == str(token)
        assert app.link.get("position", str(thread.last_word(labels.labels, labels.special))) == str(position)

    app.session_state["model"] = model
    for text in (
        SENTENCE,
        "In every park the old birds often sing at dawn when nobody listens to them at all.",
        "It was tired, so it slept. Then it was not tired.",
        "short one",
    ):
        app.text_area(key="text").set_value(text).run()
        app.choose(mask="block")
        agree()
        app.button(key="masks-try-0").click().run()
        agree()


def test_a_chosen_word_stays_chosen_in_another_text(app: Page) -> None:
    app.text_area(key="text").set_value("The animal didn't cross the street because it was too wide.").run()
    assert app.session_state["masks.token"] == 10 and app.session_state["masks.position"] == 13  # “wide”
    app.text_area(key="text").set_value("It is wide because it was tired.").run()
    assert (app.session_state["masks.token"], app.session_state["masks.position"]) == (1, 3)


def test_layer_head_and_words_come_along_from_page_to_page() -> None:
    app = opened("softmax")
    app.choose(layer=2, head=5, query=2)
    app.query_params.clear()
    app.switch_page("pages/masks.py").run()
    state = app.session_state
    assert [state[f"masks.{field}"] for field in ("layer", "head", "token")] == [2, 5, 2]
    assert "Hide “animal” from all others" in [button.label for button in app.button]
    app.query_params.clear()
    app.switch_page("pages/positions.py").run()
    assert "In layer 2, head 5 a token gives" in app.prose and "“animal” looks at copies of itself" in app.prose
    app.session_state["positions.layer"] = 4
    app.run()
    app.query_params.clear()
    app.switch_page("pages/softmax.py").run()
    assert [app.session_state[f"softmax.{field}"] for field in ("layer", "head", "query")] == [4, 5, 2]


def test_a_list_of_tokens_shows_them_as_they_are(app: Page) -> None:
    options = app.selectbox(key="masks.position").options
    assert options[0] == "0 [CLS]" and options[14] == "14 ."


def test_a_box_shows_the_beginning_of_a_long_token() -> None:
    pile = "e" + "\u0301" * 100_000
    rows = parts._token_rows((encoding_of([pile, "<b>"]),), LIGHT)
    assert f"<bdi>{pile[:119]}…</bdi>" in rows and "<bdi>&lt;b&gt;</bdi>" in rows
    assert f' title="{pile[:999]}…"' in rows and rows.count("title=") == 1 and len(rows) < 3000


def test_a_second_thing_to_try_does_not_keep_what_the_first_set(app: Page) -> None:
    app.choose(word="green")
    app.button(key="masks-try-3").click().run()
    app.button(key="masks-try-0").click().run()
    assert app.link == {"mask": "window", "n": "1", "word": "green"}


@pytest.mark.parametrize(
    "text", ["x", "é", "<script>alert(1)</script>", "\u202eabc", "[CLS]", "東京 עברית 😀", "$\\frac{1}$ **b** :red[x]"]
)
@pytest.mark.parametrize("name", ["minilm", "scratch:gpt"])
def test_any_text_runs_under_any_mask(text: str, name: str) -> None:
    app = opened("masks", text=text, model=name, mask="strided", n="16")
    assert not app.exception and "pairs are left" in app.text[0].value
    for mask in ("painted", "causal", "block"):
        assert not app.choose(mask=mask).exception
    assert "<script>" not in "".join(html.proto.body for html in app.get("html"))


def test_a_long_text_is_shown_in_part(app: Page) -> None:
    app.text_area(key="text").set_value("word " * 700).run()
    assert not app.exception and any("first 64 tokens" in caption.value for caption in app.caption)
    app.choose(mask="painted", painted="0-63.0-63")
    assert not app.exception and "0 of 4,096 pairs" in app.text[0].value


@pytest.mark.parametrize(
    "bad",
    [
        {"mask": "nonsense", "n": "0", "layer": "-1", "head": "x", "painted": "5-1.2", "row": "9"},
        {"mask": "painted", "painted": "0-9999999.0-9999999", "zoom": "1,2", "n": "1e9", "position": "-3"},
        {"layer": "99", "head": "77", "position": "5000", "token": "5000", "key": "5000", "word": "<b>" * 60},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = opened("masks", **bad)
    assert not app.exception and len(views(app)) == VIEWS and "pairs are left" in app.text[0].value


def test_the_code_that_ran_is_shown_when_asked_for(app: Page) -> None:
    assert not app.code
    app.session_state["masks-code"] = True
    app.run()
    assert any("def attend(" in code.value for code in app.code) and any("def keep(" in c.value for c in app.code)
