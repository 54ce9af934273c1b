"""A page's settings as parameters of an address, and back: what strangers write there, or report, is checked.

Settings are a frozen dataclass whose `__post_init__` raises InvalidParameterError for values out of range.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from attnviz.errors import InvalidParameterError

T = TypeVar("T")


def to_query(first: T, settings: T, named: Collection[str] = ()) -> dict[str, str]:
    """The fields that differ from the first settings, and those that are always named, as parameters of an address."""
    return {
        field.name: _write(getattr(settings, field.name))
        for field in fields(first)  # type: ignore[arg-type]
        if field.name in named or getattr(settings, field.name) != getattr(first, field.name)
    }


def from_query(first: T, query: Mapping[str, str]) -> T:
    """The settings that an address asks for; what cannot be read, or is out of range, stays as in `first`."""
    values = {}
    for field in fields(first):  # type: ignore[arg-type]
        if field.name in query:
            try:
                values[field.name] = _read(query[field.name], getattr(first, field.name))
            except ValueError:
                continue
    return accept(first, values)


def accept(first: T, values: Mapping[str, Any]) -> T:
    """`first` with the values that it allows, each checked on its own and then together."""
    settings, typed = first, _of_its_type(first, values)
    try:
        return replace(first, **typed)  # type: ignore[type-var]  # nearly always all are allowed: one look at all
    except (InvalidParameterError, ArithmeticError):  # the latter: a number too long for arithmetic
        pass
    for name, value in typed.items():
        try:
            settings = replace(settings, **{name: value})  # type: ignore[type-var]
        except (InvalidParameterError, ArithmeticError):
            continue
    return settings


def _of_its_type(first: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that have the type of their field in `first`."""
    typed = {}
    for name, value in values.items():
        default = getattr(first, name)
        if isinstance(default, str) and value is None:  # pills and segmented controls give None for no choice
            value = ""
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        if type(value) is not type(default) and not (type(default) is float and type(value) is int):
            continue
        if isinstance(default, tuple) and any(type(part) is not type(_example(default)) for part in value):
            continue
        typed[name] = value
    return typed


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return ",".join(map(_write, value))
    if isinstance(value, float):
        short = f"{value:.12g}"
        return short if float(short) == value else repr(value)
    return str(value)


def _read(text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return {"1": True, "0": False}[text] if text in ("0", "1") else default
    if isinstance(default, tuple):
        return tuple(_read(part, _example(default)) for part in text.split(",")) if text else ()
    return type(default)(text)


def _example(default: tuple[Any, ...]) -> Any:
    """What a field that holds several values holds: whole numbers, where its default has none."""
    return default[0] if default else 0
