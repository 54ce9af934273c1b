"""The page "Translate" through AppTest: answers, chances and the view's data are what the library computes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

import attnviz
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.generation.beam_search import beam
from attnviz.generation.sampling import prompt, say, whole
from attnviz.models.model import Model
from attnviz.web.translate import state, text
from attnviz.web.translate.answer import MAX_NEW_TOKENS, Answer
from tests.pages.driver import Page, header, opened, views, writer

DATE = "the 3rd of March 2021"
CAT = "The black cat sleeps on the red sofa."


@pytest.fixture
def app() -> Page:
    return opened("translate")


@pytest.fixture(scope="module")
def dates() -> Model:
    return attnviz.load("dates")


def test_the_answer_and_its_chances_are_the_models(app: Page, dates: Model) -> None:
    assert not app.exception
    said = say(dates, DATE)
    assert said.text == "2021-03-03" and f"“{DATE}” becomes “{said.text}”" in app.text[0].value
    begin = prompt(dates, DATE)
    run = whole(dates, begin, said.ids)
    sent = writer(app)
    ids = (*said.ids, begin.end)
    p = run.logits[0].softmax(-1)  # type: ignore[index]
    assert [token["p"] for token in sent["tokens"][1:]] == pytest.approx(
        [float(p[i, t]) for i, t in enumerate(ids)], rel=1e-4
    )
    assert sent["focus"] == 7
    top = p[6].topk(6)
    assert [one["id"] for one in sent["candidates"]] == top.indices.tolist()
    assert [one["p"] for one in sent["candidates"]] == pytest.approx(top.values.tolist(), rel=1e-4)
    assert [one["id"] for one in sent["candidates"] if one["here"]] == [ids[6]]


def test_rows_of_the_view_are_named_by_what_they_say(app: Page, dates: Model) -> None:
    about, message = views(app)[0]
    assert about["state"]["queries"] == [6]
    about = header(message)
    assert about["stack"] == "cross"
    assert [label.removeprefix("·") for label in about["tokens"]["labels"]][:4] == list("2021")
    found = state.answered("dates", DATE, ())
    crossed = found.run.layers[0].cross_attention
    assert crossed is not None and crossed.q.shape[2] == len(found.ids)
    assert torch.equal(found.row(0, 2, 9), crossed.weights[0, 2, 8])


@pytest.mark.parametrize("stack", ["self", "encoder"])
def test_the_other_stacks_are_the_runs_own(app: Page, stack: str) -> None:
    app.choose(stack=stack)
    assert not app.exception
    found = state.answered("dates", DATE, ())
    assert views(app)[0][1] == attention_message.pack(found.run, name="dates", stack=stack)


def test_another_token_is_gone_on_from(app: Page, dates: Model) -> None:
    begin = prompt(dates, DATE)
    nine = dates.encode("9").ids[1]
    app.choose(forced=(nine,), focus=1)
    assert writer(app)["tokens"][1]["label"] == "9" and writer(app)["candidates"][-1]["here"]
    rest = [token["label"] for token in writer(app)["tokens"][1:]]
    ids = [nine]
    while ids[-1] != begin.end and len(ids) < 30:
        ids.append(int(whole(dates, begin, ids).logits[0, -1].argmax()))  # type: ignore[index]
    assert rest == list(dates.tokenizer.encoding(ids).labels)
    app.button(key="translate-own").click().run()
    assert "2021-03-03" in app.text[0].value


def test_beams_are_the_librarys(app: Page, dates: Model) -> None:
    app.choose(beams=8)
    table = app.table[0].value.map(lambda cell: cell.replace("\\", ""))  # what Markdown reads as written
    found = beam(dates, DATE, 8, MAX_NEW_TOKENS)
    assert table["answer"].tolist() == [one.text + ("" if one.ended else " …") for one in found]
    assert table["mean log p"].tolist() == ["> −0.001", *(f"−{-one.score:.3f}" for one in found[1:])]
    assert any("with a mean log p of more than −0.001 per token" in text.value for text in app.text)


def test_the_prediction_tells_where_the_head_goes_back() -> None:
    app = opened("translate", translator="bergamot-en-pt", source=CAT, layer="1", head="0", focus="2")
    assert not app.exception and "O gato preto dorme no sofá vermelho." in app.text[0].value
    app.choose(guess=text.REORDERED)
    told = next(text.value for text in app.text if text.value.startswith("✓"))
    assert "After “gato”, which looks at “cat”, it says “preto” and goes back to “black”" in told
    assert any("was trained to align words" in caption.value for caption in app.caption)
    assert any("recurrence" in caption.value for caption in app.caption)


def test_another_model_brings_an_example(app: Page) -> None:
    app.selectbox(key="translate.translator").set_value("bergamot-pt-en").run()
    assert not app.exception and "The black cat sleeps on the red sofa." in app.text[0].value
    app.selectbox(key="translate-example").set_value("Minha irmã comprou três livros antigos.").run()
    assert "My sister bought three old books." in app.text[0].value


def test_a_link_restores_the_page(app: Page) -> None:
    app.choose(source="7/4/1776", focus=3, head=2, stack="encoder", beams=2)
    again = opened("translate", **dict(app.query_params))
    assert again.text[0].value == app.text[0].value and writer(again) == writer(app)
    assert views(again)[0][1] == views(app)[0][1]


def test_what_is_set_in_the_view_stays_and_stands_in_the_link(app: Page) -> None:
    """Temperature, mask and several tokens at once, through a change of head, of the stack, and in another session."""
    state, key = ViewState(queries=(4, 6), temperature=0.25, mask="window", window=2, join=True), "translate-view-cross"
    app.session_state[key] = {"view": state.to_dict()}
    app.run()
    app.session_state[key] = {"view": replace(state, head=2).to_dict()}
    app.run().run()
    assert not app.exception and app.session_state["translate.head"] == 2
    assert ViewState.from_dict(app.session_state[key]["view"]) == replace(state, head=2)
    link = {name: value[-1] if isinstance(value, list) else value for name, value in app.query_params.items()}
    there = opened("translate", **link)
    assert ViewState.from_dict(views(there)[0][0]["state"]) == replace(state, head=2)
    there.segmented_control[0].set_value("encoder").run()
    expected = replace(state, head=2, queries=())
    assert ViewState.from_dict(views(there)[0][0]["state"]) == expected and "look" in there.query_params
    there.text_input[0].set_value("7/4/1776").run()
    assert ViewState.from_dict(views(there)[0][0]["state"]) == expected


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"translator": "minilm"}, "MiniLM answers no text"),
        ({"translator": "digits"}, "Digits answers no text"),
        ({"translator": "nobody"}, "There is no model 'nobody'"),
        ({"source": "   "}, "becomes"),
        ({"source": "1 " * 100}, "becomes"),
    ],
)
def test_what_cannot_be_answered_is_said_and_the_page_stays(query: dict[str, str], said: str) -> None:
    app = opened("translate", **query)
    assert not app.exception
    assert any(said in text.value for text in app.text)
    assert app.text_input(key="translate.source").value == query.get("source", DATE)


@pytest.mark.parametrize(
    "query", [{"forced": "999999,3"}, {"focus": "99"}, {"layer": "9", "head": "9"}, {"stack": "<b>"}, {"beams": "0"}]
)
def test_a_link_that_asks_for_what_there_is_not_opens_the_page(query: dict[str, str]) -> None:
    app = opened("translate", **query)
    assert not app.exception and writer(app)["candidates"]


def test_a_head_of_the_source_stays_chosen_where_the_answer_has_fewer_layers() -> None:
    app = opened("translate", translator="bergamot-en-pt", source=CAT, stack="encoder", layer="5", head="7")
    assert views(app)[0][0]["state"]["layer"] == 5
    app.choose(beams=8)
    assert views(app)[0][0]["state"]["layer"] == 5 and app.query_params["layer"] == "5"
    assert not any("In which order" in pills.label for pills in app.get("button_group"))  # that asks about the answer
    app.choose(stack="cross")
    assert views(app)[0][0]["state"]["layer"] == 1
    assert any("In which order" in pills.label for pills in app.get("button_group"))


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [
        ("dates", "", "An empty source becomes “0000-00-00”."),
        ("bergamot-en-pt", "", "An empty source becomes an empty answer."),
        ("bergamot-en-pt", CAT, "becomes “O gato preto dorme no sofá vermelho.”"),
        ("dates", "x" * 400, "The model reads 40 tokens of a source; the last 362 tokens are left out."),
        ("bergamot-en-pt", "猫", "“<unk>” stands for characters that this model does not know."),
        ("bergamot-pt-en", CAT * 10, "The answer has not ended after 64 tokens, and is cut there."),
    ],
)
def test_sentences_at_the_edges(model: str, source: str, said: str) -> None:
    app = opened("translate", translator=model, source=source)
    texts = [text.value for text in (*app.text, *app.caption)]
    assert not app.exception and any(said in text.replace("\\", "") for text in texts), texts
    assert max(map(len, texts)) < 500 and not any(".”." in text for text in texts)


def test_one_word_has_no_order() -> None:
    app = opened("translate", translator="bergamot-en-pt", source="1999", layer="1")
    assert "becomes “1999”." in app.text[0].value
    assert not any("In which order" in pills.label for pills in app.get("button_group"))


def test_an_unknown_token_in_the_answer_does_not_shift_what_is_said_of_the_order() -> None:
    """The tokens that are named are those whose places are compared, whatever stands between."""
    found = state.answered("dates", DATE, (0, 3, 3))
    _, _, because = said_of_order(found)
    first, at = because.split("”")[0].removeprefix("After “"), because.split("it says “")[1].split("”")[0]
    source = found.run.source.encodings[0]  # type: ignore[union-attr]
    special = found.model.tokenizer.encoding(found.ids).special
    looks = [(i, int(found.row(0, 0, i + 1).argmax())) for i in range(len(special)) if not special[i]]
    looks = [(i, place) for i, place in looks if not source.special[place]]
    assert special[0]
    back = next((a[0], b[0]) for a, b in itertools.pairwise(looks) if b[1] < a[1])
    assert (first, at) == tuple(found.labels[i] for i in back)


def said_of_order(found: Answer) -> tuple[str, str, str]:
    told = text.order(found, 0, 0)
    assert told is not None
    return told
