"""The record of a run whose modules are called as modules.

A call of a module returns what torch's returns: a tensor, or a tensor and weights. What else it computed goes to the
one who asked, through a `Recording`: so hooks fire, an overridden `forward` is honoured, and the run goes on with what
they changed. Only the thread that makes the call knows of the recording; no module keeps anything of a run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor, nn

from attnviz.errors import ModelError

Result = TypeVar("Result")
Options = dict[str, Any]


@dataclass(eq=False)
class Recording:
    """One module's call of which somebody wants the record, and what torch's arguments have no words for."""

    module: nn.Module  # the one that is called, or a wrapper around it
    kind: type[nn.Module]  # what it has to be, or has to wrap
    options: Options = field(default_factory=dict)  # for the attention, or a layer's self-attention
    cross_options: Options = field(default_factory=dict)  # for a decoder layer's other attention
    trace: Any = None  # afterwards: an AttentionTrace or a LayerTrace, batch first
    returned: Tensor | None = None  # what the module itself gave its caller, in the caller's layout
    out: Tensor | None = None  # what the caller got: a hook or an override may have changed it

    def is_for(self, module: nn.Module) -> bool:
        """Whether this call of `module` is the one to record."""
        if self.module is module:
            return True
        return isinstance(module, self.kind) and not isinstance(self.module, self.kind)

    def check_module(self) -> None:
        """Errors: ModelError if the module is another library's, which leaves no record."""
        if not isinstance(self.module, self.kind) and not any(isinstance(m, self.kind) for m in self.module.modules()):
            raise self.missing()

    def missing(self) -> ModelError:
        """That there is no record, and why."""
        name = f"{type(self.module).__module__}.{type(self.module).__qualname__}"
        if isinstance(self.module, self.kind):
            return ModelError(f"{name} left no record of its run: something in its place computed without its forward.")
        return ModelError(
            f"{name} leaves no record of its run: what it is part of can be called, but not traced. "
            f"A subclass of attnviz's classes that calls their forward leaves one."
        )


class _Thread(threading.local):
    recording: Recording | None = None


_thread = _Thread()  # and not a ContextVar, which torch.compile cannot read


def recording_of(module: nn.Module) -> Recording | None:
    """What is asked of this call of the module; None in a plain call."""
    recording = _thread.recording
    return recording if recording is not None and recording.is_for(module) else None


def recorded(recording: Recording | None, call: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """call(*args, **kwargs), in which the recording's module finds it."""
    if recording is None:
        return call(*args, **kwargs)
    recording.check_module()
    before = _thread.recording
    _thread.recording = recording
    try:
        result = call(*args, **kwargs)
    finally:
        _thread.recording = before
    if recording.trace is None:
        raise recording.missing()
    return result
