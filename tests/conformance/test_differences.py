"""Where ours differ from torch's: each row of the table in docs/library.md, and that it has no other rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import attnviz
from attnviz import DTypeError, InvalidParameterError, ShapeError
from tests.support.pairs import FF, HEADS, KINDS, NAMES, C, make, pair, tokens
from tests.support.parity import close

pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:torch.ao.quantization"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per"),
]
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
FLOAT = torch.zeros(5, 5).masked_fill(CAUSAL, -math.inf)
ROWS: dict[str, Callable[[], None]] = {}


def row(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The check of a row by its first column."""

    def keep(check: Callable[[], None]) -> Callable[[], None]:
        ROWS[title] = check
        return check

    return keep


@row("a query that may attend to nothing")
def starved() -> None:
    ours, theirs = pair("attention", bias=False)
    x, mask = tokens(), torch.zeros(5, 5, dtype=torch.bool)
    mask[2] = True
    out, weights = ours(x, x, x, attn_mask=mask)
    reference, their_weights = theirs(x, x, x, attn_mask=mask)
    assert not out[:, 2].any()
    assert not weights[:, 2].any()
    assert reference[:, 2].isnan().all()
    assert their_weights[:, 2].isnan().all()
    others = [0, 1, 3, 4]
    close(out[:, others], reference[:, others])


@row("weights returned in training")
def dropped() -> None:
    ours, theirs = pair("attention", dropout=0.5)
    x = tokens()
    weights, reference = ours(x, x, x)[1], theirs(x, x, x, average_attn_weights=False)[1]
    close(weights, ours.eval()(x, x, x)[1])
    assert (reference == 0).any()


@row("`is_causal=True` without a mask")
def causal_alone() -> None:
    ours, theirs = pair("attention")
    x = tokens()
    close(ours(x, x, x, is_causal=True)[0], theirs(x, x, x, attn_mask=CAUSAL)[0])
    with pytest.raises(RuntimeError, match="attn_mask"):
        theirs(x, x, x, is_causal=True)
    layer, reference = pair("encoder layer")
    close(layer(x, is_causal=True), reference(x, CAUSAL))


@row("`is_causal=True` beside another mask")
def causal_beside() -> None:
    ours, theirs = pair("attention")
    x, window = tokens(), (torch.arange(5)[:, None] - torch.arange(5)).abs() > 1
    both = theirs(x, x, x, attn_mask=CAUSAL | window)
    close(ours(x, x, x, attn_mask=window, is_causal=True)[0], both[0])
    hinted = theirs(x, x, x, attn_mask=window, is_causal=True, need_weights=False)[0]
    assert not torch.allclose(hinted, both[0])


@row("float masks in eval without gradients")
def fast_path() -> None:
    ours, theirs = (module.eval() for module in pair("encoder layer"))
    x, added = tokens(), torch.linspace(-1, 1, 25).view(5, 5)
    with torch.no_grad():
        assert theirs(x, added).isnan().any()
        out = ours(x, added)
    close(out, theirs(x, added).detach())  # with gradients torch adds it


@row("a float mask of another dtype")
def mask_dtype() -> None:
    ours, theirs = pair("attention", dtype=torch.float64)
    x = tokens(dtype=torch.float64)
    close(ours(x, x, x, attn_mask=FLOAT)[0], theirs(x, x, x, attn_mask=FLOAT.double())[0])
    with pytest.raises(RuntimeError):
        theirs(x, x, x, attn_mask=FLOAT)


@row("nested tensors")
def nested() -> None:
    texts = torch.nested.nested_tensor([torch.randn(3, C), torch.randn(5, C)])
    for kind in KINDS:
        arguments = (texts,) * (3 if kind == "attention" else 2 if kind.startswith("decoder") else 1)
        with pytest.raises(ShapeError, match="is a nested tensor; pad the texts and forbid the padding"):
            make(attnviz, kind).eval()(*arguments)


@row("padded places of a stack's output in eval")
def padded_places() -> None:
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(C, HEADS, FF, batch_first=True), 2).eval()
    ours = attnviz.TransformerEncoder(attnviz.TransformerEncoderLayer(C, HEADS, FF, batch_first=True), 2).eval()
    ours.load_state_dict(theirs.state_dict())
    x, padding = tokens(), torch.arange(5).expand(2, 5) > torch.tensor([[4], [2]])
    with torch.no_grad():
        out, reference = (module(x, src_key_padding_mask=padding) for module in (ours, theirs))
    close(out[~padding], reference[~padding])
    assert not reference[padding].any()
    assert out[padding].abs().sum() > 0


@row("`isinstance(module, torch.nn.MultiheadAttention)`")
def classes() -> None:
    for kind in KINDS:
        assert not isinstance(make(attnviz, kind), getattr(nn, NAMES[kind]))


@row("`_qkv_same_embed_dim`")
def same_widths() -> None:
    ours, theirs = pair("attention")
    assert (ours._qkv_same_embed_dim, theirs._qkv_same_embed_dim) == (False, True)


@row("`out_proj`")
def out_proj() -> None:
    for module, calls in zip(pair("attention"), (1, 0), strict=True):
        fired = []
        module.out_proj.register_forward_hook(lambda *_, fired=fired: fired.append(1))
        module(x := tokens(), x, x)
        assert len(fired) == calls
    layer, _ = pair("encoder layer")
    x = tokens()
    quantised = torch.ao.quantization.quantize_dynamic(layer.eval(), {nn.Linear}, dtype=torch.qint8)
    assert type(quantised.self_attn.out_proj) is not nn.Linear
    close(quantised(x), layer(x), tolerance=0.3)
    assert not torch.equal(quantised(x), layer(x))


@row("`torch.fx.symbolic_trace`")
def symbolic() -> None:
    class Model(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + 1

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, module: nn.Module, name: str) -> bool:
            return isinstance(module, attnviz.TransformerEncoderLayer) or super().is_leaf_module(module, name)

    ours, theirs = map(Model, pair("encoder layer"))
    torch.fx.symbolic_trace(theirs)
    with pytest.raises(DTypeError):
        torch.fx.symbolic_trace(ours)
    graph = torch.fx.GraphModule(ours, Tracer().trace(ours))
    close(graph(x := tokens()), ours(x))


@row("wrong arguments")
def errors() -> None:
    with pytest.raises(InvalidParameterError, match="embed_dim=7 is not divisible by num_heads=2"):
        attnviz.MultiheadAttention(7, 2)
    with pytest.raises(AssertionError):
        nn.MultiheadAttention(7, 2)
    ours, theirs = pair("attention")
    with pytest.raises(ShapeError, match="width 7"):
        ours(torch.zeros(2, 5, 7), torch.zeros(2, 5, 7), torch.zeros(2, 5, 7))
    with pytest.raises(AssertionError):
        theirs(torch.zeros(2, 5, 7), torch.zeros(2, 5, 7), torch.zeros(2, 5, 7))
    with pytest.raises(DTypeError, match="float64"):
        ours(x := tokens(dtype=torch.float64), x, x)


@row("more than torch has")
def more() -> None:
    ours, theirs = pair("attention")
    x, y = tokens(), tokens()
    close(ours(x)[0], theirs(x, x, x)[0])
    close(ours(x, y)[0], theirs(x, y, y)[0])
    assert not hasattr(attnviz.TransformerEncoderLayer(C, HEADS, 0), "linear1")
    gelu = attnviz.TransformerEncoderLayer(C, HEADS, FF, activation="gelu_tanh").activation
    close(gelu(x), nn.functional.gelu(x, approximate="tanh"))


def test_the_table_has_these_rows() -> None:
    document = Path(__file__).parents[2] / "docs" / "library.md"
    lines = document.read_text(encoding="utf-8").split("equal but for these:")[1].strip().splitlines()
    table = [line.split("|")[1].strip() for line in lines[2:] if line.startswith("|")]
    assert table == list(ROWS)


@pytest.mark.parametrize("title", ROWS)
def test_the_difference_is_as_the_table_says(title: str) -> None:
    ROWS[title]()


def test_derivatives_without_weights_are_as_few_as_torchs() -> None:
    """On the CPU the fused kernel has first derivatives only, there and here; with weights ours have all."""
    for module in pair("attention"):
        x = tokens(requires_grad=True)
        out = module(x, x, x, need_weights=False)[0]
        (gradient,) = torch.autograd.grad(out.pow(2).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="derivative"):
            gradient.pow(2).sum().backward()
