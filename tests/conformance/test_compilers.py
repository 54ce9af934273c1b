"""torch.compile without a graph break, torch.export, TorchScript."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn

import attnviz
from tests.support.pairs import (
    FLOAT,
    GIVEN,
    KINDS,
    arguments,
    call,
    make,
    mask_name,
    options,
    pair,
    same,
    tokens,
)
from tests.support.parity import close

F64 = torch.float64
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:`torch.jit"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'norm' was found in ScriptModule constants"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
kinds = pytest.mark.parametrize("kind", KINDS)


def slow(value: Any) -> Any:
    return pytest.param(value, marks=pytest.mark.nightly)


# ---- compile ---------------------------------------------------------------------------------------------


QUICK = [("attention", "a float mask"), ("encoder layer", "a float mask"), ("decoder layer", "a bool mask")]
QUICK += [("encoder", "padding"), ("attention", "nothing")]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        pytest.param(kind, given, marks=() if (kind, given) in QUICK else pytest.mark.nightly)
        for kind in KINDS
        for given in GIVEN
    ],
)
def test_compiled_whole_without_a_graph_break(kind: str, given: str) -> None:
    torch._dynamo.reset()
    ours, _ = pair(kind)
    x, masks = tokens(), options(kind, GIVEN[given])
    compiled = torch.compile(ours, fullgraph=True, backend="eager")
    same(compiled(*arguments(kind, x), **masks), ours(*arguments(kind, x), **masks))


@pytest.mark.parametrize("kind", [slow("attention"), "encoder", slow("decoder")])
def test_one_graph_serves_every_length(kind: str) -> None:
    torch._dynamo.reset()
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    ours, _ = pair(kind)
    compiled = torch.compile(ours.eval(), fullgraph=True, dynamic=True, backend=backend)
    for length in (4, 6, 9):
        x, mask = tokens(3, length), torch.randn(length, length)
        given = {mask_name(kind): mask}
        same(compiled(*arguments(kind, x), **given), ours(*arguments(kind, x), **given))
    assert len(graphs) == 1


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["attention", "encoder layer"])
def test_compiled_forward_and_backward(kind: str) -> None:
    torch._dynamo.reset()
    x = tokens(dtype=F64)

    def learn(module: nn.Module, run: Any) -> list[torch.Tensor]:
        module.zero_grad()
        out = run(*arguments(kind, x), **{mask_name(kind): FLOAT.double()})
        (out[0] if kind == "attention" else out).pow(2).sum().backward()
        return [p.grad.clone() for p in module.parameters()]

    ours, _ = pair(kind, dtype=F64)
    same(learn(ours, torch.compile(ours, fullgraph=True, backend="aot_eager")), learn(ours, ours))


@pytest.mark.nightly
@kinds
def test_compiled_by_inductor(kind: str) -> None:
    torch._dynamo.reset()
    ours, _ = pair(kind)
    x, given = tokens(), {mask_name(kind): FLOAT}
    compiled = torch.compile(ours.eval(), fullgraph=True)
    with torch.no_grad():
        same(compiled(*arguments(kind, x), **given), ours(*arguments(kind, x), **given))


def test_a_hook_is_compiled_with_its_module() -> None:
    torch._dynamo.reset()
    ours, _ = pair("encoder layer")
    x = tokens()
    plain = ours(x)
    ours.self_attn.register_forward_hook(lambda _, __, output: (output[0] * 2, output[1]))
    changed = torch.compile(ours, fullgraph=True, backend="eager")(x)
    close(changed, ours(x))
    assert not torch.allclose(changed, plain)


def test_a_compiled_attention_leaves_its_record() -> None:
    torch._dynamo.reset()
    layer = make(attnviz, "encoder layer")
    x, mask = tokens(), attnviz.Mask(causal=True)
    wanted = layer.trace(x, mask=mask)
    layer.self_attn = torch.compile(layer.self_attn, backend="eager")
    run = layer.trace(x, mask=mask)
    close(run.resid_post, wanted.resid_post)
    close(run.attention.weights, wanted.attention.weights)
    close(layer.trace(x).resid_post, layer(x))


# ---- export and TorchScript ------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("strict", [slow(True), False])
def test_exported(kind: str, strict: bool) -> None:
    ours, _ = pair(kind)
    x = tokens()
    program = torch.export.export(ours.eval(), arguments(kind, x), {mask_name(kind): FLOAT}, strict=strict)
    x = tokens()
    given = {mask_name(kind): FLOAT}
    same(program.module()(*arguments(kind, x), **given), ours(*arguments(kind, x), **given))


def test_exported_with_free_sizes() -> None:
    ours, _ = pair("encoder")
    batch, length = torch.export.Dim("batch", min=2, max=8), torch.export.Dim("length", min=2, max=64)
    shapes = {"src": {0: batch, 1: length}, "mask": {0: length, 1: length}}
    program = torch.export.export(ours.eval(), (tokens(), FLOAT), dynamic_shapes=shapes)
    x, mask = tokens(4, 7), torch.randn(7, 7)
    close(program.module()(x, mask), ours(x, mask))


@kinds
def test_scripted(kind: str) -> None:
    ours, theirs = pair(kind)
    x, file = tokens(), io.BytesIO()
    torch.jit.save(torch.jit.script(ours.eval()), file)
    file.seek(0)
    scripted = torch.jit.load(file)
    torch.jit.script(theirs)
    for given in GIVEN.values():
        masks = options(kind, given)
        same(call(scripted, kind, x, **masks), call(ours, kind, x, **masks))


@pytest.mark.parametrize(
    "more", [{"bias": False}, {"add_bias_kv": True, "add_zero_attn": True}, {"batch_first": False}], ids=str
)
def test_a_scripted_attention_is_the_attention(more: dict[str, Any]) -> None:
    ours, _ = pair("attention", **more)
    scripted = torch.jit.script(ours.eval())
    x, starved = tokens(5, 5), torch.ones(5, 5, dtype=torch.bool)
    for given in (
        {},
        {"attn_mask": FLOAT},
        {"attn_mask": starved},
        {"is_causal": True},
        {"average_attn_weights": False},
    ):
        same(scripted(x, x, x, **given), ours(x, x, x, **given))
    same(scripted(x, x, x, need_weights=False)[0], ours(x, x, x)[0])
    same(scripted(x[0], x[1], x[1]), ours(x[0], x[1], x[1]))


def test_a_scripted_attention_of_other_widths() -> None:
    ours, _ = pair("attention", kdim=5, vdim=6)
    q, k, v = tokens(), torch.randn(2, 3, 5), torch.randn(2, 3, 6)
    same(torch.jit.script(ours)(q, k, v), ours(q, k, v))


@kinds
def test_traced_by_torch_jit(kind: str) -> None:
    ours, _ = pair(kind)
    x = tokens()
    traced = torch.jit.trace(ours.eval(), arguments(kind, x))
    x = tokens()
    same(traced(*arguments(kind, x)), ours(*arguments(kind, x)))
