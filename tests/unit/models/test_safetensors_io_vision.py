"""ViT and DeiT weights from safetensors: parity with transformers on random models, and what does not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from attnviz import ModelError, load
from attnviz.models.families import load_vit
from tests.support.parity import close, scramble

SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "image_size": 12,
    "patch_size": 4,
    "num_channels": 3,
}
CLS, PLACES = "embeddings.cls_token", "embeddings.position_embeddings"
PATCHES = "embeddings.patch_embeddings.projection.weight"
QUERY = "encoder.layer.0.attention.attention.query.weight"


def random_model(kind: str, **changes):
    """One of transformers' with random numbers everywhere."""
    import transformers

    config = getattr(transformers, f"{kind[: kind.index('T') + 1]}Config")
    model = getattr(transformers, kind)(config(**(SIZES | changes), attn_implementation="eager")).eval()
    scramble(model, 0.3)
    return model


def write_processor(folder: Path, **changes) -> None:
    given = {"do_resize": True, "size": {"height": 12, "width": 12}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(given | changes))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    random_model("ViTModel").save_pretrained(folder)
    write_processor(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    for file in original.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    tensors = {name: x.clone() for name, x in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "changes", "unused_weights"),
    [
        ("ViTModel", {}, {"pooler"}),
        ("ViTModel", {"num_attention_heads": 1, "num_hidden_layers": 1, "hidden_act": "relu"}, {"pooler"}),
        ("ViTModel", {"image_size": 8, "patch_size": 2, "num_channels": 1, "layer_norm_eps": 1e-3}, {"pooler"}),
        ("ViTModel", {"qkv_bias": False}, {"pooler"}),
        ("ViTForImageClassification", {"num_labels": 5}, set()),
        ("ViTForMaskedImageModeling", {"encoder_stride": 4}, {"decoder", "embeddings"}),
        ("DeiTModel", {}, {"pooler"}),
        ("DeiTForImageClassification", {"num_labels": 3}, set()),
        ("DeiTForImageClassificationWithTeacher", {"num_labels": 4}, set()),
    ],
)
def test_random_models_agree_with_transformers(kind: str, changes, unused_weights, tmp_path: Path) -> None:
    theirs = random_model(kind, **changes)
    theirs.save_pretrained(tmp_path)
    loaded = load_vit(tmp_path)
    ours, config = loaded.transformer, theirs.config
    assert {name.split(".")[0] for name in loaded.unused_weights} == unused_weights
    assert ours.config.n_parameters == sum(p.numel() for p in ours.parameters())
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    pixels = torch.randn(2, config.num_channels, config.image_size, config.image_size)
    with torch.inference_mode():
        reference = theirs(pixels, output_hidden_states=True, output_attentions=True)
        trace = ours(pixels)
    for a, b in zip(trace.attentions, reference.attentions, strict=True):
        close(a, b, 1e-5)
    states = [*(layer.resid_pre for layer in trace.layers), trace.layers[-1].resid_post]  # theirs are not normed
    for a, b in zip(states, reference.hidden_states, strict=True):
        close(a, b, 1e-5)
    if kind.endswith("Model"):
        close(trace.final, reference.last_hidden_state, 1e-5)
    has_head = "Classification" in kind
    assert (trace.logits is not None) == has_head
    if trace.logits is not None:
        close(trace.logits, reference.logits, 1e-5)
        assert loaded.classes == tuple(f"LABEL_{i}" for i in range(config.num_labels))


def test_a_folder_is_a_model_of_images(folder: Path) -> None:
    model = load(str(folder))
    assert (model.info.family, model.info.n_layers, model.info.max_len) == ("Vision", 2, 10)
    picture = torch.randint(0, 256, (30, 40, 3), dtype=torch.uint8)
    trace = model.run([picture, picture])
    assert trace.tokens[0] == ["[CLS]", *(f"{i},{j}" for i in range(3) for j in range(3))]
    assert trace.title == folder.name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read_as_float32(folder: Path, dtype: torch.dtype) -> None:
    pixels = torch.randn(1, 3, 12, 12)
    expected = load_vit(folder).transformer(pixels).final
    edit(folder, lambda t: t.update({name: x.to(dtype) for name, x in t.items()}))
    model = load_vit(folder).transformer
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    close(model(pixels).final, expected, {torch.float64: 1e-6, torch.float16: 0.02, torch.bfloat16: 0.15}[dtype])


def test_names_of_classes_are_text_of_a_bounded_length(tmp_path: Path) -> None:
    random_model("ViTForImageClassification", num_labels=3).save_pretrained(tmp_path)
    given = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(given | {"id2label": {"0": "x" * 10_000, "1": ["odd"]}}))
    assert load_vit(tmp_path).classes == ("x" * 100, "['odd']", "2")


# ---- bad files -------------------------------------------------------------------------------------


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and message.endswith(".") and len(message) < 500


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(CLS), ["missing", CLS]),
        (lambda t: t.pop(PLACES), ["missing", PLACES]),
        (lambda t: t.pop(PATCHES), ["missing", "embed.patches.weight"]),
        (lambda t: t.pop("layernorm.bias"), ["missing", "encoder.norm.bias"]),
        (lambda t: t.pop(QUERY), ["query"]),
        (lambda t: t.clear(), ["missing"]),
        (lambda t: t.update({CLS: torch.zeros(1, 1, 9)}), [CLS, "(1, 1, 9)", "(1, 1, 8)"]),
        (lambda t: t.update({CLS: torch.zeros(8)}), [CLS, "(8,)"]),
        (lambda t: t.update({PLACES: torch.zeros(1, 9, 8)}), [PLACES, "(1, 9, 8)", "(1, 10, 8)"]),
        (lambda t: t.update({PATCHES: torch.zeros(8, 3, 4, 5)}), ["embed.patches.weight", "(8, 3, 4, 5)"]),
        (lambda t: t.update({PATCHES: torch.zeros(8, 48)}), ["embed.patches.weight", "(8, 48)"]),
        (lambda t: t.update({CLS: torch.zeros(1, 1, 8, dtype=torch.int8)}), [CLS, "int8"]),
        (lambda t: t.update({PLACES: torch.zeros(1, 10, 8).to(torch.float8_e4m3fn)}), [PLACES, "float8"]),
        (lambda t: t[CLS].fill_(math.nan), ["embed.special.weight", "NaN"]),
        (lambda t: t[PATCHES].fill_(math.inf), ["embed.patches.weight", "infinite"]),
        (lambda t: t.update({"classifier.bias": torch.zeros(1)}), ["n_classes=1"]),
        (lambda t: t.update({"classifier.bias": torch.zeros(3)}), ["missing", "head.out.weight"]),
        (lambda t: t.update({"cls_classifier.bias": torch.zeros(3)}), ["distilled"]),
    ],
)
def test_tensors_that_do_not_fit(folder: Path, change, words) -> None:
    edit(folder, change)
    refused(folder, *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "deit"}, ["missing", "distillation_token"]),
        ({"hidden_act": "swash"}, ["cannot be used"]),
        ({"patch_size": 5}, ["12", "5"]),
        ({"patch_size": 0}, ["patch_size=0"]),
        ({"patch_size": 2}, ["position_embeddings", "(1, 10, 8)", "(1, 37, 8)"]),
        ({"image_size": [12, 24]}, ["[12, 24]"]),
        ({"image_size": 10**6, "patch_size": 1}, ["patches"]),
        ({"num_channels": 10**10}, ["parameters"]),
        ({"hidden_size": "8"}, ["'8'"]),
        ({"layer_norm_eps": None}, ["None"]),
    ],
)
def test_configs_that_cannot_be_used(folder: Path, changes, words) -> None:
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(given | changes))
    refused(folder, *words)


@pytest.mark.parametrize("key", ["image_size", "patch_size", "hidden_size", "num_hidden_layers"])
def test_a_config_without_a_size(folder: Path, key: str) -> None:
    given = json.loads((folder / "config.json").read_text())
    del given[key]
    (folder / "config.json").write_text(json.dumps(given))
    refused(folder, "does not say", key)


def test_without_a_word_on_preprocessing_nothing_is_guessed(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    refused(folder, "preprocessor_config.json")


def test_preprocessing_for_another_size_is_refused(folder: Path) -> None:
    write_processor(folder, size=224)
    refused(folder, "12 × 12")
