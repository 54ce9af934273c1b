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
from attnviz.nn.attention import AttentionTrace

Result = TypeVar("Result")
Options = dict[str, Any]
TORCHS = ("attn_mask", "key_padding_mask", "is_causal")  # the options that torch's calls know


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

    def __post_init__(self) -> None:
        inside = [self.module]
        if not isinstance(self.module, self.kind):
            inside = [m for m in self.module.modules() if isinstance(m, self.kind)]  # what it wraps
        self.identities = tuple(map(id, inside))  # of the modules whose call is the one to record
        self.batch_first: bool = getattr(inside[0], "batch_first", True) if inside else True

    def missing(self) -> ModelError:
        """That there is no record, and why."""
        name = f"{type(self.module).__module__}.{type(self.module).__qualname__}"
        if self.identities:
            return ModelError(f"{name} left no record of its run: something in its place computed without its forward.")
        return ModelError(
            f"{name} leaves no record of its run: what it is part of can be called, but not traced. "
            f"A subclass of attnviz's classes that calls their forward leaves one."
        )


class _Thread(threading.local):
    recordings: tuple[Recording, ...] = ()


_thread = _Thread()  # and not a ContextVar, which torch.compile cannot read


def recording_of(module: nn.Module) -> Recording | None:
    """What is asked of this call of the module; None in a plain call."""
    for recording in _thread.recordings:
        if id(module) in recording.identities:
            return recording
    return None


def recorded(recordings: tuple[Recording, ...], call: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """call(*args, **kwargs), in which the recordings' modules find them.

    Errors: ModelError if one of them leaves no record, as another library's does.
    """
    for recording in recordings:
        if not recording.identities:
            raise recording.missing()
    before = _thread.recordings
    _thread.recordings = recordings
    try:
        result = call(*args, **kwargs)
    finally:
        _thread.recordings = before
    for recording in recordings:
        if recording.trace is None:
            raise recording.missing()
    return result


def keep_output(module: nn.Module, out: Tensor) -> None:
    """Tells the one who asked for a record what the module's caller got."""
    recording = recording_of(module)
    if recording is not None:
        recording.out = out


def attention_trace(recording: Recording) -> AttentionTrace:
    """The record of a call, with the output that its caller got."""
    trace: AttentionTrace = recording.trace
    out = recording.out
    if out is None or out is recording.returned:
        return trace
    if out.dim() == 2:
        return trace.with_results(trace.z, out[None])
    return trace.with_results(trace.z, out if recording.batch_first else out.transpose(0, 1))
