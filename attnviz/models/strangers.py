"""Models that a stranger asks for, as on a public server: what is done differently then, within a `with` block.

A tokenizer of the hub's or of an archive runs in a process of its own; the hub is not given this machine's token; an
archive causes no request at all; and memory is reserved before it is taken. Whoever loads a model for himself needs
none of it: his machine, his token, his files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import isqrt

from attnviz.errors import ModelError

MOST_WEIGHTS = 2**24  # attention weights of a layer: 67 MB, and ALiBi adds a bias of that size to every one


def _take(n_bytes: int) -> None:
    """There is room for any model."""


@dataclass(frozen=True)
class Terms:
    """On which terms a model is loaded."""

    reserve: Callable[[int], None] = _take  # called with bytes of memory before they are taken; may raise ModelError
    with_token: bool = False  # whether the hub is told who runs this machine, who may read private repositories
    online: bool = True  # whether anybody may be asked for anything
    known: bool = False  # whether the model is one of the catalogue's own, whoever asks for it


_terms: ContextVar[Terms | None] = ContextVar("terms", default=None)


@contextmanager
def asking(terms: Terms) -> Iterator[None]:
    """What is loaded in this block, in this thread, is for a stranger."""
    token = _terms.set(terms)
    try:
        yield
    finally:
        _terms.reset(token)


@contextmanager
def known() -> Iterator[None]:
    """What is loaded in this block is one of the catalogue's own models: its tokenizer is no stranger's."""
    terms = _terms.get()
    with nullcontext() if terms is None else asking(replace(terms, known=True)):
        yield


def isolated() -> bool:
    """Whether a tokenizer that is read now is a stranger's."""
    terms = _terms.get()
    return terms is not None and not terms.known


def reserve(n_bytes: int) -> None:
    """Notes that so much memory is taken next. Errors: ModelError if there is no room."""
    if (terms := _terms.get()) is not None:
        terms.reserve(n_bytes)


def check_length(n_tokens: int, n_heads: int) -> None:
    """Errors: ModelError for a stranger's model that reads more tokens at a time than a server has memory for."""
    longest = isqrt(MOST_WEIGHTS // n_heads)
    if isolated() and n_tokens > longest:
        raise ModelError(
            f"The model reads up to {n_tokens:,} tokens at a time with {n_heads:,} heads: at most {longest:,} are read "
            "here with so many."
        )


def token() -> bool | None:
    """As the functions of huggingface_hub take it: False for none, None for that of whoever runs this machine."""
    terms = _terms.get()
    return None if terms is None or terms.with_token else False


def check_online(what: str) -> None:
    """Errors: ModelError where nobody may be asked."""
    terms = _terms.get()
    if terms is not None and not terms.online:
        raise ModelError(f"{what} is not in the archive, and an archive never makes this server ask for more.")
