"""The page "Translate" through AppTest: answers, chances and the view's data are what the library computes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

import attnviz
from attnviz.browser import attention_message
from attnviz.browser.framing import read_frame
from attnviz.browser.view_state import ViewState
from attnviz.formatting import percent
from attnviz.generation.beam_search import beam
from attnviz.generation.sampling import prompt, say, whole
from attnviz.models.model import Model
from attnviz.web.translate import state, text
from attnviz.web.translate.answer import MAX_NEW_TOKENS, Answer
from tests.pages.driver import Page, header, opened, values, views, writer
from tests.support.models import loaded

DATE = "the 3rd of March 2021"
CAT = "The black cat sleeps on the red sofa."


@pytest.fixture
def app() -> Page:
    return opened("translate")


@pytest.fixture(scope="module")
def dates() -> Model:
    return loaded("dates")


def test_the_answer_and_its_chances_are_the_models(app: Page, dates: Model) -> None:
    assert not app.exception
    said = say(dates, DATE)
    assert said.text == "2021-03-03" and f"“{DATE}” becomes “{said.text}”" in app.text[0].value
    begin = prompt(dates, DATE)
    run = whole(dates, begin, said.ids)
    sent = writer(app)
    ids = (*said.ids, begin.ends[0])
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


@pytest.mark.parametrize("stack", ["cross", "self"])
def test_both_attentions_of_the_decoder_name_rows_by_what_is_said_there(app: Page, stack: str) -> None:
    app.choose(stack=stack)
    answer = state.answered("dates", DATE, ())
    assert answer.run.source is not None
    about = header(views(app)[0][1])
    read = answer.run.encodings[0] if stack == "self" else answer.run.source.encodings[0]
    assert about["stack"] == stack and about["keys"]["labels"] == list(read.labels)
    assert about["tokens"]["labels"] == list(answer.labels) == [*"2021-03-03", "[EOS]"]
    assert views(app)[0][0]["state"]["queries"] == [6]  # the same token in both
    plain = read_frame(attention_message.pack(answer.run, name="dates", stack=stack))
    sent = read_frame(views(app)[0][1])
    assert sent[0]["layers"] == plain[0]["layers"] and bytes(sent[1]) == bytes(plain[1])
    assert "A row is named by the token that the model says there" in " ".join(one.value for one in app.caption)


def test_the_sources_own_attention_is_the_runs_own(app: Page) -> None:
    app.choose(stack="encoder")
    assert not app.exception
    answer = state.answered("dates", DATE, ())
    assert views(app)[0][1] == attention_message.pack(answer.run, name="dates", stack="encoder")


def test_another_token_is_gone_on_from(app: Page, dates: Model) -> None:
    begin = prompt(dates, DATE)
    nine = dates.encode("9").ids[1]
    app.choose(forced=(nine,), focus=1)
    assert writer(app)["tokens"][1]["label"] == "9" and writer(app)["candidates"][-1]["here"]
    rest = [token["label"] for token in writer(app)["tokens"][1:]]
    ids = [nine]
    while ids[-1] not in begin.ends and len(ids) < 30:
        ids.append(int(whole(dates, begin, ids).logits[0, -1].argmax()))  # type: ignore[index]
    assert rest == list(dates.tokenizer.encoding(ids).labels)
    app.button(key="translate-own").click().run()
    assert "2021-03-03" in app.text[0].value


def test_beams_are_the_librarys(app: Page, dates: Model) -> None:
    app.choose(beams=8)
    cells = [[cell[0] for cell in row["cells"]] for row in values(app, "attnviz_table")[0]["rows"]]
    found = beam(dates, DATE, 8, MAX_NEW_TOKENS)
    assert [row[2] for row in cells] == [one.text + ("" if one.ended else " …") for one in found]
    assert [row[0] for row in cells] == ["> −0.001", *(f"−{-one.score:.3f}" for one in found[1:])]
    assert any("with a mean log p of more than −0.001 per token" in text.value for text in app.text)


def test_the_prediction_tells_where_the_head_goes_back() -> None:
    query = {"translator": "bergamot-en-pt", "source": CAT, "layer": "1", "head": "0", "focus": "2"}
    app = opened("translate", **query, revealed=0)
    assert "O gato preto dorme no sofá vermelho." in app.text[0].value
    assert not views(app) and not any("further left" in text for text in app.sentences)
    group = next(one for one in app.get("button_group") if ".quiz.order" in one.proto.id)
    group.set_value(text.REORDERED).run()
    told = next(text for text in app.sentences if text.startswith("✓"))
    answer = state.answered("bergamot-en-pt", CAT, ())
    weights = [percent(float(answer.row(1, 0, at)[place])) for at, place in ((2, 2), (3, 1))]
    assert f"“gato” gives {weights[0]} of its attention to “cat”, and “preto” after it {weights[1]} to “black”" in told
    assert views(app)
    assert any("was trained to align words" in caption.value for caption in app.caption)
    assert any("recurrence" in caption.value for caption in app.caption)


@pytest.mark.parametrize("name", ["dates", "bergamot-en-pt", "bergamot-pt-en"])
def test_what_is_claimed_of_the_order_has_clear_winners(name: str) -> None:
    """In the rows themselves: every token that counts gives more than half to one; no step back is left out."""
    asked = []
    for source in state.EXAMPLES[name]:
        answer = state.answered(name, source, ())
        special = answer.tokenizer.encoding(answer.ids).special
        assert answer.run.source is not None
        start = answer.run.source.encodings[0].special
        for layer, head in itertools.product(range(len(answer.run.layers)), range(answer.run.config.n_heads)):
            rows = [answer.row(layer, head, at + 1) for at in range(len(answer.ids)) if not special[at]]
            clear = [int(row.argmax()) for row in rows if row.max() > 0.5 and not start[int(row.argmax())]]
            back = sum(b < a for a, b in itertools.pairwise(clear))
            asked.append(told := text.order(answer, layer, head))
            if told is None:
                assert not back and (len(clear) < 2 or len(clear) < len(rows) / 2)
                continue
            assert told[1] == (text.REORDERED if back else text.MONOTONE)
            assert told[2].endswith(f"{len(clear)} of {len(rows)}.") and "7.6" not in told[2]
    assert any(asked)


def test_another_source_keeps_the_word_and_a_thing_to_try_sets_the_whole_page() -> None:
    app = opened("translate", translator="bergamot-en-pt", source=CAT, layer="1", focus="3", stack="encoder")
    app.text_input(key="translate.source").set_value("The cat is black.").run()
    answer = state.answered("bergamot-en-pt", "The cat is black.", ())
    assert answer.labels[app.session_state["translate.focus"] - 1] == "preto" != answer.labels[2]
    app.choose(stack="cross", forced=(answer.ids[0],), beams=8)
    app.press("A month from its letters")
    assert app.link == {"source": "Friday, 11 September 1998", "head": "2", "beams": "8"}
    app.press("How the source reads itself")
    assert app.link["stack"] == "encoder" and app.link["source"] == "Friday, 11 September 1998"
    app.press("What ends the answer")
    assert "stack" not in app.link and app.link["focus"] == "11" and writer(app)["focus"] == 11


def test_the_place_of_another_token_stays() -> None:
    app = opened("translate", forced="5", focus="1")
    app.press("Back to the model’s own answer")
    assert app.session_state["translate.focus"] == 1 and "2021-03-03" in app.sentence


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


def test_a_link_without_a_head_means_the_first_as_when_it_was_written() -> None:
    """A new visitor finds the head that shows most; links were written that left head 0 out, and name it now."""
    app = opened("translate")
    assert views(app)[0][0]["state"]["head"] == 2 and app.query_params["head"] == "2"
    app.choose(head=0)
    assert app.query_params["head"] == "0"
    for query in ({"source": "3 June 1999", "focus": "3"}, {"stack": "self"}, dict(app.query_params)):
        assert views(opened("translate", **query))[0][0]["state"]["head"] == 0


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
        ({"translator": "nobody"}, "There is no model “nobody”"),
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
    assert not any(
        "go through the source" in pills.label for pills in app.get("button_group")
    )  # that asks about the answer
    app.choose(stack="cross")
    assert views(app)[0][0]["state"]["layer"] == 1
    assert any("go through the source" in pills.label for pills in app.get("button_group"))


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [
        ("dates", "", "An empty source becomes “0000-00-00”."),
        ("bergamot-en-pt", "", "An empty source becomes an empty answer."),
        ("bergamot-en-pt", CAT, "becomes “O gato preto dorme no sofá vermelho.”"),
        ("dates", "x" * 400, "The model reads 40 tokens of a source; the last 362 tokens are left out."),
        ("bergamot-en-pt", "猫", "“<unk>” stands for characters that this model does not know."),
        ("bergamot-pt-en", CAT * 10, "The answer has not ended after 64 tokens; it is cut there."),
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
    assert not any("go through the source" in pills.label for pills in app.get("button_group"))


def test_an_unknown_token_in_the_answer_does_not_shift_what_is_said_of_the_order() -> None:
    """The tokens that are named are those whose places are compared, whatever stands between."""
    found = state.answered("dates", DATE, (0, 3, 3))
    _, _, because = said_of_order(found)
    first, at = (because.split(part)[0].rsplit("“")[-1] for part in ("” gives ", "” after it "))
    source = found.run.source.encodings[0]  # type: ignore[union-attr]
    special = found.tokenizer.encoding(found.ids).special
    rows = {i: found.row(0, 2, i + 1) for i in range(len(special)) if not special[i]}
    looks = [(i, int(row.argmax())) for i, row in rows.items() if row.max() > 0.5]
    looks = [(i, place) for i, place in looks if not source.special[place]]
    assert special[0]
    back = [(a[0], b[0]) for a, b in itertools.pairwise(looks) if b[1] < a[1]]
    assert (first, at) in [(found.labels[i], found.labels[j]) for i, j in back]


def said_of_order(found: Answer) -> tuple[str, str, str]:
    told = text.order(found, 0, 2)
    assert told is not None
    return told


@pytest.mark.parametrize("name", [info.name for info in attnviz.catalogue()])
def test_every_model_answers_or_is_refused_in_a_sentence(name: str) -> None:
    app = opened("translate", translator=name)
    assert bool(views(app)) == (not app.notices)
    assert all("it is no encoder-decoder model" in one for one in app.notices)
