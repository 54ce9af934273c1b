"""The glossary's entries, read from assets/glossary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from attnviz.inputs.assets import ASSETS


@dataclass(frozen=True)
class Entry:
    """A term and its one sentence."""

    term: str
    says: str
    page: str  # that shows it, as in its address
    also: tuple[str, ...] = ()  # other spellings; a plural in -s or -es needs none
    pattern: str = ""  # a regular expression of JavaScript for signs that have no one spelling
    query: Mapping[str, str] = field(default_factory=dict)  # parameters with which the page shows it

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every way to write it."""
        return (self.term, *self.also)


@cache
def entries() -> tuple[Entry, ...]:
    """All entries, in the order in which somebody new to the field would read them."""
    listed = json.loads((ASSETS / "glossary.json").read_text(encoding="utf-8"))
    return tuple(Entry(**(entry | {"also": tuple(entry.get("also", ()))})) for entry in listed)
