"""The page "Attention and cause" through AppTest: its numbers are the library's, its answer is hidden, links reopen."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from attnviz import Model, load
from attnviz.analysis import attribution, evidence, predictions, reruns
from attnviz.analysis.evidence import METHODS, Evidence
from attnviz.formatting import number, percent
from attnviz.web import store
from attnviz.web.evidence import text, work
from attnviz.web.jobs import slices
from tests.pages.driver import SENTENCE, Page, charts, numbers, opened, values

NOVEL = "It is a truth universally acknowledged that a single man"
TALE = "The cat saw the dogs because they were hungry."
QUICK = tuple(method for method in METHODS if method != "integrated")


@pytest.fixture(scope="module")
def page() -> Page:
    return opened("evidence")


@pytest.fixture(scope="module")
def minilm() -> Evidence:
    model = load("minilm")
    trace = model.run(SENTENCE)
    return evidence.gathered(model, trace, predictions.predicted(trace), methods=QUICK)


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


def rows(app: Page) -> list[list[str]]:
    """The table of correlations, as one cell each."""
    (found,) = (one for one in values(app, "attnviz_table") if one["label"].startswith("Rank correlations"))
    return [[cell[0] for cell in row["cells"]] for row in found["rows"]]


def columns(app: Page) -> dict[str, np.ndarray]:
    """What the picture draws, ±√ of the share of each column's largest, by heading."""
    (chart,) = charts(app)
    headings = chart["layout"]["xaxis"]["ticktext"]
    found: dict[str, np.ndarray] = {}
    for trace in chart["data"]:
        table = np.array(numbers(trace["z"])).reshape(len(trace["y"]), len(trace["x"]))
        found |= {headings[x]: table[:, i] for i, x in enumerate(trace["x"])}
    return found


def test_shows_the_librarys_numbers(page: Page, minilm: Evidence) -> None:
    drawn = columns(page)
    assert list(drawn) and set(drawn) == {text.HEADINGS[method] for method in QUICK}
    for method in QUICK:
        column = minilm.values[method]
        expected = column.sign() * (column.abs() / column.abs().max()).sqrt()
        assert drawn[text.HEADINGS[method]] == pytest.approx(expected.numpy(), abs=1e-3), method
    for row, method in zip(rows(page), QUICK[:-1], strict=True):
        compared = minilm.compared(method)
        assert compared is not None
        assert row[0] == text.NAMES[method] and [row[1], row[3]] == [number(one.value) for one in compared]
        assert row[2] == f"{number(compared[0].low)} to {number(compared[0].high)}"


def test_one_sentence_says_whether_the_orders_agree(page: Page, minilm: Evidence) -> None:
    compared = minilm.compared("attention")
    assert compared is not None and compared[0].says == 1
    rho = f"Spearman’s ρ\u00a0=\u00a0{number(compared[0].value)}"
    assert f"Over 14 tokens the two orders agree more than chance would have it: {rho}" in page.sentence
    token = max(minilm.own, key=lambda i: abs(float(minilm.values["erasure"][i])))
    label = load("minilm").encode(SENTENCE).labels[token]
    assert minilm.erased is not None
    before, after = number(minilm.erased.before), number(float(minilm.erased.after[token]))
    reaches = f"along its own direction it then reaches {after}, not {before}"
    changed = f"changes MiniLM’s embedding of the text most: {reaches}"
    assert f"erasing “{label}” {changed}" in page.sentence


def test_until_the_guess_only_attention_shows() -> None:
    app = opened("evidence", revealed=0)
    assert set(columns(app)) == {"attention"} and not values(app, "attnviz_table")
    (chart,) = charts(app)
    assert chart["layout"]["xaxis"]["range"] == [-0.5, 5.5]  # room for the six, so that nothing moves
    assert "ρ" not in app.prose and "erasing" not in app.sentence
    app = app.guess("matters", "tired")
    assert "Not quite: you said “tired”, it is “animal”." in app.prose
    assert len(columns(app)) == len(QUICK) and values(app, "attnviz_table")


def test_the_options_do_not_tell_the_answer_by_the_attention_that_shows(minilm: Evidence) -> None:
    """Two are the first by erasure: attention, which shows, does not tell which of them is in front."""
    app = opened("evidence", revealed=0)
    (quiz,) = (one for one in app.get("button_group") if "evidence.quiz" in one.proto.id)
    offered = {option.content for option in quiz.proto.options}
    first = {
        method: sorted(minilm.own, key=lambda token: -float(minilm.values[method][token].abs()))
        for method in ("erasure", "attention")
    }
    labels = load("minilm").encode(SENTENCE).labels
    assert len(offered) == 4 and {labels[token] for token in first["erasure"][:2]} <= offered
    assert labels[first["attention"][0]] in offered


def test_a_next_token_of_a_layer_with_integrated_gradients_reopens(austen: Model) -> None:
    app = opened("evidence", model="austen", text=NOVEL).choose(layer=2, integrated=True, typed="be")
    trace = austen.run(NOVEL)
    target = next(i for i in austen.encode(" be").ids[1:])
    asked = predictions.predicted(trace, target)
    expected = evidence.gathered(austen, trace, asked, layer=2)
    assert expected.integrated is not None and text.complete(expected.integrated) in [one.value for one in app.caption]
    compared = expected.compared("integrated")
    assert compared is not None and rows(app)[-1][:2] == ["integrated gradients", number(compared[0].value)]
    assert "of “be” as the next token" in app.sentence
    assert app.link == {"model": "austen", "text": NOVEL, "layer": "2", "integrated": "1", "typed": "be"}
    assert opened("evidence", **app.link).prose == app.prose
    assert "2 tokens here: “truth”, “ful”" in " ".join(one.value for one in app.choose(typed="truthful").caption)
    pasted = app.choose(typed="truth" * 100)
    assert "has 500 characters" in " ".join(one.value for one in pasted.caption)
    assert pasted.text_input(key="evidence.typed").value == "truth" * 100


def test_who_wrote_the_logit_and_what_it_would_say_earlier(austen: Model) -> None:
    app, trace = opened("evidence", model="austen", text=NOVEL), austen.run(NOVEL)
    assert trace.logits is not None
    row, logits = trace.lengths[0] - 1, trace.logits[0, -1]
    target = int(logits.argmax())
    label = austen.tokenizer.encoding([target]).labels[0]
    assert f"add up to the logit of “{label}” as the next token" in app.prose
    assert f"{number(float(logits[target]))}. Most comes from " in app.prose
    tables = {one["label"]: one["rows"] for one in values(app, "attnviz_table")}
    parts = attribution.logit_parts(austen.transformer, trace, row, target)
    largest = int(parts.terms.abs().argmax())
    assert tables["Who wrote it"][0]["cells"] == [
        [str(parts.parts[largest])],
        [text.signed(float(parts.terms[largest]))],
    ]
    lens = attribution.logit_lens(austen.transformer, trace, row).double().softmax(dim=-1)
    stops = tables["What the model would say if it stopped earlier"]
    assert [line["cells"][3][0] for line in stops] == [percent(float(share)) for share in lens[:, target]]
    assert stops[-1]["cells"][:2] == [["after layer 3"], [label]] and stops[0]["cells"][0] == ["before layer 0"]
    (link,) = [one.proto for one in app.get("page_link") if one.proto.label.startswith("What is layer")]
    assert "model=austen" in link.query_string
    rows = tables["Who wrote it"]
    assert {bool(one["key"]) for one in rows if ", head " in one["cells"][0][0]} == {True}
    last = [one for one in rows if one["key"]][-1]
    app.session_state["evidence-wrote"] = {"chosen": {"key": last["key"], "number": 1}}
    labels = [one.proto.label for one in app.run().get("page_link")]
    name = last["cells"][0][0]
    assert {f"Open {name} in Explore", f"What is {name} for?"} <= set(labels)
    query = dict(parse_qsl(app.get("page_link")[labels.index(f"Open {name} in Explore")].proto.query_string))
    assert query == {"model": "austen", "text": NOVEL, "q": str(row)} | dict(
        zip(("layer", "head"), last["key"].split("."), strict=True)
    )
    assert "Which part of the model wrote it?" not in [one.value for one in opened("evidence").header]  # an embedding


def test_from_where_on_a_model_would_say_it() -> None:
    assert text.on_the_way("a", ["b", "a", "b", "a", "a"]) == "Stopped after layer 2, it would say “a” too."
    assert text.on_the_way("a", ["a", "a"]) == "Stopped before layer 0, it would say “a” too."
    assert text.on_the_way("a", ["a", "b", "a"]) == "Only its last layer makes “a” the likeliest."
    assert text.on_the_way("a", ["a", "b"]) == "At its end the model says “b”."


@pytest.mark.parametrize("method", ["erasure", "flow", pytest.param("integrated", marks=pytest.mark.nightly)])
def test_long_measures_go_on_in_slices_and_can_be_cancelled(method: work.Long, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"model": "austen", "text": NOVEL, "integrated": int(method == "integrated")}
    whole = opened("evidence", **asked).prose
    kept = work.WORK[method].name
    store.STORE.clear(kept)
    monkeypatch.setattr(reruns, "MOST_TOKENS", 1)  # a token, or a point of the integral, is a step
    app = opened("evidence", **(asked | {"integrated": 0}))
    monkeypatch.setattr(slices, "SECONDS", 1e-9)
    monkeypatch.setattr(slices, "AT_ONCE", 1e-9)
    if method != "integrated":
        store.STORE.clear(kept)
        app = opened("evidence", revealed=0, **asked)
        assert set(columns(app)) == {"attention"} and f"of {len(columns(app)['attention'])} tokens" in bars(app)
        (chart,) = charts(app)
        assert chart["layout"]["xaxis"]["range"] == [-0.5, 5.5]  # room for it
    else:
        app.choose(integrated=True)
        assert "points of the integral …" in bars(app) and "integrated" not in columns(app)
    app.button(key=f"evidence-{method}-cancel").click().run()
    assert text.cancelled(method) in app.prose and not app.get("progress") and not app.exception
    assert text.HEADINGS[method] not in columns(app)
    app.button(key=f"evidence-{method}-again").click().run()
    while f"{kept}:running" in app.session_state:
        app.run()
    assert "Guess, and the answer shows" in app.prose or text.HEADINGS[method] in columns(app)
    assert text.cancelled(method) not in app.prose
    assert opened("evidence", **asked).prose == whole  # kept for all sessions


def bars(app: Page) -> str:
    """What the bars say."""
    return " ".join(str(bar.proto) for bar in app.get("progress"))


def test_a_hidden_word_is_filled_in() -> None:
    app, tales = opened("evidence", model="tales", text=TALE, position=8), load("tales")
    ids = list(tales.encode(TALE).ids)
    assert tales.tokenizer.mask_id is not None
    ids[8] = tales.tokenizer.mask_id
    trace = tales.run(ids)
    asked = predictions.predicted(trace, position=8)
    assert asked.target is not None
    assert f"of “{tales.tokenizer.encoding([asked.target]).labels[0]}” in the hidden place 8" in app.sentence
    (chart,) = charts(app)
    assert chart["layout"]["yaxis"]["ticktext"][8] == "8 [MASK]"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "digits"}, "Digits reads images"),
        ({"model": "dates"}, "reads two texts"),
        ({"text": "a"}, "Here is 1 token to compare: no rank correlation of fewer than four is meaningful."),
        ({"model": "program:induction", "text": "abc", "revealed": 0}, "by nothing that shows: it stays 5.00"),
        ({"text": "a b c", "revealed": 0}, "are these also the tokens that matter?"),
        ({"target": 10**6, "layer": 99, "model": "austen"}, "as the next token"),
    ],
)
def test_what_cannot_be_said_is_said(fields: dict[str, Any], said: str) -> None:
    app = opened("evidence", **fields)
    assert said.lower() in app.prose.lower() and "NaN" not in app.prose


def test_what_a_model_does_not_allow_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz import InvalidParameterError
    from attnviz.web import store

    def none(*_: Any, **__: Any) -> None:
        raise InvalidParameterError("another library’s layers cannot be read")

    monkeypatch.setattr("attnviz.analysis.contributions.check_split", none)
    store.STORE.clear("evidence.state.of_layer")
    app = opened("evidence", model="scratch:tiny")
    assert "‖αv‖: not here, for another library’s layers cannot be read." in [one.value for one in app.caption]
    assert "‖αv‖" not in columns(app) and "attention" in columns(app)
    store.STORE.clear("evidence.state.of_layer")
