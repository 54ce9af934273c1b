"""The live page's session: what it says and shows for a text and the reader's settings, against the library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from attnviz import Intervention, generate, load
from attnviz.browser.attention_message import pack
from attnviz.browser.framing import frame, read_frame
from attnviz.browser.live import model_file
from attnviz.browser.view_state import ViewState
from attnviz.generation.sampling import Sampling
from tests.support.node import NodeError, run_node

RUN = """
const made = new session.Session();
const about = made.open(message);
const result = await made.run(inputs);
give({ about, ...result, message: [...result.message] });
"""
SAY = """
const made = new session.Session();
made.open(message);
const all = [];
for await (const one of made.say(inputs.asked, inputs.n, inputs.draws)) all.push(one);
give(all);
"""


def asked(text: str, view: ViewState | None = None, **more: Any) -> dict[str, Any]:
    return {"text": text, "answer": [], "state": (view or ViewState()).to_dict(), "off": [], "stack": "self"} | {
        "sampling": 1,
        **more,
    }


def weights_apart(found: bytes, expected: bytes) -> float:
    (a_header, a), (b_header, b) = read_frame(found), read_frame(expected)
    assert a_header["tokens"] == b_header["tokens"] and a_header["intervention"] == b_header["intervention"]
    assert (a_header["before"] is None) == (b_header["before"] is None)
    return float(np.abs(np.frombuffer(a, "<f4") - np.frombuffer(b, "<f4")).max())


@pytest.fixture(scope="module", params=["induction", "austen"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield load(request.param)


def test_greedy_continuations_are_the_librarys(decoder: Any) -> None:
    file = model_file(decoder)
    for text in ("Mr Dursley met Mrs Potts. Mr Dursley met", "It is", ""):
        room = decoder.transformer.config.max_len - len(decoder.encode(text))
        expected = generate.greedy(decoder, text, min(64, room))  # type: ignore[attr-defined]
        said = run_node(SAY, file, {"asked": asked(text), "n": 64, "draws": False})
        assert tuple(said[-1]["said"]) == expected.ids and said[-1]["text"] == expected.text


def test_the_next_token_under_a_temperature(decoder: Any) -> None:
    text = "Mr Dursley met Mrs Potts. Mr Dursley met"
    found = run_node(RUN, model_file(decoder), asked(text, sampling=0.5))["next"]
    p = Sampling(0.5).probabilities(decoder.run(text).logits[0, -1])
    assert [one["p"] for one in found] == pytest.approx(p.topk(12).values.tolist(), abs=1e-4)
    assert [one["id"] for one in found][:3] == p.topk(3).indices.tolist()
    assert found[0]["label"] == decoder.tokenizer.encoding([found[0]["id"]]).labels[0]


def test_a_head_off_and_a_painted_mask_are_an_intervention() -> None:
    model = load("tales")
    text = "The old fox that lived by the river."
    view = ViewState(temperature=0.5, mask="painted", painted=((1, 0), (3, 2), (60, 60)), whole=True)
    found = bytes(run_node(RUN, model_file(model), asked(text, view, off=[[1, 0], [9, 9]]))["message"])
    change = Intervention(temperature=0.5, blocked=[(1, 0), (3, 2)], head_scale={(1, 0): 0.0}, where="all")
    expected = pack(model.run(text, intervention=change), before=model.run(text))
    assert weights_apart(found, expected) <= 1e-4


@pytest.mark.parametrize("whole", [True, False])
def test_a_change_that_is_for_one_softmax_does_not_run_the_model(whole: bool) -> None:
    model, text = load("tales"), "The old fox"
    view = ViewState(temperature=0.5, whole=whole)
    found = bytes(run_node(RUN, model_file(model), asked(text, view, off=[[0, 1]]))["message"])
    change = Intervention(temperature=0.5 if whole else 1.0, head_scale={(0, 1): 0.0})
    expected = pack(model.run(text, intervention=change), before=model.run(text) if whole else None)
    assert weights_apart(found, expected) <= 1e-4


@pytest.mark.parametrize("stack", ["encoder", "self", "cross"])
def test_an_encoder_decoder_model_answers_and_shows_each_attention(stack: str) -> None:
    model, text = load("dates"), "the 3rd of May 1997"
    result = run_node(RUN, model_file(model), asked(text, stack=stack))
    answer = generate.greedy(model, text)  # type: ignore[attr-defined]
    assert result["said"] == answer.text == "1997-05-03"
    ids = [model.tokenizer.bos_id, *answer.ids]
    header, payload = read_frame(bytes(result["message"]))
    from attnviz.generation.sampling import prompt, whole

    expected, numbers = read_frame(pack(whole(model, prompt(model, text), answer.ids), name="dates", stack=stack))
    assert header["tokens"] == expected["tokens"] and header.get("keys") == expected.get("keys")
    assert np.abs(np.frombuffer(payload, "<f4") - np.frombuffer(numbers, "<f4")).max() <= 1e-4
    assert len(ids) == 11


def test_tokens_that_were_said_stand_in_the_run(decoder: Any) -> None:
    text, answer = "Mr Dursley met", [70, 80, 90]
    result = run_node(RUN, model_file(decoder), asked(text, answer=answer))
    from attnviz.generation.sampling import prompt, whole

    expected = pack(whole(decoder, prompt(decoder, text), answer))
    assert weights_apart(bytes(result["message"]), expected) <= 1e-4


def test_a_text_that_is_cut_is_counted_and_nothing_comes_next(decoder: Any) -> None:
    longest = decoder.transformer.config.max_len
    result = run_node(RUN, model_file(decoder), asked("word " * 400))
    assert result["tokens"] == longest and result["cut"] == decoder.encode("word " * 400).cut > 0
    assert result["next"] is None


@pytest.mark.parametrize("file", [b"", b"PK\x03\x04 a zip", b"\x02\x00\x00\x00{}", b"\x00" * 64])
def test_what_is_no_model_file_is_refused_in_a_sentence(file: bytes) -> None:
    with pytest.raises(NodeError, match="This is not a model file of a live page"):
        run_node("new session.Session().open(message); give(0)", file)


TWO_FILES = """
const made = new session.Session();
const [first, second] = [message.subarray(0, inputs.at), message.subarray(inputs.at)];
made.open(first);
let says = "";
try {
  made.open(second);
} catch (error) {
  says = error.message;
}
const result = await made.run(inputs);
give({ says, message: [...result.message] });
"""


def test_a_file_that_is_refused_leaves_the_open_model_as_it_is() -> None:
    model = load("tales")
    file = model_file(model)
    header, payload = read_frame(file)
    damaged = frame(header | {"title": "Another"}) + bytes(payload[:-2])
    result = run_node(TWO_FILES, file + damaged, asked("The old fox") | {"at": len(file)})
    assert "is not whole" in result["says"]
    assert weights_apart(bytes(result["message"]), pack(model.run("The old fox"))) <= 1e-4
    assert read_frame(bytes(result["message"]))[0]["title"] == "Tales"
