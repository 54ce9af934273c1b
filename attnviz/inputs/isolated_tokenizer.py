"""A stranger's tokenizer in a process of its own, with limits of memory and time: what it does there stops nobody.

A tokenizer.json is a small program: it may pad to a billion tokens, double a text twenty times, match a pattern for
hours, or make its library panic. So it is read where nothing else runs. The process has no more than `MEMORY` bytes
and `SECONDS` for an answer; when it ends, the text that ended it is refused in a sentence, and another process begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError
from attnviz.inputs import tokenizer_child

MEMORY = 1_000_000_000  # bytes of address space, those of Python and the library counted (about 100 MB)
SECONDS = 5.0  # for an answer
START_SECONDS = 20.0  # to read a tokenizer: one of 250,000 tokens takes two
MOST_ANSWER = 32_000_000  # bytes: the tokens of 100,000 characters are a tenth of it
MOST_PROCESSES = 4  # that wait for texts; the one used last stays longest
MOST_AT_WORK = 2  # at a time, all sessions together
WAIT = 20.0  # seconds for those before it
POLL = 0.1  # seconds between two looks at whether somebody still waits
MOST_REFUSED = 64  # texts that ended a process, or were given up, and are not tried again
UNWANTED = "nobody waits for it any more"
KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")  # no tokens, no paths of the server's

_alive: OrderedDict[int, weakref.ref[IsolatedReader]] = OrderedDict()  # by id, the one used last at the end
_alive_lock = threading.Lock()
_at_work = threading.BoundedSemaphore(MOST_AT_WORK)


@dataclass(frozen=True)
class Waiting:
    """Who waits for a tokenizer while it is read."""

    wanted: Callable[[], bool] = lambda: True  # whether anybody does; asked from any thread
    aside: Callable[[], AbstractContextManager[Any]] = nullcontext  # around it, in the thread that waits


_waiting: ContextVar[Waiting | None] = ContextVar("waiting", default=None)


def _who_waits() -> Waiting:
    return _waiting.get() or Waiting()


@contextmanager
def while_wanted(waiting: Waiting) -> Iterator[None]:
    """What is read in this block, in this thread, ends at once where nobody waits for it any more."""
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)


class IsolatedReader:
    """A `tokenizer_child.Reader` in a process of its own. Threads may share it: it answers one after the other."""

    def __init__(self, content: bytes, lowercase: bool | None = None) -> None:
        """`content`: a tokenizer.json, or with `lowercase` a vocab.txt. Errors: ModelError, without a full stop."""
        self._content, self._lowercase = zlib.compress(content, 1), lowercase
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._refused: OrderedDict[bytes, str] = OrderedDict()
        with self._lock, _who_waits().aside():
            self._about = self._with_limits(self._start)

    def about(self) -> dict[str, Any]:
        """As `Reader.about`."""
        return self._about

    def encode(self, text: str, room: int | None) -> dict[str, Any]:
        """As `Reader.encode`. Errors: ModelError, without a full stop."""
        result: dict[str, Any] = self._ask("encode", text, room)
        return result

    def encode_pair(self, first: str, second: str, room: int | None) -> dict[str, Any]:
        """As `Reader.encode_pair`. Errors: as `encode`."""
        result: dict[str, Any] = self._ask("encode_pair", first, second, room)
        return result

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        """As `Reader.decode`. Errors: as `encode`."""
        return str(self._ask("decode", list(ids), skip_special))

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """As `Reader.decode_each`. Errors: as `encode`."""
        texts: list[str] = self._ask("decode_each", list(ids))
        return texts

    def names(self, ids: Sequence[int]) -> list[str | None]:
        """As `Reader.names`. Errors: as `encode`."""
        names: list[str | None] = self._ask("names", list(ids))
        return names

    def to_json(self) -> str:
        """As `Reader.to_json`. Errors: as `encode`."""
        return str(self._ask("to_json"))

    def _ask(self, call: str, *arguments: Any) -> Any:
        message = json.dumps({"call": call, "arguments": arguments}).encode()
        digest = hashlib.sha256(message).digest()
        with self._lock:
            if digest in self._refused:
                raise ModelError(self._refused[digest])
            try:
                return self._with_limits(lambda: self._answer(message))
            except _Refused as error:
                self._refused[digest] = str(error)
                if len(self._refused) > MOST_REFUSED:
                    self._refused.popitem(last=False)
                raise

    # ---- with the lock held ----------------------------------------------------------------------------

    def _with_limits(self, ask: Any) -> Any:
        wanted, until = _who_waits().wanted, time.monotonic() + WAIT
        while not _at_work.acquire(timeout=POLL):
            if not wanted():
                raise ModelError(UNWANTED)
            if time.monotonic() > until:
                raise ModelError("other tokenizers keep this server busy; try again soon")
        try:
            return ask()
        finally:
            _at_work.release()
            _note_use(self)

    def _answer(self, message: bytes) -> Any:
        if self._process is None:
            self._start()
        return self._exchange(message, seconds=SECONDS)

    def _start(self) -> dict[str, Any]:
        """Starts a process and gives it the tokenizer; returns what that says of itself. Errors: ModelError."""
        environment = {name: os.environ[name] for name in KEPT_OF_ENVIRONMENT if name in os.environ}
        self._process = process = subprocess.Popen(
            [
                *(sys.executable, "-I", str(Path(tokenizer_child.__file__))),
                *(json.dumps(sys.path), str(MEMORY), str(MOST_ANSWER)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where the library writes its panics
            env=environment | {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"},
            cwd=os.path.abspath(os.sep),
        )
        self._finalizer = weakref.finalize(self, _end, process)
        how = json.dumps({"lowercase": self._lowercase}).encode()
        try:
            about: dict[str, Any] = self._exchange(how, zlib.decompress(self._content), seconds=START_SECONDS)
        except ModelError:
            self.end()
            raise
        return about

    def _exchange(self, *messages: bytes, seconds: float) -> Any:
        """Sends frames and returns the answer. Errors: `_Refused`, with the reason in our words; `_Ended`."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        wanted, until = _who_waits().wanted, time.monotonic() + seconds
        why, answered = [], threading.Event()

        def watch() -> None:
            while not answered.wait(POLL):
                if not wanted():
                    why.append(UNWANTED)
                elif time.monotonic() > until:
                    why.append(f"it takes more than {seconds:g} seconds")
                if why:
                    process.kill()
                    return

        threading.Thread(target=watch, name="attnviz tokenizer", daemon=True).start()
        try:
            for message in messages:
                tokenizer_child.send(process.stdin, message)
            answer = json.loads(tokenizer_child.receive(process.stdout))
        except (OSError, EOFError):  # it was killed, or ended itself
            self.end()
            broke = f"it needs more than the {MEMORY:,} bytes of memory that it may have, or breaks"
            raise _Ended(next(iter(why), broke)) from None
        finally:
            answered.set()
        if "error" in answer:
            raise _Refused(answer["error"])
        return answer["result"]

    def end(self) -> None:
        """Ends the process; the next text begins another."""
        if self._process is not None:
            self._finalizer()  # `_end`, once
            self._process = None

    def end_if_idle(self) -> bool:
        """Ends the process unless it is at work; whether it is ended now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self.end()
            return True
        finally:
            self._lock.release()


class _Refused(ModelError):
    """The tokenizer does not read a text, now or later."""


class _Ended(_Refused):
    """The process came to its end over a text."""


def _note_use(reader: IsolatedReader) -> None:
    """Notes which process was used last, and ends those that were not for longest."""
    with _alive_lock:
        _alive[id(reader)] = weakref.ref(reader)
        _alive.move_to_end(id(reader))
        known = {key: other for key, reference in _alive.items() if (other := reference()) is not None}
        for key in _alive.keys() - known.keys():
            del _alive[key]
        for key, other in list(known.items())[:-MOST_PROCESSES]:
            if other is not reader and other.end_if_idle():
                del _alive[key]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what it did not take is lost
                pipe.close()
