"""A model as a .zip from a stranger: it becomes a model or one sentence, and nothing of it stays on the disk."""

from __future__ import annotations

import io
import json
import re
import stat
import struct
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load as tensors_of
from safetensors.torch import save

from attnviz import ModelError, load
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.catalogue import BUNDLED, load_archive
from attnviz.models.zip_upload import MAX_FILES, unpacked

MB = 1_000_000
Files = dict[str, bytes]


def folder_of(name: str) -> Files:
    kept = ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json", "README.md")
    return {file.name: file.read_bytes() for file in sorted((BUNDLED / name).iterdir()) if file.name in kept}


GOOD = folder_of("induction")


def packed(files: Files, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def packed_with(name: str, data: bytes = b"x", mode: int = 0) -> bytes:
    """A good archive and one entry more, under exactly this name."""
    out = io.BytesIO(packed(GOOD))
    with zipfile.ZipFile(out, "a") as archive:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename, entry.external_attr = name, mode << 16
        archive.writestr(entry, data)
    return out.getvalue()


def with_config(**changes: object) -> Files:
    return GOOD | {"config.json": json.dumps(json.loads(GOOD["config.json"]) | changes).encode()}


def with_header(header: bytes, length: int | None = None) -> Files:
    count = len(header) if length is None else length
    return GOOD | {"model.safetensors": struct.pack("<Q", count) + header}


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go, empty again after every test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"torchinductor_root"}  # torch's own, made when first used


def refused(data: bytes, says: str, *, max_bytes: int = 50 * MB) -> None:
    """It is refused in one sentence, with less memory than the archive's cap would take."""
    with pytest.raises(ModelError):  # once before: what is imported on the way is not the archive's
        load_archive(data, "upload", max_bytes=max_bytes)
    tracemalloc.start()
    with pytest.raises(ModelError, match=says) as caught:
        load_archive(data, "upload", max_bytes=max_bytes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sentence = str(caught.value)
    assert not any(word in sentence for word in INNER), sentence
    assert (
        len(sentence) < 500
        and "\n" not in sentence
        and sentence.endswith(".")
        and tempfile.gettempdir() not in sentence
    )
    assert peak < 10 * MB


# ------------------------------------------------------------------------------------------ what is a model


@pytest.mark.parametrize("name", ["induction", "dates", "digits"])
@pytest.mark.parametrize("inside", ["", "model-main/"])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_honest_archive_is_the_model(name: str, inside: str, how: int) -> None:
    files = {inside + path: data for path, data in folder_of(name).items()}
    model, same = load_archive(packed(files, how), "mine"), load(name)
    ours, theirs = model.transformer.state_dict(), same.transformer.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert model.transformer.config == same.transformer.config and model.info.title == "mine"
    assert model.info.licence == "MIT"


def test_other_files_are_left_alone_and_never_unpacked(disk: Path) -> None:
    others = {
        "run.py": b"import os",
        "pytorch_model.bin": b"\x80\x04.",
        "inner.zip": packed(GOOD),
        "__MACOSX/._x": b"x",
    }
    with unpacked(packed(GOOD | others)) as folder:
        assert {path.name for path in folder.iterdir()} == set(GOOD)
    assert load_archive(packed(GOOD | others), "mine").run("word").tokens


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_the_weights_no_longer_lie_in_the_file(disk: Path) -> None:
    model = load_archive(packed(GOOD), "mine")
    assert str(disk) not in Path("/proc/self/maps").read_text()
    assert model.transformer.config.n_parameters > 0


def test_a_bert_of_hugging_faces_form() -> None:
    import transformers

    tokenizer = Tokenizer.train_bpe(["the cat sat on the mat"], 270)
    config = transformers.BertConfig(
        vocab_size=270,
        hidden_size=8,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=12,
        max_position_embeddings=20,
    )
    weights = {name: x.contiguous() for name, x in transformers.BertModel(config).state_dict().items()}
    files = {
        "model.safetensors": save(weights, {"format": "pt"}),
        "config.json": json.dumps(config.to_dict() | {"model_type": "bert"}).encode(),
        "tokenizer.json": tokenizer.library.to_str().encode(),
    }
    model = load_archive(packed(files), "a bert")
    assert (model.info.family, model.info.title, model.info.licence) == ("BERT", "a bert", "")
    assert model.run("the mat").layers[0].attention.weights.shape[1] == 2


# ------------------------------------------------------------------------------------------- what is hostile


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.txt", "a/../../evil", "/etc/passwd", "C:/evil", "C:\\evil", "a\\..\\b"),
        *("./x", "a//b", "new\nline", "..", "x\x1b[2J"),
    ],
)
def test_names_that_lead_out_of_the_folder(name: str) -> None:
    refused(packed_with(name), "leads out of its folder")


def test_links() -> None:
    refused(packed_with("model.link", b"/etc/passwd", stat.S_IFLNK | 0o777), "a link and no file")
    refused(packed_with("pipe", b"", stat.S_IFIFO | 0o666), "a link and no file")


def test_a_bomb_by_its_ratio() -> None:
    refused(packed(GOOD | {"vocab.txt": bytes(60 * MB)}), "unpacks to more than")


def test_a_bomb_by_its_total() -> None:
    noise = torch.randint(0, 256, (3 * MB,), dtype=torch.uint8).numpy().tobytes()
    refused(
        packed(GOOD | {"more.safetensors": noise}, zipfile.ZIP_STORED),
        "more than the 2,000,000 bytes",
        max_bytes=2 * MB,
    )


def test_a_bomb_that_lies_about_its_size() -> None:
    data = bytearray(packed(GOOD | {"vocab.txt": bytes(20 * MB)}))
    true = struct.pack("<L", 20 * MB)
    assert data.count(true) >= 1
    refused(bytes(data.replace(true, struct.pack("<L", 10))), "unpacks to more than|cut off or broken")


def test_too_many_files() -> None:
    refused(packed(GOOD | {f"{i}": b"" for i in range(MAX_FILES + 1)}), rf"holds {MAX_FILES + 1 + len(GOOD)} files")
    refused(packed({f"{i:06}": b"" for i in range(40_000)}), r"list of files has \d,\d{3},\d{3} bytes")


def test_only_another_archive_inside() -> None:
    refused(packed({"inner.zip": packed(GOOD)}), "another archive, “inner.zip”")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "modeling.py", "w.pkl"])
def test_weights_that_could_run_code(name: str) -> None:
    files = {path: data for path, data in GOOD.items() if path != "model.safetensors"}
    refused(packed(files | {name: b"\x80\x04cos\nsystem\n(S'true'\ntR."}), f"“{re.escape(name)}”, which could run code")


def test_an_encrypted_archive() -> None:
    data = bytearray(packed(GOOD))
    for at in (m.start() for m in re.finditer(b"PK\x01\x02", bytes(data))):
        data[at + 8] |= 1
    refused(bytes(data), "encrypted")


def test_a_compression_that_nobody_can_bound() -> None:
    refused(packed(GOOD, zipfile.ZIP_LZMA), "compressed in a way that is not read")
    refused(packed(GOOD, zipfile.ZIP_BZIP2), "compressed in a way that is not read")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"PK", b"not a zip" * 99, b"\x1f\x8b\x08" + b"0" * 99, GOOD["model.safetensors"]]
)
def test_what_is_no_zip(data: bytes) -> None:
    refused(data, "no .zip archive")


def test_an_archive_cut_off() -> None:
    data = packed(GOOD)
    refused(data[: len(data) // 2], "cut off or broken")


def test_an_empty_archive() -> None:
    refused(packed({}), "is empty")
    refused(packed({"folder/": b""}), "is empty")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice() -> None:
    refused(packed_with("config.json"), "holds “config.json” twice")
    refused(packed_with("CONFIG.JSON"), "holds “CONFIG.JSON” twice")


def test_two_folders_are_not_one_model() -> None:
    files = {f"{top}/{name}": data for name, data in GOOD.items() for top in ("a", "b")}
    refused(packed(files), "at its top; pack the folder of “a/model.safetensors” alone")


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("model.safetensors", "no .safetensors file"),
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer.json"),
    ],
)
def test_a_part_is_missing(missing: str, says: str) -> None:
    refused(packed({name: data for name, data in GOOD.items() if name != missing}), says)


# ------------------------------------------------------------------------------------- hostile files in a good archive


WEIGHTS = tensors_of(GOOD["model.safetensors"])
FIRST = next(iter(WEIGHTS))


def weights(data: bytes) -> Files:
    return GOOD | {"model.safetensors": data}


def header(tensor: str) -> Files:
    return with_header(b'{"x":{"dtype":"F32",' + tensor.encode() + b',"data_offsets":[0,0]}}')


INNER = ("Expecting", "codec", "char ", "Error", "while deserializing", "at line", "zip file", "recursion")


def config(**content: object) -> Files:
    return GOOD | {"config.json": json.dumps(content).encode()}


HOSTILE_FILES = [
    (with_header(b"{}", 10**9), "header of 1,000,000,000 bytes"),
    (with_header(b"{}", 2**64 - 1), "header of 18,446,744,073,709,551,615 bytes"),
    (with_header(b"{}", 1_000), "it ends in its header"),
    (with_header(b"not json"), "is not a safetensors file"),
    (with_header(b"[" * 5_000), "is not a safetensors file"),
    (with_header(b"[]"), "is not a safetensors file"),
    (header('"shape":[-1000000,"a"]'), "is not a safetensors file"),
    (header('"shape":[1000000000]'), "4,000,000,000 bytes of memory"),
    (header('"shape":[10,-100000000]'), "4,000,000,000 bytes of memory"),
    (weights(GOOD["model.safetensors"][:-100]), "not a whole safetensors file"),
    (weights(b""), "not a whole safetensors file"),
    (weights(save(WEIGHTS | {FIRST: torch.full_like(WEIGHTS[FIRST], torch.nan)})), "holds NaN"),
    (weights(save(WEIGHTS | {"extra": torch.zeros(2)})), "1 tensors are unknown"),
    (weights(save({name: x for name, x in WEIGHTS.items() if name != FIRST})), "1 tensors are missing"),
    (with_config(vocab_size=20_000_000), r"the config needs \(20000000, 50\)"),  # 10⁹ parameters
    (with_config(d_ff=10_000_000), "2,020,038,391 parameters are more than the 2,000,000,000"),
    (with_config(n_layers=400), "tensors are missing from the file"),
    (with_config(d_model=10**12), "config of upload cannot be used"),
    (with_config(d_model=10**3000), "a number in it is a text, or the like"),
    (with_config(n_classes=1_000_000), "n_classes=1000000 without a classifier"),  # 10³⁰ names took all memory
    (with_config(max_len=100_000), "up to 100,000 tokens at a time with 5 heads: at most 1,831 are read here"),
    (with_config(activation="x" * 100_000), "^The config of upload cannot be used: activation='x{200,300}…"),
    (with_config(**{"a\r\nb": 1}), r"the config names unknown fields: 'a\\r\\nb'"),
    (with_config(vocab_size=7), "The tokenizer knows .* tokens, the model only 7"),
    (GOOD | {"config.json": b"[" * 100_000}, "config.json is not JSON"),
    (GOOD | {"config.json": b"\xff\xfe"}, "config.json is not JSON"),
    (config(model_type="bert"), "The config does not say"),
    (config(model_type="evil", auto_map={"AutoModel": "evil.Evil"}), "code of its own, which is never run"),
    (config(model_type="llama", num_hidden_layers=100_000), "num_hidden_layers=100,000"),
    (config(model_type="llama", hidden_size=4096, num_hidden_layers=4), "The config asks for .* parameters"),
    (GOOD | {"tokenizer.json": b'{"model": 3}'}, "^tokenizer.json is not a tokenizer.json that can be read"),
    (GOOD | {"tokenizer.json": b"PK\3\4"}, "^tokenizer.json is not a tokenizer.json that can be read"),
    (folder_of("digits") | {"preprocessor_config.json": b"[]"}, "preprocessor_config.json holds a JSON list"),
]


@pytest.mark.parametrize(("files", "says"), HOSTILE_FILES, ids=lambda x: x[:40] if isinstance(x, str) else "")
def test_hostile_files_in_a_good_archive(files: Files, says: str) -> None:
    refused(packed(files), says)


@given(some.data())
def test_a_broken_archive_is_a_model_or_a_sentence(data: some.DataObject) -> None:
    """Bytes changed anywhere, most of them in what the archive says of itself: never another kind of error."""
    whole = bytearray(packed(GOOD))
    start = whole.index(b"PK\x01\x02")
    for _ in range(data.draw(some.integers(1, 4))):
        place = some.integers(start, len(whole) - 1) | some.integers(0, len(whole) - 1)
        whole[data.draw(place)] = data.draw(some.integers(0, 255))
    try:
        assert load_archive(bytes(whole), "upload", max_bytes=50 * MB).transformer.config.n_layers >= 1
    except ModelError as error:
        assert str(error).endswith(".")
