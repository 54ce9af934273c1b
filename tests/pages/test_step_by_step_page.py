"""Step by step: what the page says and sends is what the library computes."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Intervention
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.analysis.provenance.worked_example import by_hand
from attnviz.browser.framing import read_frame
from attnviz.errors import InvalidParameterError
from attnviz.formatting import percent, significant
from attnviz.web import thread
from attnviz.web.settings_link import from_query, to_query
from attnviz.web.step_by_step import text
from attnviz.web.step_by_step.state import Settings
from tests.pages.driver import SENTENCE, Page, beginning, charts, frames, numbers, opened
from tests.support.hostile_texts import EVERY_FOURTH
from tests.support.models import loaded


def typed(text: str, **query: str) -> Page:
    """The page on a text of the reader's own."""
    app = opened("step_by_step", **query)
    app.session_state["text"] = text
    return app.run()


def sent(app: Page) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """What the browser got: the page's settings, the message's header and its matrices."""
    about, message = frames(app, "attnviz_walk")[0]
    header, body = read_frame(bytes(message))
    kind = np.dtype("<f8" if header["bytes"] == 8 else "<f4")
    matrices = {
        m["name"]: np.frombuffer(body, kind, m["rows"] * m["stored"], m["at"]).reshape(m["rows"], m["stored"])
        for m in header["matrices"]
    }
    return about, header, matrices


def test_opens_on_the_example_by_hand() -> None:
    app = opened("step_by_step")
    assert "In head 0, “chase” gives 94\u202f% of its attention to “cats”." in app.prose
    about, header, matrices = sent(app)
    one = by_hand()
    assert about["state"] == {"step": "x", "path": [], "head": 0, "row": -1, "edits": []}
    assert header["labels"] == ["cats", "chase", "mice"]
    assert header["editable"] == ["W_Q", "W_K", "W_V", "W_O", "W_1", "W_2"]
    assert set(matrices) == set(one.matrices)
    for name, values in matrices.items():
        np.testing.assert_array_equal(values, one[name].values)


def test_the_readers_text_in_minilm() -> None:
    app = opened("step_by_step", of="text", layer="3", head="1", path="weights.1:10:2", step="softmax")
    run = loaded("minilm").run(SENTENCE)
    weights = run.layers[3].attention.weights[0, 1]
    assert (
        f"In layer 3, head 1, “it” gives {100 * weights[10, 2]:.0f}\u202f% of its attention to “animal”." in app.prose
    )
    about, header, matrices = sent(app)
    assert about["state"]["path"] == [["weights.1", 10, 2]] and header["head"] == 1
    np.testing.assert_array_equal(matrices["weights.1"], weights.numpy())
    np.testing.assert_array_equal(matrices["out"], run.layers[3].attention.out[0].numpy())
    assert "scores.0" not in matrices


def test_the_mask_is_the_models_intervention() -> None:
    app = opened("step_by_step", of="text")
    app.selectbox(key="step_by_step.mask").select("causal").run()
    model = loaded("minilm")
    run = model.run(SENTENCE, intervention=Intervention(mask="causal", layers=0))
    expected = layer_provenance(model.transformer, run, 0)
    _, header, matrices = sent(app)
    assert header["causal"]
    np.testing.assert_array_equal(matrices["weights.0"], expected["weights.0"].values)


@pytest.mark.parametrize(("of", "head"), [("hand", "0"), ("hand", "1"), ("text", "4")])
def test_two_programs_agree(of: str, head: str) -> None:
    app = opened("step_by_step", of=of, head=head)
    assert [metric.label for metric in app.metric] == ["PyTorch", "NumPy"]
    a, b = (float(metric.value) for metric in app.metric)
    assert abs(a - b) <= 1e-6
    row = 1 if of == "hand" else Settings().query
    assert a == pytest.approx(sent(app)[2][f"weights.{head}"][row].max(), abs=1e-7)


def test_the_steps_are_seen_before_the_guess_and_what_hiding_a_word_does_is_not() -> None:
    app = opened("step_by_step", revealed=0)
    _, header, matrices = sent(app)
    assert header["labels"] == ["cats", "chase", "mice"] and not charts(app)
    app.guess("hidden", text.OUTCOMES[1])
    assert "Not quite" in app.prose
    (bars,) = charts(app)
    before, after = (numbers(one["y"]) / 100 for one in bars["data"])
    assert before == pytest.approx(matrices["weights.0"][2], abs=1e-6)
    top = int(before.argmax())
    left = np.delete(before, top) / (1 - before[top])
    assert np.delete(after, top) == pytest.approx(left, abs=1e-6) and after[top] == 0
    factor = significant(float(1 / (1 - before[top])))
    assert f"becomes {factor} times what it was" in app.prose


def test_nothing_is_asked_of_a_row_that_nobody_could_tell() -> None:
    app = opened("step_by_step", of="text", text="a", model="induction", revealed=0)
    assert frames(app, "attnviz_walk") and not [one for one in app.get("button_group") if ".quiz." in one.proto.id]


@pytest.mark.parametrize("number", range(6))
def test_every_try_sets_the_page_up(number: int) -> None:
    app = opened("step_by_step")
    app.button(key=f"step_by_step-try-{number}").click().run()
    assert not app.exception
    about, header, matrices = sent(app)
    state = about["state"]
    if number == 0:
        assert state["step"] == "x" and state["path"][0] == ["out", 1, 0] and state["path"][-1] == ["E", 0, 2]
    elif number == 1:
        assert state["edits"] == [["W_Q:1:0", "-2"]] and matrices["Q"][1, 0] == -2
        assert "“chase” gives 94\u202f% of its attention to itself" in app.prose
    elif number == 2:
        assert not header["causal"] and matrices["weights.1"][0, 2] > 0
    elif number == 3:
        assert state["path"] == [["m", 0, 1]] and not state["edits"]
        row = matrices["r"][0]
        assert matrices["m"][0, 1] == pytest.approx((row[1] - row.mean()) / np.sqrt(row.var() + 1e-5))
    elif number == 4:
        assert header["layer"] == 3 and header["head"] == 1 and header["title"] == "MiniLM"
    else:
        assert header["title"] == "Austen" and state["step"] == "turn" and "Qr" in matrices


def test_what_the_reader_does_in_the_view_goes_to_the_address() -> None:
    app = opened("step_by_step")
    before = frames(app, "attnviz_walk")[0][1]
    app.session_state["walk"] = {
        "walk": {"step": "out", "path": "out:2:1", "head": 1, "row": -1, "edits": "W_O.0.0:1/2"}
    }
    for field, value in (("step", "out"), ("path", "out:2:1"), ("hand_head", 1), ("edits", "W_O.0.0:1/2")):
        app.session_state[f"step_by_step.{field}"] = value
    app.run()
    assert app.link == {"step": "out", "path": "out:2:1", "hand_head": "1", "edits": "W_O.0.0:1/2"}
    about, _, matrices = sent(app)
    assert about["number"] == 1 and about["state"]["step"] == "x"  # what the view reported is not sent back to it
    assert matrices["W_O"][0, 0] == 0.5 and frames(app, "attnviz_walk")[0][1] != before


CAUSAL = ("scratch:gpt", "austen", "induction")


@pytest.mark.parametrize("model", [*CAUSAL, "tales", "scratch:tiny", "scratch:bert", "scratch:test"])
def test_other_models(model: str) -> None:
    app = opened("step_by_step", of="text", model=model, head="99", layer="99")
    _, header, _ = sent(app)
    assert header["layer"] == header["layers"] - 1 and header["head"] == header["heads"] - 1
    assert header["causal"] == (model in CAUSAL)
    assert boxes(app)["Mask"] == f"as built ({'causal' if model in CAUSAL else 'none'})"
    a, b = (float(metric.value) for metric in app.metric)
    assert abs(a - b) <= 1e-6


def boxes(app: Page) -> dict[str, str]:
    """What the lists show, by title. AppTest keeps the names of what can be chosen, as the browser does."""
    return {box.label: box.options[box.index] for box in app.main.selectbox}


def test_the_mask_as_built_has_the_right_name_from_the_start() -> None:
    app = opened("step_by_step")
    assert boxes(app)["Mask"] == "as built (causal)"
    app.choose(of="text")
    mask = app.selectbox(key="step_by_step.mask")
    assert boxes(app)["Mask"] == "as built (none)"
    assert mask.proto.set_value and mask.proto.raw_value == "as built (none)"  # or the browser keeps the old name
    app.session_state["model"] = "austen"
    assert app.run().selectbox(key="step_by_step.mask").proto.raw_value == "as built (causal)"


# ---- the thread ----------------------------------------------------------------------------------------


def test_a_link_with_a_query_and_a_key_opens_on_their_weight() -> None:
    app = opened("step_by_step", of="text", layer=3, head=1, query=10, key=2)
    about, header, _ = sent(app)
    assert about["state"] == {"step": "softmax", "path": [["weights.1", 10, 2]], "head": 1, "row": 10, "edits": []}
    assert header["layer"] == 3 and boxes(app)["Word"] == "10 it"
    restored = opened("step_by_step", **app.link)
    assert sent(restored)[0]["state"] == about["state"]
    broken = opened("step_by_step", of="text", layer=3, head=1, query="x", key="<b>")
    assert sent(broken)[0]["state"]["path"] == []


def test_a_path_from_another_page_is_about_its_words() -> None:
    link = {"of": "text", "head": 4, "step": "softmax", "path": "weights.4:3:1"}
    assert boxes(opened("step_by_step", **link))["Word"] == "3 didn"
    app = Page("step_by_step", link)
    app.session_state["thread"] = thread.Thread(layer=0, head=4)  # as Explore leaves it
    state = sent(app.run())[0]["state"]
    assert state == {"step": "softmax", "path": [["weights.4", 3, 1]], "head": 4, "row": 3, "edits": []}
    assert app.link["query"] == "3" and app.link["key"] == "1"


def agree(app: Page, word: str) -> None:
    """Box, sentence, link and view are about the same word."""
    about, header, _ = sent(app)
    row = about["state"]["row"]
    assert header["labels"][row] == word
    assert boxes(app)["Word"] == f"{row} {word}" and f"“{word}” gives" in app.prose
    assert app.link.get("query", beginning(app)) == str(row)
    for name, at, _ in about["state"]["path"][:1]:
        assert at == row or name[0] in "WbγβKV"


def test_box_sentence_and_link_agree_after_every_change() -> None:
    app = opened("step_by_step", of="text", layer=3, head=1, query=10, key=2)
    agree(app, "it")
    app.session_state["text"] = "Yes: the animal was so wide that it fell."
    agree(app.run(), "it")
    assert sent(app)[0]["state"]["path"] == [["weights.1", 9, 4]]  # “it” and “animal” where they stand now
    app.session_state["text"] = "Nobody sang at dawn."
    agree(app.run(), "dawn")
    app.choose(query=2)
    agree(app, "sang")
    app.session_state["model"] = "scratch:gpt"
    agree(app.run(), "sang")
    app.button(key="step_by_step-try-4").click().run()
    agree(app, "sang")


def test_special_characters_in_the_box_are_themselves() -> None:
    app = opened("step_by_step", of="text", text="a **b** [c](d) `e`")
    options = app.selectbox(key="step_by_step.query").options
    assert options[0] == "0 [CLS]" and not any("\\" in option for option in options)


def test_a_traced_weight_that_is_not_the_largest_is_in_the_sentence_too() -> None:
    weights = loaded("minilm").run(SENTENCE).layers[3].attention.weights[0, 1].numpy()
    app = opened(
        "step_by_step", of="text", layer=3, head=1, query=4, key=5
    )  # as Explore's “Trace this number” opens it
    top, traced = percent(weights[4].max()), percent(weights[4, 5])
    assert traced != top and f"gives {top} of its attention to “[CLS]”, and {traced} to “t”." in app.sentence
    app = opened("step_by_step", of="text", layer=3, head=1, query=4, key=4)
    assert f"of its attention to “[CLS]”, and {percent(weights[4, 4])} to itself." in app.sentence
    app = opened("step_by_step", of="text", layer=3, head=1, query=4, key=0)
    assert app.sentence.endswith("of its attention to “[CLS]”.")


def test_going_a_layer_down_keeps_the_word_and_the_number() -> None:
    app = opened("step_by_step", of="text", layer=3, head=1, path="x:10:6")
    x = sent(app)[2]["x"][10, 6]
    app.choose(layer=2, path="y:10:6")
    about, header, matrices = sent(app)
    assert header["layer"] == 2 and about["state"]["path"] == [["y", 10, 6]] and about["state"]["row"] == 10
    assert matrices["y"][10, 6] == x
    agree(app, "it")


def test_another_head_keeps_the_cell() -> None:
    app = opened("step_by_step", of="text", layer=3, head=1, query=10, key=2)
    app.choose(head=4)
    assert sent(app)[0]["state"]["path"] == [["weights.4", 10, 2]] and app.link["path"] == "weights.4:10:2"
    app.choose(path="z.4:10:130", step="values").choose(head=0)
    assert sent(app)[0]["state"]["path"] == [["z.0", 10, 2]]


def test_the_columns_that_a_path_needs_are_sent() -> None:
    app = opened("step_by_step", of="text", layer=3, path="f:10:6/a:10:700/h:10:700")
    _, header, matrices = sent(app)
    parts = {m["name"]: (m["first"], m["stored"]) for m in header["matrices"]}
    assert parts["W_1"] == (688, 16) and parts["W_2"] == (0, 16) and parts["h"] == (0, 1536)
    one = layer_provenance(loaded("minilm").transformer, loaded("minilm").run(SENTENCE), 3)
    np.testing.assert_array_equal(matrices["W_1"], one["W_1"].values[:, 688:704])
    assert len(frames(app, "attnviz_walk")[0][1]) < 1_000_000


def test_a_model_that_cannot_be_walked_says_so() -> None:
    app = opened("step_by_step", of="text", model="scratch:base")
    assert "reads two texts" in app.prose and not frames(app, "attnviz_walk")


@pytest.mark.parametrize("text", ["a", "x " * 300, *EVERY_FOURTH[15:30]])
def test_any_text(text: str) -> None:
    app = typed(text, of="text")
    if frames(app, "attnviz_walk"):
        _, header, _ = sent(app)
        assert 1 <= len(header["labels"]) <= 64
    else:
        assert app.prose


def test_an_empty_text_leaves_the_example_alone() -> None:
    assert sent(typed(""))[1]["labels"] == ["cats", "chase", "mice"]


@given(
    st.builds(
        Settings,
        of=st.sampled_from(["hand", "text"]),
        layer=st.integers(0, 11),
        head=st.integers(0, 11),
        mask=st.sampled_from(["own", "causal", "none"]),
        step=st.sampled_from(["x", "scores", "out"]),
        path=st.sampled_from(["", "out:1:0", "z.11:3:380/weights.11:3:0", "γ_e:0:1"]),
        edits=st.sampled_from(["", "W_Q.0.0:1/2", "W_Q.0.0:-1,W_O.3.3:.5", "W_1.3.5:2,W_2.5.3:1"]),
        query=st.integers(0, 99),
        key=st.integers(-1, 99),
    )
)
def test_an_address_restores_the_page(chosen: Settings) -> None:
    assert from_query(Settings(), to_query(Settings(), chosen)) == chosen


@pytest.mark.parametrize(
    "query",
    [
        {"step": "z"},
        {"path": "x"},
        {"path": "x:1:1/"},
        {"path": "x:1:9999999"},
        {"path": "<b>:1:1"},
        {"query": "-1"},
        {"key": "-2"},
        {"edits": "W_1.4.0:1"},
        {"path": "x:1:1/" * 99 + "x:1:1"},
        {"edits": "W_Q.0.0:1e30"},
        {"edits": "W_Q.0.0:nan"},
        {"head": "-1"},
        {"layer": "1e9"},
        {"of": "all"},
        {"mask": "padding"},
    ],
)
def test_an_address_that_asks_for_the_impossible_is_ignored(query: dict[str, str]) -> None:
    assert from_query(Settings(), query) == Settings()
    with pytest.raises((InvalidParameterError, ValueError)):
        Settings(**{name: int(float(v)) if re.fullmatch(r"-?[\de]+", v) else v for name, v in query.items()})  # type: ignore[arg-type]
