"""Explore through AppTest: what is sent to the browser is what the library computes, and bad input gets a sentence."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

import attnviz
from attnviz.browser import attention_message
from attnviz.web import cache
from attnviz.web.jobs import model_downloads
from tests.pages.driver import mounted

APP = str(Path(__file__).parents[2] / "app.py")
TIRED = "The animal didn't cross the street because it was too tired."


@pytest.fixture
def app() -> Iterator[AppTest]:
    """The app as a new visitor finds it."""
    yield AppTest.from_file(APP, default_timeout=60).run()


def message(app: AppTest) -> bytes:
    """The bytes of the view: u32 length of {state, …}, that JSON, then the packed runs."""
    (view,) = mounted(app, "attnviz_view")
    data: bytes = view.proto.bytes
    return data


def state_sent(app: AppTest) -> dict:
    data = message(app)
    return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])["state"]


def packed(app: AppTest) -> bytes:
    data = message(app)
    length = int.from_bytes(data[:4], "little")
    return data[4 + length : 4 + length + json.loads(data[4 : 4 + length])["message"]]


def header(app: AppTest) -> dict:
    data = packed(app)
    return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])


def link(app: AppTest) -> dict[str, str]:
    """The address's parameters; AppTest gives what the script wrote as str and what the test wrote as a list."""
    return {k: v[-1] if isinstance(v, list) else v for k, v in app.query_params.items()}


def said(app: AppTest) -> str:
    return " ".join(text.value for text in app.text)


def test_opens_on_a_trained_model_and_a_good_sentence(app: AppTest) -> None:
    assert not app.exception
    model = attnviz.load("minilm")
    assert packed(app) == attention_message.pack(model.run(TIRED), name="minilm")
    state = state_sent(app)
    assert (state["layer"], state["head"], state["queries"]) == (3, 1, [10])
    weights = model.run(TIRED).layers[3].attention.weights[0, 1, 10]
    assert model.encode(TIRED).labels[int(weights.argmax())] == "animal"


def test_a_text_of_ones_own_is_run(app: AppTest) -> None:
    app.text_area(key="text").set_value("Colourless green ideas sleep furiously.").run()
    assert not app.exception
    run = attnviz.load("minilm").run("Colourless green ideas sleep furiously.")
    assert packed(app) == attention_message.pack(run, name="minilm")
    assert state_sent(app)["queries"] == []  # the token chosen before is another one now


def test_an_example_fills_the_text(app: AppTest) -> None:
    app.selectbox(key="example").select("The wide street").run()
    assert app.text_area(key="text").value == TIRED.replace("tired", "wide")
    assert app.selectbox(key="example").value is None  # free to be picked again


@pytest.mark.parametrize("name", ["scratch:tiny", "scratch:bert", "scratch:gpt"])
def test_every_model_of_the_list_runs(app: AppTest, name: str) -> None:
    app.selectbox(key="model").select(name).run()
    assert not app.exception
    assert packed(app) == attention_message.pack(attnviz.load(name).run(TIRED), name=name)


def test_the_change_runs_through_the_model(app: AppTest) -> None:
    chosen = {"layer": 3, "head": 1, "queries": [10], "temperature": 0.5, "mask": "causal", "whole": True}
    app.session_state["explore"] = {"view": chosen}
    app.run()
    assert not app.exception
    model = attnviz.load("minilm")
    change = attnviz.Intervention(temperature=0.5, mask="causal")
    plain, changed = model.run(TIRED), model.run(TIRED, intervention=change)
    assert packed(app) == attention_message.pack(changed, name="minilm", before=plain)
    assert header(app)["before"] is not None
    moved = (changed.final - plain.final).norm(dim=-1)[0] / plain.final.norm(dim=-1)[0]
    assert f"{moved[10] * 100:.0f}\u202f%" in said(app)
    assert f"the average token {moved.mean() * 100:.0f}\u202f%" in said(app)
    assert torch.equal(plain.final, model.run(TIRED).final)


def test_the_link_restores_model_text_and_view() -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update(
        {
            "text": "Two words",
            "model": "scratch:gpt",
            "layer": "2",
            "head": "3",
            "temp": "0.5",
            "mask": "none",
        }
    )
    app.run()
    assert not app.exception
    assert app.text_area(key="text").value == "Two words"
    assert app.selectbox(key="model").value == "scratch:gpt"
    state = state_sent(app)
    assert (state["layer"], state["head"], state["temperature"], state["mask"]) == (2, 3, 0.5, "none")
    assert link(app) == {
        "text": "Two words",
        "model": "scratch:gpt",
        "layer": "2",
        "head": "3",
        "temp": "0.5",
        "mask": "none",
    }


def test_the_link_says_what_differs_from_the_first_look(app: AppTest) -> None:
    app.session_state["explore"] = {"view": {"layer": 5, "head": 2, "queries": [4]}}
    app.run()
    assert link(app) == {"layer": "5", "head": "2", "q": "4"}


@pytest.mark.parametrize(
    "bad",
    [
        {"layer": "99", "head": "-1", "temp": "nan", "mask": "<script>", "q": "5000_x"},
        {"layer": "1e9", "zoom": "9_1_2", "heads": "77.1_a", "colour": "red", "whole": "maybe"},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update(bad)
    app.run()
    assert not app.exception
    assert 0 <= state_sent(app)["layer"] < 6 and 0 <= state_sent(app)["head"] < 12


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_no_text_gets_a_sentence(app: AppTest, text: str) -> None:
    app.text_area(key="text").set_value(text).run()
    assert not app.exception and not mounted(app, "attnviz_view")
    assert "Type a sentence" in said(app)


def test_a_text_longer_than_the_model_says_how_much_was_cut(app: AppTest) -> None:
    text = "word " * 700
    app.text_area(key="text").set_value(text).run()
    assert not app.exception
    cut = attnviz.load("minilm").encode(text).cut
    assert cut == 190
    assert any("702 tokens" in c.value and "last 190 were left out" in c.value for c in app.caption)
    assert app.text_area(key="text").value == text  # nothing typed is lost
    assert len(header(app)["tokens"]["labels"]) == 512


def test_a_huge_text_is_refused_with_its_size(app: AppTest) -> None:
    app.text_area(key="text").set_value("x" * (cache.MAX_CHARACTERS + 1)).run()
    assert not app.exception
    assert f"{cache.MAX_CHARACTERS + 1:,} characters" in said(app)


@pytest.mark.parametrize(
    "text", ["x", "é", "👩‍👩‍👧", "<script>alert(1)</script>", "\u202eabc", "[CLS]", "\x00", "東京"]
)
def test_any_text_runs(app: AppTest, text: str) -> None:
    app.text_area(key="text").set_value(text).run()
    assert not app.exception
    if mounted(app, "attnviz_view"):
        assert packed(app) == attention_message.pack(attnviz.load("minilm").run(text), name="minilm")


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "nonsense", "<b>x</b>", "scratch:huge", "hf:not-a-name"])
def test_a_model_that_does_not_exist_gets_a_sentence(name: str) -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["model"] = name
    app.run()
    assert not app.exception and not mounted(app, "attnviz_view")
    assert name.removeprefix("hf:") in said(app)


def test_a_hub_out_of_reach_leaves_the_app_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    app = AppTest.from_file(APP, default_timeout=30)
    app.query_params["model"] = "hf:nobody/nothing"
    app.run()
    app.session_state["download"].wait(60)
    assert "download" in app.session_state and not app.exception
    monkeypatch.setattr(model_downloads, "SOON", 60)  # the page's next run asks again
    app.run()
    assert not app.exception and "cannot be reached" in said(app)
    app.selectbox(key="model").select("minilm").run()
    assert mounted(app, "attnviz_view")


def test_a_cold_deep_link_runs_the_whole_app() -> None:
    app = AppTest.from_file(str(Path(APP).parent / "pages" / "explore.py"), default_timeout=60).run()
    assert not app.exception
    assert mounted(app, "attnviz_view") and app.text_area(key="text").value == TIRED


def test_sessions_do_not_see_each_other() -> None:
    one, two = (AppTest.from_file(APP, default_timeout=60).run() for _ in range(2))
    one.text_area(key="text").set_value("Mine alone").run()
    one.session_state["explore"] = {"view": {"layer": 1, "temperature": 0.1, "whole": True}}
    one.run()
    two.run()
    assert two.text_area(key="text").value == TIRED
    assert not header(two)["before"] and state_sent(two)["temperature"] == 1.0


def test_the_code_that_ran_is_shown_when_asked_for(app: AppTest) -> None:
    assert not app.code
    app.session_state["explore_code"] = True
    app.run()
    assert [code.value for code in app.code] == [inspect.getsource(attnviz.attend).rstrip()]
