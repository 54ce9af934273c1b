"""Every page with a model of a family that another library computes: it works, or says in a sentence why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import attnviz
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model
from attnviz.web import cache
from tests.pages.driver import opened

NAME = "session:llama"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A decoder with grouped queries, as somebody might upload it."""
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=270,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    Tokenizer.train_bpe(["the cat sat on the mat " * 9], 270, start="[BOS]", end="[EOS]").save(
        folder / "tokenizer.json"
    )
    model = attnviz.load(str(folder))
    return replace(model, info=replace(model.info, name=NAME, title="Little Llama"))


@pytest.mark.parametrize(
    ("page", "query", "said"),
    [
        ("explore", {"whole": "1", "temp": "0.5"}, "After the last layer"),
        ("step_by_step", {"of": "text"}, "is not made of our layers"),
        ("softmax", {}, "of its attention"),
        ("masks", {"mask": "window"}, "After all layers"),
        ("masks", {"mask": "painted", "painted": "2.0-2"}, "attention then adds nothing"),
        ("positions", {}, "has its own positions"),
        ("encoder_block", {}, "is not made of our layers"),
        ("variants", {}, "on the same q, k and v"),
        ("generate", {}, "is likeliest with"),
        ("train", {}, "Pick a task"),
        ("replay", {}, "steps"),
        ("what_if", {"how": "zero"}, "Of 8 heads, layer "),
        ("what_if", {"other": "the mat sat on the cat"}, "With no head changed, the lead of"),
        ("what_if", {"other": "the mat sat on the cat", "how": "freeze"}, "Attribution patching, one gradient"),
        ("compare", {"kind": "change"}, "the largest difference"),
        ("models", {"shown": NAME}, "models"),
    ],
)
def test_a_page(page: str, query: dict[str, str], said: str, llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "own_models", lambda: {NAME: llama})
    app = opened(page, **{"model": NAME, "text": "the cat sat on the mat"} | query)
    assert not app.exception
    assert any(said in sentence for sentence in app.sentences), app.sentences
