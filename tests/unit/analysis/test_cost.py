"""Measured cost: what is counted is what torch allocates, it grows as it should, and it stops when told to."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.autograd.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from attnviz import InvalidParameterError
from attnviz.analysis import cost
from attnviz.analysis.cost import MODELS, CacheShape, cache_bytes, measure, peak_bytes, variant_at
from attnviz.analysis.variants import Variant, output

ROOT = Path(__file__).parents[3]
BY_NAME = {model.name: model for model in MODELS}


def held(variant: Variant, n: int, heads: int = 1, width: int = 64, causal: bool = False) -> int:
    with torch.inference_mode():
        q, k, v = (torch.randn(heads, n, width) for _ in range(3))
        return peak_bytes(lambda: output(variant, q, k, v, causal=causal))


# Memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["full", "local", "strided", "linear", "grouped"])
def test_counted_memory_is_the_allocators(kind: str, causal: bool) -> None:
    """torch's profiler sees every allocation and release of the CPU allocator; it is too heavy for a page."""
    q, k, v = (torch.randn(4, 150, 16) for _ in range(3))
    variant = variant_at(kind, 150, 4)
    with torch.inference_mode():
        counted = peak_bytes(lambda: output(variant, q, k, v, causal=causal))
        with profile(profile_memory=True) as profiled:
            z = output(variant, q, k, v, causal=causal)
    events = [event for event in profiled.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    assert counted == peak > z.nbytes


def test_counting_knows_views_results_and_what_was_there_before() -> None:
    before = torch.zeros(1000)
    assert peak_bytes(lambda: None) == 0
    assert peak_bytes(lambda: before.view(10, 100).mT[2:]) == 0
    assert peak_bytes(lambda: before.add_(1)) == 0
    assert peak_bytes(lambda: torch.zeros(1000)) == 4000
    assert peak_bytes(lambda: [torch.zeros(1000) for _ in range(3)]) == 12_000

    def one_after_the_other() -> None:
        for _ in range(5):
            torch.zeros(1000)

    assert peak_bytes(one_after_the_other) in (4000, 8000)  # the next may be made before the last is let go


@pytest.mark.parametrize("causal", [False, True])
def test_memory_grows_as_the_square_or_in_proportion(causal: bool) -> None:
    def growth(kind: str) -> float:
        return held(variant_at(kind, 1024), 1024, causal=causal) / held(variant_at(kind, 512), 512, causal=causal)

    assert 3.8 < growth("full") < 4.1
    for kind in ("fused", "local", "linear"):
        assert 1.8 < growth(kind) < 2.1, kind
    assert 1.8 < growth("strided") < 3.1  # n √n: 2.83, and the window's part


def test_full_attention_holds_its_matrix_twice() -> None:
    """Scores and weights at 2,048 tokens: 2 · 2048² · 4 bytes, and the scaled queries."""
    assert held(Variant("full"), 2048) == 2 * 2048**2 * 4 + 2048 * 64 * 4


# Measuring ----------------------------------------------------------------------------------------------------


def test_steps_come_in_order_with_what_was_measured() -> None:
    steps = list(measure(("full", "linear"), (64, 16), head_dim=8))
    assert [(step.kind, step.n_tokens) for step in steps] == [
        ("full", 16),
        ("linear", 16),
        ("full", 64),
        ("linear", 64),
    ]
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for step in steps:
        assert step.seconds is not None and step.seconds > 0 and 1 <= step.runs <= cost.RUNS[1]
        assert step.peak_bytes == held(variant_at(step.kind, step.n_tokens), step.n_tokens, width=8)
        with pytest.raises(FrozenInstanceError):
            step.runs = 0  # type: ignore[misc]


def test_the_fastest_run_counts_for_a_busy_machine_only_adds_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four runs are kept waiting: the median would say 5 ms."""
    took = [0.005, 0.001, 0.007, 0.1]  # the last is over LOOK
    clock = iter([*[0.0] * 4, *(moment for seconds in took for moment in (0.0, seconds))])
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    (step,) = measure(("full",), (4,), head_dim=2, total_seconds=1.0)
    assert (step.seconds, step.runs) == (0.001, 4)


def test_closing_stops_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def one(variant: Variant, *_: object) -> tuple[float, int, int]:
        ran.append(variant.kind)
        return 0.001, 1, 1

    monkeypatch.setattr(cost, "_one", one)
    steps = measure(("full", "local", "linear"), (16, 32))
    assert len(list(islice(steps, 2))) == 2
    steps.close()
    assert ran == ["full", "local"] and list(steps) == []
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()


def test_a_generator_left_half_way_leaves_the_thread_as_it_was() -> None:
    steps = measure(("full",), (16, 32), head_dim=4)
    next(steps)
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    assert (torch.ones(1, requires_grad=True) * 2).requires_grad


def test_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.4 s at 200 tokens, counted once and timed once, is 0.8 s; at 400 it would be 3.2 s by n² from there."""
    took = {100: 0.01, 200: 0.4}
    monkeypatch.setattr(cost, "_one", lambda variant, heads, n, *_: (took[n], 3, n))
    steps = list(measure(("full",), (100, 200, 400, 800), step_seconds=1.0))
    assert [step.seconds for step in steps] == [0.01, 0.4, None, None]
    assert [step.done for step in steps] == [1, 2, 3, 4] and steps[-1].peak_bytes is None


def test_the_whole_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(cost.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(cost, "_one", lambda *_: (1e-6, 1, 1))
    steps = list(measure(("full",), (1, 2, 3, 4, 5), total_seconds=2.5))
    assert [step.seconds is None for step in steps] == [False, False, True, True, True]


def products(kind: str, n: int) -> int:
    """Floating-point operations of the matrix products, as torch counts them."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        q, k, v = (torch.randn(1, n, 32) for _ in range(3))
        output(variant_at(kind, n), q, k, v)
    return counter.get_total_flops()


def test_operations_grow_with_the_square_only_in_full_attention() -> None:
    growth = {kind: products(kind, 4096) / products(kind, 1024) for kind in ("full", "local", "linear", "strided")}
    assert growth["full"] == pytest.approx(16)
    assert growth["local"] == pytest.approx(4, rel=0.05) and growth["linear"] == pytest.approx(4)
    assert 4 < growth["strided"] <= 8  # a fixed window, and about √n far keys: between n and n · √n
    assert products("full", 4096) > 10 * max(products(kind, 4096) for kind in ("local", "linear", "strided"))


def test_what_cannot_be_measured_is_refused_with_its_numbers() -> None:
    for arguments, words in [
        ({"kinds": ("quick",)}, "'quick'"),
        ({"lengths": (4097,)}, "4097 .* 4096"),
        ({"lengths": (0,)}, "n_tokens=0"),
        ({"n_heads": 0}, "n_heads=0"),
        ({"step_seconds": 0}, "step_seconds=0"),
        ({"total_seconds": -1}, "-1"),
    ]:
        with pytest.raises(InvalidParameterError, match=words):
            next(measure(**arguments))


def test_the_measured_variants_fit_every_length_and_number_of_heads() -> None:
    for n in (1, 2, 64, 4096):
        for heads in (1, 3, 4, 12):
            for kind in ("full", "fused", "local", "strided", "linear", "grouped"):
                assert heads % variant_at(kind, n, heads).groups == 0
    assert variant_at("strided", 4096) == Variant("strided", size=32, stride=64)
    assert variant_at("grouped", 64, 12).groups == 3


@pytest.mark.nightly
@pytest.mark.parametrize(
    "work",
    [
        "from attnviz.analysis.cost import peak_bytes; peak_bytes(lambda: torch.ones(3) + 1);",
        "from attnviz.analysis.residual import untrained; untrained(2, True, 0);",
    ],
)
def test_nothing_loads_torchs_compiler(work: str) -> None:
    """It takes a second and 100 MB, on a server that may have 700; sympy alone, half a second and 30 MB."""
    code = f"import sys, torch; {work}print('sympy' in sys.modules, 'torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# The key-value cache ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_tokens", "expected"),
    [
        ("GPT-2", 1024, 2 * 12 * 12 * 64 * 1024 * 2),  # 36 MiB
        ("Llama-2-7B", 4096, 2 * 1024**3),  # 2 GiB: half a MiB a token
        ("Llama-2-70B", 4096, 1280 * 1024**2),  # 1.25 GiB: less than the 7B's, by grouped queries
        ("Llama-3-8B", 8192, 1024**3),
        ("Falcon-7B", 2048, 16 * 1024**2),
    ],
)
def test_cache_sizes_worked_out_by_hand(name: str, n_tokens: int, expected: int) -> None:
    assert cache_bytes(BY_NAME[name], n_tokens) == expected


def test_the_cache_grows_with_each_factor_of_its_formula() -> None:
    model = CacheShape("toy", 2, 8, 4, 16, 128, "")
    base = cache_bytes(model, 10)
    assert base == 2 * 2 * 4 * 16 * 10 * 2
    assert cache_bytes(model, 30) == 3 * base
    assert cache_bytes(model, 10, bytes_per_number=4) == 2 * base
    assert cache_bytes(model, 10, batch=5) == 5 * base
    assert cache_bytes(model, 10, n_kv_heads=1) == base // 4
    assert cache_bytes(model, 10, n_kv_heads=model.n_heads) == 2 * base


def test_a_sliding_window_stops_the_cache_from_growing() -> None:
    mistral = BY_NAME["Mistral-7B"]
    assert cache_bytes(mistral, 100_000) == cache_bytes(mistral, 4096) == 512 * 1024**2
    assert cache_bytes(mistral, 4095) < cache_bytes(mistral, 4096)


def test_every_model_is_possible() -> None:
    assert len(BY_NAME) == len(MODELS)
    for model in MODELS:
        assert model.n_heads % model.n_kv_heads == 0 and model.source
    kinds = {name: model.kind for name, model in BY_NAME.items()}
    assert kinds["Llama-2-7B"] == "multi-head" and kinds["Falcon-7B"] == "multi-query"
    assert kinds["Llama-3-8B"] == "grouped-query"


@pytest.mark.parametrize("options", [{"n_tokens": 0}, {"bytes_per_number": 0}, {"n_kv_heads": 0}, {"batch": 0}])
def test_a_cache_of_nothing_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidParameterError, match="=0 "):
        cache_bytes(MODELS[0], **{"n_tokens": 1, **options})
