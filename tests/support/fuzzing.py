"""Inputs that nobody foresaw: what is kept in tests/fuzz/corpus, changed here and there, for a bounded time.

A short round runs with every change, always the same examples; a long one (`nightly`) draws new ones for a minute each.
What a long round finds becomes a small file of the corpus, beside the change that mends it and its kind.
"""

from __future__ import annotations

import contextlib
import copy
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from hypothesis.strategies import DrawFn, SearchStrategy

from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError, TrainingError

T = TypeVar("T")
CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
FORESEEN = (InvalidParameterError, ShapeError, DTypeError, ModelError, TrainingError)
SHORT, LONG = 0.7, 60.0  # seconds
LONGEST_SENTENCE = 1_000  # characters
MEMORY = 6_000_000_000  # bytes that a round may take: what wants more names its example, and leaves the machine alone
MOST = 1_000_000  # examples of a long round, which its time ends before
EXTREMES = (
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63) - 1,
    10**30,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    True,
    False,
    None,
)
SIGNS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "é" * 40,
    "<script>",
    "../../etc/passwd",
    "$1",
    "１",
    "1_0",
    "1e999",
    "nan",
    "-",
    ",",
)

rounds = pytest.mark.parametrize(
    "seconds", [pytest.param(SHORT, id="short"), pytest.param(LONG, marks=pytest.mark.nightly, id="long")]
)


class _TimeIsUp(BaseException):
    """Ends a round: no Exception, which Hypothesis would take for what it looks for."""


def fuzz(inputs: SearchStrategy[T], check: Callable[[T], None], seconds: float, examples: int = 150) -> None:
    """Checks inputs for so many seconds; a short round of at most so many `examples`, the same in every run."""
    is_short = seconds <= SHORT
    until = time.monotonic() + seconds

    @settings(
        max_examples=examples if is_short else MOST,
        derandomize=is_short,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def go(one: T) -> None:
        nonlocal until
        if time.monotonic() > until:
            raise _TimeIsUp
        try:
            check(one)
        except Exception:
            until = float("inf")  # it is tried again, and made smaller
            raise

    with contextlib.suppress(_TimeIsUp), _bounded():
        go()


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """What this process asks for beyond MEMORY more is a MemoryError; only Linux says how much it has."""
    if sys.platform != "linux":
        yield
        return
    has = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = has + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def foreseen(work: Callable[[], T]) -> T | None:
    """What the work returns; None where it is refused in one sentence. Any other exception is a fault."""
    try:
        return work()
    except FORESEEN as error:
        sentence = str(error)
        assert sentence.strip() and "\n" not in sentence and len(sentence) <= LONGEST_SENTENCE, sentence
        return None


def corpus(kind: str) -> list[Path]:
    """The files of a kind."""
    files = sorted((CORPUS / kind).iterdir())
    assert files, kind
    return files


@some.composite
def changed_bytes(draw: DrawFn, of: Sequence[bytes]) -> bytes:
    """One of some byte strings with up to six places changed, cut, doubled or exchanged for another one's."""
    data = bytearray(draw(some.sampled_from(of)))
    for _ in range(draw(some.integers(1, 6))):
        place = draw(some.integers(0, max(0, len(data) - 1)))
        length = draw(some.sampled_from((1, 1, 2, 4, 8, 64)))
        how = draw(some.sampled_from(("flip", "set", "cut", "end", "double", "other")))
        if how == "flip" and data:
            data[place] ^= 1 << draw(some.integers(0, 7))
        elif how == "set":
            data[place : place + length] = draw(some.sampled_from((b"\x00", b"\xff", b"\x7f"))) * length
        elif how == "cut":
            del data[place : place + length]
        elif how == "end":
            del data[place:]
        elif how == "double":
            data[place:place] = data[place : place + length]
        else:
            other = draw(some.sampled_from(of))
            data[place : place + length] = other[place : place + length]
    return bytes(data)


texts = some.one_of(
    some.text(max_size=60),
    some.sampled_from(SIGNS),
    some.integers().map(str),
    some.floats().map(str),
    some.lists(some.sampled_from(["0", "1", "-1", "99999999999", "x", "1.5", ":", ".", "/"]), max_size=8).map(",".join),
)
values: SearchStrategy[Any] = some.recursive(
    some.one_of(some.sampled_from(EXTREMES), texts),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@some.composite
def changed_json(draw: DrawFn, of: Sequence[Any]) -> Any:
    """One of some JSON values with up to three of its parts exchanged, left out, or moved to another name."""
    value = copy.deepcopy(draw(some.sampled_from(of)))
    for _ in range(draw(some.integers(1, 3))):
        places = _places(value)
        if not places:
            return draw(values)
        holder, name = draw(some.sampled_from(places))
        how = draw(some.sampled_from(("value", "value", "gone", "moved")))
        if how == "value":
            holder[name] = draw(values)
        elif how == "gone":
            del holder[name]
        elif isinstance(holder, dict):
            holder[draw(some.sampled_from([str(one) for _, one in places]) | some.text(max_size=6))] = holder.pop(name)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every part of a JSON value, as what holds it and its name there."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        holder = todo.pop()
        names = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 20)))
        found += [(holder, name) for name in names]
        todo += [holder[name] for name in names if isinstance(holder[name], dict | list)]
    return found


def json_bytes(value: Any) -> bytes:
    """A JSON value as a file has it, lone surrogates and numbers without end included."""
    return json.dumps(value).encode()
