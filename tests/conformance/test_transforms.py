"""torch.compile, torch.export, TorchScript, torch.func, derivatives of higher order, dtypes, autocast, devices."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import attnviz
from tests.support.pairs import KINDS, C, alike, call, make, mask_name, padding_name, pair, same, tokens
from tests.support.parity import close

F64 = torch.float64
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
FLOAT = torch.zeros(5, 5).masked_fill(CAUSAL, -math.inf)
PADDING = torch.arange(5).expand(2, 5) > 3
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


def arguments(kind: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (x, x, x) if kind == "attention" else (x, x.flip(-2)) if kind.startswith("decoder") else (x,)


# ---- compile ---------------------------------------------------------------------------------------------

GIVEN: dict[str, Any] = {
    "nothing": {},
    "a bool mask": {"mask": CAUSAL},
    "a float mask": {"mask": FLOAT},
    "padding": {"padding": PADDING},
}


def options(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    names = {"mask": mask_name(kind), "padding": padding_name(kind)}
    return {names[name]: value for name, value in given.items()}


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


# ---- derivatives -----------------------------------------------------------------------------------------


def output(kind: str, module: nn.Module) -> Any:
    return lambda x: call(module, kind, x)


@kinds
def test_vjp_and_jacobian(kind: str) -> None:
    x = tokens(1, 3, dtype=F64)

    def derived(module: nn.Module) -> list[torch.Tensor]:
        out, back = vjp(output(kind, module), x)
        return [back(torch.ones_like(out))[0], jacrev(output(kind, module))(x)]

    alike(kind, derived, dtype=F64)


def test_forward_derivatives_with_weights() -> None:
    x = tokens(1, 3, dtype=F64)

    def derived(module: nn.Module) -> list[Any]:
        both = jvp(lambda x: module(x, x, x, attn_mask=CAUSAL[:3, :3]), (x,), (x.flip(1),))
        return [*both, jacfwd(output("attention", module))(x)]

    alike("attention", derived, dtype=F64)


def test_second_derivatives_with_weights() -> None:
    x = tokens(1, 2, dtype=F64)
    alike("attention", lambda m: hessian(lambda x: m(x, x, x)[0].pow(2).sum())(x), dtype=F64)
    ours, _ = pair("attention", dtype=F64)
    point = tokens(1, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: ours(x, x, x)[0], (point,))


def test_double_backward_through_a_penalty_on_the_gradient() -> None:
    def penalty(module: nn.Module) -> list[torch.Tensor]:
        x = torch.linspace(-1, 1, 2 * 5 * C, dtype=F64).view(2, 5, C).requires_grad_()
        out = module(x, x, x)[0]
        (gradient,) = torch.autograd.grad(out.pow(2).sum(), x, create_graph=True)
        gradient.pow(2).sum().backward()
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        return [g / max(1.0, float(g.abs().max())) for g in grads]

    alike("attention", penalty, dtype=F64)


@kinds
def test_vmap(kind: str) -> None:
    x = tokens(3, 2, 5, dtype=F64)
    alike(kind, lambda module: vmap(output(kind, module.eval()))(x), dtype=F64)


@kinds
def test_gradients_per_example(kind: str) -> None:
    x = tokens(3, 5, dtype=F64)

    def examples(module: nn.Module) -> list[torch.Tensor]:
        parameters = dict(module.eval().named_parameters())

        def loss(parameters: dict[str, torch.Tensor], one: torch.Tensor) -> torch.Tensor:
            out = functional_call(module, parameters, arguments(kind, one[None]))
            return (out[0] if kind == "attention" else out).pow(2).sum()

        grads = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
        return [g / max(1.0, float(g.detach().abs().max())) for g in grads.values()]

    alike(kind, examples, dtype=F64)


@kinds
def test_gradients_are_those_of_differences(kind: str) -> None:
    ours, _ = pair(kind, dtype=F64)
    x = tokens(1, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(output(kind, ours), (x,))


@kinds
def test_recomputed_in_the_backward_pass(kind: str) -> None:
    from torch.utils.checkpoint import checkpoint

    x = tokens(dtype=F64)

    def learn(module: nn.Module) -> list[torch.Tensor]:
        out = checkpoint(output(kind, module), x.requires_grad_(), use_reentrant=False)
        (gradient,) = torch.autograd.grad(out.pow(2).sum(), x)
        return [out, gradient / gradient.abs().max()]

    alike(kind, learn, dtype=F64)


# ---- dtypes and devices ----------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("dtype", [F64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("how", ["made", "moved"])
def test_dtypes(kind: str, dtype: torch.dtype, how: str) -> None:
    x = torch.linspace(-1, 1, 2 * 5 * C).view(2, 5, C).to(dtype)
    torch.manual_seed(3)
    theirs = make(nn, kind, **({"dtype": dtype} if how == "made" else {})).to(dtype)
    ours = make(attnviz, kind, **({"dtype": dtype} if how == "made" else {})).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    same(call(ours, kind, x), call(theirs, kind, x))


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast(kind: str, dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 2 * 5 * C).view(2, 5, C).to(dtype if kind == "attention" else torch.float32)
    torch.manual_seed(3)
    theirs, ours = make(nn, kind), make(attnviz, kind)
    ours.load_state_dict(theirs.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine, reference = (call(module, kind, x) for module in (ours, theirs))
    same(mine, reference)


def test_autocast_of_mixed_inputs() -> None:
    x = torch.linspace(-1, 1, 2 * 5 * C).view(2, 5, C)
    torch.manual_seed(3)
    theirs, ours = make(nn, "attention"), make(attnviz, "attention")
    ours.load_state_dict(theirs.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine, reference = (module(x, x.bfloat16(), x.bfloat16()) for module in (ours, theirs))
    same(mine, reference)


@kinds
def test_mixed_dtypes_without_autocast_are_refused_by_both(kind: str) -> None:
    for module in pair(kind):
        with pytest.raises((RuntimeError, TypeError)):
            call(module, kind, tokens(dtype=F64))


@kinds
@pytest.mark.parametrize("given", GIVEN)
def test_the_meta_device(kind: str, given: str) -> None:
    masks = {name: mask.to("meta") for name, mask in options(kind, GIVEN[given]).items()}
    x = tokens().to("meta")
    ours, theirs = pair(kind)
    assert call(ours.to("meta"), kind, x, **masks).shape == (2, 5, C)
    if not (kind in ("encoder", "decoder") and "mask" in given):  # torch's stacks look whether the mask is causal
        same(call(ours, kind, x, **masks), call(theirs.to("meta"), kind, x, **masks))
    alike(kind, lambda module: [p.device.type for p in module.to("meta").to_empty(device="cpu").parameters()])


@kinds
def test_made_on_a_device(kind: str) -> None:
    for library in (attnviz, nn):
        with torch.device("meta"):
            assert {p.device.type for p in make(library, kind).parameters()} == {"meta"}
        assert {p.device.type for p in make(library, kind, device="meta").parameters()} == {"meta"}


@kinds
def test_inference_mode_and_no_grad(kind: str) -> None:
    x = tokens()

    def run(module: nn.Module) -> list[Any]:
        with torch.inference_mode():
            one = call(module.eval(), kind, x)
        with torch.no_grad():
            two = call(module, kind, x)
        return [one.is_inference(), two.requires_grad, one.clone(), two]

    alike(kind, run)


@kinds
def test_default_dtype(kind: str) -> None:
    torch.set_default_dtype(F64)
    try:
        alike(kind, lambda module: [call(module, kind, tokens(1, 2)).dtype, next(module.parameters()).dtype])
    finally:
        torch.set_default_dtype(torch.float32)
