"""The tokenizers of the live page, in JavaScript, against Python's on a hundred texts of several scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attnviz import load
from attnviz.browser.token_columns import token_columns
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.tokenizers import Tokenizer
from tests.support.hostile_texts import MANY
from tests.support.node import NodeError, run_node
from tests.support.scripts import texts

FILES = {
    "austen": ASSETS / "models/austen/tokenizer.json",  # byte pairs
    "tales": ASSETS / "models/tales/tokenizer.json",  # whole words, else bytes
    "dates": ASSETS / "models/dates/tokenizer.json",  # characters, else bytes
    "minilm": ASSETS / "tokenizers/minilm/tokenizer.json",  # word pieces
}
SPLITS = """
const made = new tokens.Tokenizer(inputs.json);
give(inputs.texts.map((text) => {
  const encoding = made.encode(text, inputs.most ?? undefined);
  return { ...encoding, columns: tokens.tokenColumns(encoding), back: tokens.tokenColumns(encoding, true) };
}));
"""


def readable_texts() -> list[str]:
    """What is Unicode: the hundred, and what strangers could type."""
    return [text[:2_000] for text in [*texts(), *MANY] if not any(0xD800 <= ord(ch) < 0xE000 for ch in text)]


def check(name: str, most: int | None, given: list[str]) -> None:
    python = Tokenizer.from_file(FILES[name])
    inputs = {"json": json.loads(FILES[name].read_text()), "texts": given, "most": most}
    for text, found in zip(given, run_node(SPLITS, inputs=inputs), strict=True):
        expected = python.encode(text, max_length=most)
        for part in ("ids", "tokens", "labels", "words", "special", "cut"):
            value: Any = getattr(expected, part)
            assert found[part] == (list(value) if part != "cut" else value), (text, part)
        assert [tuple(pair) for pair in found["offsets"]] == list(expected.offsets), text
        assert found["columns"] == json.loads(json.dumps(token_columns(expected, len(expected)))), text
        assert found["back"] == json.loads(json.dumps(token_columns(expected, len(expected), keys=True))), text


@pytest.mark.parametrize("most", [None, 12])
@pytest.mark.parametrize("name", FILES)
def test_ids_labels_words_and_offsets_are_pythons(name: str, most: int | None) -> None:
    check(name, most, readable_texts())


@pytest.mark.parametrize("n", [20_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_a_text_of_a_hundred_thousand_characters_is_read(n: int) -> None:
    for name in ("austen", "minilm"):
        check(name, 40, ["word " * (n // 5), "a" * n])


def test_of_a_name_as_long_as_a_book_a_thousand_characters_are_read() -> None:
    """Vocabularies come from strangers, too."""
    json_text = json.loads(FILES["minilm"].read_text())
    name, pile = next(iter(json_text["model"]["vocab"])), "e" + "\u0301" * 100_000
    json_text["model"]["vocab"] = {pile if one == "bird" else one: i for one, i in json_text["model"]["vocab"].items()}
    python, at = Tokenizer.from_str(json.dumps(json_text)), json_text["model"]["vocab"][pile]
    script = "give(new tokens.Tokenizer(inputs.json).encoding(inputs.ids).labels)"
    labels = run_node(script, inputs={"json": json_text, "ids": [0, at]})
    assert labels == list(python.encoding([0, at]).labels) == [name, f"{pile[:999]}…"]
    assert python.encoding([at]).tokens == (pile,)


@pytest.mark.parametrize("name", ["austen", "dates", "tales"])
def test_what_a_model_said_is_named_as_in_python(name: str) -> None:
    python = Tokenizer.from_file(FILES[name])
    rows = [list(python.encode(text).ids)[:60] for text in ["The 3rd of May 😀, naïve", "שלום 東京", "1997-05-03"]]
    rows += [[*row[2:], 0, *row[:4]] for row in rows]  # characters cut in two, special tokens inside
    script = "const made = new tokens.Tokenizer(inputs.json); give(inputs.rows.map((ids) => made.encoding(ids)))"
    inputs = {"json": json.loads(FILES[name].read_text()), "rows": rows}
    for ids, found in zip(rows, run_node(script, inputs=inputs), strict=True):
        expected = python.encoding(ids)
        assert found["text"] == expected.text
        assert found["labels"] == list(expected.labels) and found["words"] == list(expected.words)
        assert [tuple(pair) for pair in found["offsets"]] == list(expected.offsets)


def test_what_is_no_text_is_refused_in_a_sentence() -> None:
    script = "new tokens.Tokenizer(inputs.json).encode(inputs.text ?? '\\ud800x'); give(0)"
    inputs = {"json": json.loads(FILES["tales"].read_text())}
    for text, says in [(None, "a lone surrogate U+D800 at character 0"), ("ab" * 500_001, "1,000,002 characters")]:
        with pytest.raises(NodeError, match=says.replace("+", r"\+")):
            run_node(script, inputs=inputs | {"text": text})


@pytest.mark.parametrize(
    ("json_text", "says"),
    [
        ({"model": {"type": "Unigram"}}, "The tokenizer is Unigram, which this page does not read"),
        ({"model": {"type": "WordPiece"}}, "in a way that this page does not know"),
        ({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Metaspace"}}, "by Metaspace, which this page"),
        ({"model": {"type": "BPE"}, "normalizer": {"type": "NFC"}}, "in a way that this page does not know"),
        ({"model": {"type": "BPE", "end_of_word_suffix": "</w>"}}, "in a way that this page does not know"),
        ({"model": {"type": "BPE"}, "post_processor": {"type": "RobertaProcessing"}}, "by RobertaProcessing, which"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(json_text: dict[str, Any], says: str) -> None:
    with pytest.raises(NodeError, match=says):
        run_node("new tokens.Tokenizer(inputs); give(0)", inputs=json_text)


def test_every_bundled_text_model_has_one_of_these_tokenizers() -> None:
    for name in ("austen", "induction", "tales", "dates"):
        source = json.loads(load(name).tokenizer.to_json())
        run_node("new tokens.Tokenizer(inputs); give(0)", inputs=source)
