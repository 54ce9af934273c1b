"""Whole models, their checks of what they are given included, where there are no numbers to look at: compiled without a
graph break, exported with free lengths, on the meta device."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import attnviz
from attnviz import ShapeError, Transformer, preset
from tests.support.parity import close

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]
KINDS = ("encoder", "decoder", "encoder-decoder", "images")
MOST_NIGHTLY = [pytest.param(kind, marks=() if kind == "decoder" else pytest.mark.nightly) for kind in KINDS]


def model_and_inputs(kind: str, n: int = 5) -> tuple[Transformer, tuple[Tensor, ...]]:
    ids = torch.randint(0, 30, (2, n), generator=torch.Generator().manual_seed(n))
    if kind == "images":
        return attnviz.load("digits").transformer, (torch.rand(2, 1, 8, 8),)
    model = Transformer(preset("test", kind=kind), torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    return model, (ids,) if kind != "encoder-decoder" else (ids, ids.flip(1))


class Final(nn.Module):
    """A model with one tensor for an answer."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, target: Tensor | None = None) -> Tensor:
        trace = self.model(source) if target is None else self.model(source, target)
        return trace.final


@pytest.mark.parametrize("kind", MOST_NIGHTLY)
def test_compiled_without_a_graph_break(kind: str) -> None:
    torch._dynamo.reset()
    model, inputs = model_and_inputs(kind)
    compiled = torch.compile(Final(model), fullgraph=True, backend="eager")
    close(compiled(*inputs), Final(model)(*inputs), 1e-6)


@pytest.mark.parametrize("kind", MOST_NIGHTLY)
def test_exported(kind: str) -> None:
    model, inputs = model_and_inputs(kind)
    free = {"source": {1: torch.export.Dim("T", min=2, max=20)}}
    if kind == "encoder-decoder":
        free["target"] = {1: torch.export.Dim("S", min=2, max=20)}
    program = torch.export.export(Final(model), inputs, dynamic_shapes=free if kind != "images" else None)
    for n in (5, 9):
        _, other = model_and_inputs(kind, n)
        close(program.module()(*other), Final(model)(*other), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_on_the_meta_device(kind: str) -> None:
    model, inputs = model_and_inputs(kind)
    found = copy.deepcopy(model).to("meta")(*(x.to("meta") for x in inputs))
    assert found.final.is_meta and found.final.shape == model(*inputs).final.shape


def test_nested_ids_are_refused_in_a_sentence() -> None:
    ids = torch.nested.nested_tensor([torch.tensor([1, 2, 3]), torch.tensor([1, 2])])
    with pytest.raises(ShapeError, match=r"^token ids are a nested tensor; pad the texts and give their lengths$"):
        model_and_inputs("decoder")[0](ids)
