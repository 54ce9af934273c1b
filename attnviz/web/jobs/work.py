"""Long work whose result all sessions share: in slices, between which Cancel is heard; see `Work`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.web import store
from attnviz.web.jobs import slices

Asked = TypeVar("Asked", bound=Hashable)
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Last:
    """The last step: what the work came to."""

    value: Any


class Work(Generic[Asked, Result]):
    """What is asked for is found in the store, or else worked out in this session: a short one at once."""

    def __init__(self, name: str, begin: Callable[[Asked], Generator[int, None, Result]]) -> None:
        """`begin` works in steps, each how many of its parts are done; all of them run in slices under `name`."""
        self.name, self._begin = name, begin

    def found(self, asked: Asked) -> Result | None:
        """The result, begun where it was not; None while it is under way, or cancelled. Errors: those of the work."""
        made = self.made(asked)
        if made is None and not self.began(asked):
            self.again(asked)
            self._advance(slices.AT_ONCE)
            made = self.made(asked)
        return made

    def made(self, asked: Asked) -> Result | None:
        """The result, if it is there."""
        kept: Result | None = store.STORE.peek(self.name, asked)
        if kept is None and self.began(asked):
            last = (slices.done(self.name) or [None])[-1]
            kept = last.value if isinstance(last, _Last) else None
        return kept

    def began(self, asked: Asked) -> bool:
        """Whether this is the work of this session that was begun last: it may be under way, done or cancelled."""
        return st.session_state.get(f"{self.name}:of") == asked and slices.done(self.name) is not None

    def again(self, asked: Asked) -> None:
        """Begins anew: what the button does after Cancel."""
        slices.start(self.name, self._steps(asked))
        st.session_state[f"{self.name}:of"] = asked

    def cancel(self) -> None:
        """Stops between two steps."""
        slices.cancel(self.name)

    @property
    def running(self) -> bool:
        """Whether there is more to do."""
        return slices.running(self.name)

    @property
    def done(self) -> int:
        """How many of its parts."""
        return max((step for step in slices.done(self.name) or () if isinstance(step, int)), default=0)

    def run_on(self) -> None:
        """The next slice. Errors: those of the work."""
        self._advance(slices.SECONDS)

    def _advance(self, seconds: float) -> None:
        try:
            slices.advance(self.name, seconds)
        except (InvalidParameterError, ModelError):
            slices.cancel(self.name)
            raise

    def _steps(self, asked: Asked) -> Generator[int | _Last, None, None]:
        work = self._begin(asked)
        seconds = 0.0
        while True:
            begin = time.perf_counter()
            try:
                step = next(work)
            except StopIteration as end:
                store.STORE.put(self.name, asked, end.value, seconds + time.perf_counter() - begin)
                yield _Last(end.value)
                return
            seconds += time.perf_counter() - begin
            yield step
