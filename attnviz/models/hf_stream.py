"""Where the stream of another library's layer can be read: after its attention, and after what mixes the heads.

While a model is looked into, each of its layers is followed from tensor to tensor. What everything else in the layer
depends on is the residual stream: the places through which every way from the layer's input to its output leads. The
first such place after the attention from which two ways part, one round the next sublayer and one through it, is
`resid_mid`. It is read where it enters or leaves one of the layer's modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnviz.models.hf_attention import RUN, Run, Seat

NO_OUT = (
    "attention.out is None: in some of its layers the heads are changed before they are put together, or no module "
    "puts them together in the width of the stream."
)
SIDE_BY_SIDE = (
    "resid_mid is None: in some of its layers no stream stands between attention and feed-forward network, which run "
    "side by side, or only one of them is there."
)
UNSEEN = (
    "resid_mid is None: in some of its layers the stream after attention enters and leaves no module, where it could "
    "be read."
)


@dataclass(frozen=True, eq=False)
class Point:
    """A tensor that enters or leaves a module when it is called for the nth time in a run, counted from 0."""

    module: nn.Module
    given: int | str | None  # which argument; None for its output
    call: int
    changes: bool = False  # whether the model writes over it later

    @property
    def key(self) -> tuple[int, int | str | None]:
        return id(self.module), self.given

    def of(self, run: Run, like: Tensor) -> Tensor | None:
        """What passed in a run, in the shape of the stream; None if that was not the stream."""
        kept = run.kept.get(self.key, ())
        passed = kept[self.call] if self.call < len(kept) else None
        return passed.reshape(like.shape) if passed is not None and passed.numel() == like.numel() else None


@dataclass(frozen=True)
class Around:
    """Where an attention's output and the stream after it are read; None where they cannot be."""

    out: Point | None = None
    mid: Point | None = None
    lacks: str = ""  # why there is no `mid`


class Flow(TorchDispatchMode):
    """What depends on a layer's input: a graph whose nodes are the contents of pieces of memory."""

    def __init__(self, begin: Tensor) -> None:
        super().__init__()
        self.parents: list[set[int]] = [set()]
        self.sums = [False]  # whether a node is a sum
        self.at = {_memory(begin): 0}  # a piece of memory → what it holds now
        self.alive = [begin]  # so that no memory is used twice

    def node(self, x: Tensor) -> int | None:
        return self.at.get(_memory(x))

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        parents = {node for x in given if (node := self.node(x)) is not None}
        if parents:
            written = {_memory(x) for x in _written(func, args, kwargs or {})}
            before = {_memory(x) for x in given} - written  # an output that lies there is a view
            made = [x for x in tree_leaves(out) if isinstance(x, Tensor) and _memory(x) not in before]
            for x in (*made, *_written(func, args, kwargs or {})):
                self.at[_memory(x)] = len(self.parents)
                self.alive.append(x)
            if made or written:
                self.parents.append(parents)
                self.sums.append(func.overloadpacket.__name__ in ("add", "add_"))
        return out

    def joins(self, node: int) -> bool:
        """Whether two ways meet in a sum."""
        return self.sums[node] and len(self.parents[node]) > 1

    def stream(self, end: Tensor) -> list[int]:
        """The nodes through which every way from the layer's input to `end` leads, in order."""
        above = [0]  # the last such node before each node
        for node, parents in enumerate(self.parents[1:], start=1):
            first, *others = sorted(parents)
            for other in others:
                while first != other:
                    first, other = (above[first], other) if first > other else (first, above[other])
            above.append(first)
            assert first < node
        last = self.node(end)
        path = [] if last is None else [last]
        while path and path[-1]:
            path.append(above[path[-1]])
        return path[::-1]


def first(output: Any) -> Any:
    """The stream in what a layer gives out."""
    return output[0] if isinstance(output, tuple | list) else output


def _memory(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The tensors that a function writes into."""
    if not func._schema.is_mutable:
        return []
    names = [a for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    given = [args[i] for i, a in enumerate(func._schema.arguments[: len(args)]) if a in names]
    return [x for x in (*given, *(kwargs.get(a.name) for a in names)) if isinstance(x, Tensor)]


@dataclass(frozen=True, eq=False)
class _Seen:
    """A tensor at the border of a module."""

    point: Point
    x: Tensor
    node: int | None  # what it held then


class Streams:
    """The layers of a model while it is looked into."""

    def __init__(self, run: Run) -> None:
        self.run, self.found = run, list[Around]()  # one of each record
        self.flow: Flow | None = None
        self.seen: list[_Seen] = []
        self.calls: dict[int, int] = {}
        self.outs: dict[int, Point] = {}  # by the number of a record

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A layer begins."""
        self._fill()
        stream = next((x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.is_floating_point()), None)
        if stream is not None and self.flow is None:
            self.flow, self.seen = Flow(stream), []
            self.flow.__enter__()

    def leave(self, module: nn.Module, output: Any) -> None:
        """A layer ends."""
        if (flow := self.flow) is None:
            return
        self.close()
        end = first(output)
        path = flow.stream(end) if isinstance(end, Tensor) else []
        for number in range(len(self.found), len(self.run.records)):
            start, out = flow.node(self.run.records[number].z), self.outs.get(number)
            found = UNSEEN if start is None else self._parting(flow, path, start, end)
            self.found.append(Around(out, None, found) if isinstance(found, str) else Around(out, found))
        self.seen = []

    def close(self) -> None:
        if self.flow is not None:
            self.flow.__exit__(None, None, None)
            self.flow = None

    def _fill(self) -> None:
        """Attention outside of layers: nothing is known of it."""
        self.found += [Around(lacks=UNSEEN)] * (len(self.run.records) - len(self.found))

    def results(self) -> list[Around]:
        """What was found around each attention, in the order of the records."""
        self._fill()
        return self.found

    def _parting(self, flow: Flow, path: Sequence[int], start: int, end: Tensor) -> Point | str:
        """The first place of the stream after `start` from which a way leads past what follows; or why none does."""
        joins = [(node, after) for node, after in pairwise(path) if flow.joins(after)]
        node = next((node for node, _ in joins if node > start), None)
        if node is None:
            return SIDE_BY_SIDE if any(after > start for _, after in joins) else UNSEEN
        for seen in self.seen:
            alike = seen.x.numel() == end.numel() and seen.x.shape[-1] == end.shape[-1]
            if seen.node == node and alike and _whole(seen.x):
                return replace(seen.point, changes=flow.node(seen.x) != node)
        return UNSEEN

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module in a layer is called."""
        call = self.calls.get(id(module), 0)
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        for name, x in given.items():
            if self.flow is not None and isinstance(x, Tensor):
                self.seen.append(_Seen(Point(module, name, call), x, self.flow.node(x)))

    def after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A module in a layer has answered."""
        call = self.calls.get(id(module), 0)
        self.calls[id(module)] = call + 1
        if self.flow is None or not isinstance(output, Tensor):
            return
        point = Point(module, None, call)
        self.seen.append(_Seen(point, output, self.flow.node(output)))
        number = len(self.run.records) - 1
        if number >= len(self.found) and number not in self.outs and args and self._mixes(module, args[0], output):
            self.outs[number] = point

    def _mixes(self, module: nn.Module, given: Any, output: Tensor) -> bool:
        """Whether a module is the matrix that the last attention's heads go through."""
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2 or not isinstance(given, Tensor):
            return False
        sides = self.run.records[-1].z.transpose(1, 2).flatten(2)
        if given.numel() != sides.numel() or given.shape[-1] != sides.shape[-1]:
            return False
        if self.flow is None or output.numel() != self.flow.alive[0].numel():  # of another width than the stream
            return False
        close = 1e-5 if given.dtype == torch.float32 else 1e-2
        return torch.allclose(given.reshape(sides.shape), sides, rtol=close, atol=close * float(sides.abs().max()))


def _whole(x: Tensor) -> bool:
    """Whether a tensor is all that its memory holds."""
    return x.numel() * x.element_size() == x.untyped_storage().nbytes()


@contextmanager
def followed(layers: Sequence[nn.Module], run: Run) -> Iterator[Streams]:
    """While it lasts, the layers' streams are followed."""
    streams = Streams(run)
    parts = {id(part): part for layer in layers for part in layer.modules() if part is not layer}
    hooks = [part.register_forward_pre_hook(streams.before, with_kwargs=True) for part in parts.values()]
    hooks += [part.register_forward_hook(streams.after) for part in parts.values()]
    for layer in layers:
        hooks.append(layer.register_forward_pre_hook(streams.enter, with_kwargs=True))
        hooks.append(layer.register_forward_hook(lambda module, args, output: streams.leave(module, output)))
    try:
        yield streams
    finally:
        streams.close()
        for hook in hooks:
            hook.remove()


def keep(points: Sequence[Point]) -> None:
    """From now on what passes there is kept in each run."""
    for key, point in {point.key: point for point in points}.items():
        changes = any(one.changes for one in points if one.key == key)
        if point.given is None:
            point.module.register_forward_hook(_Output(key, changes))
        else:
            point.module.register_forward_pre_hook(_Argument(key, changes), with_kwargs=True)


@dataclass(frozen=True)
class _Output:
    key: tuple[int, int | str | None]
    changes: bool

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if run := RUN.get(None):
            run.kept.setdefault(self.key, []).append(output.clone() if self.changes else output)


@dataclass(frozen=True)
class _Argument:
    key: tuple[int, int | str | None]
    changes: bool

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        name = self.key[1]
        if run := RUN.get(None):
            x: Tensor = args[name] if isinstance(name, int) else kwargs[str(name)]
            run.kept.setdefault(self.key, []).append(x.clone() if self.changes else x)


def lacks(around: Mapping[Seat, Around]) -> tuple[str, ...]:
    """What the layers do not show, a sentence each."""
    found = [NO_OUT] * any(one.out is None for one in around.values())
    return tuple(dict.fromkeys(found + [one.lacks for one in around.values() if one.lacks]))
