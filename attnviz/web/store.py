"""What all sessions share of what was computed, within a number of bytes; see `kept`.

When there is no room, that goes whose bytes are the least worth: cheap to compute, large, seldom asked for, long ago.
Source: Cherkasova 1998, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy.
"""

from __future__ import annotations

import functools
import heapq
import inspect
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, is_dataclass
from types import FunctionType, ModuleType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
import streamlit as st
from torch import Tensor, nn

from attnviz.web.limits import LIMITS

P = ParamSpec("P")
R = TypeVar("R")
Key = tuple[str, Hashable]  # a function and its arguments
Ranked = tuple[float, int, Key]  # what an entry was worth, and a number of its own: keys cannot be compared

PLAIN = frozenset({str, bytes, int, float, bool})
LEAST_SECONDS = 1e-4  # that a result is taken to cost: clocks are coarse


@dataclass(eq=False)
class Entry:
    """A result and what it is worth."""

    value: Any
    n_bytes: int
    seconds: float  # of processor time that making it took
    asked: int = 1
    worth: float = 0.0


@dataclass(frozen=True)
class Use:
    """What the results of one function have cost and saved so far."""

    name: str
    entries: int
    n_bytes: int
    hits: int
    made: int
    evicted: int


class Store:
    """Results by key, in at most `most_bytes`. What several threads ask for at once is made once."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._entries: dict[Key, Entry] = {}
        self._heap: list[Ranked] = []  # every entry once, by what it was worth when somebody last looked there
        self._numbers = itertools.count()
        self._making: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()  # guards all but the work itself
        self._n_bytes = 0
        self._age = 0.0  # the worth of what went last: what came before it is worth less than what comes now
        self._hits: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._evicted: Counter[str] = Counter()

    def get(self, name: str, arguments: Hashable, make: Callable[[], Any]) -> Any:
        """The result of `name` on these arguments, made if it is not there. Errors: those of `make`; none is kept."""
        key = (name, arguments)
        while True:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None:
                    entry.asked += 1
                    self._hits[name] += 1
                    self._value(entry)
                    return entry.value
                others = self._making.get(key)
                if others is None:
                    done = self._making[key] = threading.Event()
                    break
            others.wait()
        try:
            began = time.thread_time()
            value = make()
            self._keep(key, Entry(value, n_bytes(value), max(LEAST_SECONDS, time.thread_time() - began)))
            return value
        finally:  # also where Streamlit ends the run: who waits makes it then
            with self._lock:
                del self._making[key]
            done.set()

    def peek(self, name: str, arguments: Hashable) -> Any:
        """The result of `name` on these arguments; None if it is not there."""
        with self._lock:
            entry = self._entries.get((name, arguments))
            if entry is None:
                return None
            entry.asked += 1
            self._hits[name] += 1
            self._value(entry)
            return entry.value

    def put(self, name: str, arguments: Hashable, value: Any, seconds: float) -> None:
        """Keeps a result that was made elsewhere in so many seconds; one that is there already stays."""
        if self.peek(name, arguments) is None:
            self._keep((name, arguments), Entry(value, n_bytes(value), max(LEAST_SECONDS, seconds)))

    def clear(self, name: str | None = None) -> None:
        """Forgets all, or all results of one function."""
        with self._lock:
            for key in [key for key in self._entries if name is None or key[0] == name]:
                self._n_bytes -= self._entries.pop(key).n_bytes
            self._heap = [one for one in self._heap if one[2] in self._entries]
            heapq.heapify(self._heap)

    @property
    def n_bytes(self) -> int:
        """What it holds now."""
        return self._n_bytes

    def uses(self) -> list[Use]:
        """By function, the largest first."""
        with self._lock:
            entries: Counter[str] = Counter()
            sizes: Counter[str] = Counter()
            for (function, _), entry in self._entries.items():
                entries[function] += 1
                sizes[function] += entry.n_bytes
            return [
                Use(one, entries[one], sizes[one], self._hits[one], self._made[one], self._evicted[one])
                for one in sorted(self._made, key=lambda one: (-sizes[one], one))
            ]

    def _keep(self, key: Key, entry: Entry) -> None:
        with self._lock:
            self._made[key[0]] += 1
            if entry.n_bytes > self.most_bytes or key in self._entries:  # the latter: another was as fast
                return
            while self._entries and self._n_bytes + entry.n_bytes > self.most_bytes:
                self._evict_one()
            self._value(entry)
            self._entries[key] = entry
            heapq.heappush(self._heap, (entry.worth, next(self._numbers), key))
            self._n_bytes += entry.n_bytes

    def _evict_one(self) -> None:
        """The entry that is worth least goes. Worth only grows: one that grew since goes back to where it belongs."""
        while True:
            worth, number, key = self._heap[0]
            now = self._entries[key].worth
            if now == worth:
                break
            heapq.heapreplace(self._heap, (now, number, key))
        heapq.heappop(self._heap)
        self._age = worth
        self._n_bytes -= self._entries.pop(key).n_bytes
        self._evicted[key[0]] += 1

    def _value(self, entry: Entry) -> None:
        """Sets what an entry is worth from now on."""
        entry.worth = self._age + entry.asked * entry.seconds / max(1, entry.n_bytes)


def n_bytes(value: Any) -> int:
    """Bytes that a result takes in memory, with all that it refers to, each thing once."""
    seen: set[int] = set()
    total, todo = 0, [value]
    while todo:
        one = todo.pop()
        if id(one) in seen or one is None:
            continue
        seen.add(id(one))
        kind = type(one)
        if kind in PLAIN:  # the many
            total += sys.getsizeof(one)
        elif kind is tuple or kind is list:
            total += sys.getsizeof(one)
            todo += one
        elif isinstance(one, Tensor):
            storage = one.untyped_storage()
            address = storage.data_ptr()
            total += 0 if address in seen else storage.nbytes()
            seen.add(address)
        elif isinstance(one, np.ndarray):
            if isinstance(one.base, np.ndarray | Tensor):
                todo.append(one.base)
            else:
                total += one.nbytes
        elif isinstance(one, nn.Module):
            todo += [*one.parameters(), *one.buffers()]
        elif not isinstance(one, type | FunctionType | ModuleType):
            total += sys.getsizeof(one, 64)
            todo += _parts(one)
    return total


def _parts(whole: Any) -> Iterable[Any]:
    """What a thing refers to."""
    if isinstance(whole, Mapping):
        return [*whole.keys(), *whole.values()]
    if isinstance(whole, tuple | list | set | frozenset):
        return whole
    if is_dataclass(whole) and not hasattr(whole, "__dict__"):
        return [getattr(whole, field.name, None) for field in fields(whole)]
    return list(getattr(whole, "__dict__", {}).values())


STORE = Store(LIMITS.store_bytes)


class Kept(Generic[P, R]):
    """A function whose results lie in the one store of all sessions; see `kept`."""

    def __init__(self, function: Callable[P, R], spinner: str) -> None:
        functools.update_wrapper(self, function)
        self._function, self._spinner = function, spinner
        self.name = f"{function.__module__.removeprefix('attnviz.web.')}.{function.__qualname__}"
        self._parameters = tuple(inspect.signature(function).parameters.values())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        def make() -> R:
            with st.spinner(self._spinner) if self._spinner else nullcontext():
                return self._function(*args, **kwargs)

        result: R = STORE.get(self.name, self._key(args, kwargs), make)
        return result

    def known(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The result, if it is there."""
        result: R | None = STORE.peek(self.name, self._key(args, kwargs))
        return result

    def put(self, result: R, seconds: float, *args: P.args, **kwargs: P.kwargs) -> None:
        """Keeps a result that was made elsewhere, in so many seconds."""
        STORE.put(self.name, self._key(args, kwargs), result, seconds)

    def clear(self) -> None:
        """Forgets all results."""
        STORE.clear(self.name)

    def _key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        """The arguments by name without those that are the default anyway: however they are given."""
        given = [(one, value) for one, value in zip(self._parameters, args, strict=False)]
        given += [(one, kwargs[one.name]) for one in self._parameters if one.name in kwargs]
        return tuple((one.name, value) for one, value in given if value is not one.default)


def kept(spinner: str = "") -> Callable[[Callable[P, R]], Kept[P, R]]:
    """Keeps a function's results in the one store of all sessions.

    For functions of names, texts, numbers and frozen dataclasses, whose results nobody changes. With a `spinner` the
    page says that meanwhile.
    """
    return lambda function: Kept(function, spinner)
