"""Messages: their size, what they say of texts and masks, and JavaScript reads back what Python wrote."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz import Intervention, InvalidParameterError, Mask, Trace, load
from attnviz.browser.attention_message import pack
from attnviz.browser.intervention_text import intervention_text
from attnviz.browser.token_columns import direction, is_cjk, sentence_spans
from attnviz.formatting import shortened
from tests.support.hostile_texts import MANY
from tests.support.node import run_node
from tests.support.traces import attention, browser_weights, encoding_of, trace_of

TEXT = "The animal didn't cross the street because it was too tired. "


@pytest.fixture(scope="module")
def minilm() -> Any:
    return load("minilm")


def header_of(message: bytes) -> dict[str, Any]:
    length = int.from_bytes(message[:4], "little")
    assert (4 + length) % 8 == 0
    return json.loads(message[4 : 4 + length])


@pytest.mark.parametrize("n", [16, 64, 65, 128, 512])
def test_message_is_hardly_larger_than_q_and_k(minilm: Any, n: int) -> None:
    trace = minilm.run(TEXT * 60)
    trace = replace(
        trace,
        encodings=(_first(trace.encodings[0], n),),
        layers=tuple(_cut(layer, n) for layer in trace.layers),
    )
    message, bare = pack(trace), 6 * 12 * n * 32 * 2 * 4
    assert bare < len(message) <= 1.1 * bare


def _first(encoding: Any, n: int) -> Any:
    names = ("ids", "tokens", "labels", "offsets", "words", "special")
    return replace(encoding, **{name: getattr(encoding, name)[:n] for name in names})


def _cut(layer: Any, n: int) -> Any:
    own = layer.attention
    return replace(layer, attention=replace(own, q=own.q[:, :, :n], k=own.k[:, :, :n]))


def test_message_grows_with_the_length_not_its_square() -> None:
    short, long = (len(pack(trace_of(attention(n)))) for n in (200, 800))
    assert long < 4.1 * short


@pytest.mark.parametrize("n", [5, 70])
def test_read_at_any_offset(n: int) -> None:
    """Streamlit's bytes start anywhere in their buffer."""
    layers = [attention(n, seed=1), attention(n, seed=2)]
    script = """
      const whole = new Uint8Array(message.length + 16);
      giveFloats([0, 1, 2, 3, 4, 5, 6, 7].flatMap(offset => {
        whole.set(message, offset);
        const model = unpack.unpack(whole.subarray(offset, offset + message.length));
        return model.layers.flatMap(({q, k}) => [...q, ...k]);
      }));
    """
    read = run_node(script, pack(trace_of(*layers)))
    sent = torch.cat([x.flatten() for layer in layers for x in (layer.q, layer.k)])
    assert np.array_equal(read, np.tile(sent.numpy(), 8))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_a_long_text_is_right_over_the_whole_dial(minilm: Any, temperature: float, scaled: bool) -> None:
    """What the view derives from 128 tokens, at the ends of its dial and between, with 1/√d and without."""
    trace = minilm.run(TEXT * 9)
    layer = trace.layers[2].attention
    layer = replace(layer, q=layer.q[:, :3], k=layer.k[:, :3])
    assert layer.q.shape[2] == 128
    changed = replace(layer, temperature=temperature, scale=layer.scale if scaled else 1.0)
    found = browser_weights(pack(trace_of(layer)), {"temperature": temperature, "scaled": scaled})
    assert np.abs(found - changed.weights.flatten().numpy()).max() <= 0.003


def test_broken_heads_are_named() -> None:
    own = attention(5)
    own.q[0, 1, 2, 3] = math.nan
    own.k[0, 2, 0, 0] = math.inf
    message = pack(trace_of(attention(5), own))
    script = "const m = unpack.unpack(message); give({finite: m.finite, broken: m.layers.map(l => l.broken)})"
    assert run_node(script, message) == {"finite": False, "broken": [[], [1, 2]]}
    assert run_node("give(unpack.unpack(message).finite)", pack(trace_of(attention(5)))) is True


NO_MASK = {
    "causal": False,
    "window": None,
    "length": None,
    "blocked": [],
    "keys": None,
    "dense": None,
    "extra": 0,
}
MODEL = """
const read = m => ({
  title: m.title, name: m.name, stack: m.stack, layers: m.layersN, heads: m.headsN, d: m.d, T: m.T, S: m.S,
  tokens: m.tokens, keys: m.keys, same: m.keys === m.tokens, words: m.words, keyWords: m.keyWords,
  sentences: m.sentences, keySentences: m.keySentences, mask: m.mask,
  scale: m.scale, base: m.layers[0].base, temperature: m.temperature,
  alibi: m.alibi && [...m.alibi], dir: m.dir, keyDir: m.keyDir, cjk: m.cjk, intervention: m.intervention,
  headScale: m.layers[0].headScale, groups: m.layers[0].groups, before: m.before && read(m.before)});
give(read(unpack.unpack(message)));
"""


def test_a_real_text_arrives_whole(minilm: Any) -> None:
    trace = minilm.run("Unbelievably, it works. Does it?")
    model, encoding = run_node(MODEL, pack(trace, name="minilm")), trace.encodings[0]
    assert (model["title"], model["name"], model["stack"]) == (trace.title, "minilm", "self")
    assert (model["layers"], model["heads"], model["d"], model["T"]) == (6, 12, 32, len(encoding))
    assert [t["label"] for t in model["tokens"]] == list(encoding.labels)
    assert [t["w"] for t in model["tokens"]] == list(encoding.words)
    assert [t["sp"] for t in model["tokens"]] == list(encoding.special)
    assert [t["cont"] for t in model["tokens"]] == list(encoding.continues)
    assert any(encoding.continues)
    assert model["words"] == list(encoding.word_texts)
    assert model["same"] and model["keys"] == model["tokens"]
    assert model["scale"] == model["base"] == pytest.approx(32**-0.5)
    assert model["mask"] == NO_MASK
    assert model["before"] is None and model["intervention"] is None


def test_heads_that_share_keys_say_their_group(minilm: Any) -> None:
    trace = minilm.run("it works")
    layers = [replace(layer, attention=replace(layer.attention, kv_heads=4)) for layer in trace.layers]
    model = run_node(MODEL, pack(replace(trace, layers=tuple(layers))))
    assert model["groups"] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_settings_of_the_run_and_the_run_before(minilm: Any) -> None:
    change = Intervention(temperature=0.5, scaled=False, mask=("window", 2), head_scale={(0, 3): 0.0}, blocked=[(0, 1)])
    model = run_node(MODEL, pack(minilm.run("it works", intervention=change), before=minilm.run("it works")))
    assert (model["temperature"], model["scale"], model["base"]) == (0.5, 1, pytest.approx(32**-0.5))
    assert model["mask"] == NO_MASK | {"window": 2, "blocked": [[None, 0, 1]]}
    assert model["headScale"] == [1, 1, 1, 0] + [1] * 8
    assert model["groups"] is None
    assert model["intervention"] == intervention_text(change)
    before = model["before"]
    assert (before["temperature"], before["scale"], before["intervention"]) == (
        1,
        pytest.approx(32**-0.5),
        None,
    )
    assert before["tokens"] == model["tokens"]


def test_a_row_of_a_padded_batch(minilm: Any) -> None:
    trace = minilm.run(["a much longer text than the other", "short"])
    model = run_node(MODEL, pack(trace, batch=1))
    real = len(trace.encodings[1])
    assert model["mask"]["length"] == real
    assert [t["label"] for t in model["tokens"]][real:] == ["[PAD]"] * (model["T"] - real)
    assert all(t["sp"] for t in model["tokens"][real:])


def test_masks_and_biases_that_layers_share_are_sent_once() -> None:
    dense, bias = torch.rand(1, 1, 5, 5) > 0.3, torch.randn(5, 5)
    layers = [attention(5, seed=i, mask=Mask(dense=dense.clone()), bias=bias.clone()) for i in range(4)]
    layers.append(attention(5, mask=Mask(causal=True)))
    header = header_of(pack(trace_of(*layers)))
    assert (len(header["masks"]), len(header["biases"])) == (2, 1)
    assert [layer["mask"] for layer in header["layers"]] == [0, 0, 0, 0, 1]


def test_cross_attention_has_two_texts() -> None:
    source = trace_of(attention(4), encodings=(encoding_of(["Der", "Hund", "bellt", "."]),))
    target = encoding_of(["the", "dog", "barks"])
    trace = trace_of(attention(3, 4), encodings=(target,), cross=True, source=source)
    model = run_node(MODEL, pack(trace, stack="cross"))
    assert (model["T"], model["S"], model["same"], model["stack"]) == (3, 4, False, "cross")
    assert [t["label"] for t in model["keys"]] == ["Der", "Hund", "bellt", "."]
    assert model["keyWords"] == ["Der", "Hund", "bellt", "."]
    encoder = run_node(MODEL, pack(trace, stack="encoder"))
    assert [t["label"] for t in encoder["tokens"]] == ["Der", "Hund", "bellt", "."]
    assert run_node(MODEL, pack(trace))["T"] == 3


def test_a_trace_without_text_is_numbered() -> None:
    model = run_node(MODEL, pack(trace_of(attention(3, 5)), title="given"))
    assert [t["label"] for t in model["tokens"]] == ["0", "1", "2"]
    assert [t["label"] for t in model["keys"]] == ["0", "1", "2", "3", "4"]
    assert model["title"] == "given" and model["sentences"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stack": "cross"}, "no layer of this trace"),
        ({"stack": "encoder"}, "no encoder"),
        ({"stack": "x"}, "not one of"),
        ({"batch": 1}, "batch=1, but the trace holds 1"),
    ],
)
def test_what_the_trace_does_not_have(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        pack(trace_of(attention(3)), **options)


def test_hostile_labels_arrive_unchanged() -> None:
    assert len(MANY) >= 500
    trace = trace_of(attention(len(MANY)), encodings=(encoding_of(MANY),), title="</script>")
    script = """
      const m = unpack.unpack(message);
      const joined = maths.items(m, {join: true}).queries.list.map(i => i.label);
      give([m.title, m.tokens.map(t => t.full), m.tokens.map(t => t.label), m.words, joined]);
    """
    title, full, labels, words, joined = run_node(script, pack(trace))
    assert (title, full) == ("</script>", MANY)
    assert labels == joined == [shortened(label) for label in MANY]  # drawn
    assert words == list(trace.encodings[0].word_texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", "ltr"),
        ("", "ltr"),
        ("123 !", "ltr"),
        ("שלום עולם", "rtl"),
        ("مرحبا", "rtl"),
        ("hello שלום", "ltr"),
        ("שלום עולם, ok", "rtl"),
    ],
)
def test_direction(text: str, expected: str) -> None:
    assert direction(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", False),
        ("", False),
        ("日本語", True),
        ("한국어입니다", True),
        ("中文 ok", False),
        ("这是中文。ok", True),
        ("かな", True),
    ],
)
def test_cjk(text: str, expected: bool) -> None:
    assert is_cjk(text) is expected


def test_sentences(minilm: Any) -> None:
    encoding = minilm.encode('He said "no." Dr. 3.5 won! 你好。再见\nLast line')
    texts = [encoding.text[encoding.offsets[a][0] : encoding.offsets[b - 1][1]] for a, b in sentence_spans(encoding)]
    assert texts == ['He said "no."', "Dr.", "3.5 won!", "你好。", "再见", "Last line"]


def test_sentences_end_at_special_tokens() -> None:
    encoding = encoding_of(
        ["[CLS]", "one", "two", "[SEP]", "three", "[SEP]"],
        [None, 0, 1, None, 2, None],
        [True, False, False, True, False, True],
    )
    assert sentence_spans(encoding) == [[1, 3], [4, 5]]


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (Intervention(), ""),
        (
            Intervention(temperature=0.25, mask="causal", layers=(0, 2)),
            "temperature 0.25; causal mask; only in layers 0, 2",
        ),
        (Intervention(scaled=False, where="cross"), "scores not divided by √d; only in the cross-attention"),
        (
            Intervention(head_scale={(1, 2): 0, 3: 0.5}, blocked=[(0, 1)], positions="none"),
            "1 cell blocked; layer 1, head 2 off; head 3 × 0.5; positions: none",
        ),
    ],
)
def test_interventions_in_words(intervention: Intervention, words: str) -> None:
    assert sorted(intervention_text(intervention).split("; ")) == sorted(words.split("; "))


def test_gpu_style_dtypes_are_sent_as_numbers() -> None:
    own = attention(4)
    half = replace(own, q=own.q.bfloat16(), k=own.k.bfloat16())
    read = run_node("giveFloats(unpack.unpack(message).layers[0].q)", pack(trace_of(half)))
    assert np.array_equal(read, own.q.bfloat16().float().flatten().numpy())


def test_packing_leaves_the_trace_alone(minilm: Any) -> None:
    trace: Trace = minilm.run("it works")
    before = [layer.attention.q.clone() for layer in trace.layers]
    assert pack(trace) == pack(trace)
    assert all(torch.equal(a, layer.attention.q) for a, layer in zip(before, trace.layers, strict=True))


def test_rows_may_be_named_by_other_tokens_than_the_keys() -> None:
    """A decoder's rows by what it says: the numbers are the run's, and the keys keep their names."""
    trace = trace_of(attention(3), encodings=(encoding_of(["a", "b", "c"]),))
    plain, named = pack(trace), pack(trace, rows=encoding_of(["b", "c", "d"]))
    header = header_of(named)
    assert header["tokens"]["labels"] == ["b", "c", "d"] and header["keys"]["labels"] == ["a", "b", "c"]
    assert "keys" not in header_of(plain) and header["layers"] == header_of(plain)["layers"]
