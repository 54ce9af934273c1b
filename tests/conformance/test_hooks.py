"""Hooks, subclasses, parametrizations, pruning: our modules are called as torch's are, and what is changed counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import attnviz
from tests.support.pairs import KINDS, PARTS, alike, call, make, mask_name, pair, same, tokens
from tests.support.parity import close, scramble

PLACES = [(kind, part) for kind in KINDS for part in ("", *PARTS[kind])]
LAYERS = [kind for kind in KINDS if kind != "attention"]
places = pytest.mark.parametrize(("kind", "part"), PLACES)


def modes(module: nn.Module, kind: str, x: torch.Tensor) -> list[torch.Tensor]:
    """Outputs in training, in eval, and in eval without gradients, where torch has a fast path of its own."""
    answers = [call(module.train(), kind, x), call(module.eval(), kind, x)]
    with torch.no_grad():
        return [*answers, call(module, kind, x)]


@places
def test_forward_hooks_fire_once_in_every_mode(kind: str, part: str) -> None:
    def counted(module: nn.Module) -> list[int]:
        fired: list[str] = []
        target = module.get_submodule(part)
        target.register_forward_pre_hook(lambda *_: fired.append("before"))
        target.register_forward_hook(lambda *_: fired.append("after"))
        modes(module, kind, tokens())
        return list(Counter(fired).values())

    alike(kind, counted)
    assert counted(make(attnviz, kind)) == [3, 3]


@places
def test_a_hook_sees_what_torchs_sees(kind: str, part: str) -> None:
    """The positional and named arguments and the output, in their shapes and numbers."""
    x = tokens(dtype=torch.float64)

    def seen(module: nn.Module) -> list[Any]:
        found: list[Any] = []

        def look(_: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            given = {name: value for name, value in kwargs.items() if value is not None and value is not False}
            found.append([list(args), dict(sorted(given.items())), output])

        module.get_submodule(part).register_forward_hook(look, with_kwargs=True)
        call(module, kind, x, **{mask_name(kind): torch.ones(5, 5, dtype=torch.bool).triu(1)})
        return found

    def plain(found: list[Any]) -> list[Any]:
        """Without the masks, which torch makes float first."""
        return [[args[:3], output] for args, kwargs, output in found]

    ours, theirs = pair(kind, dtype=torch.float64)
    same(plain(seen(ours)), plain(seen(theirs)))


@places
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hook_that_replaces_changes_the_output_as_torchs_does(kind: str, part: str, when: str) -> None:
    x = tokens(dtype=torch.float64)

    def halved(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(halved, value))
        return value / 2 if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    def change(module: nn.Module) -> list[torch.Tensor]:
        target = module.get_submodule(part)
        if when == "before":
            target.register_forward_pre_hook(lambda _, args: halved(args))
        else:
            target.register_forward_hook(lambda _, __, output: halved(output))
        return modes(module, kind, x)

    alike(kind, change, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_backward_hooks_see_torchs_gradients(kind: str) -> None:
    x = tokens(dtype=torch.float64, requires_grad=True)

    def gradients(module: nn.Module) -> list[Any]:
        found: list[Any] = []
        module.register_full_backward_hook(lambda _, __, given: found.append(given[0]))
        call(module, kind, x).pow(2).sum().backward()
        return found

    alike(kind, gradients, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_are_removed_prepended_and_ordered(kind: str) -> None:
    def order(module: nn.Module) -> list[str]:
        fired: list[str] = []
        module.register_forward_hook(lambda *_: fired.append("first"))
        module.register_forward_hook(lambda *_: fired.append("before it"), prepend=True)
        module.register_forward_hook(lambda *_: fired.append("removed")).remove()
        module.register_forward_hook(lambda *_: fired.append("always"), always_call=True)
        call(module, kind, tokens())
        return fired

    alike(kind, order)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_on_all_modules_sees_the_same_calls_but_for_out_proj(kind: str) -> None:
    def called(module: nn.Module) -> list[str]:
        names = {id(part): name for name, part in module.named_modules()}
        fired: list[str] = []
        with_all = nn.modules.module.register_module_forward_hook(lambda part, *_: fired.append(names[id(part)]))
        try:
            call(module.eval(), kind, tokens())
        finally:
            with_all.remove()
        return [name for name in fired if not name.endswith("out_proj")]

    alike(kind, called)


# ---- subclasses ------------------------------------------------------------------------------------------


def subclass(cls: type[nn.Module], **methods: Any) -> type[nn.Module]:
    return type("Mine", (cls,), methods)


@places
def test_an_overridden_forward_is_honoured(kind: str, part: str) -> None:
    x = tokens(dtype=torch.float64)

    def override(module: nn.Module) -> list[torch.Tensor]:
        target = module.get_submodule(part)
        plain = type(target).forward

        def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            output = plain(self, *args, **kwargs)
            return (output[0] * 3, *output[1:]) if isinstance(output, tuple) else output * 3

        target.__class__ = subclass(type(target), forward=forward)
        # torch's fast path goes around an override, so it has none to compare with
        return [call(module.train(), kind, x), call(module.eval(), kind, x)]

    alike(kind, override, dtype=torch.float64)


@places
def test_a_forward_put_on_the_object_is_honoured(kind: str, part: str) -> None:
    def patched(module: nn.Module) -> torch.Tensor:
        target = module.get_submodule(part)
        plain = target.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            output = plain(*args, **kwargs)
            return (output[0] + 1, *output[1:]) if isinstance(output, tuple) else output + 1

        target.forward = forward
        return call(module, kind, torch.ones(1, 3, 8, dtype=torch.float64))

    alike(kind, patched, dtype=torch.float64)


BLOCKS = {"encoder layer": ("_sa_block", "_ff_block"), "decoder layer": ("_sa_block", "_mha_block", "_ff_block")}


@pytest.mark.parametrize(("kind", "block"), [(kind, block) for kind, blocks in BLOCKS.items() for block in blocks])
@pytest.mark.parametrize("norm_first", [True, False])
def test_an_overridden_block_is_honoured(kind: str, block: str, norm_first: bool) -> None:
    x, causal = tokens(dtype=torch.float64), torch.ones(5, 5, dtype=torch.bool).triu(1)

    def override(module: nn.Module) -> torch.Tensor:
        plain = getattr(type(module), block)
        changed = {block: lambda self, *args, **kwargs: plain(self, *args, **kwargs) * 2}
        module.__class__ = subclass(type(module), **changed)
        return call(module, kind, x, **{mask_name(kind): causal})

    alike(kind, override, dtype=torch.float64, norm_first=norm_first)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_stack_copies_layers_of_a_subclass(kind: str) -> None:
    """As torch's stack does with torch's layer: `forward` with torch's own arguments."""

    def stacked(library: Any) -> tuple[torch.Tensor, list[str]]:
        layer = make(library, f"{kind} layer", dtype=torch.float64)
        scramble(layer, 0.3) if library is nn else layer.load_state_dict(state)
        plain = type(layer).forward
        layer.__class__ = subclass(type(layer), forward=lambda self, *a, **k: plain(self, *a, **k) * 0.5)
        if library is nn:
            state.update(layer.state_dict())
        stack = getattr(library, "TransformerEncoder" if kind == "encoder" else "TransformerDecoder")(layer, 2)
        return call(stack, kind, x), [type(one).__name__ for one in stack.layers]

    state: dict[str, torch.Tensor] = {}
    x = tokens(dtype=torch.float64)
    theirs = stacked(nn)
    same(stacked(attnviz), theirs)


# ---- parametrizations ------------------------------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - 0.1 * x.flip(0)


WEIGHTS = {
    "attention": [("", "in_proj_weight"), ("out_proj", "weight"), ("", "in_proj_bias")],
    "encoder layer": [("self_attn", "in_proj_weight"), ("self_attn.out_proj", "weight"), ("linear1", "weight")],
    "decoder layer": [("multihead_attn", "in_proj_weight"), ("multihead_attn.out_proj", "bias"), ("norm3", "weight")],
    "encoder": [("layers.1.self_attn", "in_proj_weight"), ("layers.0.linear2", "weight")],
    "decoder": [("layers.1.multihead_attn.out_proj", "weight"), ("norm", "weight")],
}
weights = pytest.mark.parametrize(
    ("kind", "part", "name"), [(kind, *place) for kind, places in WEIGHTS.items() for place in places]
)


@weights
def test_a_parametrized_weight_is_used(kind: str, part: str, name: str) -> None:
    x = tokens(dtype=torch.float64)

    def parametrized(module: nn.Module) -> list[Any]:
        target = module.get_submodule(part)
        parametrize.register_parametrization(target, name, Symmetric())
        out = call(module, kind, x)
        out.pow(2).sum().backward()
        grad = target.parametrizations[name].original.grad
        parametrize.remove_parametrizations(target, name)
        return [out, grad / grad.abs().max(), call(module, kind, x), list(module.state_dict())]

    alike(kind, parametrized, dtype=torch.float64)


@weights
def test_a_pruned_weight_is_used(kind: str, part: str, name: str) -> None:
    x = tokens(dtype=torch.float64)

    def pruned(module: nn.Module) -> list[Any]:
        target = module.get_submodule(part)
        prune.l1_unstructured(target, name, amount=0.5)
        outputs = [call(module, kind, x)]
        with torch.no_grad():
            getattr(target, f"{name}_orig").mul_(2)
        outputs.append(call(module, kind, x))
        prune.remove(target, name)
        return [*outputs, call(module, kind, x), list(module.state_dict())]

    ours, theirs = pair(kind, dtype=torch.float64)
    if name.startswith("in_proj"):
        return same(pruned(ours), pruned(theirs))
    if "out_proj" in part:  # torch reads this weight and calls no module, so its own pruning goes by unseen
        mine = pruned(ours)
        assert not torch.allclose(mine[0], mine[1])
        return close(mine[1], mine[2])
    return same(pruned(ours), pruned(theirs))


@pytest.mark.parametrize("old", [True, False])
def test_weight_norm_and_spectral_norm_on_every_linear_map(old: bool) -> None:
    layer = make(attnviz, "encoder layer")
    x = tokens()
    wanted = call(layer, "encoder layer", x)
    norm = torch.nn.utils.weight_norm if old else parametrizations.weight_norm
    for part in (layer.linear1, layer.linear2, layer.self_attn.out_proj):
        norm(part)
    close(call(layer, "encoder layer", x), wanted)
    call(layer, "encoder layer", x).sum().backward()
    with torch.no_grad():
        (layer.self_attn.out_proj.weight_g if old else layer.self_attn.out_proj.parametrizations.weight.original0).mul_(
            2
        )
    assert not torch.allclose(call(layer, "encoder layer", x), wanted)
    parametrizations.spectral_norm(layer.self_attn, "in_proj_weight")
    assert call(layer, "encoder layer", x).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_captured_and_attributed_by_its_hooks(kind: str) -> None:
    """What captum's layer methods do: keep a layer's output and its gradient."""
    x = tokens(dtype=torch.float64, requires_grad=True)

    def attributed(module: nn.Module) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []
        target = module.get_submodule(PARTS[kind][0] if PARTS[kind] else "")
        target.register_forward_hook(lambda _, __, out: kept.append(out[0] if isinstance(out, tuple) else out))
        out = call(module, kind, x)[0, 0, 0]
        (gradient,) = torch.autograd.grad(out, kept)
        return [kept[0], gradient]

    alike(kind, attributed, dtype=torch.float64)
