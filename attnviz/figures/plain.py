"""Figures as plain dicts, of which plotly's classes are made only when somebody asks for them.

A page sends a figure to the browser and asks for nothing else: the classes and their copies would take it most of the
time that it has for a picture.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

# plotly.js's names of what it reads in base64: without the integers of 8 bytes, which JavaScript does not count with
_SHORT = {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
_SHORT |= {"float32": "f4", "float64": "f8"}


def figure(spec: dict[str, Any]) -> go.Figure:
    """A figure with this "data" and "layout", which are not checked."""
    return _figure_class()(spec)


@cache
def _figure_class() -> type[go.Figure]:
    import plotly.graph_objects as go

    class Figure(go.Figure):
        """plotly's own, made of its dicts the first time that it is asked for anything."""

        def __init__(self, spec: dict[str, Any]) -> None:
            self.__dict__["spec"] = spec

        def __getattr__(self, name: str) -> Any:  # Python asks here for what is not there
            spec = self.__dict__.pop("spec", None)
            if spec is None:
                raise AttributeError(f"a figure has no {name}")
            super().__init__(spec, _validate=False)
            return getattr(self, name)

        def __reduce__(self) -> tuple[type[go.Figure], tuple[dict[str, Any]]]:
            return go.Figure, (self.to_dict(),)  # copied and pickled as plotly's own, which others know by its name

    return Figure


def spec_of(figure: go.Figure) -> dict[str, Any]:
    """The dicts that a figure is made of."""
    spec: dict[str, Any] = figure.__dict__.get("spec") or figure.to_dict()
    return spec


def as_json(spec: dict[str, Any]) -> str:
    """A figure's dicts as plotly writes them: arrays in base64, null for what is no number."""
    text = json.dumps(spec, separators=(",", ":"), default=_packed)
    if "NaN" in text or "Infinity" in text:  # a word of a text perhaps; in a list, what JSON does not have
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"))
    return text


def _packed(value: Any) -> Any:
    """An array as plotly.js reads it; a NumPy number as one of Python's."""
    array = np.asarray(value)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        array = array.astype(np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))
    name = _SHORT.get(str(array.dtype))
    if name is None or array.ndim == 0 or array.size == 0:
        return array.tolist()
    packed = {"dtype": name, "bdata": base64.b64encode(array.tobytes()).decode("ascii")}
    return packed | ({"shape": ", ".join(map(str, array.shape))} if array.ndim > 1 else {})
