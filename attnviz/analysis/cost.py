"""What attention costs: time and memory measured on this machine, and the size of a key-value cache."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnviz.analysis.variants import KINDS, Variant, output
from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_finite, check_sizes

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
MEASURED = ("full", "fused", "local", "strided", "linear")  # grouped does full's products: only its cache is smaller
MAX_TOKENS = 4096  # full attention's matrix is then 64 MiB a head, and two of them are alive at once
WINDOW = 64  # keys to each side, for local
RUNS = (3, 1001)  # the fastest is of so many runs, if step_seconds allows them, until LOOK seconds have gone by
LOOK = 0.1
_alone = threading.Lock()  # two measurements at once would time each other, and need twice the memory


@dataclass(frozen=True)
class Step:
    """One measurement: one variant at one length."""

    kind: str
    n_tokens: int
    seconds: float | None  # of the fastest run; None if left out, as it would have taken too long
    runs: int
    peak_bytes: int | None  # most memory that the tensors made on the way held at once, the output included
    done: int  # steps finished, this one included
    total: int


def measure(
    kinds: Sequence[str] = MEASURED,
    lengths: Sequence[int] = LENGTHS,
    *,
    n_heads: int = 1,
    head_dim: int = 64,
    causal: bool = False,
    step_seconds: float = 1.0,
    total_seconds: float = 30.0,
    seed: int = 0,
) -> Generator[Step, None, None]:
    """Runs each variant on random q, k, v (H, T, D) of growing length, on this machine, one `Step` at a time.

    Float32, on the CPU, with as many threads as torch is set to. Each step runs a variant once for its memory
    (`peak_bytes`), then several times. The fastest of them counts: whatever else the machine does only adds time
    (Python's documentation of timeit.Timer.repeat). A variant that would need more than step_seconds at the next
    length, judged by n² from the last, is left out from there on, and so is everything once total_seconds are
    over. Close the generator to stop between two steps.
    Errors: InvalidParameterError, at the first step, for unknown kinds and lengths outside 1…4,096.
    """
    _check(kinds, lengths, n_heads, head_dim, step_seconds, total_seconds)
    total, done, began = len(lengths) * len(kinds), 0, time.perf_counter()
    last: dict[str, tuple[int, float]] = {}  # kind → the length last measured, and its seconds
    for n in sorted(lengths):
        for kind in kinds:
            done += 1
            before, took = last.get(kind, (n, 0.0))
            expected = 2 * took * (n / before) ** 2  # a run that is counted and one that is timed
            if expected > step_seconds or time.perf_counter() - began > total_seconds:
                yield Step(kind, n, None, 0, None, done, total)
                continue
            seconds, runs, held = _one(variant_at(kind, n, n_heads), n_heads, n, head_dim, causal, step_seconds, seed)
            last[kind] = (n, seconds)
            yield Step(kind, n, seconds, runs, held, done, total)


def variant_at(kind: str, n_tokens: int, n_heads: int = 1) -> Variant:
    """The variant that is measured at a length: local sees 64 each side; strided's stride and window grow as √n.

    Child et al. 2019, section 4.2, choose the stride near √n. grouped shares each key among 4 heads, if there are.
    """
    root = max(1, round(math.sqrt(n_tokens)))
    match kind:
        case "local":
            return Variant(kind, size=WINDOW)
        case "strided":
            return Variant(kind, size=root // 2, stride=root)
        case "grouped":
            return Variant(kind, groups=n_heads // 4 if n_heads % 4 == 0 else 1)
    return Variant(kind)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that the tensors which `run` makes hold at once, in bytes; its result included.

    Counted while it runs, from the storage of every tensor that torch hands out and takes back. What was there
    before is not counted, nor what a single kernel needs inside itself and gives back before it returns.
    """
    with _Counter() as counter:
        run()
    return counter.peak


class _Counter(TorchDispatchMode):
    """Adds up the storages alive; torch calls it for every operation of this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._seen: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, a second and 100 MB, to be told to leave this alone

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for given in tree_leaves((args, kwargs)):  # an operation may hand back what it was given, or a view of it
            if isinstance(given, Tensor):
                self._seen_before(given)
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                self._add(made)
        return result

    def _seen_before(self, x: Tensor) -> None:
        storage = x.untyped_storage()
        if storage._cdata not in self._seen:
            self._watch(storage, 0)

    def _add(self, x: Tensor) -> None:
        storage = x.untyped_storage()
        if storage._cdata not in self._seen:
            self._watch(storage, storage.nbytes())
            self.peak = max(self.peak, self.alive)

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        self._seen.add(storage._cdata)
        self.alive += size
        weakref.finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, identity: int, size: int) -> None:
        self._seen.discard(identity)
        self.alive -= size


def _one(
    variant: Variant, n_heads: int, n_tokens: int, head_dim: int, causal: bool, step_seconds: float, seed: int
) -> tuple[float, int, int]:
    """(seconds of the fastest run, runs, peak bytes) of one variant at one length."""
    dice = torch.Generator().manual_seed(seed)
    with _alone, torch.inference_mode():
        q, k, v = (torch.randn(n_heads, n_tokens, head_dim, generator=dice) for _ in range(3))

        def run() -> Tensor:
            return output(variant, q, k, v, causal=causal)

        start = time.perf_counter()
        held = peak_bytes(run)  # also warms up
        left = step_seconds - (time.perf_counter() - start)
        times: list[float] = []
        while not times or sum(times) + times[-1] < (left if len(times) < RUNS[0] else min(left, LOOK)):
            if len(times) == RUNS[1]:
                break
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    return min(times), len(times), held


def _check(
    kinds: Sequence[str], lengths: Sequence[int], n_heads: int, head_dim: int, step_seconds: float, total_seconds: float
) -> None:
    check_sizes(n_heads=n_heads, head_dim=head_dim)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidParameterError(f"kind={unknown[0]!r} is not one of {', '.join(KINDS)}")
    for n in lengths:
        check_sizes(n_tokens=n)
        if n > MAX_TOKENS:
            raise InvalidParameterError(f"n_tokens={n} is more than the {MAX_TOKENS} measured")
    for name, value in (("step_seconds", step_seconds), ("total_seconds", total_seconds)):
        if check_finite(name, value) <= 0:
            raise InvalidParameterError(f"{name}={value} is not positive")


@dataclass(frozen=True)
class CacheShape:
    """The numbers of a published model that decide the size of its key-value cache."""

    name: str
    n_layers: int  # L
    n_heads: int  # H, heads of queries
    n_kv_heads: int  # H_kv, heads of keys and values: H is multi-head, 1 multi-query, between them grouped-query
    head_dim: int  # D
    context: int  # tokens it was trained or released for
    source: str
    window: int | None = None  # tokens kept, where every layer's attention is a sliding window

    @property
    def kind(self) -> str:
        """The field's name for how heads share keys."""
        return {self.n_heads: "multi-head", 1: "multi-query"}.get(self.n_kv_heads, "grouped-query")


MODELS: tuple[CacheShape, ...] = (
    CacheShape("GPT-2", 12, 12, 12, 64, 1024, "Radford et al. 2019, and its configuration"),
    CacheShape("GPT-2 XL", 48, 25, 25, 64, 1024, "Radford et al. 2019, and its configuration"),
    CacheShape("GPT-3 175B", 96, 96, 96, 128, 2048, "Brown et al. 2020, table 2.1"),
    CacheShape("Falcon-7B", 32, 71, 1, 64, 2048, "Almazrouei et al. 2023, and its configuration"),
    CacheShape("Llama-2-7B", 32, 32, 32, 128, 4096, "Touvron et al. 2023, and its configuration"),
    CacheShape("Llama-2-70B", 80, 64, 8, 128, 4096, "Touvron et al. 2023, and its configuration"),
    CacheShape("Mistral-7B", 32, 32, 8, 128, 8192, "Jiang et al. 2023, table 1 (v0.1)", window=4096),
    CacheShape("Gemma-2B", 18, 8, 1, 256, 8192, "Gemma Team 2024, table 1"),
    CacheShape("Llama-3-8B", 32, 32, 8, 128, 8192, "Grattafiori et al. 2024, table 3, and its configuration"),
    CacheShape("Llama-3.1-405B", 126, 128, 8, 128, 131_072, "Grattafiori et al. 2024, table 3"),
)


def cache_bytes(
    model: CacheShape, n_tokens: int, *, n_kv_heads: int | None = None, bytes_per_number: int = 2, batch: int = 1
) -> int:
    """2 · L · H_kv · D · T · bytes: a key and a value for every layer, head of keys, and token. For one text.

    Arguments
        n_kv_heads: another number of heads that hold keys, in the place of the model's own.
        bytes_per_number: 2 for float16 and bfloat16, 4 for float32, 1 for int8.
        batch: texts at once.

    A model with a sliding window keeps no more than its window (Jiang et al. 2023, section 2, rolling buffer).
    Errors: InvalidParameterError. Source: Shazeer 2019, section 2.4; Pope et al. 2022, section 3.3.
    """
    heads = model.n_kv_heads if n_kv_heads is None else n_kv_heads
    check_sizes(n_tokens=n_tokens, n_kv_heads=heads, bytes_per_number=bytes_per_number, batch=batch)
    kept = n_tokens if model.window is None else min(n_tokens, model.window)
    return 2 * model.n_layers * heads * model.head_dim * kept * bytes_per_number * batch
