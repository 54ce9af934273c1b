"""Tokenizers of folders: the same tokens as transformers reads from the same files, whatever their form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnviz.errors import ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import strangers
from attnviz.models.folder_tokenizers import tokenizer_of

TEXTS = ["The cat sat on the mat.", "a cat,  a mat", "Über ☃ 12"]
CORPUS = ["The cat sat on the mat. the cat, a mat " * 30]


def described(folder: Path, model_type: str, **says: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "tokenizer_config.json").write_text(json.dumps(says))
    return folder


def same(folder: Path) -> Tokenizer:
    """The folder's tokenizer, which gives the ids of transformers' own."""
    from transformers import AutoTokenizer

    ours = tokenizer_of(folder)
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in TEXTS:
        assert list(ours.encode(text).ids) == theirs(text)["input_ids"]
    assert ours.eos_id == theirs.eos_token_id
    return ours


@pytest.fixture(scope="module")
def bpe() -> dict[str, Any]:
    """A byte-level vocabulary with its merges, and three tokens for the beginning, the end and the padding."""
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(CORPUS, 330, special_tokens=["<s>", "</s>", "<pad>", "<|endoftext|>"], show_progress=False)
    return json.loads(made.to_str())["model"]


def test_vocab_and_merges(bpe: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(bpe["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    ours = same(described(tmp_path, "gpt2", tokenizer_class="GPT2Tokenizer"))
    assert ours.encode("the cat").tokens == ("the", "Ġcat")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> bytes:
    """A SentencePiece model."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("spm")
    (folder / "text").write_text("\n".join(CORPUS * 4))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "m"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return (folder / "m.model").read_bytes()


def test_a_sentencepiece_model(pieces: bytes, tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(pieces)
    ours = same(described(tmp_path, "t5", tokenizer_class="T5Tokenizer", extra_ids=0))
    assert ours.encode("the cat").tokens[-1] == "</s>" and ours.encode("the cat").special[-1]


def test_a_tokenizer_json_says_itself_what_stands_around_a_text(tmp_path: Path) -> None:
    """transformers no longer asks the config beside it."""
    Tokenizer.train_bpe(CORPUS, 330, start="[BOS]", end="[EOS]").save(tmp_path / "tokenizer.json")
    says = {"bos_token": "[BOS]", "eos_token": "[EOS]", "add_bos_token": False, "add_eos_token": False}
    ours = same(described(tmp_path, "llama", tokenizer_class="PreTrainedTokenizerFast", **says))
    assert ours.encode("the cat").tokens[0] == "[BOS]"


def test_the_end_is_what_the_config_calls_it(tmp_path: Path) -> None:
    made = Tokenizer.train_bpe(CORPUS, 330, start="[PAD]", end="[SEP]")
    made.save(tmp_path / "tokenizer.json")
    assert tokenizer_of(tmp_path).eos_id == made.library.token_to_id("[SEP]")
    assert same(described(tmp_path, "llama", tokenizer_class="PreTrainedTokenizerFast", eos_token="[PAD]")).eos_id == 0


def test_files_that_are_no_tokenizer_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"no model")
    described(tmp_path, "t5", tokenizer_class="T5Tokenizer")
    with pytest.raises(ModelError, match=r"\(spiece\.model\) cannot be read as .T5Tokenizer., which") as caught:
        tokenizer_of(tmp_path)
    assert "\n" not in str(caught.value)
    described(tmp_path, "llama")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"cannot be read where no tokenizer_config\.json names its class\."):
        tokenizer_of(tmp_path)
    with strangers.asking(strangers.Terms()), pytest.raises(ModelError, match=r"is no tokenizer\.json"):
        tokenizer_of(tmp_path)
