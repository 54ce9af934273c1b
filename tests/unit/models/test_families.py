"""RoBERTa, DistilBERT and GPT-2 as our own transformer: parity with transformers on random models of small sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from attnviz import ModelError, Transformer
from attnviz.models.families import FAMILIES, bert_config, gpt2_config
from tests.support.parity import close, scramble

V = 40
SIZES: dict[str, dict[str, Any]] = {
    "Roberta": {
        "vocab_size": V,
        "max_position_embeddings": 14,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 10,
        "pad_token_id": 1,
        "type_vocab_size": 1,
    },
    "DistilBert": {
        "vocab_size": V,
        "max_position_embeddings": 12,
        "dim": 8,
        "n_heads": 2,
        "n_layers": 2,
        "hidden_dim": 10,
    },
    "GPT2": {"vocab_size": V, "n_positions": 12, "n_embd": 8, "n_head": 2, "n_layer": 2},
}
KINDS = [
    ("Roberta", "RobertaModel"),
    ("Roberta", "RobertaForMaskedLM"),
    ("DistilBert", "DistilBertModel"),
    ("DistilBert", "DistilBertForMaskedLM"),
    ("GPT2", "GPT2Model"),
    ("GPT2", "GPT2LMHeadModel"),
]


def random_model(family: str, kind: str, **changes: Any) -> Any:
    import transformers

    config = getattr(transformers, f"{family}Config")(**(SIZES[family] | changes), attn_implementation="eager")
    model = getattr(transformers, kind)(config).eval()
    scramble(model, 0.3)
    if config.tie_word_embeddings:
        model.tie_weights()
    return model


def load(folder: Path) -> Any:
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    return FAMILIES[kind][1](folder, 10_000_000)


def save(model: Any, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    return folder


def compare(theirs: Any, ours: Transformer) -> None:
    """Hidden states, attentions and logits, on a batch with padding at the end."""
    ids, lengths = torch.randint(5, V, (3, 9)), [9, 4, 1]
    real = torch.arange(9)[None, :] < torch.tensor(lengths)[:, None]
    ids = ids.where(real, theirs.config.pad_token_id or 0)  # RoBERTa counts positions over what is no padding
    with torch.inference_mode():
        expected = theirs(ids, attention_mask=real.long(), output_hidden_states=True, output_attentions=True)
        trace = ours(ids, lengths=lengths)
    for a, b in zip(trace.hidden_states, expected.hidden_states, strict=True):
        close(a[real], b[real], 1e-5)
    for a, b in zip(trace.attentions, expected.attentions, strict=True):
        rows = real[:, None].expand(a.shape[:3])
        close(a[rows], b[rows], 1e-5)
    if "logits" in expected:
        assert trace.logits is not None
        close(trace.logits[real], expected.logits[real], 1e-5)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_random_models_agree_with_transformers(family: str, kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = random_model(family, kind)
    loaded = load(save(theirs, tmp_path))
    compare(theirs, loaded.transformer)
    assert all("pooler" in name for name in loaded.unused_weights)
    assert loaded.transformer.config.n_parameters == sum(p.numel() for p in loaded.transformer.parameters())


@pytest.mark.parametrize(
    ("family", "kind", "changes"),
    [
        ("Roberta", "RobertaForMaskedLM", {"tie_word_embeddings": False}),
        ("Roberta", "RobertaModel", {"pad_token_id": 3, "max_position_embeddings": 16}),
        ("DistilBert", "DistilBertForMaskedLM", {"tie_word_embeddings": False, "activation": "relu"}),
        ("DistilBert", "DistilBertModel", {"sinusoidal_pos_embds": True, "n_heads": 4}),
        ("GPT2", "GPT2LMHeadModel", {"tie_word_embeddings": False}),
        ("GPT2", "GPT2LMHeadModel", {"n_inner": 12, "activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
    ],
)
def test_variants_of_a_family(family: str, kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(2)
    theirs = random_model(family, kind, **changes)
    ours = load(save(theirs, tmp_path)).transformer
    compare(theirs, ours)
    if "tie_word_embeddings" in changes:
        assert not ours.config.tied


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_weights_in_several_files(family: str, kind: str, tmp_path: Path) -> None:
    theirs = random_model(family, kind)
    whole = load(save(theirs, tmp_path / "whole")).transformer
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="2KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    parts = load(tmp_path / "parts").transformer
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_causal_masks_of_old_gpt2_files_are_not_left_over(tmp_path: Path) -> None:
    folder = save(random_model("GPT2", "GPT2Model"), tmp_path)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 12, 12)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    tensors["score.weight"] = torch.ones(2, 8)
    save_file({f"transformer.{name}" if "." in name else name: x for name, x in tensors.items()}, file)
    assert load(folder).unused_weights == ("transformer.score.weight",)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"scale_attn_weights": False}, "scale_attn_weights=False"),
        ({"activation_function": "swish"}, "activation_function 'swish'"),
        ({"n_head": 3}, "d_model=8 is not divisible by n_heads=3"),
        ({"n_embd": 10**9}, "parameters"),
        ({"n_embd": "8"}, "cannot be used"),
        ({"add_cross_attention": True}, "alone"),
        ({"model_type": "gptj"}, "'gptj'"),
    ],
)
def test_a_gpt2_that_we_do_not_compute_is_refused_by_its_config(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named.replace("(", r"\(")):
        gpt2_config({"model_type": "gpt2", **SIZES["GPT2"], **changes})


def test_a_roberta_without_a_number_of_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="pad_token_id None"):
        bert_config({"model_type": "roberta", **SIZES["Roberta"], "pad_token_id": None})


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_a_missing_tensor_is_named(family: str, kind: str, tmp_path: Path) -> None:
    folder = save(random_model(family, kind), tmp_path)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    lost = next(name for name in tensors if ".1." in name)
    del tensors[lost]
    save_file(tensors, file)
    with pytest.raises(ModelError, match=r"layers\.1\..*"):
        load(folder)
