"""torch.func, derivatives of higher order, dtypes, autocast, devices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import attnviz
from tests.support.pairs import (
    CAUSAL,
    GIVEN,
    KINDS,
    C,
    alike,
    arguments,
    call,
    make,
    options,
    pair,
    same,
    tokens,
)

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
