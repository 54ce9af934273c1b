"""The catalogue's models, each loaded once for all tests of a process: a run changes nothing on its model."""

from __future__ import annotations

import functools

from attnviz import Model, load


@functools.lru_cache(maxsize=8)
def loaded(name: str) -> Model:
    """What `attnviz.load` gives for a name of the catalogue. The pages under test load their own."""
    return load(name)
