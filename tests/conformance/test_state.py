"""State, copies, files, parameters and their order: what torch documents of every module holds of ours."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

import attnviz
from tests.support.pairs import KINDS, NAMES, alike, call, make, pair, same, tokens

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_a_state_dict_has_torchs_names_shapes_and_order(kind: str) -> None:
    alike(kind, lambda module: {name: tuple(x.shape) for name, x in module.state_dict().items()})


def test_parameters_are_named_and_ordered_as_torchs(kind: str) -> None:
    alike(kind, lambda module: [(name, x.requires_grad, x.is_leaf) for name, x in module.named_parameters()])


def test_modules_are_named_and_ordered_as_torchs(kind: str) -> None:
    alike(kind, lambda module: [name for name, _ in module.named_modules()])
    alike(kind, lambda module: [name for name, _ in module.named_children()])


def test_an_activation_that_is_a_module_stands_where_torchs_does(kind: str) -> None:
    if kind in ("attention", "decoder"):
        return  # copies of torch's decoder layer forget an activation that is a module, and take relu (2.13)
    prelu, x = nn.PReLU(init=0.3, dtype=torch.float64), tokens(dtype=torch.float64)
    alike(kind, lambda module: [module.state_dict(), call(module, kind, x)], activation=prelu, dtype=torch.float64)


def test_buffers_are_torchs(kind: str) -> None:
    alike(kind, lambda module: [name for name, _ in module.named_buffers()])


def test_the_same_seed_gives_the_same_parameters_and_leaves_the_same_next_number(kind: str) -> None:
    def made(library: Any) -> list[torch.Tensor]:
        torch.manual_seed(11)
        module = make(library, kind)
        return [*module.parameters(), torch.rand(1)]

    same(made(attnviz), made(nn))


def test_reset_parameters_draws_what_torchs_draws(kind: str) -> None:
    def again(module: nn.Module) -> dict[str, torch.Tensor]:
        torch.manual_seed(5)
        for part in module.modules():
            if hasattr(part, "_reset_parameters"):
                part._reset_parameters()
        return module.state_dict()

    alike(kind, again)


def test_a_state_goes_through_a_file(kind: str) -> None:
    ours, theirs = pair(kind)
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    fresh = make(nn, kind)
    answer = fresh.load_state_dict(torch.load(file, weights_only=True))
    assert str(answer) == "<All keys matched successfully>"
    same(call(ours, kind, x := tokens()), call(fresh, kind, x))
    same(call(theirs, kind, x), call(fresh, kind, x))


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "misshapen"])
def test_a_wrong_state_is_refused_in_torchs_words(kind: str, wrong: str) -> None:
    def load(module: nn.Module) -> str:
        state = module.state_dict()
        name = next(name for name in state if name.endswith("out_proj.weight"))
        if wrong == "missing":
            del state[name]
        elif wrong == "unexpected":
            state["more"] = torch.zeros(1)
        else:
            state[name] = torch.zeros(3, 3)
        with pytest.raises(RuntimeError) as caught:
            module.load_state_dict(state, strict=True)
        return str(caught.value)

    alike(kind, load)


def test_not_strict_says_what_is_missing(kind: str) -> None:
    def load(module: nn.Module) -> tuple[list[str], list[str]]:
        state = module.state_dict()
        state.pop(next(iter(state)))
        answer = module.load_state_dict(state | {"more": torch.zeros(1)}, strict=False)
        return answer.missing_keys, answer.unexpected_keys

    alike(kind, load)


def test_a_state_is_assigned(kind: str) -> None:
    def assign(module: nn.Module) -> tuple[list[bool], torch.Tensor]:
        state = {name: x.clone() * 2 for name, x in module.state_dict().items()}
        module.load_state_dict(state, assign=True)
        shared = [x.data_ptr() == state[name].data_ptr() for name, x in module.named_parameters()]
        return shared, call(module, kind, torch.ones(1, 3, 8))

    alike(kind, assign)


def test_state_dict_hooks_and_prefixes(kind: str) -> None:
    def state(module: nn.Module) -> list[str]:
        module._register_state_dict_hook(lambda _, state, prefix, __: state.update({f"{prefix}extra": torch.zeros(1)}))
        return list(module.state_dict(prefix="a.b."))

    alike(kind, state)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_are_equal_and_share_nothing(kind: str, how: str) -> None:
    def copied(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor, bool]:
        module.add_note = "kept"
        if how == "deepcopy":
            other = copy.deepcopy(module)
        elif how == "pickle":
            other = pickle.loads(pickle.dumps(module))
        else:
            file = io.BytesIO()
            torch.save(module, file)
            file.seek(0)
            other = torch.load(file, weights_only=False)
        x = torch.ones(1, 3, 8)
        before = call(module, kind, x)
        with torch.no_grad():
            next(other.parameters()).zero_()
        return before, call(other, kind, x), other.add_note == "kept"

    alike(kind, copied)


def test_training_and_eval_reach_every_part(kind: str) -> None:
    def modes(module: nn.Module) -> list[bool]:
        module.eval()
        off = [part.training for part in module.modules()]
        module.train()
        return off + [part.training for part in module.modules()]

    alike(kind, modes)


def test_requires_grad_stops_gradients(kind: str) -> None:
    def frozen(module: nn.Module) -> list[bool]:
        module.requires_grad_(False)
        list(module.parameters())[-1].requires_grad_(True)
        call(module, kind, torch.ones(1, 3, 8)).sum().backward()
        return [x.grad is not None for x in module.parameters()]

    alike(kind, frozen)


def test_gradients_of_all_parameters_and_zero_grad(kind: str) -> None:
    x = tokens()

    def learn(module: nn.Module) -> list[Any]:
        call(module, kind, x).pow(2).sum().backward()
        grads = [p.grad.clone() for p in module.parameters()]
        largest = max(float(g.abs().max()) for g in grads)
        module.zero_grad()
        return [*(g / largest for g in grads), [p.grad is None for p in module.parameters()]]

    alike(kind, learn)


def test_a_step_of_an_optimiser(kind: str) -> None:
    x = tokens(dtype=torch.float64)

    def step(module: nn.Module) -> torch.Tensor:
        optimiser = torch.optim.SGD(module.parameters(), lr=1e-3)
        call(module, kind, x).pow(2).sum().backward()
        optimiser.step()
        return call(module, kind, x)

    alike(kind, step, dtype=torch.float64)


def test_apply_visits_the_parts_in_torchs_order(kind: str) -> None:
    def visited(module: nn.Module) -> list[str]:
        names = {part: name for name, part in module.named_modules()}
        order: list[str] = []
        module.apply(lambda part: order.append(names[part]))
        return order

    alike(kind, visited)


def test_a_parameter_is_replaced_shared_and_deleted(kind: str) -> None:
    def changed(module: nn.Module) -> tuple[torch.Tensor, int]:
        attention = next(part for part in module.modules() if hasattr(part, "out_proj"))
        attention.out_proj.weight = nn.Parameter(torch.eye(8))
        other = [part for part in module.modules() if hasattr(part, "out_proj")][-1]
        other.out_proj.weight = attention.out_proj.weight
        return call(module, kind, torch.ones(1, 3, 8)), len(list(module.parameters()))

    alike(kind, changed)


def test_functional_call_takes_other_parameters(kind: str) -> None:
    x = tokens()

    def other(module: nn.Module) -> torch.Tensor:
        parameters = {name: p * 0.5 for name, p in module.named_parameters()}
        args = (x, x, x) if kind == "attention" else (x, x) if kind.startswith("decoder") else (x,)
        answer = functional_call(module, parameters, args)
        return answer[0] if kind == "attention" else answer

    alike(kind, other)


def test_signatures_are_torchs(kind: str) -> None:
    ours, theirs = (getattr(library, NAMES[kind]) for library in (attnviz, nn))
    for method in ("__init__", "forward"):
        mine, reference = (inspect.signature(getattr(cls, method)).parameters for cls in (ours, theirs))
        assert list(mine) == list(reference)
        for name, parameter in reference.items():
            if name not in ("self", "key", "value"):  # ours may be left out
                assert mine[name].default == parameter.default, name
                assert mine[name].kind == parameter.kind


ATTRIBUTES = {
    "attention": "embed_dim kdim vdim num_heads head_dim dropout batch_first add_zero_attn bias_k bias_v q_proj_weight",
    "encoder layer": "norm_first activation training",
    "decoder layer": "norm_first activation training",
    "encoder": "num_layers",
    "decoder": "num_layers",
}


def test_documented_attributes_are_torchs(kind: str) -> None:
    alike(kind, lambda module: [getattr(module, name) for name in ATTRIBUTES[kind].split()])


def test_it_prints_as_torchs_does_but_for_the_class_of_out_proj(kind: str) -> None:
    ours, theirs = pair(kind)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
