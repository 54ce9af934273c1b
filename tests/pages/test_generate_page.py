"""The page "Generate" through AppTest: candidates, answers and losses are what the library computes."""

from __future__ import annotations

import pytest
import torch

import attnviz
from attnviz import Intervention
from attnviz.analysis import sinks
from attnviz.formatting import percent
from attnviz.generation import sampling
from attnviz.generation.sampling import Sampling, prompt, tokens, whole
from attnviz.models.model import Model
from attnviz.web import cache
from attnviz.web.generate import text as sentences
from attnviz.web.generate.parts import TWICE
from attnviz.web.generate.scene import MAX_NEW_TOKENS
from tests.pages.driver import Page, chart_titles, charts, opened, writer
from tests.support.models import loaded

TEXT = "She was very fond of"


@pytest.fixture
def app() -> Page:
    return opened("generate", text=TEXT, model="austen")


@pytest.fixture(scope="module")
def austen() -> Model:
    return loaded("austen")


def completion(app: Page) -> tuple[int, ...]:
    return tuple(app.session_state["generate.said"])


def test_the_candidates_are_the_models(app: Page, austen: Model) -> None:
    assert not app.exception
    begin = prompt(austen, TEXT)
    run = whole(austen, begin, ())
    p = run.logits[0, -1].softmax(-1)  # type: ignore[index]
    sent = writer(app)
    assert [one["id"] for one in sent["candidates"]] == p.topk(10).indices.tolist()
    assert [one["p"] for one in sent["candidates"]] == pytest.approx(p.topk(10).values.tolist(), rel=1e-5)
    assert [token["label"] for token in sent["tokens"]] == list(run.encodings[0].labels)
    assert sent["start"] == sent["focus"] == len(begin.start) and not sent["ended"]
    weights = run.attentions[3][0, 2, -1]
    assert sent["tints"] == pytest.approx(weights.tolist(), abs=1e-5)
    best = austen.tokenizer.encoding([int(p.argmax())]).labels[0]
    sentence = app.text[0].value
    assert f"“{best}” is likeliest with {percent(float(p.max()))}" in sentence
    assert percent(float(weights.max())) in sentence


def test_the_buttons_say_what_the_library_says(app: Page, austen: Model) -> None:
    begin = prompt(austen, TEXT)
    wanted = [token.id for token, _ in zip(tokens(austen, begin), range(21), strict=False)]
    app.button(key="generate-next").click().run()
    assert completion(app) == tuple(wanted[:1])
    app.button(key="generate-many").click().run()
    assert completion(app) == tuple(wanted)
    app.button(key="generate-back").click().run()
    assert completion(app) == tuple(wanted[:-1])
    p = whole(austen, begin, wanted[:-1]).logits[0].softmax(-1)  # type: ignore[index]
    sent = writer(app)
    chances = [token["p"] for token in sent["tokens"][sent["start"] :]]
    start = len(begin.start)
    assert chances == pytest.approx([float(p[start - 1 + i, token]) for i, token in enumerate(wanted[:-1])], rel=1e-4)
    app.button(key="generate-over").click().run()
    assert completion(app) == () and app.button(key="generate-back").disabled


def test_drawn_tokens_follow_the_settings(app: Page, austen: Model) -> None:
    app.choose(how="sampled", outside=1.4, top_k=5, top_p=0.9, seed=3)
    app.button(key="generate-many").click().run()
    begin = prompt(austen, TEXT)
    drawn = tokens(austen, begin, Sampling(1.4, 5, 0.9), seed=3 * MAX_NEW_TOKENS, intervention=Intervention())
    assert completion(app) == tuple(token.id for token, _ in zip(drawn, range(20), strict=False))
    assert len(writer(app)["candidates"]) <= 5
    assert sum(one["p"] for one in writer(app)["candidates"]) == pytest.approx(1, abs=1e-5)


def test_a_place_in_the_text_can_be_asked_for(app: Page, austen: Model) -> None:
    app.button(key="generate-next").click().run()
    first = completion(app)[0]
    start = len(prompt(austen, TEXT).start)
    app.choose(focus=start)
    sent = writer(app)
    assert sent["focus"] == start and [one["id"] for one in sent["candidates"] if one["here"]] == [first]
    assert "”, the likeliest token with" in app.text[0].value
    app.choose(focus=2)
    here = prompt(austen, TEXT).start[2]
    assert here in [one["id"] for one in writer(app)["candidates"]]
    assert len(writer(app)["tints"]) == 2


def test_what_was_said_before_is_found_again_by_an_induction_head(app: Page, austen: Model) -> None:
    """A name that stands in no novel of hers: the second time the head looks at what followed it the first time."""
    app.button(key="generate-try-0").click().run()
    assert not app.exception and app.session_state["model"] == "austen"
    begin = prompt(austen, TWICE)
    trace = whole(austen, begin, ())
    labels = trace.encodings[0].labels
    first = labels.index(labels[-1]) + 1  # the token after the one that the text ends with, where it stood first
    assert 0 < first < len(labels) - 10
    weights = trace.layers[2].attention.weights[0, 1, -1]
    assert int(weights.argmax()) == first and float(weights[first]) > 0.5
    best, second = writer(app)["candidates"][:2]
    ids, p = trace.encodings[0].ids, trace.logits[0].softmax(-1)  # type: ignore[index]
    assert best["id"] == ids[first] and best["p"] > 0.3 > 10 * float(p[first - 1, ids[first]])
    assert best["p"] > 3 * second["p"]
    assert f"looks most at “{labels[first]}” in layer 2, head 1" in app.text[0].value


def test_the_two_temperatures_do_different_things(app: Page, austen: Model) -> None:
    app.choose(inside=4.0, outside=0.5)
    begin = prompt(austen, TEXT)
    plain = whole(austen, begin, ()).logits[0, -1].double()  # type: ignore[index]
    inside = whole(austen, begin, (), Intervention(temperature=4.0)).logits[0, -1].double()  # type: ignore[index]
    ids = plain.topk(8).indices
    dots = [trace["x"] for trace in charts(app)[0]["data"]]
    for shown, expected in zip(dots, (plain, inside, plain / 0.5), strict=True):
        assert shown == pytest.approx((100 * expected.softmax(-1)[ids]).tolist(), rel=1e-4)
    assert "With τ = 4, “" in app.prose and "T = 0.5 alone gives “" in app.prose


def test_the_sink_is_measured(app: Page, austen: Model) -> None:
    begin = prompt(austen, TEXT)
    found = sinks.measure_sink(austen, whole(austen, begin, ()), begin.start)
    sentence = next(text.value for text in app.text if "On average a head" in text.value)
    before, after = found.losses.mean(dim=1).tolist()
    assert percent(float(found.shares.mean())) in sentence
    assert f"loss {before:.2f} → {after:.2f}\u202fnats per token" in " ".join(chart_titles(app))
    table, bars = charts(app)[1:3]
    assert torch.allclose(torch.tensor(table["data"][0]["customdata"]), 100 * found.shares, atol=1e-4)
    assert bars["data"][1]["y"] == pytest.approx(found.losses[1].tolist(), rel=1e-4)
    changes = f"the top prediction changes at {percent(1 - found.same)} of positions"
    assert any(changes in title for title in chart_titles(app))


def test_what_happens_without_the_first_token_is_guessed_first(austen: Model) -> None:
    app = opened("generate", text=TEXT, model="austen", revealed=0)
    begin = prompt(austen, TEXT)
    before, after = sinks.measure_sink(austen, whole(austen, begin, ()), begin.start).losses.mean(dim=1).tolist()
    assert after > before + 0.1
    assert "nats per token" not in app.prose + str(chart_titles(app)) and len(charts(app)) == 2
    app.guess("sink", "Nothing changes")
    assert f"The loss goes from {before:.3f} to {after:.3f}\u202fnats per token." in app.prose
    assert "it is “It predicts worse”" in app.prose and len(charts(app)) == 3


def test_a_link_restores_the_page(app: Page) -> None:
    app.button(key="generate-many").click().run()
    app.choose(layer=1, head=0, inside=2.0, top_k=20, focus=3)
    again = opened("generate", **app.link)
    assert writer(again) == writer(app) and again.text[0].value == app.text[0].value


def test_another_text_forgets_what_was_said(app: Page) -> None:
    app.button(key="generate-next").click().run()
    app.text_area(key="text").set_value("Mr Darcy").run()
    assert completion(app) == () and not app.exception


@pytest.mark.parametrize(("model", "why"), [("minilm", "in both directions"), ("tales", "in both directions")])
def test_a_model_that_goes_on_with_nothing_is_replaced(model: str, why: str) -> None:
    app = opened("generate", text=TEXT, model=model)
    assert not app.exception and len(writer(app)["candidates"]) == 10
    for captions in (app.main.caption, app.sidebar.caption):  # beside the page's question, and under the model's name
        assert any(why in one.value and "This page uses Austen instead" in one.value for one in captions)
    assert not any("instead" in one.value for one in opened("generate", text=TEXT, model="austen").caption)


def test_another_decoder_and_settings_that_it_does_not_have(app: Page) -> None:
    other = opened("generate", text=TEXT, model="scratch:gpt", layer="9", head="9", said="1,2,999999,3")
    assert not other.exception
    assert len(writer(other)["tokens"]) == writer(other)["start"] + 3  # the vocabulary has no 999,999


@pytest.mark.parametrize(
    "query",
    [
        {"said": "x"},
        {"said": ",".join(["5"] * 99)},
        {"focus": "-7"},
        {"focus": "999"},
        {"inside": "0"},
        {"top_p": "nan"},
        {"layer": "-1"},
        {"seed": "99999999"},
        {"how": "<b>"},
    ],
)
def test_a_link_that_asks_for_what_there_is_not_opens_the_page(query: dict[str, str]) -> None:
    app = opened("generate", **{"text": TEXT, "model": "austen"} | query)
    assert not app.exception and writer(app)["candidates"]


def test_a_text_of_one_token_and_one_that_fills_the_model() -> None:
    app = opened("generate", text="a", model="austen")
    assert not app.exception and any("below three" in text.value for text in app.text)
    app.button(key="generate-next").click().run()
    assert any("On average a head" in text.value for text in app.text)  # the last part follows the first


@pytest.mark.parametrize(("n_words", "left_out"), [(200, 0), (300, 65), (2000, 1765)])
def test_a_text_keeps_the_models_own_context_and_loses_its_beginning(n_words: int, left_out: int) -> None:
    """Austen reads 256 tokens; 20 of them are for what comes next, one begins the text."""
    words = " ".join("the" if i % 2 else "of" for i in range(n_words - 3)) + " very fond of"
    app = opened("generate", text=words, model="austen")
    sent = writer(app)
    assert sent["start"] == min(n_words + 1, 236)
    assert [token["label"] for token in sent["tokens"][-3:]] == ["very", "fond", "of"]
    assert "very fond of”, “" in app.sentence
    said = f"The first {left_out:,} tokens of your text are left out"
    assert any(said in caption.value for caption in app.caption) == bool(left_out)
    assert app.session_state["text"] == words and app.link.get("text", words) == words  # the link has all of it
    if left_out:
        elements = list(app.main)
        notice = next(i for i, one in enumerate(elements) if one.type == "caption" and said in one.value)
        assert not any(getattr(one.proto, "component_name", "") == "attnviz_writer" for one in elements[:notice])


def test_the_end_of_what_is_kept_is_said(app: Page) -> None:
    for _ in range(3):
        app.button(key="generate-many").click().run()
    assert len(completion(app)) == MAX_NEW_TOKENS
    assert app.button(key="generate-next").disabled
    assert any(f"{MAX_NEW_TOKENS} tokens are said" in caption.value for caption in app.caption)


def test_a_shared_run_is_what_the_page_shows_when_another_session_changes_its_own(app: Page) -> None:
    """Two sessions on one model: the settings of one never reach the other."""
    other = opened("generate", text=TEXT, model="austen")
    other.choose(inside=8.0)
    app.choose(layer=2)
    assert writer(app)["candidates"] != writer(other)["candidates"]
    assert cache.model("austen").transformer is not None
    begin = prompt(loaded("austen"), TEXT)
    plain = sampling.whole(loaded("austen"), begin, ()).logits[0, -1].softmax(-1)  # type: ignore[index]
    assert writer(app)["candidates"][0]["p"] == pytest.approx(float(plain.max()), rel=1e-5)


@pytest.mark.parametrize(
    "query", [{"model": "induction", "text": "words " * 40}, {"model": "minilm", "text": "猫" * 90}]
)
def test_a_text_that_would_fill_the_model_leaves_it_room(query: dict[str, str]) -> None:
    app = opened("generate", **{"text": TEXT, "model": "austen"} | query)
    assert not app.exception and len(writer(app)["candidates"]) == 10
    assert any("of your text are left out" in caption.value for caption in app.caption)
    app.button(key="generate-many").click().run()
    assert len(completion(app)) > 1


def test_what_the_reader_gave_is_changed_in_the_sidebar(app: Page) -> None:
    app.choose(focus=2)
    assert writer(app)["heading"].endswith("your own words are changed in the sidebar")
    app.choose(said=(7,), focus=len(prompt(loaded("austen"), TEXT).start))
    assert writer(app)["heading"].endswith("choose one, and what follows is forgotten")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"text": "She", "focus": "1"}, "At the start, the text has “She”, number"),
        ({"text": "😀", "model": "scratch:gpt"}, "After “[UNK]”, "),
        ({"text": "a" * 200}, f"After “…{'a' * 60}”, "),
        ({"said": "5", "focus": "6", "top_k": "1"}, "the text has “#”, which could not be drawn now"),
        ({"outside": "0.05", "inside": "0.05"}, "is likeliest with"),
    ],
)
def test_sentences_at_the_edges(query: dict[str, str], said: str) -> None:
    app = opened("generate", **{"text": TEXT, "model": "austen"} | query)
    assert not app.exception and said in app.text[0].value, app.text[0].value


def test_what_a_temperature_alone_would_do_is_said_as_such(app: Page) -> None:
    app.choose(inside=20.0, outside=20.0)
    told = next(sentence for sentence in app.sentences if "τ = 20" in sentence).replace("\u202f", " ")
    assert "T = 20 alone gives “" in told and "” < 0.1 % instead of" in told
    even = opened("generate", text=TEXT, model="scratch:gpt", inside="4")
    assert "stays at < 0.1" in even.prose.replace("\u202f", " ")


def test_nothing_is_explained_that_is_not_there() -> None:
    """An untrained model's heads do not lean on the first token."""
    because = "a head that finds nothing to add"
    untrained = opened("generate", text=TEXT, model="scratch:gpt")
    assert not any(because in text.value for text in untrained.text)
    assert any("The loss goes from" in text.value for text in untrained.text)
    for share, change, truth, leans in (
        (0.1, 1.0, "It predicts worse", False),
        (0.9, 1.0, "It predicts worse", True),
        (0.9, -1.0, "It predicts better", False),
        (0.9, 0.01, "Nothing changes", False),
    ):
        losses = torch.tensor([[1.0, 2.0], [1.0 + change, 2.0 + change]])
        found = sentences.sink_prediction(sinks.Sink(torch.full((2, 2), share), 0.1, losses, 0.5))
        assert found is not None and found[2] == truth
        assert ("a head that finds nothing to add" in found[3]) == leans
    losses = torch.tensor([[1.0, 2.0], [1.07, 2.07]])  # too little to be told
    assert sentences.sink_prediction(sinks.Sink(torch.full((2, 2), 0.9), 0.1, losses, 0.5)) is None


@pytest.mark.parametrize("name", [info.name for info in attnviz.catalogue()])
def test_every_bundled_model_goes_on_or_another_one_does(name: str) -> None:
    app = opened("generate", text=TEXT, model=name)
    if "ick another model" not in app.sentence:
        assert len(writer(app)["candidates"]) == 10 and len(charts(app)) == 3


def test_a_second_thing_to_try_takes_the_first_one_back(app: Page) -> None:
    app.button(key="generate-next").click().run()
    said = completion(app)
    app.button(key="generate-try-2").click().run()
    assert (app.link["how"], app.link["outside"]) == ("sampled", "1.4") and completion(app) == said
    app.button(key="generate-try-3").click().run()
    assert app.link["inside"] == "4" and completion(app) == said
    assert {"how", "outside"}.isdisjoint(app.link)


def test_layer_and_head_follow_the_reader_from_another_page() -> None:
    app = opened("variants", text=TEXT, model="austen", layer=1, head=0)
    app.switch_page("pages/generate.py").run()
    assert app.session_state["generate.layer"] == 1 and app.session_state["generate.head"] == 0
    assert "in layer 1, head 0" in app.sentence
