"""A stranger's tokenizer.json: what it does with memory and time ends in a sentence, and the next text is read."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnviz.errors import ModelError
from attnviz.inputs import isolated_tokenizer
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.tokenizers import Tokenizer

HONEST = Tokenizer.train_bpe(["the cat sat on the mat"], 300)
TEXTS = ("the cat", "", " ", "日本語 😀 [CLS]", "x\n\ty", "the " * 300)
unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no process's memory")


@pytest.fixture(autouse=True)
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test need not wait for."""
    monkeypatch.setattr(isolated_tokenizer, "MEMORY", 250_000_000)
    monkeypatch.setattr(isolated_tokenizer, "SECONDS", 1.0)


def hostile(**parts: Any) -> str:
    return json.dumps(json.loads(HONEST.to_json()) | parts)


def replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def padded(length: int) -> dict[str, Any]:
    how = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    return {"strategy": {"Fixed": length}} | how


def truncated(length: int, stride: int) -> dict[str, Any]:
    return {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": stride}


@pytest.fixture(scope="module")
def minilm() -> Iterator[tuple[Tokenizer, Tokenizer]]:
    folder = ASSETS / "tokenizers" / "minilm"
    yield Tokenizer.from_file(folder), Tokenizer.from_file(folder, isolated=True)


@pytest.mark.parametrize("text", TEXTS)
def test_it_reads_and_writes_as_in_this_process(minilm: tuple[Tokenizer, Tokenizer], text: str) -> None:
    here, there = minilm
    assert there.isolated and not here.isolated
    assert there.encode(text) == here.encode(text)
    assert there.encode(text, 5) == here.encode(text, 5)
    ids = here.encode(text).ids
    assert there.decode(ids) == here.decode(ids) and there.encoding(ids) == here.encoding(ids)
    assert there.decode_each(ids) == here.decode_each(ids) == [here.decode([i]) for i in ids]
    for name in ("vocab_size", "pad_id", "unk_id", "mask_id", "cls_id", "sep_id", "bos_id", "eos_id"):
        assert getattr(there, name) == getattr(here, name)


def test_a_vocabulary_without_json_is_read_as_in_this_process(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", ""]))
    here, there = (Tokenizer.from_wordpiece(file, isolated=isolated) for isolated in (False, True))
    assert there.encode("The cats sat") == here.encode("The cats sat")
    assert there.to_json() == here.to_json()


@unix
@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"normalizer": {"type": "Sequence", "normalizers": [replace("x", "xx")] * 26}}, "x x"),
        ({"normalizer": replace("x", "y" * 100_000)}, "x" * 4000),
        ({"pre_tokenizer": split("(?=.*.*y)x")}, "x" * 4000),
        ({"pre_tokenizer": split("(x+x+)+y")}, "x" * 4000),
    ],
    ids=["doubled 26 times", "a long content", "cubic pattern", "exponential pattern"],
)
def test_a_text_that_takes_too_much_is_refused_and_the_next_is_read(parts: dict[str, Any], text: str) -> None:
    tokenizer = Tokenizer.from_str(hostile(**parts), isolated=True)
    began = time.monotonic()
    for _ in range(3):  # the second and third time at once
        with pytest.raises(
            ModelError, match=r"cannot read the text: .*(seconds|memory|its pre_tokenizer \(Split\) gives up|tokens)"
        ):
            tokenizer.encode(text)
    assert time.monotonic() - began < 2.5
    assert tokenizer.encode("the cat").tokens


@pytest.mark.parametrize("parts", [{"padding": padded(10**9)}, {"truncation": truncated(1, 5)}])
def test_padding_and_truncation_are_taken_out_before_anything_is_read(parts: dict[str, Any]) -> None:
    for isolated in (False, True):
        tokenizer = Tokenizer.from_str(hostile(**parts), isolated=isolated)
        assert tokenizer.encode("the cat") == HONEST.encode("the cat")


PANICS: dict[str, tuple[dict[str, Any], str]] = {
    "chunks of nothing": (
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        r"its pre_tokenizer \(FixedLength\) gives up\.$",
    ),
    "a map that lies": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "//////8AAAD///8="}},
        "it needs more than the .* bytes of memory",
    ),
    "a map of garbage": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        r"its normalizer \(Precompiled\) is none that the tokenizers library reads\.$",
    ),
}


@pytest.mark.parametrize("name", PANICS)
def test_what_makes_the_library_panic_is_a_sentence(name: str) -> None:
    parts, says = PANICS[name]
    with pytest.raises(ModelError, match=rf"is not a tokenizer\.json that can be read: {says}"):
        Tokenizer.from_str(hostile(**parts), isolated=True)


def test_a_panic_in_this_process_is_a_sentence() -> None:
    parts, says = PANICS["chunks of nothing"]
    with pytest.raises(ModelError, match=rf"is not a tokenizer\.json that can be read: {says}"):
        Tokenizer.from_str(hostile(**parts))


WITHOUT = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[Q]", "type_id": 0}}], "pair": []}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": ({"normalizer": {"type": "Nope"}}, r"its normalizer \(Nope\) is none"),
    "no kind": ({"decoder": {}}, "its decoder is none"),
    "a wrong model": ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["x y"]}}, r"its model \(BPE\) is none"),
    "tokens of a number": ({"added_tokens": 3}, "its added_tokens is none"),
    "a token that is not there": ({"post_processor": WITHOUT | {"special_tokens": {}}}, "its post_processor "),
}


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_by_its_part(name: str, isolated: bool) -> None:
    parts, says = BROKEN[name]
    with pytest.raises(ModelError, match=rf"is not a tokenizer\.json that can be read: {says}"):
        Tokenizer.from_str(hostile(**parts), isolated=isolated)


def test_only_a_few_processes_wait_and_none_outlives_its_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_tokenizer, "MOST_PROCESSES", 2)
    several = [Tokenizer.from_str(hostile(), isolated=True) for _ in range(3)]
    processes = [one._reader._process for one in several]  # type: ignore[union-attr]
    assert [process is None for process in processes] == [True, False, False]
    assert several[0].encode("the cat") == HONEST.encode("the cat")  # another one begins
    last = processes[-1]
    assert last is not None and last.poll() is None
    del several
    gc.collect()
    assert last.poll() is not None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_the_process_gets_nothing_of_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    tokenizer = Tokenizer.from_str(hostile(), isolated=True)
    process = Path(f"/proc/{tokenizer._reader._process.pid}")  # type: ignore[union-attr]
    assert b"hf_secret" not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    for what, most in (("address space", "250000000"), ("file size", "0")):
        assert limits.partition(f"Max {what}")[2].split()[:2] == [most, most]
    assert os.getpriority(os.PRIO_PROCESS, int(process.name)) >= 10
