"""The transformer of the live page, in JavaScript, against torch: every number of a run within 1e-4."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch.nn import functional as F

from attnviz import Intervention, load
from attnviz.browser import live
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer
from tests.support.live import in_page, numbers, weights_of
from tests.support.node import NodeError, run_node

CLOSE = 1e-4

CHANGES: dict[str, Intervention | None] = {
    "nothing": None,
    "sharp": Intervention(temperature=0.3),
    "even, one layer": Intervention(temperature=3.0, layers=1),
    "not divided": Intervention(scaled=False),
    "causal": Intervention(mask="causal"),
    "none": Intervention(mask="none"),
    "window": Intervention(mask=("window", 1)),
    "painted": Intervention(blocked=[(1, 0), (2, 2), (None, 1, 3, 0), (1, 0, 3, 1), (0, None, 0, 0)]),
    "heads": Intervention(head_scale=[(None, 0, 0.0), (1, 1, 2.5), (1, 1, 2.0)]),
    "positions": Intervention(positions="none"),
    "rope in one layer": Intervention(positions="rope", layers=0),
    "alibi": Intervention(positions="alibi", temperature=2.0, mask="none", head_scale={1: 0.0}),
}
DAILY = ("nothing", "painted")
TEXTS = {
    "austen": "It is a truth universally acknowledged, that a single man is in want of a wife.",
    "induction": "Mr Dursley met Mrs Potts. Mr Dursley met",
    "tales": "The old fox that lived by the river saw a bird.",
}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    assert np.isfinite(a).all() and np.isfinite(b).all()
    return float(np.abs(a - b).max())


CASES = [
    # the largest model is the slowest: of its grid, every change runs nightly
    pytest.param(
        name, change, id=f"{name}-{what}", marks=[pytest.mark.nightly] * (name == "austen" and what not in DAILY)
    )
    for name in TEXTS
    for what, change in CHANGES.items()
]


@pytest.mark.parametrize(("name", "change"), CASES)
def test_a_bundled_model_computes_what_torch_computes(name: str, change: Intervention | None) -> None:
    model = load(name)
    trace = model.run(TEXTS[name], intervention=change)
    found = in_page(model.transformer, trace.encodings[0].ids, intervention=change)
    assert apart(found, numbers(trace)) <= CLOSE


PLACES: dict[str, Intervention | None] = {
    "nothing": None,
    "encoder": Intervention(temperature=0.5, where="encoder", blocked=[(1, 0)]),
    "decoder": Intervention(mask=("window", 1), where="decoder", head_scale={1: 0.0}),
    "cross": Intervention(scaled=False, where="cross", head_scale={0: 3.0}, blocked=[(0, 1), (0, 2, 3, 2)]),
    "everywhere": Intervention(temperature=2.0, mask="causal", positions="alibi", blocked=[(2, 1)]),
}


@pytest.mark.parametrize("change", PLACES.values(), ids=PLACES)
def test_encoder_and_decoder_together(change: Intervention | None) -> None:
    model = load("dates")
    trace = model.run("the 3rd of May 1997", "1997-05", intervention=change)
    assert trace.source is not None
    source, target = trace.source.encodings[0].ids, trace.encodings[0].ids
    assert apart(in_page(model.transformer, source, list(target), intervention=change), numbers(trace)) <= CLOSE


def test_a_model_of_images() -> None:
    model, change = load("digits"), Intervention(temperature=0.7, head_scale={(1, 2): 0.0}, blocked=[(0, 3)])
    pixels = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.inference_mode():
        trace = model.transformer(pixels, intervention=change)
    found = in_page(model.transformer, pixels.flatten().tolist(), intervention=change)
    assert apart(found, numbers(trace)) <= CLOSE


def drawn(config: ModelConfig, seed: int = 0) -> Transformer:
    """Random weights of a size at which attention, norms and activations all do something."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config, generator).eval().requires_grad_(False)
    for name, x in model.named_parameters():
        spread = 0.3 if x.dim() > 1 else 0.1
        x.copy_(
            torch.randn(x.shape, generator=generator) * spread + (1.0 if "norm" in name and "weight" in name else 0)
        )
    return model


@pytest.mark.parametrize("length", [1, 3, 6])
def test_padding_is_not_seen(length: int) -> None:
    model = drawn(ModelConfig(kind="encoder-decoder", d_model=12, n_heads=2, d_ff=20, vocab_size=9, head="lm"))
    ids, target = torch.tensor([[1, 2, 3, 4, 5, 6]] * 2), torch.tensor([[1, 2, 3, 4, 5]] * 2)
    with torch.inference_mode():
        trace = model(ids, target, lengths=[6, length], target_lengths=[5, 2])
    found = in_page(model, ids[1].tolist(), target[1].tolist(), length=length, target_length=2)
    assert apart(found, numbers(trace, batch=1)) <= CLOSE


@pytest.mark.parametrize("positions", ["rope", "alibi", "learned", "sinusoidal"])
@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_steps_go_on_from_remembered_keys_and_values(kind: str, positions: str) -> None:
    config = ModelConfig(kind=kind, d_model=12, n_heads=2, vocab_size=9, head="lm", positions=positions)
    model, change = drawn(config), Intervention(temperature=0.5, mask=("window", 2), blocked=[(4, 3), (1, 0)])
    ids, steps, source = [1, 2, 3, 4, 5], [[6], [7, 8], [2]], [3, 1, 2, 4, 5]
    first = (source, ids) if kind == "encoder-decoder" else (ids, None)
    with torch.inference_mode():
        traces = [model(*(None if x is None else torch.tensor([x]) for x in first), intervention=change)]
        for step in steps:
            traces.append(model.step(torch.tensor([step]), traces[-1]))
    assert apart(in_page(model, *first, steps=steps, intervention=change), numbers(*traces)) <= CLOSE


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    kind = draw(st.sampled_from(("encoder", "decoder", "encoder-decoder")))
    positions = draw(st.sampled_from(live.POSITIONS))
    n_heads, flags = draw(st.integers(1, 4)), {name: draw(st.booleans()) for name in FLAGS}
    head = draw(st.sampled_from((None, "lm", "classification")))
    given: dict[str, Any] = {
        "kind": kind,
        "positions": positions,
        "n_heads": n_heads,
        "d_model": n_heads * 2 * draw(st.integers(1, 4)),
        "n_layers": draw(st.integers(1, 3)),
        "d_ff": draw(st.sampled_from((0, 7, 16))),
        "activation": draw(st.sampled_from(("relu", "gelu", "gelu_tanh"))),
        "head": head,
        "n_classes": 3 if head == "classification" else 0,
        "n_types": draw(st.integers(0, 2)),
        "norm_eps": draw(st.sampled_from((1e-12, 1e-5))),
    }
    return ModelConfig(vocab_size=11, max_len=16, **given, **flags)


FLAGS = ("norm_first", "final_norm", "norms", "bias", "embed_norm", "tied", "head_transform")


@st.composite
def interventions(draw: st.DrawFn, config: ModelConfig, n: int) -> Intervention:
    layer, head = st.integers(0, config.n_layers - 1), st.integers(0, config.n_heads - 1)
    place = st.integers(0, n - 1)
    schemes = [None, "none", "sinusoidal", "rope", "alibi", *(["learned"] if config.positions == "learned" else [])]
    return Intervention(
        temperature=draw(st.sampled_from((0.5, 1.0, 4.0))),
        scaled=draw(st.booleans()),
        mask=draw(st.sampled_from((None, "causal", "none", ("window", 0), ("window", 2)))),
        blocked=draw(st.lists(st.tuples(st.none() | layer, st.none() | head, place, place), max_size=6)),
        head_scale=draw(st.lists(st.tuples(st.none() | layer, head, st.sampled_from((0.0, 0.5, 2.0))), max_size=3)),
        positions=draw(st.sampled_from(schemes)),
        layers=draw(st.none() | st.lists(layer, max_size=2)),
        where=draw(st.sampled_from(("all", "encoder", "decoder", "cross"))),
    )


def check_run(model: Transformer, ids: list[int], target: list[int] | None, change: Intervention) -> None:
    """The page's numbers are torch's: within CLOSE of what float64 gives, relative to the largest of them.

    Without norms and 1/√d, scores reach tens of thousands: a float32 of that size is a thousandth apart from the next,
    and where two keys are near a tie, the softmax hands such a rounding on to every later layer. There torch's own
    float32 run is off, and the page may be off ten times as far. Few draws in a thousand are such.
    """
    inputs = [None if x is None else torch.tensor([x]) for x in (ids, target)]
    with torch.inference_mode():
        exact = numbers(copy.deepcopy(model).double()(*inputs, intervention=change))
        torchs = numbers(model(*inputs, intervention=change))
    allowed = max(CLOSE * max(1.0, float(np.abs(exact).max())), 10 * apart(torchs, exact))
    assert apart(in_page(model, ids, target, intervention=change), exact) <= allowed


def check_drawn(data: st.DataObject) -> None:
    config = data.draw(configs())
    n = data.draw(st.integers(1, 9))
    ids = data.draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))
    target = ids[::-1] if config.kind == "encoder-decoder" else None
    change = data.draw(interventions(config, n))
    check_run(drawn(config, data.draw(st.integers(0, 99))), ids, target, change)


def test_scores_of_thousands_are_as_near_to_float64_as_torchs() -> None:
    config = ModelConfig(
        kind="encoder-decoder",
        d_model=32,
        n_heads=4,
        n_layers=3,
        d_ff=7,
        activation="relu",
        norm_first=False,
        norms=False,
        positions="sinusoidal",
        n_types=1,
        embed_norm=True,
        head="lm",
        tied=False,
        head_transform=True,
        norm_eps=1e-12,
        vocab_size=11,
        max_len=16,
    )
    check_run(drawn(config), [0, 1, 0, 1, 4], [4, 1, 0, 1, 0], Intervention(scaled=False, mask="causal"))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_any_config_under_any_intervention(data: st.DataObject) -> None:
    check_drawn(data)


@pytest.mark.nightly
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_many_configs_under_many_interventions(data: st.DataObject) -> None:
    check_drawn(data)


PRODUCT = """
const [n, m, k] = inputs.sizes;
const take = inputs.kernel ? kernel.roomFor(m * k) : (count) => new Float32Array(count);
const [x, w, b] = [Float32Array.from(inputs.x), take(m * k), Float32Array.from(inputs.b)];
w.set(inputs.w);
if (inputs.kernel && !kernel.kernelOf(w)) throw new Error("this Node has no WebAssembly");
const near = inputs.kernel === "near" ? w : undefined;
giveFloats(model.product(x, near ? w.slice() : w, b, n, m, k, undefined, near));
"""


@pytest.mark.parametrize("kernel", [False, True, "near"])
def test_the_product_is_right_for_every_size(kernel: bool | str) -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = [(1, 1, 1), (1, 5, 3), (2, 4, 8), (3, 7, 4), (5, 9, 1), (4, 3, 0), (7, 2, 16), (1, 8, 12), (6, 11, 20)]
    for n, m, k in [*sizes, (9, 6000, 64), (300, 2000, 4)]:  # the last ones pass through the kernel in parts
        x, w, b = (torch.randn(s, generator=generator) for s in ((n, k), (m, k), (m,)))
        given = {"x": x.flatten().tolist(), "w": w.flatten().tolist(), "b": b.tolist(), "sizes": [n, m, k]}
        found = run_node(PRODUCT, inputs=given | {"kernel": kernel})
        assert apart(found, F.linear(x, w, b).numpy().ravel()) <= 1e-4


def test_without_webassembly_the_numbers_are_the_same() -> None:
    model = load("tales")
    ids = model.encode(TEXTS["tales"]).ids
    without = in_page(model.transformer, ids, without_kernel=True)
    assert apart(without, numbers(model.run(TEXTS["tales"]))) <= CLOSE
    assert apart(without, in_page(model.transformer, ids)) <= CLOSE
    assert not np.array_equal(without, in_page(model.transformer, ids))  # they are two ways to compute it


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh"])
def test_the_activations_are_torchs(name: str) -> None:
    x = torch.linspace(-9, 9, 2001)
    expected = {"relu": F.relu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}[name](x)
    script = "giveFloats(model.activate(Float32Array.from(inputs.x), inputs.name))"
    found = run_node(script, inputs={"x": x.tolist(), "name": name})
    assert apart(found, expected.numpy()) <= 1e-6


def test_the_error_function_is_near_to_that_of_float64() -> None:
    x = [0.0, *np.linspace(-7, 7, 4001).tolist(), 1e-300, 1e300]
    found = run_node("give(inputs.map(model.erf))", inputs=x)
    assert np.abs(np.array(found) - torch.special.erf(torch.tensor(x, dtype=torch.float64)).numpy()).max() <= 1e-9


READ = "model.readWeights(inputs, message); give('read')"
SMALL = ModelConfig(d_model=8, n_heads=2, d_ff=8, vocab_size=5, max_len=4, n_layers=1)


def refused(message: bytes, config: ModelConfig = SMALL) -> str:
    with pytest.raises(NodeError) as error:
        run_node(READ, message, json.loads(config.to_json()))
    return str(error.value).splitlines()[0]


def test_what_is_no_whole_file_of_this_models_weights_is_refused_in_a_sentence() -> None:
    file = weights_of(drawn(SMALL))
    assert run_node(READ, file, json.loads(SMALL.to_json())) == "read"
    header = int.from_bytes(file[:8], "little")
    assert refused(b"") == "Error: This is not a file of weights: it has 0 bytes."
    assert "does not begin as a safetensors file" in refused(b"\x89PNG\r\n\x1a\n" * 9)
    assert "it ends in its header" in refused(file[: header // 2])
    assert "is not whole" in refused(file[:-4])
    assert "is not whole" in refused(file + b"0000")
    assert "not a JSON object" in refused((2).to_bytes(8, "little") + b"[]")
    assert "not a JSON object" in refused((2).to_bytes(8, "little") + b"\xff{")
    assert "(5, 8), but the model needs (6, 8)" in refused(file, replace(SMALL, vocab_size=6))
    assert "missing from the file" in refused(file, replace(SMALL, n_layers=2))
    assert "unknown to the model" in refused(file, replace(SMALL, norms=False))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    model = drawn(SMALL)
    model.embed["tokens"].weight[2, 3] = bad
    assert refused(weights_of(model)) == "Error: embed.tokens.weight holds NaN or infinite numbers."


def test_a_header_that_asks_for_too_much_memory_is_refused_before_it_is_taken() -> None:
    text = json.dumps({"x": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 2**41]}}).encode()
    assert "is not whole" in refused(len(text).to_bytes(8, "little") + text)
    text = json.dumps({"x": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 2]}}).encode()
    assert "where its shape needs" in refused(len(text).to_bytes(8, "little") + text + b"00")
    text = json.dumps({"x": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    assert "x is I64; only F16, BF16, F32" in refused(len(text).to_bytes(8, "little") + text + b"00000000")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_halves_are_read_exactly(dtype: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16)
    x = every.view(torch.float16 if dtype == torch.float16 else torch.bfloat16)
    x = x[torch.isfinite(x) & (x.float().abs() < 1e30)].to(dtype)
    script = "const s = safetensors; giveFloats(s.readTensors(message, s.readHeader(message)).get('x'))"
    assert np.array_equal(run_node(script, save({"x": x.contiguous()})), x.float().numpy())
