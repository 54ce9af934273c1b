"""Longformer's attention in windows as full rows: transformers' own numbers, put in their places."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from attnviz import Intervention, ModelError
from attnviz.models.hf_model import HFModel
from tests.support.parity import close
from tests.support.zoo import folders
from tests.support.zoo.agreement import same_all

N, BESIDE = 21, 4  # tokens (no whole chunks), and the keys on each side of one


@pytest.fixture(scope="module")
def theirs() -> Any:
    return folders.random_model("LongformerForMaskedLM")


@pytest.fixture(scope="module")
def model() -> HFModel:
    return HFModel(folders.random_model("LongformerForMaskedLM"))


@pytest.fixture(scope="module")
def ids() -> torch.Tensor:
    return torch.randint(3, 300, (2, N), generator=torch.Generator().manual_seed(1))


def test_rows_states_and_logits_are_transformers_own(model: HFModel, theirs: Any, ids: torch.Tensor) -> None:
    trace = model(ids)
    out = theirs(ids, output_attentions=True, output_hidden_states=True)
    assert out.attentions[0].shape == (2, 4, N, 2 * BESIDE + 1)
    assert trace.attentions[0].shape == (2, 4, N, N)
    assert not same_all(trace, dict(out), "attentions") and not same_all(trace, dict(out), "hidden")
    close(trace.logits, out.logits, 1e-5)
    places = torch.arange(N)
    far = (places[:, None] - places).abs() > BESIDE
    assert far.any() and all(bool((rows[..., far] == 0).all()) for rows in trace.attentions)
    mask = trace.layers[0].attention.mask if trace.layers[0].attention else None
    assert mask is not None and mask.window == BESIDE


def test_padding_and_interventions(model: HFModel, ids: torch.Tensor) -> None:
    alone = model(ids[1:, :9])
    assert alone.logits is not None
    batch = model(ids, lengths=(N, 9)).logits
    assert batch is not None
    close(batch[1:, :9], alone.logits, 1e-5)
    narrow = model(ids, intervention=Intervention(mask=("window", 1))).attentions[0]
    assert narrow.triu(2).abs().max() == 0 == narrow.tril(-2).abs().max()


def test_by_itself_it_is_what_it_was(model: HFModel, theirs: Any, ids: torch.Tensor) -> None:
    close(model.inner(ids).logits, theirs(ids).logits, 0.0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.inner is not model.inner
        close(other(ids).logits, model(ids).logits, 1e-6)


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("LongformerForSequenceClassification", "its first token has"),
        ("LongformerForQuestionAnswering", "the question's tokens have"),
    ],
)
def test_tokens_with_global_attention_are_refused_in_a_sentence(name: str, which: str) -> None:
    with pytest.raises(ModelError, match=f"longformer cannot be looked into: {which} global attention"):
        HFModel(folders.random_model(name))
