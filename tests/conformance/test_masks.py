"""Masks, layouts, widths and weights of every kind that torch documents, and inputs without tokens."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import attnviz
from tests.support.pairs import HEADS, KINDS, C, alike, call, mask_name, padding_name, pair, same, tokens

F64 = torch.float64
LAYERS = [kind for kind in KINDS if kind != "attention"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched"),  # torch's, on bool with float masks
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
]

CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
MASKS: dict[str, Any] = {
    "bool": CAUSAL,
    "float": torch.linspace(-1, 1, 25, dtype=F64).view(5, 5),
    "−∞": torch.zeros(5, 5, dtype=F64).masked_fill(CAUSAL, -math.inf),
    "float with −∞": torch.linspace(-1, 1, 25, dtype=F64).view(5, 5).masked_fill(CAUSAL, -math.inf),
    "large negative": torch.zeros(5, 5, dtype=F64).masked_fill(CAUSAL, -1e9),
    "all allowed": torch.zeros(5, 5, dtype=torch.bool),
    "per head": torch.ones(2 * HEADS, 5, 5, dtype=torch.bool).triu(2),
    "per head, float": torch.linspace(-2, 2, 2 * HEADS * 25, dtype=F64).view(2 * HEADS, 5, 5),
}
PADDINGS: dict[str, Any] = {
    "none": None,
    "bool": torch.arange(5).expand(2, 5) > torch.tensor([[4], [2]]),
    "at the start": torch.arange(5).expand(2, 5) < torch.tensor([[0], [2]]),
    "float": torch.zeros(2, 5, dtype=F64).masked_fill(torch.arange(5) > 3, -math.inf),
    "added": torch.linspace(-1, 1, 10, dtype=F64).view(2, 5),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", MASKS)
def test_masks(kind: str, mask: str) -> None:
    """In training, and in eval with gradients: torch's fast path reads float masks as bool (a row of the table)."""
    x, given = tokens(dtype=F64), {mask_name(kind): MASKS[mask]}
    alike(kind, lambda module: [call(module, kind, x, **given), call(module.eval(), kind, x, **given)], dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [name for name in PADDINGS if name not in ("none", "at the start")])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_padding_beside_masks(kind: str, padding: str, mask: str | None) -> None:
    x = tokens(dtype=F64)
    given = {padding_name(kind): PADDINGS[padding], mask_name(kind): None if mask is None else MASKS[mask]}
    alike(kind, lambda module: call(module, kind, x, **given), dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_at_the_start(kind: str) -> None:
    x = tokens(dtype=F64)
    alike(kind, lambda module: call(module, kind, x, **{padding_name(kind): PADDINGS["at the start"]}), dtype=F64)


@pytest.mark.parametrize("kind", ["decoder layer", "decoder"])
@pytest.mark.parametrize("mask", ["bool", "float with −∞"])
def test_masks_of_the_memory(kind: str, mask: str) -> None:
    x = tokens(dtype=F64)
    given = {"memory_mask": MASKS[mask], "memory_key_padding_mask": PADDINGS["bool"]}
    alike(kind, lambda module: call(module, kind, x, **given), dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("shape", [(2, 5), (5,), (1, 1)])
def test_layouts(kind: str, batch_first: bool, shape: tuple[int, ...]) -> None:
    x = tokens(*shape, dtype=F64)

    def run(module: nn.Module) -> tuple[torch.Tensor, bool]:
        out = call(module, kind, x)
        return out, out.transpose(0, 1).is_contiguous() or out.is_contiguous()

    alike(kind, run, dtype=F64, batch_first=batch_first)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_in_torchs_layout_can_be_viewed(kind: str) -> None:
    """(T, B, C), torch's default, is contiguous: much code calls `.view` on it."""
    x = tokens(5, 2, dtype=F64)
    alike(kind, lambda module: call(module, kind, x).view(-1, C), dtype=F64, batch_first=False)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}], ids=str)
@pytest.mark.parametrize("more", [{}, {"kdim": 5, "vdim": 6}, {"dropout": 0.0}], ids=str)
@pytest.mark.parametrize("average", [True, False])
def test_weights(options: dict[str, Any], more: dict[str, Any], average: bool) -> None:
    q = tokens(dtype=F64)
    k, v = (torch.randn(2, 4, more.get(name, C), dtype=F64) for name in ("kdim", "vdim"))

    def run(module: nn.Module) -> list[Any]:
        both = [module(q, k, v, average_attn_weights=average), module(q, k, v, attn_mask=CAUSAL[:, :4])]
        return [*both, module(q, k, v, need_weights=False)]

    alike("attention", run, dtype=F64, **options, **more)


@pytest.mark.parametrize("unbatched", [True, False])
def test_weights_in_torchs_layout(unbatched: bool) -> None:
    x = tokens(*((5,) if unbatched else (5, 2)), dtype=F64)
    padding = PADDINGS["bool"][1] if unbatched else PADDINGS["bool"]
    alike("attention", lambda m: m(x, x, x, key_padding_mask=padding), dtype=F64, batch_first=False)
    alike("attention", lambda m: m(x, x, x, average_attn_weights=False), dtype=F64, batch_first=False)


def test_dropped_weights_are_torchs_under_the_same_seed() -> None:
    """The output in training; the returned weights are a row of the table."""
    x = tokens(dtype=F64)

    def run(module: nn.Module) -> torch.Tensor:
        torch.manual_seed(4)
        return module.train()(x, x, x)[0]

    alike("attention", run, dtype=F64, dropout=0.5)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "options", [{"norm_first": True}, {"bias": False}, {"activation": "gelu"}, {"layer_norm_eps": 0.5}], ids=str
)
def test_options_of_layers(kind: str, options: dict[str, Any]) -> None:
    x = tokens(dtype=F64)
    alike(kind, lambda module: call(module, kind, x), dtype=F64, **options)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("causal", [True, False])
def test_is_causal_beside_its_mask(kind: str, causal: bool) -> None:
    x, name = tokens(dtype=F64), "is_causal" if kind.startswith("encoder") else "tgt_is_causal"
    given = {mask_name(kind): MASKS["−∞"], name: causal}
    alike(kind, lambda module: call(module, kind, x, **given), dtype=F64)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("mask", ["−∞", "float", None])
def test_a_stack_told_nothing_about_causality_goes_by_the_mask(kind: str, mask: str | None) -> None:
    """torch's stacks detect whether the mask is the causal one; the numbers are those of the mask either way."""
    x = tokens(dtype=F64)
    given = {mask_name(kind): None if mask is None else MASKS[mask]}
    alike(kind, lambda module: call(module, kind, x, **given), dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0,)], ids=str)
def test_inputs_without_tokens(kind: str, shape: tuple[int, ...]) -> None:
    x = tokens(*shape)

    def run(module: nn.Module) -> list[Any]:
        out = call(module, kind, x)
        out.sum().backward()
        return [
            out,
            [float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None and p.grad.isfinite().all()],
        ]

    same(run(pair(kind)[0])[0], run(pair(kind)[1])[0])


@pytest.mark.parametrize(("queries", "keys"), [(0, 4), (4, 0), (0, 0)])
@pytest.mark.parametrize("options", [{}, {"add_zero_attn": True}, {"add_bias_kv": True}], ids=str)
def test_no_queries_or_no_keys(queries: int, keys: int, options: dict[str, Any]) -> None:
    q, k = tokens(2, queries, dtype=F64), tokens(2, keys, dtype=F64)
    alike("attention", lambda m: [m(q, k, k), m(q, k, k, need_weights=False)[0].shape], dtype=F64, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_are_views(kind: str) -> None:
    x = torch.randn(5, 2, 2 * C, dtype=F64).transpose(0, 1)[..., ::2]
    alike(kind, lambda module: call(module, kind, x), dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_masks_are_left_as_they_are(kind: str) -> None:
    x, mask, padding = tokens(dtype=F64), MASKS["float with −∞"].clone(), PADDINGS["bool"].clone()
    before = [x.clone(), mask.clone(), padding.clone()]
    ours, _ = pair(kind, dtype=F64)
    call(ours, kind, x, **{mask_name(kind): mask, padding_name(kind): padding})
    for now, then in zip([x, mask, padding], before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_that_learns_gets_torchs_gradient(kind: str) -> None:
    x = tokens(dtype=F64)

    def learn(module: nn.Module) -> torch.Tensor:
        mask = MASKS["float"].clone().requires_grad_()
        call(module, kind, x, **{mask_name(kind): mask}).pow(2).sum().backward()
        return mask.grad

    alike(kind, learn, dtype=F64)


WRONG = {
    "a mask of another size": {"attn_mask": torch.zeros(4, 5)},
    "a mask of integers": {"attn_mask": torch.zeros(5, 5, dtype=torch.int64)},
    "padding of another size": {"key_padding_mask": torch.zeros(2, 4, dtype=torch.bool)},
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_masks_are_refused_by_both(what: str) -> None:
    x = tokens()
    for module in pair("attention"):
        with pytest.raises((RuntimeError, ValueError, TypeError, AssertionError)):
            module(x, x, x, **WRONG[what])


BAD_SIZES = [(7, 2, {}), (8, 0, {}), (0, 2, {})]


@pytest.mark.parametrize(("embed", "heads", "options"), BAD_SIZES, ids=str)
def test_wrong_sizes_are_refused_by_both(embed: int, heads: int, options: dict[str, Any]) -> None:
    for library in (attnviz, nn):
        with pytest.raises((ValueError, AssertionError, ZeroDivisionError)):
            library.MultiheadAttention(embed, heads, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 2, 5, 8), (8,)], ids=str)
def test_wrong_inputs_are_refused_by_both(kind: str, shape: tuple[int, ...]) -> None:
    for module in pair(kind):
        with pytest.raises((RuntimeError, ValueError, AssertionError, IndexError)):
            call(module, kind, torch.zeros(shape))
