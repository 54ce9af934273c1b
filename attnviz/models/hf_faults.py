"""One border between another library's errors and ours: what goes wrong inside is one sentence that names where."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError

OURS = (ModelError, InvalidParameterError, ShapeError, DTypeError)
LOG = logging.getLogger(__name__)


@contextmanager
def one_sentence(subject: str, does: str, inner: nn.Module | None = None) -> Iterator[None]:
    """Errors: ModelError "`subject` `does`." for every error but ours, with the cause chained and logged.

    With `inner`, the sentence names the innermost of its parts that was at work.
    """
    try:
        yield
    except OURS as error:
        if isinstance(error, ModelError) and not str(error).endswith("."):  # a reason that waits for its subject
            raise ModelError(f"{subject} {does}: {error}.") from error
        raise
    except Exception as error:
        LOG.info("%s %s", subject, does, exc_info=error)
        where = "" if inner is None else part_at_fault(error, inner)
        raise ModelError(f"{subject} {does}{where}.") from error


def part_at_fault(error: BaseException, inner: nn.Module) -> str:
    """ " in its part model.layers.0.mlp (LlamaMLP)": the innermost module in whose code an error was raised; or ""."""
    names = {id(module): name for name, module in inner.named_modules()}
    found, step = "", error.__traceback__
    while step is not None:
        own = step.tb_frame.f_locals.get("self")
        if isinstance(own, nn.Module) and names.get(id(own)):
            found = f" in its part {names[id(own)]} ({type(own).__name__})"
        step = step.tb_next
    return found


def fields_at_fault(error: BaseException, given: dict[str, Any]) -> str:
    """ ": look at a, b", the fields of a config that an error speaks of; or ""."""
    text = str(error)
    named = [name for name in given if len(name) > 3 and name in text]
    return f": look at {', '.join(named[:4])}" if named else ""
