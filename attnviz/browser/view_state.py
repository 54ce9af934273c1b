"""What a visitor has chosen in the attention view, and its two written forms: a link and plain JSON."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.errors import InvalidParameterError
from attnviz.nn.intervention import Intervention

SIDES = ("q", "k")
MASKS = ("model", "causal", "none", "window", "painted")
COLOURS = ("sqrt", "linear", "log")
TEMPERATURE_RANGE = (0.01, 100.0)
LARGEST_INDEX = 1_000_000  # tokens, layers and heads: nothing real is larger, and a link cannot ask for more
LONGEST_LIST = 64  # tokens or heads selected together
MOST_PAINTED = 4096  # cells blocked by hand: all of 64 × 64
LONGEST_PAINTING = 4000  # characters of a link; hand-drawn shapes need a few dozen, only scattered dots need more


@dataclass(frozen=True)
class ViewState:
    """Selection and settings of the attention view; layers, heads and tokens count from 0.

    Errors: InvalidParameterError for a value out of range; `from_query` and `from_dict`, which read what
    strangers wrote, take the default instead.
    """

    layer: int = 0
    head: int = 0
    queries: tuple[int, ...] = ()  # tokens locked as queries, in order, without repeats
    key: int | None = None  # token locked as key
    side: str = "q"  # the side that was chosen: "q" where they look, "k" who looks at the key
    temperature: float = 1.0
    scaled: bool = True  # False: scores without the factor 1/√d
    mask: str = "model"
    window: int = 4  # |query - key| <= window; used when mask is "window"
    painted: tuple[tuple[int, int], ...] = ()  # (query, key) blocked beside the model's own mask; for "painted"
    threshold: float = 0.0  # smallest weight drawn, 0 to 1
    join: bool = False  # pieces merged into words
    hide: bool = False  # special tokens hidden
    renormalise: bool = False  # rows add up to 1 again after hiding
    colour: str = "sqrt"
    diff: bool = False  # draw the change against the model as trained
    whole: bool = False  # the same change runs through the whole model
    sort: str = "layer"  # order of the grid: "layer" or a score ("entropy", "previous" …, or one that the page sent)
    tint: str = "weights"  # what colours the heads of the grid: "weights" or a score
    heads: tuple[tuple[int, int], ...] = ()  # further (layer, head) pairs drawn in Lines
    horizontal: bool | None = None  # Lines lie (True), stand (False), or follow the script of the text (None)
    sentences: tuple[int, int] | None = None  # only from this sentence to that one
    zoom: tuple[int, int, int, int] | None = None  # queries [a, b) and keys [c, d) in the matrix

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name)))

    def to_query(self) -> dict[str, str]:
        """Short names and values for a link; what has its default value is left out, and so is a painting too long."""
        link = {
            key: write_cells(self.painted) if name == "painted" else _write(getattr(self, name))
            for name, key in _QUERY_KEYS.items()
            if getattr(self, name) != getattr(DEFAULT, name)
        }
        if len(link.get("cells", "")) > LONGEST_PAINTING:
            del link["cells"]
        return link

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> "ViewState":
        """Read a link's parameters (strings, or lists: the last counts); bad values become defaults."""
        found: dict[str, Any] = {}
        for name, key in _QUERY_KEYS.items():
            value = query.get(key)
            if isinstance(value, (list, tuple)):
                value = value[-1] if value else None
            if isinstance(value, str):
                found[name] = _accept(name, value, _READERS[name])
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON for the browser: the fields by name, tuples as lists."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: object) -> "ViewState":
        """Read the browser's JSON; a field that is missing, of a wrong type or range is the default."""
        if not isinstance(value, Mapping):
            return cls()
        return cls(**{name: _accept(name, value[name]) for name in _CHECKS if name in value})

    def to_intervention(self) -> Intervention:
        """What the temperature, the factor 1/√d and the mask ask of the whole model."""
        others: dict[str, Any] = {"model": None, "painted": None, "window": ("window", self.window)}
        blocked = self.painted if self.mask == "painted" else ()
        mask = others.get(self.mask, self.mask)
        return Intervention(temperature=self.temperature, scaled=self.scaled, mask=mask, blocked=blocked)

    def clamp(self, n_layers: int, n_heads: int, n_tokens: int, n_keys: int | None = None) -> "ViewState":
        """The same choices without what this trace lacks; n_keys: source tokens in cross-attention."""
        keys = n_tokens if n_keys is None else n_keys
        zoom = self.zoom
        if zoom is not None and (zoom[1] > n_tokens or zoom[3] > keys):
            zoom = None
        return replace(
            self,
            layer=min(self.layer, max(0, n_layers - 1)),
            head=min(self.head, max(0, n_heads - 1)),
            queries=tuple(i for i in self.queries if i < n_tokens),
            key=self.key if self.key is not None and self.key < keys else None,
            painted=tuple(cell for cell in self.painted if cell[0] < n_tokens and cell[1] < keys),
            heads=tuple(pair for pair in self.heads if pair[0] < n_layers and pair[1] < n_heads),
            zoom=zoom,
        )


def _integer(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # JavaScript has one kind
    if isinstance(value, bool) or not whole:
        raise InvalidParameterError(f"{value!r} is not a whole number")
    if not 0 <= value <= LARGEST_INDEX:
        raise InvalidParameterError(f"{value!r} is not within 0 … {LARGEST_INDEX}")
    return int(value)


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidParameterError(f"{value!r} is not a number")
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidParameterError(f"{value!r} is not within {low:g} … {high:g}")
        return float(value)

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{value!r} is not true or false")
    return value


def _one_of(options: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            raise InvalidParameterError(f"{value!r} is not one of {', '.join(options)}")
        return value

    return check


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", value):
        raise InvalidParameterError(f"{value!r} is not a short lower-case name")
    return value


def _many(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def check_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise InvalidParameterError(f"{value!r} is not a list")
        if len(value) > LONGEST_LIST:
            raise InvalidParameterError(f"{len(value)} entries, at most {LONGEST_LIST}")
        return tuple(dict.fromkeys(check(item) for item in value))

    return check_all


def _group(size: int) -> Callable[[Any], tuple[int, ...]]:
    def check(value: Any) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != size:
            raise InvalidParameterError(f"{value!r} is not a list of {size} whole numbers")
        return tuple(_integer(item) for item in value)

    return check


def _cells(value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidParameterError(f"{value!r} is not a list")
    if len(value) > MOST_PAINTED:
        raise InvalidParameterError(f"{len(value)} painted cells, at most {MOST_PAINTED}")
    return tuple(sorted({_group(2)(item) for item in value}))


def _ranges(value: Any) -> tuple[int, ...]:
    zoom = _group(4)(value)
    if zoom[0] >= zoom[1] or zoom[2] >= zoom[3]:
        raise InvalidParameterError(f"zoom {zoom!r} is empty")
    return zoom


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "layer": _integer,
    "head": _integer,
    "queries": _many(_integer),
    "key": _optional(_integer),
    "side": _one_of(SIDES),
    "temperature": _number(*TEMPERATURE_RANGE),
    "scaled": _flag,
    "mask": _one_of(MASKS),
    "window": _integer,
    "painted": _cells,
    "threshold": _number(0.0, 1.0),
    "join": _flag,
    "hide": _flag,
    "renormalise": _flag,
    "colour": _one_of(COLOURS),
    "diff": _flag,
    "whole": _flag,
    "sort": _word,
    "tint": _word,
    "heads": _many(_group(2)),
    "horizontal": _optional(_flag),
    "sentences": _optional(_group(2)),
    "zoom": _optional(_ranges),
}

_QUERY_KEYS = {
    "layer": "layer",
    "head": "head",
    "queries": "q",
    "key": "k",
    "side": "side",
    "temperature": "temp",
    "scaled": "scaled",
    "mask": "mask",
    "window": "window",
    "painted": "cells",
    "threshold": "min",
    "join": "join",
    "hide": "hide",
    "renormalise": "renorm",
    "colour": "colour",
    "diff": "diff",
    "whole": "whole",
    "sort": "sort",
    "tint": "tint",
    "heads": "heads",
    "horizontal": "flat",
    "sentences": "from",
    "zoom": "zoom",
}


def _write(value: Any) -> str:
    """One value as text that a URL carries unescaped: lists join with "_", pairs with "."."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, tuple):
        return "_".join(".".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise InvalidParameterError(f"{text!r} is not a whole number")
    return int(text)


def _read_number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,24})?(e-?[0-9]{1,3})?", text):
        raise InvalidParameterError(f"{text!r} is not a number")
    return float(text)


def _read_flag(text: str) -> bool:
    return {"1": True, "0": False}[text]


def _read_list(text: str) -> list[int]:
    return [_read_integer(part) for part in text[: 8 * LONGEST_LIST].split("_")] if text else []


def _read_painting(text: str) -> tuple[tuple[int, int], ...]:
    if len(text) > LONGEST_PAINTING:
        raise InvalidParameterError(f"{len(text)} characters, at most {LONGEST_PAINTING}")
    return read_cells(text, MOST_PAINTED)


def _read_pairs(text: str) -> list[list[int]]:
    parts = text[: 16 * LONGEST_LIST].split("_") if text else []
    return [[_read_integer(number) for number in part.split(".")] for part in parts]


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("layer", "head", "key", "window"), _read_integer),
    **dict.fromkeys(("temperature", "threshold"), _read_number),
    **dict.fromkeys(("scaled", "join", "hide", "renormalise", "diff", "whole", "horizontal"), _read_flag),
    **dict.fromkeys(("side", "mask", "colour", "sort", "tint"), str),
    **dict.fromkeys(("queries", "sentences", "zoom"), _read_list),
    "heads": _read_pairs,
    "painted": _read_painting,
}


def _accept(name: str, value: Any, read: Callable[[Any], Any] | None = None) -> Any:
    """The value (of a link: once read) if it passes this field's check, else the field's default."""
    try:
        return _CHECKS[name](value if read is None else read(value))
    except (ValueError, KeyError):
        return _DEFAULTS[name]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_DEFAULTS = {field.name: field.default for field in fields(ViewState)}
DEFAULT = ViewState()
