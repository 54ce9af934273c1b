"""The residual stream after attention, as a trace of ours has it, put into transformers' own run.

Where attention is changed and this stream put back, all that follows has to be what it was: so the stream that we read
is seen to be transformers' own, and all that attention leads to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


def is_seen(model: Any) -> bool:
    """Whether a model of ours shows the stream after each of its attentions."""
    around = getattr(model, "_around", {}).values()  # those of our own layers are tested elsewhere
    return bool(around) and all(one.mid is not None for one in around)


@contextmanager
def put_back(model: Any, trace: Any, reference: Any) -> Iterator[None]:
    """While it lasts, the reference's streams after attention are those of the trace."""
    names = {id(module): name for name, module in model.inner.named_modules()}
    read = {
        "encoder": [layer.resid_mid for layer in (trace.source or trace).layers],
        "decoder": [layer.resid_mid for layer in trace.layers],
        "cross": [layer.resid_cross for layer in trace.layers],
    }
    streams: dict[tuple[str, int | str | None], dict[int, Tensor]] = {}
    for seat, around in model._around.items():
        point = around.mid
        streams.setdefault((names[id(point.module)], point.given), {})[point.call] = read[seat.place][seat.layer]
    hooks = []
    for (name, given), calls in streams.items():
        module, put = reference.get_submodule(name), _Put(given, calls)
        if given is None:
            hooks.append(module.register_forward_hook(put.output))
        else:
            hooks.append(module.register_forward_pre_hook(put.argument, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@dataclass
class _Put:
    """Puts back what a module is given, or gives out, in place: whoever holds the tensor has it changed."""

    given: int | str | None
    streams: dict[int, Tensor]  # by the number of the call
    calls: int = 0

    def output(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self._put(output)

    def argument(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._put(args[self.given] if isinstance(self.given, int) else kwargs[self.given])

    def _put(self, x: Tensor) -> None:
        if self.calls in self.streams:
            stream = self.streams[self.calls]
            if x.dim() == 3 and x.shape[1] > stream.shape[1]:  # Longformer's own run is padded to whole chunks
                x = x[:, : stream.shape[1]]
            x.copy_(stream.reshape(x.shape))
        self.calls += 1
