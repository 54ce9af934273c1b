"""Texts, archives, configs, images and tokenizers from strangers: a result, or one sentence of ours."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import strategies as some
from safetensors.torch import save

from attnviz import Model, load
from attnviz.inputs import images
from attnviz.models import strangers
from attnviz.models.catalogue import BUNDLED, load_archive
from attnviz.models.folders import FORMAT
from tests.support.fuzzing import (
    CORPUS,
    LONG,
    MEMORY,
    changed_bytes,
    changed_json,
    corpus,
    foreseen,
    fuzz,
    json_bytes,
    rounds,
)
from tests.support.hostile_texts import HOSTILE

MOST_BYTES = 5_000_000  # of a model
PARTS = ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json")


@cache
def folder(name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((BUNDLED / name).iterdir()) if path.name in PARTS}


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def read_archive(data: bytes) -> None:
    model = foreseen(lambda: load_archive(data, "from a stranger", max_bytes=MOST_BYTES))
    if model is not None:
        run(model, "abcd" if model.reads == "text" else (CORPUS / "images" / "colours.png").read_bytes())


def run(model: Model, given: str | bytes) -> None:
    """A run has weights that add up to 1, wherever a query may look at all, and never a NaN."""
    trace = foreseen(lambda: model.run(given))
    if trace is not None:
        for layer in trace.layers:
            sums = layer.attention.weights.sum(-1)
            assert bool((((sums - 1).abs() < 1e-4) | (sums == 0)).all())


@pytest.fixture
def tokenizers_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of something else: a process for each example would leave no time for examples."""
    monkeypatch.setattr(strangers, "isolated", lambda: False)


@pytest.fixture(scope="module")
def models() -> Iterator[list[Model]]:
    yield [load(name) for name in ("scratch:test", "induction")]


@rounds
def test_texts(models: list[Model], seconds: float) -> None:
    kept = [path.read_bytes().decode("utf-8", "surrogatepass") for path in corpus("texts")]

    def check(text: str) -> None:
        for model in models:
            run(model, text)

    fuzz(
        some.text(max_size=80) | some.lists(some.sampled_from([*HOSTILE, *kept]), max_size=6).map("".join),
        check,
        seconds,
    )


@rounds
def test_bytes_of_archives(tokenizers_in_this_process: None, seconds: float) -> None:
    kept = [path.read_bytes() for path in corpus("archives")]
    fuzz(changed_bytes([packed(folder("induction")), *kept]), read_archive, seconds, examples=60)


@rounds
def test_configs(tokenizers_in_this_process: None, seconds: float) -> None:
    files = folder("induction")
    known = [json.loads(files["config.json"]), json.loads(folder("digits")["config.json"])]

    def check(config: Any) -> None:
        config = config | {"format": FORMAT} if isinstance(config, dict) else config  # or it is another library's
        read_archive(packed(files | {"config.json": json_bytes(config)}))

    fuzz(changed_json(known), check, seconds, examples=60)


OTHERS = [
    {"model_type": "gpt2", "vocab_size": 32, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16},
    {"model_type": "bert", "vocab_size": 32, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
    {"model_type": "vit", "image_size": 16, "patch_size": 8, "hidden_size": 8, "num_hidden_layers": 1},
    {"model_type": "m2m_100", "vocab_size": 32, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1},
]


@pytest.mark.nightly
def test_configs_of_other_libraries(tokenizers_in_this_process: None) -> None:
    weights = save({"x": torch.zeros(10)})

    def check(config: Any) -> None:
        read_archive(packed({"config.json": json_bytes(config), "model.safetensors": weights}))

    fuzz(changed_json(OTHERS), check, LONG)


@rounds
def test_weights(tokenizers_in_this_process: None, seconds: float) -> None:
    files = folder("induction")
    start = files["model.safetensors"]
    size = 8 + int.from_bytes(start[:8], "little")

    def check(header: Any) -> None:
        head = json_bytes(header)
        weights = len(head).to_bytes(8, "little") + head + start[size:]
        read_archive(packed(files | {"model.safetensors": weights}))

    fuzz(changed_json([json.loads(start[8:size])]), check, seconds, examples=60)


@rounds
def test_images(seconds: float) -> None:
    def check(data: bytes) -> None:
        picture = foreseen(lambda: images.read(data))
        foreseen(lambda: images.frames(data))
        if picture is not None:
            wanted = images.Preprocessing(size=16, channels=3, resize=16, mean=(0.5,) * 3, std=(0.5,) * 3)
            pixels = foreseen(lambda: wanted.pixels(picture))
            assert pixels is None or bool(torch.isfinite(pixels).all())

    fuzz(changed_bytes([path.read_bytes() for path in corpus("images")]), check, seconds)


@rounds
def test_image_settings(seconds: float) -> None:
    known = [json.loads(folder("digits")["preprocessor_config.json"])]

    def check(given: Any) -> None:
        if isinstance(given, dict):
            foreseen(lambda: images.Preprocessing.of(given, 8, 1))

    fuzz(changed_json(known), check, seconds)


@rounds
def test_tokenizers(seconds: float) -> None:
    """In a process of its own each, as strangers' are: the short round has time for a handful."""
    files = folder("induction")
    kept = [path.read_bytes() for path in corpus("tokenizers")]
    known = [json.loads(one) for one in (files["tokenizer.json"], *kept)]

    def check(content: bytes) -> None:
        read_archive(packed(files | {"tokenizer.json": content}))

    fuzz(changed_json(known).map(json_bytes) | changed_bytes(kept), check, seconds, examples=3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much address space a process has")
def test_what_takes_all_memory_is_found_and_the_machine_goes_on() -> None:
    with pytest.raises(MemoryError):
        fuzz(some.just(2 * MEMORY), lambda size: bytearray(size) and None, 1)
