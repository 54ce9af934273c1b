"""Explore through AppTest: what is sent to the browser is what the library computes, and bad input gets a sentence."""

import inspect
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import attnviz
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import ModelError
from attnviz.nn import attention, reference
from attnviz.web import cache, thread
from attnviz.web.components import attention_view
from attnviz.web.explore import files
from attnviz.web.jobs import model_downloads
from tests.pages.driver import ROOT, SENTENCE, Page, components, header, opened, views
from tests.support.models import loaded


@pytest.fixture
def app() -> Page:
    """The app as a new visitor finds it."""
    return opened()


def state_sent(app: Page) -> dict[str, Any]:
    ((about, _),) = views(app)
    return about["state"]


def packed(app: Page) -> bytes:
    """The message of the run."""
    ((_, message),) = views(app)
    return message


def test_opens_on_a_trained_model_and_a_good_sentence(app: Page) -> None:
    assert not app.exception
    model = loaded("minilm")
    assert packed(app) == attention_message.pack(model.run(SENTENCE), name="minilm")
    state = state_sent(app)
    assert (state["layer"], state["head"], state["queries"]) == (3, 1, [10])
    weights = model.run(SENTENCE).layers[3].attention.weights[0, 1, 10]
    assert model.encode(SENTENCE).labels[int(weights.argmax())] == "animal"


def test_a_text_of_ones_own_is_run(app: Page) -> None:
    app.text_area(key="text").set_value("Colourless green ideas sleep furiously.").run()
    assert not app.exception
    run = loaded("minilm").run("Colourless green ideas sleep furiously.")
    assert packed(app) == attention_message.pack(run, name="minilm")
    assert state_sent(app)["queries"] == []  # the token chosen before is another one now


def test_an_example_fills_the_text(app: Page) -> None:
    app.selectbox(key="example").select("The wide street").run()
    assert app.text_area(key="text").value == SENTENCE.replace("tired", "wide")
    assert app.selectbox(key="example").value is None  # free to be picked again


@pytest.mark.parametrize("name", ["scratch:tiny", "scratch:bert", "scratch:gpt"])
def test_every_model_of_the_list_runs(app: Page, name: str) -> None:
    app.selectbox(key="model").select(name).run()
    assert not app.exception
    assert packed(app) == attention_message.pack(loaded(name).run(SENTENCE), name=name)


def test_the_change_runs_through_the_model(app: Page) -> None:
    chosen = {"layer": 3, "head": 1, "queries": [10], "temperature": 0.5, "mask": "causal", "whole": True}
    app.session_state["explore"] = {"view": chosen}
    app.run()
    assert not app.exception
    model = loaded("minilm")
    change = attnviz.Intervention(temperature=0.5, mask="causal")
    plain, changed = model.run(SENTENCE), model.run(SENTENCE, intervention=change)
    assert packed(app) == attention_message.pack(changed, name="minilm", before=plain)
    assert header(packed(app))["before"] is not None
    moved = (changed.final - plain.final).norm(dim=-1)[0] / plain.final.norm(dim=-1)[0]
    assert f"the vector of “it” has changed by {moved[10] * 100:.0f}\u202f% of its norm" in app.prose
    assert f"the average over all tokens is {moved.mean() * 100:.0f}\u202f%" in app.prose
    assert torch.equal(plain.final, model.run(SENTENCE).final)


def test_the_link_restores_model_text_and_view() -> None:
    query = {"text": "Two words", "model": "scratch:gpt", "layer": "2", "head": "3", "temp": "0.5", "mask": "none"}
    app = opened(**query)
    assert not app.exception
    assert app.text_area(key="text").value == "Two words"
    assert app.selectbox(key="model").value == "scratch:gpt"
    state = state_sent(app)
    assert (state["layer"], state["head"], state["temperature"], state["mask"]) == (2, 3, 0.5, "none")
    assert app.link == query


def test_the_link_says_what_differs_from_the_first_look(app: Page) -> None:
    app.session_state["explore"] = {"view": {"layer": 5, "head": 2, "queries": [4]}}
    app.run()
    assert app.link == {"layer": "5", "head": "2", "q": "4"}


@pytest.mark.parametrize(
    "bad",
    [
        {"layer": "99", "head": "-1", "temp": "nan", "mask": "<script>", "q": "5000_x"},
        {"layer": "1e9", "zoom": "9_1_2", "heads": "77.1_a", "colour": "red", "whole": "maybe"},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = opened(**bad)
    assert not app.exception
    assert 0 <= state_sent(app)["layer"] < 6 and 0 <= state_sent(app)["head"] < 12


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_no_text_gets_a_sentence(app: Page, text: str) -> None:
    app.text_area(key="text").set_value(text).run()
    assert not app.exception and not components(app, "attnviz_view")
    assert "Type a sentence" in app.prose


def test_a_text_longer_than_the_model_says_how_much_was_cut(app: Page) -> None:
    text = "word " * 700
    app.text_area(key="text").set_value(text).run()
    assert not app.exception
    cut = loaded("minilm").encode(text).cut
    assert cut == 190
    assert any("702 tokens" in c.value and "last 190 were left out" in c.value for c in app.text)
    assert app.text_area(key="text").value == text  # nothing typed is lost
    assert len(header(packed(app))["tokens"]["labels"]) == 512


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I like 😀.", "“😀”: it reads [UNK] in its place."),
        ("😀 🎉 😀", "“😀” and “🎉”: it reads [UNK] in the place of each."),
        ("😀 🎉 🐙 🦊", "“😀”, “🎉”, “🐙” and 1 more: it reads [UNK] in the place of each."),
        ("[UNK] is a token.", ""),
    ],
)
def test_what_the_vocabulary_lacks_is_said_above_the_picture(app: Page, text: str, said: str) -> None:
    app.text_area(key="text").set_value(text).run()
    spoken = [sentence.value for sentence in app.text if "no token for " in sentence.value]
    assert [sentence.partition("no token for ")[2] for sentence in spoken] == [said] * bool(said)


def test_the_size_of_a_huge_text_is_said(app: Page) -> None:
    app.text_area(key="text").set_value("x" * (cache.MAX_CHARACTERS + 1)).run()
    assert not app.exception
    assert f"{cache.MAX_CHARACTERS + 1:,} characters" in app.prose


@pytest.mark.parametrize(
    "text", ["x", "é", "👩‍👩‍👧", "<script>alert(1)</script>", "\u202eabc", "[CLS]", "\x00", "東京"]
)
def test_any_text_runs(app: Page, text: str) -> None:
    app.text_area(key="text").set_value(text).run()
    assert not app.exception
    if components(app, "attnviz_view"):
        assert packed(app) == attention_message.pack(loaded("minilm").run(text), name="minilm")


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "nonsense", "<b>x</b>", "scratch:huge", "hf:not-a-name"])
def test_a_model_that_does_not_exist_gets_a_sentence(name: str) -> None:
    app = opened(model=name)
    assert not app.exception and not components(app, "attnviz_view")
    assert name.removeprefix("hf:") in app.prose


def test_a_hub_out_of_reach_leaves_the_app_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    app = opened(model="hf:nobody/nothing")
    app.session_state["download"].wait(60)
    assert "download" in app.session_state and not app.exception
    monkeypatch.setattr(model_downloads, "SOON", 60)  # the page's next run asks again
    app.run()
    assert not app.exception and "cannot be reached" in app.prose
    app.selectbox(key="model").select("minilm").run()
    assert components(app, "attnviz_view")


def test_a_cold_deep_link_runs_the_whole_app() -> None:
    app = AppTest.from_file(str(ROOT / "pages" / "explore.py"), default_timeout=60).run()
    assert not app.exception
    assert components(app, "attnviz_view") and app.text_area(key="text").value == SENTENCE


def test_sessions_do_not_see_each_other() -> None:
    one, two = (opened() for _ in range(2))
    one.text_area(key="text").set_value("Mine alone").run()
    one.session_state["explore"] = {"view": {"layer": 1, "temperature": 0.1, "whole": True}}
    one.run()
    two.run()
    assert two.text_area(key="text").value == SENTENCE
    assert not header(packed(two))["before"] and state_sent(two)["temperature"] == 1.0


def test_the_code_that_ran_is_shown_when_asked_for(app: Page) -> None:
    assert not app.code
    app.session_state["explore_code"] = True
    app.run()
    shown = (reference.attention, reference.softmax, attention.attend, attention._fused)
    assert [code.value for code in app.code] == [inspect.getsource(function).rstrip() for function in shown]


def test_chosen_words_stay_chosen_in_another_text(app: Page) -> None:
    """The query and the key go along to where their words stand; cells and sentences are of the text before."""
    chosen = {"layer": 3, "head": 1, "queries": [10, 5], "key": 2, "painted": [[1, 1]], "mask": "painted"}
    app.session_state["explore"] = {"view": {**chosen, "zoom": [0, 8, 0, 8], "temperature": 0.5}}
    app.run()
    app.text_area(key="text").set_value(SENTENCE.replace("tired", "wide")).run()
    state = state_sent(app)
    assert (state["queries"], state["key"], state["temperature"]) == ([10, 5], 2, 0.5)
    assert (state["painted"], state["zoom"], state["mask"]) == ([], None, "painted")
    app.text_area(key="text").set_value("It was the animal, it said.").run()
    labels = loaded("minilm").encode("It was the animal, it said.").labels
    state = state_sent(app)
    assert [labels[query] for query in state["queries"]] == ["it"] and labels[state["key"]] == "animal"
    assert app.link["q"] == str(state["queries"][0])  # the link says the same
    app.text_area(key="text").set_value("Birds sing.").run()
    assert (state_sent(app)["queries"], state_sent(app)["key"]) == ([], None)


def test_other_pages_go_on_with_what_was_chosen_and_explore_with_theirs(app: Page) -> None:
    app.session_state["explore"] = {"view": {"layer": 5, "head": 2, "queries": [8], "key": 2, "temperature": 0.5}}
    app.run()
    street, animal = thread.Word("street"), thread.Word("animal")
    assert app.session_state["thread"] == thread.Thread(layer=5, head=2, query=street, key=animal)
    turn_to(app, "masks")
    app.session_state["thread"] = thread.Thread(layer=1, head=7, query=thread.Word("tired"), key=animal)
    app.text_area(key="text").set_value("Tired, the animal slept.").run()
    turn_to(app, "explore")
    labels = loaded("minilm").encode("Tired, the animal slept.").labels
    state = state_sent(app)
    assert (state["layer"], state["head"], state["temperature"]) == (1, 7, 0.5)
    assert [labels[query] for query in state["queries"]] == ["tired"]
    assert state["key"] is None  # the key was chosen for the query before
    app.session_state["thread"] = thread.Thread(layer=4)
    app.run()
    assert state_sent(app)["layer"] == 1  # followed on arrival only


def turn_to(app: Page, name: str) -> None:
    """Chooses a page in the navigation, which leads there without parameters."""
    app.query_params.clear()
    app.switch_page(f"pages/{name}.py").run()


@pytest.mark.parametrize("about", ["trace", "temperature"])
def test_a_cell_opens_the_lesson_about_it(app: Page, about: str) -> None:
    app.text_area(key="text").set_value("Birds sing at dawn.").run()
    asked = {"about": about, "layer": 2, "head": 4, "query": 3, "key": 1, "mask": "causal", "temperature": "0.5"}
    app.session_state["explore"] = {"view": {"layer": 2, "head": 4, "queries": [3]}, "ask": asked}
    app.run()
    assert not app.exception
    name, settings = {
        "trace": ("step_by_step", {"of": "text", "mask": "causal", "step": "softmax", "path": "weights.4:3:1"}),
        "temperature": ("softmax", {"temperature": 0.5, "query": 3}),
    }[about]
    for field, value in {**settings, "layer": 2, "head": 4}.items():
        assert app.session_state[f"{name}.{field}"] == value, field
    assert app.session_state["text"] == "Birds sing at dawn."
    labels = loaded("minilm").encode("Birds sing at dawn.").labels
    assert app.session_state["thread"].query == thread.word_at(labels, 3)


@pytest.mark.parametrize(
    ("about", "name", "said"),
    [
        ("head", "heads", "Layer 2, head 4 "),
        ("off", "what_if", "With this head switched off, the cosine with"),
    ],
)
def test_what_a_head_is_for_and_what_becomes_without_it(app: Page, about: str, name: str, said: str) -> None:
    app.text_area(key="text").set_value("Birds sing at noon.").run()
    asked = {"about": about, "layer": 2, "head": 4, "query": 0, "key": 0, "mask": "model", "temperature": "1"}
    app.session_state["explore"] = {"view": {"layer": 2, "head": 4}, "ask": asked}
    app.run()
    assert any(sentence.startswith(said) for sentence in app.sentences), app.sentences
    assert (app.session_state[f"{name}.layer"], app.session_state[f"{name}.head"]) == (2, 4)
    assert app.session_state["text"] == "Birds sing at noon."


@pytest.mark.parametrize("asked", [{"about": "trace"}, {"about": "/etc"}, "trace", {"layer": -1, "query": 10**9}])
def test_a_question_that_is_none_is_not_heard(app: Page, asked: Any) -> None:
    whole = {"about": "x", "layer": 0, "head": 0, "query": 0, "key": 0, "mask": "model", "temperature": "1"}
    app.session_state["explore"] = {"ask": {**whole, **asked} if "layer" in asked else asked}
    app.run()
    assert not app.exception and components(app, "attnviz_view")


def test_what_waits_for_a_page_that_was_left_is_not_anothers(app: Page) -> None:
    """A page that is left before it has run leaves the parameters of its address behind."""
    app.session_state["explore"] = {"view": {"layer": 2, "head": 4, "queries": [3]}}
    app.run()
    turn_to(app, "train")
    app.session_state["linked"] = {"layer": "5"}
    turn_to(app, "explore")
    assert (state_sent(app)["layer"], state_sent(app)["queries"]) == (2, [3])


def test_back_to_another_page_shows_what_it_showed(app: Page) -> None:
    """The browser then still gives the address of the page that was left."""
    app.session_state["explore"] = {"view": {"layer": 2, "head": 4, "queries": [3]}}
    app.run()
    turn_to(app, "train")
    app.switch_page("pages/explore.py")
    app.step_back(layer=5, text="Another page's")
    assert (state_sent(app)["layer"], state_sent(app)["queries"]) == (2, [3])
    assert app.text_area(key="text").value == SENTENCE


def test_a_run_with_an_old_address_changes_nothing_and_a_step_back_does() -> None:
    """Who works faster than the browser writes its address sends an older one, with a change or without."""
    page = opened("", text="Birds sing at dawn.")
    page.text_area(key="text").set_value("What was typed last").run()
    page.query_params["text"] = "Birds sing at dawn."
    page.run()
    assert page.text_area(key="text").value == "What was typed last"
    page.query_params["text"] = "Birds sing at dawn."
    page.text_area(key="text").set_value("  ").run()
    page.query_params["text"] = "Birds sing at dawn."
    page.run()  # nothing to run for a blank text: no address was written
    assert page.text_area(key="text").value == "  "
    page.step_back(text="Birds sing at dawn.", model="scratch:tiny")
    assert (page.text_area(key="text").value, page.session_state["model"]) == ("Birds sing at dawn.", "scratch:tiny")
    page.step_back()  # what an address leaves out is what a new visitor finds
    assert (page.text_area(key="text").value, page.session_state["model"]) == (SENTENCE, "minilm")
    long = "word " * 500
    page.text_area(key="text").set_value(long).run()
    page.step_back(layer=5)  # but a text that no address can carry
    assert page.text_area(key="text").value == long


def test_a_lessons_settings_outlive_a_run_with_an_old_address() -> None:
    page = opened("softmax", seed="2")
    page.session_state["softmax.seed"] = 3
    page.run()
    page.query_params["seed"] = "2"
    page.text_area(key="text").set_value("Another text").run()
    assert page.session_state["softmax.seed"] == 3
    page.step_back(seed=2)
    assert page.session_state["softmax.seed"] == 2


def test_a_small_model_has_a_live_page_and_a_large_one_says_why_not() -> None:
    ((about, _),) = views(opened(model="austen"))
    assert about["noLivePage"] == ""
    ((about, _),) = views(opened(model="minilm"))
    assert about["noLivePage"].startswith("MiniLM has 22.6 million parameters; a page from here holds at most 2")
    view = ViewState(temperature=0.5, layer=1, whole=True)
    name, page = files.file("live", "induction", "Mr Dursley met", None, view)
    assert name == "attnviz-live-induction.html" and b'id="attnviz-model-induction"' in page
    settings = json.loads(re.findall(r'id="attnviz-settings">([^<]+)<', page.decode())[0])
    assert settings["start"] == {"text": "Mr Dursley met", "state": json.loads(json.dumps(view.to_dict()))}
    with pytest.raises(ModelError, match="at most 2 million"):  # whatever a browser asks for
        files.file("live", "minilm", "x", None, view)


def test_a_live_page_asked_of_a_model_that_has_none_leaves_the_page_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_view, "requested_file", lambda _: "live")
    app = opened(model="minilm")
    ((about, _),) = views(app)
    assert not app.exception and "file" not in about
    ((about, _),) = views(opened(model="induction"))
    assert about["file"]["name"] == "attnviz-live-induction.html"


def test_a_live_page_does_not_carry_the_name_that_nobody_may_guess() -> None:
    own = replace(
        loaded("induction"), info=replace(loaded("induction").info, name=f"{cache.OWN}secret", title="Yours 1")
    )
    name, page = files.live_page(own, "a", ViewState())
    assert name == "attnviz-live-yours-1.html" and b"secret" not in page
