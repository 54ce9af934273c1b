"""Images, sounds and texts with images are read as transformers' own processors of the same settings read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz.models import hf_preprocessors

SQUARE = {"height": 32, "width": 32}
SETTINGS: dict[str, dict[str, Any]] = {
    "ViTImageProcessor": {"size": SQUARE},
    "ViTFeatureExtractor": {"size": 32, "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    "DeiTImageProcessor": {"size": {"height": 40, "width": 40}, "do_center_crop": True, "crop_size": SQUARE},
    "BeitImageProcessor": {"size": SQUARE, "do_center_crop": False, "do_reduce_labels": False},
    "CLIPImageProcessor": {"size": {"shortest_edge": 32}, "crop_size": SQUARE, "do_center_crop": True},
    "CLIPFeatureExtractor": {"size": 32, "crop_size": 32, "do_center_crop": True, "resample": 3},
    "BitImageProcessor": {"size": {"shortest_edge": 40}, "crop_size": SQUARE, "do_center_crop": True, "resample": 3},
    "SiglipImageProcessor": {"size": SQUARE, "resample": 3},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("size", [(70, 50), (33, 90)])
def test_images_as_transformers_processor_reads_them(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    from transformers import AutoImageProcessor

    kind = "feature_extractor_type" if "Extractor" in name else "image_processor_type"
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({kind: name, **SETTINGS[name]}))
    theirs = AutoImageProcessor.from_pretrained(tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    ours = hf_preprocessors.of_images(tmp_path, 32, 3).pixels(picture)
    expected = theirs(picture, return_tensors="pt")["pixel_values"]
    assert ours.shape == expected.shape == (1, 3, 32, 32)
    assert torch.allclose(ours, expected, atol=1e-6, rtol=0)
