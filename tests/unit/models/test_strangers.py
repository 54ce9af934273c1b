"""Models that a stranger asks for: nothing is asked of the hub, no memory is taken for what is not in the files."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from attnviz.errors import ModelError
from attnviz.models import hf_download, hf_loading, hf_probe, strangers
from attnviz.models.catalogue import load
from attnviz.models.strangers import Terms

M2M = {"model_type": "m2m_100", "vocab_size": 64, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
M2M |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if memory is taken for weights."""
    monkeypatch.setattr(hf_loading, "_weights", lambda *_: pytest.fail("memory was taken"))


def folder(place: Path, config: dict[str, Any], n_numbers: int = 10) -> Path:
    (place / "config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(n_numbers)}, place / "model.safetensors")
    return place


@pytest.mark.parametrize("extra", [{}, {"rope": 1}, {"rope_scaling": {"rope_type": "default"}}, {"ropes": "x"}])
def test_no_key_switches_the_limit_of_a_table_off(taken: None, tmp_path: Path, extra: dict[str, Any]) -> None:
    config = M2M | {"max_position_embeddings": 20_000_000} | extra
    with pytest.raises(ModelError, match=r"a table of 20,000,000 × 16 numbers"):
        hf_loading.load(folder(tmp_path, config))


def test_buffers_count_as_memory(taken: None, tmp_path: Path) -> None:
    config = M2M | {"max_position_embeddings": 5_000_000}
    with pytest.raises(ModelError, match=r"bytes of memory as float32, more than the 100,000,000 allowed"):
        hf_loading.load(folder(tmp_path, config), max_bytes=100_000_000)


def test_no_memory_is_taken_for_what_the_files_do_not_hold(taken: None, tmp_path: Path) -> None:
    config = M2M | {"vocab_size": 1_000_000, "max_position_embeddings": 64}
    with pytest.raises(ModelError, match=r"asks for \d\d,\d{3},\d{3} parameters, and the files hold 10 numbers"):
        hf_loading.load(folder(tmp_path, config))


@pytest.mark.parametrize(("side", "colours"), [(4097, 3), (20_000, 3), (64, 10_000)])
def test_pictures_are_bounded_by_their_side_and_colours(side: int, colours: int) -> None:
    with pytest.raises(ModelError, match="are more than the 4,096 × 4,096 in 16"):
        hf_probe._image(SimpleNamespace(image_size=side, num_channels=colours, patch_size=4096), None)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "detr", "backbone": "resnet50", "use_pretrained_backbone": True},
        {"model_type": "detr", "backbone": "org/name", "use_timm_backbone": False},
        {"model_type": "vision-encoder-decoder", "encoder": {"model_type": "dpt", "backbone": "org/name"}},
        {"model_type": "timm_wrapper", "architecture": "resnet50"},
    ],
)
def test_a_config_that_names_another_model_is_refused(taken: None, tmp_path: Path, config: dict[str, Any]) -> None:
    with (
        strangers.asking(Terms(online=False)),
        pytest.raises(ModelError, match="a part of another model, which"),
    ):
        hf_loading.load(folder(tmp_path, config))


def test_nobody_is_asked_for_anything_while_an_archive_is_read() -> None:
    from huggingface_hub.utils import get_session

    hf_download.watch_requests()
    with strangers.asking(Terms(online=False)), pytest.raises(ModelError, match="never makes this server ask for more"):
        get_session().get("http://127.0.0.1:9/")
    with strangers.asking(Terms(online=False)), pytest.raises(ModelError, match="never makes this server ask for more"):
        hf_download.fetch("org/name")
    with pytest.raises(Exception, match=r"refused|connect|127\.0\.0\.1:9") as own:  # the library's, not ours
        get_session().get("http://127.0.0.1:9/")
    assert "this server" not in str(own.value)


def test_memory_is_reserved_before_random_weights_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(n_bytes: int) -> None:
        raise ModelError(f"{n_bytes} bytes are too many.")

    monkeypatch.setattr("attnviz.models.scratch.Transformer", lambda *_: pytest.fail("memory was taken"))
    with strangers.asking(Terms(full)), pytest.raises(ModelError, match=r"\d+ bytes are too many"):
        load("scratch:base?seed=3")
