"""BERT weights from safetensors: parity with transformers on random models, and every way a file can be wrong."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from attnviz import InvalidParameterError, ModelConfig, ModelError, load
from attnviz.models.families import bert_config, load_bert
from attnviz.models.safetensors_io import check_numbers, read_json, read_safetensors, unfilled
from tests.support.parity import close, scramble

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", "##s", "cat", "sat", "Cat"]
SIZES = {
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 12,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 10,
}
CONFIG = {"model_type": "bert", **SIZES}
QUERY = "encoder.layer.0.attention.self.query.weight"
WORDS = "embeddings.word_embeddings.weight"


def random_bert(kind: str = "BertModel", **changes):
    """A BERT of transformers with random numbers everywhere."""
    import transformers

    config = transformers.BertConfig(**(SIZES | changes), attn_implementation="eager")
    model = getattr(transformers, kind)(config).eval()
    scramble(model, 0.3)
    if config.tie_word_embeddings:
        model.tie_weights()
    return model


def ids_of(*shape: int) -> Tensor:
    return torch.randint(5, len(VOCABULARY), shape)


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A complete folder: config.json, model.safetensors, tokenizer.json."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    random_bert().save_pretrained(folder)
    add_tokenizer(folder)
    return folder


def add_tokenizer(folder: Path) -> None:
    from tokenizers.implementations import BertWordPieceTokenizer

    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    for file in original.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Rewrites the weights after `change` of the dict of tensors."""
    file = folder / "model.safetensors"
    tensors = {name: x.clone() for name, x in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def edit_config(folder: Path, **changes) -> None:
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(given | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_attention_heads": 1, "num_hidden_layers": 1},
        {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 3},
        {"hidden_act": "relu"},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "gelu_pytorch_tanh"},
        {"layer_norm_eps": 1e-3},
        {"type_vocab_size": 1},
        {"type_vocab_size": 4, "intermediate_size": 3},
        {"max_position_embeddings": 40},
    ],
)
def test_random_berts_agree_with_transformers(changes, tmp_path: Path) -> None:
    theirs = random_bert(**changes)
    theirs.save_pretrained(tmp_path)
    loaded = load_bert(tmp_path)
    ours = loaded.transformer
    assert loaded.unused_weights == ("pooler.dense.bias", "pooler.dense.weight")
    assert not ours.training
    assert not any(p.requires_grad for p in ours.parameters())
    config = theirs.config
    assert ours.config.n_parameters == sum(p.numel() for p in ours.parameters())
    ids, lengths = ids_of(3, 9), [9, 4, 1]
    real = torch.arange(9)[None, :] < torch.tensor(lengths)[:, None]
    types = torch.randint(0, config.type_vocab_size, (3, 9))
    with torch.inference_mode():
        reference = theirs(
            ids,
            attention_mask=real.long(),
            token_type_ids=types,
            output_hidden_states=True,
            output_attentions=True,
        )
        trace = ours(ids, lengths=lengths, types=types)
    for a, b in zip(trace.hidden_states, reference.hidden_states, strict=True):
        close(a, b, 1e-5)
    for a, b in zip(trace.attentions, reference.attentions, strict=True):
        close(a, b, 1e-5)
    assert trace.logits is None


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_new"])
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_masked_language_models_give_transformers_logits(
    kind: str, activation: str, tied: bool, tmp_path: Path
) -> None:
    theirs = random_bert(kind, hidden_act=activation, tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path)
    loaded = load_bert(tmp_path)
    assert loaded.transformer.config.tied is tied
    ids = ids_of(2, 7)
    with torch.inference_mode():
        output = theirs(ids)
        logits = output.logits if kind == "BertForMaskedLM" else output.prediction_logits
        close(loaded.transformer(ids).logits, logits, 1e-5)
    expected = set() if kind == "BertForMaskedLM" else {"pooler", "cls"}
    assert {name.split(".")[0] for name in loaded.unused_weights} == expected


def test_a_classifier_loads_without_its_head(tmp_path: Path) -> None:
    theirs = random_bert("BertForSequenceClassification")
    theirs.save_pretrained(tmp_path)
    loaded = load_bert(tmp_path)
    assert set(loaded.unused_weights) == {
        "classifier.bias",
        "classifier.weight",
        "pooler.dense.bias",
        "pooler.dense.weight",
    } or set(loaded.unused_weights) == {
        "classifier.bias",
        "classifier.weight",
        "bert.pooler.dense.bias",
        "bert.pooler.dense.weight",
    }
    ids = ids_of(2, 5)
    with torch.inference_mode():
        close(loaded.transformer(ids).final, theirs.bert(ids).last_hidden_state, 1e-5)


def old_norms(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize("rename", [lambda name: f"bert.{name}", old_norms, lambda name: f"bert.{old_norms(name)}"])
def test_prefixes_and_names_of_old_files(folder: Path, rename) -> None:
    ids = ids_of(2, 6)
    expected = load_bert(folder).transformer(ids).final
    edit(folder, lambda t: [t.update({rename(name): t.pop(name)}) for name in list(t)])
    assert torch.equal(load_bert(folder).transformer(ids).final, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read_as_float32(folder: Path, dtype: torch.dtype) -> None:
    ids = ids_of(2, 6)
    expected = load_bert(folder).transformer(ids).final
    edit(folder, lambda t: t.update({name: x.to(dtype) for name, x in t.items()}))
    model = load_bert(folder).transformer
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    close(model(ids).final, expected, {torch.float64: 1e-6, torch.float16: 0.02, torch.bfloat16: 0.1}[dtype])


def test_weights_cut_into_several_files(folder: Path, tmp_path: Path) -> None:
    ids = ids_of(2, 6)
    expected = load_bert(folder).transformer(ids).final
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    for part, some in enumerate((names[:7], names[7:])):
        file = folder / f"model-0000{part + 1}-of-00002.safetensors"
        save_file({name: tensors[name].clone() for name in some}, file)
    (folder / "model.safetensors").unlink()
    assert torch.equal(load_bert(folder).transformer(ids).final, expected)


def test_position_ids_and_other_buffers_are_left_over(folder: Path) -> None:
    edit(folder, lambda t: t.update({"embeddings.position_ids": torch.arange(12)[None]}))
    assert "embeddings.position_ids" in load_bert(folder).unused_weights


def test_a_folder_is_a_model(folder: Path) -> None:
    model = load(str(folder))
    assert model.info.trained
    assert (model.info.n_layers, model.info.n_heads, model.info.d_model, model.info.max_len) == (2, 2, 8, 12)
    trace = model.run("the Cat sat")
    assert trace.tokens[0] == "[CLS]"
    assert trace.tokens[-3:] == ["cat", "sat", "[SEP]"]
    assert model.run("a " * 50).encodings[0].cut == 40
    assert model.unused_weights == ("pooler.dense.bias", "pooler.dense.weight")


@pytest.mark.parametrize(("lower", "token"), [(None, "cat"), (True, "cat"), (False, "Cat")])
def test_a_vocabulary_file_will_do_for_a_tokenizer(folder: Path, lower: bool | None, token: str) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    if lower is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    assert load(str(folder)).run("Cat").tokens == ["[CLS]", token, "[SEP]"]


# ------------------------------------------------------------------------------------------------ bad files


def refused(folder: Path, *words: str) -> None:
    """Loading gives one clear sentence with these words in it."""
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 500


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -1000])
def test_truncated_weights(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    refused(folder, "model.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip",
        b"\x80\x02}q\x00.",  # a pickle: never unpickled
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ',
        struct.pack("<Q", 55) + b'{"a":{"dtype":"XX","shape":[1],"data_offsets":[0,1]}}  ' + b"0",
    ],
)
def test_files_that_are_no_safetensors(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, "model.safetensors")


def test_a_folder_instead_of_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refused(folder, "model.safetensors")


@pytest.mark.parametrize("other", [None, "pytorch_model.bin"])
def test_no_safetensors_at_all(folder: Path, other: str | None) -> None:
    (folder / "model.safetensors").unlink()
    if other:
        (folder / other).write_bytes(b"\x80\x02}q\x00.")
    refused(folder, "safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(WORDS), ["missing", "embed.tokens.weight"]),
        (lambda t: t.pop("encoder.layer.1.output.LayerNorm.bias"), ["missing", "norm2.bias"]),
        (lambda t: t.pop(QUERY), ["query"]),
        (lambda t: [t.pop(n) for n in list(t) if "layer.1." in n], ["missing", "encoder.layers.1", "more"]),
        (lambda t: t.clear(), ["missing"]),
        (lambda t: t.update({WORDS: torch.zeros(9, 8)}), ["embed.tokens.weight", "(9, 8)", "(25, 8)"]),
        (lambda t: t.update({WORDS: torch.zeros(25)}), ["embed.tokens.weight", "(25,)", "(25, 8)"]),
        (lambda t: t.update({QUERY: torch.zeros(8, 7)}), ["query", "(8, 7)"]),
        (lambda t: t.update({QUERY: torch.tensor(1.0)}), ["query"]),
        (lambda t: t[WORDS][3].fill_(math.nan), ["embed.tokens.weight", "NaN"]),
        (lambda t: t[QUERY][3].fill_(math.inf), ["in_proj_weight", "infinite"]),
        (lambda t: t.update({WORDS: torch.full((25, 8), 1e300, dtype=torch.float64)}), ["embed.tokens", "infinite"]),
        (lambda t: t.update({WORDS: torch.zeros(25, 8, dtype=torch.int8)}), ["int8"]),
        (lambda t: t.update({WORDS: torch.zeros(25, 8, dtype=torch.float8_e4m3fn)}), ["float8"]),
        (lambda t: t.update({QUERY: torch.zeros(8, 8, dtype=torch.int8)}), ["in_proj_weight", "int8"]),
        (lambda t: t.update({QUERY: torch.zeros(8, 8, dtype=torch.float8_e4m3fn)}), ["float8"]),
        (lambda t: [t.update({n.replace("r.0", "r.7"): x.clone()}) for n, x in list(t.items())], ["layers.7"]),
    ],
)
def test_tensors_that_do_not_fit(folder: Path, change, words) -> None:
    edit(folder, change)
    refused(folder, *words)


def test_tensors_nobody_asked_for_are_reported_and_ignored(folder: Path) -> None:
    ids = ids_of(2, 6)
    expected = load_bert(folder).transformer(ids).final
    edit(
        folder,
        lambda t: t.update({"adapter.weight": torch.ones(3), "bert.wings": torch.full((2,), math.nan)}),
    )
    loaded = load_bert(folder)
    assert {"adapter.weight", "wings"} <= {name.removeprefix("bert.") for name in loaded.unused_weights}
    assert torch.equal(loaded.transformer(ids).final, expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, ["n_positions"]),  # whose config says other things
        ({"model_type": None}, ["None"]),
        ({"hidden_act": "swash"}, ["cannot be used"]),
        ({"hidden_act": ["gelu"]}, ["hidden_act"]),
        ({"hidden_act": None}, ["hidden_act"]),
        ({"position_embedding_type": "relative_key"}, ["positions"]),
        ({"num_attention_heads": 3}, ["8", "3"]),
        ({"num_attention_heads": 0}, ["n_heads=0"]),
        ({"hidden_size": 1.5}, ["1.5"]),
        ({"hidden_size": "8"}, ["'8'"]),
        ({"vocab_size": None}, ["None"]),
        ({"type_vocab_size": None}, ["None"]),
        ({"type_vocab_size": "2"}, ["'2'"]),
        ({"type_vocab_size": -1}, ["-1"]),
        ({"layer_norm_eps": "x"}, ["'x'"]),
        ({"layer_norm_eps": None}, ["None"]),
        ({"layer_norm_eps": math.nan}, ["nan"]),
        ({"layer_norm_eps": -1.0}, ["-1.0"]),
        ({"num_hidden_layers": 10**7, "hidden_size": 1, "num_attention_heads": 1}, ["10000000"]),
        ({"vocab_size": 10**9}, ["parameters"]),
        ({"vocab_size": 10**30}, ["parameters"]),
        ({"hidden_size": 10**5, "num_hidden_layers": 500}, ["parameters"]),
        ({"intermediate_size": 10**8}, ["parameters"]),
    ],
)
def test_configs_that_cannot_be_used(folder: Path, changes, words) -> None:
    edit_config(folder, **changes)
    refused(folder, *words)


def test_a_billion_parameters_that_the_file_does_not_hold(folder: Path) -> None:
    """Within the limit, but refused by comparing names and shapes: no memory is taken for it."""
    import resource

    edit_config(folder, vocab_size=120_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(folder, "embed.tokens.weight", "(120000000, 8)")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB; the matrix takes 3,840,000


@pytest.mark.parametrize("key", sorted(SIZES))
def test_a_config_without_a_size(folder: Path, key: str) -> None:
    given = json.loads((folder / "config.json").read_text())
    given.pop(key)
    (folder / "config.json").write_text(json.dumps(given))
    refused(folder, key)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000],
)
def test_a_config_that_is_no_json_object(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    refused(folder, "config.json")


def test_deep_json_is_no_config_of_ours_either() -> None:
    with pytest.raises(InvalidParameterError, match="not JSON"):
        ModelConfig.from_json("[" * 100_000)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_missing_files(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    refused(folder, missing)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "WordPiece"}}', "nonsense"])
def test_broken_tokenizers(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    refused(folder, "tokenizer.json")


@pytest.mark.parametrize("content", ["", "a\nb", "[CLS]\n[SEP]"])
def test_broken_vocabularies(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text(content)
    refused(folder, "vocab.txt")


@pytest.mark.parametrize("changes", [{"hidden_act": "swish"}, {"is_decoder": True}])
def test_a_variant_that_our_layers_do_not_compute_runs_through_transformers(folder: Path, changes: dict) -> None:
    import transformers

    edit_config(folder, **changes)
    model = load(str(folder))
    trace = model.run("the cat")
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(torch.tensor([trace.encodings[0].ids])).last_hidden_state
    close(trace.final, expected, 1e-5)
    assert model.info.family == "BERT"


def test_a_tokenizer_may_know_more_than_the_model_has_rows(folder: Path) -> None:
    edit(folder, lambda t: t.update({WORDS: t[WORDS][:20].clone()}))
    edit_config(folder, vocab_size=20)
    model = load(str(folder))
    assert model.tokenizer.vocab_size == 25
    known = [i for i in range(25) if i < 20]
    assert model.transformer(torch.tensor([known[:5]])).final.shape[1] == 5
    with pytest.raises(InvalidParameterError, match="are outside 0…19"):
        model.transformer(torch.tensor([[24]]))


def test_a_size_limit_holds_for_folders_too(folder: Path) -> None:
    size = (folder / "model.safetensors").stat().st_size
    load(str(folder), max_bytes=size)
    with pytest.raises(ModelError, match=f"{size:,}.*{size - 1:,}"):
        load(str(folder), max_bytes=size - 1)


def test_reading_alone(folder: Path, tmp_path: Path) -> None:
    assert read_safetensors(folder).keys() == read_safetensors(folder / "model.safetensors").keys()
    assert read_json(folder / "config.json")["model_type"] == "bert"
    assert bert_config(CONFIG).n_layers == 2
    with pytest.raises(ModelError, match="gone"):
        read_safetensors(folder / "gone.safetensors")


def test_a_config_without_end_is_not_read(folder: Path) -> None:
    with (folder / "config.json").open("wb") as file:
        file.truncate(50_000_001)
    refused(folder, "config.json has 50,000,001 bytes; at most 50,000,000")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@given(at=st.integers(0, 99))
def test_a_number_that_is_none_is_found_wherever_it_stands(bad: float, at: int) -> None:
    x = torch.randn(10, 10)
    check_numbers("w", x)
    x.view(-1)[at] = bad
    with pytest.raises(ModelError, match="w holds NaN or infinite"):
        check_numbers("w", x)


def test_finite_numbers_whose_sum_is_not_are_fine() -> None:
    check_numbers("w", torch.full((4,), 3e38))
    with pytest.raises(ModelError, match="w holds NaN"):
        check_numbers("w", torch.tensor([math.inf, -math.inf]))


@pytest.mark.nightly
def test_a_model_is_built_without_torchs_compiler() -> None:
    """torch would import it, a second and more, to draw random numbers that have no memory."""
    code = "import sys, attnviz; attnviz.load('digits'); print('torch._dynamo' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "False"
    assert all(x.is_meta for x in unfilled(bert_config(CONFIG)).parameters())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_was_copied_out_of_a_file_is_not_kept_in_memory_as_the_file_too(tmp_path: Path) -> None:
    """Of a wide matrix, which a model copies, and a tall one, which it does not, 8 MB each."""
    file = tmp_path / "model.safetensors"
    save_file({"wide": torch.ones(1000, 2000), "tall": torch.ones(2000, 1000)}, file)
    weights = read_safetensors(file)
    assert all(x.sum() == 2_000_000 for x in weights.values())  # reads all of both
    assert resident_of(file) > 15_000
    kept = weights["tall"]
    del weights
    assert 7_000 < resident_of(file) < 9_000 and kept.sum() == 2_000_000


def resident_of(file: Path) -> int:
    """kB of a file's mappings that are in this process's memory."""
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.endswith(str(file))]
    return sum(next(int(line.split()[1]) for line in lines[i:] if line.startswith("Rss:")) for i in starts)
